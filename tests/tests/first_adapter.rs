//! A federation that starts from an adapter: named by its digest in the terms, brought by every
//! member.

use std::path::Path;

use fedshield_tests::{Daemon, Program, Work, eventually, expected, make_home};
use fedshield_train::Valid;
use fedshield_train::adapter::{PeftAdapter, export_peft};
use fedshield_train::federated::{
    AdapterLayout, AdapterSpec, Factor, FederatedSettings, GlobalAdapter,
};
use fedshield_train::load::LoadedModel;
use fedshieldd::control::api::NodeState;

/// Writes an adapter whose B is not zero, so that it shows.
fn write_adapter(folder: &Path, seed: u8) -> GlobalAdapter {
    let config = LoadedModel::open(&Work::model()).expect("the model reads").config;
    let adapter = AdapterSpec { rank: 2, alpha: 4.0, ..AdapterSpec::default() };
    let settings =
        Valid::new(FederatedSettings { adapter, ..FederatedSettings::default() }).unwrap();
    let layout = AdapterLayout::new(&config, &settings.adapter).expect("the adapter fits");
    let global = GlobalAdapter::new(layout, &settings, [seed; 32]);
    let values = vec![1e-3 * f32::from(seed); global.trained_len()];
    let global = global.with_trained(&values).expect("as many values");
    export_peft(folder, &global, "base").expect("the adapter can be written");
    global
}

#[test]
fn members_join_with_the_same_adapter_only_and_the_rounds_start_from_it() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (right, wrong) = (folder.path().join("right"), folder.path().join("wrong"));
    let first = write_adapter(&right, 1);
    write_adapter(&wrong, 2);
    let homes: Vec<_> = (0..3).map(|member| folder.path().join(format!("m{member}"))).collect();
    for (member, home) in homes.iter().enumerate() {
        make_home(&program, home, &format!("m{member}"), &Work::domains()[member]);
    }
    let daemons: Vec<Daemon> = homes.iter().map(|home| Daemon::start(&program, home)).collect();
    assert!(eventually(|| daemons.iter().all(|daemon| daemon.status().is_some())));
    let owner = &homes[0];
    let text = |path: &Path| path.display().to_string();
    let new =
        "federation new --name first --members 3 --rounds 1 --steps 1 --batch 2 --seq 64 --adapter";
    program.run(owner, new.split(' ').chain([text(&right).as_str()])).ok();
    let toml = program.run(owner, ["federation", "show", "--toml"]).ok();
    let digest = PeftAdapter::open(&right).and_then(|peft| peft.digest()).expect("it reads");
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(toml.contains(&format!("first = \"{digest}\"")) && toml.contains("rank = 2"), "{toml}");
    let file = expected(&program, folder.path(), &homes);
    for home in &homes[1..] {
        let invite = program.run(owner, ["invite", "--quiet"]).ok();
        let invite = invite.trim();
        let refused = ["--adapter DIR", &digest[..16]];
        program.run(home, ["join", "--yes", invite]).fails(20, &refused);
        program
            .run(home, ["join", "--yes", invite, "--adapter", &text(&wrong)])
            .fails(20, &refused);
        let right = text(&right);
        program.run(home, ["join", "--yes", invite, "--adapter", &right, "--expect", &file]).ok();
    }
    program.run(owner, ["federation", "found", "--expect", &file]).ok();
    let done = |daemon: &Daemon| daemon.status().is_some_and(|s| s.state == NodeState::Done);
    assert!(eventually(|| daemons.iter().all(done)), "the round is done");
    let out = folder.path().join("out");
    program.run(owner, ["adapter", "export", &text(&out)]).ok();
    // One round of one step moves B by the learning rate at most; A, which was not trained, is the
    // first adapter's.
    let config = LoadedModel::open(&Work::model()).expect("the model reads").config;
    let after = PeftAdapter::open(&out).expect("it reads");
    let settings = Valid::new(FederatedSettings {
        adapter: after.spec().expect("one rank and alpha"),
        ..FederatedSettings::default()
    })
    .unwrap();
    let after = after.global(&config, &settings).expect("it fits");

    assert_eq!(after.values(Factor::A), first.values(Factor::A));
    let pairs = || after.values(Factor::B).iter().zip(first.values(Factor::B));
    assert!(pairs().all(|(after, first)| (after - first).abs() <= 1.1e-3));
    assert!(pairs().any(|(after, first)| after != first));
}

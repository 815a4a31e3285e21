//! Four real daemons under terms in which every option of the learner differs from its default. One
//! of them is killed while it trains.

use std::path::Path;
use std::time::Duration;

use fedshield_tests::{Federation, Program};
use fedshieldd::control::api::RoundOutcome;

const LIMIT: Duration = Duration::from_secs(120);
const MEMBERS: usize = 4;
const ROUNDS: &str = "3";

/// The files of a home's secrets in which an optimiser's state is kept.
fn moments(home: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(home.join("secrets")).expect("the folder is there");
    let names = entries.filter_map(|entry| entry.expect("an entry").file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("moments-")).collect();
    names.sort();
    names
}

#[test]
fn a_federation_with_every_option_ends_with_one_adapter_and_keeps_nothing() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let mut federation = Federation::start(&program, MEMBERS, |_| None);
    let owner = federation.daemons[0].home.clone();
    let new = [
        ["--name", "test"],
        ["--members", "4"],
        ["--rounds", ROUNDS],
        ["--steps", "3"],
        ["--batch", "2"],
        ["--seq", "64"],
        ["--rank", "2"],
        ["--algorithm", "halves"],
        ["--lr-ratio", "4"],
        ["--proximal", "0.01"],
        ["--local-optimizer", "kept"],
        ["--server-optimizer", "nesterov"],
        ["--server-rate", "0.7"],
        ["--round-minutes", "1"],
    ];
    let flags = new.as_flattened().iter().copied().chain(["--rslora"]);
    program.run(&owner, ["federation", "new"].into_iter().chain(flags)).ok();
    (1..MEMBERS).for_each(|joiner| federation.join(joiner));
    let shown = program.run(&owner, ["federation", "show"]).ok();
    for part in ["halves", "4 times as much for B", "rsLoRA", "optimiser kept", "Nesterov"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    federation.freeze();

    let victim = &mut federation.daemons[3];
    victim.wait_for_step(|step| step.round == 1 && step.word == "commit", LIMIT);
    victim.kill();
    assert!(!moments(&federation.daemons[3].home).is_empty(), "nothing is kept after a round");
    federation.restart(3);
    federation.wait_until_done();
    federation.wait_until("the optimiser's state is erased", |daemons| {
        daemons.iter().all(|daemon| moments(&daemon.home).is_empty())
    });

    let rounds = federation.rounds();
    let last = |reports: &Vec<fedshieldd::control::api::RoundReport>| {
        let mut newest = reports.iter().rev();
        newest
            .find(|report| report.outcome == RoundOutcome::Applied)
            .and_then(|report| report.adapter_digest)
    };
    let digest = last(&rounds[0]);
    assert!(digest.is_some() && rounds.iter().all(|reports| last(reports) == digest));
    for daemon in &federation.daemons {
        program.run(&daemon.home, ["ledger", "verify"]).ok();
        let status = daemon.status().expect("it answers");
        let names: Vec<&str> = status.conditions.iter().map(|it| it.name.as_str()).collect();
        assert!(!names.contains(&"optimizer-state"), "{names:?}");
    }
    let out = federation.folder().join("adapter").display().to_string();
    program.run(&owner, ["adapter", "export", &out]).ok();
    let config = Path::new(&out).join("adapter_config.json");
    let config = std::fs::read_to_string(config).expect("the adapter is exported");
    assert!(config.contains("\"use_rslora\": true"), "{config}");
}

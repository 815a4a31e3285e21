//! A federation that starts from an adapter: named by its digest in the terms, brought by every
//! member.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fedshield_tests::{Daemon, Program, Work, eventually, expected, make_home};
use fedshield_train::Valid;
use fedshield_train::adapter::{Adapter, PeftAdapter, export_peft};
use fedshield_train::federated::{
    AdapterLayout, AdapterSpec, Factor, FederatedSettings, GlobalAdapter,
};
use fedshield_train::load::{LoadedModel, write_safetensors};
use fedshield_train::model::ModelConfig;
use fedshieldd::control::api::NodeState;

fn model() -> Valid<ModelConfig> {
    LoadedModel::open(&Work::model()).expect("the model reads").config
}

/// Writes an adapter whose B is not zero, so that it shows.
fn write_adapter(folder: &Path, seed: u8) -> GlobalAdapter {
    let config = model();
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

/// Writes an adapter as PEFT does that has rank 4 on one projection and 2 on another, where the
/// scale is 4 over the root of the rank, or over the rank if not `root`.
fn write_uneven(folder: &Path, root: bool) {
    let config = model();
    let mut tensors = BTreeMap::new();
    for layer in 0..config.layers {
        for (name, rank, inputs, outputs) in [
            ("q_proj", 2, config.hidden_size, config.heads * config.head_dim),
            ("o_proj", 4, config.heads * config.head_dim, config.hidden_size),
        ] {
            let key = format!("base_model.model.model.layers.{layer}.self_attn.{name}");
            let wave = |count: usize, step: f32| -> Vec<f32> {
                (0..count).map(|i| 0.05 * (step * i as f32 + layer as f32).sin()).collect()
            };
            let a = (vec![rank, inputs], wave(rank * inputs, 0.7));
            let b = (vec![outputs, rank], wave(outputs * rank, 0.3));
            tensors.insert(format!("{key}.lora_A.weight"), a);
            tensors.insert(format!("{key}.lora_B.weight"), b);
        }
    }
    std::fs::create_dir_all(folder).expect("a folder can be made");
    write_safetensors(&folder.join("adapter_model.safetensors"), &tensors).expect("it is written");
    let settings = format!(
        r#"{{"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4,
            "target_modules": ["q_proj", "o_proj"], "rank_pattern": {{"o_proj": 4}},
            "use_rslora": {root}}}"#
    );
    std::fs::write(folder.join("adapter_config.json"), settings).expect("it is written");
}

fn open(folder: &Path) -> PeftAdapter {
    PeftAdapter::open(folder).expect("it reads")
}

/// Three members found a federation that starts from the adapter in `right` and do one round of one
/// step; returns the adapter that the owner exports. Who joins without the adapter, or with that in
/// `wrong`, is refused. The terms contain `terms`.
fn one_round(folder: &Path, right: &Path, wrong: &Path, terms: &[&str]) -> PathBuf {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let homes: Vec<_> = (0..3).map(|member| folder.join(format!("m{member}"))).collect();
    for (member, home) in homes.iter().enumerate() {
        make_home(&program, home, &format!("m{member}"), &Work::domains()[member]);
    }
    let daemons: Vec<Daemon> = homes.iter().map(|home| Daemon::start(&program, home)).collect();
    assert!(eventually(|| daemons.iter().all(|daemon| daemon.status().is_some())));
    let owner = &homes[0];
    let text = |path: &Path| path.display().to_string();
    let new =
        "federation new --name first --members 3 --rounds 1 --steps 1 --batch 2 --seq 64 --adapter";
    program.run(owner, new.split(' ').chain([text(right).as_str()])).ok();
    let toml = program.run(owner, ["federation", "show", "--toml"]).ok();
    let digest = open(right).digest().expect("it reads");
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let first = format!("first = \"{digest}\"");
    for term in terms.iter().chain([&first.as_str()]) {
        assert!(toml.contains(term), "{term}: {toml}");
    }
    let file = expected(&program, folder, &homes);
    for home in &homes[1..] {
        let invite = program.run(owner, ["invite", "--quiet"]).ok();
        let invite = invite.trim();
        let refused = ["--adapter DIR", &digest[..16]];
        program.run(home, ["join", "--yes", invite]).fails(20, &refused);
        program.run(home, ["join", "--yes", invite, "--adapter", &text(wrong)]).fails(20, &refused);
        let right = text(right);
        program.run(home, ["join", "--yes", invite, "--adapter", &right, "--expect", &file]).ok();
    }
    program.run(owner, ["federation", "found", "--expect", &file]).ok();
    let done = |daemon: &Daemon| daemon.status().is_some_and(|s| s.state == NodeState::Done);
    assert!(eventually(|| daemons.iter().all(done)), "the round is done");
    let out = folder.join("out");
    program.run(owner, ["adapter", "export", &text(&out)]).ok();
    out
}

#[test]
fn members_join_with_the_same_adapter_only_and_the_rounds_start_from_it() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (right, wrong) = (folder.path().join("right"), folder.path().join("wrong"));
    let first = write_adapter(&right, 1);
    write_adapter(&wrong, 2);
    let out = one_round(folder.path(), &right, &wrong, &["rank = 2"]);
    // One round of one step moves B by the learning rate at most; A, which was not trained, is the
    // first adapter's.
    let after = open(&out);
    let settings = Valid::new(FederatedSettings {
        adapter: after.spec().expect("one rank and alpha"),
        ..FederatedSettings::default()
    })
    .unwrap();
    let after = after.global(&model(), &settings).expect("it fits");
    assert_eq!(after.values(Factor::A), first.values(Factor::A));
    let pairs = || after.values(Factor::B).iter().zip(first.values(Factor::B));
    assert!(pairs().all(|(after, first)| (after - first).abs() <= 1.1e-3));
    assert!(pairs().any(|(after, first)| after != first));
}

/// The change of each projection's weight: alpha/rank B A, by layer and projection.
fn changes(adapter: &dyn Adapter) -> BTreeMap<String, Vec<f32>> {
    let of = |one: &fedshield_train::adapter::AdaptedProjection<'_>| -> Vec<f32> {
        let inputs = one.a.len() / one.rank;
        let row = |b: &[f32], column: usize| -> f32 {
            b.iter().enumerate().map(|(k, b)| b * one.a[k * inputs + column]).sum()
        };
        let rows = one.b.chunks(one.rank);
        rows.flat_map(|b| (0..inputs).map(move |j| one.scale() as f32 * row(b, j))).collect()
    };
    let projections = adapter.projections();
    let name = |layer: usize, name: &str| format!("{layer} {name}");
    projections.iter().map(|one| (name(one.layer, one.projection.name()), of(one))).collect()
}

/// An adapter of several ranks and scales: the federation has one of each, and the weights start
/// where they stood. The same factors with another scale are another adapter.
#[test]
fn a_federation_starts_from_an_adapter_of_several_ranks_and_scales() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (right, wrong) = (folder.path().join("right"), folder.path().join("wrong"));
    write_uneven(&right, true);
    write_uneven(&wrong, false);
    let out = one_round(folder.path(), &right, &wrong, &["rank = 4", "alpha = 12"]);
    let config = model();
    let [first, after] = [&right, &out].map(|path| open(path).lora(&config).expect("it fits"));
    let (first, after) = (changes(&first), changes(&after));
    assert!(first.keys().eq(after.keys()));
    let mut moved = 0.0f32;
    for (name, before) in &first {
        let difference = before.iter().zip(&after[name]).map(|(x, y)| (x - y).abs());
        let difference = difference.fold(0.0, f32::max);
        // A step moves each value of B by the learning rate, 1e-3, at most; the scale is 3, and no
        // row of the four of A exceeds 1/sqrt(inputs), which is 0.09.
        assert!(difference <= 3.0 * 4.0 * 1.1e-3 * 0.09, "{name}: {difference}");
        moved = moved.max(difference);
    }
    let largest = first.values().flatten().fold(0f32, |most, value| most.max(value.abs()));
    // What it starts from outweighs one step by far: an adapter that was lost would show.
    assert!(moved > 0.0 && largest > 4.0 * moved, "{largest}, {moved}");
}

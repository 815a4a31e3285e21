//! A tiny comparison from beginning to end, and the parts that numbers depend on.

use std::fs;
use std::path::Path;

use clap::Parser as _;
use fedshield_train::ExampleLoss;

use crate::answers;
use crate::arm::Kind;
use crate::bench::Bench;
use crate::bootstrap;
use crate::federated;
use crate::options::Options;
use crate::progress::Progress;
use crate::run;
use crate::state::StateFile;

/// Ten local steps of two examples on three hospitals.
fn options(out: &Path, measure: &str, arms: &[&str]) -> Options {
    let out = out.to_str().expect("a path in UTF-8");
    let fixed = [
        "joining",
        "--out",
        out,
        "--members",
        "fairview,harbour,lakeside",
        "--measure",
        measure,
        "--seeds",
        "1",
        "--batch",
        "2",
        "--total",
        "6",
        "--every",
        "2",
        "--rank",
        "4",
        "--targets",
        "attention",
        "--seq",
        "96",
    ];
    Options::try_parse_from(fixed.iter().chain(arms)).expect("these are options")
}

const ARMS: [&str; 6] = [
    "base",
    "alone:lr=0.004",
    "central:lr=0.004",
    "common=fed:alg=fedit:rounds=2:steps=2:prune=0.5",
    "home:of=common:lr=0.002",
    "rolora=fed:rounds=3:steps=2:weights=declared:momentum=0.5:bits=8",
];

#[test]
fn a_comparison_goes_on_where_it_was_and_looks_at_no_test_example_before_it_may() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path();
    // Interrupted after three arms.
    run(&options(out, "validation", &ARMS[..3])).expect("it runs");
    let kept = fs::read(out.join("seed1/alone:lr=0.004@harbour.json")).expect("one by member");
    run(&options(out, "validation", &ARMS)).expect("it goes on");
    let again = fs::read(out.join("seed1/alone:lr=0.004@harbour.json")).expect("it is there");
    assert_eq!(kept, again, "it was trained again");
    assert!(!String::from_utf8_lossy(&again).contains("\"test\":["), "a test loss");
    let report = fs::read_to_string(out.join("validation.md")).expect("a report");
    assert!(
        report.contains("| alone:lr=0.004 |") && report.contains("no test example"),
        "{report}"
    );

    run(&options(out, "test", &ARMS)).expect("it measures the test part");
    let report = fs::read_to_string(out.join("test.md")).expect("a report");
    let rows = ["base", "alone", "centralised", "common", "rolora", "common, best of each"];
    for row in rows {
        assert!(report.contains(&format!("\n| {row} |")), "{row} is missing in {report}");
    }
    assert!(report.contains("% ["), "no interval in {report}");
    for axis in ["steps", "bytes", "seconds"] {
        let picture = fs::read_to_string(out.join(format!("test-by-{axis}.svg"))).expect("a plot");
        assert!(picture.contains("alone ") && picture.contains("common "), "{picture}");
    }
    // Half of the coordinates of the second round, and all of the first.
    let sent = |name: &str| {
        let text = fs::read_to_string(out.join(format!("seed1/{name}.json"))).expect("a result");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let points = value["points"].as_array().cloned().unwrap_or_default();
        points.iter().filter_map(|point| point["bytes"].as_u64()).collect::<Vec<_>>()
    };
    let common = sent("common");
    let ratio = (common[1] - common[0]) as f64 / common[0] as f64;
    assert!((0.45..0.6).contains(&ratio), "{common:?}");
    assert_eq!(sent("rolora").len(), 3);
}

#[test]
fn a_federation_that_was_interrupted_ends_as_one_that_was_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = options(
        folder.path(),
        "validation",
        &["fed:rounds=3:steps=1:prune=0.5:bits=8:optimizer=kept"],
    );
    let arms = options.arms().expect("an arm");
    let Kind::Federated(federation) = &arms[0].kind else { panic!("no federation") };
    let bench = Bench::open(&options).expect("a bench");
    let division = bench.divide(1);
    let file = StateFile { path: folder.path().join("seed1/kept.state") };
    let run = || federated::run(&division, &arms[0], federation, &file).expect("it runs");
    let whole = run();
    let mut state = federated::begin(&division, federation).expect("a state");
    for _ in 0..2 {
        federated::round(&division, federation, &mut state).expect("a round");
    }
    file.write(&arms[0].text, &state).expect("it is kept");
    let resumed = run();
    let losses = |progress: &Progress| -> Vec<(u64, f64)> {
        progress.points.iter().map(|point| (point.bytes, point.union)).collect()
    };
    assert_eq!(losses(&resumed), losses(&whole));
    assert_eq!(resumed.adapter, whole.adapter);
    // A file of another arm, or half of one, is named.
    let error = file.read("fed:rounds=9").map(drop).expect_err("another arm").to_string();
    assert!(error.contains("belongs to") && error.contains("remove it"), "{error}");
    let bytes = fs::read(&file.path).expect("it is there");
    fs::write(&file.path, &bytes[..bytes.len() / 2]).expect("it can be cut");
    assert!(file.read(&arms[0].text).is_err());
}

#[test]
fn a_folder_holds_one_kind_of_result_and_a_name_one_arm() {
    let folder = tempfile::tempdir().expect("a folder");
    run(&options(folder.path(), "validation", &["x=base"])).expect("it runs");
    let renamed = options(folder.path(), "validation", &["x=alone:lr=0.1"]);
    // An arm by member has files of its own, so the name is free there; a federation's is not.
    let other = options(folder.path(), "validation", &["x=fed:rounds=1:steps=1"]);
    assert!(run(&other).expect_err("another arm").to_string().contains("another name"));
    let longer = Options { total: 7, ..renamed };
    assert!(run(&longer).expect_err("other settings").to_string().contains("choose another --out"));
}

#[test]
fn arms_that_make_no_sense_are_refused_by_name() {
    for (arms, said) in [
        (&["alone"][..], "lr"),
        (&["alone:lr=0.1:rate=2"], "rate"),
        (&["nobody:lr=1"], "nobody"),
        (&["fed:alg=sgd"], "sgd"),
        (&["fed:rounds=4:steps=2"], "--total"),
        (&["fed:prune=high"], "high"),
        (&["home:of=fed:lr=0.1"], "no federation before it"),
        (&["a/b=base"], "a/b"),
        (&["base", "base"], "two arms"),
        (&["alone:lr=-1"], "learning_rate"),
    ] {
        let error = options(Path::new("unused"), "test", arms).arms().map(drop);
        let error = error.expect_err(arms[0]).to_string();
        assert!(error.contains(said), "{arms:?}: {error}");
    }
}

#[test]
fn answers_are_compared_as_sets() {
    assert_eq!(answers::compare("a, b", "b,a"), (true, 1.0));
    assert_eq!(answers::compare("a, b, c", "a, d"), (false, 0.4));
    assert_eq!(answers::compare("", ""), (true, 1.0));
    assert_eq!(answers::compare("a", ""), (false, 0.0));
}

fn losses(sums: &[f64]) -> Vec<ExampleLoss> {
    let one = |(index, sum): (usize, &f64)| ExampleLoss {
        digest: [index as u8; 16],
        sum: *sum,
        tokens: 10,
    };
    sums.iter().enumerate().map(one).collect()
}

#[test]
fn intervals_are_of_paired_differences() {
    // The same difference everywhere: no doubt, however much the examples differ.
    let (first, second) = (losses(&[21.0, 31.0, 91.0]), losses(&[20.0, 30.0, 90.0]));
    let sure = bootstrap::interval(&[(first.clone(), second.clone())]).expect("pairs");
    assert!((sure.mean - 0.1).abs() < 1e-12 && (sure.low - sure.high).abs() < 1e-12, "{sure:?}");
    // Seeds of opposite sign cancel, whichever examples are drawn, as all draw the same ones.
    let both = [(first.clone(), second.clone()), (second.clone(), first.clone())];
    let none = bootstrap::interval(&both).expect("pairs");
    assert!(none.mean.abs() < 1e-12 && none.high.abs() < 1e-12, "{none:?}");
    let unsure =
        bootstrap::interval(&[(losses(&[0.0, 10.0]), losses(&[5.0, 5.0]))]).expect("pairs");
    assert!(unsure.low < -0.4 && unsure.high > 0.4, "{unsure:?}");
    assert!(bootstrap::interval(&[(first, losses(&[1.0, 2.0]))]).is_none());
    assert!(bootstrap::interval(&[]).is_none());
}

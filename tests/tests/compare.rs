//! What joining is worth to a member: measured at its node on data that nothing was chosen by, and
//! the adapter that it ends up with.

use std::path::Path;

use fedshield_tests::{Federation, Program, Terms, Work, eventually};
use fedshieldd::control::api::AtHomeState;
use serde_json::Value;

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_node_compares_what_it_has_and_exports_the_best() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { members: 3, rounds: 2, ..Terms::default() };
    // Nothing is made that was not asked for.
    let asked = |_| vec!["training.personal=false".to_owned()];
    let mut federation = Federation::found_with(&program, &terms, asked);
    federation.wait_until_done();
    let home = federation.daemons[0].home.clone();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (common, personal) = (folder.path().join("common"), folder.path().join("personal"));
    for which in ["personal", "best"] {
        let out = text(&folder.path().join("none"));
        program
            .run(&home, ["adapter", "export", &out, "--which", which])
            .fails(47, &["fedshield-cli compare"]);
    }
    let off = || program.run(&home, ["status"]).ok().contains("`training.personal` is false");
    assert!(eventually(off));

    let first = program.run(&home, ["compare", "--json"]).ok();
    let json: Value = serde_json::from_str(&first).expect("it is JSON");
    assert_eq!(json["measured_on"], "test", "{first}");
    let number = |pointer: &str| json.pointer(pointer).and_then(Value::as_f64).expect(pointer);
    assert!(number("/examples") > 10.0 && number("/validation_examples") > 5.0, "{first}");
    for kind in ["alone", "personal"] {
        assert!(number(&format!("/{kind}/steps")) >= 1.0, "{kind}: {first}");
        assert!(number(&format!("/{kind}/loss")) < number("/base"), "{kind}: {first}");
    }
    assert!(number("/against_base/low") <= number("/against_base/mean"), "{first}");
    assert_eq!(json["samples"].as_array().map(Vec::len), Some(3), "{first}");

    // Nothing is trained again while its inputs are the same, and the losses are the same.
    assert_eq!(program.run(&home, ["compare", "--json"]).ok(), first);
    let shown = program.run(&home, ["compare"]).ok();
    assert!(shown.starts_with("joining: ") && shown.contains("nothing was chosen by"), "{shown}");
    // On a file, which changes nothing of what was found on the test data.
    let file = text(&Work::domains()[1]);
    let on_file = program.run(&home, ["compare", "--data", &file, "--samples", "1", "--json"]).ok();
    let on_file: Value = serde_json::from_str(&on_file).expect("it is JSON");
    assert_eq!(on_file["measured_on"], "file");
    assert_eq!(on_file["samples"].as_array().map(Vec::len), Some(1));
    assert_ne!(on_file["base"], json["base"]);
    assert_eq!(on_file["personal"]["validation"], json["personal"]["validation"]);
    program.run(&home, ["compare", "--data", "gone.jsonl"]).fails(22, &["gone.jsonl"]);
    // `status` shows it, after a restart as well.
    federation.daemons[0].kill();
    federation.restart(0);
    // By the members' own data, whatever a file was measured for.
    let compared = || {
        let comparison = federation.daemons[0].status().and_then(|status| status.comparison);
        comparison.is_some_and(|it| shown.contains(&it.headline) && it.applied == 2)
    };
    assert!(eventually(compared), "{:?}", federation.daemons[0].status());
    assert!(program.run(&home, ["status"]).ok().contains("joining: "));
    let without = program.run(&home, ["compare", "--without-alone", "--json"]).ok();
    let without: Value = serde_json::from_str(&without).expect("it is JSON");
    assert_eq!((&without["alone"], &without["personal"]), (&Value::Null, &json["personal"]));

    program.run(&home, ["adapter", "export", &text(&common)]).ok();
    let said = program.run(&home, ["adapter", "export", &text(&personal), "--which", "personal"]);
    let said = said.ok();
    assert!(said.contains("more of this node's data") && said.contains("README.md"), "{said}");
    let readme = std::fs::read_to_string(personal.join("README.md")).expect("it is there");
    assert!(readme.contains("update in clear"), "{readme}");
    assert!(!common.join("README.md").exists());
    let best = text(&folder.path().join("best"));
    program.run(&home, ["adapter", "export", &best, "--which", "best", "--json"]).ok();

    // The same on folders, without the daemon.
    let (model, data) = (text(&Work::model()), text(&Work::domains()[0]));
    let folders = [text(&common), text(&personal)];
    let arguments = ["compare", &folders[0], &folders[1], "--model", &model, "--data", &data];
    let table = program.run(&home, arguments).ok();
    assert!(table.contains(&format!("{} against {}", folders[1], folders[0])), "{table}");
    program.run(&home, ["compare", &folders[0]]).fails(2, &["--model"]);
}

#[test]
fn once_the_federation_is_done_a_member_makes_its_own_adapter_unasked() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { members: 3, rounds: 2, ..Terms::default() };
    let mut federation = Federation::found(&program, &terms);
    federation.wait_until_done();
    let at_home = |federation: &Federation, member: usize| {
        federation.daemons[member].status().and_then(|status| status.at_home)
    };
    // A stop in the middle: the next start makes what is missing.
    federation.daemons[0].kill();
    federation.restart(0);
    let is_made = |federation: &Federation, member: usize| {
        at_home(federation, member).is_some_and(|it| it.state == AtHomeState::Done)
    };
    for member in [0, 1] {
        assert!(eventually(|| is_made(&federation, member)), "{:?}", at_home(&federation, member));
        let home = federation.daemons[member].home.clone();
        let shown = program.run(&home, ["status"]).ok();
        assert!(shown.contains("joining: ") && shown.contains("at home"), "{shown}");
        let folder = tempfile::tempdir().expect("a folder can be made");
        for which in ["personal", "best"] {
            let out = text(&folder.path().join(which));
            program.run(&home, ["adapter", "export", &out, "--which", which]).ok();
        }
    }
    // Who asks gets what was made, and nothing is made again: the losses are the same.
    let home = federation.daemons[0].home.clone();
    let comparison = federation.daemons[0].status().and_then(|status| status.comparison);
    let comparison = comparison.expect("it is there");
    let asked = program.run(&home, ["compare", "--json"]).ok();
    let asked: Value = serde_json::from_str(&asked).expect("it is JSON");
    assert_eq!(asked["base"].as_f64(), Some(comparison.base));
    assert_eq!(asked["common"]["loss"].as_f64(), Some(comparison.common));
    assert_eq!(asked["alone"]["loss"].as_f64(), comparison.alone);
    // The lines beside the curve are of the sample that the curve is of.
    let measured = || {
        let status = federation.daemons[0].status()?;
        Some((status.held_out?.sample?, status.comparison?.on_sample))
    };
    assert!(eventually(|| measured().is_some()));
    let (sample, on_sample) = measured().expect("it was there");
    assert_eq!(sample, on_sample.sample);
    assert!(on_sample.alone.is_some_and(|loss| loss < comparison.base + 1.0));
}

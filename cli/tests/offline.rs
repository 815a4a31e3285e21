//! Commands on the built program that need no daemon: exit codes, streams, what stays untouched.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the program in `folder` with a home of its own and none of the caller's settings.
fn cli(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fedshield-cli"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("FEDSHIELD_HOME", folder.join("home"))
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_kind_of_wrong_input_has_its_exit_code_and_a_next_step() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("three.jsonl"), "{}\n").unwrap();
    std::fs::write(folder.path().join("bad.toml"), "name = 1\n").unwrap();
    std::fs::write(folder.path().join("bad.fsl"), "no ledger").unwrap();
    std::fs::write(folder.path().join("manifest.signed"), "no manifest").unwrap();
    let cases: &[(&[&str], i32)] = &[
        (&["no-such-command"], 2),
        (&["federation", "new"], 2),
        (&["status"], 3),
        (&["status", "--watch"], 3),
        (&["members"], 3),
        (&["rounds"], 3),
        (&["pause"], 3),
        (&["resume"], 3),
        (&["stop"], 3),
        (&["federation", "show"], 3),
        (&["federation", "new", "--name", "x"], 3),
        (&["invite"], 3),
        (&["join", "fs1abc", "--yes"], 3),
        (&["adapter", "export", "out"], 3),
        (&["doctor"], 3),
        (&["data", "check"], 4),
        (&["data", "check", "three.jsonl", "--model", "gone"], 21),
        (&["adapter", "merge", "gone", "--model", "gone", "--out", "out"], 21),
        (&["adapter", "merge", "gone", "--model", "gone", "--out", "."], 2),
        (&["adapter", "eval", "gone", "--model", "gone", "--data", "three.jsonl"], 21),
        (&["adapter", "eval", "gone", "--model", "m", "--data", "d", "--top-p", "0"], 2),
        (&["adapter", "eval", "a", "--model", "m", "--data", "d", "--base-precision", "q5"], 2),
        (&["federation", "new", "--name", "x", "--adapter", "gone", "--dry-run"], 21),
        (&["config", "check"], 4),
        (&["init", "--name", "x"], 2),
        (&["init", "--name", "", "--no-passphrase"], 4),
        (&["init", "--name", "x", "--no-passphrase", "--listen", "localhost"], 4),
        (&["init", "--name", "x", "--no-passphrase", "--model", "gone"], 21),
        (&["init", "--name", "x", "--no-passphrase", "--data", "gone.jsonl"], 22),
        (&["federation", "new", "--name", "x", "--lr", "-1", "--dry-run"], 2),
        (&["federation", "new", "--name", "x", "--members", "2", "--dry-run"], 44),
        (&["federation", "new", "--terms", "bad.toml", "--dry-run"], 2),
        (&["federation", "new", "--terms", "gone.toml"], 2),
        (&["ledger", "verify"], 40),
        (&["ledger", "verify", "gone.fsl"], 2),
        (&["ledger", "verify", "bad.fsl"], 50),
        (&["demo", "--data", "three.jsonl"], 2),
        (&["demo", "--members", "4", "--data", "three.jsonl"], 2),
        (&["demo", "--data", "gone.jsonl", "gone.jsonl", "gone.jsonl"], 22),
        (&["demo", "--model", "gone"], 21),
    ];
    for (arguments, code) in cases {
        let output = cli(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {}", stderr(&output));
        assert!(stdout(&output).is_empty(), "{arguments:?} answers in spite of its failure");
        assert!(stderr(&output).contains("error:"), "{arguments:?}");
        assert!(!stderr(&output).contains('\x1b'), "{arguments:?} colours without a terminal");
    }
    assert!(!folder.path().join("home").exists(), "a failed command made a home");
    assert!(!folder.path().join("demo-out").exists(), "a failed demo made its folder");
}

#[test]
fn a_failure_is_json_where_json_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let output = cli(folder.path(), &["status", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let body: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(body["error"]["code"], "not-running");
    assert!(body["error"]["hint"].as_str().unwrap().contains("`fedshield-cli init`"));
    let output = cli(folder.path(), &["init", "--name", "a", "--json"]);
    let body: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(body["error"]["code"], "invalid-request");
    for command in ["pause", "resume", "stop"] {
        let output = cli(folder.path(), &[command, "--json"]);
        assert_eq!(output.status.code(), Some(3), "{command}");
        let body: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(body["error"]["code"], "not-running", "{command}");
    }
    // With a node in the home, the daemon is what is missing.
    assert!(cli(folder.path(), &["init", "--name", "a", "--no-passphrase"]).status.success());
    let output = cli(folder.path(), &["members", "--json"]);
    let body: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(body["error"]["hint"].as_str().unwrap().contains("daemon`"), "{body}");
}

#[test]
fn a_home_without_a_node_says_so_whatever_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    for (command, code) in [
        (&["daemon"][..], 5),
        (&["status"], 3),
        (&["rounds"], 3),
        (&["adapter", "export", "out"], 3),
        (&["ledger", "verify"], 40),
        (&["ledger", "export", "out"], 40),
        (&["config", "check"], 4),
    ] {
        let output = cli(folder.path(), command);
        assert_eq!(output.status.code(), Some(code), "{command:?} {}", stderr(&output));
        assert!(stderr(&output).contains("next:"), "{command:?} {}", stderr(&output));
    }
    assert!(!folder.path().join("home").exists() && !folder.path().join("out").exists());
}

#[test]
fn a_ledger_without_its_manifest_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ledger.fsl"), "x").unwrap();
    let output = cli(folder.path(), &["ledger", "verify", "ledger.fsl"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--manifest FILE"), "{}", stderr(&output));
}

#[test]
fn a_file_of_which_nothing_is_left_to_train_on_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one.jsonl"), "{\"instruction\":\"a\",\"output\":\"b\"}\n")
        .unwrap();
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/assets/base");
    let base = base.to_str().unwrap();
    for (arguments, named) in [
        (&["--held-out-fraction", "0.999"][..], ": 1 are held out or for the test"),
        (&["--held-out-fraction", "0", "--seq", "2"], "raise --seq"),
    ] {
        let check = ["data", "check", "one.jsonl", "--model", base, "--template", "vicuna"];
        let output = cli(folder.path(), &[&check, arguments].concat());
        assert_eq!(output.status.code(), Some(22), "{arguments:?}");
        assert!(stderr(&output).contains(named), "{arguments:?} {}", stderr(&output));
    }
}

#[test]
fn init_makes_a_home_once_and_config_check_says_what_the_daemon_would() {
    let folder = tempfile::tempdir().unwrap();
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/assets");
    let data = std::fs::read(assets.join("domains/bank.jsonl")).unwrap();
    std::fs::write(folder.path().join("notes.jsonl"), data).unwrap();
    let init = ["init", "--name", "bank", "--no-passphrase", "--data", "notes.jsonl", "--json"];
    let output = cli(folder.path(), &init);
    assert!(output.status.success(), "{}", stderr(&output));
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(made["identity_key"].as_str().unwrap().len(), 64);
    assert_eq!(made["sealed"], false);
    let lacks = cli(folder.path(), &["config", "check"]);
    assert_eq!(lacks.status.code(), Some(4), "{}", stderr(&lacks));
    assert!(stderr(&lacks).contains("`model.path` is not set"), "{}", stderr(&lacks));
    let model = format!("model.path={}", assets.join("base").display());
    let checked = cli(folder.path(), &["config", "check", "--set", &model]);
    assert!(checked.status.success(), "{}", stderr(&checked));
    let shown = cli(folder.path(), &["config", "show", "--json"]);
    let config: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert!(config["data"]["train"][0].as_str().unwrap().ends_with("/notes.jsonl"));
    assert_eq!(cli(folder.path(), &init).status.code(), Some(47), "an identity was overwritten");
    let wrong = cli(folder.path(), &["config", "check", "--set", "data.trian=x"]);
    assert_eq!(wrong.status.code(), Some(4));
    assert!(stderr(&wrong).contains("data.trian"));
}

#[test]
fn an_identity_is_sealed_with_a_passphrase_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pass"), "correct horse\n").unwrap();
    let init = ["init", "--name", "bank", "--passphrase-file", "pass", "--json"];
    let output = cli(folder.path(), &init);
    assert!(output.status.success(), "{}", stderr(&output));
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(made["sealed"], true);
    let identity = std::fs::read_to_string(folder.path().join("home/identity.key")).unwrap();
    assert!(!identity.contains("correct horse"));
}

#[test]
fn terms_go_through_a_file_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let flags =
        ["federation", "new", "--name", "x", "--preset", "paper", "--rank", "16", "--dry-run"];
    let first = cli(folder.path(), &flags);
    assert!(first.status.success(), "{}", stderr(&first));
    std::fs::write(folder.path().join("terms.toml"), &first.stdout).unwrap();
    let second = cli(folder.path(), &["federation", "new", "--terms", "terms.toml", "--dry-run"]);
    assert_eq!(stdout(&first), stdout(&second));
    assert!(stdout(&first).contains("rank = 16"));
}

#[test]
fn the_demo_touches_no_folder_that_it_did_not_make() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("thesis.txt"), "years of work").unwrap();
    for name in ["a", "b", "c"] {
        std::fs::write(folder.path().join(name), "{}\n").unwrap();
    }
    let model = folder.path().display().to_string();
    let demo = ["demo", "--out", "own", "--model", &model, "--data", "a", "b", "c"];
    let output = cli(folder.path(), &demo);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--out"));
    assert_eq!(std::fs::read_dir(&own).unwrap().count(), 1);
}

#[test]
fn completions_know_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = cli(folder.path(), &["completions", shell]);
        assert!(output.status.success());
        assert!(stdout(&output).contains("federation"), "{shell}");
    }
}

/// Only the tokenizer is needed: looking at data takes no longer with a large model.
#[test]
fn data_check_reads_no_weights() {
    let folder = tempfile::tempdir().unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/assets/base");
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(model.join(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("model.safetensors"), "cut off").unwrap();
    let line = r#"{"instruction": "Say yes.", "output": "yes"}"#;
    std::fs::write(folder.path().join("good.jsonl"), line).unwrap();
    let output = cli(folder.path(), &["data", "check", "good.jsonl", "--model", "."]);
    assert!(output.status.success(), "{}", stderr(&output));
}

/// The text of a line is somebody's data: it is in no message, in no log and in no report.
#[test]
fn data_check_repeats_nothing_of_a_line_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/train/assets/base");
    let lines = [
        r#""Smith has measles""#,
        r#"{"instruction": ["Smith has measles"], "output": "x"}"#,
        r#"{"messages": "Smith has measles"}"#,
        r#"{"instruction": "Smith has measles"}"#,
        r#"{"instruction": "a", "output": "Smith has meas"#,
        "Smith has measles",
    ];
    std::fs::write(folder.path().join("bad.jsonl"), lines.join("\n")).unwrap();
    for json in [&[][..], &["--json"]] {
        let check = [&["data", "check", "bad.jsonl", "--model", model], json].concat();
        let output = cli(folder.path(), &check);
        assert_eq!(output.status.code(), Some(22), "{}", stderr(&output));
        let said = stdout(&output) + &stderr(&output);
        assert!(said.contains("is it still being written?"), "{said}");
        assert!(!said.contains("Smith") && !said.contains("measles"), "{said}");
    }
}

#[test]
fn data_check_shows_the_loss_mask_to_who_asks_and_names_every_bad_line() {
    let folder = tempfile::tempdir().unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/train/assets/base");
    let good = r#"{"instruction": "Say yes.", "output": "yes"}"#;
    std::fs::write(folder.path().join("good.jsonl"), format!("{good}\n{good}\n")).unwrap();
    std::fs::write(folder.path().join("bad.jsonl"), format!("{good}\n{{\n[]\n")).unwrap();
    let check = ["data", "check", "good.jsonl", "--model", model];
    let output = cli(folder.path(), &check);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // What the files say is shown to who asks for it alone.
    let text = stdout(&output);
    assert!(!text.contains("Say yes.") && !text.contains(">>"), "{text}");
    assert!(text.contains("good.jsonl:2 is good.jsonl:1 again"), "{text}");
    let json = stdout(&cli(folder.path(), &[&check[..], &["--json"]].concat()));
    assert!(!json.contains("Say yes.") && json.contains("\"rendered\": null"), "{json}");
    let text = stdout(&cli(folder.path(), &[&check[..], &["--example"]].concat()));
    assert!(text.contains("Say yes.") && text.contains(">>yes<|end|><<"), "{text}");
    let json = stdout(&cli(folder.path(), &[&check[..], &["--example", "--json"]].concat()));
    assert!(json.contains("Say yes."), "{json}");
    let output = cli(folder.path(), &["data", "check", "bad.jsonl", "--model", model, "--json"]);
    assert_eq!(output.status.code(), Some(22), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let lines: Vec<u64> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["place"]["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [2, 3]);
    assert_eq!(report["train"], 1);
    assert!(stderr(&output).contains("data-unreadable"));
}

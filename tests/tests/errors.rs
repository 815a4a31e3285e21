//! Common user errors: each gives a clear message and its own exit code.

use std::path::Path;
use std::time::Duration;

use fedshield_tests::{Daemon, Program, Work, eventually, make_home};
use fedshieldd::control::api::ErrorCode;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_fedshield"))
}

/// A home on the shipped model and the first domain.
fn home(folder: &Path, name: &str) -> std::path::PathBuf {
    let home = folder.join(name);
    make_home(&program(), &home, name, &Work::domains()[0]);
    home
}

/// Runs a daemon that must fail at its start.
fn refuses(home: &Path, set: &[&str], code: ErrorCode, words: &[&str]) {
    let mut args = vec!["daemon"];
    for setting in set {
        args.extend(["--set", setting]);
    }
    program().run(home, args).fails(code.exit_code(), words);
}

#[test]
fn a_wrong_invite() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = home(folder.path(), "joiner");
    let daemon = Daemon::start(&program(), &home);
    assert!(eventually(|| daemon.status().is_some()), "the daemon answers");
    let run = program().run(&home, ["join", "--yes", "fs1notaninvite"]);
    run.fails(ErrorCode::InviteInvalid.exit_code(), &["invite"]);
}

#[test]
fn a_base_model_other_than_the_federations() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (owner, joiner) = (home(folder.path(), "owner"), home(folder.path(), "joiner"));
    // The same model with one more space in its configuration is another model.
    let copy = folder.path().join("model");
    std::fs::create_dir(&copy).expect("a folder can be made");
    for entry in std::fs::read_dir(Work::model()).expect("the model is there") {
        let entry = entry.expect("the folder can be read");
        std::fs::copy(entry.path(), copy.join(entry.file_name())).expect("a file can be copied");
    }
    let config = copy.join("config.json");
    let text = std::fs::read_to_string(&config).expect("the configuration is there");
    std::fs::write(&config, text + "\n ").expect("the configuration can be written");
    let other = format!("model.path={}", copy.display());

    let owner_daemon = Daemon::start(&program(), &owner);
    let joiner_daemon = Daemon::start_with(&program(), &joiner, &[&other]);
    assert!(eventually(|| owner_daemon.status().is_some() && joiner_daemon.status().is_some()));
    program().run(&owner, ["federation", "new", "--name", "test"]).ok();
    let invite = program().run(&owner, ["invite", "--quiet"]).ok();
    let run = program().run(&joiner, ["join", "--yes", invite.trim()]);
    run.fails(ErrorCode::ModelMismatch.exit_code(), &["model"]);
}

/// The daemon waits for these (`tests/waiting.rs`); `config check` says so, with an exit code for
/// each.
#[test]
fn model_and_data_that_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = home(folder.path(), "node");
    let broken = folder.path().join("broken.jsonl");
    std::fs::write(&broken, "{\"instruction\": \"a\", \"output\": \"b\"}\nnot json\n")
        .expect("a file can be written");
    let gone = folder.path().join("gone");
    for (key, path, code, words) in [
        ("data.train", &broken, ErrorCode::DataUnreadable, ["broken.jsonl:2", "waits"]),
        ("data.train", &gone, ErrorCode::DataUnreadable, ["gone", "waits"]),
        ("model.path", &gone, ErrorCode::ModelUnreadable, ["gone", "waits"]),
    ] {
        let setting = format!("{key}={}", path.display());
        let run = program().run(&home, ["config", "check", "--set", &setting]);
        run.fails(code.exit_code(), &words);
    }
}

/// The daemon's refusals are `config check`'s.
#[test]
fn settings_that_cannot_be_used() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = home(folder.path(), "node");
    for (setting, word) in [
        ("log.level=inof", "log.level"),
        ("listen=/ip4/300.0.0.1/tcp/1", "listen"),
        ("data.train=", "data.train"),
        ("data.template=foo", "alpaca"),
        ("training.device=gpu", "training.device"),
        ("http.listen=localhost", "http.listen"),
    ] {
        let code = ErrorCode::ConfigInvalid.exit_code();
        program().run(&home, ["config", "check", "--set", setting]).fails(code, &[word]);
        refuses(&home, &[setting], ErrorCode::ConfigInvalid, &[word]);
    }
}

#[test]
fn an_address_that_no_waiting_mends() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = home(folder.path(), "node");
    for (address, word) in [
        ("/ip4/127.0.0.1/tcp/7000/ws", "/ws"),
        ("/dns4/bank.example/tcp/7000", "external_addresses"),
        ("/ip6/fe80::1/tcp/7000", "link-local"),
        ("127.0.0.1:7000", "not a multiaddress"),
    ] {
        let setting = format!("listen={address}");
        refuses(&home, &[&setting], ErrorCode::ConfigInvalid, &[address, word]);
        let check = program().run(&home, ["config", "check", "--set", &setting]);
        check.fails(ErrorCode::ConfigInvalid.exit_code(), &[address, word]);
    }
}

#[test]
fn a_damaged_journal() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = home(folder.path(), "node");
    let journal = fedshieldd::home::Home::new(&home).journal();
    std::fs::write(&journal, b"this is not a journal, but it is long enough to be one")
        .expect("a file can be written");
    refuses(&home, &[], ErrorCode::JournalCorrupted, &["journal"]);
}

#[test]
fn no_daemon() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = home(folder.path(), "node");
    program().run(&home, ["status"]).fails(ErrorCode::NotRunning.exit_code(), &["daemon"]);
}

#[test]
fn a_daemon_that_is_asked_to_stop_stops() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let home = home(folder.path(), "node");
    let mut daemon = Daemon::start(&program(), &home);
    daemon.wait_for_log(&["listening"], Duration::from_secs(60));
    program().run(&home, ["stop"]).ok();
    assert_eq!(daemon.wait(), Some(0));
}

//! Data files that change under a running member: a round keeps what it began with, the next one
//! has what is there then, and a broken file is named while rounds go on.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use fedshield_tests::{Federation, Program, Terms, Work, eventually};
use fedshieldd::control::api::{NodeStatus, Severity};
use fedshieldd::learning::DATA_CONDITION;

/// As somebody's editor or `cp` leaves it, a while ago.
fn write(path: &Path, text: &str) {
    let next = path.with_extension("next");
    fs::write(&next, text).expect("the data can be written");
    let file = File::options().write(true).open(&next).expect("it opens");
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("a time can be set");
    fs::rename(next, path).expect("it can be renamed");
}

fn condition(status: Option<NodeStatus>) -> Option<(Severity, String)> {
    let conditions = status?.conditions;
    let found = conditions.into_iter().find(|condition| condition.name == DATA_CONDITION)?;
    Some((found.severity, found.message))
}

#[test]
fn a_broken_file_is_named_until_it_is_fixed_and_rounds_continue() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { members: 3, rounds: 1000, ..Terms::default() };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("train.jsonl");
    let shipped = fs::read_to_string(&Work::domains()[0]).expect("it reads");
    fs::write(&data, &shipped).expect("it can be written");
    let set = format!("data.train={}", data.display());
    let mut federation = Federation::found_with(&program, &terms, |member| match member {
        0 => vec![set.clone()],
        _ => Vec::new(),
    });
    // Its examples are in memory once it takes part.
    federation.wait_until("a round ends", |daemons| !daemons[0].rounds().is_empty());
    let lines = shipped.lines().count();
    write(&data, &(shipped.clone() + "{\"instruction\": \"half a li"));
    let status = |federation: &Federation| federation.daemons[0].status();
    let names_the_line = |(severity, message): (Severity, String)| {
        severity == Severity::Warning && message.contains(&format!("train.jsonl:{}:", lines + 1))
    };
    let is_named = || condition(status(&federation)).is_some_and(names_the_line);
    assert!(eventually(is_named), "{:?}", status(&federation));
    let home = federation.daemons[0].home.clone();
    let doctor = program.run(&home, ["doctor"]);
    assert!((doctor.out + &doctor.err).contains(DATA_CONDITION));
    let ended = federation.daemons[0].rounds().len();
    let goes_on = || federation.daemons[0].rounds().len() > ended + 1;
    assert!(eventually(goes_on), "no round ends any more");
    let more =
        shipped.lines().last().expect("it has lines").replace("\"output\":\"", "\"output\":\"x");
    write(&data, &(shipped + &more + "\n"));
    assert!(eventually(|| condition(status(&federation)).is_none()), "it does not end");
    assert!(
        federation.daemons[0].log().contains("1 line more, 0 fewer"),
        "the log says what is new"
    );
}

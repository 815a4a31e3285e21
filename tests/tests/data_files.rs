//! Data files that change under a running member: a round keeps what it began with, the next one
//! has what is there then, and a broken file is named while rounds go on.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use fedshield_tests::{Federation, Program, Terms, Work, eventually};
use fedshieldd::control::api::{NodeStatus, Severity};
use fedshieldd::learning::{DATA_CONDITION, SKIPPED_CONDITION};

/// As somebody's editor or `cp` leaves it, a while ago.
fn write(path: &Path, text: &str) {
    let next = path.with_extension("next");
    fs::write(&next, text).expect("the data can be written");
    let file = File::options().write(true).open(&next).expect("it opens");
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("a time can be set");
    fs::rename(next, path).expect("it can be renamed");
}

fn condition(status: Option<NodeStatus>, name: &str) -> Option<(Severity, String)> {
    let conditions = status?.conditions;
    let found = conditions.into_iter().find(|condition| condition.name == name)?;
    Some((found.severity, found.message))
}

/// Whether the first member's log has `words` before long: a thread of its own writes the log, so
/// that a line may come after the status that it explains.
fn is_logged(federation: &mut Federation, words: &str) -> bool {
    eventually(|| federation.daemons[0].log().contains(words))
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
    let is_named = || condition(status(&federation), DATA_CONDITION).is_some_and(names_the_line);
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
    let has_ended = || condition(status(&federation), DATA_CONDITION).is_none();
    assert!(eventually(has_ended), "it does not end");
    assert!(is_logged(&mut federation, "1 line more, 0 fewer"), "the log says what is new");
}

#[test]
fn lines_that_are_left_out_are_named_until_they_are_fixed() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { members: 3, rounds: 1000, ..Terms::default() };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("train.jsonl");
    let shipped = fs::read_to_string(&Work::domains()[0]).expect("it reads");
    let lines = shipped.lines().count();
    // More than are listed.
    let bad: String =
        (0..12).map(|at| format!("{{\"instruction\":\"Question {at}\"}}\n")).collect();
    write(&data, &(shipped.clone() + &bad));
    let set = [format!("data.train={}", data.display()), "data.on_bad_line=skip".to_owned()];
    let mut federation = Federation::found_with(&program, &terms, |member| match member {
        0 => set.to_vec(),
        _ => Vec::new(),
    });
    federation.wait_until("a round ends", |daemons| !daemons[0].rounds().is_empty());
    let skipped = |federation: &Federation, member: usize| {
        condition(federation.daemons[member].status(), SKIPPED_CONDITION)
    };
    let (severity, message) = skipped(&federation, 0).expect("the condition is there");
    assert_eq!(severity, Severity::Notice);
    assert!(message.starts_with("12 lines of the data files"), "{message}");
    for at in 1..=10 {
        assert!(message.contains(&format!("train.jsonl:{}: ", lines + at)), "{message}");
    }
    assert!(!message.contains(&format!("train.jsonl:{}: ", lines + 11)), "{message}");
    assert_eq!(skipped(&federation, 1), None, "a member without such lines");
    let home = federation.daemons[0].home.clone();
    let shown = program.run(&home, ["status"]);
    assert!(shown.out.contains("12 lines of the data files"), "{}{}", shown.out, shown.err);
    // One of them is fixed: it is an example more, and the others are named.
    let fixed = |count: usize| {
        let answer = |(at, line): (usize, &str)| match at < count {
            true => line.replace('}', ",\"output\":\"An answer.\"}") + "\n",
            false => line.to_owned() + "\n",
        };
        shipped.clone() + &bad.lines().enumerate().map(answer).collect::<String>()
    };
    write(&data, &fixed(1));
    let is_fewer = || {
        let names = |message: &str| {
            message.starts_with("11 lines of") && message.contains(&format!(":{}: ", lines + 11))
        };
        skipped(&federation, 0).is_some_and(|(_, message)| names(&message))
    };
    assert!(eventually(is_fewer), "{:?}", skipped(&federation, 0));
    write(&data, &fixed(12));
    assert!(eventually(|| skipped(&federation, 0).is_none()), "it does not end");
    assert!(is_logged(&mut federation, "11 lines more, 0 fewer"), "the log says what is new");
}

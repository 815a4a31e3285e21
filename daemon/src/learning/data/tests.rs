//! What happens to the examples when their files change under a running member.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use fedshield_train::Valid;
use fedshield_train::data::{OnBadLine, Reading};
use fedshield_train::text::Template;

use super::*;

fn tokenizer() -> TextTokenizer {
    let json = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [{"id": 2, "content": "e", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true}],
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "u", "vocab": {"u": 0, "a": 1, "e": 2}},
    });
    TextTokenizer::from_bytes(json.to_string().as_bytes(), None, vec![2]).unwrap()
}

fn line(index: usize) -> String {
    format!("{{\"prompt\": \"question {index}\", \"completion\": \"a a\"}}\n")
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(line).collect()
}

/// Writes a file with a modification time long ago.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    age(path);
}

fn age(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - 10 * QUIET).unwrap();
}

struct Bench {
    folder: tempfile::TempDir,
    files: DataFiles,
}

fn bench(text: &str, held_out: Option<&str>) -> Bench {
    bench_with(text, held_out, OnBadLine::Stop)
}

/// Fifty examples and `more`.
fn bench_that(more: &str, on_bad_line: OnBadLine) -> Bench {
    bench_with(&(lines(0..50) + more), None, on_bad_line)
}

fn bench_with(text: &str, held_out: Option<&str>, on_bad_line: OnBadLine) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let named = |name: &str, text: &str| {
        let path = folder.path().join(name);
        write(&path, text);
        path
    };
    let sources = DataSources {
        train: vec![named("train.jsonl", text)],
        held_out: held_out.map(|text| named("held.jsonl", text)).into_iter().collect(),
        test: Vec::new(),
        tokenizer: tokenizer(),
        settings: Valid::new(DataSettings {
            template: Template::Alpaca,
            max_length: 64,
            held_out: 0.2,
            reading: Reading { on_bad_line, ..Reading::default() },
            spill: Some(folder.path().to_owned()),
            ..DataSettings::default()
        })
        .unwrap(),
    };
    let files = DataFiles::open(sources).unwrap();
    Bench { folder, files }
}

impl Bench {
    fn train(&self) -> std::path::PathBuf {
        self.folder.path().join("train.jsonl")
    }

    fn questions(&self, side: impl Fn(&DataSet) -> &Vec<TokenizedExample>) -> Vec<String> {
        let current = self.files.current();
        let of =
            |example: &TokenizedExample| example.example().unwrap().turns()[0].said().to_owned();
        side(&current.set).iter().map(of).collect()
    }
}

fn problem(look: &DataLook) -> &str {
    match look {
        DataLook::Unreadable { problem, .. } => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_that_come_and_go_are_used_and_counted_and_each_keeps_its_side() {
    let bench = bench(&lines(0..200), None);
    assert_eq!(bench.files.look(Look::WhenQuiet), DataLook::Unchanged);
    let before = bench.files.current();
    let held_out = bench.questions(|set| &set.held_out);
    assert!(held_out.len() > 10, "{}", held_out.len());
    // Twelve more in front, three fewer, and all the others in another order.
    let mut changed: Vec<String> = (3..212).map(line).collect();
    changed.reverse();
    write(&bench.train(), &changed.concat());
    let look = bench.files.look(Look::WhenQuiet);
    let DataLook::Changed { more, fewer, train, held_out: apart } = look else {
        panic!("{look:?}");
    };
    assert_eq!((more, fewer, train + apart), (12, 3, 209));
    let now_trained = bench.questions(|set| &set.train);
    for question in &held_out {
        assert!(!now_trained.contains(question), "{question} has changed sides");
    }
    // A round that began before keeps its examples.
    assert_eq!(before.set.train.len() + before.set.held_out.len(), 200);
    assert_eq!(bench.files.look(Look::WhenQuiet), DataLook::Unchanged);
}

#[test]
fn broken_files_change_nothing_and_are_named_until_they_are_fixed() {
    let good = lines(0..50);
    let bench = bench(&good, None);
    let trained = bench.questions(|set| &set.train);
    let path = bench.train();
    let broken = |text: &str, expected: &str| {
        write(&path, text);
        for _ in 0..2 {
            let look = bench.files.look(Look::WhenQuiet);
            assert!(problem(&look).contains(expected), "{look:?}");
            assert!(look.condition().unwrap().message.contains(expected));
        }
        assert_eq!(bench.questions(|set| &set.train), trained);
    };
    broken(&(good.clone() + "{\"prompt\": \"x\"}\n" + &line(60)), "train.jsonl:51: no field");
    broken(&(good.clone() + &line(60)[..20]), "train.jsonl:51: not valid JSON");
    broken(&(good.clone() + &line(60)[..20]), "is it still being written?");
    broken("", "train.jsonl:0: the file has no examples");
    broken("\n\n", "no examples");
    fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        let look = bench.files.look(Look::WhenQuiet);
        assert!(problem(&look).contains("train.jsonl: No such file"), "{look:?}");
    }
    fs::create_dir(&path).unwrap();
    let look = bench.files.look(Look::WhenQuiet);
    assert!(problem(&look).contains("not a regular file"), "{look:?}");
    fs::remove_dir(&path).unwrap();
    // Restored to what it was: nothing has changed, and the condition ends.
    write(&path, &good);
    let look = bench.files.look(Look::WhenQuiet);
    assert_eq!((&look, look.condition()), (&DataLook::Unchanged, None));
    write(&path, &(good + &line(60)));
    let look = bench.files.look(Look::WhenQuiet);
    assert!(matches!(look, DataLook::Changed { more: 1, fewer: 0, .. }), "{look:?}");
}

#[test]
fn a_file_that_is_being_written_is_left_for_later_unless_a_person_asks() {
    let bench = bench(&lines(0..50), None);
    let path = bench.train();
    // Two writes just now.
    for end in [30, 60] {
        fs::write(&path, lines(0..end)).unwrap();
        assert_eq!(bench.files.look(Look::WhenQuiet), DataLook::Busy);
    }
    let look = bench.files.look(Look::Now);
    assert!(matches!(look, DataLook::Changed { more: 10, fewer: 0, .. }), "{look:?}");
    // The same length at the same moment: metadata alone would not show the change.
    fs::write(&path, lines(0..60).replace("question 7", "question x")).unwrap();
    let look = bench.files.look(Look::Now);
    assert!(matches!(look, DataLook::Changed { .. }), "{look:?}");
    // The same content at another time is no change.
    age(&path);
    assert_eq!(bench.files.look(Look::WhenQuiet), DataLook::Unchanged);
}

#[test]
fn another_file_in_its_place_is_seen_whatever_its_time_and_length() {
    let bench = bench(&lines(0..50), None);
    let path = bench.train();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let next = bench.folder.path().join("next");
    fs::write(&next, lines(0..50).replace("question 7", "question x")).unwrap();
    File::options().write(true).open(&next).unwrap().set_modified(modified).unwrap();
    fs::rename(&next, &path).unwrap();
    let look = bench.files.look(Look::WhenQuiet);
    assert!(matches!(look, DataLook::Changed { more: 1, fewer: 1, .. }), "{look:?}");
}

#[test]
fn held_out_files_are_looked_at_too_and_never_trained_on() {
    let bench = bench(&lines(0..50), Some(&lines(50..60)));
    assert_eq!(bench.questions(|set| &set.held_out).len(), 10);
    assert_eq!(bench.questions(|set| &set.train).len(), 50);
    let path = bench.folder.path().join("held.jsonl");
    write(&path, "{}\n");
    let look = bench.files.look(Look::WhenQuiet);
    assert!(problem(&look).contains("held.jsonl:1:"), "{look:?}");
    write(&path, &lines(50..64));
    let look = bench.files.look(Look::WhenQuiet);
    let expected = DataLook::Changed { more: 4, fewer: 0, train: 50, held_out: 14 };
    assert_eq!(look, expected);
}

#[test]
fn a_line_that_moves_between_the_files_changes_its_side() {
    let bench = bench(&lines(0..50), Some(&lines(50..60)));
    // Together the files hold the same lines as before.
    write(&bench.train(), &lines(1..51));
    write(&bench.folder.path().join("held.jsonl"), &(line(0) + &lines(51..60)));
    let look = bench.files.look(Look::WhenQuiet);
    let expected = DataLook::Changed { more: 2, fewer: 2, train: 50, held_out: 10 };
    assert_eq!(look, expected);
    assert!(bench.questions(|set| &set.held_out).contains(&"question 0".to_owned()));
}

#[test]
fn lines_that_are_left_out_are_told_until_they_are_mended_or_gone() {
    let bench = bench_that("a line\n", OnBadLine::Skip);
    let condition = || bench.files.current().skipped().map(|it| (it.name, it.message));
    let told = |count: &str, lines: &[usize]| {
        let (name, message) = condition().expect("it is told");
        assert_eq!(name, SKIPPED_CONDITION);
        assert!(message.starts_with(count), "{message}");
        for line in lines {
            assert!(message.contains(&format!("train.jsonl:{line}: ")), "{message}");
        }
    };
    told("1 line of the data files cannot be used", &[51]);
    // One more, and nothing else.
    write(&bench.train(), &(lines(0..50) + "a line\n{\"prompt\": 1}\n"));
    assert!(matches!(bench.files.look(Look::WhenQuiet), DataLook::Changed { more: 0, .. }));
    told("2 lines", &[51, 52]);
    write(&bench.train(), &(lines(0..50) + &"{}\n".repeat(12)));
    bench.files.look(Look::WhenQuiet);
    told("12 lines of the data files cannot be used and are left out, the first", &[51, 60]);
    assert!(!condition().unwrap().1.contains("jsonl:61"), "ten are named");
    // Mended.
    write(&bench.train(), &lines(0..51));
    assert!(matches!(bench.files.look(Look::WhenQuiet), DataLook::Changed { more: 1, .. }));
    assert_eq!(condition(), None);
    // Deleted.
    write(&bench.train(), &(lines(0..51) + "{}\n"));
    bench.files.look(Look::WhenQuiet);
    told("1 line", &[52]);
    write(&bench.train(), &lines(0..51));
    bench.files.look(Look::WhenQuiet);
    assert_eq!(condition(), None);
    assert_eq!(bench.files.look(Look::WhenQuiet), DataLook::Unchanged);
}

#[test]
fn data_of_which_nothing_can_be_used_is_refused_by_name() {
    let long = "a ".repeat(100);
    let useless = format!("{{\"prompt\": \"{long}\", \"completion\": \"a\"}}\n");
    let bench = bench(&lines(0..50), Some(&lines(50..60)));
    for (name, expected) in
        [("train.jsonl", "no example to train on: 1 lost"), ("held.jsonl", "no held-out example")]
    {
        let path = bench.folder.path().join(name);
        let before = fs::read_to_string(&path).unwrap();
        write(&path, &useless);
        let look = bench.files.look(Look::WhenQuiet);
        assert!(problem(&look).contains(expected), "{look:?}");
        assert!(problem(&look).contains(name), "{look:?}");
        write(&path, &before);
    }
    assert_eq!(bench.files.look(Look::WhenQuiet), DataLook::Unchanged);
}

#[test]
fn a_file_that_may_be_read_again_is() {
    let bench = bench(&lines(0..50), None);
    let path = bench.train();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let look = bench.files.look(Look::WhenQuiet);
    // Root can read it anyway.
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!(matches!(look, DataLook::Unreadable { .. }), !is_root, "{look:?}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(bench.files.look(Look::WhenQuiet), DataLook::Unchanged);
}

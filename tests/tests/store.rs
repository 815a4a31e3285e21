//! Damage in the files of finished rounds: it is named and put aside, and missing records come
//! from the others by themselves. Commands that only read change nothing.
//! `daemon/src/store/ledger/tests.rs` has many more places.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fedshield_protocol::ledger::record_digest;
use fedshield_protocol::wire::CertifiedRecord;
use fedshield_tests::{Daemon, Federation, Program, Terms};
use fedshieldd::control::api::NodeState;
use fedshieldd::home::Home;

/// A name, whether the operator must hear of it, and what it does to a home.
type Damage = (&'static str, bool, fn(&Home));

const DAMAGES: &[Damage] = &[
    ("a byte in the middle of the ledger", true, |home| flip(&home.ledger(), 1, 2)),
    ("a byte of the ledger's first record", true, |home| flip(&home.ledger(), 1, 20)),
    ("the first byte of the ledger", true, |home| flip(&home.ledger(), 0, 1)),
    ("the ledger cut off", false, |home| cut(&home.ledger())),
    ("the ledger overwritten", true, |home| overwrite(&home.ledger())),
    ("the ledger emptied", true, |home| fs::write(home.ledger(), b"").expect("it is there")),
    ("the ledger removed", false, |home| fs::remove_file(home.ledger()).expect("it is there")),
    ("a byte in the middle of the reports", true, |home| flip(&home.reports(), 1, 2)),
    ("the reports removed", false, |home| fs::remove_file(home.reports()).expect("it is there")),
    ("the index damaged", false, |home| overwrite(&home.index().join("db"))),
    ("the index's settings overwritten", false, |home| overwrite(&home.index().join("conf"))),
    ("a file in place of the index", false, |home| {
        fs::remove_dir_all(home.index()).expect("it is there");
        fs::write(home.index(), b"a file").expect("it can be written");
    }),
];

fn length(path: &Path) -> u64 {
    fs::metadata(path).expect("it is there").len()
}

fn flip(path: &Path, part: u64, of: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("it is there");
    let at = length(path) * part / of;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("it can be read");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("it can be written");
}

fn cut(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("it is there");
    file.set_len(length(path) * 2 / 3).expect("it can be cut");
}

fn overwrite(path: &Path) {
    let garbage = vec![0xa5; usize::try_from(length(path)).expect("it is small")];
    fs::write(path, garbage).expect("it can be written");
}

/// What is signed: which signatures a member holds for it differs.
fn digests(records: &[CertifiedRecord]) -> Vec<[u8; 32]> {
    records.iter().map(|certified| *record_digest(&certified.record).as_bytes()).collect()
}

fn stop(program: &Program, daemon: &mut Daemon) {
    program.run(&daemon.home, ["stop"]).ok();
    daemon.wait();
}

/// Every file with its bytes and the time of its last change, folders included.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("it can be read").flatten() {
        let (path, metadata) = (entry.path(), entry.metadata().expect("it is there"));
        let bytes = if metadata.is_file() { fs::read(&path).expect("it is there") } else { vec![] };
        files.insert(path.clone(), (bytes, metadata.modified().expect("it has a time")));
        if metadata.is_dir() {
            files.extend(tree(&path));
        }
    }
    files
}

#[test]
fn what_is_damaged_comes_back_from_the_others_and_looking_changes_nothing() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let mut federation = Federation::found(&program, &Terms { rounds: 3, ..Terms::default() });
    federation.wait_until_done();
    let place = federation.daemons[1].home.clone();
    let home = Home::new(&place);
    let good = digests(&federation.daemons[0].ledger());
    for (what, is_told, damage) in DAMAGES {
        stop(&program, &mut federation.daemons[1]);
        damage(&home);

        // With the daemon stopped and the damage in place, everything that only reads leaves the
        // home as it is.
        let before = tree(&place);
        let out = federation.folder().join("out").display().to_string();
        for command in [
            &["rounds"][..],
            &["rounds", "--json"],
            &["ledger", "verify"],
            &["ledger", "export", &out],
            &["adapter", "export", &out],
            &["members"],
            &["config", "check"],
            &["status"],
        ] {
            // Some of them have nothing to show any more, or need the daemon: that is no reason to
            // write.
            let ran = program.run(&place, command);
            assert!(!ran.err.contains("panicked"), "{what}: {command:?}: {}", ran.err);
            assert_eq!(tree(&place), before, "{what}: {command:?} changed the home");
        }

        federation.restart(1);
        federation.wait_until(what, |daemons| {
            let done = daemons[1].status().is_some_and(|status| status.state == NodeState::Done);
            done && digests(&daemons[1].ledger()) == good
        });
        program.run(&place, ["ledger", "verify"]).ok();
        let status = federation.daemons[1].status().expect("it answers");
        let told = status.conditions.iter().any(|condition| condition.name == "files-damaged");
        assert_eq!(told, *is_told, "{what}: {:?}", status.conditions);
        eprintln!("{what}: {} records are back", good.len());
    }
    // The damaged files are still there for whoever wants to look at them.
    let names = fs::read_dir(&place).expect("it can be read").flatten();
    let aside = names.filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-"));
    assert!(aside.count() >= DAMAGES.iter().filter(|damage| damage.1).count());
}

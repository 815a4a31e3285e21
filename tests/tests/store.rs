//! A damaged store: every kind of damage is noticed at the start, named, and mended with `--rebuild-store`.
//! `daemon/tests/store_damage.rs` measures many more places on the store alone.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use fedshield_protocol::ledger::record_digest;
use fedshield_protocol::record::CertifiedRecord;
use fedshield_tests::{Daemon, Federation, Program, Terms};
use fedshieldd::control::api::{ErrorCode, NodeState};
use fedshieldd::home::Home;

/// Longest wait for a daemon that must not start.
const LIMIT: Duration = Duration::from_secs(120);

/// A name and what it does to a store's folder.
type Damage = (&'static str, fn(&Path));

/// Damage after which the daemon must not start.
const DAMAGES: &[Damage] = &[
    ("a byte in the middle of db", |store| flip(&store.join("db"), 1, 2)),
    ("a byte at the end of db", |store| flip(&store.join("db"), 99, 100)),
    ("db cut off", |store| {
        let db = OpenOptions::new().write(true).open(store.join("db")).expect("db is there");
        db.set_len(used(&store.join("db")) * 2 / 3).expect("it can be cut");
    }),
    ("db overwritten", |store| {
        let length = fs::metadata(store.join("db")).expect("db is there").len();
        let garbage = vec![0xa5; usize::try_from(length).expect("it is small")];
        fs::write(store.join("db"), garbage).expect("it can be written");
    }),
    ("db emptied", |store| fs::write(store.join("db"), b"").expect("it can be written")),
    ("db removed", |store| fs::remove_file(store.join("db")).expect("it can be removed")),
    ("conf overwritten", |store| {
        fs::write(store.join("conf"), b"this is no configuration").expect("it can be written");
    }),
    ("db gone and its snapshots damaged", |store| {
        fs::remove_file(store.join("db")).expect("it can be removed");
        for entry in fs::read_dir(store).expect("it is there").flatten() {
            if entry.file_name().to_string_lossy().starts_with("snap.") {
                fs::write(entry.path(), [0x5a; 80]).expect("it can be written");
            }
        }
    }),
    ("the seal damaged", |store| flip(&store.join("seal.fs"), 1, 2)),
    ("the seal removed", |store| {
        fs::remove_file(store.join("seal.fs")).expect("it can be removed");
    }),
    ("an older db with a newer seal", |store| {
        fs::copy(store.with_file_name("older").join("db"), store.join("db")).expect("both exist");
    }),
    ("a file in place of the folder", |store| {
        fs::remove_dir_all(store).expect("it can be removed");
        fs::write(store, b"garbage").expect("it can be written");
    }),
];

/// The part of a file before the zeros at its end: sled makes room in advance.
fn used(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("it is there");
    bytes.iter().rposition(|byte| *byte != 0).expect("it is not empty") as u64 + 1
}

fn flip(path: &Path, part: u64, of: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("it is there");
    let at = used(path) * part / of;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("it can be read");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("it can be written");
}

fn copy(from: &Path, to: &Path) {
    if to.is_dir() {
        fs::remove_dir_all(to).expect("it can be removed");
    } else if to.exists() {
        fs::remove_file(to).expect("it can be removed");
    }
    fs::create_dir(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}

fn stop(program: &Program, daemon: &mut Daemon) {
    program.run(&daemon.home, ["stop"]).ok();
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.tail());
}

fn digests(ledger: &[CertifiedRecord]) -> Vec<[u8; 32]> {
    ledger.iter().map(|certified| record_digest(&certified.record).0).collect()
}

#[test]
fn a_damaged_store_is_refused_and_comes_back_from_the_others() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let service = Program::new(env!("CARGO_BIN_EXE_fedshield-node"));
    let mut federation = Federation::found(&program, &Terms { rounds: 2, ..Terms::default() });
    federation.wait_until("a round has ended", |daemons| !daemons[1].ledger().is_empty());
    let home = federation.daemons[1].home.clone();
    let store = Home::new(&home).store();
    let older = store.with_file_name("older");
    // Stopped after one round of two, it has an older store to mix with the newer one.
    stop(&program, &mut federation.daemons[1]);
    copy(&store, &older);
    federation.restart(1);
    federation.wait_until_done();
    let good = digests(&federation.daemons[0].ledger());
    assert_eq!(good, digests(&federation.daemons[1].ledger()));
    stop(&program, &mut federation.daemons[1]);
    let whole = store.with_file_name("whole");
    copy(&store, &whole);

    for (name, damage) in DAMAGES {
        copy(&whole, &store);
        damage(&store);
        for as_service in [false, true] {
            let mut daemon = match as_service {
                false => Daemon::start(&program, &home),
                true => Daemon::start_service(&service, &home, &[]),
            };
            let code = daemon.wait_within(LIMIT);
            let log = daemon.log();
            eprintln!("{name}: exit {code:?}, {}", log.lines().last().unwrap_or_default());
            assert_eq!(
                code,
                Some(i32::from(ErrorCode::StoreCorrupted.exit_code())),
                "{name}: {log}"
            );
            let said = log.contains("store") && log.contains("--rebuild-store");
            assert!(said && !log.contains("panicked"), "{name}: {log}");
        }
    }
    // Refusing leaves the damage as it is, for whoever wants to look at it; the last one is a file.
    assert!(store.is_file());

    // Mended by the command line's daemon, then by the service's.
    federation.daemons[1] = Daemon::start_with_arguments(&program, &home, &["--rebuild-store"]);
    comes_back(&mut federation, &good);
    stop(&program, &mut federation.daemons[1]);
    flip(&store.join("db"), 1, 2);
    federation.daemons[1] = Daemon::start_service(&service, &home, &["--rebuild-store"]);
    comes_back(&mut federation, &good);
    stop(&program, &mut federation.daemons[1]);

    // Without the option from now on, and the damaged folders are still there.
    federation.restart(1);
    federation.wait_until_done();
    assert_eq!(digests(&federation.daemons[1].ledger()), good);
    program.run(&home, ["ledger", "verify"]).ok();
    let names = fs::read_dir(&home).expect("it can be read").flatten();
    let aside = names.filter(|entry| entry.file_name().to_string_lossy().contains("damaged"));
    assert_eq!(aside.count(), 2);
}

fn comes_back(federation: &mut Federation, good: &[[u8; 32]]) {
    federation.wait_until("the records come back", |daemons| {
        let done = daemons[1].status().is_some_and(|status| status.state == NodeState::Done);
        done && digests(&daemons[1].ledger()) == good
    });
}

/// What another process holds is not put aside.
#[test]
fn a_running_daemons_store_stays_where_it_is() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let home = folder.path().join("node");
    let data = &fedshield_tests::Work::domains()[0];
    fedshield_tests::make_home(&program, &home, "node", data);
    let mut daemon = Daemon::start(&program, &home);
    daemon.wait_for_log(&["listening"], LIMIT);
    let store = Home::new(&home).store();
    let before = File::open(store.join("db")).expect("it is there");
    program
        .run(&home, ["daemon", "--rebuild-store"])
        .fails(ErrorCode::AddressInUse.exit_code(), &["another daemon"]);
    let after = File::open(store.join("db")).expect("it is there");
    use std::os::unix::fs::MetadataExt;
    let inode = |file: &File| file.metadata().expect("it is there").ino();
    assert_eq!(inode(&before), inode(&after));
}

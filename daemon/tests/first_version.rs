//! Homes of the first version are read completely, and reading changes nothing in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fedshield_protocol::ids::Round;
use fedshield_protocol::ledger::{decode, verify};
use fedshield_protocol::manifest::SignedManifest;
use fedshield_protocol::wire::Record;
use fedshieldd::home::Home;
use fedshieldd::offline::OfflineHome;
use fedshieldd::store::{Ledger, Opened};

fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/homes").join(name)
}

/// The signed part of a record; the signatures and certificates beside it differ among members.
fn records(bytes: &[u8]) -> Vec<Record> {
    decode(bytes).unwrap().into_iter().map(|certified| certified.record).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Every file with its bytes and its time of change.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(tree(&entry.path()));
        } else {
            let changed = entry.metadata().unwrap().modified().unwrap();
            files.insert(entry.path(), (fs::read(entry.path()).unwrap(), changed));
        }
    }
    files
}

#[test]
fn a_stored_home_is_read_and_moved_whole() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("home"));
    let source = stored("first-version");
    copy(&source.join("store"), &home.store());
    // What another member exported.
    let expected = records(&fs::read(source.join("ledger.fsl")).unwrap());
    assert_eq!(expected.len(), 60);

    let before = tree(home.path());
    let stopped = OfflineHome::open(&home).unwrap().unwrap();
    let bytes = stopped.ledger().unwrap();
    assert!(records(&bytes) == expected);
    assert_eq!(stopped.rounds().unwrap().len(), 60);
    drop(stopped);
    assert_eq!(tree(home.path()), before, "looking changed the home");

    let manifest = fs::read(source.join("manifest.signed")).unwrap();
    let manifest = SignedManifest::decode(&manifest).unwrap();
    for start in 0..3 {
        let Opened { ledger, repairs, remarks } = Ledger::open(&home).unwrap();
        assert_eq!(repairs, []);
        assert_eq!(remarks.len(), usize::from(start == 0), "{remarks:?}");
        assert!(ledger.bytes().unwrap() == bytes);
        assert_eq!(ledger.reports().unwrap().len(), 60);
        assert_eq!(ledger.report(Round(59)).unwrap().unwrap().round, Round(59));
        assert!(ledger.held_out().is_some());
        verify(&manifest, &ledger.records().unwrap()).unwrap();
    }
    // The old files are kept.
    let kept: Vec<_> = fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("store.v1-"))
        .collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(fs::read(kept[0].join("db")).unwrap(), before[&home.store().join("db")].0);
}

/// The first version found no row in it from its second start on.
#[test]
fn a_store_whose_segments_were_used_again_is_read_with_its_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    copy(&stored("reopened").join("store"), &home.store());
    let Opened { ledger, remarks, .. } = Ledger::open(&home).unwrap();
    assert!(!remarks[0].contains("could not be read"), "{remarks:?}");
    let rows = ledger.count() as usize + ledger.reports().unwrap().len();
    assert!(rows >= 200, "{rows} of 222 rows");
}

#[test]
fn what_cannot_be_read_of_an_old_store_is_counted_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    copy(&stored("first-version").join("store"), &home.store());
    let length = fs::metadata(home.store().join("db")).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(home.store().join("db")).unwrap();
    file.set_len(length / 2).unwrap();
    let Opened { ledger, remarks, .. } = Ledger::open(&home).unwrap();
    assert!(remarks[0].contains("rows could not be read"), "{remarks:?}");
    assert!(ledger.count() < 60);
    let left = records(&ledger.bytes().unwrap());
    let expected = records(&fs::read(stored("first-version").join("ledger.fsl")).unwrap());
    assert!(left == expected[..left.len()]);
}

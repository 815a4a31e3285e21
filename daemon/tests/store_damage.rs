//! Damage inside the store's files, at many places: it is always named, or it hit what no row lies in. Never a panic,
//! never a row that is wrong or gone without a word. `--nocapture` shows how much of it was named.
#![allow(clippy::print_stdout, reason = "a test shows what it found")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use fedshieldd::store::{SledStore, Store, StoreError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Three of sled's segments (512 KiB): sled reads the last one when it opens and the others when a row is asked for.
const ROWS: u64 = 40;
const ROW_BYTES: usize = 40_000;
/// Places for each kind of damage.
const PLACES: usize = 30;

fn key(row: u64) -> Vec<u8> {
    [b"record/".as_slice(), &row.to_be_bytes()].concat()
}

fn value(row: u64) -> Vec<u8> {
    (0..ROW_BYTES).map(|byte| (row as usize * 31 + byte * 7) as u8).collect()
}

fn fill(folder: &Path, rows: u64) {
    let store = SledStore::open(folder).unwrap();
    for row in 0..rows {
        store.put(&key(row), &value(row)).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// What the damaged store is like; panics if it is neither refused as corrupted nor whole.
fn outcome(folder: &Path, rows: u64) -> &'static str {
    match SledStore::open(folder) {
        Err(StoreError::Corrupted { reason, .. }) => {
            assert!(!reason.is_empty() && !reason.contains('\n'), "{reason:?}");
            "corrupted"
        }
        Err(other) => panic!("named otherwise: {other:?}"),
        Ok(store) => {
            for row in 0..rows {
                assert_eq!(store.get(&key(row)).unwrap(), Some(value(row)), "row {row}");
            }
            assert_eq!(store.scan(b"record/").unwrap().len() as u64, rows);
            store.put(b"note/after", b"works").unwrap();
            "whole"
        }
    }
}

fn sweep(rows: u64, file: &str, damage: impl Fn(&Path, u64, &mut ChaCha8Rng)) -> [usize; 2] {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    fill(&good, rows);
    let length = fs::metadata(good.join(file)).unwrap().len();
    let mut rng = ChaCha8Rng::seed_from_u64(rows);
    let mut seen = BTreeMap::from([("corrupted", 0), ("whole", 0)]);
    for place in 0..PLACES {
        let work = folder.path().join(place.to_string());
        copy(&good, &work);
        damage(&work.join(file), length, &mut rng);
        *seen.get_mut(outcome(&work, rows)).unwrap() += 1;
        fs::remove_dir_all(&work).unwrap();
    }
    [seen["corrupted"], seen["whole"]]
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

fn flip(path: &Path, length: u64, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..length);
    let byte = fs::read(path).unwrap()[at as usize];
    write_at(path, at, &[byte ^ (1 << rng.random_range(0..8))]);
}

fn overwrite(path: &Path, length: u64, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..length.saturating_sub(4096).max(1));
    write_at(path, at, &[0xa5; 4096]);
}

fn zero(path: &Path, length: u64, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..length.saturating_sub(4096).max(1));
    write_at(path, at, &[0; 4096]);
}

fn cut(path: &Path, length: u64, rng: &mut ChaCha8Rng) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(rng.random_range(0..length)).unwrap();
}

#[test]
fn a_small_store() {
    for (name, damage) in [
        ("flip", flip as fn(&Path, u64, &mut ChaCha8Rng)),
        ("overwrite", overwrite),
        ("zero", zero),
        ("cut", cut),
    ] {
        let [corrupted, whole] = sweep(3, "db", damage);
        println!("small, {name}: {corrupted} corrupted, {whole} whole");
        assert!(corrupted > 0);
    }
}

#[test]
fn a_store_of_several_segments() {
    for (name, damage) in [
        ("flip", flip as fn(&Path, u64, &mut ChaCha8Rng)),
        ("overwrite", overwrite),
        ("zero", zero),
        ("cut", cut),
    ] {
        let [corrupted, whole] = sweep(ROWS, "db", damage);
        println!("segments, {name}: {corrupted} corrupted, {whole} whole");
        assert!(corrupted > 0);
    }
}

#[test]
fn its_other_files() {
    let [corrupted, whole] = sweep(3, "conf", flip);
    println!("conf, flip: {corrupted} corrupted, {whole} whole");
    let [corrupted, whole] = sweep(3, "seal.fs", flip);
    assert_eq!((corrupted, whole), (PLACES, 0));
    // What sled writes when it is closed in good order, to open faster.
    let [corrupted, whole] = sweep(3, "db", |db, _, rng| {
        for entry in fs::read_dir(db.parent().unwrap()).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with("snap.") {
                let length = entry.metadata().unwrap().len();
                flip(&entry.path(), length, rng);
            }
        }
    });
    assert_eq!((corrupted, whole), (0, PLACES), "snapshots are not needed");
    // What a full disk leaves behind.
    let [corrupted, whole] = sweep(3, "db", |db, _, _| {
        fs::write(db.with_file_name("snap.00000000000FFFFF.generating"), b"").unwrap();
        fs::write(db.with_file_name("snap.00000000000FFFFF"), b"").unwrap();
    });
    assert_eq!((corrupted, whole), (0, PLACES));
}

/// Every write is known to have happened: the store as it was before the last one is not taken for the present one.
#[test]
fn an_older_state_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (now, before) = (folder.path().join("now"), folder.path().join("before"));
    fill(&now, 3);
    copy(&now, &before);
    let store = SledStore::open(&now).unwrap();
    store.put(&key(3), &value(3)).unwrap();
    drop(store);
    fs::copy(before.join("db"), now.join("db")).unwrap();
    let error = SledStore::open(&now).unwrap_err().to_string();
    assert!(error.contains("4 rows are there, 5 were written"), "{error}");
    // The seal of the state before the write fits as well: that is what a crash in the middle of it leaves.
    fs::copy(before.join("seal.fs"), now.join("seal.fs")).unwrap();
    assert_eq!(outcome(&now, 3), "whole");
}

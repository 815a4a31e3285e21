//! The journal file with torn and damaged entries of every kind.

use std::fs;

use proptest::prelude::*;

use super::*;

fn entries_of(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let (_, replay) = Journal::open(path).unwrap();
    replay.entries.into_iter().map(|entry| (entry.round.0, entry.bytes)).collect()
}

fn three(path: &Path) -> Vec<u64> {
    let (mut journal, _) = Journal::open(path).unwrap();
    let mut ends = vec![journal.end];
    for (round, body) in [(1, &b"one"[..]), (1, b""), (2, b"three")] {
        journal.append(Round(round), body).unwrap();
        ends.push(journal.end);
    }
    ends
}

#[test]
fn entries_come_back_in_order_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    three(&path);
    let all = vec![(1, b"one".to_vec()), (1, vec![]), (2, b"three".to_vec())];
    assert_eq!(entries_of(&path), all);
    let (mut journal, _) = Journal::open(&path).unwrap();
    journal.append(Round(3), b"four").unwrap();
    assert_eq!(entries_of(&path).len(), 4);
}

#[test]
fn a_crash_at_any_byte_of_an_append_loses_only_that_append() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    let ends = three(&path);
    let whole = fs::read(&path).unwrap();
    for cut in ends[0]..whole.len() as u64 {
        fs::write(&path, &whole[..cut as usize]).unwrap();
        let (mut journal, replay) = Journal::open(&path).unwrap();
        let complete = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!(replay.entries.len(), complete);
        assert_eq!(replay.torn.is_some(), !ends.contains(&cut));
        journal.append(Round(9), b"next").unwrap();
        assert_eq!(entries_of(&path).len(), complete + 1);
    }
}

#[test]
fn a_flipped_bit_before_the_last_entry_is_an_error_that_names_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    let ends = three(&path);
    let whole = fs::read(&path).unwrap();
    for index in ends[0]..ends[2] {
        let mut wrong = whole.clone();
        wrong[index as usize] ^= 0x10;
        fs::write(&path, &wrong).unwrap();
        let start = ends.iter().rev().find(|end| **end <= index).unwrap();
        match Journal::open(&path) {
            Err(JournalError::Damaged { offset, .. }) => assert_eq!(offset, *start),
            other => panic!("byte {index}: {other:?}"),
        }
        assert_eq!(fs::read(&path).unwrap(), wrong, "a damaged journal is left as it is");
    }
}

#[test]
fn truncation_keeps_the_later_rounds_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.log");
    three(&path);
    let (mut journal, _) = Journal::open(&path).unwrap();
    journal.truncate(Round(2)).unwrap();
    journal.append(Round(5), b"later").unwrap();
    assert_eq!(entries_of(&path), [(2, b"three".to_vec()), (5, b"later".to_vec())]);
    journal.truncate(Round(9)).unwrap();
    assert_eq!(journal.end, HEADER_BYTES as u64);
    assert!(matches!(
        journal.append(Round(1), &vec![0; MAX_ENTRY_BYTES + 1]),
        Err(JournalError::TooLarge { .. })
    ));
}

#[test]
fn an_entry_inside_another_body_is_not_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let (inner, outer) = (folder.path().join("a"), folder.path().join("b"));
    three(&inner);
    let (mut journal, _) = Journal::open(&outer).unwrap();
    journal.append(Round(1), &fs::read(&inner).unwrap()).unwrap();
    let mut torn = fs::read(&outer).unwrap();
    torn.pop();
    fs::write(&outer, torn).unwrap();
    assert!(Journal::open(&outer).unwrap().1.torn.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_file_is_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.log");
        fs::write(&path, &bytes).unwrap();
        let _ = Journal::open(&path);
        let mut headed = MAGIC.to_vec();
        headed.extend_from_slice(&bytes);
        fs::write(&path, &headed).unwrap();
        let _ = Journal::open(&path);
    }
}

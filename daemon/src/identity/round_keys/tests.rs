use super::*;

fn open(folder: &Path, vault: &AtRestKey) -> RoundKeys {
    RoundKeys::open(folder, vault.clone()).unwrap()
}

fn bytes(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join(FILE)).unwrap()
}

fn rounds(keys: &RoundKeys) -> Vec<u64> {
    let mut rounds: Vec<u64> = keys.rounds().unwrap().iter().map(|round| round.0).collect();
    rounds.sort_unstable();
    rounds
}

/// Runs `change`, and calls `check` with the state that a crash after each byte of it leaves, in a
/// folder of its own.
fn cut(
    prepare: &dyn Fn(&RoundKeys),
    change: &dyn Fn(&RoundKeys),
    check: &dyn Fn(&Path, &AtRestKey),
) {
    let folder = tempfile::tempdir().unwrap();
    let vault = AtRestKey::random().unwrap();
    let keys = open(folder.path(), &vault);
    prepare(&keys);
    let before = bytes(folder.path());
    change(&keys);
    let after = bytes(folder.path());
    assert_eq!(before.len(), after.len(), "the file is as long as ever");
    let torn = tempfile::tempdir().unwrap();
    // Only bytes that differ matter: the others are the same, whether written or not.
    let differ = (0..before.len()).filter(|at| before[*at] != after[*at]);
    for at in differ.chain([before.len()]) {
        let mix = [&after[..at], &before[at..]].concat();
        std::fs::write(torn.path().join(FILE), &mix).unwrap();
        check(torn.path(), &vault);
        // The disk may as well have written the end of the block first.
        let mix = [&before[..at], &after[at..]].concat();
        std::fs::write(torn.path().join(FILE), &mix).unwrap();
        check(torn.path(), &vault);
    }
}

#[test]
fn a_key_is_the_same_until_it_is_erased_and_another_after_that() {
    let folder = tempfile::tempdir().unwrap();
    let vault = AtRestKey::random().unwrap();
    let keys = open(folder.path(), &vault);
    assert!(keys.get(Round(7)).unwrap().is_none());
    let key = *keys.get_or_make(Round(7)).unwrap().as_bytes();
    assert_eq!(*keys.get_or_make(Round(7)).unwrap().as_bytes(), key);
    assert_eq!(open(folder.path(), &vault).get(Round(7)).unwrap().unwrap().as_bytes(), &key);
    keys.erase(|round| round <= Round(7)).unwrap();
    assert!(keys.get(Round(7)).unwrap().is_none());
    assert_eq!(bytes(folder.path()), vec![0; SLOTS * SLOT_BYTES], "nothing is left of it");
    assert_ne!(*keys.get_or_make(Round(7)).unwrap().as_bytes(), key);
    let other = RoundKeys::open(folder.path(), AtRestKey::random().unwrap()).unwrap();
    assert!(matches!(other.get(Round(7)), Err(SecretStoreError::Damaged { .. })));
}

#[test]
fn a_crash_while_a_key_is_erased_loses_no_other_and_the_next_start_finishes_it() {
    let prepare = |keys: &RoundKeys| {
        for round in [3, 4, 5] {
            keys.get_or_make(Round(round)).unwrap();
        }
    };
    cut(&prepare, &|keys| keys.erase(|round| round <= Round(4)).unwrap(), &|folder, vault| {
        let keys = open(folder, vault);
        assert!(rounds(&keys).contains(&5), "the wanted one is there");
        assert!(keys.get(Round(5)).unwrap().is_some());
        // As settling the round does again after the restart.
        keys.erase(|round| round <= Round(4)).unwrap();
        assert_eq!(rounds(&keys), [5]);
        let used = bytes(folder).iter().filter(|byte| **byte != 0).count();
        assert!(used <= USED_BYTES, "nothing is left of the others");
    });
}

#[test]
fn a_crash_while_a_key_is_made_loses_no_other_and_leaves_nothing_half_done() {
    let prepare = |keys: &RoundKeys| drop(keys.get_or_make(Round(3)).unwrap());
    cut(&prepare, &|keys| drop(keys.get_or_make(Round(4)).unwrap()), &|folder, vault| {
        let keys = open(folder, vault);
        let here = rounds(&keys);
        assert!(here == [3] || here == [3, 4], "{here:?}");
        keys.erase(|round| round != Round(3)).unwrap();
        let used = bytes(folder).iter().filter(|byte| **byte != 0).count();
        assert!(used <= USED_BYTES);
        assert!(keys.get_or_make(Round(4)).is_ok() && keys.get(Round(3)).unwrap().is_some());
    });
}

#[test]
fn there_is_room_for_so_many_rounds_and_what_is_not_a_file_of_keys_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let vault = AtRestKey::random().unwrap();
    let keys = open(folder.path(), &vault);
    for round in 0..SLOTS as u64 {
        keys.get_or_make(Round(round)).unwrap();
    }
    assert!(matches!(keys.get_or_make(Round(99)), Err(SecretStoreError::Slots { .. })));
    keys.erase(|round| round == Round(0)).unwrap();
    keys.get_or_make(Round(99)).unwrap();
    std::fs::write(folder.path().join(FILE), [0; 10]).unwrap();
    let wrong = RoundKeys::open(folder.path(), vault);
    assert!(matches!(wrong, Err(SecretStoreError::Damaged { .. })));
}

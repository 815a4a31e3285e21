//! The object folder from outside: names, restarts, damage, collection.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};

use fedshield_protocol::ids::Round;
use fedshield_protocol::object::{CHUNK_SIZE_BYTES, ChunkList, ObjectBuilder, ObjectRef};
use fedshieldd::objects::{ObjectStoreError, Objects};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 7 % 251) as u8).collect()
}

fn list_of(bytes: &[u8]) -> ChunkList {
    let mut builder = ObjectBuilder::default();
    builder.update(bytes);
    builder.finish()
}

#[test]
fn a_written_object_is_found_by_its_digest_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = pattern(2 * CHUNK_SIZE_BYTES + 10);
    let objects = Objects::open(folder.path()).unwrap();
    let mut writer = objects.create().unwrap();
    for part in bytes.chunks(12_345) {
        writer.write_all(part).unwrap();
    }
    let object = writer.finish().unwrap();
    assert_eq!(object, ObjectRef::of(&bytes));
    let objects = Objects::open(folder.path()).unwrap();
    assert!(objects.contains(&object).unwrap());
    assert_eq!(objects.read(&object).unwrap(), bytes);
    assert_eq!(*objects.chunk_list(&object).unwrap(), list_of(&bytes));
    let mut read = Vec::new();
    objects.file(&object).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, bytes);
    let longer = ObjectRef { length: object.length + 1, ..object };
    assert!(!objects.contains(&longer).unwrap());
    let empty = objects.put(b"").unwrap();
    assert_eq!(objects.read(&empty).unwrap(), b"");
}

#[test]
fn an_unfinished_object_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::open(folder.path()).unwrap();
    let mut writer = objects.create().unwrap();
    writer.write_all(b"abc").unwrap();
    drop(writer);
    assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 0);
    let mut writer = objects.create().unwrap();
    writer.write_all(b"abc").unwrap();
    std::mem::forget(writer);
    Objects::open(folder.path()).unwrap();
    assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 0);
    assert_eq!(objects.usage().unwrap().objects, 0);
}

#[test]
fn a_fetch_goes_on_with_the_chunks_that_are_good() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = pattern(4 * CHUNK_SIZE_BYTES + 5);
    let chunks: Vec<&[u8]> = bytes.chunks(CHUNK_SIZE_BYTES).collect();
    let list = list_of(&bytes);
    let objects = Objects::open(folder.path()).unwrap();
    let mut partial = objects.resume(&list).unwrap();
    assert_eq!(partial.missing(), [0, 1, 2, 3, 4]);
    assert!(matches!(objects.resume(&list), Err(ObjectStoreError::Busy { .. })));
    assert!(partial.write_chunk(1, chunks[2]).is_err());
    for index in [4, 1, 2] {
        partial.write_chunk(index as u32, chunks[index]).unwrap();
    }
    drop(partial);

    // After a restart, with one of the three chunks torn.
    let path = folder.path().join("partial").join("0").join(list.object.root.to_string());
    let mut torn = fs::read(&path).unwrap();
    torn[2 * CHUNK_SIZE_BYTES + 100] ^= 1;
    fs::write(&path, torn).unwrap();
    let objects = Objects::open(folder.path()).unwrap();
    let mut partial = objects.resume(&list).unwrap();
    assert_eq!(partial.missing(), [0, 2, 3]);
    for index in [0, 2] {
        partial.write_chunk(index as u32, chunks[index]).unwrap();
    }
    assert!(matches!(partial.complete(), Err(ObjectStoreError::Incomplete { missing: 1, .. })));
    let mut partial = objects.resume(&list).unwrap();
    partial.write_chunk(3, chunks[3]).unwrap();
    partial.complete().unwrap();
    assert_eq!(objects.read(&list.object).unwrap(), bytes);
    assert!(!path.exists());
}

#[test]
fn a_changed_object_is_noticed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::open(folder.path()).unwrap();
    let object = objects.put(&pattern(CHUNK_SIZE_BYTES + 1)).unwrap();
    let path = objects.path(&object).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[CHUNK_SIZE_BYTES] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(objects.check(&object), Err(ObjectStoreError::Damaged { .. })));
    assert!(!objects.contains(&object).unwrap());
}

#[test]
fn collection_keeps_what_a_round_or_the_host_still_needs() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::open(folder.path()).unwrap();
    let mut made = Vec::new();
    for round in 0..4_u8 {
        objects.set_round(Round(round.into()));
        made.push(objects.put(&[round; 10]).unwrap());
    }
    objects.keep(&made[1], Round(9)).unwrap();
    drop(objects.resume(&list_of(b"left over")).unwrap());
    let objects = Objects::open(folder.path()).unwrap();
    objects.set_round(Round(4));
    let collected = objects.collect(Round(3), &BTreeSet::from([made[0].root])).unwrap();
    assert_eq!((collected.objects, collected.bytes), (2, 10));
    let left: Vec<bool> = made.iter().map(|object| objects.contains(object).unwrap()).collect();
    assert_eq!(left, [true, true, false, true]);
}

fn partial_files(folder: &std::path::Path) -> usize {
    let rounds = fs::read_dir(folder.join("partial")).unwrap().map(|entry| entry.unwrap().path());
    rounds.map(|round| if round.is_dir() { fs::read_dir(round).unwrap().count() } else { 1 }).sum()
}

#[test]
fn what_was_fetched_of_an_object_goes_when_its_round_is_over_also_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = pattern(2 * CHUNK_SIZE_BYTES);
    let list = list_of(&bytes);
    let objects = Objects::open(folder.path()).unwrap();
    objects.set_round(Round(7));
    let mut partial = objects.resume(&list).unwrap();
    partial.write_chunk(0, &bytes[..CHUNK_SIZE_BYTES]).unwrap();
    drop(partial);
    assert_eq!(partial_files(folder.path()), 1, "its round goes on");
    assert_eq!(objects.unwritten(&list.object), CHUNK_SIZE_BYTES as u64);

    // Under way when the round ends: it goes when the fetch stops.
    let partial = objects.resume(&list).unwrap();
    assert_eq!(partial.missing(), [1]);
    objects.set_round(Round(8));
    objects.drop_leftovers().unwrap();
    assert_eq!(partial_files(folder.path()), 1);
    drop(partial);
    assert_eq!(partial_files(folder.path()), 0);

    // A crash in round 8, a start in round 9; and what an earlier version left, without a folder
    // for its round.
    drop(objects.resume(&list).unwrap());
    fs::write(folder.path().join("partial").join(list.object.root.to_string()), b"old").unwrap();
    assert_eq!(partial_files(folder.path()), 2);
    let objects = Objects::open(folder.path()).unwrap();
    objects.set_round(Round(9));
    assert_eq!(objects.drop_leftovers().unwrap(), 2);
    assert_eq!(partial_files(folder.path()), 0);
}

/// An adapter is fetched for longer than a round by who is behind, as long as the fetch itself goes
/// on.
#[test]
fn a_fetch_that_is_taken_up_in_a_later_round_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = pattern(2 * CHUNK_SIZE_BYTES);
    let list = list_of(&bytes);
    let objects = Objects::open(folder.path()).unwrap();
    let mut partial = objects.resume(&list).unwrap();
    partial.write_chunk(1, &bytes[CHUNK_SIZE_BYTES..]).unwrap();
    drop(partial);
    objects.set_round(Round(1));
    let mut partial = objects.resume(&list).unwrap();
    assert_eq!(partial.missing(), [0]);
    partial.write_chunk(0, &bytes[..CHUNK_SIZE_BYTES]).unwrap();
    partial.complete().unwrap();
    assert_eq!(objects.read(&list.object).unwrap(), bytes);
    assert_eq!(partial_files(folder.path()), 0);
}

//! Which objects are being fetched, and whether there is free space for one more. Fetches must not
//! take the last bytes of the disk: journal and ledger need them, and without those no round
//! proceeds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fedshield_protocol::object::{CHUNK_SIZE_BYTES, ObjectRef};

use crate::objects::Objects;

/// Free bytes that fetches leave to everything else on the disk.
pub(super) const RESERVE_BYTES: u64 = 8 << 20;

/// The machine repeats a refused fetch with each heartbeat, at least every 5 seconds; a refusal
/// older than this is over.
const REFUSAL_MEMORY: Duration = Duration::from_secs(15);

/// The disk has no free space for one more object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "fetching has stopped: the next object needs {} MiB, and {} MiB are free on the disk that holds {}, {} MiB of them for \
     what is being fetched already and {} MiB for journal and ledger",
    needed.div_ceil(1 << 20), free >> 20, folder.display(), promised >> 20, RESERVE_BYTES >> 20
)]
pub(super) struct NoRoom {
    folder: PathBuf,
    /// Bytes that the object needs.
    needed: u64,
    /// Bytes that are free on the disk.
    free: u64,
    /// Bytes of them that fetches under way need.
    promised: u64,
}

/// Fetches under way.
pub(super) struct Fetches {
    objects: Arc<Objects>,
    /// Objects of one chunk at most: there may be thousands, so their files are not inspected one
    /// by one.
    small: BTreeSet<ObjectRef>,
    small_bytes: u64,
    large: BTreeSet<ObjectRef>,
    refused: Option<Instant>,
}

impl Fetches {
    pub(super) fn new(objects: Arc<Objects>) -> Self {
        Self {
            objects,
            small: BTreeSet::new(),
            small_bytes: 0,
            large: BTreeSet::new(),
            refused: None,
        }
    }

    /// Registers a fetch, if the disk has free space for all of it besides those under way.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub(super) fn begin(&mut self, object: ObjectRef) -> Result<(), NoRoom> {
        let free = free_bytes(self.objects.folder());
        self.begin_with(object, free)
    }

    fn begin_with(&mut self, object: ObjectRef, free: u64) -> Result<(), NoRoom> {
        if self.small.contains(&object) || self.large.contains(&object) {
            return Ok(());
        }
        let large = self.large.iter().map(|other| self.objects.unwritten(other));
        let promised = large.fold(self.small_bytes, u64::saturating_add);
        let is_small = object.length <= CHUNK_SIZE_BYTES as u64;
        let needed = if is_small { object.length } else { self.objects.unwritten(&object) };
        let room = free.saturating_sub(promised).saturating_sub(RESERVE_BYTES);
        if needed > room {
            self.refused = Some(Instant::now());
            let folder = self.objects.folder().to_path_buf();
            return Err(NoRoom { folder, needed, free, promised });
        }
        if is_small {
            self.small.insert(object);
            self.small_bytes = self.small_bytes.saturating_add(object.length);
        } else {
            self.large.insert(object);
        }
        Ok(())
    }

    /// Whether a fetch is waiting for free space; the arrival of smaller objects does not change
    /// this.
    pub(super) fn waits_for_space(&self) -> bool {
        self.refused.is_some_and(|at| at.elapsed() < REFUSAL_MEMORY)
    }

    /// The fetch is complete, has failed or is not wanted any more.
    pub(super) fn end(&mut self, object: &ObjectRef) {
        self.large.remove(object);
        if self.small.remove(object) {
            self.small_bytes = self.small_bytes.saturating_sub(object.length);
        }
    }
}

fn free_bytes(folder: &Path) -> u64 {
    // If the file system does not report free space, a failed write will show that it is full.
    rustix::fs::statvfs(folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::Digest;
    use fedshield_protocol::object::ObjectBuilder;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn object(number: u8, mib: u64) -> ObjectRef {
        ObjectRef { root: Digest([number; 32]), length: mib * MIB }
    }

    fn fetches() -> (tempfile::TempDir, Fetches) {
        let folder = tempfile::tempdir().unwrap();
        let objects = Arc::new(Objects::open(folder.path()).unwrap());
        (folder, Fetches::new(objects))
    }

    #[test]
    fn what_is_promised_to_other_fetches_and_to_the_journal_is_not_free() {
        let (_folder, mut fetches) = fetches();
        let free = RESERVE_BYTES + 10 * MIB;
        fetches.begin_with(object(1, 4), free).unwrap();
        fetches.begin_with(object(2, 6), free).unwrap();
        fetches.begin_with(object(2, 6), free).unwrap();
        let refused = fetches.begin_with(object(3, 1), free).unwrap_err().to_string();
        assert!(refused.contains("needs 1 MiB, and 18 MiB are free"), "{refused}");
        assert!(fetches.begin_with(object(4, 64 << 10), free).is_err());
        fetches.end(&object(1, 4));
        fetches.begin_with(object(3, 1), free).unwrap();
        assert!(fetches.begin_with(object(5, 1), RESERVE_BYTES).is_err());
    }

    /// Otherwise a nearly complete fetch could not continue after a restart.
    #[test]
    fn what_has_been_written_already_needs_no_more_space() {
        let (_folder, mut fetches) = fetches();
        let bytes = vec![7; 3 * CHUNK_SIZE_BYTES];
        let mut builder = ObjectBuilder::default();
        builder.update(&bytes);
        let list = builder.finish();
        let mut partial = fetches.objects.resume(&list).unwrap();
        for index in [0, 1] {
            partial.write_chunk(index, &bytes[..CHUNK_SIZE_BYTES]).unwrap();
        }
        drop(partial);
        let free = RESERVE_BYTES + 2 * MIB;
        fetches.begin_with(list.object, free).unwrap();
        assert!(fetches.begin_with(object(1, 3), free).is_err());
    }
}

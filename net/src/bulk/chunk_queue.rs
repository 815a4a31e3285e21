//! The chunks of one object that are still to be requested and to be written, shared by its
//! workers.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fedshield_protocol::object::{ChunkList, ObjectError};

use super::holder_selector::HolderFault;
use super::store::{ObjectStore, PartialObject};

/// Why a worker ended early.
#[derive(Debug)]
pub(crate) enum WorkerError {
    /// The holder failed.
    Holder(HolderFault),
    /// Our own store failed.
    Store(io::Error),
    /// The fetch was cancelled or is complete.
    Cancelled,
}

/// The error for a chunk or chunk list that fails verification.
pub(crate) fn invalid(error: ObjectError) -> WorkerError {
    WorkerError::Holder(HolderFault::Invalid(error.to_string()))
}

/// The state that the workers of one fetch share. The two locks are never held together.
#[derive(Default)]
pub(crate) struct ChunkQueue {
    progress: Mutex<Progress>,
    /// None until the list is known, and again once the object is complete.
    open: Mutex<Option<Open>>,
}

#[derive(Default)]
struct Progress {
    has_list: bool,
    /// Chunks that are not requested from any holder at the moment.
    pending: VecDeque<u32>,
    /// Number of chunks that are not written yet, pending ones included.
    unwritten: usize,
}

struct Open {
    list: ChunkList,
    partial: Box<dyn PartialObject>,
}

impl ChunkQueue {
    /// Opens the partial object for a verified list and queues its missing chunks. Blocks on the
    /// disk.
    pub(crate) fn open(&self, store: &dyn ObjectStore, list: ChunkList) -> io::Result<()> {
        let partial = store.resume(&list)?;
        let mut missing = partial.missing();
        missing.retain(|index| *index < list.object.chunk_count());
        missing.sort_unstable();
        missing.dedup();
        *lock(&self.open) = Some(Open { list, partial });
        let mut progress = lock(&self.progress);
        progress.unwritten = missing.len();
        progress.pending = missing.into();
        progress.has_list = true;
        Ok(())
    }

    pub(crate) fn has_list(&self) -> bool {
        lock(&self.progress).has_list
    }

    /// Whether a worker would find something to request.
    pub(crate) fn has_pending(&self) -> bool {
        let progress = lock(&self.progress);
        !progress.has_list || !progress.pending.is_empty()
    }

    pub(crate) fn is_written(&self) -> bool {
        let progress = lock(&self.progress);
        progress.has_list && progress.unwritten == 0
    }

    pub(crate) fn take_pending(&self) -> Option<u32> {
        lock(&self.progress).pending.pop_front()
    }

    /// Queues a chunk again whose request failed.
    pub(crate) fn put_back(&self, index: u32) {
        lock(&self.progress).pending.push_front(index);
    }

    /// Verifies and writes one chunk. Blocks on the disk.
    pub(crate) fn write(&self, index: u32, bytes: &[u8]) -> Result<(), WorkerError> {
        let mut open = lock(&self.open);
        let Some(Open { list, partial }) = open.as_mut() else {
            return Err(WorkerError::Cancelled);
        };
        list.check_chunk(index, bytes).map_err(invalid)?;
        partial.write_chunk(index, bytes).map_err(WorkerError::Store)?;
        drop(open);
        let mut progress = lock(&self.progress);
        progress.unwritten = progress.unwritten.saturating_sub(1);
        Ok(())
    }

    /// Makes the object durable and visible under its name. Blocks on the disk.
    pub(crate) fn complete(&self) -> io::Result<()> {
        match lock(&self.open).take() {
            Some(open) => open.partial.complete(),
            None => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in the daemon's store fails the worker that called it; the state is still consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

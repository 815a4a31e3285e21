//! What is left to do for one object: chunks to ask for, chunks to write.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fedshield_protocol::object::{ChunkList, ObjectError};

use super::pool::Trouble;
use super::store::{ObjectStore, PartialObject};

/// Why one holder's turn ended early.
#[derive(Debug)]
pub(crate) enum TurnError {
    /// Because of the holder.
    Holder(Trouble),
    /// Because of our disk.
    Store(io::Error),
    /// The fetch is over.
    Over,
}

pub(crate) fn lied(error: ObjectError) -> TurnError {
    TurnError::Holder(Trouble::Lied(error.to_string()))
}

/// The state that the turns of one fetch share. The two locks are never held together.
#[derive(Default)]
pub(crate) struct Work {
    progress: Mutex<Progress>,
    /// None until the list is known, and again once the object is complete.
    open: Mutex<Option<Open>>,
}

#[derive(Default)]
struct Progress {
    has_list: bool,
    /// Chunks that no holder is asked for at the moment.
    pending: VecDeque<u32>,
    /// Chunks not yet written, pending ones included.
    unwritten: usize,
}

struct Open {
    list: ChunkList,
    partial: Box<dyn PartialObject>,
}

impl Work {
    /// Takes the verified list and finds out what is missing. Blocks.
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

    /// Whether a turn would find something to do.
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

    /// A chunk that was asked for did not come.
    pub(crate) fn give_back(&self, index: u32) {
        lock(&self.progress).pending.push_front(index);
    }

    /// Verifies and writes one chunk. Blocks.
    pub(crate) fn write(&self, index: u32, bytes: &[u8]) -> Result<(), TurnError> {
        let mut open = lock(&self.open);
        let Some(Open { list, partial }) = open.as_mut() else { return Err(TurnError::Over) };
        list.check_chunk(index, bytes).map_err(lied)?;
        partial.write_chunk(index, bytes).map_err(TurnError::Store)?;
        drop(open);
        let mut progress = lock(&self.progress);
        progress.unwritten = progress.unwritten.saturating_sub(1);
        Ok(())
    }

    /// Makes the object durable and visible. Blocks.
    pub(crate) fn complete(&self) -> io::Result<()> {
        match lock(&self.open).take() {
            Some(open) => open.partial.complete(),
            None => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in the daemon's store fails the turn that met it; the rest is still whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

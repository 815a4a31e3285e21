//! Stores the records on disk: the daemon implements the storage, this decides when to write.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep;

use super::wire::{decode_records, encode_records};
use crate::limits::{RECORDS_SAVE_DELAY, RECORDS_SAVE_RETRY};
use crate::state::StatePublisher;
use crate::tasks::Tasks;

/// The first bytes of the stored file.
const MAGIC: &[u8] = b"fedshield addresses 1\n";

/// Storage for the signed records of members; calls may block.
pub trait AddressStore: Send + Sync + 'static {
    /// The bytes that were saved last; none if there are none.
    ///
    /// # Errors
    /// The error of the disk.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the bytes atomically.
    ///
    /// # Errors
    /// The error of the disk.
    fn save(&self, bytes: &[u8]) -> io::Result<()>;
}

/// Writes the newest state in a task of its own, and retries after errors.
#[derive(Debug)]
pub(crate) struct RecordSaver(watch::Sender<Arc<Vec<u8>>>);

impl RecordSaver {
    /// Loads the stored records and starts the task. A file that cannot be read is treated as
    /// empty: other members send the records again, and it is only replaced when there is something
    /// to write.
    pub(crate) async fn start(
        store: Arc<dyn AddressStore>,
        state: StatePublisher,
        tasks: &Tasks,
    ) -> (Self, Vec<Vec<u8>>) {
        let reading = store.clone();
        let read = tokio::task::spawn_blocking(move || reading.load()).await;
        let records = match read.map_err(io::Error::other).and_then(|read| read) {
            Ok(None) => Vec::new(),
            Ok(Some(bytes)) => {
                bytes.strip_prefix(MAGIC).and_then(decode_records).unwrap_or_else(|| {
                    state.set_records_error(Some("it is damaged, and begun anew".into()));
                    Vec::new()
                })
            }
            Err(error) => {
                state.set_records_error(Some(format!("it cannot be read: {error}")));
                Vec::new()
            }
        };
        let (sender, receiver) = watch::channel(Arc::new(Vec::new()));
        // False only if the node is shutting down already.
        let _ = tasks.spawn(save_all(receiver, store, state, tasks.clone()));
        (Self(sender), records)
    }

    /// Schedules these records to be written.
    pub(crate) fn save<'a>(&self, records: impl IntoIterator<Item = &'a [u8]>) {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(encode_records(records));
        self.0.send_replace(Arc::new(bytes));
    }
}

/// Returns when the node shuts down, after the last state has been written.
async fn save_all(
    mut newest: watch::Receiver<Arc<Vec<u8>>>,
    store: Arc<dyn AddressStore>,
    state: StatePublisher,
    tasks: Tasks,
) {
    let cancel = tasks.token().clone();
    let (mut stopping, mut unsaved, mut failed) = (false, false, false);
    while !stopping {
        tokio::select! {
            () = cancel.cancelled() => stopping = true,
            () = sleep(RECORDS_SAVE_RETRY), if failed => {}
            changed = newest.changed() => match changed {
                Ok(()) => unsaved = true,
                Err(_) => stopping = true,
            },
        }
        if unsaved && !stopping {
            // A starting node changes its records several times in quick succession.
            tokio::select! {
                () = cancel.cancelled() => stopping = true,
                () = sleep(RECORDS_SAVE_DELAY) => {}
            }
        }
        unsaved |= newest.has_changed().unwrap_or(false);
        if !unsaved {
            continue;
        }
        let bytes = newest.borrow_and_update().clone();
        let writing = store.clone();
        let written = tokio::task::spawn_blocking(move || writing.save(&bytes)).await;
        let written = written.map_err(io::Error::other).and_then(|written| written);
        failed = written.is_err();
        unsaved = failed;
        state
            .set_records_error(written.err().map(|error| format!("it cannot be written: {error}")));
    }
}

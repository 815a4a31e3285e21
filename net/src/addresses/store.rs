//! The address book on disk. What it is written to is the daemon's; when, is decided here.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep;

use super::wire::{decode_records, encode_records};
use crate::limits::{BOOK_SAVE_PAUSE, BOOK_SAVE_RETRY};
use crate::state::StateBoard;
use crate::tasks::Tasks;

/// What the file begins with.
const MAGIC: &[u8] = b"fedshield addresses 1\n";

/// Where the address book is kept; calls may block.
pub trait AddressStore: Send + Sync + 'static {
    /// What was saved last; none if nothing was.
    ///
    /// # Errors
    /// What the disk says.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces it, all of it or nothing.
    ///
    /// # Errors
    /// What the disk says.
    fn save(&self, bytes: &[u8]) -> io::Result<()>;
}

/// Keeps nothing: a node whose addresses are known from elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAddressStore;

impl AddressStore for NoAddressStore {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn save(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Writes in a task of its own, the newest state only, and tries again what failed.
#[derive(Debug)]
pub(crate) struct Saver(watch::Sender<Arc<Vec<u8>>>);

impl Saver {
    /// Reads what is there and starts the task. A book that cannot be read is begun anew: it holds nothing that other
    /// members would not tell again, and it is only replaced when there is something to write.
    pub(crate) async fn start(
        store: Arc<dyn AddressStore>,
        board: StateBoard,
        tasks: &Tasks,
    ) -> (Self, Vec<Vec<u8>>) {
        let reading = store.clone();
        let read = tokio::task::spawn_blocking(move || reading.load()).await;
        let records = match read.map_err(io::Error::other).and_then(|read| read) {
            Ok(None) => Vec::new(),
            Ok(Some(bytes)) => {
                bytes.strip_prefix(MAGIC).and_then(decode_records).unwrap_or_else(|| {
                    board.book(Some("it is damaged, and begun anew".into()));
                    Vec::new()
                })
            }
            Err(error) => {
                board.book(Some(format!("it cannot be read: {error}")));
                Vec::new()
            }
        };
        let (sender, receiver) = watch::channel(Arc::new(Vec::new()));
        // False only if the node is stopping already.
        let _ = tasks.spawn(save_all(receiver, store, board, tasks.clone()));
        (Self(sender), records)
    }

    /// Has these records written soon.
    pub(crate) fn save<'a>(&self, records: impl IntoIterator<Item = &'a [u8]>) {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(encode_records(records));
        self.0.send_replace(Arc::new(bytes));
    }
}

/// Returns when the node stops, after what is left has been written.
async fn save_all(
    mut newest: watch::Receiver<Arc<Vec<u8>>>,
    store: Arc<dyn AddressStore>,
    board: StateBoard,
    tasks: Tasks,
) {
    let stop = tasks.token().clone();
    let (mut stopping, mut unsaved, mut failed) = (false, false, false);
    while !stopping {
        tokio::select! {
            () = stop.cancelled() => stopping = true,
            () = sleep(BOOK_SAVE_RETRY), if failed => {}
            changed = newest.changed() => match changed {
                Ok(()) => unsaved = true,
                Err(_) => stopping = true,
            },
        }
        if unsaved && !stopping {
            // Several changes come together when a node starts.
            tokio::select! {
                () = stop.cancelled() => stopping = true,
                () = sleep(BOOK_SAVE_PAUSE) => {}
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
        board.book(written.err().map(|error| format!("it cannot be written: {error}")));
    }
}

//! Maps rounds to the position of their entry: an index on sled over the append-only files.
//!
//! It holds no data of its own. At every start it is compared with the files and refilled where it
//! differs. A database that does not open is put aside; one that fails later is abandoned, and the
//! same map in memory takes its place. So the node continues whatever sled does on a damaged or
//! full disk.

mod database;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::append_file::Position;
pub(super) use database::{IndexError, contain};
use database::{open_anew, open_unlocked};

const POSITION_BYTES: usize = 12;
const CHECKPOINT_KEY: &[u8] = b"verified";

/// One table for each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// Records by round.
    Records,
    /// The newest report of each round.
    Reports,
    /// Evidence by its digest.
    Evidence,
}

impl Table {
    const ALL: [Self; 3] = [Self::Records, Self::Reports, Self::Evidence];

    /// The element for this table in an array of one for each table.
    const fn of<T>(self, [records, reports, evidence]: &mut [T; 3]) -> &mut T {
        match self {
            Self::Records => records,
            Self::Reports => reports,
            Self::Evidence => evidence,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Reports => "reports",
            Self::Evidence => "evidence",
        }
    }
}

/// Positions in the order of their keys. Rounds are eight bytes, big-endian.
pub(super) type Rows = BTreeMap<Vec<u8>, Position>;

/// The index; calls may block on the disk.
pub(super) struct Index(Mutex<Backing>);

enum Backing {
    Sled { trees: [sled::Tree; 3], checkpoint: sled::Tree },
    Memory([Rows; 3]),
}

impl Index {
    /// Opens or creates the database in `folder`, or an index in memory if it cannot be used at
    /// all. What went wrong is returned as text for the operator.
    pub(super) fn open(folder: &Path) -> (Self, Option<String>) {
        let first = match open_unlocked(folder) {
            Ok(backing) => return (Self(Mutex::new(backing)), None),
            Err(error) => error,
        };
        let place = folder.display();
        match open_anew(folder, &first) {
            Ok((backing, aside)) => {
                let aside = aside.display();
                let said = format!(
                    "the index at {place} did not open ({first}); it was put aside as {aside} and is built again"
                );
                (Self(Mutex::new(backing)), Some(said))
            }
            Err(second) => {
                let said = format!(
                    "the index at {place} cannot be used ({first}; then: {second}); this run keeps it in memory"
                );
                (Self::memory(), Some(said))
            }
        }
    }

    /// An empty index in memory.
    pub(super) fn memory() -> Self {
        Self(Mutex::new(Backing::Memory(Default::default())))
    }

    /// Replaces the content of the table by `rows`.
    ///
    /// # Errors
    /// [`IndexError`].
    pub(super) fn fill(&self, table: Table, rows: Rows) -> Result<(), IndexError> {
        self.with(table, |side| match side {
            Side::Memory(map) => {
                *map = rows;
                Ok(())
            }
            Side::Sled(tree) => {
                let mut same = true;
                let mut wanted = rows.iter();
                for row in tree.iter() {
                    let (key, value) = row?;
                    let expected = wanted.next();
                    same &= expected
                        .is_some_and(|(k, position)| **k == *key && to_bytes(*position) == *value);
                    if !same {
                        break;
                    }
                }
                if same && wanted.next().is_none() {
                    return Ok(());
                }
                tree.clear()?;
                let mut batch = sled::Batch::default();
                for (key, position) in &rows {
                    batch.insert(key.as_slice(), &to_bytes(*position));
                }
                tree.apply_batch(batch)
            }
        })
    }

    /// Sets one row.
    ///
    /// # Errors
    /// [`IndexError`].
    pub(super) fn put(&self, table: Table, key: &[u8], at: Position) -> Result<(), IndexError> {
        self.with(table, |side| match side {
            Side::Memory(map) => {
                map.insert(key.to_vec(), at);
                Ok(())
            }
            Side::Sled(tree) => tree.insert(key, &to_bytes(at)).map(|_| ()),
        })
    }

    /// One row.
    ///
    /// # Errors
    /// [`IndexError`].
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Position>, IndexError> {
        self.with(table, |side| match side {
            Side::Memory(map) => Ok(map.get(key).copied()),
            Side::Sled(tree) => Ok(tree.get(key)?.and_then(|value| from_bytes(&value))),
        })
    }

    /// All positions from `key` on, in the order of their keys.
    ///
    /// # Errors
    /// [`IndexError`].
    pub(super) fn from(&self, table: Table, key: &[u8]) -> Result<Vec<Position>, IndexError> {
        self.with(table, |side| match side {
            Side::Memory(map) => Ok(map.range(key.to_vec()..).map(|(_, at)| *at).collect()),
            Side::Sled(tree) => tree
                .range(key..)
                .map(|row| row.map(|(_, value)| from_bytes(&value)))
                .filter_map(Result::transpose)
                .collect(),
        })
    }

    /// The stored checkpoint, as its owner encoded it; `None` if there is none or it cannot be
    /// read.
    pub(super) fn checkpoint(&self) -> Option<Vec<u8>> {
        let backing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Backing::Sled { checkpoint, .. } = &*backing else { return None };
        contain(|| checkpoint.get(CHECKPOINT_KEY)).ok()?.map(|value| value.to_vec())
    }

    /// Stores a checkpoint. If that fails, the next start verifies more than necessary.
    pub(super) fn set_checkpoint(&self, bytes: &[u8]) {
        let backing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Backing::Sled { checkpoint, .. } = &*backing
            && let Err(error) = contain(|| checkpoint.insert(CHECKPOINT_KEY, bytes))
        {
            tracing::debug!(%error, "what was verified is not remembered");
        }
    }

    /// Continues in memory, with all tables empty.
    pub(super) fn give_up_sled(&self) {
        let mut backing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *backing, Backing::Memory(Default::default()));
        // Closing the database may panic as calling it did.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
    }

    fn with<T>(
        &self,
        table: Table,
        call: impl FnOnce(Side<'_>) -> sled::Result<T>,
    ) -> Result<T, IndexError> {
        let mut backing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let side = match &mut *backing {
            Backing::Sled { trees, .. } => Side::Sled(table.of(trees)),
            Backing::Memory(maps) => Side::Memory(table.of(maps)),
        };
        contain(|| call(side))
    }
}

enum Side<'a> {
    Sled(&'a sled::Tree),
    Memory(&'a mut Rows),
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

fn to_bytes(position: Position) -> [u8; POSITION_BYTES] {
    let mut bytes = [0; POSITION_BYTES];
    let (offset, length) = bytes.split_at_mut(size_of::<u64>());
    offset.copy_from_slice(&position.offset.to_le_bytes());
    length.copy_from_slice(&position.length.to_le_bytes());
    bytes
}

fn from_bytes(bytes: &[u8]) -> Option<Position> {
    let (offset, length) = bytes.split_first_chunk::<8>()?;
    let offset = u64::from_le_bytes(*offset);
    Some(Position { offset, length: u32::from_le_bytes(length.try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u64) -> Rows {
        let row = |n: u64| (n.to_be_bytes().to_vec(), Position { offset: n * 100, length: 7 });
        (0..count).map(row).collect()
    }

    fn check(index: &Index, count: u64) {
        let all = index.from(Table::Records, b"").unwrap();
        assert_eq!(all, rows(count).into_values().collect::<Vec<_>>());
        let one = index.get(Table::Records, &(count - 1).to_be_bytes()).unwrap();
        assert_eq!(one, all.last().copied());
        let tail = index.from(Table::Records, &(count - 1).to_be_bytes()).unwrap();
        assert_eq!(tail.len(), 1);
    }

    #[test]
    fn a_table_becomes_what_the_file_says() {
        let folder = tempfile::tempdir().unwrap();
        for count in [3, 300, 2, 2] {
            let (index, said) = Index::open(folder.path());
            assert_eq!(said, None);
            index.fill(Table::Records, rows(count)).unwrap();
            check(&index, count);
            assert_eq!(index.from(Table::Reports, b"").unwrap(), []);
        }
        let index = Index::memory();
        index.fill(Table::Records, rows(5)).unwrap();
        index
            .put(Table::Records, &5_u64.to_be_bytes(), Position { offset: 500, length: 7 })
            .unwrap();
        check(&index, 6);
    }

    #[test]
    fn a_database_that_does_not_open_is_put_aside() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("index");
        drop(Index::open(&folder));
        std::fs::write(folder.join("conf"), b"this is no sled configuration").unwrap();
        let (index, said) = Index::open(&folder);
        assert!(said.unwrap().contains("put aside as"));
        index.fill(Table::Records, rows(5)).unwrap();
        check(&index, 5);
    }

    #[test]
    fn a_folder_that_cannot_be_used_leaves_the_index_in_memory() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        std::fs::write(&file, b"no folder").unwrap();
        let (index, said) = Index::open(&file.join("index"));
        assert!(said.unwrap().contains("in memory"));
        index.fill(Table::Records, rows(5)).unwrap();
        check(&index, 5);
    }

    #[test]
    fn a_panic_is_an_error() {
        let said = contain::<()>(|| panic!("page {}", 5)).unwrap_err().to_string();
        assert_eq!(said, "the index failed: page 5");
    }
}

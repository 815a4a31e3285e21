//! The sled database behind the index: opened in spite of locks and damage, and with its panics
//! turned into errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Backing, Table};
use crate::durable;
use crate::store::aside;

/// sled's cache, in bytes. Positions are small: sled's default of 1 GiB is more than a whole daemon
/// needs.
const CACHE_BYTES: u64 = 4 << 20;
const LOCK_TRIES: usize = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The index has failed: fill a new one.
#[derive(Debug, thiserror::Error)]
#[error("the index failed: {0}")]
pub(in crate::store) struct IndexError(String);

impl IndexError {
    fn is_lock(&self) -> bool {
        self.0.contains("could not acquire lock")
    }
}

/// Puts the database that did not open aside and opens a new one; also returns where the old one is
/// now.
pub(super) fn open_anew(folder: &Path, first: &IndexError) -> Result<(Backing, PathBuf), String> {
    if first.is_lock() {
        return Err("another process has it open".to_owned());
    }
    let aside = aside::rename(folder, "damaged").map_err(|error| error.to_string())?;
    let backing = open_sled(folder).map_err(|error| error.to_string())?;
    Ok((backing, aside))
}

/// The threads of a database that this process has just closed hold its lock for a moment longer.
pub(super) fn open_unlocked(folder: &Path) -> Result<Backing, IndexError> {
    let mut result = open_sled(folder);
    for _ in 0..LOCK_TRIES {
        if !matches!(&result, Err(error) if error.is_lock()) {
            break;
        }
        std::thread::sleep(LOCK_PAUSE);
        result = open_sled(folder);
    }
    result
}

fn open_sled(folder: &Path) -> Result<Backing, IndexError> {
    durable::make_folder(folder).map_err(|error| IndexError(error.to_string()))?;
    contain(|| {
        let db = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).open()?;
        let [a, b, c] = Table::ALL.map(|table| db.open_tree(table.name()));
        let (trees, checkpoint) = ([a?, b?, c?], db.open_tree("checkpoint")?);
        Ok(Backing::Sled { trees, checkpoint })
    })
}

/// sled 0.34 panics on some damaged files where it should return an error: this turns the panic
/// into one.
pub(in crate::store) fn contain<T>(
    call: impl FnOnce() -> sled::Result<T>,
) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(IndexError(first_line(&error.to_string()))),
        Err(panic) => Err(IndexError(panic_text(&*panic))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    first_line(&text.unwrap_or_default())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

//! The journal: what this node has voted, released and promised, so that it never contradicts
//! itself after a crash.
//!
//! One append-only file; every entry is on disk before anything that follows from it is sent. A
//! crash can tear the last entry, which is then cut off, because nothing was sent for it. Damage
//! anywhere else is an error, because continuing without a vote could mean voting twice.

mod file;
mod format;

pub use file::{Journal, JournalError, Replay, TornTail};
pub use format::{MAX_ENTRY_BYTES, StoredEntry};

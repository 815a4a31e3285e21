//! The journal: what this node has voted, released and promised, so that it never contradicts itself after a crash.
//!
//! One file, only appended to, every entry on disk before anything that follows from it is sent. A crash can tear
//! the last entry: it is cut off, nothing was sent for it. Damage anywhere else is an error, because going on without
//! a vote would mean voting twice.

mod file;
mod format;

pub use file::{Journal, JournalError, Replay, TornTail};
pub use format::{MAX_ENTRY_BYTES, StoredEntry};

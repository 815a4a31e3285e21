//! Versions of formats: which ones this program reads, and why it refuses the others.

use serde::{Deserialize, Serialize};

use super::codec::CodecError;

/// The versions of one format that a program reads; it writes the newest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The oldest version that is still read.
    pub oldest: u8,
    /// The newest version that is read, and the one that is written.
    pub newest: u8,
}

/// Messages between members, see [`Signed`](super::Signed). Heartbeats carry this range, so that a member
/// sees which versions every other one reads before it writes a newer one.
pub const MESSAGES: Versions = Versions { oldest: 3, newest: 3 };
/// Entries of the journal, see [`journal`](super::journal).
pub const JOURNAL: Versions = Versions { oldest: 1, newest: 2 };
/// Canonical bytes of a manifest, see [`Manifest`](crate::manifest::Manifest).
pub const MANIFEST: Versions = Versions { oldest: 1, newest: 4 };

impl Versions {
    /// Whether `version` is read.
    #[must_use]
    pub const fn contains(&self, version: u8) -> bool {
        self.oldest <= version && version <= self.newest
    }

    /// Whether the range is one, and starts at a version that exists.
    #[must_use]
    pub const fn is_possible(&self) -> bool {
        1 <= self.oldest && self.oldest <= self.newest
    }

    /// The version that the bytes of a `what` begin with, if it is read.
    ///
    /// # Errors
    /// [`CodecError::Version`] names the version and what to do; [`CodecError::Malformed`] without bytes.
    pub fn check(&self, what: &'static str, bytes: &[u8]) -> Result<u8, CodecError> {
        match bytes.first() {
            Some(version) if self.contains(*version) => Ok(*version),
            Some(found) => Err(CodecError::Version { what, found: u32::from(*found), read: *self }),
            None => Err(CodecError::Malformed { what, reason: "it is empty".to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_version_is_refused_by_name() {
        let read = Versions { oldest: 2, newest: 3 };
        assert_eq!(read.check("message", &[3, 7]), Ok(3));
        let reason = |byte| read.check("message", &[byte]).unwrap_err().to_string();
        assert!(reason(4).contains("a later version"), "{}", reason(4));
        assert!(reason(1).contains("an earlier version"), "{}", reason(1));
        assert!(read.check("message", &[]).is_err());
    }
}

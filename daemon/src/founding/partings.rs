//! What a home keeps of drafts and federations that it is no longer in: which it has left and why,
//! which members are still to be notified, which it has abandoned as their owner, and which of its
//! fellow founders have notified it that they left.
//!
//! One file, replaced as a whole before anything follows from it, so that a crash between two steps
//! of leaving repeats the later ones at the next start.

use std::path::{Path, PathBuf};

use fedshield_protocol::ids::{Digest, IdentityKey, ManifestDigest};
use fedshield_protocol::wire::codec;
use serde::{Deserialize, Serialize};

use super::{FoundingError, Token};
use crate::durable;

/// Identifies the file's format and version.
const MAGIC: &[u8] = b"fspart1\n";
const MAX_BYTES: usize = 16 << 20;
/// Most drafts that are remembered; the oldest are forgotten first.
const MAX_LEFT: usize = 64;
const MAX_ABANDONED: usize = 32;
const MAX_RECEIVED: usize = 128;
/// For how long unreachable members are retried, in seconds: longer than an invite is valid.
pub(super) const FAREWELL_S: u64 = 31 * 24 * 3600;

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Partings {
    pub(super) left: Vec<Left>,
    pub(super) received: Vec<ReceivedFarewell>,
    pub(super) abandoned: Vec<Abandoned>,
}

/// Why a draft was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Why {
    /// The operator chose to leave.
    Chosen,
    /// The draft's owner abandoned it.
    Abandoned,
    /// Its owner took this node off the list.
    Dropped,
    /// The operator found the list of members wrong.
    Rejected,
}

/// A draft, or a federation without a finished round, that this node has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Left {
    pub(super) founding_id: Digest,
    /// The federation's name.
    pub(super) federation: String,
    /// The owner's name.
    pub(super) owner: String,
    /// This node's public sealing key in it: distinguishes this attempt to join from a later one.
    pub(super) sealing_key: Vec<u8>,
    /// Digest of the manifest that this node had signed, if any.
    pub(super) signed: Option<ManifestDigest>,
    pub(super) why: Why,
    /// What was kept for the federation's rounds is to be erased at the next start.
    pub(super) wipe: bool,
    /// Who is still to be notified.
    pub(super) farewells: Vec<Farewell>,
}

/// A member that is to be notified that this node has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Farewell {
    pub(super) to: IdentityKey,
    pub(super) addresses: Vec<String>,
    pub(super) token: Token,
    /// When to stop trying, in seconds since 1970.
    pub(super) until_s: u64,
}

/// A fellow founder has notified this node that it left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReceivedFarewell {
    pub(super) founding_id: Digest,
    pub(super) from: IdentityKey,
}

/// A draft that this node has abandoned as its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Abandoned {
    /// All ids that the draft has had, the last one last.
    pub(super) founding_ids: Vec<Digest>,
    pub(super) federation: String,
    /// Fingerprints of its invites: a request with one of them is told that the draft was
    /// abandoned.
    pub(super) fingerprints: Vec<Digest>,
}

impl Partings {
    /// Reads what earlier runs wrote.
    pub(super) fn load(path: &Path) -> Result<Self, FoundingError> {
        let Some(bytes) = durable::read_if_present(path, MAX_BYTES as u64)? else {
            return Ok(Self::default());
        };
        let file =
            |reason: String| FoundingError::File { file: path.display().to_string(), reason };
        let body = bytes
            .strip_prefix(MAGIC)
            .ok_or_else(|| file("it does not begin as this file does".to_owned()))?;
        codec::decode("partings", body, MAX_BYTES).map_err(|error| file(error.to_string()))
    }

    /// Replaces the file; drops what is too old to matter.
    pub(super) fn save(&mut self, path: &Path) -> Result<(), FoundingError> {
        keep_newest(&mut self.left, MAX_LEFT);
        keep_newest(&mut self.received, MAX_RECEIVED);
        keep_newest(&mut self.abandoned, MAX_ABANDONED);
        let body = codec::encode("partings", self, MAX_BYTES)
            .map_err(|error| FoundingError::Request(error.to_string()))?;
        Ok(durable::replace(path, &[MAGIC, &body].concat())?)
    }

    /// Whether this attempt to join was ended.
    pub(super) fn has_left(&self, sealing_key: &[u8]) -> bool {
        self.left.iter().any(|left| left.sealing_key == sealing_key)
    }

    /// The manifest that this node signed under a founding id that it has left since.
    pub(super) fn signed(&self, founding_id: &Digest) -> Option<&Left> {
        self.left.iter().find(|left| left.founding_id == *founding_id && left.signed.is_some())
    }

    /// The abandoned draft of this id, for a holder of one of its invites.
    pub(super) fn abandoned(&self, founding_id: &Digest, token: &Token) -> Option<&Abandoned> {
        self.abandoned.iter().find(|it| {
            it.founding_ids.contains(founding_id)
                && it
                    .fingerprints
                    .iter()
                    .fold(false, |found, one| token.has_fingerprint(one) | found)
        })
    }

    /// The ids of all drafts that this node has left or abandoned.
    pub(super) fn ended(&self) -> impl Iterator<Item = Digest> {
        let left = self.left.iter().map(|left| left.founding_id);
        left.chain(self.abandoned.iter().flat_map(|it| it.founding_ids.iter().copied()))
    }

    /// Whether this node has abandoned the draft of this id.
    pub(super) fn has_abandoned(&self, founding_id: &Digest) -> bool {
        self.abandoned.iter().any(|it| it.founding_ids.contains(founding_id))
    }

    /// Records a fellow founder's farewell; false if it was recorded before.
    pub(super) fn record_farewell(&mut self, founding_id: Digest, from: IdentityKey) -> bool {
        let farewell = ReceivedFarewell { founding_id, from };
        let new = !self.received.contains(&farewell);
        if new {
            self.received.push(farewell);
        }
        new
    }

    /// The next farewell to send at `now_s`, skipping those to `tried`. Ones past their time are
    /// removed.
    pub(super) fn next_farewell(
        &mut self,
        now_s: u64,
        tried: &[(Digest, IdentityKey)],
    ) -> Option<(Left, Farewell)> {
        for left in &mut self.left {
            left.farewells.retain(|farewell| farewell.until_s > now_s);
        }
        self.left.iter().find_map(|left| {
            let next = left
                .farewells
                .iter()
                .find(|farewell| !tried.contains(&(left.founding_id, farewell.to)))?;
            Some((left.clone(), next.clone()))
        })
    }

    /// Records that `to` has been notified of this node's leaving the draft of this id.
    pub(super) fn mark_delivered(&mut self, founding_id: &Digest, to: &IdentityKey) {
        for left in self.left.iter_mut().filter(|left| left.founding_id == *founding_id) {
            left.farewells.retain(|farewell| farewell.to != *to);
        }
    }
}

fn keep_newest<T>(list: &mut Vec<T>, most: usize) {
    let excess = list.len().saturating_sub(most);
    list.drain(..excess);
}

/// The content together with the path of its file.
#[derive(Debug)]
pub(super) struct PartingsFile {
    pub(super) all: Partings,
    path: PathBuf,
}

impl PartingsFile {
    pub(super) fn load(path: PathBuf) -> Result<Self, FoundingError> {
        Ok(Self { all: Partings::load(&path)?, path })
    }

    /// Changes the content, on disk first.
    pub(super) fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Partings) -> T,
    ) -> Result<T, FoundingError> {
        let mut next = self.all.clone();
        let result = change(&mut next);
        if next != self.all {
            next.save(&self.path)?;
            self.all = next;
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(id: u8) -> Left {
        Left {
            founding_id: Digest([id; 32]),
            federation: "trial".into(),
            owner: "a".into(),
            sealing_key: vec![id],
            signed: id.is_multiple_of(2).then_some(ManifestDigest([9; 32])),
            why: Why::Chosen,
            wipe: false,
            farewells: vec![],
        }
    }

    #[test]
    fn the_newest_partings_are_kept_and_read_back_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("partings");
        let mut file = PartingsFile::load(path.clone()).unwrap();
        for id in 0..200 {
            file.change(|all| all.left.push(left(id))).unwrap();
        }
        let read = PartingsFile::load(path.clone()).unwrap().all;
        assert_eq!(read, file.all);
        assert_eq!(read.left.len(), MAX_LEFT);
        assert!(read.has_left(&[199]) && !read.has_left(&[0]));
        assert!(read.signed(&Digest([198; 32])).is_some());
        assert!(read.signed(&Digest([199; 32])).is_none());
        std::fs::write(&path, b"something else").unwrap();
        let error = PartingsFile::load(path).unwrap_err().to_string();
        assert!(error.contains("partings") && error.contains("cannot be read"), "{error}");
    }
}

//! The owner's draft as it lies on the disk, in this version's form and in the two before it.

use std::path::Path;

use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::manifest::{Manifest, Member, Rules};
use fedshield_protocol::sign::Signature;
use fedshield_protocol::wire::codec;
use serde::{Deserialize, Serialize};

use super::super::FoundingError;
use super::super::message::{Gone, How};
use crate::durable;

/// Manifest, invites and signatures of 100 members.
const MAX_DRAFT_BYTES: usize = 4 << 20;
/// Begins this version's file.
const MAGIC: &[u8] = b"fsdraft3";
/// Began the file of the version before. The first began with the federation's name, whose length is a byte of at most 64.
const SECOND_MAGIC: &[u8] = b"fsdraft2";

/// What the owner keeps on disk until the federation is founded, and after it for founders that poll late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Draft {
    /// Members so far, the owner first; resolved once frozen.
    pub(in super::super) manifest: Manifest,
    pub(in super::super) frozen: bool,
    /// In manifest order, once frozen.
    pub(in super::super) signatures: Vec<Option<Signature>>,
    pub(super) invites: Vec<Issued>,
    /// `min_contributors` and `committee_size` as they were before freezing resolved them.
    pub(super) open_numbers: (u16, u16),
    /// Ids that the draft had before it was opened again, oldest first.
    pub(super) former: Vec<Digest>,
    /// Members of the draft before it was opened again that have not come back yet.
    pub(in super::super) returning: Vec<Member>,
    /// Names of those who were members once, oldest first.
    pub(in super::super) departed: Vec<Gone>,
    /// When the draft was frozen, in seconds since 1970; 0 if it is not, or if that is not known.
    pub(in super::super) frozen_at_s: u64,
}

/// One invite that was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Issued {
    pub(super) fingerprint: Digest,
    pub(super) expires_at_s: u64,
    pub(super) used_by: Option<IdentityKey>,
    pub(super) ended: Option<Ended>,
}

/// Why the member that an invite let in is one no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ended {
    /// It left, with the entry that had this sealing key; with another one it may come back.
    Left { sealing_key: Vec<u8> },
    /// The owner took it off the list.
    Dropped,
}

/// The form of the version before, whose owners signed when they froze.
#[derive(Serialize, Deserialize)]
struct SecondDraft {
    manifest: Manifest,
    frozen: bool,
    signatures: Vec<Option<Signature>>,
    invites: Vec<Issued>,
    open_numbers: (u16, u16),
    former: Vec<Digest>,
    returning: Vec<Member>,
    departed: Vec<Departed>,
}

#[derive(Serialize, Deserialize)]
struct Departed {
    name: String,
    left: bool,
}

/// The form of the first version.
#[derive(Serialize, Deserialize)]
struct FirstDraft {
    manifest: Manifest,
    frozen: bool,
    signatures: Vec<Option<Signature>>,
    invites: Vec<FirstIssued>,
}

#[derive(Serialize, Deserialize)]
struct FirstIssued {
    fingerprint: Digest,
    expires_at_s: u64,
    used_by: Option<IdentityKey>,
}

impl Draft {
    /// A draft whose only member is its owner.
    pub(super) fn new(manifest: Manifest) -> Self {
        Self {
            open_numbers: (manifest.min_contributors, manifest.committee_size),
            manifest,
            frozen: false,
            signatures: Vec::new(),
            invites: Vec::new(),
            former: Vec::new(),
            returning: Vec::new(),
            departed: Vec::new(),
            frozen_at_s: 0,
        }
    }

    /// The draft at `path`, if there is one.
    pub(in super::super) fn read(path: &Path) -> Result<Option<Self>, FoundingError> {
        let Some(bytes) = durable::read_if_present(path, MAX_DRAFT_BYTES as u64)? else {
            return Ok(None);
        };
        let draft = match (bytes.strip_prefix(MAGIC), bytes.strip_prefix(SECOND_MAGIC)) {
            (Some(body), _) => codec::decode("draft", body, MAX_DRAFT_BYTES),
            (_, Some(body)) => {
                codec::decode::<SecondDraft>("draft", body, MAX_DRAFT_BYTES).map(Self::from)
            }
            _ => codec::decode::<FirstDraft>("draft", &bytes, MAX_DRAFT_BYTES).map(Self::from),
        };
        draft.map(Some).map_err(|error| FoundingError::File {
            file: path.display().to_string(),
            reason: error.to_string(),
        })
    }

    /// Puts it on disk.
    pub(super) fn write(&self, path: &Path) -> Result<(), FoundingError> {
        let body = codec::encode("draft", self, MAX_DRAFT_BYTES)
            .map_err(|error| FoundingError::Request(error.to_string()))?;
        Ok(durable::replace(path, &[MAGIC, &body].concat())?)
    }
}

impl From<SecondDraft> for Draft {
    fn from(second: SecondDraft) -> Self {
        let departed = second
            .departed
            .into_iter()
            .map(|it| Gone { name: it.name, how: if it.left { How::Left } else { How::Dropped } });
        Self {
            manifest: second.manifest,
            frozen: second.frozen,
            signatures: second.signatures,
            invites: second.invites,
            open_numbers: second.open_numbers,
            former: second.former,
            returning: second.returning,
            departed: departed.collect(),
            frozen_at_s: 0,
        }
    }
}

impl From<FirstDraft> for Draft {
    fn from(first: FirstDraft) -> Self {
        let FirstDraft { manifest, frozen, signatures, invites } = first;
        let count = u16::try_from(manifest.members.len()).unwrap_or(u16::MAX);
        // What was left open was not kept: a number that is the usual one was probably open.
        let open = |number: u16, usual: u16| if frozen && number == usual { 0 } else { number };
        let open_numbers = (
            open(manifest.min_contributors, Rules::default_contributors(count)),
            open(manifest.committee_size, Rules::default_committee(count)),
        );
        let invites = invites
            .into_iter()
            .map(|it| Issued {
                fingerprint: it.fingerprint,
                expires_at_s: it.expires_at_s,
                used_by: it.used_by,
                ended: None,
            })
            .collect();
        Self { frozen, signatures, invites, open_numbers, ..Self::new(manifest) }
    }
}

#[cfg(test)]
mod tests {
    use fedshield_fixtures::{members, terms};

    use super::*;

    #[test]
    fn a_draft_of_the_version_before_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("federation.draft");
        let manifest = Manifest { members: members(4), ..terms() };
        let second = SecondDraft {
            manifest: manifest.clone(),
            frozen: true,
            signatures: vec![None; 4],
            invites: vec![],
            open_numbers: (0, 3),
            former: vec![Digest([1; 32])],
            returning: vec![],
            departed: vec![Departed { name: "x".into(), left: true }],
        };
        let body = postcard::to_allocvec(&second).unwrap();
        durable::replace(&path, &[SECOND_MAGIC, &body].concat()).unwrap();
        let read = Draft::read(&path).unwrap().unwrap();
        assert_eq!((&read.manifest, read.frozen, read.frozen_at_s), (&manifest, true, 0));
        assert_eq!(read.departed, [Gone { name: "x".into(), how: How::Left }]);
        read.write(&path).unwrap();
        assert_eq!(Draft::read(&path).unwrap(), Some(read));
    }

    #[test]
    fn a_draft_of_the_first_version_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("federation.draft");
        for (length, frozen) in [(4, true), (64, false)] {
            let name = "n".repeat(length);
            let manifest = Manifest { name, members: members(4), ..terms() };
            let first = FirstDraft {
                manifest: manifest.clone(),
                frozen,
                signatures: vec![None; 4],
                invites: vec![FirstIssued {
                    fingerprint: Digest([3; 32]),
                    expires_at_s: 7,
                    used_by: Some(IdentityKey([4; 32])),
                }],
            };
            durable::replace(&path, &postcard::to_allocvec(&first).unwrap()).unwrap();
            let read = Draft::read(&path).unwrap().unwrap();
            assert_eq!((&read.manifest, read.frozen), (&manifest, frozen));
            assert_eq!(read.open_numbers, if frozen { (0, 0) } else { (3, 3) });
            read.write(&path).unwrap();
            assert_eq!(Draft::read(&path).unwrap(), Some(read));
        }
    }
}

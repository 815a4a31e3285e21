//! What a founder keeps on disk, in this version's form and in the one before it.

use std::path::Path;

use fedshield_protocol::ids::ManifestDigest;
use fedshield_protocol::manifest::{Manifest, Member};
use fedshield_protocol::wire::codec;
use serde::{Deserialize, Serialize};

use super::super::{FoundingError, Invite};
use crate::control::api::ExpectedMember;
use crate::durable;

const MAX_JOINING_BYTES: usize = 2 << 20;
/// Begins this version's file. The one before began with a founding id, 32 random bytes.
const MAGIC: &[u8] = b"fsjoin2\n";

/// What a founder keeps on disk from accepting the terms until it has the signed manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Joining {
    pub(in super::super) invite: Invite,
    /// The terms that were accepted, without members.
    pub(in super::super) terms: Manifest,
    /// This node's own entry, as the owner should have it.
    pub(in super::super) own: Member,
    /// Digest of the one manifest that was signed: on disk before the signature leaves.
    pub(in super::super) signed: Option<ManifestDigest>,
    /// The newest draft or manifest, for people.
    pub(in super::super) seen: Manifest,
    /// The manifest in `seen` is final, as the owner has shown it.
    pub(in super::super) frozen: Option<Frozen>,
    /// Digest of the manifest whose list was confirmed, by people or because it is the expected one: on disk before
    /// anything is signed.
    pub(in super::super) confirmed: Option<ManifestDigest>,
    /// Who the members should be, if that was said when joining.
    pub(in super::super) expected: Option<Vec<ExpectedMember>>,
}

/// A manifest that its owner has frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Frozen {
    pub(in super::super) digest: ManifestDigest,
    /// When this node saw it first, in seconds since 1970; 0 if that is not known.
    pub(in super::super) since_s: u64,
}

/// The form of the version before, whose founders signed what they were shown.
#[derive(Serialize, Deserialize)]
struct FirstJoining {
    invite: Invite,
    terms: Manifest,
    own: Member,
    signed: Option<ManifestDigest>,
    seen: Manifest,
}

impl Joining {
    /// What lies at `path`, if anything.
    pub(in super::super) fn read(path: &Path) -> Result<Option<Self>, FoundingError> {
        let Some(bytes) = durable::read_if_present(path, MAX_JOINING_BYTES as u64)? else {
            return Ok(None);
        };
        let joining = match bytes.strip_prefix(MAGIC) {
            Some(body) => codec::decode("joining", body, MAX_JOINING_BYTES),
            None => {
                codec::decode::<FirstJoining>("joining", &bytes, MAX_JOINING_BYTES).map(Self::from)
            }
        };
        joining.map(Some).map_err(|error| FoundingError::File {
            file: path.display().to_string(),
            reason: error.to_string(),
        })
    }

    /// Puts it on disk.
    pub(super) fn write(&self, path: &Path) -> Result<(), FoundingError> {
        let body = codec::encode("joining", self, MAX_JOINING_BYTES)
            .map_err(|error| FoundingError::Request(error.to_string()))?;
        Ok(durable::replace(path, &[MAGIC, &body].concat())?)
    }
}

impl From<FirstJoining> for Joining {
    fn from(first: FirstJoining) -> Self {
        let FirstJoining { invite, terms, own, signed, seen } = first;
        // What was signed stays signed; what was not waits for a confirmation.
        let frozen = signed.map(|digest| Frozen { digest, since_s: 0 });
        Self { invite, terms, own, signed, seen, frozen, confirmed: signed, expected: None }
    }
}

#[cfg(test)]
mod tests {
    use fedshield_fixtures::{members, terms};
    use fedshield_protocol::ids::{IdentityKey, ManifestDigest};

    use super::super::super::Token;
    use super::*;

    #[test]
    fn what_the_version_before_kept_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("federation.joining");
        for signed in [None, Some(ManifestDigest([7; 32]))] {
            let manifest = Manifest { members: members(4), ..terms() };
            let first = FirstJoining {
                invite: Invite {
                    founding_id: manifest.founding_id,
                    owner: IdentityKey([2; 32]),
                    token: Token::random().unwrap(),
                    expires_at_s: 9,
                    member_count: 1,
                    addresses: vec!["/memory/a".into()],
                },
                terms: terms(),
                own: manifest.members[1].clone(),
                signed,
                seen: manifest.clone(),
            };
            durable::replace(&path, &postcard::to_allocvec(&first).unwrap()).unwrap();
            let read = Joining::read(&path).unwrap().unwrap();
            assert_eq!((&read.seen, read.signed, read.confirmed), (&manifest, signed, signed));
            assert_eq!(read.frozen.map(|it| it.digest), signed);
            read.write(&path).unwrap();
            assert_eq!(Joining::read(&path).unwrap(), Some(read));
        }
        std::fs::write(&path, b"fsjoin2\nx").unwrap();
        let error = Joining::read(&path).unwrap_err();
        assert!(matches!(error, FoundingError::File { .. }), "{error}");
    }
}

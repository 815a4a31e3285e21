//! What a founder keeps on disk: this version's form, and the one before it.

use std::path::Path;

use fedshield_protocol::ids::ManifestDigest;
use fedshield_protocol::manifest::{Draft, Manifest, ManifestError, Member, Offer, UncheckedDraft};
use fedshield_protocol::wire::codec;
use serde::{Deserialize, Serialize};

use super::super::{FoundingError, Invite};
use crate::control::api::ExpectedMember;
use crate::durable;

const MAX_JOINING_BYTES: usize = 2 << 20;
/// Begins this version's file. The one before began with a founding id, 32 random bytes.
const MAGIC: &[u8] = b"fsjoin2\n";

/// What a founder keeps on disk from accepting an offer until it has the signed manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Joining {
    pub(in super::super) invite: Invite,
    /// The offer that was accepted.
    pub(in super::super) accepted: Offer,
    /// This node's own entry, as the owner should have it.
    pub(in super::super) own: Member,
    /// Digest of the one manifest that was signed; on disk before the signature is sent.
    pub(in super::super) signed: Option<ManifestDigest>,
    /// The newest list of members that the owner has shown.
    pub(in super::super) shown: Shown,
    /// Digest of the manifest whose list was confirmed, by an operator or because it is the
    /// expected one; on disk before anything is signed.
    pub(in super::super) confirmed: Option<ManifestDigest>,
    /// Who the members should be, if that was given when joining.
    pub(in super::super) expected: Option<Vec<ExpectedMember>>,
}

/// A list of members as the owner shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Shown {
    /// Others may still join.
    Draft(Draft),
    /// The list is final.
    Frozen(FrozenList),
}

/// A manifest that its owner has frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct FrozenList {
    pub(in super::super) manifest: Manifest,
    pub(in super::super) digest: ManifestDigest,
    /// When this node saw it first, in seconds since 1970, if that is known.
    pub(in super::super) since_s: Option<u64>,
}

/// The form of this version.
#[derive(Serialize, Deserialize)]
struct SecondForm {
    invite: Invite,
    /// Without members.
    terms: UncheckedDraft,
    own: Member,
    signed: Option<ManifestDigest>,
    /// A draft, or a manifest if there is `frozen`.
    seen: Manifest,
    frozen: Option<Frozen>,
    confirmed: Option<ManifestDigest>,
    expected: Option<Vec<ExpectedMember>>,
}

#[derive(Serialize, Deserialize)]
struct Frozen {
    digest: ManifestDigest,
    /// 0 if it is not known.
    since_s: u64,
}

/// The form of the version before, whose founders signed what they were shown.
#[derive(Serialize, Deserialize)]
struct FirstForm {
    invite: Invite,
    terms: UncheckedDraft,
    own: Member,
    signed: Option<ManifestDigest>,
    seen: Manifest,
}

impl Joining {
    /// Reads the file at `path`; `None` if there is none.
    pub(in super::super) fn read(path: &Path) -> Result<Option<Self>, FoundingError> {
        let Some(bytes) = durable::read_if_present(path, MAX_JOINING_BYTES as u64)? else {
            return Ok(None);
        };
        let form = match bytes.strip_prefix(MAGIC) {
            Some(body) => codec::decode("joining", body, MAX_JOINING_BYTES),
            None => codec::decode::<FirstForm>("joining", &bytes, MAX_JOINING_BYTES)
                .map(SecondForm::from),
        };
        let unreadable =
            |reason: String| FoundingError::File { file: path.display().to_string(), reason };
        let form = form.map_err(|error| unreadable(error.to_string()))?;
        form.joining().map(Some).map_err(|error| unreadable(error.to_string()))
    }

    /// Writes it to disk.
    pub(super) fn write(&self, path: &Path) -> Result<(), FoundingError> {
        let body = codec::encode("joining", &SecondForm::of(self), MAX_JOINING_BYTES)
            .map_err(|error| FoundingError::Request(error.to_string()))?;
        Ok(durable::replace(path, &[MAGIC, &body].concat())?)
    }

    /// The frozen list, once the owner has shown one.
    pub(in super::super) const fn frozen(&self) -> Option<&FrozenList> {
        match &self.shown {
            Shown::Draft(_) => None,
            Shown::Frozen(frozen) => Some(frozen),
        }
    }

    /// The members that the owner has shown last.
    pub(in super::super) fn members(&self) -> &[Member] {
        match &self.shown {
            Shown::Draft(draft) => &draft.members,
            Shown::Frozen(frozen) => &frozen.manifest.members,
        }
    }
}

impl SecondForm {
    fn of(joining: &Joining) -> Self {
        let Joining { invite, accepted, own, signed, shown, confirmed, expected } = joining.clone();
        let (seen, frozen) = match shown {
            Shown::Draft(draft) => (UncheckedDraft::from(&draft).into_form(), None),
            Shown::Frozen(FrozenList { manifest, digest, since_s }) => {
                let since_s = since_s.unwrap_or(0);
                (manifest, Some(Frozen { digest, since_s }))
            }
        };
        let terms = UncheckedDraft::from(&accepted);
        Self { invite, terms, own, signed, seen, frozen, confirmed, expected }
    }

    fn joining(self) -> Result<Joining, ManifestError> {
        let Self { invite, terms, own, signed, seen, frozen, confirmed, expected } = self;
        let shown = match frozen {
            None => Shown::Draft(UncheckedDraft::from_form(seen).check()?),
            Some(Frozen { digest, since_s }) => Shown::Frozen(FrozenList {
                manifest: seen,
                digest,
                since_s: Some(since_s).filter(|since_s| *since_s != 0),
            }),
        };
        let accepted = terms.check()?.offer;
        Ok(Joining { invite, accepted, own, signed, shown, confirmed, expected })
    }
}

impl From<FirstForm> for SecondForm {
    fn from(first: FirstForm) -> Self {
        let FirstForm { invite, terms, own, signed, seen } = first;
        // A signed list stays signed; an unsigned one waits for a confirmation.
        let frozen = signed.map(|digest| Frozen { digest, since_s: 0 });
        Self { invite, terms, own, signed, seen, frozen, confirmed: signed, expected: None }
    }
}

#[cfg(test)]
mod tests {
    use fedshield_fixtures::{manifest, offer};
    use fedshield_protocol::ids::IdentityKey;

    use super::super::super::Token;
    use super::*;

    #[test]
    fn what_the_version_before_kept_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("federation.joining");
        for signed in [None, Some(ManifestDigest([7; 32]))] {
            let manifest = manifest(4);
            let first = FirstForm {
                invite: Invite {
                    founding_id: manifest.founding_id,
                    owner: IdentityKey([2; 32]),
                    token: Token::random().unwrap(),
                    expires_at_s: 9,
                    member_count: 1,
                    addresses: vec!["/memory/a".into()],
                },
                terms: UncheckedDraft::from(&offer()),
                own: manifest.members[1].clone(),
                signed,
                seen: manifest.clone(),
            };
            durable::replace(&path, &postcard::to_allocvec(&first).unwrap()).unwrap();
            let read = Joining::read(&path).unwrap().unwrap();
            assert_eq!((read.members(), read.signed), (&manifest.members[..], signed));
            assert_eq!(read.confirmed, signed);
            assert_eq!(read.frozen().map(|it| it.digest), signed);
            assert!(read.frozen().is_none_or(|it| it.manifest == manifest));
            assert!(read.accepted.is_kept_by(&manifest));
            read.write(&path).unwrap();
            assert_eq!(Joining::read(&path).unwrap(), Some(read));
        }
        std::fs::write(&path, b"fsjoin2\nx").unwrap();
        let error = Joining::read(&path).unwrap_err();
        assert!(matches!(error, FoundingError::File { .. }), "{error}");
    }
}

//! The owner's draft as it is stored on disk: this version's form, and the two before it.

use std::path::Path;

use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::manifest::{Draft, Manifest, ManifestError, Member, Rules, UncheckedDraft};
use fedshield_protocol::sign::Signature;
use fedshield_protocol::wire::codec;
use serde::{Deserialize, Serialize};

use super::super::FoundingError;
use super::super::message::{Gone, How};
use crate::durable;

/// Enough for the manifest, invites and signatures of 100 members.
const MAX_DRAFT_BYTES: usize = 4 << 20;
/// Begins this version's file.
const MAGIC: &[u8] = b"fsdraft3";
/// Begins the file of the previous version. The first version's file begins with the length of the
/// federation's name, a byte of at most 64.
const SECOND_MAGIC: &[u8] = b"fsdraft2";

/// What the owner keeps on disk until the federation is founded, and after it for founders that
/// poll late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct KeptDraft {
    /// The offer and the members so far, the owner first.
    pub(in super::super) draft: Draft,
    /// Present once the list is final.
    pub(in super::super) frozen: Option<FrozenDraft>,
    pub(super) invites: Vec<Issued>,
    /// Ids that the draft had before it was opened again, oldest first.
    pub(super) former: Vec<Digest>,
    /// Members of the draft before it was opened again that have not come back yet.
    pub(in super::super) returning: Vec<Member>,
    /// Names of former members, oldest first.
    pub(in super::super) departed: Vec<Gone>,
}

/// The manifest that a frozen draft is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct FrozenDraft {
    pub(in super::super) manifest: Manifest,
    /// In manifest order.
    pub(in super::super) signatures: Vec<Option<Signature>>,
    /// When it was frozen, in seconds since 1970, if that is known.
    pub(in super::super) at_s: Option<u64>,
}

/// One invite that was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Issued {
    pub(super) fingerprint: Digest,
    pub(super) expires_at_s: u64,
    pub(super) used_by: Option<IdentityKey>,
    pub(super) ended: Option<Ended>,
}

/// Why the founder that an invite admitted is no longer one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ended {
    /// It left, with the entry that had this sealing key; with another one it may come back.
    Left { sealing_key: Vec<u8> },
    /// The owner took it off the list.
    Dropped,
}

/// The form of this version. Once frozen, `manifest` has its numbers filled in.
#[derive(Serialize, Deserialize)]
struct ThirdForm {
    manifest: Manifest,
    frozen: bool,
    signatures: Vec<Option<Signature>>,
    invites: Vec<Issued>,
    /// `min_contributors` and `committee_size` of the offer; 0 is an open number.
    open_numbers: (u16, u16),
    former: Vec<Digest>,
    returning: Vec<Member>,
    departed: Vec<Gone>,
    /// 0 if it is not frozen, or if that is not known.
    frozen_at_s: u64,
}

/// The form of the version before, whose owners signed when they froze.
#[derive(Serialize, Deserialize)]
struct SecondForm {
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
struct FirstForm {
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

impl KeptDraft {
    /// A draft that nobody has joined but its owner.
    pub(super) const fn new(draft: Draft) -> Self {
        Self {
            draft,
            frozen: None,
            invites: Vec::new(),
            former: Vec::new(),
            returning: Vec::new(),
            departed: Vec::new(),
        }
    }

    /// The id under which the founders meet.
    pub(in super::super) const fn founding_id(&self) -> Digest {
        self.draft.offer.founding_id
    }

    /// The signatures with the members that they are of; none before the draft is frozen.
    pub(in super::super) fn signatures(
        &self,
    ) -> impl Iterator<Item = (&Member, Option<&Signature>)> {
        let frozen = self.frozen.iter();
        frozen
            .flat_map(|it| it.manifest.members.iter().zip(it.signatures.iter().map(Option::as_ref)))
    }

    /// The draft at `path`, if there is one.
    pub(in super::super) fn read(path: &Path) -> Result<Option<Self>, FoundingError> {
        let Some(bytes) = durable::read_if_present(path, MAX_DRAFT_BYTES as u64)? else {
            return Ok(None);
        };
        let form = match (bytes.strip_prefix(MAGIC), bytes.strip_prefix(SECOND_MAGIC)) {
            (Some(body), _) => codec::decode("draft", body, MAX_DRAFT_BYTES),
            (_, Some(body)) => {
                codec::decode::<SecondForm>("draft", body, MAX_DRAFT_BYTES).map(ThirdForm::from)
            }
            _ => codec::decode::<FirstForm>("draft", &bytes, MAX_DRAFT_BYTES).map(ThirdForm::from),
        };
        let unreadable =
            |reason: String| FoundingError::File { file: path.display().to_string(), reason };
        let form = form.map_err(|error| unreadable(error.to_string()))?;
        form.kept().map(Some).map_err(|error| unreadable(error.to_string()))
    }

    /// Writes it to disk.
    pub(super) fn write(&self, path: &Path) -> Result<(), FoundingError> {
        let body = codec::encode("draft", &ThirdForm::of(self), MAX_DRAFT_BYTES)
            .map_err(|error| FoundingError::Request(error.to_string()))?;
        Ok(durable::replace(path, &[MAGIC, &body].concat())?)
    }
}

impl ThirdForm {
    fn of(kept: &KeptDraft) -> Self {
        let KeptDraft { draft, frozen, invites, former, returning, departed } = kept.clone();
        let terms = &draft.offer.terms;
        let open_numbers = (terms.min_contributors.unwrap_or(0), terms.committee_size.unwrap_or(0));
        let (is_frozen, manifest, signatures, frozen_at_s) = match frozen {
            Some(it) => (true, it.manifest, it.signatures, it.at_s.unwrap_or(0)),
            None => (false, UncheckedDraft::from(&draft).into_form(), Vec::new(), 0),
        };
        let frozen = is_frozen;
        Self {
            manifest,
            frozen,
            signatures,
            invites,
            open_numbers,
            former,
            returning,
            departed,
            frozen_at_s,
        }
    }

    fn kept(self) -> Result<KeptDraft, ManifestError> {
        let (min_contributors, committee_size) = self.open_numbers;
        let open = Manifest { min_contributors, committee_size, ..self.manifest.clone() };
        let draft = UncheckedDraft::from_form(open).check()?;
        let at_s = Some(self.frozen_at_s).filter(|at_s| *at_s != 0);
        let (manifest, signatures) = (self.manifest, self.signatures);
        let frozen = self.frozen.then_some(FrozenDraft { manifest, signatures, at_s });
        let Self { invites, former, returning, departed, .. } = self;
        Ok(KeptDraft { draft, frozen, invites, former, returning, departed })
    }
}

impl From<SecondForm> for ThirdForm {
    fn from(second: SecondForm) -> Self {
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

impl From<FirstForm> for ThirdForm {
    fn from(first: FirstForm) -> Self {
        let FirstForm { manifest, frozen, signatures, invites } = first;
        let count = u16::try_from(manifest.members.len()).unwrap_or(u16::MAX);
        // This form did not record which numbers were left open: one that equals the default was
        // probably open.
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
        Self {
            manifest,
            frozen,
            signatures,
            invites,
            open_numbers,
            former: Vec::new(),
            returning: Vec::new(),
            departed: Vec::new(),
            frozen_at_s: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use fedshield_fixtures::{manifest, offer};

    use super::*;

    /// The numbers that the offer leaves open are not in its bytes.
    fn numbers(kept: &KeptDraft) -> (Option<u16>, Option<u16>) {
        let terms = &kept.draft.offer.terms;
        (terms.min_contributors, terms.committee_size)
    }

    #[test]
    fn a_draft_of_the_version_before_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("federation.draft");
        let manifest = manifest(4);
        let second = SecondForm {
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
        let read = KeptDraft::read(&path).unwrap().unwrap();
        let frozen = read.frozen.clone().unwrap();
        assert_eq!((frozen.manifest, frozen.at_s), (manifest, None));
        assert_eq!(numbers(&read), (None, Some(3)));
        assert_eq!(read.departed, [Gone { name: "x".into(), how: How::Left }]);
        read.write(&path).unwrap();
        assert_eq!(KeptDraft::read(&path).unwrap(), Some(read));
    }

    #[test]
    fn a_draft_of_the_first_version_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("federation.draft");
        for (length, frozen) in [(4, true), (64, false)] {
            let manifest = Manifest { name: "n".repeat(length), ..manifest(4) };
            let first = FirstForm {
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
            let read = KeptDraft::read(&path).unwrap().unwrap();
            assert_eq!(read.frozen.is_some(), frozen);
            assert_eq!(read.draft.complete(), manifest);
            assert_eq!(numbers(&read), if frozen { (None, None) } else { (Some(3), Some(3)) });
            read.write(&path).unwrap();
            assert_eq!(KeptDraft::read(&path).unwrap(), Some(read));
        }
    }

    /// The checksum matches, and the terms are ones that cannot have been chosen.
    #[test]
    fn terms_that_are_not_valid_are_refused_with_the_file_and_the_field() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("federation.draft");
        let mut form = ThirdForm::of(&KeptDraft::new(offer().with(Vec::new())));
        form.manifest.rounds = 0;
        let body = postcard::to_allocvec(&form).unwrap();
        durable::replace(&path, &[MAGIC, &body].concat()).unwrap();
        let error = KeptDraft::read(&path).unwrap_err().to_string();
        assert!(error.contains("federation.draft") && error.contains("`rounds`"), "{error}");
    }
}

//! A manifest that every founding member has signed: the start of a federation.

use serde::{Deserialize, Serialize};

use super::check::{ManifestError, check};
use super::{Manifest, Rules};
use crate::hash::Use;
use crate::ids::{Beacon, Digest, Epoch, FederationId, IdentityKey, ManifestDigest, MemberIndex};
use crate::limits::MAX_MANIFEST_BYTES;
use crate::sign::{Ed25519, Signature, Signatures, verify_ed25519};
use crate::wire::codec::{self, CodecError};

/// Why a manifest does not found a federation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestSignatureError {
    /// A field is wrong.
    #[error(transparent)]
    Invalid(#[from] ManifestError),
    /// The bytes are not a signed manifest.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// One signature for each member, in manifest order, is needed.
    #[error(
        "the manifest has {members} members and {signatures} signatures: every founder must sign"
    )]
    Signatures {
        /// How many members it lists.
        members: usize,
        /// How many signatures came with it.
        signatures: usize,
    },
    /// A signature does not verify.
    #[error(
        "the signature of founder {name:?} over this manifest does not verify: let it sign again"
    )]
    WrongSignature {
        /// The founder's name.
        name: String,
    },
    /// The key that should sign belongs to no member.
    #[error("the key {key} belongs to no member of this manifest")]
    NotAMember {
        /// The public half of the key.
        key: IdentityKey,
    },
}

/// A manifest with a signature of every founding member, in manifest order; unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedManifest {
    /// What they agreed to.
    pub manifest: Manifest,
    /// By member, in manifest order.
    pub signatures: Vec<Signature>,
}

impl SignedManifest {
    /// The canonical bytes, for disk and wire.
    ///
    /// # Errors
    /// [`CodecError::TooLong`], which a valid manifest never is.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode("signed manifest", self, MAX_MANIFEST_BYTES)
    }

    /// Reads canonical bytes; the content is not checked yet, see [`ValidManifest::founded`].
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        super::binary::check_version("signed manifest", bytes)?;
        codec::decode("signed manifest", bytes, MAX_MANIFEST_BYTES)
    }
}

/// What a founder signs: the manifest with this digest, and nothing else can have the same.
fn founding_digest(manifest: &ManifestDigest) -> Digest {
    Use::Signature.digest(&[b"founding", manifest.as_bytes()])
}

/// Whether `signature` is the founding signature of `key` over the manifest with this digest.
#[must_use]
pub fn is_founding_signature(
    key: &IdentityKey,
    manifest: &ManifestDigest,
    signature: &Signature,
) -> bool {
    verify_ed25519(key, &founding_digest(manifest), signature)
}

/// A founder's signature over a manifest. The manifest is checked first: nobody should sign
/// nonsense.
///
/// # Errors
/// [`ManifestSignatureError::Invalid`], or [`ManifestSignatureError::NotAMember`] if the manifest
/// does not list this key.
pub fn sign_founding(
    manifest: &Manifest,
    key: &ed25519_dalek::SigningKey,
) -> Result<(MemberIndex, Signature), ManifestSignatureError> {
    let valid = ValidManifest::check(manifest.clone())?;
    let identity = IdentityKey(key.verifying_key().to_bytes());
    let member = valid
        .member_by_key(&identity)
        .ok_or(ManifestSignatureError::NotAMember { key: identity })?;
    let signature = Ed25519::new(key.clone()).sign(&founding_digest(&valid.digest()));
    Ok((member, signature))
}

/// A manifest whose fields make sense, with the numbers that follow from it. Made by
/// [`ValidManifest::check`] (fields only) or [`ValidManifest::founded`] (fields and every founder's
/// signature).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidManifest {
    manifest: Manifest,
    rules: Rules,
    digest: ManifestDigest,
    federation: FederationId,
}

impl ValidManifest {
    /// Checks the fields.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(manifest: Manifest) -> Result<Self, ManifestSignatureError> {
        let rules = check(&manifest)?;
        let bytes = codec::encode("manifest", &manifest, MAX_MANIFEST_BYTES)?;
        let digest = ManifestDigest(Use::Manifest.digest(&[&bytes]).0);
        let federation = FederationId(Use::Federation.digest(&[digest.as_bytes()]).0);
        Ok(Self { manifest, rules, digest, federation })
    }

    /// Checks the fields and every founder's signature.
    ///
    /// # Errors
    /// See [`ManifestSignatureError`].
    pub fn founded(signed: SignedManifest) -> Result<Self, ManifestSignatureError> {
        let valid = Self::check(signed.manifest)?;
        let members = valid.manifest.members.len();
        let signatures = signed.signatures.len();
        if members != signatures {
            return Err(ManifestSignatureError::Signatures { members, signatures });
        }
        for (member, signature) in valid.manifest.members.iter().zip(&signed.signatures) {
            if !is_founding_signature(&member.identity_key, &valid.digest, signature) {
                return Err(ManifestSignatureError::WrongSignature { name: member.name.clone() });
            }
        }
        Ok(valid)
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The numbers.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The manifest's digest.
    #[must_use]
    pub const fn digest(&self) -> ManifestDigest {
        self.digest
    }

    /// The federation id: from the digest of the first manifest.
    #[must_use]
    pub const fn federation(&self) -> FederationId {
        self.federation
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.manifest.epoch
    }

    /// The beacon of the first round.
    #[must_use]
    pub fn first_beacon(&self) -> Beacon {
        Beacon(Use::Beacon.digest(&[self.federation.as_bytes()]).0)
    }

    /// The identity key of `member`.
    #[must_use]
    pub fn key_of(&self, member: MemberIndex) -> Option<&IdentityKey> {
        self.manifest.members.get(member.position()).map(|m| &m.identity_key)
    }

    /// Which member has this identity key.
    #[must_use]
    pub fn member_by_key(&self, key: &IdentityKey) -> Option<MemberIndex> {
        let position = self.manifest.members.iter().position(|m| m.identity_key == *key)?;
        u16::try_from(position).ok().map(MemberIndex)
    }

    /// All members, in manifest order.
    pub fn members(&self) -> impl DoubleEndedIterator<Item = MemberIndex> + use<> {
        (0..self.rules.member_count).map(MemberIndex)
    }

    /// Breaks the rules on purpose, so that the checkers of the simulator have something to find.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.rules);
    }
}

//! The owner's own confirmation of the list that it has frozen, recorded by its signature in the
//! draft.

use ed25519_dalek::SigningKey;
use fedshield_protocol::ids::ManifestDigest;
use fedshield_protocol::manifest::{ValidManifest, sign_founding};

use super::super::{FoundingError, expected, phrase};
use super::Owner;
use crate::control::api::ExpectedMember;

impl Owner {
    /// The operator confirms the frozen list by its phrase: this node signs it.
    ///
    /// # Errors
    /// [`FoundingError::NotFrozen`], [`FoundingError::Phrase`], or a failure of the disk.
    pub(in super::super) fn confirm(
        &mut self,
        said: &str,
        key: &SigningKey,
    ) -> Result<(), FoundingError> {
        let digest = self.frozen_digest().ok_or(FoundingError::NotFrozen)?;
        phrase::compare(said, &digest)?;
        self.sign(key)
    }

    /// Freezes the draft if its members are exactly the expected ones, and signs it.
    ///
    /// # Errors
    /// [`FoundingError::Unexpected`]: nothing is frozen; or an error of [`Owner::freeze`].
    pub(in super::super) fn freeze_expected(
        &mut self,
        list: &[ExpectedMember],
        now_s: u64,
        key: &SigningKey,
    ) -> Result<(), FoundingError> {
        let differences = expected::differences(list, &self.kept.draft.members);
        if !differences.is_empty() {
            return Err(FoundingError::Unexpected { differences });
        }
        self.freeze(now_s)?;
        self.sign(key)
    }

    /// The digest of the frozen manifest.
    pub(in super::super) fn frozen_digest(&self) -> Option<ManifestDigest> {
        let frozen = self.kept.frozen.as_ref()?;
        ValidManifest::check(frozen.manifest.clone()).ok().map(|valid| valid.digest())
    }

    /// Whether this node has confirmed, and so signed, the list.
    pub(in super::super) fn has_signed(&self) -> bool {
        self.kept
            .signatures()
            .any(|(member, signature)| member.identity_key == self.key && signature.is_some())
    }

    fn sign(&mut self, key: &SigningKey) -> Result<(), FoundingError> {
        if self.has_signed() {
            return Ok(());
        }
        let mut next = self.kept.clone();
        let frozen = next.frozen.as_mut().ok_or(FoundingError::NotFrozen)?;
        let (member, signature) = sign_founding(&frozen.manifest, key)?;
        if let Some(place) = frozen.signatures.get_mut(member.position()) {
            *place = Some(signature);
        }
        self.save(next)
    }
}

//! The frozen list: shown to the operator, compared with the expected members, confirmed, and only
//! then signed.

use ed25519_dalek::SigningKey;
use fedshield_protocol::ids::ManifestDigest;
use fedshield_protocol::manifest::{Manifest, ValidManifest, sign_founding};

use super::super::message::Ask;
use super::super::{FoundingError, expected, phrase};
use super::stored::{FrozenList, Joining, Shown};
use super::{Joiner, Next};

impl Joiner {
    /// Takes a frozen manifest from the owner; signs it if its list is confirmed or is exactly the
    /// expected one.
    pub(super) fn shown(
        &mut self,
        manifest: Manifest,
        missing: Vec<String>,
        key: &SigningKey,
        now_s: u64,
    ) -> Result<Next, FoundingError> {
        self.check_manifest(&manifest)?;
        let digest = ValidManifest::check(manifest.clone())?.digest();
        self.check_signed(digest)?;
        self.missing = Some(missing);
        if self.joining.frozen().is_none_or(|frozen| frozen.digest != digest) {
            let shown = Shown::Frozen(FrozenList { manifest, digest, since_s: Some(now_s) });
            self.save(Joining { shown, ..self.joining.clone() })?;
        }
        if self.joining.confirmed != Some(digest) && self.is_expected() {
            self.confirmed(digest)?;
        }
        self.sign_confirmed(key)
    }

    /// The operator confirms the frozen list by its phrase.
    ///
    /// # Errors
    /// [`FoundingError::NotFrozen`], [`FoundingError::Phrase`].
    pub(in super::super) fn confirm(&mut self, said: &str) -> Result<(), FoundingError> {
        let digest = self.joining.frozen().ok_or(FoundingError::NotFrozen)?.digest;
        phrase::compare(said, &digest)?;
        self.confirmed(digest)
    }

    /// Whether the list that the owner shows now is confirmed.
    pub(in super::super) fn is_confirmed(&self) -> bool {
        let shown = self.joining.frozen().map(|frozen| frozen.digest);
        shown.is_some() && shown == self.joining.confirmed
    }

    /// How the frozen list differs from the expected or confirmed one, one sentence each; empty
    /// before it is frozen.
    pub(in super::super) fn differences(&self) -> Vec<String> {
        let Some(frozen) = self.joining.frozen() else { return Vec::new() };
        let mut found = Vec::new();
        if self.joining.confirmed.is_some_and(|confirmed| confirmed != frozen.digest) {
            found.push(format!(
                "{} now shows a different list from the one that was confirmed here",
                self.owner_name()
            ));
        }
        if let Some(list) = &self.joining.expected {
            found.extend(expected::differences(list, self.joining.members()));
        }
        found
    }

    /// Members of the open draft that are not expected; empty once it is frozen.
    pub(in super::super) fn strangers(&self) -> Vec<String> {
        match (self.joining.frozen(), &self.joining.expected) {
            (None, Some(list)) => expected::strangers(list, self.joining.members()),
            _ => Vec::new(),
        }
    }

    fn is_expected(&self) -> bool {
        let members = self.joining.members();
        // After another list was confirmed here, the operator must check this one.
        self.joining.confirmed.is_none()
            && self
                .joining
                .expected
                .as_ref()
                .is_some_and(|list| expected::differences(list, members).is_empty())
    }

    fn confirmed(&mut self, digest: ManifestDigest) -> Result<(), FoundingError> {
        if self.joining.confirmed == Some(digest) {
            return Ok(());
        }
        self.save(Joining { confirmed: Some(digest), ..self.joining.clone() })
    }

    fn sign_confirmed(&mut self, key: &SigningKey) -> Result<Next, FoundingError> {
        let Some(FrozenList { manifest, digest, .. }) =
            self.joining.frozen().filter(|_| self.is_confirmed())
        else {
            return Ok(Next::Wait);
        };
        let ((_, signature), digest) = (sign_founding(manifest, key)?, *digest);
        if self.joining.signed.is_none() {
            self.save(Joining { signed: Some(digest), ..self.joining.clone() })?;
        }
        Ok(Next::Ask(Ask::Sign { manifest: digest, signature }))
    }
}

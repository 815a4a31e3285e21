//! Signatures: strict ed25519 over a domain-separated digest.

use core::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::hash::Use;
use crate::ids::{Digest, IdentityKey};

/// An ed25519 signature.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signature([u8; 32], [u8; 32]);

impl Signature {
    /// From its 64 bytes; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let (r, s) = bytes.split_at_checked(32)?;
        Some(Self(r.try_into().ok()?, s.try_into().ok()?))
    }

    /// Its 64 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        let (r, s) = bytes.split_at_mut(32);
        r.copy_from_slice(&self.0);
        s.copy_from_slice(&self.1);
        bytes
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// How signatures are made and checked. The product has one way, [`Ed25519`]; the L0 simulator,
/// whose subject is the protocol and not the curve, brings a cheaper one of its own.
pub trait Signatures: Send + Sync {
    /// The digest of a statement that is signed: of its scope, its sender, its kind and its
    /// content.
    fn digest(&self, parts: &[&[u8]]) -> Digest {
        Use::Signature.digest(parts)
    }
    /// Signs `digest` with this member's own key; deterministic.
    fn sign(&self, digest: &Digest) -> Signature;
    /// Whether `signature` over `digest` is by `key`.
    fn verify(&self, key: &IdentityKey, digest: &Digest, signature: &Signature) -> bool;
}

/// Strict ed25519 (no small-order keys, canonical points only).
pub struct Ed25519(SigningKey);

impl Ed25519 {
    /// Signs with `key`, which is erased when this is dropped.
    #[must_use]
    pub const fn new(key: SigningKey) -> Self {
        Self(key)
    }
}

impl fmt::Debug for Ed25519 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ed25519(redacted)")
    }
}

impl Signatures for Ed25519 {
    fn sign(&self, digest: &Digest) -> Signature {
        let signature = self.0.sign(digest.as_bytes());
        Signature(*signature.r_bytes(), *signature.s_bytes())
    }

    fn verify(&self, key: &IdentityKey, digest: &Digest, signature: &Signature) -> bool {
        verify_ed25519(key, digest, signature)
    }
}

/// Whether `signature` over `digest` is by `key`; strict.
#[must_use]
pub fn verify_ed25519(key: &IdentityKey, digest: &Digest, signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.to_bytes());
    VerifyingKey::from_bytes(key.as_bytes())
        .is_ok_and(|key| key.verify_strict(digest.as_bytes(), &signature).is_ok())
}

/// Whether a key is a point that strict verification can accept.
pub(crate) fn is_usable_key(key: &IdentityKey) -> bool {
    VerifyingKey::from_bytes(key.as_bytes()).is_ok_and(|key| !key.is_weak())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_binds_key_and_digest() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let identity = IdentityKey(key.verifying_key().to_bytes());
        let signer = Ed25519::new(key);
        let signature = signer.sign(&Digest([1; 32]));
        assert!(signer.verify(&identity, &Digest([1; 32]), &signature));
        assert!(!signer.verify(&identity, &Digest([2; 32]), &signature));
        assert!(!signer.verify(&IdentityKey([0; 32]), &Digest([1; 32]), &signature));
        assert!(!is_usable_key(&IdentityKey([0; 32])));
        assert_eq!(Signature::from_slice(&signature.to_bytes()), Some(signature));
        assert_eq!(Signature::from_slice(&[0; 63]), None);
        assert_eq!(format!("{signer:?}"), "Ed25519(redacted)");
    }
}

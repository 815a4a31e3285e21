//! Sealing bytes at rest: XChaCha20-Poly1305 under a random key, or under one from a passphrase by Argon2id.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::Passphrase;
use crate::randomness::{self, RandomnessError};

/// Length of the nonce, which precedes the ciphertext.
pub(super) const NONCE_BYTES: usize = 24;
/// Most memory that a key file may demand, in KiB: a damaged one must not exhaust the machine.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 64;

/// The ciphertext does not open: wrong key, or the bytes were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes do not open")]
pub(super) struct OpenError;

/// A symmetric key; erased when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct SealKey([u8; 32]);

impl SealKey {
    pub(super) fn random() -> Result<Self, RandomnessError> {
        let mut key = Self([0; 32]);
        randomness::fill(&mut key.0)?;
        Ok(key)
    }

    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Nonce and ciphertext of `plain`; opens only with the same `context`.
    pub(super) fn seal(&self, plain: &[u8], context: &[u8]) -> Result<Vec<u8>, RandomnessError> {
        let mut nonce = [0; NONCE_BYTES];
        randomness::fill(&mut nonce)?;
        let payload = Payload { msg: plain, aad: context };
        let sealed = XChaCha20Poly1305::new(&self.0.into())
            .encrypt(&XNonce::from(nonce), payload)
            // Only a plaintext of more than 256 GiB fails.
            .unwrap_or_default();
        Ok([&nonce[..], &sealed].concat())
    }

    /// The plaintext of `sealed`.
    pub(super) fn open(
        &self,
        sealed: &[u8],
        context: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError)?;
        XChaCha20Poly1305::new(&self.0.into())
            .decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: context })
            .map(Zeroizing::new)
            .map_err(|_| OpenError)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// Parameters of the key derivation from a passphrase: Argon2id, RFC 9106.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kdf {
    /// Memory in KiB.
    memory_kib: u32,
    /// Passes over the memory.
    passes: u32,
    /// Random, lower-case hex.
    salt: String,
}

impl Kdf {
    /// The second recommended set of RFC 9106 (64 MiB, 3 passes), with one lane, and a fresh salt.
    pub(super) fn fresh() -> Result<Self, RandomnessError> {
        let mut salt = [0; 16];
        randomness::fill(&mut salt)?;
        let salt = data_encoding::HEXLOWER.encode(&salt);
        Ok(Self { memory_kib: 64 << 10, passes: 3, salt })
    }

    /// The key for `passphrase`.
    pub(super) fn derive(&self, passphrase: &Passphrase) -> Result<SealKey, OpenError> {
        if self.memory_kib > MAX_MEMORY_KIB || self.passes > MAX_PASSES {
            return Err(OpenError);
        }
        let params =
            Params::new(self.memory_kib, self.passes, 1, Some(32)).map_err(|_| OpenError)?;
        let mut key = SealKey([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), self.salt.as_bytes(), &mut key.0)
            .map_err(|_| OpenError)?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_with_its_key_its_context_and_all_its_bytes() {
        let key = SealKey::random().unwrap();
        let sealed = key.seal(b"secret", b"name").unwrap();
        assert_eq!(key.open(&sealed, b"name").unwrap().as_slice(), b"secret");
        assert!(key.open(&sealed, b"other").is_err());
        assert!(SealKey::random().unwrap().open(&sealed, b"name").is_err());
        for index in 0..sealed.len() {
            let mut wrong = sealed.clone();
            wrong[index] ^= 1;
            assert!(key.open(&wrong, b"name").is_err());
            assert!(key.open(&sealed[..index], b"name").is_err());
        }
    }

    #[test]
    fn a_damaged_key_file_cannot_ask_for_all_the_memory() {
        let kdf = Kdf { memory_kib: u32::MAX, passes: 3, salt: "00".repeat(16) };
        let passphrase = Passphrase::new(Zeroizing::new("x".to_owned()));
        assert!(kdf.derive(&passphrase).is_err());
    }
}

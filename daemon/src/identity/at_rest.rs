//! Encryption at rest: XChaCha20-Poly1305 under a random key, or under one from a passphrase by
//! Argon2id.

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

/// The ciphertext cannot be decrypted: wrong key, or the bytes were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the encrypted bytes cannot be decrypted")]
pub(super) struct DecryptionError;

/// A symmetric key; erased when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct AtRestKey([u8; 32]);

impl AtRestKey {
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

    /// Nonce and ciphertext of `plain`; decrypts only with the same `context`.
    pub(super) fn encrypt(&self, plain: &[u8], context: &[u8]) -> Result<Vec<u8>, RandomnessError> {
        let mut nonce = [0; NONCE_BYTES];
        randomness::fill(&mut nonce)?;
        let payload = Payload { msg: plain, aad: context };
        let encrypted = XChaCha20Poly1305::new(&self.0.into())
            .encrypt(&XNonce::from(nonce), payload)
            // Only a plaintext of more than 256 GiB fails.
            .unwrap_or_default();
        Ok([&nonce[..], &encrypted].concat())
    }

    /// The plaintext of `encrypted`.
    pub(super) fn decrypt(
        &self,
        encrypted: &[u8],
        context: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DecryptionError> {
        let (nonce, body) = encrypted.split_first_chunk::<NONCE_BYTES>().ok_or(DecryptionError)?;
        XChaCha20Poly1305::new(&self.0.into())
            .decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: context })
            .map(Zeroizing::new)
            .map_err(|_| DecryptionError)
    }
}

impl fmt::Debug for AtRestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtRestKey(..)")
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
    pub(super) fn derive(&self, passphrase: &Passphrase) -> Result<AtRestKey, DecryptionError> {
        if self.memory_kib > MAX_MEMORY_KIB || self.passes > MAX_PASSES {
            return Err(DecryptionError);
        }
        let params =
            Params::new(self.memory_kib, self.passes, 1, Some(32)).map_err(|_| DecryptionError)?;
        let mut key = AtRestKey([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), self.salt.as_bytes(), &mut key.0)
            .map_err(|_| DecryptionError)?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_with_its_key_its_context_and_all_its_bytes() {
        let key = AtRestKey::random().unwrap();
        let encrypted = key.encrypt(b"secret", b"name").unwrap();
        assert_eq!(key.decrypt(&encrypted, b"name").unwrap().as_slice(), b"secret");
        assert!(key.decrypt(&encrypted, b"other").is_err());
        assert!(AtRestKey::random().unwrap().decrypt(&encrypted, b"name").is_err());
        for index in 0..encrypted.len() {
            let mut wrong = encrypted.clone();
            wrong[index] ^= 1;
            assert!(key.decrypt(&wrong, b"name").is_err());
            assert!(key.decrypt(&encrypted[..index], b"name").is_err());
        }
    }

    #[test]
    fn a_damaged_key_file_cannot_ask_for_all_the_memory() {
        let kdf = Kdf { memory_kib: u32::MAX, passes: 3, salt: "00".repeat(16) };
        let passphrase = Passphrase::new(Zeroizing::new("x".to_owned()));
        assert!(kdf.derive(&passphrase).is_err());
    }
}

//! The identity file: the ed25519 seed and the key of the secret store, encrypted with a
//! passphrase or in plaintext.

use std::fmt;
use std::path::Path;

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey};
use fedshield_protocol::ids::IdentityKey;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::at_rest::{AtRestKey, Kdf};
use super::{IdentityError, Passphrase};
use crate::durable;

const FORMAT: &str = "fedshield-identity/1";
const LIMIT_BYTES: u64 = 64 << 10;

/// How the identity is stored on disk.
#[derive(Debug, Clone)]
pub enum Protection {
    /// Encrypted with this passphrase.
    Passphrase(Passphrase),
    /// Unencrypted, for trials: whoever reads the file can act as this node.
    None,
}

/// This node's key. Erased when dropped, never printed.
pub struct Identity {
    signing: SigningKey,
    vault: AtRestKey,
    protected: bool,
}

/// The secret content of the file, encrypted or in plaintext.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Inside {
    seed: [u8; 32],
    vault: [u8; 32],
}

/// The file: TOML, so that an operator can see whose key it is and how it is protected.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    public_key: IdentityKey,
    /// Base64; encrypted if there is a `kdf`.
    content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kdf: Option<Kdf>,
}

impl Drop for File {
    fn drop(&mut self) {
        self.content.zeroize();
    }
}

impl Identity {
    /// Makes a key from the system's randomness and writes it to `path`.
    ///
    /// # Errors
    /// [`IdentityError::Exists`], [`IdentityError::EmptyPassphrase`], or a disk error.
    pub fn create(path: &Path, protection: &Protection) -> Result<Self, IdentityError> {
        if path.exists() {
            return Err(IdentityError::Exists { path: path.to_path_buf() });
        }
        let inside = Inside {
            seed: *AtRestKey::random()?.as_bytes(),
            vault: *AtRestKey::random()?.as_bytes(),
        };
        let identity = Self::from_inside(&inside, matches!(protection, Protection::Passphrase(_)));
        let plain = Zeroizing::new([inside.seed, inside.vault].concat());
        let (content, kdf) = match protection {
            Protection::None => (BASE64.encode(&plain), None),
            Protection::Passphrase(passphrase) if passphrase.is_empty() => {
                return Err(IdentityError::EmptyPassphrase);
            }
            Protection::Passphrase(passphrase) => {
                let kdf = Kdf::fresh()?;
                let key = derive(&kdf, passphrase, path)?;
                let encrypted = key.encrypt(&plain, identity.key().as_bytes())?;
                (BASE64.encode(&encrypted), Some(kdf))
            }
        };
        let file = File { format: FORMAT.to_owned(), public_key: identity.key(), content, kdf };
        let text = toml::to_string(&file)
            .map(Zeroizing::new)
            .map_err(|error| malformed(path, &error.to_string()))?;
        durable::make_folder(durable::parent(path))?;
        durable::replace(path, text.as_bytes())?;
        Ok(identity)
    }

    /// Reads the key at `path`.
    ///
    /// # Errors
    /// Any of [`IdentityError`] but `Exists` and `EmptyPassphrase`.
    pub fn open(path: &Path, passphrase: Option<&Passphrase>) -> Result<Self, IdentityError> {
        let file = read(path)?;
        let content = BASE64
            .decode(file.content.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| malformed(path, "its content is not base64"))?;
        let plain = match (&file.kdf, passphrase) {
            (None, _) => content,
            (Some(_), None) => return Err(IdentityError::Locked { path: path.to_path_buf() }),
            (Some(kdf), Some(passphrase)) => derive(kdf, passphrase, path)?
                .decrypt(&content, file.public_key.as_bytes())
                .map_err(|_| IdentityError::WrongPassphrase { path: path.to_path_buf() })?,
        };
        let (Some(seed), Some(vault), 64) =
            (plain.first_chunk::<32>(), plain.last_chunk::<32>(), plain.len())
        else {
            return Err(malformed(path, "its content has the wrong length"));
        };
        let inside = Inside { seed: *seed, vault: *vault };
        let identity = Self::from_inside(&inside, file.kdf.is_some());
        if identity.key() != file.public_key {
            return Err(malformed(path, "its two keys do not belong together"));
        }
        Ok(identity)
    }

    /// The public key at `path`, without a passphrase.
    ///
    /// # Errors
    /// If there is no identity file.
    pub fn public_key_at(path: &Path) -> Result<IdentityKey, IdentityError> {
        Ok(read(path)?.public_key)
    }

    /// Whether the file at `path` is encrypted with a passphrase.
    ///
    /// # Errors
    /// If there is no identity file.
    pub fn is_encrypted_at(path: &Path) -> Result<bool, IdentityError> {
        Ok(read(path)?.kdf.is_some())
    }

    /// The public key: this node's name for all others.
    #[must_use]
    pub fn key(&self) -> IdentityKey {
        IdentityKey(self.signing.verifying_key().to_bytes())
    }

    /// The key that signs, for the protocol machine's messages.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    /// The seed, for the network's handshake.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_bytes())
    }

    /// Signs bytes that already contain their own domain separation.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.signing.sign(bytes).to_bytes().to_vec()
    }

    /// False if the file is not encrypted, which deserves a warning.
    #[must_use]
    pub const fn is_protected(&self) -> bool {
        self.protected
    }

    pub(super) fn vault(&self) -> AtRestKey {
        self.vault.clone()
    }

    fn from_inside(inside: &Inside, protected: bool) -> Self {
        Self {
            signing: SigningKey::from_bytes(&inside.seed),
            vault: AtRestKey::from_bytes(&inside.vault),
            protected,
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("key", &self.key()).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<File, IdentityError> {
    let bytes = durable::read_if_present(path, LIMIT_BYTES)?
        .map(Zeroizing::new)
        .ok_or_else(|| IdentityError::Missing { path: path.to_path_buf() })?;
    let file = std::str::from_utf8(&bytes)
        .ok()
        .and_then(|text| toml::from_str::<File>(text).ok())
        // The parser's message could quote the content.
        .ok_or_else(|| malformed(path, "its fields are not those of an identity"))?;
    if file.format != FORMAT {
        return Err(malformed(path, &format!("its format is not {FORMAT}")));
    }
    Ok(file)
}

fn derive(kdf: &Kdf, passphrase: &Passphrase, path: &Path) -> Result<AtRestKey, IdentityError> {
    kdf.derive(passphrase).map_err(|_| malformed(path, "its kdf settings are out of range"))
}

fn malformed(path: &Path, reason: &str) -> IdentityError {
    IdentityError::Malformed { path: path.to_path_buf(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_code::ErrorCode;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn an_encrypted_identity_opens_with_its_passphrase_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        let made = Identity::create(&path, &Protection::Passphrase(passphrase("a"))).unwrap();
        assert!(matches!(Identity::open(&path, None), Err(IdentityError::Locked { .. })));
        let wrong = Identity::open(&path, Some(&passphrase("b"))).unwrap_err();
        assert_eq!(wrong.code(), ErrorCode::IdentityLocked);
        let opened = Identity::open(&path, Some(&passphrase("a\n"))).unwrap();
        assert_eq!(opened.key(), made.key());
        assert_eq!(opened.vault.as_bytes(), made.vault.as_bytes());
        assert!(opened.is_protected() && Identity::is_encrypted_at(&path).unwrap());
        let text = std::fs::read(&path).unwrap();
        let seed = BASE64.encode(made.seed().as_slice());
        assert!(!String::from_utf8(text).unwrap().contains(&seed[..40]));
        assert!(!format!("{made:?}").contains("vault"));
    }

    #[test]
    fn an_identity_is_never_overwritten_and_needs_a_real_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        assert!(matches!(
            Identity::create(&path, &Protection::Passphrase(passphrase("\n"))),
            Err(IdentityError::EmptyPassphrase)
        ));
        assert_eq!(Identity::open(&path, None).unwrap_err().code(), ErrorCode::NoIdentity);
        let made = Identity::create(&path, &Protection::None).unwrap();
        assert!(!made.is_protected());
        assert!(matches!(
            Identity::create(&path, &Protection::None),
            Err(IdentityError::Exists { .. })
        ));
        assert_eq!(Identity::open(&path, None).unwrap().key(), made.key());
    }

    #[test]
    fn a_changed_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        Identity::create(&path, &Protection::None).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let other = Identity::create(&folder.path().join("b"), &Protection::None).unwrap().key();
        let own = Identity::public_key_at(&path).unwrap();
        std::fs::write(&path, text.replace(&own.to_string(), &other.to_string())).unwrap();
        assert!(matches!(Identity::open(&path, None), Err(IdentityError::Malformed { .. })));
        std::fs::write(&path, text.replace("identity/1", "identity/9")).unwrap();
        assert!(matches!(Identity::open(&path, None), Err(IdentityError::Malformed { .. })));
    }
}

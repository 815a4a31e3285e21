//! This node's identity: its ed25519 key, and the encrypted files that hold its secrets.

mod at_rest;
mod error;
mod key;
mod passphrase;
mod round_keys;
mod secrets;
mod wrapped;

pub use error::IdentityError;
pub use key::{Identity, Protection};
pub use passphrase::{CREDENTIAL_NAME, PASSPHRASE_FILE_VARIABLE, Passphrase};
pub(crate) use round_keys::FILE as ROUND_KEYS;
pub use secrets::{SecretStore, SecretStoreError};
pub(crate) use wrapped::SEALING_KEY;

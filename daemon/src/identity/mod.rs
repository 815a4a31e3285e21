//! Who this node is: its ed25519 key, and the sealed files that hold its secrets.

mod error;
mod key;
mod passphrase;
mod sealed;
mod secrets;

pub use error::IdentityError;
pub use key::{Identity, Protection};
pub use passphrase::{CREDENTIAL_NAME, PASSPHRASE_FILE_VARIABLE, Passphrase};
pub use secrets::{SecretStore, SecretStoreError};

//! Who this node is: its ed25519 key, and the sealed files that hold its secrets.

mod key;
mod passphrase;
mod sealed;
mod secrets;

pub use key::{Identity, IdentityError, Protection};
pub use passphrase::{CREDENTIAL_NAME, PASSPHRASE_FILE_VARIABLE, Passphrase};
pub use secrets::{SecretStore, SecretStoreError};

//! Sources of the passphrase when there is no terminal.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::durable::DiskError;

/// Environment variable that names a file with the passphrase.
pub const PASSPHRASE_FILE_VARIABLE: &str = "FEDSHIELD_PASSPHRASE_FILE";
/// Name of the systemd credential with the passphrase.
pub const CREDENTIAL_NAME: &str = "fedshield-passphrase";

/// A passphrase; erased when dropped, never printed.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes ownership of a passphrase. One trailing line break is removed, so that a file made
    /// with `echo` works.
    #[must_use]
    pub fn new(text: Zeroizing<String>) -> Self {
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Self(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
    }

    /// From the file that `FEDSHIELD_PASSPHRASE_FILE` names, or else from the systemd credential
    /// `fedshield-passphrase`; `None` if neither is there.
    ///
    /// # Errors
    /// If a file is named and cannot be read.
    pub fn from_environment() -> Result<Option<Self>, DiskError> {
        if let Some(path) = std::env::var_os(PASSPHRASE_FILE_VARIABLE) {
            return Self::from_file(Path::new(&path)).map(Some);
        }
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|folder| PathBuf::from(folder).join(CREDENTIAL_NAME))
            .filter(|path| path.exists());
        credential.as_deref().map(Self::from_file).transpose()
    }

    /// From a file.
    ///
    /// # Errors
    /// If it cannot be read or is not UTF-8.
    pub fn from_file(path: &Path) -> Result<Self, DiskError> {
        std::fs::read_to_string(path)
            .map(|text| Self::new(Zeroizing::new(text)))
            .map_err(|error| DiskError::at(path, error))
    }

    /// True if nothing is left without the line break.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_is_not_part_of_it_and_it_is_never_shown() {
        let passphrase = Passphrase::new(Zeroizing::new("correct horse \r\n".to_owned()));
        assert_eq!(passphrase.as_bytes(), b"correct horse ");
        assert_eq!(format!("{passphrase:?}"), "Passphrase(..)");
    }
}

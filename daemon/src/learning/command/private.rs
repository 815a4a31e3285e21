//! A private folder for data that is in the clear only while a program needs it.

use std::path::{Path, PathBuf};

use crate::durable::{self, DiskError};
use crate::private;

/// An empty folder that only its owner can access. It is erased with its content when this is
/// dropped.
pub(super) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// Creates the folder; content from an earlier run is erased first.
    ///
    /// # Errors
    /// Disk errors.
    pub(super) fn make(path: PathBuf) -> Result<Self, DiskError> {
        private::erase_tree(&path)?;
        durable::make_folder(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Erases the folder now.
    ///
    /// # Errors
    /// Disk errors.
    pub(super) fn erase(self) -> Result<(), DiskError> {
        let path = self.0.clone();
        // Dropping it afterwards finds nothing, or reports the same error again.
        private::erase_tree(&path)
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        if let Err(error) = private::erase_tree(&self.0) {
            tracing::error!(%error, "plaintext training data could not be erased");
        }
    }
}

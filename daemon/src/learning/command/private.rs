//! A folder for what is in clear only while a program needs it.

use std::path::{Path, PathBuf};

use crate::durable::{self, DiskError};
use crate::private;

/// An empty folder that only its owner can look into. It is erased with all that is in it when this is dropped.
pub(super) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// Makes the folder; what is there from an earlier run is erased first.
    ///
    /// # Errors
    /// What the disk says.
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
    /// What the disk says.
    pub(super) fn erase(self) -> Result<(), DiskError> {
        let path = self.0.clone();
        // Dropping it afterwards finds nothing any more, or says once more that it cannot.
        private::erase_tree(&path)
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        if let Err(error) = private::erase_tree(&self.0) {
            tracing::error!(%error, "training data in clear could not be erased");
        }
    }
}

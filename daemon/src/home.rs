//! The home folder of one node: which file is what. Nothing else knows a file name.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::durable::{self, DiskError, PRIVATE_FILE};

/// Environment variable that names the home folder.
pub const HOME_VARIABLE: &str = "FEDSHIELD_HOME";

/// The folder in which a node keeps everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

/// Why a home folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another daemon runs on it.
    #[error("another daemon is running on {}", home.display())]
    InUse {
        /// The folder.
        home: PathBuf,
    },
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Keeps other daemons away from a home folder until it is dropped, also after a crash.
#[derive(Debug)]
pub struct HomeLock(#[expect(dead_code, reason = "held for its lock")] File);

impl Home {
    /// The given folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// `$FEDSHIELD_HOME`, or `$STATE_DIRECTORY` (systemd), or `$XDG_DATA_HOME/fedshield`, or
    /// `~/.local/share/fedshield`; `.fedshield` if none is set.
    #[must_use]
    pub fn from_environment() -> Self {
        let folder = |name: &str| {
            std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
        };
        let home = folder(HOME_VARIABLE)
            .or_else(|| folder("STATE_DIRECTORY"))
            .or_else(|| folder("XDG_DATA_HOME").map(|data| data.join("fedshield")))
            .or_else(|| folder("HOME").map(|user| user.join(".local/share/fedshield")))
            .unwrap_or_else(|| PathBuf::from(".fedshield"));
        Self(home)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The identity, sealed.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity.key")
    }

    /// The control socket, unless the configuration says otherwise.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// Sealing keys and round keys, sealed, one file each.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.0.join("secrets")
    }

    /// The journal of what this node must not contradict.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal.log")
    }

    /// Ledger, reports and index: a sled folder.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Ciphertexts, shares, aggregates and adapters, named by digest.
    #[must_use]
    pub fn objects(&self) -> PathBuf {
        self.0.join("objects")
    }

    /// The owner's draft of a federation.
    #[must_use]
    pub fn draft(&self) -> PathBuf {
        self.0.join("federation.draft")
    }

    /// What this node accepted when it asked to join.
    #[must_use]
    pub fn joining(&self) -> PathBuf {
        self.0.join("federation.joining")
    }

    /// What this node has left or given up, and whom it still has to tell.
    #[must_use]
    pub fn partings(&self) -> PathBuf {
        self.0.join("federation.left")
    }

    /// Everything that belongs to one federation and is of no use to another, the manifest last. Secrets are not in it:
    /// they are erased one by one.
    #[must_use]
    pub fn of_one_federation(&self) -> Vec<PathBuf> {
        vec![
            self.draft(),
            self.joining(),
            self.objects(),
            self.training(),
            self.store(),
            self.journal(),
            self.manifest(),
        ]
    }

    /// The signed manifest in force.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.0.join("manifest.signed")
    }

    /// Factors, masks and error memory between rounds; the training pipeline's.
    #[must_use]
    pub fn training(&self) -> PathBuf {
        self.0.join("training")
    }

    /// The adapter that the federation starts from, in PEFT form, if its manifest names one.
    #[must_use]
    pub fn first_adapter(&self) -> PathBuf {
        self.0.join("first-adapter")
    }

    /// Makes the folder if it is missing and keeps other daemons out.
    ///
    /// # Errors
    /// [`HomeError::InUse`], or what the disk says.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        durable::make_folder(&self.0)?;
        let path = self.0.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .open(&path)
            .map_err(|error| DiskError::at(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(HomeLock(file)),
            Err(TryLockError::WouldBlock) => Err(HomeError::InUse { home: self.0.clone() }),
            Err(TryLockError::Error(error)) => Err(DiskError::at(&path, error).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_daemon_has_a_home() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("node"));
        let lock = home.lock().unwrap();
        assert!(matches!(home.lock(), Err(HomeError::InUse { .. })));
        drop(lock);
        home.lock().unwrap();
    }
}

//! The home folder of one node: which file is what. Nothing else knows a file name.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::durable::{self, DiskError, PRIVATE_FILE};
use crate::private;

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

    /// Where a trainer command finds its request, its examples and its adapter, in clear: erased after each run.
    #[must_use]
    pub fn trainer_work(&self) -> PathBuf {
        self.training().join("command")
    }

    /// Takes everything that a node makes in its home from all but its owner: an earlier version, another umask or a
    /// restored backup may have left it open. What else lies in the home keeps its permissions.
    ///
    /// # Errors
    /// What the disk says.
    fn make_private(&self) -> Result<(), DiskError> {
        let own = |name: &str| {
            [
                "config.toml",
                "control.sock",
                "daemon.log",
                "federation.draft",
                "federation.joining",
                "first-adapter",
                "identity.key",
                "journal.log",
                "lock",
                "manifest.signed",
                "objects",
                "secrets",
                "store",
                "training",
            ]
            .iter()
            // What was put aside has the name with something behind it.
            .any(|own| {
                name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        private::make_folder_private(&self.0)?;
        for entry in std::fs::read_dir(&self.0).map_err(|error| DiskError::at(&self.0, error))? {
            let entry = entry.map_err(|error| DiskError::at(&self.0, error))?;
            if entry.file_name().to_str().is_some_and(own) {
                private::make_private(&entry.path())?;
            }
        }
        Ok(())
    }

    /// The adapter that the federation starts from, in PEFT form, if its manifest names one.
    #[must_use]
    pub fn first_adapter(&self) -> PathBuf {
        self.0.join("first-adapter")
    }

    /// Makes the folder if it is missing, keeps other daemons out, and makes it private.
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
            Ok(()) => {
                self.make_private()?;
                Ok(HomeLock(file))
            }
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

    #[test]
    fn a_home_is_its_owners_whatever_an_earlier_version_left() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("node"));
        std::fs::create_dir_all(home.store().join("blobs")).unwrap();
        std::fs::create_dir(home.path().join("store.damaged-1")).unwrap();
        std::fs::create_dir(home.path().join("my-model")).unwrap();
        for file in [home.store().join("db"), home.config(), home.path().join("trainer.py")] {
            std::fs::write(file, "").unwrap();
        }
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let open = [
            (home.path().to_path_buf(), 0o755, 0o700),
            (home.store(), 0o755, 0o700),
            (home.store().join("blobs"), 0o777, 0o700),
            (home.store().join("db"), 0o644, 0o600),
            (home.path().join("store.damaged-1"), 0o755, 0o700),
            (home.config(), 0o664, 0o600),
            // Not the daemon's: who put it there decides.
            (home.path().join("my-model"), 0o755, 0o755),
            (home.path().join("trainer.py"), 0o755, 0o755),
        ];
        for (path, before, _) in &open {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(*before)).unwrap();
        }
        let _lock = home.lock().unwrap();
        for (path, _, after) in &open {
            assert_eq!(mode(path), *after, "{}", path.display());
        }
    }
}

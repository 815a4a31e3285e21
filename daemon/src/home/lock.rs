//! One daemon for each home, run by the user that owns it, and files that only this user can read.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use super::{Home, name};
use crate::durable::{self, DiskError, PRIVATE_FILE};
use crate::error_code::ErrorCode;
use crate::{private, users};

/// Why a home folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another daemon is using it.
    #[error("another daemon is running on {}", home.display())]
    InUse {
        /// The folder.
        home: PathBuf,
    },
    /// It belongs to another user, who could not read what would be written here.
    #[error(
        "{} belongs to {owner}, and this is {user}: run it as {owner}, for instance with `sudo -u {owner} ...`",
        home.display()
    )]
    WrongUser {
        /// The folder.
        home: PathBuf,
        /// The owner's user name, or the number of a user without a name here.
        owner: String,
        /// The user that runs this process.
        user: String,
    },
    /// Reading or writing a file failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl HomeError {
    /// The stable error code, for programs.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::InUse { .. } => ErrorCode::AddressInUse,
            Self::WrongUser { .. } => ErrorCode::WrongUser,
            Self::Disk(error) => error.code(),
        }
    }
}

/// Locks a home folder against other daemons until it is dropped; a crash releases it as well.
#[derive(Debug)]
pub struct HomeLock(#[expect(dead_code, reason = "held for its lock")] File);

impl Home {
    /// Refuses to run as a user other than the owner of the home, root included: the daemon could
    /// not read files of root at its next start. A home that does not exist yet has no owner.
    ///
    /// # Errors
    /// [`HomeError::WrongUser`], or a failure of the disk.
    pub fn check_user(&self) -> Result<(), HomeError> {
        let owner = match std::fs::metadata(&self.0) {
            Ok(metadata) => metadata.uid(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(DiskError::at(&self.0, error).into()),
        };
        let user = rustix::process::geteuid().as_raw();
        if owner == user {
            return Ok(());
        }
        let (home, owner, user) = (self.0.clone(), users::name(owner), users::name(user));
        Err(HomeError::WrongUser { home, owner, user })
    }

    /// Makes everything that a node keeps in its home readable by its owner alone: an earlier
    /// version, another umask or a restored backup may have left it open. Other files in the home
    /// keep their permissions.
    ///
    /// # Errors
    /// If permissions cannot be read or changed.
    fn make_private(&self) -> Result<(), DiskError> {
        let own = |name: &str| {
            name::ALL
                .iter()
                // A file that was put aside has the original name plus a suffix.
                .any(|own| {
                    name.strip_prefix(own)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
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

    /// Makes the folder if it is missing, keeps other daemons out, and makes it private.
    ///
    /// # Errors
    /// [`HomeError::InUse`], [`HomeError::WrongUser`], or a failure of the disk.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        self.check_user()?;
        durable::make_folder(&self.0)?;
        let path = self.0.join(name::LOCK);
        let open = |write: bool| {
            let mut options = OpenOptions::new();
            options.read(true).write(write).create(write).truncate(false).mode(PRIVATE_FILE);
            options.open(&path).map_err(|error| DiskError::at(&path, error))
        };
        let file = match open(true) {
            // The lock file of an earlier start suffices: nothing is written into it.
            Err(DiskError::ReadOnly { .. }) if path.exists() => open(false)?,
            file => file?,
        };
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
    use std::path::Path;

    use super::*;

    #[test]
    fn a_home_of_somebody_else_is_refused_also_to_root() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("node"));
        home.check_user().unwrap();
        std::fs::create_dir(home.path()).unwrap();
        std::os::unix::fs::chown(home.path(), Some(12_345), Some(12_345)).unwrap();
        let error = home.lock().unwrap_err();
        assert_eq!(error.code(), ErrorCode::WrongUser);
        assert!(error.to_string().contains("belongs to user 12345, and this is root"), "{error}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }

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
            // Not the daemon's file: its permissions are left as they are.
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

//! The home folder of one node: which file is what. Nothing else knows a name in it; what lies
//! inside `secrets`, `objects`, `index` and `training` is known to the modules that keep it (for
//! `training` see `jobs::durable_state`).

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::durable::{self, DiskError, PRIVATE_FILE};
use crate::error_code::ErrorCode;
use crate::private;
use crate::users;

/// Environment variable that names the home folder.
pub const HOME_VARIABLE: &str = "FEDSHIELD_HOME";

/// The names in a home.
mod name {
    pub(super) const ADDRESSES: &str = "addresses.book";
    pub(super) const CONFIG: &str = "config.toml";
    pub(super) const CONTROL_SOCKET: &str = "control.sock";
    pub(super) const DRAFT: &str = "federation.draft";
    pub(super) const EVIDENCE: &str = "evidence.log";
    pub(super) const FIRST_ADAPTER: &str = "first-adapter";
    pub(super) const IDENTITY: &str = "identity.key";
    pub(super) const INDEX: &str = "index";
    pub(super) const JOINING: &str = "federation.joining";
    pub(super) const JOURNAL: &str = "journal.log";
    pub(super) const LEDGER: &str = "ledger.fsl";
    pub(super) const LOCK: &str = "lock";
    pub(super) const MANIFEST: &str = "manifest.signed";
    pub(super) const OBJECTS: &str = "objects";
    pub(super) const PARTINGS: &str = "federation.left";
    pub(super) const PAUSE: &str = "paused.json";
    pub(super) const PEERS: &str = "peers.json";
    pub(super) const REPORTS: &str = "reports.log";
    pub(super) const SECRETS: &str = "secrets";
    pub(super) const STORE: &str = "store";
    pub(super) const TRAINING: &str = "training";
    pub(super) const DAEMON_LOG: &str = "daemon.log";
    /// Inside of [`STORE`]'s parent while files of the first version are read.
    pub(super) const STORE_READING: &str = "store.reading";
    /// Inside of [`TRAINING`].
    pub(super) const TRAINER_WORK: &str = "command";

    /// What the node makes in its home; the rest belongs to others.
    pub(super) const ALL: [&str; 22] = [
        ADDRESSES,
        CONFIG,
        CONTROL_SOCKET,
        DAEMON_LOG,
        DRAFT,
        EVIDENCE,
        FIRST_ADAPTER,
        IDENTITY,
        INDEX,
        JOINING,
        JOURNAL,
        LEDGER,
        LOCK,
        MANIFEST,
        OBJECTS,
        PARTINGS,
        PAUSE,
        PEERS,
        REPORTS,
        SECRETS,
        STORE,
        TRAINING,
    ];
}

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
    /// It belongs to somebody else, who could not read what would be written here.
    #[error(
        "{} belongs to {owner}, and this is {user}: run it as {owner}, for instance with `sudo -u {owner} ...`",
        home.display()
    )]
    WrongUser {
        /// The folder.
        home: PathBuf,
        /// Whose it is: a name, or a number that has none here.
        owner: String,
        /// Who runs this.
        user: String,
    },
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl HomeError {
    /// The stable name.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::InUse { .. } => ErrorCode::AddressInUse,
            Self::WrongUser { .. } => ErrorCode::WrongUser,
            Self::Disk(error) => error.code(),
        }
    }
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
        self.0.join(name::CONFIG)
    }

    /// The identity, sealed.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.0.join(name::IDENTITY)
    }

    /// The control socket, unless the configuration says otherwise.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.0.join(name::CONTROL_SOCKET)
    }

    /// Sealing keys and round keys, sealed, one file each.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.0.join(name::SECRETS)
    }

    /// The journal of what this node must not contradict.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.0.join(name::JOURNAL)
    }

    /// The ledger: every record, in the form that `ledger verify` reads.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.0.join(name::LEDGER)
    }

    /// What this node saw of each round.
    #[must_use]
    pub fn reports(&self) -> PathBuf {
        self.0.join(name::REPORTS)
    }

    /// Misbehaviour that was proven to this node.
    #[must_use]
    pub fn evidence(&self) -> PathBuf {
        self.0.join(name::EVIDENCE)
    }

    /// Where the entries of these three files are: a sled folder that can be built again.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.0.join(name::INDEX)
    }

    /// Where the first version of the program kept all of it.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.0.join(name::STORE)
    }

    /// Where a copy of [`Self::store`] lies while it is read.
    #[must_use]
    pub fn store_reading(&self) -> PathBuf {
        self.0.join(name::STORE_READING)
    }

    /// The log of a daemon that was started with its output in a file, as the demo does.
    #[must_use]
    pub fn daemon_log(&self) -> PathBuf {
        self.0.join(name::DAEMON_LOG)
    }

    /// Ciphertexts, shares, aggregates and adapters, named by digest.
    #[must_use]
    pub fn objects(&self) -> PathBuf {
        self.0.join(name::OBJECTS)
    }

    /// The owner's draft of a federation.
    #[must_use]
    pub fn draft(&self) -> PathBuf {
        self.0.join(name::DRAFT)
    }

    /// An operator's pause; exists while the node is paused.
    #[must_use]
    pub fn pause(&self) -> PathBuf {
        self.0.join(name::PAUSE)
    }

    /// What this node accepted when it asked to join.
    #[must_use]
    pub fn joining(&self) -> PathBuf {
        self.0.join(name::JOINING)
    }

    /// What this node has left or given up, and whom it still has to tell.
    #[must_use]
    pub fn partings(&self) -> PathBuf {
        self.0.join(name::PARTINGS)
    }

    /// Everything that belongs to one federation and is of no use to another, the manifest last.
    /// Secrets are not in it: they are erased one by one.
    #[must_use]
    pub fn of_one_federation(&self) -> Vec<PathBuf> {
        vec![
            self.draft(),
            self.joining(),
            self.objects(),
            self.training(),
            self.store(),
            self.index(),
            self.evidence(),
            self.reports(),
            self.ledger(),
            self.pause(),
            self.addresses(),
            self.journal(),
            self.manifest(),
        ]
    }

    /// The signed manifest in force.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.0.join(name::MANIFEST)
    }

    /// The members' addresses, each under its member's signature.
    #[must_use]
    pub fn addresses(&self) -> PathBuf {
        self.0.join(name::ADDRESSES)
    }

    /// Addresses of members that this node's operator has added.
    #[must_use]
    pub fn peers(&self) -> PathBuf {
        self.0.join(name::PEERS)
    }

    /// What jobs keep: the common adapter and the opened sum of the round, see
    /// `jobs::durable_state`.
    #[must_use]
    pub fn training(&self) -> PathBuf {
        self.0.join(name::TRAINING)
    }

    /// Where a trainer command finds its request, its examples and its adapter, in clear: erased
    /// after each run.
    #[must_use]
    pub fn trainer_work(&self) -> PathBuf {
        self.training().join(name::TRAINER_WORK)
    }

    /// Takes everything that a node makes in its home from all but its owner: an earlier version,
    /// another umask or a restored backup may have left it open. What else lies in the home keeps
    /// its permissions.
    ///
    /// # Errors
    /// What the disk says.
    fn make_private(&self) -> Result<(), DiskError> {
        let own = |name: &str| {
            name::ALL
                .iter()
                // What was put aside has the name with something behind it.
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

    /// The adapter that the federation starts from, in PEFT form, if its manifest names one.
    #[must_use]
    pub fn first_adapter(&self) -> PathBuf {
        self.0.join(name::FIRST_ADAPTER)
    }

    /// Refuses to go on as another user than the one whose home it is, root included: files of root
    /// are files that the daemon cannot read at its next start. A home that does not exist yet is
    /// everybody's.
    ///
    /// # Errors
    /// [`HomeError::WrongUser`], or what the disk says.
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

    /// Whether `path`, which need not exist, lies in the home.
    #[must_use]
    pub fn contains(&self, path: &Path) -> bool {
        let whole = |path: &Path| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
            // The part of it that exists, without links.
            let there =
                path.ancestors().find_map(|it| it.canonicalize().ok().map(|real| (it, real)));
            match there {
                Some((it, real)) => real.join(path.strip_prefix(it).unwrap_or(Path::new(""))),
                None => path.clone(),
            }
        };
        whole(path).starts_with(whole(&self.0))
    }

    /// Makes the folder if it is missing, keeps other daemons out, and makes it private.
    ///
    /// # Errors
    /// [`HomeError::InUse`], [`HomeError::WrongUser`], or what the disk says.
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
            // The lock of an earlier start does as well: nothing is written into it.
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
    use super::*;

    #[test]
    fn what_lies_in_a_home_is_found_through_links_and_missing_folders() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("node"));
        std::fs::create_dir(home.path()).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(home.path(), &link).unwrap();
        for inside in [home.path().to_path_buf(), home.path().join("a/b"), link.join("a")] {
            assert!(home.contains(&inside), "{}", inside.display());
        }
        for outside in [folder.path().to_path_buf(), folder.path().join("node2/a")] {
            assert!(!home.contains(&outside), "{}", outside.display());
        }
    }

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

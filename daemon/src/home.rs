//! The home folder of one node: which file is what. Only this module knows the names in it; what is
//! inside `secrets`, `objects`, `index` and `training` is known to the modules that own them (for
//! `training` see `jobs::durable_state`). `lock` keeps other daemons and other users out.

mod lock;

use std::path::{Path, PathBuf};

pub use lock::{HomeError, HomeLock};

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
    /// Beside [`STORE`], while files of the first version are read.
    pub(super) const STORE_READING: &str = "store.reading";
    /// Inside [`TRAINING`].
    pub(super) const TRAINER_WORK: &str = "command";

    /// The names that the node creates in its home; other files are not its own.
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

    /// The identity, encrypted under a passphrase if there is one.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.0.join(name::IDENTITY)
    }

    /// The control socket, unless the configuration names another one.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.0.join(name::CONTROL_SOCKET)
    }

    /// Sealing keys and the secrets of rounds, encrypted under the identity.
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

    /// Evidence of misbehaviour, and bans that were lifted.
    #[must_use]
    pub fn evidence(&self) -> PathBuf {
        self.0.join(name::EVIDENCE)
    }

    /// Where the entries of these three files are: a sled folder that can be built again.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.0.join(name::INDEX)
    }

    /// Where the first version of the program kept ledger, reports and evidence.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.0.join(name::STORE)
    }

    /// Where a copy of [`Self::store`] is while it is read.
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

    /// Drafts that this node has left or abandoned, and the members that are still to be notified.
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

    /// Where a trainer command finds its request, its examples and its adapter, in the clear:
    /// erased after each run.
    #[must_use]
    pub fn trainer_work(&self) -> PathBuf {
        self.training().join(name::TRAINER_WORK)
    }

    /// The adapter that the federation starts from, in PEFT form, if its manifest names one.
    #[must_use]
    pub fn first_adapter(&self) -> PathBuf {
        self.0.join(name::FIRST_ADAPTER)
    }

    /// Whether `path`, which need not exist, is in the home.
    #[must_use]
    pub fn contains(&self, path: &Path) -> bool {
        let whole = |path: &Path| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
            // The longest existing prefix of the path, with links resolved.
            let there =
                path.ancestors().find_map(|it| it.canonicalize().ok().map(|real| (it, real)));
            match there {
                Some((it, real)) => real.join(path.strip_prefix(it).unwrap_or(Path::new(""))),
                None => path.clone(),
            }
        };
        whole(path).starts_with(whole(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_inside_a_home_are_recognised_through_links_and_missing_folders() {
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
}

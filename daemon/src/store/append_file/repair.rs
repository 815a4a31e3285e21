//! Damage that a start has found in a file, and how it was repaired.

use std::path::PathBuf;

/// The unusable end of a file, and how it was repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The file.
    pub path: PathBuf,
    /// Where the valid part ends, in bytes from the beginning.
    pub offset: u64,
    /// How many bytes follow it.
    pub bytes: u64,
    /// What is wrong with them.
    pub reason: String,
    /// True for an append that a crash has truncated: worth no more than a line in the log.
    pub torn: bool,
    /// The path of a copy of the damaged file, if what was cut off had once been valid.
    pub aside: Option<PathBuf>,
}

impl std::fmt::Display for Repair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, offset, bytes, reason, torn, aside } = self;
        let path = path.display();
        if *torn {
            return write!(f, "{path}: {bytes} bytes of an unfinished entry at byte {offset}");
        }
        write!(
            f,
            "{path} is damaged at byte {offset}: {reason}; {bytes} bytes from there on are not used"
        )?;
        match aside {
            Some(aside) => write!(f, ", a copy of the file as it was is {}", aside.display()),
            None => Ok(()),
        }
    }
}

//! What a start has found wrong with a file, and done about it.

use std::path::PathBuf;

/// What the end of a file was like, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The file.
    pub path: PathBuf,
    /// Where the good part ends.
    pub offset: u64,
    /// How many bytes follow it.
    pub bytes: u64,
    /// What is wrong with them.
    pub reason: String,
    /// An append that a crash has cut short: worth a line in the log, no more.
    pub torn: bool,
    /// Where a copy of the damaged file is kept, if something was cut off that had been whole once.
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

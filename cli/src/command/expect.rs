//! `--expect FILE`: who the members should be, on `join` and `federation found`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use fedshieldd::control::api::{ErrorCode, ExpectedMember};
use fedshieldd::founding::{MAX_EXPECTED_BYTES, expected_from_lines};

use crate::failure::Failure;

/// `--expect FILE`.
#[derive(Debug, Clone, Default, Args)]
pub struct ExpectFlag {
    /// All members, a line each as `identity` prints it; the list is confirmed without asking if it
    /// has exactly these
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,
}

impl ExpectFlag {
    /// The expected members that the file lists, if there is a file.
    ///
    /// # Errors
    /// If it cannot be read; names the line or member that is wrong in it.
    pub fn read(&self) -> Result<Option<Vec<ExpectedMember>>, Failure> {
        self.expect.as_deref().map(read).transpose()
    }
}

fn read(path: &Path) -> Result<Vec<ExpectedMember>, Failure> {
    let io = |error| Failure::io("read the expected members", path, &error);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(io)?;
    file.take(MAX_EXPECTED_BYTES as u64 + 1).read_to_string(&mut text).map_err(io)?;
    expected_from_lines(&text).map_err(|reason| {
        Failure::new(ErrorCode::InvalidRequest, reason.to_string()).at(path.display()).next(
            "one line for each member, this node included, as `fedshield-cli identity` prints it there",
        )
    })
}

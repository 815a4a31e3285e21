//! `ledger show`, `ledger export` and `ledger verify`: a federation's whole history, checked
//! without trusting anybody.
//!
//! A ledger file holds the records; the manifest that every founder signed is beside it as
//! `manifest.signed`, and the canonical bytes of the last adapter as `adapter.canonical`. Together
//! they need nothing else: no daemon, no network, no secret.

mod export;
mod pins;
mod show;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;
use fedshieldd::offline::OfflineHome;

use crate::connection;
use crate::failure::Failure;
use crate::offline;
use crate::screen::Screen;
pub use export::{ExportArgs, export};
pub use verify::{Verified, VerifyArgs, verify_file};

/// `ledger ...`.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// List the records, or show one: contributors, committee, digests, certificates, evidence
    Show(show::ShowArgs),
    /// Write ledger, signed manifest and the last adapter's canonical bytes to a folder
    Export(ExportArgs),
    /// Check a whole history offline: signatures, certificates, chain, and where it ends
    Verify(VerifyArgs),
}

impl LedgerCommand {
    /// Whether JSON was asked for.
    #[must_use]
    pub const fn json(&self) -> bool {
        match self {
            Self::Show(args) => args.json.json,
            Self::Export(args) => args.json.json,
            Self::Verify(args) => args.json.json,
        }
    }
}

/// Names of the files.
const LEDGER_FILE: &str = "ledger.fsl";
const MANIFEST_FILE: &str = "manifest.signed";
const ADAPTER_FILE: &str = "adapter.canonical";

/// Runs `ledger ...`.
///
/// # Errors
/// Files that cannot be read; [`ErrorCode::LedgerInvalid`] with the first wrong record.
pub async fn run(command: &LedgerCommand, home: &Home) -> Result<(), Failure> {
    match command {
        LedgerCommand::Show(args) => show::run(args, home).await,
        LedgerCommand::Export(args) => export::run(args, home).await,
        LedgerCommand::Verify(args) => verify::run(args, home).await,
    }
}

/// The ledger from the daemon or, if none runs, from the home itself.
async fn ledger_of(home: &Home, screen: &Screen) -> Result<Vec<u8>, Failure> {
    if !home.manifest().exists() {
        return Err(Failure::new(ErrorCode::NoFederation, "this home is in no federation")
            .at(home.path().display())
            .next("name a ledger file, or another home with `--home`"));
    }
    let answer = connection::to(home).ledger().await;
    offline::or_home(answer, home, screen, OfflineHome::ledger)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::io("read the file", path, &error))
}

/// The signed manifest of a ledger file, which is beside it unless another one is given.
fn manifest_beside(file: &Path, given: Option<&Path>) -> PathBuf {
    given.map_or_else(|| file.with_file_name(MANIFEST_FILE), Path::to_path_buf)
}

//! `ledger export` and `ledger verify`: a federation's whole history, checked without trusting anybody.
//!
//! A ledger file holds the records; the manifest that every founder signed lies beside it as `manifest.signed`. Both
//! together need nothing else: no daemon, no network, no secret.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use fedshield_protocol::hidden::harmless_line;
use fedshield_protocol::ids::Digest;
use fedshield_protocol::ledger::{self, LedgerError, Summary};
use fedshield_protocol::manifest::{SignedManifest, ValidManifest};
use fedshieldd::control::ControlClient;
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;
use fedshieldd::stopped::Stopped;
use serde::Serialize;

use super::JsonFlag;
use crate::connection;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};
use crate::stopped;
use crate::table::facts;
use crate::units;

/// `ledger ...`.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Write ledger and signed manifest to a folder
    Export(ExportArgs),
    /// Check a whole history offline: signatures, certificates, chain
    Verify(VerifyArgs),
}

/// Arguments of `ledger export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The folder; made if missing
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Arguments of `ledger verify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli ledger verify                       the history of this home's federation
  fedshield-cli ledger verify ./history/ledger.fsl
  fedshield-cli ledger verify ledger.fsl --manifest manifest.signed --federation 3f9a...")]
pub struct VerifyArgs {
    /// The ledger file; without it, that of the home's federation
    pub file: Option<PathBuf>,
    /// The signed manifest [default: manifest.signed beside the ledger]
    #[arg(long, value_name = "FILE", requires = "file")]
    pub manifest: Option<PathBuf>,
    /// The federation id that it must be, in full
    #[arg(long, value_name = "ID")]
    pub federation: Option<Digest>,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

impl LedgerCommand {
    /// Whether JSON was asked for.
    #[must_use]
    pub const fn json(&self) -> bool {
        match self {
            Self::Export(args) => args.json.json,
            Self::Verify(args) => args.json.json,
        }
    }
}

/// The two files of an export.
#[derive(Debug, Serialize)]
struct Exported {
    ledger: PathBuf,
    manifest: PathBuf,
}

/// Names of the two files.
const LEDGER_FILE: &str = "ledger.fsl";
const MANIFEST_FILE: &str = "manifest.signed";

/// What a verified history says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The federation's name.
    pub name: String,
    /// Its id.
    pub federation: Digest,
    /// Digest of the manifest.
    pub manifest: Digest,
    /// Its members.
    pub members: Vec<String>,
    /// How many records.
    pub records: u64,
    /// Rounds that were applied.
    pub applied: u64,
    /// Rounds that were opened and rejected.
    pub rejected: u64,
    /// Rounds that were decided and not opened.
    pub voided: u64,
    /// Rounds that were skipped.
    pub skipped: u64,
    /// The last adapter.
    pub adapter: Option<Digest>,
    /// Digest of the last record.
    pub head: Digest,
}

/// Runs `ledger ...`.
///
/// # Errors
/// Files that cannot be read; [`ErrorCode::LedgerInvalid`] with the first wrong record.
pub async fn run(command: &LedgerCommand, home: &Home) -> Result<(), Failure> {
    match command {
        LedgerCommand::Export(args) => {
            let screen = Screen::new(args.json.json);
            Failure::unless_writable(home, &args.directory)?;
            let bytes = ledger_of(home, &screen).await?;
            let path = write(&bytes, home, &args.directory)?;
            let manifest = path.with_file_name(MANIFEST_FILE);
            screen.answer(&Exported { ledger: path, manifest }, |files, _| {
                format!("{}\n{}\n", files.ledger.display(), files.manifest.display())
            })
        }
        LedgerCommand::Verify(args) => {
            let screen = Screen::new(args.json.json);
            let verified = match &args.file {
                Some(file) => verify_files(file, &manifest_beside(file, args.manifest.as_deref()))?,
                None => verify_home(home, &screen).await?,
            };
            expect_federation(&verified, args.federation)?;
            screen.answer(&verified, render)
        }
    }
}

/// Writes the ledger of `daemon`, and the signed manifest of its home, to `directory`; gives the
/// path of the ledger.
///
/// # Errors
/// If no daemon answers or a file cannot be written.
pub async fn export(
    daemon: &ControlClient,
    home: &Home,
    directory: &Path,
) -> Result<PathBuf, Failure> {
    write(&daemon.ledger().await?, home, directory)
}

/// The ledger from the daemon or, if none runs, from the home itself.
async fn ledger_of(home: &Home, screen: &Screen) -> Result<Vec<u8>, Failure> {
    if !home.manifest().exists() {
        return Err(Failure::new(ErrorCode::NoFederation, "this home is in no federation")
            .at(home.path().display())
            .next("name a ledger file, or another home with `--home`"));
    }
    let answer = connection::to(home).ledger().await;
    stopped::or_home(answer, home, screen, Stopped::ledger)
}

fn write(bytes: &[u8], home: &Home, directory: &Path) -> Result<PathBuf, Failure> {
    let manifest = read(&home.manifest())?;
    let path = directory.join(LEDGER_FILE);
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&path, bytes))
        .and_then(|()| fs::write(directory.join(MANIFEST_FILE), manifest))
        .map_err(|error| Failure::io("write the ledger", directory, &error))?;
    Ok(path)
}

/// Verifies the ledger `file` under the signed manifest beside it.
///
/// # Errors
/// See [`run`].
pub fn verify_file(file: &Path) -> Result<Verified, Failure> {
    verify_files(file, &manifest_beside(file, None))
}

async fn verify_home(home: &Home, screen: &Screen) -> Result<Verified, Failure> {
    let bytes = ledger_of(home, screen).await?;
    verify(&read(&home.manifest())?, &bytes, home.path())
}

fn verify_files(file: &Path, manifest: &Path) -> Result<Verified, Failure> {
    let ledger = read(file)?;
    if !manifest.exists() {
        return Err(Failure::new(ErrorCode::InvalidRequest, "the signed manifest is not there")
            .at(manifest.display())
            .next("put it beside the ledger, as `ledger export` does, or name it with `--manifest FILE`"));
    }
    verify(&read(manifest)?, &ledger, file)
}

fn verify(manifest: &[u8], ledger: &[u8], place: &Path) -> Result<Verified, Failure> {
    let wrong = |error: LedgerError| {
        Failure::new(ErrorCode::LedgerInvalid, format!("the ledger does not verify: {error}"))
            .at(place.display())
            .next("get the ledger again from another member; if it fails again, keep both and compare")
    };
    let signed = SignedManifest::decode(manifest)
        .map_err(|error| wrong(LedgerError::Manifest(error.into())))?;
    let valid = ValidManifest::founded(signed.clone()).map_err(|error| wrong(error.into()))?;
    let records = ledger::decode(ledger).map_err(wrong)?;
    let summary = ledger::verify(&signed, &records).map_err(wrong)?;
    Ok(Verified::new(&valid, &summary))
}

impl Verified {
    fn new(manifest: &ValidManifest, summary: &Summary) -> Self {
        let terms = manifest.manifest();
        Self {
            name: terms.name.clone(),
            federation: manifest.federation(),
            manifest: manifest.digest(),
            members: terms.members.iter().map(|member| member.name.clone()).collect(),
            records: summary.records as u64,
            applied: summary.applied,
            rejected: summary.rejected,
            voided: summary.voided,
            skipped: summary.skipped,
            adapter: summary.tip.adapter.map(|adapter| adapter.root),
            head: summary.tip.head,
        }
    }
}

/// Everything in a ledger can be forged together with its manifest; the federation's id cannot.
fn expect_federation(verified: &Verified, expected: Option<Digest>) -> Result<(), Failure> {
    match expected {
        Some(id) if id != verified.federation => Err(Failure::new(
            ErrorCode::LedgerInvalid,
            format!("this is the history of another federation: {}", verified.federation),
        )
        .at("--federation")),
        _ => Ok(()),
    }
}

fn manifest_beside(file: &Path, given: Option<&Path>) -> PathBuf {
    given.map_or_else(|| file.with_file_name(MANIFEST_FILE), Path::to_path_buf)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::io("read the file", path, &error))
}

fn render(verified: &Verified, colours: Colours) -> String {
    let rounds = format!(
        "{}: {} applied, {} skipped, {} void, {} rejected",
        units::count(verified.records, "record"),
        verified.applied,
        verified.skipped,
        verified.voided,
        verified.rejected
    );
    let adapter = verified.adapter.map_or_else(|| "none yet".into(), |root| root.to_string());
    facts(
        colours,
        &[
            ("ledger", colours.good("verified")),
            ("federation", format!("{}  {}", harmless_line(&verified.name), verified.federation)),
            ("members", units::names(&verified.members)),
            ("rounds", rounds),
            ("adapter", adapter),
            ("head", verified.head.to_string()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_ledger_fails_its_verification() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.fsl");
        fs::write(&file, "not a ledger").unwrap();
        let missing = verify_file(&file).unwrap_err();
        assert!(missing.place.unwrap().ends_with("manifest.signed"));
        fs::write(folder.path().join(MANIFEST_FILE), "not a manifest").unwrap();
        assert_eq!(verify_file(&file).unwrap_err().code, ErrorCode::LedgerInvalid);
    }
}

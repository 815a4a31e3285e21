//! `ledger show`, `ledger export` and `ledger verify`: a federation's whole history, checked without trusting anybody.
//!
//! A ledger file holds the records; the manifest that every founder signed is beside it as `manifest.signed`, and the
//! canonical bytes of the last adapter as `adapter.canonical`. Together they need nothing else: no daemon, no network, no
//! secret.

mod pins;
mod show;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use fedshield_protocol::hidden::harmless_line;
use fedshield_protocol::ids::{Digest, FederationId, ManifestDigest, RecordDigest};
use fedshield_protocol::ledger::{self, LedgerError, Summary};
use fedshield_protocol::manifest::{SignedManifest, ValidManifest};
use fedshield_protocol::object::ObjectRef;
use fedshieldd::control::ControlClient;
use fedshieldd::control::api::{ApiError, ErrorCode};
use fedshieldd::home::Home;
use fedshieldd::objects::Objects;
use fedshieldd::offline::OfflineHome;
use fedshieldd::offline::check_recorded;
use serde::Serialize;

use super::JsonFlag;
use crate::connection;
use crate::failure::Failure;
use crate::offline;
use crate::screen::{Colours, Screen};
use crate::table::facts;
use crate::units;

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
  fedshield-cli ledger verify ledger.fsl --manifest manifest.signed --federation 3f9a...
  fedshield-cli ledger verify ledger.fsl --head 81c0...      it goes at least as far as this record
  fedshield-cli ledger verify ledger.fsl --at-least 40       it has at least 40 records
  fedshield-cli ledger verify ledger.fsl --adapter ./adapter the exported adapter is the recorded one")]
pub struct VerifyArgs {
    /// The ledger file; without it, that of the home's federation
    pub file: Option<PathBuf>,
    /// The signed manifest [default: manifest.signed beside the ledger]
    #[arg(long, value_name = "FILE", requires = "file")]
    pub manifest: Option<PathBuf>,
    /// The federation id that it must be, in full
    #[arg(long, value_name = "ID")]
    pub federation: Option<FederationId>,
    /// Digest of a record that it must hold, as a member's `ledger verify` or `status` showed it
    #[arg(long, value_name = "DIGEST")]
    pub head: Option<RecordDigest>,
    /// How many records it must have at least
    #[arg(long, value_name = "N")]
    pub at_least: Option<u64>,
    /// A PEFT folder that must hold the last recorded adapter, bit for bit
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// The adapter's canonical bytes [default: adapter.canonical beside the ledger, or the home's]
    #[arg(long, value_name = "FILE", requires = "adapter")]
    pub canonical: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
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

/// The files that an export wrote.
#[derive(Debug, Serialize)]
struct Exported {
    ledger: PathBuf,
    manifest: PathBuf,
    /// `None` before the first applied round, and while the node does not have the adapter.
    adapter: Option<PathBuf>,
}

/// Names of the files.
const LEDGER_FILE: &str = "ledger.fsl";
const MANIFEST_FILE: &str = "manifest.signed";
const ADAPTER_FILE: &str = "adapter.canonical";

/// What a verified history shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The federation's name.
    pub name: String,
    /// Its id.
    pub federation: FederationId,
    /// Digest of the manifest.
    pub manifest: ManifestDigest,
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
    pub head: RecordDigest,
    /// Rounds that the manifest asks to apply.
    pub rounds: u64,
    /// A PEFT folder that holds the last adapter, bit for bit.
    pub adapter_folder: Option<PathBuf>,
    /// What this verification does not prove, in words.
    pub remarks: Vec<String>,
}

/// A verified history, and the objects that its digests name.
struct History {
    verified: Verified,
    adapter: Option<ObjectRef>,
    /// Digests of the manifest and of each record.
    heads: Vec<RecordDigest>,
}

/// Runs `ledger ...`.
///
/// # Errors
/// Files that cannot be read; [`ErrorCode::LedgerInvalid`] with the first wrong record.
pub async fn run(command: &LedgerCommand, home: &Home) -> Result<(), Failure> {
    match command {
        LedgerCommand::Show(args) => show::run(args, home).await,
        LedgerCommand::Export(args) => {
            let screen = Screen::new(args.json.json);
            Failure::unless_writable(home, &args.directory)?;
            let bytes = ledger_of(home, &screen).await?;
            let files = write(&bytes, home, &args.directory)?;
            if files.adapter.is_none() && recorded_adapter(&bytes).is_some() {
                screen.remark("the last adapter is not in this home yet: exported without it");
            }
            screen.answer(&files, |files, _| {
                let all = [Some(&files.ledger), Some(&files.manifest), files.adapter.as_ref()];
                let lines = all.into_iter().flatten().map(|path| format!("{}\n", path.display()));
                lines.collect()
            })
        }
        LedgerCommand::Verify(args) => verify_as_asked(args, home).await,
    }
}

async fn verify_as_asked(args: &VerifyArgs, home: &Home) -> Result<(), Failure> {
    let screen = Screen::new(args.json.json);
    let history = match &args.file {
        Some(file) => verify_files(file, &manifest_beside(file, args.manifest.as_deref()))?,
        None => verify_home(home, &screen).await?,
    };
    expect_federation(&history.verified, args.federation)?;
    pins::expect(&history, args.head.as_ref(), args.at_least)?;
    let mut verified = history.verified;
    if let Some(folder) = &args.adapter {
        let canonical = match (&args.canonical, &args.file) {
            (Some(path), _) => read(path)?,
            (None, Some(file)) => read(&file.with_file_name(ADAPTER_FILE))?,
            (None, None) => adapter_of(home, history.adapter)?,
        };
        expect_adapter(history.adapter, &canonical, folder)?;
        verified.adapter_folder = Some(folder.clone());
    }
    let pinned = args.head.is_some() || args.at_least.is_some();
    verified.remarks = pins::remarks(&verified, args.federation.is_some(), pinned);
    screen.answer(&verified, render)
}

/// The adapter's canonical bytes, from the home.
fn adapter_of(home: &Home, recorded: Option<ObjectRef>) -> Result<Vec<u8>, Failure> {
    let recorded = recorded.ok_or_else(no_adapter)?;
    Ok(Objects::open_to_read(&home.objects()).read(&recorded).map_err(ApiError::from)?)
}

fn no_adapter() -> Failure {
    Failure::new(ErrorCode::LedgerInvalid, "this history records no adapter: no round was applied")
        .at("--adapter")
        .next("verify without `--adapter`")
}

fn expect_adapter(
    recorded: Option<ObjectRef>,
    canonical: &[u8],
    folder: &Path,
) -> Result<(), Failure> {
    let recorded = recorded.ok_or_else(no_adapter)?;
    check_recorded(canonical, &recorded, folder).map_err(|error| {
        Failure::new(ErrorCode::LedgerInvalid, format!("the adapter is not the recorded one: {error}"))
            .at(folder.display())
            .next("export it again with `fedshield-cli adapter export DIR`; if it differs again, ask whoever gave it to you")
    })
}

/// The adapter after the last record of a ledger that may be damaged.
fn recorded_adapter(ledger: &[u8]) -> Option<ObjectRef> {
    ledger::decode(ledger).ok()?.last()?.record.adapter
}

/// Writes the ledger of `daemon`, and the signed manifest of its home, to `directory`; returns the
/// path of the ledger.
///
/// # Errors
/// If no daemon answers or a file cannot be written.
pub async fn export(
    daemon: &ControlClient,
    home: &Home,
    directory: &Path,
) -> Result<PathBuf, Failure> {
    write(&daemon.ledger().await?, home, directory).map(|files| files.ledger)
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

fn write(bytes: &[u8], home: &Home, directory: &Path) -> Result<Exported, Failure> {
    let signed = read(&home.manifest())?;
    let [ledger, manifest, adapter] =
        [LEDGER_FILE, MANIFEST_FILE, ADAPTER_FILE].map(|name| directory.join(name));
    let recorded = recorded_adapter(bytes);
    let canonical = recorded.and_then(|it| Objects::open_to_read(&home.objects()).read(&it).ok());
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&ledger, bytes))
        .and_then(|()| fs::write(&manifest, signed))
        .and_then(|()| canonical.as_ref().map_or(Ok(()), |bytes| fs::write(&adapter, bytes)))
        .map_err(|error| Failure::io("write the ledger", directory, &error))?;
    Ok(Exported { ledger, manifest, adapter: canonical.is_some().then_some(adapter) })
}

/// Verifies the ledger `file` under the signed manifest beside it.
///
/// # Errors
/// See [`run`].
pub fn verify_file(file: &Path) -> Result<Verified, Failure> {
    verify_files(file, &manifest_beside(file, None)).map(|history| history.verified)
}

async fn verify_home(home: &Home, screen: &Screen) -> Result<History, Failure> {
    let bytes = ledger_of(home, screen).await?;
    verify(&read(&home.manifest())?, &bytes, home.path())
}

fn verify_files(file: &Path, manifest: &Path) -> Result<History, Failure> {
    let ledger = read(file)?;
    if !manifest.exists() {
        return Err(Failure::new(ErrorCode::InvalidRequest, "the signed manifest is not there")
            .at(manifest.display())
            .next("put it beside the ledger, as `ledger export` does, or name it with `--manifest FILE`"));
    }
    verify(&read(manifest)?, &ledger, file)
}

fn verify(manifest: &[u8], ledger: &[u8], place: &Path) -> Result<History, Failure> {
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
    let heads = records.iter().map(|it| ledger::record_digest(&it.record));
    let heads = std::iter::once(RecordDigest::from(valid.digest())).chain(heads).collect();
    let adapter = summary.tip.adapter;
    Ok(History { verified: Verified::new(&valid, &summary), adapter, heads })
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
            rounds: terms.rounds,
            adapter_folder: None,
            remarks: Vec::new(),
        }
    }
}

/// Everything in a ledger can be forged together with its manifest; the federation's id cannot.
fn expect_federation(verified: &Verified, expected: Option<FederationId>) -> Result<(), Failure> {
    match expected {
        Some(id) if id != verified.federation => Err(Failure::new(
            ErrorCode::LedgerInvalid,
            format!("this is the history of another federation: {}", verified.federation),
        )
        .at("--federation")
        .next("compare the id with the one that you wrote down; if it is right, this history is not yours")),
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
    let mut list = vec![
        ("ledger", colours.good("verified")),
        ("federation", format!("{}  {}", harmless_line(&verified.name), verified.federation)),
        ("members", units::names(&verified.members)),
        ("rounds", rounds),
        ("adapter", adapter),
        ("head", verified.head.to_string()),
    ];
    if let Some(folder) = &verified.adapter_folder {
        let text = format!("{} holds the recorded adapter, bit for bit", folder.display());
        list.push(("folder", harmless_line(&text)));
    }
    let mut text = facts(colours, &list);
    for remark in &verified.remarks {
        text.push_str(&format!("{}\n", colours.odd(remark)));
    }
    text
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

//! `ledger verify`: the whole history under its signed manifest, offline.

use std::path::{Path, PathBuf};

use clap::Args;
use fedshield_protocol::hidden::harmless_line;
use fedshield_protocol::ids::{Digest, FederationId, ManifestDigest, RecordDigest};
use fedshield_protocol::ledger::{self, LedgerError, Summary};
use fedshield_protocol::manifest::{SignedManifest, ValidManifest};
use fedshield_protocol::object::ObjectRef;
use fedshieldd::control::api::{ApiError, ErrorCode};
use fedshieldd::home::Home;
use fedshieldd::objects::Objects;
use fedshieldd::offline::check_recorded;
use serde::Serialize;

use super::{ADAPTER_FILE, ledger_of, manifest_beside, pins, read};
use crate::command::JsonFlag;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};
use crate::table::facts;
use crate::units;

/// Arguments of `ledger verify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli ledger verify    the history of this home's federation
  fedshield-cli ledger verify ./history/ledger.fsl
  fedshield-cli ledger verify ledger.fsl --manifest manifest.signed \\
      --federation 3f9a...
  fedshield-cli ledger verify ledger.fsl --head 81c0...
                                 it goes at least as far as this record
  fedshield-cli ledger verify ledger.fsl --at-least 40
                                 it has at least 40 records
  fedshield-cli ledger verify ledger.fsl --adapter ./adapter
                                 the exported adapter is the recorded one")]
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
    /// Rounds after the last one that measured the final adapter.
    pub measured: u64,
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
pub(super) struct History {
    pub(super) verified: Verified,
    pub(super) adapter: Option<ObjectRef>,
    /// Digests of the manifest and of each record.
    pub(super) heads: Vec<RecordDigest>,
}

pub(super) async fn run(args: &VerifyArgs, home: &Home) -> Result<(), Failure> {
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

/// Verifies the ledger `file` under the signed manifest beside it.
///
/// # Errors
/// Files that cannot be read; [`ErrorCode::LedgerInvalid`] with the first wrong record.
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
            measured: summary.measured,
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

/// The adapter's canonical bytes, from the home.
fn adapter_of(home: &Home, recorded: Option<ObjectRef>) -> Result<Vec<u8>, Failure> {
    let recorded = recorded.ok_or_else(no_adapter)?;
    Ok(Objects::open_to_read(&home.objects()).read(&recorded).map_err(ApiError::from)?)
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

fn no_adapter() -> Failure {
    Failure::new(ErrorCode::LedgerInvalid, "this history records no adapter: no round was applied")
        .at("--adapter")
        .next("verify without `--adapter`")
}

fn render(verified: &Verified, colours: Colours) -> String {
    let rounds = format!(
        "{}: {} applied, {} skipped, {} void, {} rejected{}",
        units::count(verified.records, "record"),
        verified.applied,
        verified.skipped,
        verified.voided,
        verified.rejected,
        if verified.measured > 0 { ", the final adapter measured" } else { "" }
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
    use std::fs;

    use super::super::MANIFEST_FILE;
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

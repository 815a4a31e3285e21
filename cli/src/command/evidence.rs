//! `evidence ...`: what was proven of members, exporting it, verifying it anywhere, and lifting
//! bans.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use fedshield_protocol::hidden::harmless_line;
use fedshield_protocol::ids::{FederationId, Round};
use fedshield_protocol::manifest::{SignedManifest, ValidManifest};
use fedshield_protocol::wire::evidence::{Evidence, EvidenceFile, Rule};
use fedshieldd::conditions::date_and_clock;
use fedshieldd::control::api::{ErrorCode, EvidenceRequest, EvidenceView, LiftRequest, LiftView};
use fedshieldd::evidence;
use fedshieldd::home::Home;
use fedshieldd::offline::OfflineHome;
use serde::Serialize;

use super::JsonFlag;
use crate::connection;
use crate::failure::Failure;
use crate::offline;
use crate::screen::{Colours, Screen};
use crate::table::{Table, facts};
use crate::units;

/// `evidence ...`.
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// List what was proven of members: who, when, which rule
    List(ListArgs),
    /// Show one proof in words
    Show(ShowArgs),
    /// Write one proof to a file that anyone can check
    Export(ExportArgs),
    /// Check a proof offline, with the signed manifest alone
    Verify(VerifyArgs),
    /// End a member's ban at this node
    Lift(LiftArgs),
}

/// Arguments of `evidence list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Arguments of `evidence show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Its digest, or the beginning of it
    pub digest: String,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Arguments of `evidence export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli evidence export 3f9a proof.fse
  fedshield-cli evidence verify proof.fse --manifest manifest.signed")]
pub struct ExportArgs {
    /// Its digest, or the beginning of it
    pub digest: String,
    /// The file to write
    pub file: PathBuf,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Arguments of `evidence verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The file
    pub file: PathBuf,
    /// The signed manifest [default: manifest.signed beside the file, else that of the home]
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// The federation id that the manifest must have, in full
    #[arg(long, value_name = "ID")]
    pub federation: Option<FederationId>,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Arguments of `evidence lift`.
#[derive(Debug, Args)]
#[command(
    after_help = "What the member was proven to have done so far does not ban it any more at this node; what it is \
proven to do later does. Other members decide for themselves."
)]
pub struct LiftArgs {
    /// The member's name
    pub member: String,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

impl EvidenceCommand {
    /// Whether JSON was asked for.
    #[must_use]
    pub const fn json(&self) -> bool {
        match self {
            Self::List(args) => args.json.json,
            Self::Show(args) => args.json.json,
            Self::Export(args) => args.json.json,
            Self::Verify(args) => args.json.json,
            Self::Lift(args) => args.json.json,
        }
    }
}

/// Runs `evidence ...`.
///
/// # Errors
/// What the daemon or the home reports; [`ErrorCode::LedgerInvalid`] for a file that proves
/// nothing.
pub async fn run(command: &EvidenceCommand, home: &Home) -> Result<(), Failure> {
    let screen = Screen::new(command.json());
    match command {
        EvidenceCommand::List(_) => {
            screen.answer(&all(home, &screen).await?, |list, colours| render(list, colours))
        }
        EvidenceCommand::Show(args) => {
            let found = find(all(home, &screen).await?, &args.digest)?;
            screen.answer(&found, render_one)
        }
        EvidenceCommand::Export(args) => {
            let found = find(all(home, &screen).await?, &args.digest)?;
            let request = EvidenceRequest { digest: found.digest };
            let answer = connection::to(home).evidence_file(&request).await;
            let read = |home: &OfflineHome| home.evidence_file(&request.digest);
            let bytes = offline::or_home(answer, home, &screen, read)?;
            fs::write(&args.file, bytes)
                .map_err(|error| Failure::io("write the evidence", &args.file, &error))?;
            screen.answer(&Exported { file: args.file.clone() }, |it, _| {
                format!("{}\n", it.file.display())
            })
        }
        EvidenceCommand::Verify(args) => screen.answer(&verify(args, home)?, render_verified),
        EvidenceCommand::Lift(args) => {
            let request = LiftRequest { member: args.member.clone() };
            let lifted = connection::to(home).lift(&request).await?;
            screen.answer(&lifted, |it, _| lifted_text(it))
        }
    }
}

#[derive(Debug, Serialize)]
struct Exported {
    file: PathBuf,
}

async fn all(home: &Home, screen: &Screen) -> Result<Vec<EvidenceView>, Failure> {
    let answer = connection::to(home).evidence().await;
    offline::or_home(answer, home, screen, OfflineHome::evidence)
}

/// The evidence whose digest begins with `digest`, if there is exactly one.
fn find(list: Vec<EvidenceView>, digest: &str) -> Result<EvidenceView, Failure> {
    let wrong = |what: String| {
        Failure::new(ErrorCode::InvalidRequest, what)
            .next("`fedshield-cli evidence list` shows what there is")
    };
    let begins = |it: &EvidenceView| it.digest.to_string().starts_with(&digest.to_lowercase());
    let mut found = list.into_iter().filter(begins);
    match (found.next(), found.next()) {
        (Some(one), None) if !digest.is_empty() => Ok(one),
        (None, _) => Err(wrong(format!("no evidence has a digest that begins with `{digest}`"))),
        _ => Err(wrong(format!("more than one digest begins with `{digest}`: write more of it"))),
    }
}

/// What a verified file proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The federation's name.
    pub name: String,
    /// Its id.
    pub federation: FederationId,
    /// Whose misbehaviour is proven.
    pub member: String,
    /// The round of the misbehaviour.
    pub round: Round,
    /// Which rule was broken.
    pub rule: Rule,
    /// The rule, in words.
    pub rule_text: String,
    /// What the member did, in words.
    pub reason: String,
    /// What this verification does not prove, in words.
    pub remarks: Vec<String>,
}

fn verify(args: &VerifyArgs, home: &Home) -> Result<Verified, Failure> {
    let read =
        |path: &Path| fs::read(path).map_err(|error| Failure::io("read the file", path, &error));
    let place = args.file.display().to_string();
    let wrong = |what: String| {
        Failure::new(ErrorCode::LedgerInvalid, what).at(&place).next(
            "ask whoever gave it to you for the file again; a file that fails twice proves nothing",
        )
    };
    let EvidenceFile { federation, evidence } = EvidenceFile::decode(&read(&args.file)?)
        .map_err(|error| wrong(format!("this is not evidence: {error}")))?;
    let beside = args.file.with_file_name("manifest.signed");
    let manifest = match &args.manifest {
        Some(path) => path.clone(),
        None if beside.exists() => beside,
        None => home.manifest(),
    };
    if !manifest.exists() {
        return Err(Failure::new(ErrorCode::InvalidRequest, "the signed manifest is not there")
            .at(manifest.display())
            .next("name it with `--manifest FILE`; `ledger export` writes it"));
    }
    let founded = SignedManifest::decode(&read(&manifest)?)
        .map_err(|error| error.to_string())
        .and_then(|signed| ValidManifest::founded(signed).map_err(|error| error.to_string()))
        .map_err(|error| wrong(format!("the manifest founds no federation: {error}")))?;
    let expected = args.federation.unwrap_or(federation);
    if founded.federation() != federation || founded.federation() != expected {
        return Err(wrong(format!(
            "it is about a member of another federation: the evidence names {federation}, the manifest {}",
            founded.federation()
        )));
    }
    evidence::check(&evidence, &founded).map_err(|error| {
        wrong(format!("it proves nothing: {}", fedshieldd::error_chain(&error)))
    })?;
    Ok(verified(&evidence, &founded, args.federation.is_some()))
}

fn verified(evidence: &Evidence, founded: &ValidManifest, federation_given: bool) -> Verified {
    let member = founded.manifest().members.get(evidence.member.position());
    let mut remarks = Vec::new();
    if !federation_given {
        remarks.push(
            "anyone could have made this manifest and its members: compare the federation's id with the one that a member \
             tells you, or give it with `--federation ID`"
                .to_owned(),
        );
    }
    Verified {
        name: founded.manifest().name.clone(),
        federation: founded.federation(),
        member: member.map(|member| member.name.clone()).unwrap_or_default(),
        round: evidence.round,
        rule: evidence.rule(),
        rule_text: evidence.rule().sentence().to_owned(),
        reason: evidence.description(),
        remarks,
    }
}

fn render_verified(it: &Verified, colours: Colours) -> String {
    let mut text = facts(
        colours,
        &[
            ("evidence", colours.good("verified")),
            ("federation", format!("{}  {}", harmless_line(&it.name), it.federation)),
            ("member", harmless_line(&it.member)),
            ("round", it.round.to_string()),
            ("what", it.reason.clone()),
            ("rule", format!("{}: {}", it.rule, it.rule_text)),
        ],
    );
    for remark in &it.remarks {
        text.push_str(&format!("{}\n", colours.odd(remark)));
    }
    text
}

fn state(it: &EvidenceView) -> String {
    match (&it.lifted, it.bans) {
        (Some(lift), _) => format!("lifted {}", date_and_clock(lift.at_unix_s)),
        (None, true) => "banned".to_owned(),
        (None, false) => "old form, bans nobody".to_owned(),
    }
}

fn name(it: &EvidenceView) -> String {
    if it.member.is_empty() { "?".to_owned() } else { harmless_line(&it.member) }
}

fn render(list: &[EvidenceView], colours: Colours) -> String {
    if list.is_empty() {
        return "nothing was proven of any member\n".to_owned();
    }
    let mut table = Table::new(&["evidence", "member", ">round", "kept", "rule", "state", "what"]);
    for it in list {
        table.row([
            it.digest.short(),
            name(it),
            it.round.map_or_else(|| "-".to_owned(), |round| round.to_string()),
            date_and_clock(it.kept_unix_s),
            it.rule.map_or_else(|| "-".to_owned(), |rule| rule.to_string()),
            state(it),
            it.reason.clone(),
        ]);
    }
    table.render(colours)
}

fn render_one(it: &EvidenceView, colours: Colours) -> String {
    let rule = it.rule.map_or_else(String::new, |rule| format!("{rule}: "));
    let mut list = vec![
        ("evidence", it.digest.to_string()),
        ("member", name(it)),
        ("round", it.round.map_or_else(|| "-".to_owned(), |round| round.to_string())),
        ("kept", date_and_clock(it.kept_unix_s)),
        ("what", it.reason.clone()),
        ("rule", format!("{rule}{}", it.rule_text)),
        ("length", units::bytes(it.bytes)),
        ("state", state(it)),
    ];
    if let Some(lift) = &it.lifted {
        let by = lift.by.clone().unwrap_or_else(|| "?".to_owned());
        list.push(("lifted by", format!("{by}, through round {}", lift.through)));
    }
    facts(colours, &list)
}

fn lifted_text(it: &LiftView) -> String {
    format!(
        "{} is not banned here any more for what it was proven to have done up to round {}; the others decide for themselves\n",
        harmless_line(&it.member),
        it.through
    )
}

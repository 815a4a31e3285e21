//! `ledger show`: the content of the records, one line each or one in full. Nothing is verified
//! here.

use std::path::PathBuf;

use clap::Args;
use fedshield_protocol::election::Election;
use fedshield_protocol::ids::{
    Beacon, CommitmentDigest, Digest, KeyDigest, MemberIndex, RecordDigest, Round, SumDigest,
};
use fedshield_protocol::ledger::{self, Attachments, record_digest, set_of};
use fedshield_protocol::manifest::{SignedManifest, ValidManifest};
use fedshield_protocol::wire::{CertifiedRecord, Outcome};
use fedshieldd::control::api::{ErrorCode, MeanLoss, RoundOutcome};
use fedshieldd::home::Home;
use serde::Serialize;

use super::{ledger_of, manifest_beside, read};
use crate::command::{JsonFlag, word};
use crate::failure::Failure;
use crate::screen::{Colours, Screen};
use crate::table::{Table, facts};
use crate::units;

/// Arguments of `ledger show`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli ledger show                      one line for each record
  fedshield-cli ledger show --last 20
  fedshield-cli ledger show --from 40 --last 20  rounds 40 to 59
  fedshield-cli ledger show 17                   who, what digests and evidence
  fedshield-cli ledger show 17 --file ./history/ledger.fsl")]
pub struct ShowArgs {
    /// The round to show in full; without it, one line for each record
    pub round: Option<u64>,
    /// The first round to list
    #[arg(long, value_name = "ROUND", conflicts_with = "round")]
    pub from: Option<u64>,
    /// List the last N only; with `--from`, the first N from there
    #[arg(long, value_name = "N", conflicts_with = "round")]
    pub last: Option<usize>,
    /// A ledger file; without it, the ledger of the home's federation
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The signed manifest [default: manifest.signed beside the file]
    #[arg(long, value_name = "FILE", requires = "file")]
    pub manifest: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct RecordView {
    /// The round that ended.
    pub round: Round,
    /// How it ended.
    pub outcome: RoundOutcome,
    /// Whose updates are in the set, and the digests of their commitments.
    pub contributors: Vec<Contributor>,
    /// The committee members that added the ciphertexts.
    pub committee: Vec<String>,
    /// Root of the certified aggregate.
    pub aggregate: Option<Digest>,
    /// Digest of the opened sum.
    pub sum: Option<SumDigest>,
    /// What the members measured together of the adapter that the round started from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_loss: Option<MeanLoss>,
    /// The members have ended the training with this round.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stops: bool,
    /// Digest of the opened key.
    pub key: Option<KeyDigest>,
    /// Root of the adapter afterwards.
    pub adapter: Option<Digest>,
    /// Rounds applied so far.
    pub applied: u64,
    /// Digest of this record.
    pub head: RecordDigest,
    /// Digest of the record before; of the manifest for the first.
    pub previous: RecordDigest,
    /// Seeds the next round.
    pub beacon: Beacon,
    /// Who signed the record.
    pub signed_by: Vec<String>,
    /// The view in which the set was decided, and who is in its certificate.
    pub set_certificate: Option<CertificateView>,
    /// The same for the end of the round; `None` after a skip.
    pub end_certificate: Option<CertificateView>,
    /// Evidence that reached this member in the round.
    pub evidence: Vec<AccusedView>,
}

/// An update in the set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Contributor {
    /// Its contributor.
    pub member: String,
    /// Digest of its commitment.
    pub commitment: CommitmentDigest,
}

/// A quorum's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct CertificateView {
    /// The voting attempt, from 0.
    pub view: u32,
    /// Who voted for it.
    pub members: Vec<String>,
}

/// Evidence that a record names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct AccusedView {
    /// Name of the accused member.
    pub member: String,
    /// Names the proof, see `evidence show`.
    pub digest: Digest,
}

/// Runs `ledger show`.
///
/// # Errors
/// Files that cannot be read, a round that has no record.
pub(super) async fn run(args: &ShowArgs, home: &Home) -> Result<(), Failure> {
    let screen = Screen::new(args.json.json);
    let (ledger, manifest) = match &args.file {
        Some(file) => (read(file)?, read(&manifest_beside(file, args.manifest.as_deref()))?),
        None => (ledger_of(home, &screen).await?, read(&home.manifest())?),
    };
    let records = ledger::decode(&ledger).map_err(|error| unreadable(&error.to_string()))?;
    let signed =
        SignedManifest::decode(&manifest).map_err(|error| unreadable(&error.to_string()))?;
    let manifest =
        ValidManifest::check(signed.manifest).map_err(|error| unreadable(&error.to_string()))?;
    let reader = Reader { manifest: &manifest, records: &records };
    if let Some(round) = args.round {
        let view = usize::try_from(round).ok().and_then(|position| reader.view(position));
        let view = view.ok_or_else(|| no_such_round(round, records.len()))?;
        return screen.answer(&view, render_one);
    }
    let (start, end) = page(records.len(), args.from, args.last);
    let views: Vec<RecordView> = (start..end).filter_map(|at| reader.view(at)).collect();
    screen.answer(&views, |views, colours| render(views, colours))
}

/// The range of positions, out of `count` records, to list.
fn page(count: usize, from: Option<u64>, last: Option<usize>) -> (usize, usize) {
    let clamp = |round: u64| usize::try_from(round).unwrap_or(usize::MAX).min(count);
    match (from.map(clamp), last) {
        (Some(from), Some(length)) => (from, from.saturating_add(length).min(count)),
        (Some(from), None) => (from, count),
        (None, Some(length)) => (count.saturating_sub(length), count),
        (None, None) => (0, count),
    }
}

fn unreadable(reason: &str) -> Failure {
    Failure::new(ErrorCode::LedgerInvalid, format!("the ledger cannot be read: {reason}"))
        .next("get the ledger again from another member")
}

fn no_such_round(round: u64, count: usize) -> Failure {
    let text =
        format!("there is no record of round {round}; there are {count} records, from round 0");
    Failure::new(ErrorCode::InvalidRequest, text).next("`fedshield-cli ledger show` lists them")
}

struct Reader<'a> {
    manifest: &'a ValidManifest,
    records: &'a [CertifiedRecord],
}

impl Reader<'_> {
    fn view(&self, position: usize) -> Option<RecordView> {
        let certified = self.records.get(position)?;
        let record = &certified.record;
        let attachments = Attachments::decode(&certified.attachments).ok();
        let certificate = |it: &fedshield_protocol::wire::Certificate| CertificateView {
            view: it.view.0,
            members: it.votes.iter().map(|(member, _)| self.name(*member)).collect(),
        };
        let set = set_of(&record.outcome);
        let (outcome, sum) = match &record.outcome {
            Outcome::Applied { sum, .. } => (RoundOutcome::Applied, Some(*sum)),
            Outcome::Rejected { sum, .. } => (RoundOutcome::Rejected, Some(*sum)),
            Outcome::Void { .. } => (RoundOutcome::Void, None),
            Outcome::Skipped => (RoundOutcome::Skipped, None),
            Outcome::Measured { sum, .. } => (RoundOutcome::Measured, Some(*sum)),
        };
        let named = |(member, commitment): &(MemberIndex, CommitmentDigest)| Contributor {
            member: self.name(*member),
            commitment: *commitment,
        };
        let accused = |(member, object): &(MemberIndex, fedshield_protocol::object::ObjectRef)| {
            AccusedView { member: self.name(*member), digest: object.root }
        };
        Some(RecordView {
            round: record.round,
            outcome,
            contributors: set.map(|(set, _)| set.iter().map(named).collect()).unwrap_or_default(),
            committee: self.committee(position, record.round),
            aggregate: set.map(|(_, aggregate)| aggregate.root),
            sum,
            stops: record.outcome.stops(),
            mean_loss: record.outcome.measured().map(|it| MeanLoss::of(record.round, it)),
            key: attachments.as_ref().and_then(|it| it.end.as_ref()?.0),
            adapter: record.adapter.map(|adapter| adapter.root),
            applied: record.applied,
            head: record_digest(record),
            previous: record.previous,
            beacon: record.beacon,
            signed_by: certified.signatures.iter().map(|(member, _)| self.name(*member)).collect(),
            set_certificate: attachments.as_ref().map(|it| certificate(&it.set)),
            end_certificate: attachments
                .as_ref()
                .and_then(|it| it.end.as_ref())
                .map(|(_, it)| certificate(it)),
            evidence: attachments
                .map(|it| it.evidence.iter().map(accused).collect())
                .unwrap_or_default(),
        })
    }

    /// The committee of the round: it follows from the previous record's beacon.
    fn committee(&self, position: usize, round: Round) -> Vec<String> {
        let before = position.checked_sub(1).and_then(|before| self.records.get(before));
        let beacon = before.map_or_else(|| self.manifest.first_beacon(), |it| it.record.beacon);
        let rules = self.manifest.rules();
        let epoch = self.manifest.epoch();
        let election =
            Election::draw(&beacon, epoch, round, rules.member_count, rules.committee_size);
        election.committee().iter().map(|member| self.name(*member)).collect()
    }

    fn name(&self, member: MemberIndex) -> String {
        let members = &self.manifest.manifest().members;
        members.get(member.position()).map_or_else(|| member.to_string(), |it| it.name.clone())
    }
}

fn names_of(contributors: &[Contributor]) -> Vec<String> {
    contributors.iter().map(|contributor| contributor.member.clone()).collect()
}

fn render(views: &[RecordView], colours: Colours) -> String {
    if views.is_empty() {
        return "no such record\n".to_owned();
    }
    let headings = [
        ">round",
        "outcome",
        "contributors",
        "committee",
        "adapter",
        ">mean loss",
        "evidence",
        "record",
    ];
    let mut table = Table::new(&headings);
    for view in views {
        let accused: Vec<String> = view.evidence.iter().map(|it| it.member.clone()).collect();
        table.row([
            view.round.to_string(),
            word(&view.outcome),
            units::names(&names_of(&view.contributors)),
            units::names(&view.committee),
            short(view.adapter.as_ref()),
            units::mean_loss(view.mean_loss.as_ref()),
            if accused.is_empty() { "-".to_owned() } else { units::names(&accused) },
            view.head.short(),
        ]);
    }
    table.render(colours)
}

fn short(digest: Option<&Digest>) -> String {
    digest.map_or_else(|| "-".to_owned(), Digest::short)
}

fn whole(digest: Option<impl std::fmt::Display>) -> String {
    digest.map_or_else(|| "-".to_owned(), |it| it.to_string())
}

fn render_one(view: &RecordView, colours: Colours) -> String {
    let certificate = |it: &Option<CertificateView>| match it {
        Some(it) => format!("view {}, by {}", it.view, units::names(&it.members)),
        None => "-".to_owned(),
    };
    let mut list = vec![
        ("round", view.round.to_string()),
        ("outcome", word(&view.outcome)),
        ("committee", units::names(&view.committee)),
        ("aggregate", whole(view.aggregate)),
        ("key", whole(view.key)),
        ("sum", whole(view.sum)),
        ("adapter", whole(view.adapter)),
        ("applied", view.applied.to_string()),
        ("mean loss", units::mean_loss_in_full(view.mean_loss.as_ref())),
        ("set decided", certificate(&view.set_certificate)),
        ("end decided", certificate(&view.end_certificate)),
        ("signed by", units::names(&view.signed_by)),
        ("beacon", view.beacon.to_string()),
        ("previous", view.previous.to_string()),
        ("record", view.head.to_string()),
    ];
    if view.stops {
        list.push(("training", "ended by a quorum that has stopped improving".to_owned()));
    }
    if view.evidence.is_empty() {
        list.push(("evidence", "none".to_owned()));
    }
    let mut text = facts(colours, &list);
    if !view.contributors.is_empty() {
        let mut table = Table::new(&["contributor", "commitment"]);
        for it in &view.contributors {
            table.row([it.member.clone(), it.commitment.to_string()]);
        }
        text.push_str(&format!("\n{}", table.render(colours)));
    }
    if !view.evidence.is_empty() {
        let mut table = Table::new(&["evidence against", "digest"]);
        for it in &view.evidence {
            table.row([it.member.clone(), it.digest.to_string()]);
        }
        text.push_str(&format!("\n{}", table.render(colours)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_stay_within_the_ledger() {
        for (from, last, expected) in [
            (None, None, (0, 50)),
            (None, Some(20), (30, 50)),
            (None, Some(200), (0, 50)),
            (Some(40), None, (40, 50)),
            (Some(40), Some(5), (40, 45)),
            (Some(40), Some(usize::MAX), (40, 50)),
            (Some(u64::MAX), Some(5), (50, 50)),
        ] {
            assert_eq!(page(50, from, last), expected, "{from:?} {last:?}");
        }
    }
}

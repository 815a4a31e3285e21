//! The demo step by step, as a user would do it: init, daemons, federation, rounds, measurements,
//! export, verification.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fedshield_protocol::manifest::Terms;
use fedshieldd::config::{Config, DataConfig, HttpConfig, ModelConfig, TrainingConfig};
use fedshieldd::control::api::{
    ErrorCode, EvaluateRequest, ExpectedMember, ExportRequest, FoundRequest, InviteRequest,
    JoinRequest, NewFederation, NodeState, NodeStatus, WhichAdapter,
};
use fedshieldd::identity::Protection;
use tokio::task::JoinSet;

use super::DemoArgs;
use super::cast::Part;
use super::folder::WorkFolder;
use super::process::{Node, Nodes};
use super::report::{DemoMember, DemoReport, MemberOutcome, agreed_rounds, update_ratio};
use super::watch::RoundDisplay;
use crate::command::init::{NewNode, make_node};
use crate::command::ledger;
use crate::failure::Failure;

const POLL: Duration = Duration::from_millis(250);
/// How often in a row a busy daemon may fail to answer.
const MISSED_ANSWERS: u32 = 40;

/// A remark on what the demo does next.
#[expect(clippy::print_stderr, reason = "the place where the demo speaks")]
pub(super) fn say(text: &str) {
    eprintln!("{text}");
}

/// init: a home for each member, made by the same code as `fedshield-cli init`.
pub(super) fn init(
    args: &DemoArgs,
    model: &Path,
    parts: &[Part],
    work: &WorkFolder,
) -> Result<Vec<PathBuf>, Failure> {
    parts
        .iter()
        .map(|part| {
            let home = work.home(&part.name)?;
            let data = part.training_file(&work.path().join("data").join(&part.name))?;
            make_node(&NewNode {
                home: home.clone(),
                config: config(args, model, part, data, parts.len()),
                protection: Protection::None,
            })?;
            Ok(home)
        })
        .collect()
}

/// Threads of each of `members` daemons that all compute at the same time. With more threads than
/// cores they would only wait for each other.
fn threads_each(members: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / members.max(1)).max(1)
}

/// Listens on loopback, on any free port.
fn config(args: &DemoArgs, model: &Path, part: &Part, data: PathBuf, members: usize) -> Config {
    let apart = |file: &Option<PathBuf>| file.iter().cloned().collect::<Vec<PathBuf>>();
    let (held_out, test) = (apart(&part.held_out), apart(&part.test));
    Config {
        name: part.name.clone(),
        listen: ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"].map(str::to_owned).into(),
        model: ModelConfig { path: Some(model.to_path_buf()) },
        data: DataConfig {
            train: vec![data],
            held_out_fraction: held_out.is_empty().then_some(args.held_out_fraction),
            held_out,
            test_fraction: test.is_empty().then_some(args.test_fraction),
            test,
            template: None,
            ..DataConfig::default()
        },
        training: TrainingConfig {
            base_precision: args.base_precision,
            threads: threads_each(members),
            // The demo asks for it, and waits for it.
            personal: false,
            ..TrainingConfig::default()
        },
        http: HttpConfig { listen: Some(([127, 0, 0, 1], 0).into()), ..HttpConfig::default() },
        ..Config::default()
    }
}

/// Everything between the first daemon's start and the finished report. Ends early if a daemon
/// dies.
pub(super) async fn federate(
    nodes: &mut Nodes,
    parts: &[Part],
    homes: &[PathBuf],
    terms: Terms,
    work: &WorkFolder,
    samples: u16,
) -> Result<(DemoReport, Option<Failure>), Failure> {
    for (part, home) in parts.iter().zip(homes) {
        nodes.start(&part.name, home)?;
    }
    let started = Instant::now();
    let (members, death) = nodes.split();
    tokio::select! {
        result = play(members, terms, work, samples, started) => result,
        failure = death => Err(failure),
    }
}

async fn play(
    nodes: &[Node],
    terms: Terms,
    work: &WorkFolder,
    samples: u16,
    started: Instant,
) -> Result<(DemoReport, Option<Failure>), Failure> {
    for node in nodes {
        node.ready().await?;
    }
    let Some((owner, others)) = nodes.split_first() else {
        return Err(Failure::new(ErrorCode::Internal, "no daemon was started"));
    };
    found(owner, others, terms).await?;
    watch(nodes).await?;
    let federation_seconds = started.elapsed().as_secs_f64();
    let outcomes = measure(nodes, work, samples).await?;
    let folder = work.path().join("ledger");
    let ledger = ledger::export(&owner.connection(), owner.home(), &folder).await?;
    let verified = ledger::verify_file(&ledger);
    let agreed = agreed_rounds(&outcomes);
    // The report is written even if verification fails, because it helps to find the cause.
    let (rounds, failure) = match (agreed, &verified) {
        (Ok(rounds), Ok(_)) => (rounds, None),
        (Ok(rounds), Err(failure)) => (rounds, Some(failure.clone())),
        (Err(failure), _) => (Vec::new(), Some(failure)),
    };
    let adapter = outcomes.first().map(|outcome| outcome.adapter.clone()).unwrap_or_default();
    let members: Vec<DemoMember> = outcomes.into_iter().map(Into::into).collect();
    let report = DemoReport {
        rounds,
        update_ratio: update_ratio(&members),
        members,
        ledger,
        adapter,
        verified: failure.is_none(),
        questions: None,
        federation_seconds,
        total_seconds: 0.0,
    };
    Ok((report, failure))
}

/// federation new, invite and join for each other member, federation found. Every member is given
/// the expected list beforehand, as with `join --expect FILE`, so that no phrase has to be read
/// out.
async fn found(owner: &Node, others: &[Node], terms: Terms) -> Result<(), Failure> {
    let mut expected = Vec::with_capacity(others.len() + 1);
    for node in std::iter::once(owner).chain(others) {
        let status = node.connection().status().await?;
        expected.push(ExpectedMember { name: status.name, identity_key: status.identity_key });
    }
    let expect = Some(expected);
    let (founder, owner) = (&owner.name, owner.connection());
    let view = owner.new_federation(&NewFederation { terms }).await?;
    say(&format!("{founder} drafts federation {}", view.summary.founding_id.short()));
    for node in others {
        let invite = owner.invite(&InviteRequest { expires_s: 3600 }).await?.invite;
        let daemon = node.connection();
        let request = |accept, terms_digest| JoinRequest {
            invite: invite.clone(),
            accept,
            terms_digest,
            expect: expect.clone(),
        };
        let preview = daemon.join(&request(false, None)).await?;
        daemon.join(&request(true, Some(preview.terms_digest))).await?;
        say(&format!("{} joins", node.name));
    }
    owner.found(&FoundRequest { expect: expect.clone() }).await?;
    say(&format!("{founder} founds it; all members find the list that they expect, and sign"));
    Ok(())
}

/// Shows the progress until all members are done.
async fn watch(nodes: &[Node]) -> Result<(), Failure> {
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let mut display: Option<RoundDisplay> = None;
    loop {
        let statuses = statuses(nodes).await?;
        let federation = statuses.first().and_then(|status| status.federation.as_ref());
        let rounds = federation.map_or(1, |federation| federation.rounds);
        display.get_or_insert_with(|| RoundDisplay::new(&names, rounds)).show(&statuses);
        if statuses.iter().all(|status| status.state == NodeState::Done) {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    if let Some(mut display) = display {
        display.finish();
    }
    Ok(())
}

async fn statuses(nodes: &[Node]) -> Result<Vec<NodeStatus>, Failure> {
    let mut list = Vec::with_capacity(nodes.len());
    for node in nodes {
        let mut missed = 0;
        let status = loop {
            match node.connection().status().await {
                Ok(status) => break status,
                Err(error) if missed >= MISSED_ANSWERS => {
                    return Err(Failure::from(error).at(&node.name));
                }
                Err(_) => missed += 1,
            }
            tokio::time::sleep(POLL).await;
        };
        list.push(status);
    }
    Ok(list)
}

/// evaluate and adapter export, at all members at the same time as in the rounds. `samples`
/// questions are answered at each.
async fn measure(
    nodes: &[Node],
    work: &WorkFolder,
    samples: u16,
) -> Result<Vec<MemberOutcome>, Failure> {
    say("the members train at home and compare base, alone, common and best");
    let mut measuring = JoinSet::new();
    for (place, node) in nodes.iter().enumerate() {
        let (name, daemon) = (node.name.clone(), node.connection());
        let directory = work.path().join("adapters").join(&name);
        measuring.spawn(async move {
            let request = EvaluateRequest { samples: Some(samples), ..EvaluateRequest::default() };
            let evaluation = daemon.evaluate(&request).await?;
            let which = WhichAdapter::Common;
            let request = ExportRequest { directory, which, round: None };
            let export = daemon.export(&request).await?;
            let rounds = daemon.rounds().await?;
            let (adapter, exported) = (export.directory, export.adapter_digest);
            let outcome = MemberOutcome { name, rounds, evaluation, adapter, exported };
            Ok::<_, Failure>((place, outcome))
        });
    }
    let mut outcomes = Vec::with_capacity(nodes.len());
    while let Some(measured) = measuring.join_next().await {
        let measured =
            measured.map_err(|error| Failure::new(ErrorCode::Internal, error.to_string()))?;
        outcomes.push(measured?);
    }
    outcomes.sort_by_key(|(place, _)| *place);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

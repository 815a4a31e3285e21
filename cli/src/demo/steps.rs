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
                config: config(args, model, part, data),
                protection: Protection::None,
            })?;
            Ok(home)
        })
        .collect()
}

/// Listens on loopback, on any free port.
fn config(args: &DemoArgs, model: &Path, part: &Part, data: PathBuf) -> Config {
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
) -> Result<(DemoReport, Option<Failure>), Failure> {
    for (part, home) in parts.iter().zip(homes) {
        nodes.start(&part.name, home)?;
    }
    let started = Instant::now();
    let (members, death) = nodes.split();
    tokio::select! {
        result = play(members, terms, work, started) => result,
        failure = death => Err(failure),
    }
}

async fn play(
    nodes: &[Node],
    terms: Terms,
    work: &WorkFolder,
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
    let outcomes = measure(nodes, work).await?;
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

/// evaluate and adapter export at each member, one after the other: each uses all cores.
async fn measure(nodes: &[Node], work: &WorkFolder) -> Result<Vec<MemberOutcome>, Failure> {
    let mut outcomes = Vec::with_capacity(nodes.len());
    for node in nodes {
        say(&format!("{} trains at home and compares base, alone, common and best", node.name));
        let daemon = node.connection();
        let evaluation = daemon.evaluate(&EvaluateRequest::default()).await?;
        let directory = work.path().join("adapters").join(&node.name);
        let export = daemon
            .export(&ExportRequest { directory, which: WhichAdapter::Common, round: None })
            .await?;
        outcomes.push(MemberOutcome {
            name: node.name.clone(),
            rounds: daemon.rounds().await?,
            evaluation,
            adapter: export.directory,
            exported: export.adapter_digest,
        });
    }
    Ok(outcomes)
}

//! The round in progress, and what has arrived from each member.

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::status::{MemberStatus, Phase, Refusal, Status};
use fedshield_protocol::wire::Leave;
use fedshieldd::control::api::{MemberTransport, NodeStatus};

use super::{names, waiting};
use crate::command::status::Pace;
use crate::command::word;
use crate::screen::Colours;
use crate::table::Table;
use crate::units;

pub(super) fn machine_facts(
    machine: &Status,
    status: &NodeStatus,
    pace: &Pace,
    colours: Colours,
) -> Vec<(&'static str, String)> {
    let rounds = status.federation.as_ref().map_or(0, |federation| federation.rounds);
    let mut round = format!("{}, {} of {rounds} applied", machine.round, machine.applied);
    if machine.view.0 > 0 {
        round.push_str(&format!(", view {}", machine.view));
    }
    // There is no estimate until enough members are back, or an operator resumes.
    let goes_on = status.can_take_part() && status.waiting.as_ref().is_none_or(|it| it.can_go_on);
    let left = rounds.saturating_sub(machine.applied);
    if let Some(seconds) = pace.seconds_for(left).filter(|_| goes_on) {
        round.push_str(&format!(", about {} to go", units::seconds(seconds)));
    }
    let mut list = vec![("round", round), ("phase", phase(machine, colours))];
    if let Some(applied) = machine.stopped {
        let text = format!("by the members after {}", units::count(applied, "applied round"));
        list.push(("training ended", text));
    }
    if let Some(last) = machine.silent_through {
        let text = format!("through round {last}: the journal lacks what this node has signed");
        list.push(("silent", colours.odd(&text)));
    }
    if let Some(text) = waiting(machine, status) {
        list.push(("waiting for", colours.odd(&text)));
    }
    for (member, until) in excluded(machine) {
        let who = names(&[member], status);
        let text = format!(
            "{who} before round {until}: it was reachable and left a complaint about its update \
             unanswered"
        );
        list.push(("not listed", colours.odd(&text)));
    }
    let proposer = machine
        .proposer
        .map_or_else(String::new, |member| format!("  (proposer {})", names(&[member], status)));
    list.push(("committee", names(&machine.committee, status) + &proposer));
    let adapter = machine
        .adapter
        .map(|adapter| format!("{}  {}", adapter.root.short(), units::bytes(adapter.length)));
    list.push(("adapter", adapter.unwrap_or_else(|| "none yet".into())));
    list.push(("ledger head", machine.head.short()));
    let dropped: u64 = machine.dropped.values().sum();
    if dropped > 0 {
        list.push(("dropped", units::count(dropped, "message")));
    }
    list
}

pub(super) fn member_table(machine: &Status, status: &NodeStatus) -> Table {
    let headings = [
        "member",
        "reachable",
        "transport",
        "here",
        ">round",
        "committed",
        "share",
        ">updates",
        "report",
        "answer",
        "signed",
    ];
    let mut table = Table::new(&headings);
    let tick = |yes: bool| if yes { "yes" } else { "-" }.to_owned();
    for (index, member) in machine.members.iter().enumerate() {
        let index = MemberIndex(u16::try_from(index).unwrap_or(u16::MAX));
        table.row([
            names(&[index], status),
            tick(member.reachable),
            transport(index, status).to_owned(),
            here(member).to_owned(),
            member.round.map_or_else(|| "-".into(), |round| round.to_string()),
            committed(member),
            tick(member.share_valid),
            member.have_updates.to_string(),
            tick(member.reported),
            tick(member.answered),
            tick(member.signed),
        ]);
    }
    table
}

/// The transport of a member's connection: QUIC uses a post-quantum key exchange, TCP does not.
fn transport(member: MemberIndex, status: &NodeStatus) -> &'static str {
    let members = status.federation.as_ref().map(|federation| federation.members.as_slice());
    let name = members.and_then(|names| names.get(member.position()));
    match name.and_then(|name| status.transports.get(name)) {
        Some(MemberTransport { post_quantum: true, .. }) => "quic",
        Some(_) => "tcp (not post-quantum)",
        None => "-",
    }
}

/// Whether a member's update has arrived, or why it is left out.
fn committed(member: &MemberStatus) -> String {
    let refused = member.refused.map(|refused| match refused {
        Refusal::Layout => "wrong layout",
        Refusal::Length => "wrong length",
        Refusal::Unreadable => "unreadable",
    });
    refused.unwrap_or(if member.committed { "yes" } else { "-" }).to_owned()
}

/// The members whose updates this node does not report, and until which round.
fn excluded(machine: &Status) -> Vec<(MemberIndex, Round)> {
    let members = (0..).map(MemberIndex).zip(&machine.members);
    members.filter_map(|(index, member)| Some((index, member.excluded_until?))).collect()
}

/// Whether a member is present, or why not.
const fn here(member: &MemberStatus) -> &'static str {
    match member.left {
        Some(Leave::Stopped) => "stopped",
        Some(Leave::Paused) => "paused",
        Some(Leave::SitsOut) => "sits out",
        Some(Leave::CatchesUp) => "catches up",
        None if member.here => "yes",
        None => "no messages",
    }
}

pub(super) fn phase(machine: &Status, colours: Colours) -> String {
    let phase = colours.strong(&word(&machine.activity));
    match machine.phase {
        Phase::Recovering => phase + ": asking the others what this node signed before it started",
        _ => phase,
    }
}

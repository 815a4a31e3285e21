//! How a status is rendered: in full, and in one line.

use fedshield_protocol::hidden::harmless_line;
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::status::{MemberStatus, Phase, Refusal, Status};
use fedshield_protocol::wire::Leave;
use fedshieldd::control::api::{
    HeldOut, MemberTransport, NodeState, NodeStatus, Severity, WorkProgress,
};

use super::super::federation::phrase_lines;
use super::super::word;
use super::Pace;
use crate::screen::Colours;
use crate::table::{Table, facts};
use crate::units;

/// The whole status as text.
#[must_use]
pub fn render(status: &NodeStatus, pace: &Pace, colours: Colours) -> String {
    let mut list = vec![
        (
            "node",
            format!(
                "{}  {}",
                harmless_line(&status.name),
                units::short(&status.identity_key.to_string())
            ),
        ),
        ("state", state(status.state, colours)),
    ];
    if let Some(federation) = &status.federation {
        let founding = || federation.founding_id.short();
        let id = federation.id.map_or_else(founding, |id| id.short());
        list.push((
            "federation",
            format!("{}  {}  epoch {}", harmless_line(&federation.name), id, federation.epoch),
        ));
        list.push(("members", units::names(&federation.members)));
        let signed = federation.signed.len();
        if matches!(status.state, NodeState::Founding) {
            let mut text = format!("{signed} of {}", federation.members.len());
            // A founder learns from the owner who has signed: while it knows of none, it lists
            // nobody.
            if signed > 0 {
                let missing = units::names(&federation.unsigned());
                text.push_str(&colours.odd(&format!("; not yet: {missing}")));
            }
            list.push(("confirmed", text));
        }
    }
    if let Some(machine) = &status.machine {
        list.extend(machine_facts(machine, status, pace, colours));
    }
    if let Some(progress) = &status.progress {
        list.push(("now", progress_text(progress)));
    }
    if let Some(held_out) = &status.held_out {
        list.push(("held-out loss", held_out_text(held_out)));
    }
    for condition in &status.conditions {
        let text = units::condition(condition);
        let shown = match condition.severity {
            Severity::Notice => text,
            Severity::Warning => colours.odd(&text),
            Severity::Blocking => colours.bad(&text),
        };
        list.push((severity_word(condition.severity), shown));
    }
    for line in &status.misbehaviour {
        list.push(("misbehaviour", colours.bad(line)));
    }
    if let Some(error) = &status.last_error {
        list.push(("last error", colours.bad(error)));
    }
    list.push(("listening", units::names(&status.listen)));
    if let Some(http) = &status.http {
        list.push(("dashboard", format!("http://{http}/")));
    }
    let mut text = facts(colours, &list);
    let founding = status.federation.as_ref().filter(|_| status.state == NodeState::Founding);
    if let Some(phrase) = founding.and_then(|federation| federation.phrase.as_ref()) {
        text.push_str(&format!("\n{}", phrase_lines(phrase, colours)));
    }
    if let Some(machine) = &status.machine {
        text.push('\n');
        text.push_str(&member_table(machine, status).render(colours));
    }
    text
}

const fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Notice => "note",
        Severity::Warning => "warning",
        Severity::Blocking => "not ready",
    }
}

/// `2.4527 after round 7 (-69.6% against the base model's 8.0623)`.
fn held_out_text(held_out: &HeldOut) -> String {
    let loss = units::loss(Some(held_out.loss));
    let against = held_out.base.map_or_else(String::new, |base| {
        let change = units::change(Some(base), Some(held_out.loss));
        format!(" ({change} against the base model's {})", units::loss(Some(base)))
    });
    format!("{loss} after round {}{against}", held_out.round)
}

fn machine_facts(
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

fn member_table(machine: &Status, status: &NodeStatus) -> Table {
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

/// `delta: 3 of 4 are enough, until 22:44:28 UTC at most`.
fn waiting(machine: &Status, status: &NodeStatus) -> Option<String> {
    let who = (!machine.waiting_for.is_empty()).then(|| names(&machine.waiting_for, status));
    let what = status.waiting.as_ref().map(|waiting| {
        let until = waiting
            .until_unix_s
            .map_or_else(String::new, |until| format!(", until {} at most", units::clock(until)));
        harmless_line(&waiting.text) + &until
    });
    match (who, what) {
        (Some(who), Some(what)) => Some(format!("{who}: {what}")),
        (who, what) => who.or(what),
    }
}

/// One line for logs, with the changes that an operator wants to see.
#[must_use]
pub fn one_line(status: &NodeStatus) -> String {
    let name = harmless_line(&status.name);
    let Some(machine) = &status.machine else {
        return format!("{name}: {}", word(&status.state));
    };
    let rounds = status.federation.as_ref().map_or(0, |federation| federation.rounds);
    let mut line = format!(
        "{name}: round {} ({} of {rounds} applied), {}",
        machine.round,
        machine.applied,
        word(&machine.activity)
    );
    if let Some(last) = machine.silent_through {
        line.push_str(&format!(", silent through round {last}"));
    }
    if let Some(text) = waiting(machine, status) {
        line.push_str(&format!(", waiting for {text}"));
    }
    if let Some(progress) = &status.progress {
        line.push_str(&format!(", {}", progress.phase));
    }
    line
}

/// What a node is busy with: `train 7/10, loss 2.3456, 812 tokens/s`.
#[must_use]
pub fn progress_text(progress: &WorkProgress) -> String {
    let mut text = progress.phase.clone();
    if progress.steps > 0 {
        text.push_str(&format!(" {}/{}", progress.step, progress.steps));
    } else if progress.fraction > 0.0 {
        text.push_str(&format!(" {:.0}%", progress.fraction * 100.0));
    }
    if let Some(loss) = progress.loss {
        text.push_str(&format!(", loss {}", units::loss(Some(loss))));
    }
    if let Some(speed) = progress.tokens_per_second {
        text.push_str(&format!(", {speed:.0} tokens/s"));
    }
    text
}

/// The names of members, as far as the federation's list has them.
#[must_use]
pub fn names(members: &[MemberIndex], status: &NodeStatus) -> String {
    let known = status.federation.as_ref().map(|federation| federation.members.as_slice());
    let list: Vec<String> = members
        .iter()
        .map(|member| {
            let name = known.and_then(|names| names.get(member.position()));
            name.cloned().unwrap_or_else(|| format!("member {member}"))
        })
        .collect();
    units::names(&list)
}

fn phase(machine: &Status, colours: Colours) -> String {
    let phase = colours.strong(&word(&machine.activity));
    match machine.phase {
        Phase::Recovering => phase + ": asking the others what this node signed before it started",
        _ => phase,
    }
}

fn state(state: NodeState, colours: Colours) -> String {
    match state {
        NodeState::Idle => "idle: in no federation (`federation new` or `join` comes next)".into(),
        NodeState::Draft => colours.odd("draft") + ": invite members, then `federation found`",
        NodeState::Joining => colours.odd("joining") + ": waiting until the owner founds it",
        NodeState::Founding => {
            colours.odd("founding") + ": every member confirms the list of members"
        }
        NodeState::Active => colours.good("active"),
        NodeState::Paused => colours.odd("paused") + ": takes part in no round until `resume`",
        NodeState::Done => colours.good("done") + ": all rounds have an adapter",
    }
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::failed_rounds::FailedRounds;
    use fedshield_protocol::ids::{Digest, Epoch, IdentityKey, RecordDigest, Round, View};
    use fedshield_protocol::status::{Activity, Attendance};
    use fedshieldd::control::api::{Condition, TransportKind, Waiting};

    use super::*;

    #[test]
    fn a_measured_loss_stands_against_the_base_model() {
        let mut held_out = HeldOut {
            round: fedshield_protocol::ids::Round(7),
            loss: 2.4527,
            base: None,
            examples: 64,
            tokens: 3000,
        };
        assert_eq!(held_out_text(&held_out), "2.4527 after round 7");
        held_out.base = Some(8.0623);
        let text = "2.4527 after round 7 (-69.6% against the base model's 8.0623)";
        assert_eq!(held_out_text(&held_out), text);
    }

    /// A round that waits for one of its members.
    fn waits() -> NodeStatus {
        let member = MemberStatus { here: true, ..MemberStatus::default() };
        let machine = Status {
            epoch: Epoch(0),
            round: Round(4),
            phase: Phase::Commit,
            activity: Activity::Commit,
            view: View(0),
            applied: 4,
            adapter: None,
            head: RecordDigest([0; 32]),
            committee: vec![],
            proposer: None,
            members: vec![member],
            silent_through: None,
            journal_round: None,
            failed_rounds: FailedRounds::default(),
            waiting_for: vec![MemberIndex(0)],
            wait: None,
            attendance: Attendance::default(),
            paused: false,
            banned: vec![],
            dropped: [].into(),
        };
        let waiting = Waiting {
            text: "3 of 4 are enough".into(),
            until_unix_s: Some(22 * 3600 + 44 * 60 + 28),
            can_go_on: true,
        };
        NodeStatus {
            machine: Some(machine),
            waiting: Some(waiting),
            ..NodeStatus::starting("a", IdentityKey([1; 32]))
        }
    }

    #[test]
    fn a_wait_says_for_whom_how_many_are_enough_and_until_when() {
        let mut status = waits();
        let text = "member 0: 3 of 4 are enough, until 22:44:28 UTC at most";
        assert!(one_line(&status).ends_with(&format!(", waiting for {text}")));
        let page = |status: &NodeStatus| {
            let pace = Pace { head: None, round_seconds: Some(60.0) };
            render(status, &pace, Colours::none())
        };
        let federation = fedshieldd::control::api::FederationSummary {
            id: None,
            founding_id: Digest([2; 32]),
            name: "trial".into(),
            epoch: Epoch(0),
            manifest_digest: None,
            members: vec!["delta".into()],
            self_index: None,
            rounds: 8,
            signed: vec![],
            phrase: None,
        };
        status.federation = Some(federation);
        let shown = page(&status);
        assert!(shown.contains("delta: 3 of 4 are enough, until 22:44:28 UTC at most"), "{shown}");
        assert!(shown.contains("about 4 min 00 s to go"), "{shown}");
        assert!(!shown.contains("post-quantum"), "{shown}");
        let tcp = MemberTransport { transport: TransportKind::Tcp, post_quantum: false };
        status.transports = [("delta".to_owned(), tcp)].into();
        assert!(page(&status).contains("tcp (not post-quantum)"), "{shown}");

        // Without a quorum there is no estimate.
        let text = "no quorum: 2 of 3 needed";
        let condition = Condition::new("no-quorum", Severity::Blocking, text);
        status.conditions = vec![condition];
        status.waiting = Some(Waiting { text: text.into(), until_unix_s: None, can_go_on: false });
        let shown = page(&status);
        assert!(shown.contains("delta: no quorum: 2 of 3 needed"), "{shown}");
        assert!(!shown.contains("to go") && !shown.contains("at most"), "{shown}");
        status.conditions.clear();
        assert!(!page(&status).contains("to go"));
    }

    #[test]
    fn an_absent_member_is_shown_with_the_reason() {
        let mut status = waits();
        for (left, text) in [
            (Some(Leave::Stopped), "stopped"),
            (Some(Leave::Paused), "paused"),
            (Some(Leave::SitsOut), "sits out"),
            (Some(Leave::CatchesUp), "catches up"),
            (None, "no messages"),
        ] {
            let machine = status.machine.as_mut().unwrap();
            machine.members[0] = MemberStatus { left, ..MemberStatus::default() };
            let shown = render(&status, &Pace::default(), Colours::none());
            assert!(shown.contains(text), "{shown}");
        }
    }

    #[test]
    fn recovery_and_silence_are_shown_in_words() {
        let machine = Status {
            epoch: Epoch(0),
            round: Round(4),
            phase: Phase::Recovering,
            activity: Activity::Recovering,
            view: View(0),
            applied: 4,
            adapter: None,
            head: RecordDigest([0; 32]),
            committee: vec![],
            proposer: None,
            members: vec![],
            silent_through: None,
            journal_round: None,
            failed_rounds: FailedRounds::default(),
            waiting_for: vec![],
            wait: None,
            attendance: Attendance::default(),
            paused: false,
            banned: vec![],
            dropped: [].into(),
        };
        let colours = Colours::none();
        let asking = "recovering: asking the others what this node signed before it started";
        assert_eq!(phase(&machine, colours), asking);
        let mut status = NodeStatus::starting("a", IdentityKey([1; 32]));
        status.machine = Some(Status {
            phase: Phase::Sync,
            activity: Activity::Sync,
            silent_through: Some(Round(4)),
            ..machine
        });
        let text = render(&status, &Pace::default(), colours);
        assert!(text.contains("through round 4: the journal lacks"), "{text}");
        assert!(one_line(&status).ends_with("sync, silent through round 4"));
    }

    #[test]
    fn progress_shows_what_is_known_and_no_more() {
        let mut progress = WorkProgress {
            phase: "train".into(),
            step: 7,
            steps: 10,
            loss: Some(2.345_67),
            tokens_per_second: Some(812.4),
            fraction: 0.7,
        };
        assert_eq!(progress_text(&progress), "train 7/10, loss 2.3457, 812 tokens/s");
        progress = WorkProgress { steps: 0, loss: None, tokens_per_second: None, ..progress };
        assert_eq!(progress_text(&progress), "train 70%");
    }
}

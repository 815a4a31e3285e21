//! The texts of a node's conditions.

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::status::{Attendance, Phase, Status};
use fedshield_protocol::wire::Leave;

use crate::conditions::date_and_clock;
use crate::control::api::{Absent, Condition, Pause, Severity};

/// Members' names, and which of them are absent or banned.
pub(super) struct People<'a> {
    pub(super) names: &'a [String],
    pub(super) absent: &'a [Absent],
    pub(super) banned: &'a [MemberIndex],
}

impl People<'_> {
    fn name(&self, position: usize) -> &str {
        self.names.get(position).map_or("?", String::as_str)
    }

    /// `bank (stopped since 2026-11-27 22:40:11 UTC), farm (no messages since ...)`.
    fn absent(&self) -> String {
        let list: Vec<String> = self
            .absent
            .iter()
            .map(|absent| {
                let why = match absent.why {
                    Some(Leave::Stopped) => "stopped",
                    Some(Leave::Paused) => "paused",
                    Some(Leave::SitsOut) => "sits rounds out",
                    Some(Leave::CatchesUp) => "catching up",
                    None => "no messages",
                };
                let since = date_and_clock(absent.since_unix_s);
                format!("{} ({why} since {since})", self.name(absent.member.position()))
            })
            .collect();
        list.join(", ")
    }

    fn banned(&self) -> String {
        let names: Vec<&str> = self.banned.iter().map(|it| self.name(it.position())).collect();
        names.join(", ")
    }
}

pub(super) fn paused(pause: &Pause) -> Condition {
    let by = pause.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let since = date_and_clock(pause.since_unix_s);
    let (severity, text) = match pause.after_round {
        None => (Severity::Blocking, format!("paused since {since}{by}")),
        Some(round) => {
            let text = format!(
                "pauses after round {round}, in which it is bound by what it has signed; asked \
                 for at {since}{by}"
            );
            (Severity::Notice, text)
        }
    };
    Condition::new("paused", severity, text)
        .with_hint("`fedshield-cli resume` lets it take part again")
}

pub(super) fn silent(last: Round) -> Condition {
    let text = format!("sits out rounds up to {last}: its journal lacks what it has signed");
    Condition::new("silent", Severity::Blocking, text)
        .with_hint("it takes part again by itself once the others have ended that round")
}

/// The condition when too few members are present, to decide anything or to open a sum.
pub(super) fn shortage(people: &People<'_>, attendance: Attendance) -> Option<Condition> {
    if !attendance.is_quorum() {
        return Some(no_quorum(people, attendance));
    }
    (attendance.contributors < attendance.min_contributors).then(|| too_few(people, attendance))
}

fn no_quorum(people: &People<'_>, attendance: Attendance) -> Condition {
    let Attendance { here, quorum, .. } = attendance;
    let text = format!("no quorum: {here} of {quorum} needed; missing {}", people.absent());
    Condition::new("no-quorum", Severity::Blocking, text).with_hint(
        "rounds go on by themselves as soon as enough members are here; check this machine's network, then ask the \
         operators of the missing members",
    )
}

fn too_few(people: &People<'_>, attendance: Attendance) -> Condition {
    let Attendance { contributors, min_contributors, .. } = attendance;
    let mut lacking = Vec::new();
    if !people.absent.is_empty() {
        lacking.push(format!("missing {}", people.absent()));
    }
    if !people.banned.is_empty() {
        lacking.push(format!("banned for proven misbehaviour: {}", people.banned()));
    }
    let text = format!(
        "too few members for a sum: {contributors} of {min_contributors} needed; {}",
        lacking.join("; ")
    );
    let hint = if people.banned.is_empty() {
        "rounds are skipped until enough members are here; ask the operators of the missing members"
    } else {
        "rounds are skipped until enough members can contribute: read `fedshield-cli evidence \
         list`, talk to these members, and lift a ban with `fedshield-cli evidence lift NAME` at \
         each member that you want to list its \
         updates again"
    };
    Condition::new("too-few-contributors", Severity::Blocking, text).with_hint(hint)
}

/// The condition that names the members whose updates this node does not list.
pub(super) fn banned(people: &People<'_>) -> Condition {
    let text = format!(
        "banned for proven misbehaviour: {}; rounds do not wait for it, and its updates are left out",
        people.banned()
    );
    Condition::new("members-banned", Severity::Warning, text).with_hint(
        "`fedshield-cli evidence list` shows what was proven, `evidence export` hands it over, \
         `evidence lift NAME` ends it",
    )
}

pub(super) fn absent(people: &People<'_>) -> Condition {
    let text = format!("absent: {}", people.absent());
    Condition::new("members-away", Severity::Notice, text).with_hint("rounds go on without them")
}

/// The round that others are in, if at least one honest member is in a later one than this node.
pub(super) fn rounds_ahead(machine: &Status) -> Option<Round> {
    let mut rounds: Vec<Round> = machine.members.iter().filter_map(|member| member.round).collect();
    rounds.sort_unstable_by(|a, b| b.cmp(a));
    let honest_threshold = machine.members.len().saturating_sub(1) / 3;
    rounds.get(honest_threshold).copied().filter(|round| *round > machine.round)
}

pub(super) fn recovering(people: &People<'_>, machine: &Status, severity: Severity) -> Condition {
    let (text, hint) = if machine.phase == Phase::Recovering {
        let answers = machine.wait.map_or_else(String::new, |wait| {
            format!(": {} of {} needed answers are here", wait.here, wait.enough)
        });
        let late: Vec<&str> =
            machine.waiting_for.iter().map(|member| people.name(member.position())).collect();
        let late = if late.is_empty() {
            String::new()
        } else {
            format!("; none yet from {}", late.join(", "))
        };
        let text = format!("asks the others what it signed before it started{answers}{late}");
        (text, "members answer that are connected and in the same round; check the network to them")
    } else if let Some(round) = rounds_ahead(machine) {
        let text =
            format!("catching up: in round {}, the others are in round {round}", machine.round);
        (text, "records come from any connected member; see the log if the round does not grow")
    } else {
        let text = format!(
            "catching up: the adapter that round {} starts from is not here yet",
            machine.round
        );
        (text, "it comes from any member that has it; see the log for fetches that fail")
    };
    Condition::new("recovering", severity, text).with_hint(hint)
}

/// What the round waits for, as text, and whether it can still lead to a sum; `None` if it waits
/// for nobody.
pub(super) fn waiting_text(machine: &Status) -> Option<(String, bool)> {
    let Attendance { here, quorum, contributors, min_contributors } = machine.attendance;
    if !machine.attendance.is_quorum() {
        return Some((format!("no quorum: {here} of {quorum} needed"), false));
    }
    let too_few = contributors < min_contributors;
    let wait = machine.wait?;
    Some(match machine.phase {
        Phase::WaitingForQuorum | Phase::Commit | Phase::Transfer if too_few => {
            (format!("too few for a sum: {contributors} of {min_contributors} needed"), false)
        }
        Phase::Certify if wait.of == 1 => ("it proposes".to_owned(), !too_few),
        _ => (format!("{} of {} are enough", wait.enough, wait.of), !too_few),
    })
}

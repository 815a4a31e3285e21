//! How a status is rendered: in full, and in one line.

mod round;

use fedshield_protocol::hidden::harmless_line;
use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::status::Status;
use fedshieldd::control::api::{
    AtHome, AtHomeState, Comparison, HeldOut, NodeState, NodeStatus, Severity, WorkProgress,
};

use super::super::federation::phrase_lines;
use super::super::word;
use super::Pace;
use crate::screen::Colours;
use crate::table::facts;
use crate::units;
use round::{machine_facts, member_table};

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
    if let Some(mean) = &status.mean_loss {
        list.push(("mean loss", units::mean_loss_in_full(Some(mean))));
    }
    if let Some(comparison) = &status.comparison {
        list.push(("compared", comparison_text(comparison)));
    }
    if let Some(at_home) = &status.at_home {
        list.push(("at home", at_home_text(at_home, colours)));
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

/// `joining: 38% better than alone on your own data (base 5.41, alone 1.33, common 0.82, best 0.80)`.
fn comparison_text(comparison: &Comparison) -> String {
    let loss = |loss: f64| units::loss(Some(loss));
    let alone = comparison.alone.map_or_else(String::new, |it| format!("alone {}, ", loss(it)));
    format!(
        "{} (base {}, {alone}common {}, best {}; after {})",
        comparison.headline,
        loss(comparison.base),
        loss(comparison.common),
        loss(comparison.best_loss),
        units::count(comparison.applied, "applied round")
    )
}

/// What this node makes for itself once the federation is done.
fn at_home_text(at_home: &AtHome, colours: Colours) -> String {
    let text = match at_home.state {
        AtHomeState::Off => {
            colours.odd("off") + ": no personal adapter is made without being asked"
        }
        AtHomeState::Waiting => "waiting".to_owned(),
        AtHomeState::Running => {
            "training on from the common adapter, at the lowest priority".into()
        }
        AtHomeState::Done => {
            colours.good("done") + ": `adapter export --which best` writes the best adapter"
        }
        AtHomeState::Failed => {
            colours.odd("failed") + ": `fedshield-cli compare` tries again, as the next start does"
        }
    };
    let why = at_home.reason.as_ref().map(|reason| format!(" ({})", harmless_line(reason)));
    text + &why.unwrap_or_default()
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
mod tests;

//! The demo's progress: a bar for the phases of a round and a line for each member; plain lines
//! without a terminal.

use std::io::IsTerminal;

use fedshield_protocol::hidden::harmless_line;
use fedshield_protocol::status::Activity;
use fedshieldd::control::api::{NodeState, NodeStatus};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::steps;
use crate::command::status::{names, progress_text};
use crate::command::word;
use crate::screen::Colours;

/// What a member does in a round, in the order in which the bar counts it.
const PATH: [Activity; 8] = [
    Activity::Commit,
    Activity::Transfer,
    Activity::Aggregate,
    Activity::Certify,
    Activity::Decrypt,
    Activity::Combine,
    Activity::Apply,
    Activity::Record,
];

/// Shows what the members are doing. Everything goes to standard error.
pub struct RoundDisplay {
    bars: Option<Bars>,
    last: Vec<String>,
    errors: Vec<Option<String>>,
    colours: Colours,
}

struct Bars {
    all: MultiProgress,
    round: ProgressBar,
    members: Vec<ProgressBar>,
}

impl RoundDisplay {
    /// For members with these names and a federation of `rounds` rounds.
    #[must_use]
    pub fn new(members: &[String], rounds: u64) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bars = terminal.then(|| Bars::new(members, rounds));
        let last = vec![String::new(); members.len()];
        let errors = vec![None; members.len()];
        Self { bars, last, errors, colours: Colours::detect(terminal) }
    }

    /// Shows the members' newest status, in the order of their names.
    pub fn show(&mut self, statuses: &[NodeStatus]) {
        for (status, last) in statuses.iter().zip(&mut self.errors) {
            if status.last_error != *last {
                last.clone_from(&status.last_error);
                if let Some(error) = last {
                    let line =
                        format!("  {}: {}", harmless_line(&status.name), self.colours.odd(error));
                    say(self.bars.as_ref(), &line);
                }
            }
        }
        match &self.bars {
            Some(bars) => bars.show(statuses, self.colours),
            None => self.print(statuses),
        }
    }

    /// Removes the bars.
    pub fn finish(&mut self) {
        if let Some(bars) = self.bars.take() {
            bars.round.finish_and_clear();
            for bar in bars.members {
                bar.finish_and_clear();
            }
            let _ = bars.all.clear();
        }
    }

    /// Prints one line for each member that has entered another phase.
    fn print(&mut self, statuses: &[NodeStatus]) {
        for (status, last) in statuses.iter().zip(&mut self.last) {
            let line = phase_line(status);
            if line != *last {
                say(None, &format!("  {line}"));
                *last = line;
            }
        }
    }
}

/// Prints a line that stays: above the bars, if there are any.
fn say(bars: Option<&Bars>, line: &str) {
    match bars {
        Some(bars) => {
            let _ = bars.all.println(line);
        }
        None => steps::say(line),
    }
}

impl Bars {
    fn new(members: &[String], rounds: u64) -> Self {
        let all = MultiProgress::new();
        let round = all.add(ProgressBar::new(rounds * PATH.len() as u64));
        round.set_style(style("{prefix:.bold} [{bar:32}] {msg} {elapsed}").progress_chars("=> "));
        let width = members.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let members = members
            .iter()
            .map(|name| {
                let bar = all.add(ProgressBar::new_spinner());
                bar.set_style(style("  {prefix}  {wide_msg}"));
                bar.set_prefix(format!("{name:width$}"));
                bar
            })
            .collect();
        Self { all, round, members }
    }

    fn show(&self, statuses: &[NodeStatus], colours: Colours) {
        let last = statuses.iter().filter_map(place).min_by_key(|place| place.position);
        if let Some(place) = last {
            self.round.set_position(place.position);
            self.round.set_prefix(format!("round {}", place.round));
            self.round.set_message(format!("{:18}", word(&place.activity)));
        }
        for (bar, status) in self.members.iter().zip(statuses) {
            bar.set_message(member_line(status, colours));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates above are constants; a wrong one falls back to the default.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A member's progress.
struct Place {
    round: u64,
    activity: Activity,
    position: u64,
}

fn place(status: &NodeStatus) -> Option<Place> {
    let machine = status.machine.as_ref()?;
    let index = PATH.iter().position(|activity| *activity == machine.activity).unwrap_or(0) as u64;
    let position = machine.applied * PATH.len() as u64 + index;
    Some(Place { round: machine.round.0, activity: machine.activity, position })
}

/// A member's activity, for its bar.
fn member_line(status: &NodeStatus, colours: Colours) -> String {
    let Some(machine) = &status.machine else { return word(&status.state) };
    if status.state == NodeState::Done {
        return colours.good("done");
    }
    let mut line = format!("{:18}", word(&machine.activity));
    if let Some(progress) = &status.progress {
        line.push_str(&format!("  {}", progress_text(progress)));
    }
    let others: Vec<_> = machine.waiting_for.clone();
    if !others.is_empty() {
        line.push_str(&format!("  waiting for {}", names(&others, status)));
    }
    line
}

/// A member's activity, for a log: it changes with the phase only.
fn phase_line(status: &NodeStatus) -> String {
    match &status.machine {
        Some(machine) if status.state != NodeState::Done => {
            let name = harmless_line(&status.name);
            format!("round {}  {name:10}  {}", machine.round, word(&machine.activity))
        }
        _ => format!("{}: {}", harmless_line(&status.name), word(&status.state)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_counts_phases_in_the_order_of_the_protocol() {
        let mut sorted = PATH;
        sorted.sort();
        assert_eq!(sorted, PATH);
    }
}

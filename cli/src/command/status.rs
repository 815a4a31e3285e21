//! `status`: where this node stands; `--watch` keeps showing it.

mod render;

use std::time::Duration;

use clap::Args;
use fedshield_protocol::ids::RecordDigest;
use fedshieldd::control::ControlClient;
use fedshieldd::control::api::{NodeState, NodeStatus, RoundOutcome, RoundReport};
use fedshieldd::home::Home;

use super::JsonFlag;
use crate::connection;
use crate::failure::Failure;
use crate::screen::{Redraw, Screen};
pub use render::{names, one_line, progress_text, render};

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli status
  fedshield-cli status --watch          until all rounds are done
  fedshield-cli status --json | jq .machine.phase")]
pub struct StatusArgs {
    /// Keep showing it until all rounds are done; one line (with --json one value) for each change
    /// if standard output is not a terminal
    #[arg(long, short)]
    pub watch: bool,
    #[command(flatten)]
    json: JsonFlag,
}

impl StatusArgs {
    /// Whether JSON was asked for.
    #[must_use]
    pub const fn json(&self) -> bool {
        self.json.json
    }
}

/// How often `--watch` asks.
const INTERVAL: Duration = Duration::from_millis(500);

/// Runs `status`.
///
/// # Errors
/// If no daemon answers.
pub async fn run(args: &StatusArgs, home: &Home) -> Result<(), Failure> {
    let screen = Screen::new(args.json());
    let daemon = connection::to(home);
    let mut pace = Pace::default();
    if !args.watch {
        let status = daemon.status().await?;
        pace.learn(&status, &daemon).await;
        return screen.answer(&status, |status, colours| render(status, &pace, colours));
    }
    let mut redraw = Redraw::default();
    let mut last = None;
    loop {
        let status = daemon.status().await?;
        let done = status.state == NodeState::Done;
        if last.as_ref() != Some(&status) {
            if screen.interactive() {
                pace.learn(&status, &daemon).await;
                screen.text(&redraw.over(&render(&status, &pace, screen.colours())))?;
            } else if screen.wants_json() {
                screen.json_line(&status)?;
            } else if last.as_ref().map(one_line) != Some(one_line(&status)) {
                screen.text(&one_line(&status))?;
            }
            last = Some(status);
        }
        if done {
            return Ok(());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// How long a round takes, from the last ones.
#[derive(Debug, Default)]
pub struct Pace {
    head: Option<RecordDigest>,
    round_seconds: Option<f64>,
}

/// Number of recent rounds from which the pace is estimated.
const PACE_ROUNDS: usize = 5;

impl Pace {
    /// Asks for the reports if a round has ended since.
    async fn learn(&mut self, status: &NodeStatus, daemon: &ControlClient) {
        let head = status.machine.as_ref().map(|machine| machine.head);
        if head == self.head {
            return;
        }
        // Only an estimate depends on it.
        if let Ok(rounds) = daemon.rounds().await {
            self.head = head;
            self.round_seconds = round_seconds(&rounds);
        }
    }

    /// Seconds until `left` more rounds are applied.
    fn seconds_for(&self, left: u64) -> Option<f64> {
        self.round_seconds.filter(|_| left > 0).map(|seconds| seconds * left as f64)
    }
}

fn round_seconds(rounds: &[RoundReport]) -> Option<f64> {
    let applied = rounds.iter().rev().filter(|round| round.outcome == RoundOutcome::Applied);
    let last: Vec<f64> =
        applied.take(PACE_ROUNDS).map(|round| round.seconds.values().sum()).collect();
    (!last.is_empty()).then(|| last.iter().sum::<f64>() / last.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_known_after_the_first_round_and_ends_with_the_last() {
        assert_eq!(round_seconds(&[]), None);
        let pace = Pace { head: None, round_seconds: Some(6.0) };
        assert_eq!(pace.seconds_for(3), Some(18.0));
        assert_eq!(pace.seconds_for(0), None);
        assert_eq!(Pace::default().seconds_for(3), None);
    }
}

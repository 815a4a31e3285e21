//! `pause`, `resume` and `stop`: commands to this node's daemon.

use clap::Args;
use fedshieldd::conditions::date_and_clock;
use fedshieldd::control::api::{Done, Pause};
use fedshieldd::home::Home;

use super::JsonFlag;
use crate::connection;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::units;

/// Arguments of `pause`, `resume` and `stop`.
#[derive(Debug, Args)]
pub struct NodeCommandArgs {
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Runs `pause`.
///
/// # Errors
/// If no daemon answers, or it is in no federation.
pub async fn pause(args: &NodeCommandArgs, home: &Home) -> Result<(), Failure> {
    let pause = connection::to(home).pause().await?;
    Screen::new(args.json.json).answer(&pause, |pause, _| paused(pause))
}

/// Runs `resume`.
///
/// # Errors
/// If no daemon answers, or it is in no federation.
pub async fn resume(args: &NodeCommandArgs, home: &Home) -> Result<(), Failure> {
    let done = connection::to(home).resume().await?;
    answer(args, done, "resumed: this node takes part in the next round")
}

/// Runs `stop`.
///
/// # Errors
/// If no daemon answers.
pub async fn stop(args: &NodeCommandArgs, home: &Home) -> Result<(), Failure> {
    let done = connection::to(home).stop().await?;
    answer(args, done, "stopping: the daemon writes down what it must and ends")
}

/// What a pause means, since when it holds and who asked for it, which may have been another
/// operator, long ago.
fn paused(pause: &Pause) -> String {
    let since = date_and_clock(pause.since_unix_s);
    let by = pause
        .by
        .as_ref()
        .map_or_else(String::new, |by| format!(" by {}", units::names(std::slice::from_ref(by))));
    let stays = "It stays so until `resume`, over restarts too";
    match pause.after_round {
        None => format!("paused since {since}{by}: this node takes part in no round. {stays}"),
        Some(round) => format!(
            "pauses after round {round}, in which this node is bound by what it has signed (asked \
             for at {since}{by}). \
             {stays}"
        ),
    }
}

fn answer(args: &NodeCommandArgs, done: Done, text: &str) -> Result<(), Failure> {
    Screen::new(args.json.json).answer(&done, |_, _| text.to_owned())
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::Round;

    use super::*;

    #[test]
    fn a_pause_says_when_it_takes_effect_since_when_and_by_whom() {
        let mut pause =
            Pause { since_unix_s: 1_795_819_468, by: Some("ada".into()), after_round: None };
        let text = paused(&pause);
        assert!(text.starts_with("paused since 2026-11-27 22:44:28 UTC by ada:"), "{text}");
        pause.after_round = Some(Round(7));
        assert!(paused(&pause).starts_with("pauses after round 7, in which"));
    }
}

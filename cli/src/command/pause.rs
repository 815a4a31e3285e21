//! `pause`, `resume` and `stop`: an operator's wishes.

use clap::Args;
use fedshieldd::control::api::Done;
use fedshieldd::home::Home;

use super::JsonFlag;
use crate::connection;
use crate::failure::Failure;
use crate::screen::Screen;

/// Arguments of `pause`, `resume` and `stop`.
#[derive(Debug, Args)]
pub struct WishArgs {
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Runs `pause`.
///
/// # Errors
/// If no daemon answers, or it is in no federation.
pub async fn pause(args: &WishArgs, home: &Home) -> Result<(), Failure> {
    let done = connection::to(home).pause().await?;
    say(args, done, "paused: this node takes no part in rounds that have not started")
}

/// Runs `resume`.
///
/// # Errors
/// If no daemon answers, or it is in no federation.
pub async fn resume(args: &WishArgs, home: &Home) -> Result<(), Failure> {
    let done = connection::to(home).resume().await?;
    say(args, done, "resumed: this node takes part in the next round")
}

/// Runs `stop`.
///
/// # Errors
/// If no daemon answers.
pub async fn stop(args: &WishArgs, home: &Home) -> Result<(), Failure> {
    let done = connection::to(home).stop().await?;
    say(args, done, "stopping: the daemon writes down what it must and ends")
}

fn say(args: &WishArgs, done: Done, text: &str) -> Result<(), Failure> {
    Screen::new(args.json.json).answer(&done, |_, _| text.to_owned())
}

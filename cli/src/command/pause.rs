//! `pause`, `resume` and `stop`: an operator's wishes.

use clap::Args;
use fedshieldd::home::Home;

use crate::connection;
use crate::failure::Failure;
use crate::screen::Screen;

/// Arguments of `pause`, `resume` and `stop`: none.
#[derive(Debug, Args)]
pub struct NoArgs {}

/// Runs `pause`.
///
/// # Errors
/// If no daemon answers, or it is in no federation.
pub async fn pause(home: &Home) -> Result<(), Failure> {
    connection::to(home).pause().await?;
    Screen::new(false).text("paused: this node takes no part in rounds that have not started\n")
}

/// Runs `resume`.
///
/// # Errors
/// If no daemon answers, or it is in no federation.
pub async fn resume(home: &Home) -> Result<(), Failure> {
    connection::to(home).resume().await?;
    Screen::new(false).text("resumed: this node takes part in the next round\n")
}

/// Runs `stop`.
///
/// # Errors
/// If no daemon answers.
pub async fn stop(home: &Home) -> Result<(), Failure> {
    connection::to(home).stop().await?;
    Screen::new(false).text("stopping: the daemon writes down what it must and ends\n")
}

//! `completions`: what a shell needs to complete commands and flags.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::screen::Screen;

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli completions bash \\
      > ~/.local/share/bash-completion/completions/fedshield-cli
  fedshield-cli completions zsh > ~/.zfunc/_fedshield-cli")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Runs `completions`.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut command = crate::args::Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "fedshield-cli", &mut script);
    Screen::new(false).text(&String::from_utf8_lossy(&script))
}

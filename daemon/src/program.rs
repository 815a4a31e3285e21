//! The `fedshieldd` program: arguments, then the node as a process of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::config::Overrides;
use crate::home::Home;
use crate::node::run_process;
use crate::service::write_last_line;

/// One organisation's FedShield node.
#[derive(Debug, Parser)]
#[command(name = "fedshieldd", version, about)]
struct Arguments {
    /// The node's home folder [default: $FEDSHIELD_HOME, $STATE_DIRECTORY or
    /// ~/.local/share/fedshield]
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Another value for one setting of config.toml, for instance `log.level=debug`
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not of the form KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// Reads the arguments and runs the node; the exit code is the error's.
#[must_use]
pub fn main() -> ExitCode {
    crate::answer_own_calls();
    crate::reuse_freed_memory();
    let arguments = Arguments::parse();
    let home = arguments.home.map_or_else(Home::from_environment, Home::new);
    match run_process(&home, &Overrides(arguments.set), None) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (chain, next) = (crate::error_chain(&error), error.hint());
            write_last_line(&format!("fedshieldd: {chain}\n  next: {next}"));
            ExitCode::from(error.code().exit_code())
        }
    }
}

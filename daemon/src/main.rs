//! `fedshieldd`: one node as a service. The same function as `fedshield-cli daemon`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use fedshieldd::config::Overrides;
use fedshieldd::home::Home;
use fedshieldd::node::{NodeError, run_process};
use fedshieldd::store::SledStore;

/// One organisation's FedShield node.
#[derive(Debug, Parser)]
#[command(name = "fedshieldd", version, about)]
struct Arguments {
    /// The node's home folder [default: $FEDSHIELD_HOME, $STATE_DIRECTORY or ~/.local/share/fedshield]
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Another value for one setting of config.toml, for instance `log.level=debug`
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Put a corrupted store aside first; records and reports are fetched from other members again
    #[arg(long)]
    rebuild_store: bool,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not of the form KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    fedshieldd::answer_device_probe();
    let arguments = Arguments::parse();
    let home = arguments.home.map_or_else(Home::from_environment, Home::new);
    match run(&home, arguments.set, arguments.rebuild_store) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fedshieldd: {}", fedshieldd::error_chain(&error));
            ExitCode::from(error.code().exit_code())
        }
    }
}

fn run(home: &Home, set: Vec<(String, String)>, rebuild_store: bool) -> Result<(), NodeError> {
    if rebuild_store && let Some(aside) = SledStore::put_aside(&home.store())? {
        eprintln!("fedshieldd: the old store is in {}", aside.display());
    }
    run_process(home, &Overrides(set), None)
}

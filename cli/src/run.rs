//! From arguments to an exit code.

use std::process::ExitCode;

use clap::Parser;
use fedshieldd::control::api::ErrorCode;
use fedshieldd::service::write_last_line;

use crate::args::{Cli, CliCommand};
use crate::command::{
    adapter, compare, completions, config, daemon, data, doctor, evidence, federation, identity,
    init, join, ledger, members, pause, peer, rounds, status,
};
use crate::demo;
use crate::failure::Failure;
use crate::screen::{failure_text, show_failure};

/// Reads the command line, runs the command, shows its failure. Wrong usage ends the process with exit code 2.
#[must_use]
pub fn main() -> ExitCode {
    fedshieldd::answer_own_calls();
    fedshieldd::reuse_freed_memory();
    let cli = Cli::parse();
    let json = cli.wants_json();
    match run(&cli).map_err(|failure| about_home(failure, &cli)) {
        Ok(()) => ExitCode::SUCCESS,
        // The daemon has logged its failure already; standard error may be a log whose reader is
        // stuck.
        Err(failure) if matches!(cli.command, CliCommand::Daemon(_)) => {
            write_last_line(&failure_text(&failure, json));
            ExitCode::from(failure.exit_code())
        }
        Err(failure) => {
            show_failure(&failure, json);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Replaces "no daemon answers" by a clearer failure in a home that has no node yet.
fn about_home(failure: Failure, cli: &Cli) -> Failure {
    let home = cli.home();
    if failure.code != ErrorCode::NotRunning {
        return failure;
    }
    let place = home.path().display();
    if home.identity().exists() {
        // A hint other than "start it" is kept, for instance about permissions.
        let start = failure.next.as_ref().is_none_or(|hint| hint.starts_with("start"));
        let next = format!(
            "start it: `fedshield-cli --home {place} daemon`, or `systemctl start fedshieldd`"
        );
        return if start { failure.next(next) } else { failure };
    }
    Failure::new(ErrorCode::NotRunning, "there is no node in this home, and no daemon answers")
        .at(place)
        .next("make a node with `fedshield-cli init`, or name another home with `--home`")
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let home = cli.home();
    match &cli.command {
        // The daemon has a runtime of its own.
        CliCommand::Daemon(args) => daemon::run(args, &home),
        CliCommand::Completions(args) => completions::run(args),
        CliCommand::Init(args) => init::run(args, &home),
        CliCommand::Identity(args) => identity::run(args, &home),
        command => runtime()?.block_on(async {
            match command {
                CliCommand::Config(command) => config::run(command, &home).await,
                CliCommand::Data(command) => data::run(command, &home).await,
                CliCommand::Federation(command) => federation::run(command, &home).await,
                CliCommand::Invite(args) => join::invite(args, &home).await,
                CliCommand::Join(args) => join::join(args, &home).await,
                CliCommand::Members(args) => members::run(args, &home).await,
                CliCommand::Peer(command) => peer::run(command, &home).await,
                CliCommand::Status(args) => status::run(args, &home).await,
                CliCommand::Rounds(args) => rounds::run(args, &home).await,
                CliCommand::Pause(args) => pause::pause(args, &home).await,
                CliCommand::Resume(args) => pause::resume(args, &home).await,
                CliCommand::Stop(args) => pause::stop(args, &home).await,
                CliCommand::Compare(args) => compare::run(args, &home).await,
                CliCommand::Adapter(command) => adapter::run(command, &home).await,
                CliCommand::Ledger(command) => ledger::run(command, &home).await,
                CliCommand::Evidence(command) => evidence::run(command, &home).await,
                CliCommand::Doctor(args) => doctor::run(args, &home).await,
                CliCommand::Demo(args) => demo::run(args).await,
                CliCommand::Daemon(_)
                | CliCommand::Completions(_)
                | CliCommand::Identity(_)
                | CliCommand::Init(_) => Ok(()),
            }
        }),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::new(ErrorCode::Internal, format!("cannot start the runtime: {error}"))
    })
}

//! The command line: global flags and the list of commands. Each command's own arguments are in the
//! command's file.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use fedshieldd::home::Home;

use crate::command::{
    adapter, compare, completions, config, daemon, data, doctor, evidence, federation, identity,
    init, join, ledger, members, pause, peer, rounds, status,
};
use crate::demo;

/// Fine-tune a language model together with other organisations; each keeps its data at home.
#[derive(Debug, Parser)]
#[command(
    name = "fedshield-cli",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = HELP_COLUMNS,
    after_help = AFTER
)]
pub struct Cli {
    /// The node's home folder [default: $XDG_DATA_HOME/fedshield or ~/.local/share/fedshield]
    #[arg(long, global = true, env = "FEDSHIELD_HOME", value_name = "DIR", hide_env_values = true)]
    pub home: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: CliCommand,
}

/// Width in columns up to which help makes use of a wide terminal.
const HELP_COLUMNS: usize = 100;

/// Tables and examples below an option list have at most 80 columns in each line, since a broken
/// row cannot be read. A paragraph is one line, which is wrapped at the width of the terminal.
const AFTER: &str = "Start here:
  fedshield-cli demo                                     four organisations here
  fedshield-cli init --name bank --model DIR --data F    identity, configuration
  fedshield-cli daemon                                   the node itself
  fedshield-cli federation new --name trial              or: fedshield-cli join
  fedshield-cli status --watch

Exit codes: 0 done, 2 wrong usage, 3 no daemon runs, 4-6 configuration or identity, 10-14 invite \
or network, 20-22 model or data, 30-34 ports, storage or user, 40-49 refused by daemon or \
federation, 50 verification failed, 130 interrupted, 1 anything else. docs/CLI.md lists them all.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Make an identity and a configuration for this node
    Init(init::InitArgs),
    /// Run this node's daemon in the foreground
    Daemon(daemon::DaemonArgs),
    /// Print this node's line for the other organisations' lists of expected members
    Identity(identity::IdentityArgs),
    /// Draft, show, found or confirm a federation
    #[command(subcommand)]
    Federation(federation::FederationCommand),
    /// Make an invite for one organisation
    Invite(join::InviteArgs),
    /// Read the terms behind an invite and join
    Join(join::JoinArgs),
    /// List the members
    Members(members::MembersArgs),
    /// Add or remove addresses of a member that has moved
    #[command(subcommand)]
    Peer(peer::PeerCommand),
    /// Show what this node is doing
    Status(status::StatusArgs),
    /// List the finished rounds
    Rounds(rounds::RoundsArgs),
    /// Take no part in rounds that have not started
    Pause(pause::NodeCommandArgs),
    /// Take part again
    Resume(pause::NodeCommandArgs),
    /// Stop the daemon in an orderly way
    Stop(pause::NodeCommandArgs),
    /// Look at data before training on it
    #[command(subcommand)]
    Data(data::DataCommand),
    /// What joining is worth here: base, alone, common and personal side by side
    Compare(compare::CompareArgs),
    /// Export, merge, evaluate or chat with adapters
    #[command(subcommand)]
    Adapter(adapter::AdapterCommand),
    /// Export or verify the federation's history
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Proven misbehaviour of members: list, export, verify, lift a ban
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// Check the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Run every pre-flight check of the running daemon
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Several organisations as real daemons on this machine
    Demo(Box<demo::DemoArgs>),
}

impl Cli {
    /// The home folder: flag, environment, default.
    #[must_use]
    pub fn home(&self) -> Home {
        self.home.as_ref().map_or_else(Home::from_environment, Home::new)
    }

    /// Whether failures are to be shown as JSON.
    #[must_use]
    pub fn wants_json(&self) -> bool {
        match &self.command {
            CliCommand::Init(args) => args.json.json,
            CliCommand::Identity(args) => args.json.json,
            CliCommand::Federation(command) => command.json(),
            CliCommand::Invite(args) => args.json.json,
            CliCommand::Join(args) => args.json.json,
            CliCommand::Members(args) => args.json.json,
            CliCommand::Peer(command) => command.json(),
            CliCommand::Status(args) => args.json(),
            CliCommand::Rounds(args) => args.json.json,
            CliCommand::Compare(args) => args.json.json,
            CliCommand::Adapter(command) => command.json(),
            CliCommand::Data(command) => command.json(),
            CliCommand::Ledger(command) => command.json(),
            CliCommand::Evidence(command) => command.json(),
            CliCommand::Config(command) => command.json(),
            CliCommand::Doctor(args) => args.json.json,
            CliCommand::Pause(args) | CliCommand::Resume(args) | CliCommand::Stop(args) => {
                args.json.json
            }
            CliCommand::Daemon(_) | CliCommand::Completions(_) | CliCommand::Demo(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_home_may_stand_before_or_after_the_command() {
        for line in [["x", "--home", "/h", "status"], ["x", "status", "--home", "/h"]] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.home().path(), std::path::Path::new("/h"));
        }
    }

    #[test]
    fn every_command_parses_with_its_options() {
        for line in [
            "init --name bank --listen /ip4/0.0.0.0/tcp/4001 --model m --data d.jsonl --no-passphrase",
            "daemon",
            "federation new --name trial --members 4 --rounds 10",
            "federation new --terms terms.toml",
            "federation show --toml",
            "federation found",
            "federation found --yes --json",
            "federation found --expect members.txt",
            "federation confirm",
            "federation confirm --phrase one two --json",
            "federation reject --yes",
            "identity",
            "join fs1abc --expect members.txt",
            "federation leave --yes",
            "federation drop bank --json",
            "federation abandon",
            "invite",
            "join fs1abc --yes",
            "members --json",
            "peer add clinic /ip4/192.0.2.7/tcp/7000",
            "peer remove clinic /ip4/192.0.2.7/tcp/7000 --json",
            "status --watch",
            "rounds --traffic",
            "adapter export ./adapter",
            "adapter export a.gguf --format gguf --from ./adapter --model m",
            "adapter merge ./adapter --model m --out merged --dtype bf16",
            "adapter merge ./adapter --model m --out merged.gguf --format gguf --type q8_0",
            "adapter chat ./adapter --model m --compare",
            "adapter chat --model m --prompt hello --json",
            "adapter eval ./adapter --model m --data test.jsonl --temperature 0.7 --top-p 0.9",
            "data check notes.jsonl --held-out test.jsonl --model m --json",
            "ledger export ./history",
            "ledger verify ./history/ledger.fsl",
            "ledger verify ./history/ledger.fsl --at-least 3 --adapter ./adapter",
            "ledger show",
            "ledger show 17 --json",
            "ledger show --from 3 --last 5",
            "evidence list --json",
            "evidence show 3f9a",
            "evidence export 3f9a proof.fse",
            "evidence verify proof.fse --manifest manifest.signed",
            "evidence lift bank",
            "config check",
            "pause --json",
            "resume --json",
            "stop --json",
            "demo --members 3 --rounds 2 --data a --data b --data c --json out.json --seq 64 --lr 0.001",
            "demo --data a b c",
            "completions bash",
        ] {
            let words = std::iter::once("fedshield-cli").chain(line.split(' '));
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "federation new",
            "federation drop",
            "federation confirm --yes",
            "federation confirm --phrase",
            "federation new --terms t.toml --rank 8",
            "federation new --terms t.toml --preset paper",
            "join fs1abc --yes --show",
            "demo --members 2",
            "demo --rounds 0",
            "adapter chat --model m --compare",
            "invite --expires-hours 721",
            "init --name x --passphrase-file f --no-passphrase",
        ] {
            let words = std::iter::once("fedshield-cli").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}

//! `init`: an identity and a configuration. The demo makes its homes with the same function.

mod node;

use std::path::PathBuf;

use clap::Args;
use fedshieldd::config::{Config, DataConfig, HttpConfig, ModelConfig};
use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;
use fedshieldd::identity::{IdentityError, Passphrase, Protection};

pub use node::{MadeNode, NewNode, make_node};

use super::{JsonFlag, ModelAndData};
use crate::failure::Failure;
use crate::passphrase;
use crate::screen::Screen;
use crate::table::facts;

/// The part of a new node's data that is kept for the test.
const DEFAULT_TEST: f64 = 0.1;

/// Arguments of `init`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli init --name northern-hospital --model /srv/models/SmolLM2 \\
      --data notes.jsonl --passphrase-file ./passphrase \\
      --external /dns4/fed.hospital.example/udp/7000/quic-v1 \\
      /dns4/fed.hospital.example/tcp/7000
  fedshield-cli --home /tmp/trial init --name trial --no-passphrase

Everything but the identity can be changed later in config.toml.")]
pub struct InitArgs {
    /// The name that other members see
    #[arg(long)]
    pub name: String,
    /// What this organisation's updates count where weights are declared, by custom its number of
    /// examples [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub weight: Option<u32>,
    /// Where to listen, as multiaddresses [default: QUIC and TCP on port 7000]
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    pub listen: Vec<String>,
    /// The addresses at which others reach this node, if these differ
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    pub external: Vec<String>,
    /// What the node trains, and on which data.
    #[command(flatten)]
    pub source: ModelAndData,
    /// Without --held-out: the fraction of --data that is held out
    #[arg(long, value_name = "SHARE", conflicts_with = "held_out")]
    pub held_out_fraction: Option<f64>,
    /// Without --test: the fraction of --data that is kept for the test; 0 for no test part
    /// [default: 0.1]
    #[arg(long, value_name = "SHARE", conflicts_with = "test")]
    pub test_fraction: Option<f64>,
    /// Serve metrics and dashboard here, for instance 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<std::net::SocketAddr>,
    /// Encrypt the identity with the passphrase in this file [default: $FEDSHIELD_PASSPHRASE_FILE;
    /// asked for on a terminal]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Store the identity unencrypted: whoever reads the file can act as this node
    #[arg(long, conflicts_with = "passphrase_file")]
    pub no_passphrase: bool,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Runs `init`.
///
/// # Errors
/// If the home has an identity or a configuration already, a file is missing, or a setting is out
/// of range.
pub fn run(args: &InitArgs, home: &Home) -> Result<(), Failure> {
    home.check_user()?;
    node::refuse_a_second(home)?;
    let protection = protection(args)?;
    let mut config = Config {
        name: args.name.clone(),
        weight: args.weight.unwrap_or(1),
        external_addresses: args.external.clone(),
        model: ModelConfig { path: args.source.model.clone() },
        data: DataConfig {
            train: args.source.data.clone(),
            held_out: args.source.held_out.clone(),
            held_out_fraction: args.held_out_fraction,
            test: args.source.test.clone(),
            test_fraction: test_fraction(args),
            template: None,
            ..DataConfig::default()
        },
        http: HttpConfig { listen: args.http, ..HttpConfig::default() },
        ..Config::default()
    };
    if !args.listen.is_empty() {
        config.listen.clone_from(&args.listen);
    }
    let made = make_node(&NewNode { home: home.path().to_path_buf(), config, protection })?;
    Screen::new(args.json.json).answer(&made, |made, colours| {
        let protection = if made.encrypted {
            "encrypted with a passphrase"
        } else {
            "unencrypted: for trials only"
        };
        let list = [
            ("home", made.home.display().to_string()),
            ("configuration", made.config.display().to_string()),
            ("identity", made.identity_key.to_string()),
            ("its file", protection.to_owned()),
        ];
        facts(colours, &list) + "\nnext: read the configuration, then `fedshield-cli daemon`\n"
    })
}

/// A new node has a test part unless that is refused.
fn test_fraction(args: &InitArgs) -> Option<f64> {
    let fraction = args.test_fraction.unwrap_or(DEFAULT_TEST);
    (args.source.test.is_empty() && fraction != 0.0).then_some(fraction)
}

/// The failure for an identity that cannot be used, with what an operator can do.
#[must_use]
pub fn identity_failure(error: &IdentityError) -> Failure {
    let failure = Failure::new(error.code(), error.to_string());
    match error.code() {
        ErrorCode::NoIdentity => failure.next("make one with `fedshield-cli init`"),
        ErrorCode::IdentityLocked => failure
            .next("name a file with the passphrase: `--passphrase-file FILE` or $FEDSHIELD_PASSPHRASE_FILE"),
        _ => failure,
    }
}

fn protection(args: &InitArgs) -> Result<Protection, Failure> {
    if args.no_passphrase {
        return Ok(Protection::None);
    }
    let found = match &args.passphrase_file {
        Some(file) => Passphrase::from_file(file).map(Some),
        None => Passphrase::from_environment(),
    };
    let found = found.map_err(|error| {
        Failure::new(ErrorCode::IdentityLocked, format!("cannot read the passphrase: {error}"))
    })?;
    match found {
        Some(passphrase) => Ok(Protection::Passphrase(passphrase)),
        None if passphrase::can_ask() => passphrase::ask_new().map(Protection::Passphrase),
        None => Err(Failure::new(ErrorCode::InvalidRequest, "how should the identity be stored?")
            .next(
                "encrypt it with `--passphrase-file FILE`, or, for a trial, say `--no-passphrase`",
            )),
    }
}

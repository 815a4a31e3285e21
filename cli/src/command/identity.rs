//! `identity`: the line by which others know whom to expect.

use clap::Args;
use fedshieldd::config::{Loaded, Overrides};
use fedshieldd::control::api::ExpectedMember;
use fedshieldd::founding::expected_line;
use fedshieldd::home::Home;
use fedshieldd::identity::Identity;

use super::JsonFlag;
use super::init::identity_failure;
use crate::failure::Failure;
use crate::screen::Screen;

/// Arguments of `identity`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli identity      one line, for the other organisations: hand it to
                              them over a channel that they trust
  cat bank.txt farm.txt court.txt hospital.txt > members.txt
  fedshield-cli join fs1... --expect members.txt")]
pub struct IdentityArgs {
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Runs `identity`. Reads the home; needs neither daemon nor passphrase.
///
/// # Errors
/// If there is no identity, or the configuration cannot be read.
pub fn run(args: &IdentityArgs, home: &Home) -> Result<(), Failure> {
    let path = home.identity();
    let identity_key = Identity::public_key_at(&path).map_err(|error| identity_failure(&error))?;
    let loaded = Loaded::read(home, &Overrides::default())
        .map_err(|error| Failure::new(error.code(), error.to_string()))?;
    let own = ExpectedMember { name: loaded.config.name, identity_key };
    Screen::new(args.json.json).answer(&own, |own, _| expected_line(own))
}

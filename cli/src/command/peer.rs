//! `peer add` and `peer remove`: at which addresses this node dials a member that has moved.

use clap::{Args, Subcommand};
use fedshield_protocol::hidden::harmless_line;
use fedshieldd::control::api::{PeerAddresses, PeerRequest};
use fedshieldd::home::Home;

use super::JsonFlag;
use crate::connection;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::units;

/// `peer ...`.
#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// Dial a member at one more address, from now on
    Add(PeerArgs),
    /// Remove an address that was added
    Remove(PeerArgs),
}

/// Arguments of `peer add` and `peer remove`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fedshield-cli peer add clinic /ip4/192.0.2.7/tcp/7000
  fedshield-cli peer add clinic /dns4/fed.clinic.example/udp/7000/quic-v1
  fedshield-cli peer remove clinic /ip4/192.0.2.7/tcp/7000

Members that have moved tell one another where they are as soon as they are connected: one \
address is enough, if the member behind it is connected with the others. It is kept, and not told \
to anyone. `fedshield-cli members` shows the address in use.")]
pub struct PeerArgs {
    /// The member's name, or its identity key in full
    pub name: String,
    /// A multiaddress, as the member's own `fedshield-cli status` shows it
    pub address: String,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

impl PeerCommand {
    /// Whether JSON was asked for.
    #[must_use]
    pub const fn json(&self) -> bool {
        let (Self::Add(args) | Self::Remove(args)) = self;
        args.json.json
    }
}

/// Runs `peer ...`.
///
/// # Errors
/// If no daemon answers, no member has this name, or the address cannot be used.
pub async fn run(command: &PeerCommand, home: &Home) -> Result<(), Failure> {
    let daemon = connection::to(home);
    let request =
        |args: &PeerArgs| PeerRequest { name: args.name.clone(), address: args.address.clone() };
    let view = match command {
        PeerCommand::Add(args) => daemon.peer_add(&request(args)).await?,
        PeerCommand::Remove(args) => daemon.peer_remove(&request(args)).await?,
    };
    Screen::new(command.json()).answer(&view, |view, _| render(view))
}

fn render(view: &PeerAddresses) -> String {
    let name = harmless_line(&view.name);
    if view.addresses.is_empty() {
        return format!(
            "{name} is dialled only at the addresses that it announces and at those in the \
             manifest\n"
        );
    }
    format!(
        "{name} is dialled at {} as well\nnext: `fedshield-cli members` shows whether it is \
         connected, and by which address\n",
        units::names(&view.addresses)
    )
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::IdentityKey;

    use super::*;

    #[test]
    fn the_answer_says_where_a_member_is_dialled() {
        let view = |addresses: &[&str]| PeerAddresses {
            name: "clinic".into(),
            identity_key: IdentityKey([1; 32]),
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
        };
        let text = render(&view(&["/ip4/192.0.2.7/tcp/7000"]));
        assert!(text.starts_with("clinic is dialled at /ip4/192.0.2.7/tcp/7000"), "{text}");
        assert!(render(&view(&[])).contains("only at the addresses that it announces"));
    }
}

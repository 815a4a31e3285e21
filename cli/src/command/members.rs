//! `members`: who is in the federation and what is known of each.

use clap::Args;
use fedshieldd::control::api::MemberView;
use fedshieldd::home::Home;

use super::JsonFlag;
use crate::connection;
use crate::failure::Failure;
use crate::screen::{Colours, Screen};
use crate::table::Table;
use crate::units;

/// Arguments of `members`.
#[derive(Debug, Args)]
pub struct MembersArgs {
    /// Show keys and addresses in full
    #[arg(long)]
    pub long: bool,
    #[command(flatten)]
    pub(crate) json: JsonFlag,
}

/// Runs `members`.
///
/// # Errors
/// If no daemon answers, or it is in no federation.
pub async fn run(args: &MembersArgs, home: &Home) -> Result<(), Failure> {
    let members = connection::to(home).members().await?;
    Screen::new(args.json.json)
        .answer(&members, |members, colours| render(members, args.long, colours))
}

fn render(members: &[MemberView], long: bool, colours: Colours) -> String {
    let mut table =
        Table::new(&["member", "identity", "reachable", ">round", "manifest", "addresses"]);
    for member in members {
        let key = member.identity_key.to_string();
        let status = member.status.as_ref();
        let reachable = match status {
            _ if member.is_self => "this node",
            Some(status) if status.reachable => "yes",
            Some(_) => "no",
            None => "-",
        };
        let round = status.and_then(|status| status.round);
        let first = member.addresses.iter().take(if long { usize::MAX } else { 1 });
        let mut addresses = first.cloned().collect::<Vec<_>>();
        if !long && member.addresses.len() > 1 {
            addresses.push(format!("and {} more", member.addresses.len() - 1));
        }
        table.row([
            member.name.clone(),
            if long { key } else { units::short(&key) },
            reachable.to_owned(),
            round.map_or_else(|| "-".into(), |round| round.to_string()),
            if member.signed_manifest { "signed" } else { "not signed" }.to_owned(),
            units::names(&addresses),
        ]);
    }
    table.render(colours)
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::{IdentityKey, MemberIndex};

    use super::*;

    #[test]
    fn keys_are_short_unless_asked_for() {
        let member = MemberView {
            index: MemberIndex(0),
            name: "bank".into(),
            identity_key: IdentityKey([0xab; 32]),
            addresses: vec!["/ip4/192.0.2.1/tcp/4001".into(), "/dns/bank.example/tcp/4001".into()],
            is_self: true,
            signed_manifest: true,
            status: None,
        };
        let text = render(std::slice::from_ref(&member), false, Colours::none());
        assert!(text.contains("bank    abababab  this node"), "{text}");
        assert!(text.contains("/tcp/4001, and 1 more"), "{text}");
        let text = render(&[member], true, Colours::none());
        assert!(text.contains(&"ab".repeat(32)) && text.contains("bank.example"), "{text}");
    }
}

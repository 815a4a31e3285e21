//! `members`: who is in the federation, what is known of each, and the phrase of the list.

use clap::Args;
use fedshieldd::control::api::{AddressOrigin, KnownAddressView, MemberView};
use fedshieldd::home::Home;

use super::JsonFlag;
use super::federation::phrase_lines;
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
    // With equal weights there is no such column.
    let declared = members.iter().any(|member| member.weight.is_some());
    let mut headings = vec!["member", "identity", "reachable", ">round"];
    headings.extend(declared.then_some(">weight"));
    headings.extend(["list", "connected by", "addresses"]);
    let mut table = Table::new(&headings);
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
        let mut row = vec![
            member.name.clone(),
            if long { key } else { units::short(&key) },
            reachable.to_owned(),
            round.map_or_else(|| "-".into(), |round| round.to_string()),
        ];
        row.extend(declared.then(|| member.weight.unwrap_or(1).to_string()));
        row.extend([
            match (&member.phrase, member.signed_manifest) {
                (None, _) => "open",
                (Some(_), true) => "confirmed",
                (Some(_), false) => "not confirmed",
            }
            .to_owned(),
            connected_by(member),
            addresses(member, long),
        ]);
        table.row(row);
    }
    let mut text = table.render(colours);
    if let Some(phrase) = members.iter().find_map(|member| member.phrase.as_ref()) {
        text.push_str(&format!("\n{}", phrase_lines(phrase, colours)));
    }
    text
}

/// The address in use, or why there is none.
fn connected_by(member: &MemberView) -> String {
    let dialled = member.connections.iter().find(|connection| connection.dialled);
    match (dialled, member.connections.first()) {
        (Some(connection), _) => {
            format!("{}{}", connection.address, key_exchange(member))
        }
        // An incoming connection: the member uses this port for this connection only.
        (None, Some(connection)) => {
            format!("from {}{}", connection.address, key_exchange(member))
        }
        (None, None) if member.is_self || member.known_addresses.is_empty() => "-".into(),
        (None, None) => "not connected".into(),
    }
}

/// The note for members that are connected over TCP only.
fn key_exchange(member: &MemberView) -> &'static str {
    if member.connections.iter().any(|it| it.post_quantum) { "" } else { " (not post-quantum)" }
}

/// The addresses at which the member is dialled; in full with the origin of each and the error of
/// the last dial.
fn addresses(member: &MemberView, long: bool) -> String {
    let known = &member.known_addresses;
    let mut all: Vec<String> = if known.is_empty() {
        member.addresses.clone()
    } else if long {
        known.iter().map(in_full).collect()
    } else {
        known.iter().map(|known| known.address.clone()).collect()
    };
    if !long && all.len() > 1 {
        let more = all.len() - 1;
        all.truncate(1);
        all.push(format!("and {more} more"));
    }
    units::names(&all)
}

fn in_full(known: &KnownAddressView) -> String {
    let origins = known.origins.iter().map(|origin| match origin {
        AddressOrigin::Operator => "added here",
        AddressOrigin::Signed => "signed by it",
        AddressOrigin::Manifest => "manifest",
        AddressOrigin::Told => "told by it",
    });
    let mut notes = origins.collect::<Vec<_>>().join(", ");
    if let Some(error) = known.last_error.as_ref().filter(|_| known.failures > 0) {
        let times = units::count(u64::from(known.failures), "failure");
        notes.push_str(&format!("; {times}, the last: {error}"));
    }
    format!("{} ({notes})", known.address)
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::{IdentityKey, MemberIndex};
    use fedshieldd::control::api::{ConnectionView, TransportKind};

    use super::*;

    fn member() -> MemberView {
        MemberView {
            name: "bank".into(),
            addresses: vec!["/ip4/192.0.2.1/tcp/4001".into(), "/dns/bank.example/tcp/4001".into()],
            signed_manifest: true,
            ..MemberView::new(MemberIndex(0), IdentityKey([0xab; 32]))
        }
    }

    #[test]
    fn keys_are_short_unless_asked_for() {
        let member = MemberView { is_self: true, ..member() };
        let text = render(std::slice::from_ref(&member), false, Colours::none());
        assert!(text.contains("bank    abababab  this node"), "{text}");
        assert!(text.contains("/tcp/4001, and 1 more"), "{text}");
        let text = render(&[member], true, Colours::none());
        assert!(text.contains(&"ab".repeat(32)) && text.contains("bank.example"), "{text}");
    }

    #[test]
    fn weights_are_shown_where_they_are_declared() {
        let text = render(&[member()], false, Colours::none());
        assert!(!text.contains("weight"), "{text}");
        let declared = |weight| MemberView { weight: Some(weight), ..member() };
        let text = render(&[declared(300), declared(20)], false, Colours::none());
        assert!(text.contains("weight") && text.contains("300") && text.contains("20"), "{text}");
    }

    #[test]
    fn the_address_in_use_is_shown_and_why_there_is_none() {
        let connection = |address: &str, dialled| ConnectionView {
            address: address.into(),
            dialled,
            transport: TransportKind::Tcp,
            post_quantum: false,
        };
        let (theirs, ours) = ("/ip4/192.0.2.9/tcp/51234", "/ip4/192.0.2.1/tcp/4001");
        let known = KnownAddressView {
            address: ours.into(),
            origins: vec![AddressOrigin::Operator, AddressOrigin::Signed],
            failures: 3,
            last_error: Some("Connection refused (os error 111)".into()),
        };
        let mut member = MemberView { known_addresses: vec![known], ..member() };
        assert_eq!(connected_by(&member), "not connected");
        assert_eq!(
            addresses(&member, true),
            "/ip4/192.0.2.1/tcp/4001 (added here, signed by it; 3 failures, the last: Connection refused (os error 111))"
        );
        member.connections = vec![connection(theirs, false)];
        assert_eq!(connected_by(&member), format!("from {theirs} (not post-quantum)"));
        member.connections.push(connection(ours, true));
        assert_eq!(connected_by(&member), format!("{ours} (not post-quantum)"));
        member.connections[1].post_quantum = true;
        assert_eq!(connected_by(&member), ours);
    }
}

//! Resolves the member and the address in an operator's request.

use fedshield_net::{Multiaddr, check_dial};
use fedshield_protocol::ids::IdentityKey;

use crate::control::api::{ApiError, Condition, ErrorCode, MemberView, Severity};

/// The condition for configured names that no member has; none while there is no federation.
pub(super) fn nobody(unknown: &[String], members: &[MemberView]) -> Option<Condition> {
    if unknown.is_empty() || members.is_empty() {
        return None;
    }
    let text =
        format!("[peers] in config.toml names {}, which no member is called", unknown.join(", "));
    let condition = Condition::new("peers-unknown", Severity::Warning, text);
    Some(condition.with_hint(format!("the members are {}", names(members))))
}

fn names(members: &[MemberView]) -> String {
    members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Whether this is the name of the node itself.
pub(super) fn is_self(name: &str, members: &[MemberView]) -> bool {
    members.iter().any(|member| member.is_self && member.name == name.trim())
}

/// The member with this name or with this full identity key.
pub(super) fn member_named<'a>(
    name: &str,
    members: &'a [MemberView],
) -> Result<&'a MemberView, ApiError> {
    let wanted = name.trim();
    let found = members
        .iter()
        .find(|member| member.name == wanted || member.identity_key.to_string() == wanted);
    match found {
        Some(member) if member.is_self => {
            let text = format!("{wanted} is this node itself");
            Err(ApiError::new(ErrorCode::InvalidRequest, text).with_hint(
                "where others look for it is set by `external_addresses` in config.toml",
            ))
        }
        Some(member) => Ok(member),
        None if members.is_empty() => {
            let text = "this node knows no members: it is in no federation and no draft";
            Err(ApiError::new(ErrorCode::NoFederation, text)
                .with_hint("an invite carries its owner's addresses; ask the owner for a new one"))
        }
        None => {
            let text = format!("no member is called {wanted}");
            Err(ApiError::new(ErrorCode::InvalidRequest, text)
                .with_hint(format!("the members are {}", names(members))))
        }
    }
}

/// The address as it is stored, if it can be dialled and does not name another peer.
pub(super) fn usable(text: &str, key: &IdentityKey) -> Result<String, ApiError> {
    let text = text.trim();
    let refuse = |reason: String| {
        ApiError::new(ErrorCode::InvalidRequest, format!("{text} cannot be used: {reason}"))
            .with_hint("the other organisation finds it in its `fedshield-cli status`")
    };
    let address: Multiaddr = text
        .parse()
        .map_err(|_| refuse("it is not a multiaddress like /ip4/192.0.2.7/tcp/7000".into()))?;
    let (place, peer) = match text.split_once("/p2p/") {
        Some((place, peer)) => (place, Some(peer)),
        None => (text, None),
    };
    let expected = fedshield_net::peer_id_of(key).map(|peer| peer.to_string());
    if peer.is_some_and(|peer| Some(peer) != expected.as_deref()) {
        return Err(refuse("the /p2p part at its end is another node's".into()));
    }
    let address = if peer.is_some() {
        place.parse().map_err(|_| refuse("it is not a multiaddress".into()))?
    } else {
        address
    };
    check_dial(&address).map_err(refuse)?;
    Ok(address.to_string())
}

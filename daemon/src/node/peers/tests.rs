//! What operators add, configure and mistype.
#![allow(clippy::unwrap_used)]

use fedshield_protocol::ids::MemberIndex;

use super::names::nobody;
use super::*;

fn member(name: &str, byte: u8, is_self: bool) -> MemberView {
    let key = ed25519_dalek::SigningKey::from_bytes(&[byte; 32]);
    let identity_key = IdentityKey(key.verifying_key().to_bytes());
    MemberView {
        name: name.into(),
        is_self,
        ..MemberView::new(MemberIndex(u16::from(byte)), identity_key)
    }
}

fn ask(name: &str, address: &str) -> PeerRequest {
    PeerRequest { name: name.into(), address: address.into() }
}

#[test]
fn what_was_added_is_there_after_a_restart_and_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("peers.json");
    let members = [member("bank", 1, true), member("clinic", 2, false)];
    let configured =
        BTreeMap::from([("clinic".to_owned(), vec!["/dns4/clinic.example/tcp/7000".to_owned()])]);
    let open = || Peers::open(file.clone(), configured.clone()).unwrap();
    let address = "/ip4/192.0.2.7/tcp/7000";
    let peers = open();
    let clinic = members[1].identity_key;
    assert!(peers.of(&clinic).is_empty(), "nobody knows yet who that is");
    let answer = peers.add(&ask("clinic", address), &members).unwrap();
    assert_eq!((answer.identity_key, answer.addresses), (clinic, vec![address.to_owned()]));
    peers.add(&ask("clinic", address), &members).unwrap();

    let peers = open();
    assert_eq!(peers.of(&clinic).len(), 1, "by its key, before the members are known");
    assert_eq!(peers.resolve(&members), Vec::<String>::new());
    let known: Vec<String> = peers.of(&clinic).iter().map(ToString::to_string).collect();
    assert_eq!(known, [address, "/dns4/clinic.example/tcp/7000"]);
    // By key, and with the peer id that is often copied along.
    let key = clinic.to_string();
    let id = fedshield_net::peer_id_of(&clinic).unwrap();
    peers.add(&ask(&key, &format!("{address}/p2p/{id}")), &members).unwrap();
    assert_eq!(peers.of(&clinic).len(), 2);

    let error = peers.remove(&ask("clinic", "/dns4/clinic.example/tcp/7000"), &members);
    assert!(error.unwrap_err().hint.unwrap().contains("config.toml"));
    assert!(peers.remove(&ask("clinic", "/ip4/192.0.2.9/tcp/1"), &members).is_err());
    peers.remove(&ask("clinic", address), &members).unwrap();
    assert_eq!(open().of(&clinic), []);
}

#[test]
fn what_is_of_no_use_is_refused_by_name_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("peers.json");
    let peers = Peers::open(file.clone(), BTreeMap::new()).unwrap();
    let members = [member("bank", 1, true), member("clinic", 2, false)];
    let other = fedshield_net::peer_id_of(&members[0].identity_key).unwrap();
    let of_another = format!("/ip4/192.0.2.7/tcp/7000/p2p/{other}");
    for (name, address, expected) in [
        ("clinc", "/ip4/192.0.2.7/tcp/7000", "no member is called clinc"),
        ("bank", "/ip4/192.0.2.7/tcp/7000", "this node itself"),
        ("clinic", "192.0.2.7:7000", "not a multiaddress"),
        ("clinic", "/ip4/0.0.0.0/tcp/7000", "no single machine"),
        ("clinic", "/ip4/192.0.2.7/tcp/0", "port 0"),
        ("clinic", "/ip4/192.0.2.7/udp/7000", "quic-v1"),
        ("clinic", &of_another, "another node"),
    ] {
        let error = peers.add(&ask(name, address), &members).unwrap_err();
        assert!(error.message.contains(expected), "{error:?}");
        assert!(error.hint.is_some(), "{error:?}");
    }
    let error = peers.add(&ask("clinic", "/ip4/192.0.2.7/tcp/1"), &[]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NoFederation);
    assert!(!file.exists());
    for port in 1..=MAX_OPERATOR_ADDRESSES {
        peers.add(&ask("clinic", &format!("/ip4/192.0.2.7/tcp/{port}")), &members).unwrap();
    }
    let error = peers.add(&ask("clinic", "/ip4/192.0.2.7/tcp/100"), &members).unwrap_err();
    assert!(error.hint.unwrap().contains("peer remove"));
}

#[test]
fn a_configured_name_that_nobody_has_is_reported_once_there_are_members() {
    let folder = tempfile::tempdir().unwrap();
    let configured = BTreeMap::from(["clinc", "bank"].map(|name| (name.to_owned(), Vec::new())));
    let peers = Peers::open(folder.path().join("peers.json"), configured).unwrap();
    assert_eq!(nobody(&peers.resolve(&[]), &[]), None);
    let members = [member("bank", 1, true), member("clinic", 2, false)];
    // A list shared by all members includes this one.
    let unknown = peers.resolve(&members);
    assert_eq!(unknown, ["clinc"]);
    let condition = nobody(&unknown, &members).unwrap();
    assert!(condition.message.contains("clinc"), "{condition:?}");
    assert!(condition.hint.unwrap().contains("bank, clinic"));
}

//! Names in addresses: resolved by the system at each dial; nodes without a resolver can dial IP
//! addresses.

use fedshield_net::{KnownAddress, MemberAddr};

use crate::namespaces;
use crate::support::{FEDERATION, Node, TCP};

/// An `/etc` that has nothing but an empty hosts file.
const NO_RESOLVER: &str =
    "mount -t tmpfs none /etc && echo 'hosts: files dns' > /etc/nsswitch.conf && touch /etc/hosts";

#[test]
fn without_a_resolver_only_names_fail_and_files_are_read_again() {
    namespaces::run("names::inside", "-rm", NO_RESOLVER);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "changes /etc: run by the test above in a namespace of its own"]
async fn inside() {
    assert!(!std::path::Path::new("/etc/resolv.conf").exists(), "not for a real machine");
    let (alice, mut bob) = (Node::start(1, TCP).await, Node::start(2, TCP).await);
    let port = alice.address().to_string().rsplit('/').next().unwrap().to_owned();
    let name = format!("/dns4/alice.test/tcp/{port}");
    let named = MemberAddr { key: alice.key(), addresses: vec![name.parse().unwrap()] };
    let unknown = MemberAddr { key: bob.key(), addresses: vec![] };
    alice.handle.set_members(FEDERATION, vec![unknown]).await.unwrap();
    bob.handle.set_members(FEDERATION, vec![named]).await.unwrap();
    let missing = "/etc/resolv.conf cannot be read: No such file or directory";
    let error = |known: &KnownAddress| known.last_error.clone().unwrap_or_default();
    let peer = bob.peer_where(alice.key(), |peer| !error(&peer.addresses[0]).is_empty()).await;
    let said = error(&peer.addresses[0]);
    assert!(said.contains("alice.test") && said.contains(missing), "{said}");
    assert!(bob.handle.state().borrow().resolver_error.as_ref().unwrap().contains(missing));

    std::fs::write("/etc/hosts", "127.0.0.1 alice.test\n").unwrap();
    bob.expect_up(alice.key()).await;
    assert_eq!(bob.handle.state().borrow().resolver_error, None);
    let peer = bob.peer_where(alice.key(), |peer| !peer.connections.is_empty()).await;
    assert_eq!(peer.connections[0].address.to_string(), name);
}

//! Names in addresses: looked up as the system does, anew each time, and of no matter to anyone who has none.

use std::process::Command;

use fedshield_net::MemberAddr;

use crate::support::{FEDERATION, Node, TCP};

/// Has no `/etc` but an empty hosts file, and runs [`inside`] there.
const ELSEWHERE: &str = "mount -t tmpfs none /etc && echo 'hosts: files dns' > /etc/nsswitch.conf && touch /etc/hosts \
                         && exec \"$0\" --exact names::inside --ignored --nocapture";

#[test]
fn without_a_resolver_only_names_fail_and_files_are_read_again() {
    let may =
        Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/etc"]).output();
    if !may.is_ok_and(|tried| tried.status.success()) {
        return eprintln!("skipped: this machine gives no mount namespace");
    }
    let test = std::env::current_exe().unwrap();
    let ran =
        Command::new("unshare").args(["-rm", "sh", "-c", ELSEWHERE]).arg(test).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
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
    let error = |known: &fedshield_net::KnownAddress| known.last_error.clone().unwrap_or_default();
    let peer = bob.peer_where(alice.key(), |peer| !error(&peer.addresses[0]).is_empty()).await;
    let said = error(&peer.addresses[0]);
    assert!(said.contains("alice.test") && said.contains(missing), "{said}");
    assert!(bob.handle.state().borrow().names.as_ref().unwrap().contains(missing));

    std::fs::write("/etc/hosts", "127.0.0.1 alice.test\n").unwrap();
    bob.expect_up(alice.key()).await;
    assert_eq!(bob.handle.state().borrow().names, None);
    let peer = bob.peer_where(alice.key(), |peer| !peer.connections.is_empty()).await;
    assert_eq!(peer.connections[0].address.to_string(), name);
}

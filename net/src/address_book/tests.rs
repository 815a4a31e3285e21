//! The address book with a clock that the test advances.

use libp2p::multiaddr::Protocol;

use super::entry::LASTING_CONNECTION;
use super::*;
use crate::limits::{
    MAX_ADDRESSES_PER_MEMBER, MAX_IDENTIFY_FAILURES, MAX_OPERATOR_ADDRESSES, MAX_RECORD_ADDRESSES,
};

const BASE: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(60);

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn book_with(addresses: &[&str]) -> (AddressBook, PeerId, Instant) {
    let (local, peer) = (PeerId::random(), PeerId::random());
    let now = Instant::now();
    let mut book = AddressBook::new(local, BASE, CAP);
    let addresses = addresses.iter().map(|text| address(text)).collect();
    book.set_members(vec![(peer, addresses), (local, vec![])], now);
    (book, peer, now + DIAL_TIE_BREAK)
}

#[test]
fn a_given_address_is_dialled_for_ever_with_exponential_backoff() {
    let (mut book, peer, mut now) = book_with(&["/ip4/10.0.0.1/tcp/7000"]);
    let mut waits = Vec::new();
    for _ in 0..40 {
        let due = book.take_due(now);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].1, [address("/ip4/10.0.0.1/tcp/7000")]);
        assert!(book.take_due(now).is_empty(), "not dialled twice at once");
        book.failed(&peer, &due[0].1[0], "refused");
        book.dial_ended(&peer, now, 1000);
        let next = book.next_due().unwrap();
        waits.push((next - now).as_secs());
        now = next;
    }
    assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(waits[39], 60);
}

#[test]
fn a_member_that_left_is_dialled_again_soon() {
    let (mut book, peer, now) = book_with(&["/ip4/10.0.0.1/tcp/7000"]);
    book.take_due(now);
    book.dial_ended(&peer, now, 1000);
    book.connected(&peer, now);
    assert_eq!(book.next_due(), None);
    let later = now + LASTING_CONNECTION;
    book.disconnected(&peer, later, 1000);
    assert_eq!(book.next_due(), Some(later + BASE));
}

#[test]
fn a_member_that_hangs_up_at_once_does_not_reset_the_backoff() {
    let (mut book, peer, mut now) = book_with(&["/ip4/10.0.0.1/tcp/7000"]);
    let mut waits = Vec::new();
    for _ in 0..5 {
        assert_eq!(book.take_due(now).len(), 1);
        book.dial_ended(&peer, now, 1000);
        book.connected(&peer, now);
        book.disconnected(&peer, now, 1000);
        let next = book.next_due().unwrap();
        waits.push((next - now).as_secs());
        now = next;
    }
    assert_eq!(waits, [2, 8, 32, 60, 60]);
}

#[test]
fn an_address_with_another_node_does_not_hide_the_right_one() {
    let (mut book, peer, mut now) =
        book_with(&["/ip4/10.0.0.1/tcp/7000", "/ip4/10.0.0.2/tcp/7000"]);
    assert_eq!(book.take_due(now)[0].1.len(), 2);
    book.answered_by_another(&peer, &address("/ip4/10.0.0.1/tcp/7000"));
    let mut dialled = Vec::new();
    for _ in 0..4 {
        book.dial_ended(&peer, now, 0);
        now = book.next_due().unwrap();
        let addresses = book.take_due(now).remove(0).1;
        assert_eq!(addresses.len(), 1);
        dialled.push(addresses[0].to_string().contains("10.0.0.2"));
    }
    assert_eq!(dialled, [true, true, false, true]);
}

#[test]
fn an_identified_address_is_dropped_after_failures_and_a_given_one_is_not() {
    let given = "/ip4/10.0.0.1/tcp/7000";
    let (mut book, peer, now) = book_with(&[given]);
    let identified = address("/ip4/10.0.0.2/udp/7000/quic-v1");
    let seen_at = address("/ip4/10.0.0.2/tcp/50000");
    book.add_identified(&peer, identified.clone().with(Protocol::P2p(peer)), &seen_at);
    for _ in 0..MAX_IDENTIFY_FAILURES {
        book.failed(&peer, &address(given).with(Protocol::P2p(peer)), "refused");
    }
    assert_eq!(book.take_due(now)[0].1, [identified.clone(), address(given)]);
    for _ in 0..MAX_IDENTIFY_FAILURES {
        book.failed(&peer, &identified, "refused");
    }
    book.dial_ended(&peer, now, 0);
    assert_eq!(book.take_due(now + CAP)[0].1, [address(given)]);
}

#[test]
fn addresses_that_cannot_be_dialled_are_not_added() {
    let (mut book, peer, now) = book_with(&[
        "/ip4/0.0.0.0/tcp/7000",
        "/ip4/10.0.0.1/tcp/0",
        "/ip4/10.0.0.1",
        "/memory/7",
        "/dns/example.org/tcp/7000/ws",
    ]);
    let far = address("/ip4/10.0.0.1/tcp/5");
    book.add_identified(&peer, address("/ip4/127.0.0.1/tcp/7000"), &far);
    assert!(book.take_due(now).is_empty());
    book.add_identified(
        &peer,
        address("/ip4/127.0.0.1/tcp/7000"),
        &address("/ip4/127.0.0.1/tcp/5"),
    );
    for port in 1..100 {
        book.add_identified(&peer, address(&format!("/dns/example.org/tcp/{port}")), &far);
    }
    assert_eq!(book.take_due(now)[0].1.len(), MAX_ADDRESSES_PER_MEMBER);
}

#[test]
fn a_signed_record_replaces_the_previous_one_and_resets_the_backoff() {
    let (mut book, peer, mut now) = book_with(&["/ip4/10.0.0.1/tcp/7000"]);
    for _ in 0..10 {
        let due = book.take_due(now);
        book.failed(&peer, &due[0].1[0], "refused");
        book.dial_ended(&peer, now, 1000);
        now = book.next_due().unwrap();
    }
    book.take_due(now);
    book.dial_ended(&peer, now, 1000);
    let moved = |port: u16| address(&format!("/ip4/10.0.0.9/tcp/{port}"));
    book.set_signed(&peer, &[moved(1)], false, now);
    assert_eq!(book.next_due(), Some(now + DIAL_TIE_BREAK), "not after the backoff");
    book.set_signed(&peer, &[moved(2)], false, now);
    let due = book.take_due(now + DIAL_TIE_BREAK);
    assert_eq!(due[0].1, [moved(2), address("/ip4/10.0.0.1/tcp/7000")]);
    // It is kept however often it fails.
    for _ in 0..100 {
        book.failed(&peer, &moved(2), "refused");
    }
    let known = book.known(&peer);
    let signed = known.iter().find(|known| known.address == moved(2)).unwrap();
    assert_eq!(signed.sources, [AddressSource::Signed]);
    assert_eq!((signed.failures, signed.last_error.as_deref()), (100, Some("refused")));
}

#[test]
fn a_record_does_not_make_this_machine_dial_itself() {
    let (mut book, peer, now) = book_with(&["/ip4/10.0.0.1/tcp/7000"]);
    let local = [address("/ip4/127.0.0.1/tcp/22"), address("/dns4/localhost/tcp/22")];
    book.set_signed(&peer, &local, false, now);
    assert_eq!(book.take_due(now)[0].1, [address("/ip4/10.0.0.1/tcp/7000")]);
    book.dial_ended(&peer, now, 0);
    book.set_signed(&peer, &local, true, now);
    assert_eq!(book.take_due(now + CAP)[0].1.len(), 3, "on the same host they are used");
}

#[test]
fn a_member_is_known_where_others_vouch_for_it_and_where_it_last_observe() {
    let (mut book, peer, now) = book_with(&["/ip4/10.0.0.1/tcp/7000"]);
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(book.take_changed_hosts(), Some(vec![ip("10.0.0.1")]));
    assert_eq!(book.take_changed_hosts(), None);
    book.add_identified(&peer, address("/ip4/10.0.0.2/tcp/7000"), &address("/ip4/10.0.0.1/tcp/5"));
    book.set_signed(&peer, &[address("/ip4/10.0.0.3/tcp/7000")], false, now);
    for last in 1..=9 {
        book.observe(&peer, IpAddr::from([192, 0, 2, last]));
    }
    book.observe(&PeerId::random(), ip("192.0.2.77"));
    let known = book.take_changed_hosts().unwrap();
    for (host, is_known) in [
        ("10.0.0.1", true),
        ("10.0.0.3", true),
        ("192.0.2.9", true),
        ("192.0.2.8", true),
        ("10.0.0.2", false),
        ("192.0.2.7", false),
        ("192.0.2.77", false),
    ] {
        assert_eq!(known.contains(&ip(host)), is_known, "{host}");
    }
    book.set_members(vec![], now);
    assert_eq!(book.take_changed_hosts(), Some(vec![]));
}

#[test]
fn no_source_displaces_the_addresses_of_another() {
    let (mut book, peer, now) = book_with(&[]);
    let remote = address("/ip4/10.0.0.1/tcp/5");
    for port in 1..1000 {
        book.add_identified(&peer, address(&format!("/ip4/10.0.0.1/tcp/{port}")), &remote);
    }
    let many = |ip: u8| (1..100).map(move |p| address(&format!("/ip4/10.0.1.{ip}/tcp/{p}")));
    book.set_signed(&peer, &many(1).collect::<Vec<_>>(), false, now);
    book.set_operator(vec![(peer, many(2).collect())], now);
    let known = book.known(&peer);
    let count = |source| known.iter().filter(|k| k.sources.contains(&source)).count();
    assert_eq!(count(AddressSource::Identify), MAX_ADDRESSES_PER_MEMBER);
    assert_eq!(count(AddressSource::Signed), MAX_RECORD_ADDRESSES);
    assert_eq!(count(AddressSource::Operator), MAX_OPERATOR_ADDRESSES);
    // Operator addresses are dialled first, and are dropped when the operator removes them.
    assert!(book.take_due(now + CAP)[0].1[0].to_string().starts_with("/ip4/10.0.1.2/"));
    book.set_operator(vec![], now);
    assert!(book.known(&peer).iter().all(|k| !k.sources.contains(&AddressSource::Operator)));
}

#[test]
fn operator_addresses_of_a_later_member_are_used_when_it_joins() {
    let (local, peer, now) = (PeerId::random(), PeerId::random(), Instant::now());
    let mut book = AddressBook::new(local, BASE, CAP);
    book.set_operator(vec![(peer, vec![address("/ip4/10.0.0.1/tcp/7000")])], now);
    assert!(book.take_due(now).is_empty());
    book.set_members(vec![(peer, vec![])], now);
    assert_eq!(book.take_due(now + DIAL_TIE_BREAK).len(), 1);
}

//! Only the newest heartbeat of a member counts, whichever way it arrives. Member 0 of four.

mod fixture;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::{Event, TimerId};
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::wire::{Body, Heartbeat, SignedHeartbeat};
use fixture::bench::{Bench, NONCE, heartbeat};
use fixture::misbehaviour::{drops, sent};
use fixture::{message, sign};

/// Heartbeat `number` of the incarnation `incarnation` of a member that has the `Ready` of all.
fn beat(bench: &Bench, incarnation: u64, number: u64, ready: bool) -> Heartbeat {
    let Body::Heartbeat(any) = heartbeat(4, bench.machine.status().head) else {
        panic!("it is one")
    };
    Heartbeat { incarnation, number, ready, ..*any }
}

fn status(heartbeat: Heartbeat) -> Body {
    Body::Heartbeat(Box::new(heartbeat))
}

/// The incarnation and number of the last heartbeat that was sent.
fn own_incarnation(effects: &[Effect]) -> Option<u64> {
    sent(effects).into_iter().rev().find_map(|(_, body)| match body {
        Body::Heartbeat(heartbeat) => Some(heartbeat.incarnation),
        _ => None,
    })
}

/// A recovery response with nothing but this heartbeat, signed by member `by`.
fn memory_of(bench: &Bench, heartbeat: Heartbeat, by: u16) -> Body {
    let signature = sign(&bench.manifest, Round(0), by, &status(heartbeat.clone()));
    let heartbeat = Some(Box::new(SignedHeartbeat { round: Round(0), heartbeat, signature }));
    Body::RecoveryResponse { nonce: NONCE, statements: vec![], heartbeat }
}

fn beats_next(bench: &mut Bench) -> Option<u64> {
    let later = bench.now + 60_000;
    own_incarnation(&bench.tick(TimerId::Heartbeat, later))
}

#[test]
fn a_replayed_heartbeat_does_not_replace_a_newer_one() {
    let mut bench = Bench::new();
    let old = status(beat(&bench, 4, 7, false));
    let new = status(beat(&bench, 4, 8, true));
    let next_life = status(beat(&bench, 5, 1, true));
    bench.receive(1, old.clone());
    bench.receive(1, new.clone());
    bench.receive(2, next_life);
    // Replayed by member 3, at any time: the round begins all the same.
    let again = message(&bench.manifest, Round(0), 1, old);
    bench.handle(Event::Message { from: MemberIndex(3), bytes: again });
    assert_eq!(drops(&bench, "heartbeat: not the newest"), 1);
    let before = status(beat(&bench, 4, 99, false));
    bench.receive(2, before);
    assert_eq!(drops(&bench, "heartbeat: not the newest"), 2);
    assert!(bench.machine.status().phase > fedshield_protocol::status::Phase::WaitingForQuorum);
}

#[test]
fn replayed_messages_do_not_make_a_member_look_alive() {
    let mut bench = Bench::new();
    let last = status(beat(&bench, 1, 1, true));
    bench.receive(1, Body::Ready);
    for at in 1..200 {
        bench.tick(TimerId::Heartbeat, at * 60_000);
        bench.receive(1, last.clone());
        bench.receive(1, Body::Ready);
        let doubtful = status(beat(&bench, 0, at, true));
        bench.receive(1, doubtful);
        let new = status(beat(&bench, 1, at, true));
        bench.receive(2, new);
    }
    let members = bench.machine.status().members;
    assert!(!members[1].here && members[2].here, "{members:?}");
}

#[test]
fn an_incarnation_is_above_all_that_the_answers_prove_and_the_journal_has() {
    let mut bench = Bench::new();
    assert_eq!(beats_next(&mut bench), Some(1));
    // The journal.
    bench.boot();
    assert_eq!(beats_next(&mut bench), Some(2));
    // The answers, on a new disk.
    bench.journal.clear();
    bench.boot_in_doubt();
    assert_eq!(beats_next(&mut bench), Some(0), "while it recovers it has no number");
    for member in [1, 2] {
        let remembered = beat(&bench, 40 + u64::from(member), 3, true);
        let answer = memory_of(&bench, remembered, 0);
        bench.receive(member, answer);
    }
    assert_eq!(beats_next(&mut bench), Some(43));
}

#[test]
fn no_member_can_drive_the_numbers_up() {
    let mut bench = Bench::new();
    bench.boot_in_doubt();
    let made_up = beat(&bench, u64::MAX, 3, true);
    let answer = memory_of(&bench, made_up.clone(), 3);
    bench.receive(3, answer);
    assert_eq!(drops(&bench, "recovery response: not what this member signed"), 1);
    // Nor by bytes that name this member as their sender.
    let forged = sign(&bench.manifest, Round(0), 3, &status(made_up.clone()));
    let scope = fixture::scope(&bench.manifest, Round(0));
    let bytes =
        fedshield_protocol::wire::Signed::new(scope, MemberIndex(0), status(made_up), forged);
    let bytes = bytes.encode().unwrap();
    bench.handle(Event::Message { from: MemberIndex(3), bytes });
    for member in [1, 2] {
        bench.receive(member, fixture::bench::memory(&[]));
    }
    assert!(beats_next(&mut bench).is_some_and(|incarnation| incarnation < 10));
}

/// A member that did not respond knows a newer incarnation. It returns that heartbeat; the member
/// chooses a number above it.
#[test]
fn a_member_that_looks_old_gets_its_newest_heartbeat_back() {
    let mut bench = Bench::new();
    // Member 1 does so for this one.
    let newest = beat(&bench, 20, 4, true);
    let bytes = message(&bench.manifest, Round(0), 0, status(newest));
    bench.handle(Event::Message { from: MemberIndex(1), bytes });
    assert_eq!(beats_next(&mut bench), Some(21));
    // This one does so for member 1, once for each half heartbeat.
    let newest = status(beat(&bench, 9, 4, true));
    bench.receive(1, newest.clone());
    for number in 0..5 {
        let old = status(beat(&bench, 8, number, true));
        let shown = sent(&bench.receive(1, old));
        let expected: &[(Option<u16>, Body)] = &[(Some(1), newest.clone())];
        assert_eq!(shown, if number == 0 { expected } else { &[] });
    }
}

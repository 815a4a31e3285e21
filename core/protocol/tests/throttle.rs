//! A member that asks a thousand times gets as many answers as one that asks once.

mod fixture;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::Event;
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::job::JobOutput;
use fedshield_protocol::limits::MAX_ANSWER_BYTES;
use fedshield_protocol::wire::{Body, Remedy};
use fixture::bench::{Bench, NONCE, commitment_digest, heartbeat, update};
use fixture::message;
use fixture::misbehaviour::{complaint, is_reseal, is_reveal};

/// Bytes that the effects send to members.
fn sent(effects: &[Effect]) -> usize {
    let bytes = |effect: &Effect| match effect {
        Effect::Send { bytes, .. } | Effect::Gossip(bytes) => bytes.len(),
        Effect::ReadRecords { limit_bytes, .. } => *limit_bytes,
        _ => 0,
    };
    effects.iter().map(bytes).sum()
}

/// What this member sends in answer to a thousand messages of member 1.
fn a_thousand(bench: &mut Bench, body: impl Fn(&Bench) -> Body) -> usize {
    let ask = |bench: &mut Bench| {
        let body = body(bench);
        sent(&bench.receive(1, body))
    };
    (0..1_000).map(|_| ask(bench)).sum()
}

#[test]
fn a_thousand_wants_are_one() {
    let (mut bench, own) = Bench::with_an_own_update();
    let wanted = [own; 8].to_vec();
    let once = sent(&bench.receive(2, Body::GetCommitments(wanted.clone())));
    assert!(once > 100);
    assert_eq!(a_thousand(&mut bench, |_| Body::GetCommitments(wanted.clone())), once);
    assert!(once <= MAX_ANSWER_BYTES);
}

#[test]
fn a_thousand_complaints_are_one() {
    let (mut bench, own) = Bench::with_an_own_update();
    bench.receive(1, complaint(1, own, Remedy::Reseal));
    let sealed = bench.done(is_reseal, JobOutput::ResealedShare(Some(vec![6; 131_000])));
    assert!((131_000..132_000).contains(&sent(&sealed)));
    assert_eq!(a_thousand(&mut bench, |_| complaint(1, own, Remedy::Reseal)), 0);
    assert!(!bench.jobs.iter().any(|(_, job)| is_reseal(job)), "nothing is sealed for them");
    bench.receive(1, complaint(1, own, Remedy::Open));
    bench.done(is_reveal, JobOutput::ShareOpening(vec![7; 131_000]));
    let all = a_thousand(&mut bench, |_| complaint(1, own, Remedy::Open));
    assert!(all < 132_000, "{all} bytes");
}

#[test]
fn every_other_question_is_answered_once_in_a_while() {
    type Ask = fn(&Bench) -> Body;
    let questions: [(&str, Ask); 4] = [
        ("recovery", |_| Body::RecoveryRequest(NONCE)),
        ("ping", |_| Body::Ping),
        ("records", |_| Body::RecordsRequest(Round(0))),
        ("heartbeat", |bench| heartbeat(4, bench.machine.status().head)),
    ];
    for (what, ask) in questions {
        let (mut bench, _) = Bench::with_an_own_update();
        let all = a_thousand(&mut bench, ask);
        assert!(all < 8_000, "{what}: {all} bytes");
    }
}

/// Requests of a member that are replayed by another do not count against its own rate limit.
#[test]
fn what_is_repeated_by_others_is_counted_apart() {
    let (mut bench, own) = Bench::with_an_own_update();
    let repeated = message(&bench.manifest, Round(0), 1, Body::GetCommitments(vec![own]));
    for _ in 0..3 {
        bench.handle(Event::Message { from: MemberIndex(3), bytes: repeated.clone() });
    }
    assert!(sent(&bench.receive(1, Body::GetCommitments(vec![own]))) > 100, "its own question");
    assert_eq!(commitment_digest(&bench, 0), own);
    assert_eq!(sent(&bench.receive(1, Body::GetCommitments(vec![own]))), 0);
    assert_eq!(update(0).shares.len(), 1);
}

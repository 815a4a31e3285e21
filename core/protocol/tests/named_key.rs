//! An opened sum is valid by its key, whoever found it. Member 0 of four.

mod fixture;

use fedshield_protocol::effect::{Effect, Purpose};
use fedshield_protocol::event::{Event, TimerId};
use fedshield_protocol::ids::{MemberIndex, SumDigest, ValueDigest, View};
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::limits::MAX_KEY_BYTES;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::{Body, Decision, Proposal, UpdateSet, Value, Vote, VoteKind};
use fixture::bench::{Bench, commitment_digest, update};
use fixture::misbehaviour::{drops, sent};
use fixture::object;

const SUM: SumDigest = SumDigest([2; 32]);

fn is_check(job: &Job) -> bool {
    matches!(job, Job::CheckKey { .. })
}

fn value(key: ObjectRef) -> Value {
    Value::Opened { key, sum: SUM }
}

/// The set is decided, and the aggregate is here. Nobody has answered.
fn decided() -> Bench {
    let mut bench = Bench::new();
    bench.begin();
    for member in [1, 2, 3] {
        bench.receive(member, Body::Commitment(Box::new(update(member as u8))));
    }
    let set: UpdateSet =
        [1, 2, 3].map(|m| (MemberIndex(m), commitment_digest(&bench, m))).into_iter().collect();
    bench.decide(Value::Aggregate { set, aggregate: object(90) });
    bench.handle(Event::ObjectReady(object(90)));
    bench
}

/// The other members let a view time out.
fn next_view(bench: &mut Bench) {
    let view = bench.machine.status().view;
    for member in [1, 2, 3] {
        for kind in [VoteKind::Prevote, VoteKind::Precommit] {
            let vote = Vote { decision: Decision::Outcome, kind, view, value: None };
            bench.receive(member, Body::Vote(vote));
        }
    }
    while bench.machine.status().view == view {
        let later = bench.now + 1_000_000;
        bench.tick(TimerId::View, later);
    }
}

/// The next view in which another member proposes.
fn view_of_another(bench: &mut Bench) -> (u32, u16) {
    loop {
        next_view(bench);
        let status = bench.machine.status();
        let by = status.proposer.expect("it votes").0;
        if by != 0 {
            return (status.view.0, by);
        }
    }
}

fn propose(bench: &mut Bench, view: u32, by: u16, key: ObjectRef) -> Vec<Effect> {
    propose_value(bench, view, by, value(key))
}

fn propose_value(bench: &mut Bench, view: u32, by: u16, value: Value) -> Vec<Effect> {
    let proposal = Proposal { view: View(view), value, polka: None, justification: None };
    bench.receive(by, Body::Proposal(Box::new(proposal)))
}

fn prevote(effects: &[Effect]) -> Option<Option<ValueDigest>> {
    sent(effects).into_iter().find_map(|(_, body)| match body {
        Body::Vote(Vote { kind: VoteKind::Prevote, value, .. }) => Some(value),
        _ => None,
    })
}

fn fetches(effects: &[Effect], key: ObjectRef) -> Vec<u16> {
    let of = |effect: &Effect| match effect {
        Effect::Fetch { object, holders, purpose: Purpose::Key } if *object == key => {
            Some(holders.iter().map(|m| m.0).collect())
        }
        _ => None,
    };
    effects.iter().find_map(of).unwrap_or_default()
}

/// Another member has proposed `key`, in a view of its own.
fn proposed(key: ObjectRef) -> (Bench, u16, Vec<Effect>) {
    let mut bench = decided();
    bench.tick(TimerId::Decrypt, 60_000);
    let (view, by) = view_of_another(&mut bench);
    let effects = propose(&mut bench, view, by, key);
    (bench, by, effects)
}

#[test]
fn a_key_that_opens_the_sum_makes_it_opened_here() {
    let (mut bench, by, effects) = proposed(object(95));
    let holders = fetches(&effects, object(95));
    assert_eq!((holders[0], holders.len()), (by, 3), "the proposer first, then the others");
    assert_eq!(prevote(&effects), None, "not before it is checked");
    bench.handle(Event::ObjectReady(object(95)));
    let effects = bench.done(is_check, JobOutput::KeyChecked { sum: Some(SUM) });
    let story = bench.story(&effects);
    assert_eq!(story[..3], ["persist opened sum", "persist votes", "send vote"]);
    assert_eq!(prevote(&effects), Some(Some(value(object(95)).id())));
    let serves = |effect: &Effect| matches!(effect, Effect::Serve { object: it, audience: None, purpose: Purpose::Key } if *it == object(95));
    assert!(effects.iter().any(serves));
    // It can be applied without a single answer.
    bench.decide(value(object(95)));
    assert!(bench.jobs.iter().any(|(_, job)| matches!(job, Job::Apply { .. })));
}

#[test]
fn a_key_that_opens_nothing_or_something_else_is_not_voted_for() {
    for sum in [None, Some(SumDigest([3; 32]))] {
        let (mut bench, ..) = proposed(object(95));
        bench.handle(Event::ObjectReady(object(95)));
        let mut effects = bench.done(is_check, JobOutput::KeyChecked { sum });
        assert_eq!(prevote(&effects), None, "{sum:?}");
        let later = bench.now + 1_000_000;
        effects = bench.tick(TimerId::View, later);
        assert_eq!(prevote(&effects), Some(None), "{sum:?}");
    }
}

/// In each view a Byzantine proposer costs the others one fetch and one check, and takes nothing
/// from the honest proposers after it.
#[test]
fn wrong_keys_do_not_keep_a_right_one_from_being_checked() {
    let (mut bench, ..) = proposed(object(100));
    for turn in 1..30 {
        let (view, by) = view_of_another(&mut bench);
        let key = object(100 + turn);
        let effects = propose(&mut bench, view, by, key);
        assert!(!fetches(&effects, key).is_empty(), "view {view}");
        bench.handle(Event::ObjectReady(key));
        let sum = (turn == 29).then_some(SUM);
        let effects = bench.done(is_check, JobOutput::KeyChecked { sum });
        assert_eq!(prevote(&effects).flatten().is_some(), sum.is_some());
    }
}

/// A contributor that chooses its errors can make a ciphertext that two keys open (docs/CRYPTO.md),
/// so both are valid here. The vote decides between them, and the decided sum is applied whichever
/// key was checked last.
#[test]
fn of_two_keys_that_open_the_aggregate_the_decided_one_is_applied() {
    let first = value(object(95));
    let second = Value::Opened { key: object(96), sum: SumDigest([3; 32]) };
    for decided in [first, second.clone()] {
        let (mut bench, ..) = proposed(object(95));
        bench.handle(Event::ObjectReady(object(95)));
        bench.done(is_check, JobOutput::KeyChecked { sum: Some(SUM) });
        let (view, by) = view_of_another(&mut bench);
        propose_value(&mut bench, view, by, second.clone());
        bench.handle(Event::ObjectReady(object(96)));
        let effects = bench.done(is_check, JobOutput::KeyChecked { sum: Some(SumDigest([3; 32])) });
        assert_eq!(prevote(&effects), Some(Some(second.id())), "it opens the aggregate as well");
        bench.decide(decided.clone());
        let Value::Opened { key, sum } = decided else { panic!("an opened sum") };
        if key == object(95) {
            // The disk has the other sum: the decided key opens its own again.
            let is_decided = |job: &Job| matches!(job, Job::CheckKey { key: it, .. } if *it == key);
            bench.done(is_decided, JobOutput::KeyChecked { sum: Some(sum) });
        }
        let applied: Vec<SumDigest> = bench
            .jobs
            .iter()
            .filter_map(|(_, job)| match job {
                Job::Apply { sum, .. } => Some(*sum),
                _ => None,
            })
            .collect();
        assert_eq!(applied, [sum]);
        assert!(!bench.jobs.iter().any(|(_, job)| is_check(job)), "nothing is checked once more");
    }
}

#[test]
fn a_key_of_an_impossible_length_is_not_even_a_message() {
    let (mut bench, by, _) = proposed(object(95));
    for length in [0, MAX_KEY_BYTES + 1] {
        let key = ObjectRef { length, ..object(96) };
        let view = bench.machine.status().view.0;
        propose(&mut bench, view, by, key);
    }
    assert_eq!(drops(&bench, "message: impossible content"), 2);
}

//! Members that join a round late or leave it: each gets what it lacks from any member that has it.

mod fixture;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::{Event, TimerId};
use fedshield_protocol::ids::{MemberIndex, SumDigest};
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::status::Phase;
use fedshield_protocol::wire::{Body, UpdateSet, Value};
use fixture::bench::{Bench, commitment_digest, heartbeat, update};
use fixture::object;

/// Members that opened the sum may be absent, and with them their answers: a member that is late
/// in a decided round still releases its own, so that q members are enough for everyone.
#[test]
fn a_member_that_learns_the_end_before_it_has_answered_still_answers() {
    let mut bench = Bench::new();
    bench.begin();
    let mut set = Vec::new();
    for member in 1..4 {
        bench.receive(member, Body::Commitment(Box::new(update(member as u8))));
        set.push((MemberIndex(member), commitment_digest(&bench, member)));
    }
    let set = set.into_iter().collect();
    bench.decide(Value::Aggregate { set, aggregate: object(90) });
    bench.decide(Value::Opened { key: object(95), sum: SumDigest([2; 32]) });
    assert_eq!(bench.phase(), Phase::Apply);
    for member in 1..4 {
        bench.handle(Event::ObjectReady(update(member).sealed_shares[0].unwrap()));
        let check = |job: &Job| matches!(job, Job::CheckShare { .. });
        bench.done(check, JobOutput::Checked { valid: true });
    }
    let partial = |job: &Job| matches!(job, Job::PartialDecrypt { .. });
    let effects = bench.done(partial, JobOutput::Partial(object(91)));
    assert_eq!(bench.story(&effects), ["persist release", "send partial"]);
}

/// An answer whose sender is absent is forwarded, but only when the round is late.
#[test]
fn answers_of_others_are_handed_on_when_the_round_is_late() {
    let mut bench = Bench::new();
    bench.begin();
    bench.receive(1, Body::Commitment(Box::new(update(1))));
    let set = UpdateSet::from_iter([(MemberIndex(1), commitment_digest(&bench, 1))]);
    bench.decide(Value::Aggregate { set: set.clone(), aggregate: object(90) });
    let partial = Body::Partial { set: set.digest(), object: object(91) };
    bench.receive(2, partial.clone());
    let head = bench.machine.status().head;
    let mut handed_on = |at: u64, late: bool| {
        bench.now = at;
        if late {
            bench.tick(TimerId::Decrypt, at);
        }
        let effects = bench.receive(3, heartbeat(4, head));
        effects.iter().any(|effect| match effect {
            Effect::Send { to, bytes } => *to == MemberIndex(3) && bench.body(bytes) == partial,
            _ => false,
        })
    };
    assert!(!handed_on(10_000, false));
    assert!(handed_on(60_000, true));
}

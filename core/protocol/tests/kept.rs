//! What a round needs to end survives restarts, even if its senders are absent. Member 0 of four.

mod fixture;

use fedshield_protocol::effect::{Effect, Purpose};
use fedshield_protocol::event::{Event, TimerId};
use fedshield_protocol::ids::{MemberIndex, SumDigest};
use fedshield_protocol::job::{Combined, Job, JobOutput};
use fedshield_protocol::status::Phase;
use fedshield_protocol::wire::{Body, UpdateSet, Value};
use fixture::bench::{Bench, commitment_digest, heartbeat, update};
use fixture::misbehaviour::sent;
use fixture::object;

fn is_partial(job: &Job) -> bool {
    matches!(job, Job::PartialDecrypt { .. })
}

fn is_combine(job: &Job) -> bool {
    matches!(job, Job::Combine { .. })
}

fn is_apply(job: &Job) -> bool {
    matches!(job, Job::Apply { .. })
}

fn runs(bench: &Bench, is: impl Fn(&Job) -> bool) -> bool {
    bench.jobs.iter().any(|(_, job)| is(job))
}

/// Asks for a commitment.
fn wants(effects: &[Effect]) -> bool {
    sent(effects).iter().any(|(_, body)| matches!(body, Body::GetCommitments(_)))
}

/// All objects of these updates that member 0 uses are on its disk and valid.
fn open_shares(bench: &mut Bench, members: &[u16]) {
    for member in members {
        bench.handle(Event::ObjectReady(update(*member as u8).sealed_shares[0].unwrap()));
        let check = |job: &Job| matches!(job, Job::CheckShare { .. });
        bench.done(check, JobOutput::Checked { valid: true });
    }
}

fn set_of(bench: &Bench, members: &[u16]) -> UpdateSet {
    members.iter().map(|m| (MemberIndex(*m), commitment_digest(bench, *m))).collect()
}

/// A new incarnation, with two other members present.
fn restart(bench: &mut Bench) -> Vec<Effect> {
    let mut effects = bench.boot();
    let head = bench.machine.status().head;
    for member in [1, 2] {
        effects.extend(bench.receive(member, heartbeat(4, head)));
    }
    effects
}

/// The other members' updates are decided; that of member 3 has not arrived.
fn decided_without_one() -> (Bench, UpdateSet) {
    let mut bench = Bench::new();
    bench.begin();
    for member in [1, 2] {
        bench.receive(member, Body::Commitment(Box::new(update(member as u8))));
    }
    open_shares(&mut bench, &[1, 2]);
    let set = set_of(&bench, &[1, 2, 3]);
    let effects = bench.decide(Value::Aggregate { set: set.clone(), aggregate: object(90) });
    assert!(wants(&effects));
    let kept = ["persist commitment of 1", "persist commitment of 2"];
    assert_eq!(bench.story(&effects)[..2], kept);
    (bench, set)
}

#[test]
fn commitments_of_the_decided_set_survive_their_contributors() {
    let (mut bench, _) = decided_without_one();
    // A missing commitment is requested, by the next incarnation too, and persisted when it
    // arrives.
    assert!(wants(&restart(&mut bench)));
    let effects = bench.receive(3, Body::Commitment(Box::new(update(3))));
    assert_eq!(bench.story(&effects), ["persist commitment of 3"]);
    let effects = restart(&mut bench);
    assert!(!wants(&effects) && !bench.story(&effects).iter().any(|it| it.contains("commitment")));
    open_shares(&mut bench, &[1, 2, 3]);
    assert!(runs(&bench, is_partial), "nothing of the others is missing");
    // A member that lacks one gets it from this one, with its contributor's signature.
    let wanted = commitment_digest(&bench, 3);
    let effects = bench.receive(2, Body::GetCommitments(vec![wanted]));
    assert_eq!(sent(&effects), [(Some(2), Body::Commitment(Box::new(update(3))))]);
}

#[test]
fn a_commitment_is_written_down_before_the_report_that_vouches_for_it() {
    let mut bench = Bench::new();
    bench.begin();
    let committee = bench.others_of_the_committee();
    let digest = bench.valid_share_of(1);
    bench.hold(&committee, &[digest]);
    let effects = bench.tick(TimerId::Commit, 1_000);
    let story = bench.story(&effects);
    assert_eq!(story[..3], ["persist commitment of 1", "persist report", "send report"]);
    restart(&mut bench);
    assert!(bench.machine.status().members[1].committed);
}

/// The sum is open at this member.
fn opened() -> (Bench, Value) {
    let (mut bench, set) = decided_without_one();
    bench.receive(3, Body::Commitment(Box::new(update(3))));
    open_shares(&mut bench, &[3]);
    bench.done(is_partial, JobOutput::Partial(object(91)));
    bench.handle(Event::ObjectReady(object(90)));
    for member in [1, 3] {
        let answer = object(91 + member as u8);
        bench.receive(member, Body::Partial { set: set.digest(), object: answer });
        bench.handle(Event::ObjectReady(answer));
    }
    let (key, sum) = (object(95), SumDigest([2; 32]));
    let opened = Combined::Opened { key, sum, culprits: vec![] };
    let effects = bench.done(is_combine, JobOutput::Combined(opened));
    assert_eq!(bench.story(&effects)[0], "persist opened sum");
    (bench, Value::Opened { key, sum })
}

#[test]
fn an_opened_sum_counts_as_opened_after_a_restart() {
    let (mut bench, value) = opened();
    restart(&mut bench);
    assert!(!runs(&bench, is_combine));
    // The key that opened the sum is served to everyone, although no member answers any more.
    let effects = bench.handle(Event::ObjectReady(object(95)));
    let key = |effect: &Effect| matches!(effect, Effect::Serve { object: it, audience: None, purpose: Purpose::Key } if *it == object(95));
    assert!(effects.iter().any(key));
    bench.decide(value);
    assert_eq!(bench.phase(), Phase::Apply);
    assert!(runs(&bench, is_apply) && !runs(&bench, is_combine));
}

#[test]
fn an_opened_sum_that_is_gone_from_the_disk_is_opened_again() {
    let (mut bench, value) = opened();
    restart(&mut bench);
    bench.decide(value);
    let (id, _) = bench.jobs.iter().find(|(_, job)| is_apply(job)).cloned().unwrap();
    bench.jobs.clear();
    bench.handle(Event::JobFailed(id, "no such file".into()));
    let set: UpdateSet = set_of(&bench, &[1, 2, 3]);
    for member in [1, 3] {
        let object = object(91 + member as u8);
        bench.receive(member, Body::Partial { set: set.digest(), object });
    }
    for present in [90, 91, 92, 94] {
        bench.handle(Event::ObjectReady(object(present)));
    }
    assert!(runs(&bench, is_combine));
    let opened = Combined::Opened { key: object(95), sum: SumDigest([2; 32]), culprits: vec![] };
    bench.done(is_combine, JobOutput::Combined(opened));
    bench.tick(TimerId::Heartbeat, 120_000);
    assert!(runs(&bench, is_apply));
}

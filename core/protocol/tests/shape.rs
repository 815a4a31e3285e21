//! Commitments whose layout or length differs from the round's: never fetched, listed or waited
//! for, and the status shows why.

mod fixture;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::{Event, TimerId};
use fedshield_protocol::ids::LayoutDigest;
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::limits::MAX_OBJECT_BYTES;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::status::{Phase, Refusal};
use fedshield_protocol::wire::{Body, CommitmentBody};
use fixture::bench::{Bench, SHAPE, commitment_digest, update};
use fixture::misbehaviour::drops;

fn misshapen() -> Vec<(Refusal, CommitmentBody)> {
    let of = |length| ObjectRef { length, ..update(1).ciphertext };
    let mut long_share = update(1);
    long_share.sealed_shares[2].as_mut().unwrap().length += 1;
    vec![
        (Refusal::Length, CommitmentBody { ciphertext: of(MAX_OBJECT_BYTES), ..update(1) }),
        (Refusal::Length, CommitmentBody { ciphertext: of(999), ..update(1) }),
        (Refusal::Length, long_share),
        (Refusal::Layout, CommitmentBody { layout: LayoutDigest([2; 32]), ..update(1) }),
    ]
}

fn fetched(effects: &[Effect]) -> Vec<ObjectRef> {
    let of = |effect: &Effect| match effect {
        Effect::Fetch { object, .. } => Some(*object),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

/// This member is still training: it has no update of its own to compare with.
#[test]
fn an_update_of_another_shape_is_not_fetched_nor_waited_for_and_its_contributor_is_shown() {
    for (why, body) in misshapen() {
        let mut bench = Bench::new();
        bench.begin();
        let effects = bench.receive(1, Body::Commitment(Box::new(body)));
        assert_eq!(fetched(&effects), []);
        let dropped = match why {
            Refusal::Layout => "commitment: another layout than the round's",
            _ => "commitment: another length than the round's updates have",
        };
        assert_eq!(drops(&bench, dropped), 1);
        assert_eq!(bench.machine.status().members[1].refused, Some(why));
        // Everything else continues, and the report is made as soon as the other three have
        // arrived.
        let contribute = |job: &Job| matches!(job, Job::Contribute { .. });
        bench.done(contribute, JobOutput::Contribution(update(0)));
        let mut set = vec![commitment_digest(&bench, 0)];
        let own = |job: &Job| matches!(job, Job::CheckShare { update: dealer, .. } if dealer.member.0 == 0);
        bench.done(own, JobOutput::Checked { valid: true });
        for dealer in [2, 3] {
            set.push(bench.valid_share_of(dealer));
        }
        let others = bench.others_of_the_committee();
        bench.hold(&others, &set);
        let status = bench.machine.status();
        assert!(status.members[0].reported, "{why:?}: {:?}", status.waiting_for);
        assert_eq!(bench.phase(), Phase::Certify);
    }
}

/// The host has not computed the shape yet: nothing is fetched unchecked.
#[test]
fn nothing_is_fetched_before_the_shape_is_known() {
    let mut bench = Bench::new();
    bench.prepares = false;
    bench.begin();
    let mut effects = bench.receive(1, Body::Commitment(Box::new(update(1))));
    for (member, (_, body)) in [2, 3].into_iter().zip(misshapen()) {
        effects.extend(bench.receive(member, Body::Commitment(Box::new(body))));
    }
    assert_eq!(fetched(&effects), []);
    effects = bench.tick(TimerId::Heartbeat, 60_000);
    effects.extend(bench.tick(TimerId::Commit, 1_000_000));
    assert_eq!(fetched(&effects), []);
    assert_eq!(bench.phase(), Phase::Transfer, "it waits for what it may fetch");
    let id = bench.preparing.expect("the host has been asked");
    let effects = bench.handle(Event::JobDone(id, JobOutput::Prepared(SHAPE)));
    let update = update(1);
    assert!(fetched(&effects).contains(&update.sealed_shares[0].unwrap()));
    assert!(
        fetched(&effects)
            .iter()
            .all(|it| it.length == SHAPE.sealed_share_bytes || *it == update.ciphertext)
    );
    assert_eq!(drops(&bench, "commitment: another length than the round's updates have"), 2);
}

/// A host that cannot compute the shape yet is asked again: without it this member could report
/// nothing.
#[test]
fn the_shape_is_asked_for_again_until_the_host_knows() {
    let mut bench = Bench::new();
    bench.prepares = false;
    bench.begin();
    for attempt in 1..10 {
        let id = bench.preparing.take().expect("the host is asked");
        bench.handle(Event::JobFailed(id, "not yet".into()));
        bench.tick(TimerId::Heartbeat, attempt * 60_000);
    }
    assert!(bench.preparing.is_some());
}

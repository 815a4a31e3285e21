//! Malformed updates: a committee member that finds one announces it; f + 1 rejections exclude the
//! update and name its contributor. Neither f Byzantine members nor a broken disk can exclude a
//! valid update.

mod fixture;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::Event;
use fedshield_protocol::ids::{CommitmentDigest, MemberIndex};
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::sign::Signature;
use fedshield_protocol::status::Phase;
use fedshield_protocol::wire::Body;
use fedshield_protocol::wire::evidence::{Evidence, Proof};
use fixture::bench::{Bench, commitment_digest, update};
use fixture::misbehaviour::{banned, drops, is_proof, sent};
use fixture::sign;

fn is_check(job: &Job) -> bool {
    matches!(job, Job::CheckCiphertext { .. })
}

const GOOD: JobOutput = JobOutput::Checked { valid: true };
const BAD: JobOutput = JobOutput::Checked { valid: false };

/// In the commit phase, with the update of `contributor` fetched but not checked yet. This member
/// is in the committee.
fn with_update_of(contributor: u16) -> (Bench, CommitmentDigest) {
    let mut bench = Bench::new();
    bench.begin();
    assert!(bench.machine.status().committee.contains(&MemberIndex(0)));
    arrive(&mut bench, contributor);
    let digest = commitment_digest(&bench, contributor);
    (bench, digest)
}

fn arrive(bench: &mut Bench, contributor: u16) {
    bench.receive(contributor, Body::Commitment(Box::new(update(contributor as u8))));
    let body = update(contributor as u8);
    for object in body.sealed_shares.iter().flatten().chain([&body.ciphertext]) {
        let effects = bench.handle(Event::ObjectReady(*object));
        assert!(!sends(&effects, "have updates"), "nobody has read it yet");
    }
}

fn sends(effects: &[Effect], kind: &str) -> bool {
    sent(effects).iter().any(|(_, body)| body.kind() == kind)
}

/// Another member of the committee than `contributor`, if there is one.
fn another_of_the_committee(bench: &Bench, contributor: u16) -> u16 {
    let others = bench.others_of_the_committee();
    others.into_iter().find(|member| *member != contributor).unwrap()
}

/// The signatures that reject the commitment.
fn rejections(evidence: &mut Evidence) -> &mut Vec<(MemberIndex, Signature)> {
    match &mut evidence.proof {
        Proof::Rejected { rejections, .. } => rejections,
        other => panic!("another proof: {other:?}"),
    }
}

#[test]
fn an_update_is_announced_after_it_has_been_read() {
    let (mut bench, digest) = with_update_of(1);
    let effects = bench.done(is_check, GOOD);
    assert!(sent(&effects).contains(&(None, Body::HaveUpdates(vec![digest]))));
    assert!(!bench.jobs.iter().any(|(_, job)| is_check(job)), "once");
}

#[test]
fn a_rejection_is_persisted_then_sent_and_stays_after_a_restart() {
    let (mut bench, digest) = with_update_of(1);
    let effects = bench.done(is_check, BAD);
    let story = bench.story(&effects);
    assert_eq!(story, ["persist rejection", "send rejection"]);
    let ciphertext = update(1).ciphertext;
    let serves =
        |effect: &Effect| matches!(effect, Effect::Serve { object, .. } if *object == ciphertext);
    assert!(effects.iter().any(serves), "the committee can see for itself");
    assert!(banned(&effects).is_empty(), "one may be faulty");

    bench.boot();
    bench.begin();
    arrive(&mut bench, 1);
    assert!(!bench.jobs.iter().any(|(_, job)| is_check(job)), "it is known");
    bench.now += 10_000;
    let head = bench.machine.status().head;
    let effects = bench.receive(3, fixture::bench::heartbeat(4, head));
    assert!(
        sent(&effects).contains(&(Some(3), Body::Rejection(digest))),
        "sent again to who lacks it"
    );
    assert!(!sends(&effects, "have updates"));
}

#[test]
fn two_of_the_committee_name_the_contributor_and_the_update_is_not_waited_for() {
    for own_first in [true, false] {
        let (mut bench, bad) = with_update_of(1);
        let other = another_of_the_committee(&bench, 1);
        let mut effects = Vec::new();
        if own_first {
            effects.extend(bench.done(is_check, BAD));
            effects.extend(bench.receive(other, Body::Rejection(bad)));
        } else {
            effects.extend(bench.receive(other, Body::Rejection(bad)));
            effects.extend(bench.done(is_check, BAD));
        }
        let banned = banned(&effects);
        let [(1, evidence)] = banned.as_slice() else { panic!("{banned:?}") };
        assert!(is_proof(&bench, evidence));
        let mut fewer = evidence.clone();
        rejections(&mut fewer).pop();
        assert!(!is_proof(&bench, &fewer));
        let mut twice = evidence.clone();
        let list = rejections(&mut twice);
        list[1] = list[0];
        assert!(!is_proof(&bench, &twice), "one member's word counts once");
        let status = bench.machine.status();
        let others = status.members.iter().enumerate().filter(|(m, other)| *m != 1 && other.here);
        let others = u16::try_from(others.count()).unwrap();
        assert_eq!(status.attendance.contributors, others, "all but the contributor");
        // The other updates are complete: the report does not wait for the malformed one.
        let contribute = |job: &Job| matches!(job, Job::Contribute { .. });
        bench.done(contribute, JobOutput::Contribution(update(0)));
        let mut set = vec![commitment_digest(&bench, 0)];
        for contributor in [2, 3] {
            arrive(&mut bench, contributor);
            let share = |job: &Job| matches!(job, Job::CheckShare { update: dealer, .. } if dealer.member.0 == contributor);
            bench.done(share, GOOD);
            bench.done(is_check, GOOD);
            set.push(commitment_digest(&bench, contributor));
        }
        // This member's own share of its own update.
        let own = |job: &Job| matches!(job, Job::CheckShare { update: dealer, .. } if dealer.member.0 == 0);
        bench.done(own, GOOD);
        let others = bench.others_of_the_committee();
        bench.hold(&others, &set);
        assert_eq!(bench.phase(), Phase::Certify, "{:?}", bench.machine.status());
        assert!(bench.machine.status().members[0].reported);
    }
}

#[test]
fn a_rejection_of_what_one_has_announced_is_evidence_in_either_order() {
    for rejects_first in [true, false] {
        let (mut bench, digest) = with_update_of(1);
        let accused = another_of_the_committee(&bench, 1);
        let mut words = [Body::HaveUpdates(vec![digest]), Body::Rejection(digest)];
        if rejects_first {
            words.reverse();
        }
        let effects: Vec<Effect> =
            words.into_iter().flat_map(|body| bench.receive(accused, body)).collect();
        let banned = banned(&effects);
        let [(member, evidence)] = banned.as_slice() else { panic!("{banned:?}") };
        assert_eq!(*member, accused);
        assert!(is_proof(&bench, evidence));
    }
}

#[test]
fn a_rejection_of_another_update_is_no_contradiction() {
    let (mut bench, digest) = with_update_of(1);
    let honest = another_of_the_committee(&bench, 1);
    let mut effects = bench.receive(honest, Body::HaveUpdates(vec![digest]));
    effects.extend(bench.receive(honest, Body::Rejection(CommitmentDigest([7; 32]))));
    assert!(banned(&effects).is_empty());
}

/// A check that fails for a local reason accuses nobody; missing bytes are fetched again.
#[test]
fn a_check_that_failed_to_run_rejects_nothing() {
    let (mut bench, _) = with_update_of(1);
    let position = bench.jobs.iter().position(|(_, job)| is_check(job)).unwrap();
    let (id, _) = bench.jobs.remove(position);
    let mut effects = bench.handle(Event::JobFailed(id, "the disk".into()));
    effects.extend(bench.tick(fedshield_protocol::event::TimerId::Heartbeat, 60_000));
    assert!(!sends(&effects, "rejection") && !sends(&effects, "have updates"));
    let ciphertext = update(1).ciphertext;
    let fetches =
        |effect: &Effect| matches!(effect, Effect::Fetch { object, .. } if *object == ciphertext);
    assert!(effects.iter().any(fetches));
    bench.handle(Event::ObjectReady(ciphertext));
    let effects = bench.done(is_check, GOOD);
    assert!(sends(&effects, "have updates"));
}

#[test]
fn rejections_are_taken_from_the_committee_only_and_are_bounded() {
    let mut bench = Bench::new();
    bench.begin();
    let committee = bench.machine.status().committee;
    let outsider = (1..4).find(|member| !committee.contains(&MemberIndex(*member))).unwrap();
    bench.receive(outsider, Body::Rejection(CommitmentDigest([1; 32])));
    assert_eq!(drops(&bench, "rejection: not of the committee"), 1);
    let member = bench.others_of_the_committee()[0];
    for update in 0..20 {
        bench.receive(member, Body::Rejection(CommitmentDigest([update; 32])));
    }
    assert_eq!(drops(&bench, "rejection: more than there can be updates"), 12);
}

/// A member does not accuse itself: the others do, and its status shows why its update is left out.
#[test]
fn the_own_update_that_the_others_cannot_read_is_no_evidence_here() {
    let (mut bench, own) = Bench::with_an_own_update();
    let mut effects = Vec::new();
    for member in bench.others_of_the_committee() {
        effects.extend(bench.receive(member, Body::Rejection(own)));
    }
    assert!(banned(&effects).is_empty());
    assert_eq!(drops(&bench, "rejection: of this member's own update"), 1);
}

/// The evidence needs nothing but the members' keys.
#[test]
fn words_of_members_about_another_commitment_prove_nothing() {
    let (mut bench, bad) = with_update_of(1);
    let other = another_of_the_committee(&bench, 1);
    let mut effects = bench.done(is_check, BAD);
    effects.extend(bench.receive(other, Body::Rejection(bad)));
    let (_, mut evidence) = banned(&effects).remove(0);
    let round = evidence.round;
    let about = Body::Rejection(commitment_digest(&bench, 2));
    let mut wrong = evidence.clone();
    *rejections(&mut wrong) = [0, 2]
        .map(|member| (MemberIndex(member), sign(&bench.manifest, round, member, &about)))
        .to_vec();
    assert!(!is_proof(&bench, &wrong));
    rejections(&mut wrong).clone_from(rejections(&mut evidence));
    wrong.member = MemberIndex(2);
    assert!(!is_proof(&bench, &wrong));
}

//! Byzantine behaviour with shares and complaints, seen by one honest machine: member 0 of four,
//! of which one may be faulty.

mod fixture;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::{Event, TimerId};
use fedshield_protocol::ids::{CommitmentDigest, MemberIndex, Round};
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::limits::MAX_RESEALS;
use fedshield_protocol::wire::evidence::{Evidence, Rule};
use fedshield_protocol::wire::{Body, Remedy, UpdateSet};
use fixture::bench::{Bench, update};
use fixture::misbehaviour::*;
use fixture::sign;

/// False complaints make the dealer open the shares of at most f members, which are faulty anyway;
/// its first answer is a resealed share.
#[test]
fn a_false_complaint_opens_the_shares_of_at_most_f_members() {
    let (mut bench, own) = Bench::with_an_own_update();
    // The first answer to any complaint is a resealed share, sent to all members if the complaint
    // was.
    bench.receive(3, complaint(3, own, Remedy::Open));
    assert!(!bench.jobs.iter().any(|(_, job)| is_reveal(job)));
    let effects = bench.done(is_reseal, JobOutput::ResealedShare(Some(vec![4; 9])));
    assert_eq!(sent(&effects), [(None, resealed(own, 3, &[4; 9]))]);
    let effects = bench.receive(3, complaint(3, own, Remedy::Open));
    assert_eq!(bench.story(&effects), ["persist shown to 3"], "before it is shown");
    let to = bench.jobs.iter().find_map(|(_, job)| match job {
        Job::OpenShare { member, .. } => Some(*member),
        _ => None,
    });
    assert_eq!(to, Some(MemberIndex(3)), "the share of the member that complained, no other");
    let effects = bench.done(is_reveal, JobOutput::ShareOpening(vec![7; 9]));
    assert_eq!(sent(&effects), [(None, opening(own, 3, &[7; 9]))], "to everyone");
    // A repeated complaint gets the same bytes, in case the member has missed them; nothing more
    // is revealed.
    let effects = bench.receive(3, complaint(3, own, Remedy::Open));
    assert_eq!(sent(&effects), [(Some(3), opening(own, 3, &[7; 9]))]);
    assert!(!bench.jobs.iter().any(|(_, job)| is_reveal(job)));
    // At most one of four is faulty, so no share is opened for a second complainant. It gets a
    // resealed share.
    bench.receive(2, complaint(2, own, Remedy::Reseal));
    let effects = bench.done(is_reseal, JobOutput::ResealedShare(Some(vec![5; 9])));
    assert_eq!(sent(&effects), [(Some(2), resealed(own, 2, &[5; 9]))], "nobody else's business");
    for _ in 0..3 {
        assert_eq!(sent(&bench.receive(2, complaint(2, own, Remedy::Open))), []);
    }
    assert_eq!(drops(&bench, "complaint: more than there can be faulty members"), 3);
    assert!(!bench.jobs.iter().any(|(_, job)| is_reveal(job)));
    // Complaints about updates of other contributors, or about unknown ones, are not answered.
    let theirs = bench.valid_share_of(1);
    for digest in [theirs, CommitmentDigest([9; 32])] {
        assert_eq!(sent(&bench.receive(3, complaint(3, digest, Remedy::Open))), []);
    }
    assert!(!bench.jobs.iter().any(|(_, job)| is_reveal(job)));
}

/// A dealer still knows after a restart for whom it has opened shares.
#[test]
fn a_restart_does_not_allow_more_openings() {
    let (mut bench, own) = Bench::with_an_own_update();
    let show = |bench: &mut Bench, by: u16| {
        bench.receive(by, complaint(by, own, Remedy::Open));
        bench.done(is_reseal, JobOutput::ResealedShare(Some(vec![4; 9])));
        bench.receive(by, complaint(by, own, Remedy::Open));
        bench.jobs.iter().any(|(_, job)| is_reveal(job))
    };
    assert!(show(&mut bench, 3));
    bench.boot();
    bench.begin();
    assert!(!show(&mut bench, 2), "that would be the second of one");
    assert!(show(&mut bench, 3), "the same again");
}

/// Shares are resealed as often as a bad network may need, and no more; complaints above the rate
/// limit are dropped.
#[test]
fn sealing_again_is_throttled() {
    let (mut bench, own) = Bench::with_an_own_update();
    let mut sealed = 0;
    for beat in 1..100 {
        bench.now = beat * LATER;
        for _ in 0..3 {
            bench.receive(3, complaint(3, own, Remedy::Reseal));
            if bench.jobs.iter().any(|(_, job)| is_reseal(job)) {
                bench.done(is_reseal, JobOutput::ResealedShare(Some(vec![4; 9])));
                sealed += 1;
            }
        }
    }
    assert_eq!(sealed, MAX_RESEALS);
}

/// A member whose sealing key is unusable gets its share opened if it complains to all members; at
/// most f members do.
#[test]
fn an_unusable_sealing_key_is_answered_by_an_opening() {
    let (mut bench, own) = Bench::with_an_own_update();
    bench.receive(3, complaint(3, own, Remedy::Reseal));
    assert_eq!(sent(&bench.done(is_reseal, JobOutput::ResealedShare(None))), []);
    bench.now = LATER;
    bench.receive(3, complaint(3, own, Remedy::ResealInPublic));
    let effects = bench.done(is_reseal, JobOutput::ResealedShare(None));
    assert_eq!(bench.story(&effects), ["persist shown to 3"]);
    assert!(bench.jobs.iter().any(|(_, job)| is_reveal(job)));
}

/// A member that has no valid share asks the dealer alone first, then in public if the dealer does
/// not answer, then for an opening if the resealed share is not valid either.
#[test]
fn a_share_is_asked_for_in_three_steps() {
    let (mut bench, bad) = Bench::with_a_bad_share();
    let remedy = |effects: &[Effect]| {
        let mut remedies = sent(effects).into_iter().filter_map(|(to, body)| match body {
            Body::Complaint(complaint) => Some((to, complaint.remedy)),
            _ => None,
        });
        remedies.next()
    };
    let mut remedies = Vec::new();
    for beat in 1..5 {
        remedies.extend(remedy(&bench.tick(TimerId::Heartbeat, beat * LATER)));
    }
    let (alone, public) = ((Some(1), Remedy::Reseal), (None, Remedy::ResealInPublic));
    assert_eq!(remedies, [alone, alone, public, public]);
    bench.receive(1, resealed(bad, 0, &[1; 9]));
    let effects = bench.done(is_check_resealed_share, JobOutput::Checked { valid: false });
    assert_eq!(remedy(&effects), Some((None, Remedy::Open)));
    assert_eq!(banned(&effects).len(), 0, "a sealed share proves nothing");
    bench.receive(1, resealed(bad, 0, &[2; 9]));
    bench.done(is_check_resealed_share, JobOutput::Checked { valid: true });
    assert!(bench.machine.status().members[1].share_valid);
    assert_eq!(remedy(&bench.tick(TimerId::Heartbeat, 9 * LATER)), None, "it is content now");
    // A resealed share by another member, for another member or without a complaint is ignored.
    for (by, to) in [(2, 0), (1, 2), (1, 0)] {
        bench.receive(by, resealed(bad, to, &[3; 9]));
    }
    assert!(!bench.jobs.iter().any(|(_, job)| is_check_resealed_share(job)));
}

/// The dealer had no sealing key of this member, so there is no sealed share to fetch.
#[test]
fn a_member_without_a_sealed_share_asks_for_one() {
    let mut bench = Bench::new();
    bench.begin();
    let mut body = update(1);
    body.sealed_shares[0] = None;
    let scope = fixture::scope(&bench.manifest, Round(0));
    let digest = scope.commitment(MemberIndex(1), &body).unwrap();
    bench.receive(1, Body::Commitment(Box::new(body)));
    // The share may have been stored before a restart.
    let effects = bench.done(is_check_share, JobOutput::Checked { valid: false });
    assert_eq!(sent(&effects), [(Some(1), complaint(0, digest, Remedy::Reseal))]);
    bench.receive(1, resealed(digest, 0, &[1; 9]));
    bench.done(is_check_resealed_share, JobOutput::Checked { valid: true });
    assert!(bench.machine.status().members[1].share_valid);
}

/// A complaint of another member, true or false, does not make this one leave out an update of
/// which its own share is valid: otherwise one faulty member could exclude any contributor.
#[test]
fn a_complaint_of_another_does_not_drop_an_update() {
    let (mut bench, own) = Bench::with_an_own_update();
    bench.handle(Event::ObjectReady(update(0).sealed_shares[0].unwrap()));
    bench.done(is_check_share, JobOutput::Checked { valid: true });
    let theirs = bench.valid_share_of(1);
    let committee = bench.others_of_the_committee();
    bench.hold(&committee, &[own, theirs]);
    bench.receive(3, complaint(3, own, Remedy::Open));
    bench.receive(3, complaint(3, theirs, Remedy::Open));
    bench.done(is_reseal, JobOutput::ResealedShare(Some(vec![4; 9])));
    assert_eq!(bench.report()[..], [(MemberIndex(0), own), (MemberIndex(1), theirs)]);
}

/// The dealer is silent: this member complains with every heartbeat, waits until its deadline, and
/// leaves the update out. An answer that comes after all that still gives it the share, with which
/// it can take part in opening, should others have listed the update.
#[test]
fn an_unanswered_complaint_is_repeated_and_the_update_left_out() {
    let (mut bench, bad) = Bench::with_a_bad_share();
    let good = bench.valid_share_of(2);
    let committee = bench.others_of_the_committee();
    bench.hold(&committee, &[bad, good]);
    for beat in 1..4 {
        let effects = bench.tick(TimerId::Heartbeat, beat * 200);
        let sent = sent(&effects);
        // A public complaint of this member is forwarded like those of others.
        assert!(sent.iter().any(|s| is_complaint_about(s, &bad)), "{sent:?}");
    }
    assert_eq!(bench.report()[..], [(MemberIndex(2), good)]);
    bench.receive(1, opening(bad, 0, &[1]));
    bench.done(is_check_share_opening, JobOutput::Checked { valid: true });
    assert!(bench.machine.status().members[1].share_valid);
    let effects = bench.tick(TimerId::Heartbeat, 3 * LATER);
    assert!(!sent(&effects).iter().any(|s| is_complaint_about(s, &bad)), "it is content now");
}

/// A wrong answer is signed and verifiable by everyone: the dealer is named, its update is left
/// out at once and not waited for. It does not matter whose share it concerns.
#[test]
fn a_wrong_opening_names_the_contributor_and_drops_its_update() {
    for (member, own_share_is_valid) in [(0, false), (3, true)] {
        let (mut bench, bad) = if own_share_is_valid {
            let mut bench = Bench::new();
            bench.begin();
            let digest = bench.valid_share_of(1);
            (bench, digest)
        } else {
            Bench::with_a_bad_share()
        };
        let good = bench.valid_share_of(2);
        let committee = bench.others_of_the_committee();
        bench.hold(&committee, &[bad, good]);
        bench.receive(1, opening(bad, member, &[6; 50]));
        let effects = bench.done(is_check_share_opening, JobOutput::Checked { valid: false });
        let [(accused, evidence)] = banned(&effects).try_into().unwrap();
        assert_eq!((accused, evidence.member), (1, MemberIndex(1)));
        assert!(is_proof(&bench, &evidence));
        assert_eq!(evidence.statements()[0].0, opening(bad, member, &[6; 50]));
        // A later, right opening of the accused comes too late.
        bench.receive(1, opening(bad, member, &[7; 50]));
        assert_eq!(drops(&bench, "share opening: of no commitment of its sender"), 1);
        assert!(!bench.jobs.iter().any(|(_, job)| is_check_share_opening(job)));
        let effects = bench.tick(TimerId::Heartbeat, 200);
        assert!(!sent(&effects).iter().any(|s| is_complaint_about(s, &bad)), "nothing to hope for");
        // Nothing that could still arrive is missing: the report does not wait for the transfer
        // deadline.
        let effects = bench.tick(TimerId::Commit, LATER);
        let report = Body::Report(UpdateSet::from_iter([(MemberIndex(2), good)]));
        assert!(sent(&effects).contains(&(None, report)));
    }
}

/// Two different answers to one complaint are evidence, whichever of them is true; the first one
/// decides whether the share is valid.
#[test]
fn two_conflicting_answers_are_evidence() {
    for first_is_true in [true, false] {
        let (mut bench, bad) = Bench::with_a_bad_share();
        bench.receive(1, opening(bad, 0, &[1]));
        assert_eq!(
            banned(&bench.receive(1, opening(bad, 0, &[1]))).len(),
            0,
            "sent twice, and right"
        );
        let effects = bench.receive(1, opening(bad, 0, &[2]));
        let [(accused, evidence)] = banned(&effects).try_into().unwrap();
        assert_eq!(accused, 1);
        assert!(is_proof(&bench, &evidence) && evidence.rule() == Rule::Equivocation);
        let effects =
            bench.done(is_check_share_opening, JobOutput::Checked { valid: first_is_true });
        assert_eq!(banned(&effects).len(), 0, "once is enough");
        assert_eq!(bench.machine.status().members[1].share_valid, first_is_true);
        assert!(!bench.jobs.iter().any(|(_, job)| is_check_share_opening(job)), "the first only");
    }
}

/// Answers to complaints of two members are different statements, and no evidence.
#[test]
fn answers_about_two_members_do_not_conflict() {
    let (bench, bad) = Bench::with_a_bad_share();
    let statement = |body: Body| {
        let signature = sign(&bench.manifest, Round(0), 1, &body);
        (body, signature)
    };
    let is_wrong_opening = |first: Body, second: Body| {
        let (first, second) = (statement(first), statement(second));
        is_proof(&bench, &Evidence::equivocation(MemberIndex(1), Round(0), first, second))
    };
    let other = CommitmentDigest([4; 32]);
    let of_zero = || opening(bad, 0, &[1]);
    assert!(is_wrong_opening(of_zero(), opening(bad, 0, &[2])));
    assert!(!is_wrong_opening(of_zero(), opening(bad, 3, &[2])));
    assert!(!is_wrong_opening(of_zero(), opening(other, 0, &[2])));
    assert!(!is_wrong_opening(of_zero(), of_zero()));
}

/// Unsolicited answers: by another member than the dealer, about an unknown commitment, and about
/// more members than may have complained. This member's own share counts all the same.
#[test]
fn answers_of_others_and_too_many_answers_are_dropped() {
    let (mut bench, bad) = Bench::with_a_bad_share();
    bench.receive(2, opening(bad, 0, &[1]));
    bench.receive(1, opening(CommitmentDigest([9; 32]), 0, &[1]));
    assert_eq!(drops(&bench, "share opening: of no commitment of its sender"), 2);
    assert!(!bench.jobs.iter().any(|(_, job)| is_check_share_opening(job)));
    bench.receive(1, opening(bad, 2, &[1]));
    bench.done(is_check_share_opening, JobOutput::Checked { valid: true });
    assert!(!bench.machine.status().members[1].share_valid, "the share of another");
    bench.receive(1, opening(bad, 3, &[1]));
    assert_eq!(drops(&bench, "share opening: more than there can be complaints"), 1);
    bench.receive(1, opening(bad, 0, &[1]));
    bench.done(is_check_share_opening, JobOutput::Checked { valid: true });
    assert!(bench.machine.status().members[1].share_valid);
}

/// The host could not check an answer, for instance because its disk was full. The dealer's next
/// answer, which is the same, is checked again after a pause; the dealer is not accused.
#[test]
fn an_answer_that_could_not_be_checked_is_checked_again() {
    let (mut bench, bad) = Bench::with_a_bad_share();
    bench.receive(1, opening(bad, 0, &[1]));
    let position = bench.jobs.iter().position(|(_, job)| is_check_share_opening(job)).unwrap();
    let (id, _) = bench.jobs.remove(position);
    bench.handle(Event::JobFailed(id, "the disk is full".into()));
    assert_eq!(banned(&bench.receive(1, opening(bad, 0, &[1]))).len(), 0);
    assert!(!bench.jobs.iter().any(|(_, job)| is_check_share_opening(job)), "it rests");
    let effects = bench.tick(TimerId::Heartbeat, 200);
    assert!(sent(&effects).iter().any(|s| is_complaint_about(s, &bad)), "it still complains");
    bench.receive(1, opening(bad, 0, &[1]));
    bench.done(is_check_share_opening, JobOutput::Checked { valid: true });
    assert!(bench.machine.status().members[1].share_valid);
}

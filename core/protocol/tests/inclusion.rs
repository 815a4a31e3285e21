//! False claims about held and listed updates, seen by one honest machine: member 0 of four, of
//! which one may be faulty.

mod fixture;

use std::collections::BTreeMap;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::TimerId;
use fedshield_protocol::ids::{CommitmentDigest, MemberIndex, Round, View};
use fedshield_protocol::job::Job;
use fedshield_protocol::manifest::SetTooSmall;
use fedshield_protocol::sign::Signature;
use fedshield_protocol::wire::evidence::Rule;
use fedshield_protocol::wire::{Body, Justification, Proposal, ReportBundle, UpdateSet, Value};
use fixture::bench::{Bench, commitment_digest};
use fixture::misbehaviour::*;
use fixture::{object, sign};

/// Claims of f committee members to hold an update are not enough to list it: f + 1 are needed, so
/// that one is honest.
#[test]
fn holdings_that_only_f_members_claim_do_not_count() {
    let mut bench = Bench::new();
    bench.begin();
    let one = bench.valid_share_of(1);
    let two = bench.valid_share_of(2);
    let committee = bench.others_of_the_committee();
    bench.hold(&committee, &[one]);
    bench.hold(&committee[..1], &[one, two]);
    for stranger in (1..4).filter(|m| !committee.contains(m)) {
        bench.hold(&[stranger], &[two]);
        assert_eq!(drops(&bench, "have updates: not of the committee"), 1);
    }
    assert_eq!(bench.report()[..], [(MemberIndex(1), one)]);
}

/// A signed report of each of these members, as a proposer packs them.
fn bundle(bench: &Bench, reports: &[(u16, UpdateSet)]) -> ReportBundle {
    let signed: BTreeMap<MemberIndex, (UpdateSet, Signature)> = reports
        .iter()
        .map(|(member, set)| {
            let body = Body::Report(set.clone());
            (MemberIndex(*member), (set.clone(), sign(&bench.manifest, Round(0), *member, &body)))
        })
        .collect();
    ReportBundle::pack(&signed, bench.manifest.rules().quorum).unwrap()
}

/// A report that lists its sender's own update, an unknown one, or another's under a wrong name
/// puts none of them into the set: that takes q - f reports, of which one is honest.
#[test]
fn what_only_byzantine_members_list_is_not_in_the_set() {
    let bench = Bench::new();
    let entry = |member: u16| (MemberIndex(member), commitment_digest(&bench, member));
    let honest: UpdateSet = (0..3).map(entry).collect();
    let rules = bench.manifest.rules();
    for claimed in [
        vec![entry(0), entry(1), entry(2), entry(3)],
        vec![entry(3)],
        vec![entry(0), entry(1), entry(2), (MemberIndex(3), CommitmentDigest([9; 32]))],
        vec![entry(0), entry(1), entry(2), (MemberIndex(3), entry(1).1)],
        vec![],
    ] {
        let all = bundle(
            &bench,
            &[(0, honest.clone()), (1, honest.clone()), (3, UpdateSet::from_iter(claimed))],
        );
        assert_eq!(all.set(rules), honest);
    }
    // Two updates of one member: only one of them can be listed by q - f of q reports.
    let twice = |digest: u8| {
        let third = (MemberIndex(3), CommitmentDigest([digest; 32]));
        UpdateSet::from_iter([entry(0), entry(1), third])
    };
    let reports: Vec<(u16, UpdateSet)> =
        [(0, 7), (1, 7), (2, 8), (3, 8)].map(|(member, digest)| (member, twice(digest))).to_vec();
    let set = bundle(&bench, &reports[..3]).set(rules);
    assert_eq!(set, twice(7));
}

/// What member 1 of the committee needs to propose this set to the others: three reports, and
/// attestations of f + 1.
fn proposal(bench: &Bench, reports: &[(u16, UpdateSet)], set: UpdateSet) -> Body {
    let attestation = Body::Attestation { set: set.digest(), aggregate: object(50) };
    let mut attestations: Vec<(MemberIndex, Signature)> = bench.machine.status().committee[..2]
        .iter()
        .map(|m| (*m, sign(&bench.manifest, Round(0), m.0, &attestation)))
        .collect();
    attestations.sort_by_key(|(member, _)| *member);
    let justification = Some(Justification { bundle: bundle(bench, reports), attestations });
    let value = Value::Aggregate { set, aggregate: object(50) };
    Body::Proposal(Box::new(Proposal { view: View(1), value, polka: None, justification }))
}

/// In the certify phase, in the view of the second proposer; the first is this member itself.
fn voting() -> (Bench, u16) {
    let mut bench = Bench::new();
    bench.begin();
    bench.tick(TimerId::Commit, LATER);
    bench.tick(TimerId::Transfer, 2 * LATER);
    let by = bench.machine.status().committee[1].0;
    (bench, by)
}

/// A proposal with the proposer's own update in the set, listed by nobody else, does not follow
/// from the reports it carries, whoever attests it.
#[test]
fn a_set_that_does_not_follow_from_the_reports_is_dropped() {
    for extra in [true, false] {
        let (mut bench, by) = voting();
        let entry = |member: u16| (MemberIndex(member), commitment_digest(&bench, member));
        let honest: UpdateSet = (0..3).map(entry).collect();
        let set: UpdateSet = (0..if extra { 4 } else { 3 }).map(entry).collect();
        let reports = [(0, honest.clone()), (1, honest), (3, set.clone())];
        let body = proposal(&bench, &reports, set);
        let effects = bench.receive(by, body);
        assert_eq!(drops(&bench, "proposal: not valid by what it carries"), u64::from(extra));
        assert!(sent(&effects).iter().all(|s| !matches!(s.1, Body::Vote(_))), "not this view yet");
    }
}

/// A set below `min_contributors` is refused with the name of its proposer, whose signature under
/// it is the evidence: no honest member asks for its sum, nor proposes it.
#[test]
fn a_set_below_the_minimum_names_its_proposer() {
    let (bench, by) = voting();
    let entry = |member: u16| (MemberIndex(member), commitment_digest(&bench, member));
    let small: UpdateSet = (0..2).map(entry).collect();
    let rules = bench.manifest.rules();
    assert_eq!(rules.check_set(MemberIndex(by), &(0..3).map(entry).collect::<UpdateSet>()), Ok(()));
    let error = rules.check_set(MemberIndex(by), &small).unwrap_err();
    assert_eq!(error, SetTooSmall { proposer: MemberIndex(by), found: 2, needed: 3 });
    let reason = format!("member {by} proposed a set of 2 updates, at least 3 are needed");
    assert_eq!(error.to_string(), reason);

    let reports = [0, 1, 3].map(|member| (member, small.clone()));
    let asked = Body::ReportBundle { view: View(1), bundle: bundle(&bench, &reports) };
    for sent in [asked, proposal(&bench, &reports, small)] {
        let (mut bench, by) = voting();
        let effects = bench.receive(by, sent.clone());
        let [(accused, evidence)] = banned(&effects).try_into().unwrap();
        assert_eq!((accused, &evidence.statements()[0].0), (by, &sent));
        assert!(is_proof(&bench, &evidence));
        let reasons = effects.iter().filter_map(|effect| match effect {
            Effect::Ban { reason, .. } => Some(reason.as_str()),
            _ => None,
        });
        assert_eq!(reasons.collect::<Vec<_>>(), [format!("round 0: {reason}")]);
        assert_eq!(drops(&bench, "set: too few updates"), 1);
        assert!(!bench.jobs.iter().any(|(_, job)| matches!(job, Job::Aggregate { .. })));
    }
}

/// A second, different report is evidence; the first counts.
#[test]
fn two_reports_are_evidence() {
    let mut bench = Bench::new();
    bench.begin();
    let set = UpdateSet::from_iter([(MemberIndex(1), commitment_digest(&bench, 1))]);
    bench.receive(1, Body::Report(set.clone()));
    assert_eq!(banned(&bench.receive(1, Body::Report(set))).len(), 0);
    let effects = bench.receive(1, Body::Report(UpdateSet::default()));
    let [(accused, evidence)] = banned(&effects).try_into().unwrap();
    assert_eq!(accused, 1);
    assert!(is_proof(&bench, &evidence) && evidence.rule() == Rule::Equivocation);
}

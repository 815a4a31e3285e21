//! Members that lie about what they hold and what they list, at one honest machine: member 0 of four, of which one may be faulty.

mod fixture;

use std::collections::BTreeMap;

use fedshield_protocol::event::TimerId;
use fedshield_protocol::ids::{Digest, MemberIndex, Round, View};
use fedshield_protocol::message::{Body, Collected, Grounds, Proposal, Set, Value, set_digest};
use fedshield_protocol::sign::Signature;
use fixture::bench::{Bench, commitment_digest};
use fixture::lies::*;
use fixture::{object, sign};

/// f members of the committee that claim to hold an update do not make it fit to be listed: one of the f + 1 has to be honest.
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
        assert_eq!(drops(&bench, "holds: not of the committee"), 1);
    }
    assert_eq!(bench.report(), [(MemberIndex(1), one)]);
}

/// A signed report of each of these members, as a proposer packs them.
fn collected(bench: &Bench, reports: &[(u16, Set)]) -> Collected {
    let signed: BTreeMap<MemberIndex, (Set, Signature)> = reports
        .iter()
        .map(|(member, set)| {
            let body = Body::Report(set.clone());
            (MemberIndex(*member), (set.clone(), sign(&bench.manifest, Round(0), *member, &body)))
        })
        .collect();
    Collected::pack(&signed, bench.manifest.rules().quorum).unwrap()
}

/// A report that names its author's own update, or one of nobody, or another's under a wrong name, puts none of them into the set: that
/// takes q - f reports, of which one is honest.
#[test]
fn what_only_liars_list_is_not_in_the_set() {
    let bench = Bench::new();
    let entry = |member: u16| (MemberIndex(member), commitment_digest(&bench, member));
    let honest = vec![entry(0), entry(1), entry(2)];
    let rules = bench.manifest.rules();
    for lie in [
        vec![entry(0), entry(1), entry(2), entry(3)],
        vec![entry(3)],
        vec![entry(0), entry(1), entry(2), (MemberIndex(3), Digest([9; 32]))],
        vec![entry(0), entry(1), entry(2), (MemberIndex(3), entry(1).1)],
        vec![],
    ] {
        let all = collected(&bench, &[(0, honest.clone()), (1, honest.clone()), (3, lie)]);
        assert_eq!(all.set(rules), honest);
    }
    // Two updates of one member: only one of them can be listed by q - f of q reports.
    let twice = |digest: u8| vec![entry(0), entry(1), (MemberIndex(3), Digest([digest; 32]))];
    let reports: Vec<(u16, Set)> =
        [(0, 7), (1, 7), (2, 8), (3, 8)].map(|(member, digest)| (member, twice(digest))).to_vec();
    let set = collected(&bench, &reports[..3]).set(rules);
    assert_eq!(set, twice(7));
}

/// A proposal with the proposer's own update in the set, listed by nobody else, does not follow from the reports it carries; nor does one
/// of fewer than `min_contributors` updates. Neither gets a vote, whoever attests it.
#[test]
fn a_set_that_does_not_follow_from_the_reports_gets_no_vote() {
    for (listed, extra, follows) in [(3, false, true), (3, true, false), (2, false, false)] {
        let mut bench = Bench::new();
        bench.begin();
        bench.tick(TimerId::Commit, LATER);
        bench.tick(TimerId::Transfer, 2 * LATER);
        let committee = bench.machine.status().committee;
        let entry = |member: u16| (MemberIndex(member), commitment_digest(&bench, member));
        let honest: Set = (0..listed).map(entry).collect();
        let mut set = honest.clone();
        if extra {
            set.push(entry(3));
        }
        let reports = collected(&bench, &[(0, honest.clone()), (1, honest), (3, set.clone())]);
        let attestation = Body::Attestation { set: set_digest(&set), aggregate: object(50) };
        let mut attestations: Vec<(MemberIndex, Signature)> = committee[..2]
            .iter()
            .map(|m| (*m, sign(&bench.manifest, Round(0), m.0, &attestation)))
            .collect();
        attestations.sort_by_key(|(member, _)| *member);
        let grounds = Some(Grounds { collected: reports, attestations });
        let value = Value::Aggregate { set, aggregate: object(50) };
        let proposal = Proposal { view: View(1), value, polka: None, grounds };
        // The first proposer of the round is this member itself, the second another one.
        let effects = bench.hear(committee[1].0, Body::Proposal(Box::new(proposal)));
        let dropped = drops(&bench, "proposal: not valid by what it carries");
        assert_eq!(dropped, u64::from(!follows));
        assert!(said(&effects).iter().all(|s| !matches!(s.1, Body::Vote(_))));
    }
}

/// A second, different report is evidence; the first counts.
#[test]
fn two_reports_are_evidence() {
    let mut bench = Bench::new();
    bench.begin();
    let set = vec![(MemberIndex(1), commitment_digest(&bench, 1))];
    bench.hear(1, Body::Report(set.clone()));
    assert_eq!(banned(&bench.hear(1, Body::Report(set))).len(), 0);
    let effects = bench.hear(1, Body::Report(vec![]));
    let [(liar, evidence)] = banned(&effects).try_into().unwrap();
    assert_eq!(liar, 1);
    assert!(is_signed(&bench, &evidence) && evidence.is_equivocation());
}

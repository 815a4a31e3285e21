//! The sets that proposers ask the committee to aggregate. Member 0 of four, in the committee.

mod fixture;

use std::collections::BTreeMap;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::TimerId;
use fedshield_protocol::ids::{CommitmentDigest, MemberIndex, Round, SetDigest, View};
use fedshield_protocol::sign::Signature;
use fedshield_protocol::wire::{Body, Decision, ReportBundle, UpdateSet, Vote, VoteKind};
use fixture::bench::Bench;
use fixture::misbehaviour::*;
use fixture::sign;

/// In the certify phase.
fn voting() -> Bench {
    let mut bench = Bench::new();
    bench.begin();
    bench.tick(TimerId::Commit, LATER);
    bench.tick(TimerId::Transfer, 2 * LATER);
    bench
}

/// The other members let views time out until another member proposes; returns the view and that
/// member.
fn view_of_another(bench: &mut Bench) -> (View, u16) {
    loop {
        let view = bench.machine.status().view;
        for member in [1, 2, 3] {
            for kind in [VoteKind::Prevote, VoteKind::Precommit] {
                let vote = Vote { decision: Decision::Set, kind, view, value: None };
                bench.receive(member, Body::Vote(vote));
            }
        }
        while bench.machine.status().view == view {
            let later = bench.now + 1_000_000;
            bench.tick(TimerId::View, later);
        }
        let status = bench.machine.status();
        let by = status.proposer.expect("it votes").0;
        if by != 0 {
            return (status.view, by);
        }
    }
}

/// A set of three updates that differs from other such sets in its last one.
fn set(kind: u8) -> UpdateSet {
    (1..4)
        .map(|m| (MemberIndex(m), CommitmentDigest([if m == 3 { kind } else { m as u8 }; 32])))
        .collect()
}

fn ask(bench: &mut Bench, view: View, by: u16, reports: [(u16, UpdateSet); 3]) -> Vec<Effect> {
    let signed: BTreeMap<MemberIndex, (UpdateSet, Signature)> = reports
        .into_iter()
        .map(|(member, set)| {
            let signature = sign(&bench.manifest, Round(0), member, &Body::Report(set.clone()));
            (MemberIndex(member), (set, signature))
        })
        .collect();
    let bundle = ReportBundle::pack(&signed, bench.manifest.rules().quorum).unwrap();
    bench.receive(by, Body::ReportBundle { view, bundle })
}

fn all_report(set: &UpdateSet) -> [(u16, UpdateSet); 3] {
    [0, 1, 3].map(|member| (member, set.clone()))
}

/// Whether this member begins to aggregate the set: it requests the commitments that it lacks.
fn adds(effects: &[Effect]) -> bool {
    sent(effects).iter().any(|(_, body)| matches!(body, Body::GetCommitments(_)))
}

/// A round once had room for sixteen sets in total, whoever asked for them.
#[test]
fn one_set_of_each_view_is_always_accepted() {
    let mut bench = voting();
    for kind in 10..50 {
        let (view, by) = view_of_another(&mut bench);
        assert!(adds(&ask(&mut bench, view, by, all_report(&set(kind)))), "view {view}");
        // A second set in the same view is refused.
        assert!(!adds(&ask(&mut bench, view, by, all_report(&set(kind + 100)))));
    }
    assert_eq!(drops(&bench, "report bundle: a second set in one view"), 40);
}

#[test]
fn different_reports_of_one_member_inside_collections_are_evidence() {
    let mut bench = voting();
    let (view, by) = view_of_another(&mut bench);
    let first = ask(&mut bench, view, by, all_report(&set(10)));
    assert_eq!(banned(&first).len(), 0);
    let (view, by) = view_of_another(&mut bench);
    let other = [(0, set(10)), (1, set(10)), (3, set(11))];
    let [(accused, evidence)] = banned(&ask(&mut bench, view, by, other)).try_into().unwrap();
    assert_eq!(accused, 3);
    assert!(is_proof(&bench, &evidence));
    // A set is accepted from its proposer only.
    let effects = bench.receive(1, Body::Report(set(12)));
    let [(accused, evidence)] = banned(&effects).try_into().unwrap();
    assert_eq!(accused, 1);
    assert!(is_proof(&bench, &evidence));
}

/// One member attests sets that nobody has requested; the other members' attestations are kept all
/// the same.
#[test]
fn attestations_of_one_member_do_not_displace_those_of_another() {
    let mut bench = voting();
    let others = bench.others_of_the_committee();
    let attest =
        |set: u8| Body::Attestation { set: SetDigest([set; 32]), aggregate: fixture::object(90) };
    for set in 0..40 {
        bench.receive(others[0], attest(set));
    }
    assert_eq!(drops(&bench, "attestation: too many sets"), 24);
    for set in 100..110 {
        bench.receive(others[1], attest(set));
    }
    assert_eq!(drops(&bench, "attestation: too many sets"), 24);
}

//! The checkers are checked: each planted bug must be found, and by which of them.

use fedshield_netsim::l0::{
    Bug, Crash, Failure, Fault, Federation, Loss, Options, Partition, Plan, run_seed,
};
use fedshield_protocol::ids::MemberIndex;

/// The first failure among some seeds.
fn find(members: u16, bug: Bug, plan: Option<&Plan>, seeds: u64) -> Option<Failure> {
    let federation = Federation::new(members).with_bug(bug);
    (0..seeds).find_map(|seed| {
        let options = Options { bug: Some(bug), plan: plan.cloned(), ..Options::default() };
        run_seed(&federation, seed, &options).err()
    })
}

/// Two partitions, and equivocating members that talk to both.
fn split_by_twins(members: u16, twins: &[u16], side: &[u16]) -> Plan {
    let mut plan = Plan::fault_free(members);
    plan.faulty = twins.iter().map(|m| (MemberIndex(*m), Fault::Twins)).collect();
    plan.split = (0..members).map(|m| side.contains(&m)).collect();
    plan.heal_ms = 60_000;
    let partition = Partition { from_ms: 0, until_ms: 60_000, side: plan.split.clone() };
    plan.partitions = vec![partition];
    plan
}

#[test]
fn a_majority_quorum_forks() {
    let plan = split_by_twins(7, &[0, 1], &[5, 6]);
    let failure = find(7, Bug::MajorityQuorum, Some(&plan), 10).expect("not found");
    assert!(["agreement", "certificate"].contains(&failure.checker), "{failure}");
    // With the correct quorum the same plan causes no violation.
    let options = Options { plan: Some(plan), ..Options::default() };
    run_seed(&Federation::new(7), 0, &options).unwrap();
}

#[test]
fn forgotten_votes_are_noticed() {
    let failure = find(4, Bug::VotesNotPersisted, None, 400).expect("not found");
    assert!(["agreement", "blame", "release_once"].contains(&failure.checker), "{failure}");
}

#[test]
fn a_low_threshold_opens_too_early() {
    let failure = find(7, Bug::LowThreshold, Some(&Plan::fault_free(7)), 20).expect("not found");
    assert_eq!(failure.checker, "certificate", "{failure}");
}

#[test]
fn two_contributors_are_too_few() {
    // One member is silent, one crashes before it has committed: two are left. Whether those two
    // are of the committee of the first round depends on who they are.
    let pairs = (0..4_u16).flat_map(|silent| (0..4).map(move |crashed| (silent, crashed)));
    let failure = pairs
        .filter(|(silent, crashed)| silent != crashed)
        .find_map(|(silent, crashed)| {
            let mut plan = Plan::fault_free(4);
            plan.faulty = vec![(MemberIndex(silent), Fault::Silent)];
            let node = usize::from(crashed);
            plan.crashes = vec![Crash { node, at_ms: 600, down_ms: 9_000, loss: Loss::Nothing }];
            plan.heal_ms = 10_000;
            find(4, Bug::TooFewContributors, Some(&plan), 3)
        })
        .expect("not found");
    assert_eq!(failure.checker, "min_contributors", "{failure}");
}

#[test]
fn a_training_that_few_end_is_noticed() {
    let mut plan = Plan::fault_free(4);
    // It misbehaves in nothing but what it says of itself.
    plan.faulty = vec![(MemberIndex(1), Fault::ReplaysHeartbeats)];
    let failure = find(4, Bug::StopsByFew, Some(&plan), 5).expect("not found");
    assert_eq!(failure.checker, "stop", "{failure}");
    let options = Options { plan: Some(plan), ..Options::default() };
    run_seed(&Federation::new(4), failure.seed, &options).unwrap();
}

#[test]
fn a_spent_update_must_not_come_again() {
    let failure = find(4, Bug::SpentResent, Some(&Plan::fault_free(4)), 5).expect("not found");
    assert_eq!(failure.checker, "spent", "{failure}");
}

#[test]
fn validity_by_holding_stalls() {
    // Only the committee holds ciphertexts, and with the bug only it votes for a sum. A byzantine
    // member in it shows a quorum to some and not to others: those lock on a sum that cannot be
    // decided, and the skip that the others want cannot be either.
    let plans = (0..7_u16).map(|byzantine| {
        let mut plan = Plan::fault_free(7);
        plan.faulty = vec![(MemberIndex(byzantine), Fault::Equivocating)];
        plan
    });
    let failure = plans
        .clone()
        .find_map(|plan| find(7, Bug::ValidByHolding, Some(&plan), 3))
        .expect("not found");
    assert_eq!(failure.checker, "liveness", "{failure}");
    // Without the bug the same plans cause no violation.
    for plan in plans {
        let options = Options { plan: Some(plan), ..Options::default() };
        run_seed(&Federation::new(7), 0, &options).unwrap();
    }
}

#[test]
fn a_member_that_lost_its_disk_and_does_not_ask_contradicts_itself() {
    let failure = find(4, Bug::TrustsItsDisk, None, 400).expect("not found");
    assert_eq!(failure.checker, "blame", "{failure}");
    // The same run has no violation when the member asks.
    run_seed(&Federation::new(4), failure.seed, &Options::default()).unwrap();
}

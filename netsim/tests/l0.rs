//! A bounded sample of seeds; the command runs thousands.

use fedshield_netsim::l0::{Fault, Federation, Options, Plan, run_seed};
use fedshield_protocol::ids::MemberIndex;

#[test]
fn a_hundred_seeds_keep_every_invariant() {
    let federations: Vec<Federation> = (4..=10).map(Federation::new).collect();
    for seed in 10_000..10_100 {
        let federation = &federations[(seed % 7) as usize];
        if let Err(failure) = run_seed(federation, seed, &Options::default()) {
            panic!("{failure}");
        }
    }
}

#[test]
fn quiet_rounds_are_all_opened() {
    for members in [3, 4, 7] {
        let federation = Federation::new(members);
        let options = Options { plan: Some(Plan::fault_free(members)), ..Options::default() };
        let outcome = run_seed(&federation, 5, &options).unwrap();
        let [applied, rejected, voided, skipped] = outcome.rounds;
        assert_eq!((applied + rejected, voided, skipped), (3, 0, 0), "{members} members");
    }
}

/// As many members as may be faulty make every sum that they are in fail. Nobody can be named for
/// it, so no round is applied; no rule excludes anyone, and all report which rounds failed and who
/// contributed to all of them.
#[test]
fn members_that_make_every_sum_fail_have_nobody_excluded_and_the_status_names_the_contributors() {
    for (members, saboteurs) in [(4, vec![1]), (7, vec![1, 4]), (10, vec![1, 4, 8])] {
        let federation = Federation::new(members);
        let faulty = saboteurs.iter().map(|m| (MemberIndex(*m), Fault::UnopenableUpdate)).collect();
        let plan = Plan { faulty, ..Plan::fault_free(members) };
        let options = Options { plan: Some(plan), rounds: 40, ..Options::default() };
        let outcome = run_seed(&federation, 5, &options).unwrap();
        assert_eq!(outcome.rounds, [0, 0, 40, 0], "{members} members");
        let everyone: Vec<MemberIndex> = (0..members).map(MemberIndex).collect();
        assert!(outcome.sets.iter().all(|set| *set == everyone), "{:?}", outcome.sets);
        assert_eq!(outcome.failed_rounds.len(), usize::from(members) - saboteurs.len());
        for failed in outcome.failed_rounds {
            assert_eq!((failed.voided, failed.rejected, &failed.in_all), (40, 0, &everyone));
            assert!(failed.last.iter().all(|it| it.set == everyone) && failed.last.len() == 16);
        }
    }
}

/// One in sixteen sums is out of range and rejected: the round after it has all updates too.
#[test]
fn nobody_is_left_out_after_a_rejected_sum() {
    for members in [4, 7, 10] {
        let federation = Federation::new(members);
        let plan = Some(Plan::fault_free(members));
        let options = Options { plan, rounds: 60, ..Options::default() };
        let outcome = run_seed(&federation, 5, &options).unwrap();
        let [applied, rejected, voided, skipped] = outcome.rounds;
        assert!(rejected > 0, "{:?}", outcome.rounds);
        assert_eq!((applied + rejected, voided, skipped), (60, 0, 0));
        let everyone: Vec<MemberIndex> = (0..members).map(MemberIndex).collect();
        assert!(outcome.sets.iter().all(|set| *set == everyone), "{:?}", outcome.sets);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let federation = Federation::new(5);
    let run = |seed| run_seed(&federation, seed, &Options::default()).unwrap();
    assert_eq!(run(12), run(12));
    assert_ne!(run(12).trace, run(13).trace);
}

/// Each Byzantine member is banned by every honest one, also by those that received nothing of its
/// misbehaviour; nobody else is.
#[test]
fn evidence_reaches_every_member_and_no_member_is_banned_without() {
    for (members, fault, is_proven) in [
        (4, Fault::WrongPartial, true),
        (7, Fault::WrongPartial, true),
        (4, Fault::FalseAccusations, false),
        (7, Fault::FalseAccusations, false),
    ] {
        let federation = Federation::new(members);
        let mut plan = Plan { faulty: vec![(MemberIndex(1), fault)], ..Plan::fault_free(members) };
        plan.split = (0..members).map(|m| m % 2 == 1).collect();
        let options = Options { plan: Some(plan), rounds: 6, ..Options::default() };
        let mut banning = Vec::new();
        for seed in 0..3 {
            let outcome = run_seed(&federation, seed, &options).unwrap();
            assert!(outcome.rounds[0] >= 3, "{members} {fault:?}: {:?}", outcome.rounds);
            banning.push(outcome.banning);
        }
        let expected = if is_proven { usize::from(members) - 1 } else { 0 };
        assert_eq!(banning, [expected; 3], "{members} members, {fault:?}");
    }
}

/// Disks that are full for a while, for instance. A member that gave up opening or applying a sum
/// would be stuck in that round, and with it everyone who needs its signature.
#[test]
fn jobs_that_keep_failing_do_not_stop_the_federation() {
    for members in [4, 7] {
        let federation = Federation::new(members);
        for seed in 0..20 {
            let mut plan = Plan::fault_free(members);
            (plan.job_failures, plan.heal_ms) = (250, 120_000);
            plan.faulty = vec![(MemberIndex(1), Fault::Silent)];
            let options = Options { plan: Some(plan), rounds: 6, ..Options::default() };
            let outcome = run_seed(&federation, seed, &options).unwrap();
            let [applied, rejected, ..] = outcome.rounds;
            assert!(applied + rejected >= 1, "{members} members: {:?}", outcome.rounds);
        }
    }
}

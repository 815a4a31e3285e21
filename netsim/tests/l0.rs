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
        let options = Options { plan: Some(Plan::calm(members)), ..Options::default() };
        let outcome = run_seed(&federation, 5, &options).unwrap();
        let [applied, rejected, voided, skipped] = outcome.rounds;
        assert_eq!((applied + rejected, voided, skipped), (3, 0, 0), "{members} members");
    }
}

/// Without rest after a void round, no round would ever be applied.
#[test]
fn a_member_that_spoils_every_sum_it_is_in_does_not_stop_the_federation() {
    for members in [4, 7, 10] {
        let federation = Federation::new(members);
        let plan =
            Plan { faulty: vec![(MemberIndex(1), Fault::SpoilsSums)], ..Plan::calm(members) };
        let options = Options { plan: Some(plan), rounds: 40, ..Options::default() };
        let outcome = run_seed(&federation, 5, &options).unwrap();
        let [applied, rejected, voided, skipped] = outcome.rounds;
        assert!(applied >= 3 && voided >= 3, "{members}: {:?}", outcome.rounds);
        assert_eq!((applied + rejected + voided, skipped), (40, 0), "{members} members");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let federation = Federation::new(5);
    let run = |seed| run_seed(&federation, seed, &Options::default()).unwrap();
    assert_eq!(run(12), run(12));
    assert_ne!(run(12).trace, run(13).trace);
}

/// Each member that lies is banned by every honest one, also by those that saw nothing of the lie; nobody else is.
#[test]
fn proof_reaches_everybody_and_nobody_is_banned_without() {
    for (members, fault, is_proven) in [
        (4, Fault::WrongPartial, true),
        (7, Fault::WrongPartial, true),
        (4, Fault::FalseAccuser, false),
        (7, Fault::FalseAccuser, false),
    ] {
        let federation = Federation::new(members);
        let mut plan = Plan { faulty: vec![(MemberIndex(1), fault)], ..Plan::calm(members) };
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

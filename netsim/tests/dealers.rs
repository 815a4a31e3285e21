//! Contributors that deal invalid shares and answer no complaint, contributors that are only
//! unreachable, and members that complain without cause.

use fedshield_netsim::l0::{Cut, Fault, Federation, Options, Outcome, Plan, run_seed};
use fedshield_protocol::ids::MemberIndex;

const ROUNDS: u64 = 12;
const N: u16 = 4;

fn run(members: u16, plan: Plan) -> Outcome {
    let options = Options { plan: Some(plan), rounds: ROUNDS, ..Options::default() };
    run_seed(&Federation::new(members), 5, &options).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The contributor deals invalid shares to f honest members: even with its own answer there is one
/// too few to open the sum. It is excluded after the first such round, and each time for twice as
/// long; the other faulty members may be silent as well.
#[test]
fn a_dealer_that_answers_nobody_does_not_stop_the_others() {
    for members in [4, 7, 10] {
        for dealer in [0, members / 2, members - 1] {
            for silent in [0, (members - 1) / 3 - 1] {
                let mut faulty = vec![(MemberIndex(dealer), Fault::BadSharesUnanswered)];
                // All but those that it deals invalid shares to.
                let others = (0..silent).map(|i| (dealer + members - 1 - i) % members);
                faulty.extend(others.map(|other| (MemberIndex(other), Fault::Silent)));
                let outcome = run(members, Plan { faulty, ..Plan::fault_free(members) });
                let [applied, rejected, voided, skipped] = outcome.rounds;
                let context = format!("{members}, {dealer}, {silent}: {:?}", outcome.rounds);
                assert!(applied + rejected >= ROUNDS / 2, "{context}");
                assert!(voided <= 4 && skipped <= voided, "{context}");
                assert_eq!(outcome.excluded, [], "{context}");
            }
        }
    }
}

/// f members complain about every share that they get: no contributor is excluded for it, and the
/// checker of openings (`l0/checkers/openings.rs`) counts the shares that honest dealers open.
#[test]
fn complaints_of_f_byzantine_members_exclude_nobody() {
    for members in [4, 7, 10] {
        for first in [0, members / 2, members - 1] {
            let byzantine = (0..(members - 1) / 3).map(|i| MemberIndex((first + i) % members));
            let faulty = byzantine.map(|byzantine| (byzantine, Fault::FalseComplaints)).collect();
            let outcome = run(members, Plan { faulty, ..Plan::fault_free(members) });
            assert_eq!(outcome.rounds[2..], [0, 0], "{members}, {first}: {:?}", outcome.rounds);
            assert_eq!(outcome.excluded, [], "{members}, {first}");
        }
    }
}

/// An honest dealer is partitioned from one or two members while it deals to them. Members that
/// reach both forward complaints and sealed shares; no contributor is left out.
#[test]
fn an_honest_dealer_that_is_cut_off_is_listed() {
    for cut in 1..N {
        for until_ms in [4_000, 10_000, 30_000] {
            let between = |other| (MemberIndex(0), MemberIndex(other));
            let cuts = (1..=cut)
                .map(|other| Cut { between: between(other), from_ms: 0, until_ms })
                .collect();
            let plan = Plan { cuts, heal_ms: until_ms, ..Plan::fault_free(N) };
            let outcome = run(N, plan);
            assert_eq!(outcome.excluded, [], "{cut}, {until_ms}: {:?}", outcome.rounds);
        }
    }
}

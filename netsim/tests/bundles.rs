//! Proposers that ask for more sets than there is room for: the sets of the others are added all the same.

use fedshield_netsim::l0::{
    Fault, Federation, Loss, Moment, Options, Outcome, Plan, Strike, run_seed,
};
use fedshield_protocol::ids::{MemberIndex, Round};

const ROUNDS: u64 = 20;

fn plan(members: u16) -> Plan {
    let fillers = (0..(members - 1) / 3).map(|i| (MemberIndex(2 * i + 1), Fault::FillsSets));
    Plan { faulty: fillers.collect(), ..Plan::calm(members) }
}

fn run(members: u16, seed: u64, plan: Plan) -> Outcome {
    let options = Options { plan: Some(plan), rounds: ROUNDS, ..Options::default() };
    run_seed(&Federation::new(members), seed, &options)
        .unwrap_or_else(|failure| panic!("{failure}"))
}

/// As many as may be faulty do it together. Their different reports name them.
#[test]
fn members_that_ask_for_many_sets_keep_no_other_set_out() {
    for members in [4, 7, 10] {
        for seed in 0..2 {
            let outcome = run(members, seed, plan(members));
            let [applied, rejected, voided, skipped] = outcome.rounds;
            let said = format!("{members}, {seed}: {:?}", outcome.rounds);
            // That f proposers propose nothing takes time until they are banned: one round may run out of it.
            assert!(applied + rejected + 1 >= ROUNDS && voided == 0 && skipped <= 1, "{said}");
        }
    }
}

/// The same, and one of them only silent instead; and the same while honest members die where sets are asked for.
#[test]
fn nor_do_they_beside_a_silent_member_or_crashes() {
    let mut silent = plan(10);
    silent.faulty[0].1 = Fault::Silent;
    let mut crashes = plan(10);
    crashes.heal_ms = 60_000;
    crashes.strikes = (0..3)
        .map(|round| Strike {
            round: Round(round),
            moment: Moment::Reported,
            members: 5,
            after: 3,
            nodes: vec![(0, Loss::Nothing), (2, Loss::Nothing)],
            down_ms: 500,
        })
        .collect();
    for plan in [silent, crashes] {
        let outcome = run(10, 1, plan);
        assert!(outcome.rounds[3] <= 1, "{:?}", outcome.rounds);
    }
}

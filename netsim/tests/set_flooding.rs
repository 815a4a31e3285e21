//! Proposers that ask for more sets than are kept: the sets of the others are aggregated all the
//! same.

use fedshield_netsim::l0::{
    Fault, Federation, Loss, Milestone, Options, Outcome, Plan, TriggeredCrash, run_seed,
};
use fedshield_protocol::ids::{MemberIndex, Round};

const ROUNDS: u64 = 20;

/// As many as may be faulty, every second member from `first` on.
fn plan(members: u16, first: u16) -> Plan {
    let byzantine = (0..(members - 1) / 3).map(|i| MemberIndex((first + 2 * i) % members));
    let faulty = byzantine.map(|member| (member, Fault::FloodsSets)).collect();
    Plan { faulty, ..Plan::fault_free(members) }
}

fn run(members: u16, seed: u64, plan: Plan) -> Outcome {
    let options = Options { plan: Some(plan), rounds: ROUNDS, ..Options::default() };
    run_seed(&Federation::new(members), seed, &options)
        .unwrap_or_else(|failure| panic!("{failure}"))
}

/// They send different commitments to different members, which is evidence against them.
#[test]
fn members_that_ask_for_many_sets_are_banned() {
    for members in [4, 7] {
        for seed in 0..2 {
            let outcome = run(members, seed, plan(members, 1));
            let [applied, rejected, voided, skipped] = outcome.rounds;
            let described = format!("{members}, {seed}: {:?}", outcome.rounds);
            assert!(
                applied + rejected + 2 >= ROUNDS && (voided, skipped <= 2) == (0, true),
                "{described}"
            );
            assert_eq!(outcome.banning, usize::from(members - (members - 1) / 3), "{described}");
        }
    }
}

/// Among ten, three make more than sixteen sets. Rounds are skipped in which they have the first
/// views, in which they propose nothing: of 360, 6 with this manifest and 31 with the former one.
/// When a round had room for sixteen sets, whoever asked for them, that one had 49.
#[test]
fn members_that_ask_for_many_sets_keep_no_other_set_out() {
    let runs = (0..6).flat_map(|seed| (1..4).map(move |first| (seed, first)));
    let rounds = runs.map(|(seed, first)| run(10, seed, plan(10, first)).rounds);
    let sums = rounds
        .fold([0; 4], |sums, rounds| [0, 1, 2, 3].map(|outcome| sums[outcome] + rounds[outcome]));
    let [_, _, voided, skipped] = sums;
    assert!(voided == 0 && skipped <= 40, "{sums:?}");
}

/// The same with one of them silent instead, and while honest members crash when sets are
/// requested.
#[test]
fn nor_do_they_beside_a_silent_member_or_crashes() {
    let mut silent = plan(10, 1);
    silent.faulty[0].1 = Fault::Silent;
    let mut crashes = plan(10, 1);
    crashes.heal_ms = 60_000;
    crashes.triggered_crashes = (0..3)
        .map(|round| TriggeredCrash {
            round: Round(round),
            milestone: Milestone::Reported,
            members: 5,
            after: 3,
            nodes: vec![(0, Loss::Nothing), (2, Loss::Nothing)],
            down_ms: 500,
        })
        .collect();
    for plan in [silent, crashes] {
        let outcome = run(10, 1, plan);
        // Who proposes first follows from the manifest; two are skipped where it is a faulty one.
        assert!(outcome.rounds[3] <= 3, "{:?}", outcome.rounds);
    }
}

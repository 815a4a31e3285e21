//! An absent member costs the others a few heartbeats, not the timers of each round.

use fedshield_netsim::l0::{
    Absence, AbsenceKind, Crash, Fault, Federation, Loss, Options, Outcome, Plan, run_seed,
};
use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::manifest::Deadlines;

/// The deadlines of a federation with the default round timer of an hour.
const DEFAULTS: Deadlines = Deadlines {
    commit_ms: 1_800_000,
    transfer_ms: 900_000,
    view_ms: 60_000,
    decrypt_ms: 900_000,
    round_ms: 3_600_000,
};
/// Their heartbeat.
const BEAT_MS: u64 = 5_000;
const ROUNDS: u64 = 40;

fn run(members: u16, seed: u64, plan: Plan) -> Outcome {
    let federation = Federation::new(members).with_deadlines(DEFAULTS);
    let options = Options { plan: Some(plan), rounds: ROUNDS, ..Options::default() };
    run_seed(&federation, seed, &options).unwrap_or_else(|failure| panic!("{failure}"))
}

/// How long each round took, from the end of the one before.
fn lengths(outcome: &Outcome) -> Vec<u64> {
    let ends = &outcome.round_ends_ms[..ROUNDS as usize];
    let begins = std::iter::once(&0).chain(ends);
    ends.iter().zip(begins).map(|(end, begin)| end - begin).collect()
}

fn longest(outcome: &Outcome) -> u64 {
    lengths(outcome).into_iter().max().unwrap()
}

/// The longest of forty rounds with all members present.
fn full(members: u16) -> u64 {
    longest(&run(members, 5, Plan::fault_free(members)))
}

#[test]
fn forty_rounds_with_one_member_absent_take_as_long_as_with_all() {
    for members in [4, 5, 7, 10] {
        let full = full(members);
        for absent in [0, members - 1] {
            let faulty = vec![(MemberIndex(absent), Fault::Silent)];
            let outcome = run(members, 5, Plan { faulty, ..Plan::fault_free(members) });
            let lengths = lengths(&outcome);
            // It is found absent in the first round; later rounds know it from the start.
            assert!(lengths[0] <= full + 4 * BEAT_MS, "{members} members: {lengths:?}");
            for (round, length) in lengths.iter().enumerate().skip(1) {
                assert!(*length <= full + BEAT_MS, "{members} members, round {round}: {lengths:?}");
            }
            let [applied, rejected, voided, skipped] = outcome.rounds;
            assert_eq!((applied + rejected, voided, skipped), (ROUNDS, 0, 0), "{members} members");
        }
    }
}

#[test]
fn members_that_stop_pause_and_crash_in_turn_cost_a_few_heartbeats_each() {
    for members in [4, 7] {
        let full = full(members);
        for seed in 0..6 {
            let mut plan = Plan::fault_free(members);
            // The members are absent one after another, each for some rounds and in another way.
            for turn in 0..24 {
                let from_ms = 4_000 + turn * 31_000;
                let until_ms = from_ms + 9_000 + (turn % 5) * 4_000;
                let node = (turn as usize * 3 + seed as usize) % usize::from(members);
                match turn % 3 {
                    0 => plan.absences.push(Absence {
                        node,
                        kind: AbsenceKind::Stop,
                        from_ms,
                        until_ms,
                    }),
                    1 => plan.absences.push(Absence {
                        node,
                        kind: AbsenceKind::Pause,
                        from_ms,
                        until_ms,
                    }),
                    _ => plan.crashes.push(Crash {
                        node,
                        at_ms: from_ms,
                        down_ms: until_ms - from_ms,
                        loss: Loss::Nothing,
                    }),
                }
            }
            plan.heal_ms = 24 * 31_000;
            let outcome = run(members, seed, plan);
            // A proposer that returns when some members no longer wait for it also costs the
            // timeouts of a divided view.
            let divided_ms = 2 * DEFAULTS.view_ms / 4;
            assert!(
                longest(&outcome) <= full + 6 * BEAT_MS + divided_ms,
                "seed {seed}: {:?}",
                lengths(&outcome)
            );
        }
    }
}

/// Two of seven are absent for ever, as many as may be faulty.
#[test]
fn as_many_as_may_fail_are_not_waited_for_either() {
    let full = full(7);
    let faulty = vec![(MemberIndex(2), Fault::Silent), (MemberIndex(5), Fault::Silent)];
    let outcome = run(7, 3, Plan { faulty, ..Plan::fault_free(7) });
    let lengths = lengths(&outcome);
    assert!(lengths.iter().all(|length| *length <= full + 4 * BEAT_MS), "{lengths:?}");
}

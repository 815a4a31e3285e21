//! Every fault that the protocol tolerates, at each point of one round.

use fedshield_netsim::l0::{
    Bug, Failure, Federation, Loss, Milestone, Options, Outcome, Plan, TriggeredCrash, run_seed,
};
use fedshield_protocol::ids::Round;

const N: usize = 4;
const EVERYONE: [usize; N] = [0, 1, 2, 3];

fn crash(round: u64, milestone: Milestone, after: u64) -> TriggeredCrash {
    let nodes = EVERYONE.map(|node| (node, Loss::Nothing)).to_vec();
    TriggeredCrash { round: Round(round), milestone, members: 1, after, nodes, down_ms: 1_000 }
}

fn run(
    federation: &Federation,
    crashes: Vec<TriggeredCrash>,
    bug: Option<Bug>,
) -> Result<(), Failure> {
    outcome(federation, crashes, bug).map(|_| ())
}

fn outcome(
    federation: &Federation,
    crashes: Vec<TriggeredCrash>,
    bug: Option<Bug>,
) -> Result<Outcome, Failure> {
    let plan = Plan { triggered_crashes: crashes, heal_ms: 60_000, ..Plan::fault_free(N as u16) };
    let options = Options { plan: Some(plan), bug, ..Options::default() };
    run_seed(federation, 7, &options)
}

fn check(federation: &Federation, crashes: Vec<TriggeredCrash>) {
    let described = format!("{crashes:?}");
    if let Err(failure) = run(federation, crashes, None) {
        panic!("{failure}\n{described}");
    }
}

/// All members crash at once, and one of them loses its disk.
fn one_disk_lost(
    round: u64,
    milestone: Milestone,
    after: u64,
    members: usize,
    loser: usize,
) -> TriggeredCrash {
    let mut crash = crash(round, milestone, after);
    crash.members = members;
    crash.nodes[loser].1 = Loss::Disk;
    crash
}

#[test]
fn one_disk_is_lost_and_all_start_anew() {
    let federation = Federation::new(N as u16);
    for milestone in Milestone::ALL {
        for (members, after) in [(1, 0), (1, 7), (3, 2), (4, 0)] {
            for loser in EVERYONE {
                check(&federation, vec![one_disk_lost(1, milestone, after, members, loser)]);
            }
        }
    }
}

#[test]
fn one_disk_is_lost_and_later_in_the_round_all_others_start_anew() {
    let federation = Federation::new(N as u16);
    for (first, milestone) in Milestone::ALL.into_iter().enumerate().skip(2) {
        for later in Milestone::ALL.into_iter().skip(first).step_by(2) {
            for loser in EVERYONE {
                let lost = TriggeredCrash {
                    nodes: vec![(loser, Loss::Disk)],
                    down_ms: 5_000,
                    ..crash(0, milestone, 1)
                };
                let mut others = TriggeredCrash { members: 2, ..crash(0, later, 3) };
                others.nodes.retain(|(node, _)| *node != loser);
                check(&federation, vec![lost, others]);
            }
        }
    }
}

/// The end of a round, effect by effect; in round 0 there is no adapter to adopt.
#[test]
fn everyone_is_killed_between_any_two_effects_of_the_end_of_a_round() {
    let federation = Federation::new(N as u16);
    for round in [0, 1] {
        for after in 0..200 {
            check(&federation, vec![crash(round, Milestone::EndDecided, after)]);
        }
    }
}

/// The ledger is lost or cut where the journal is not: at two of four, and at all but one.
#[test]
fn ledgers_are_lost_and_the_journals_are_not() {
    let federation = Federation::new(N as u16);
    for milestone in Milestone::ALL {
        for kept in [0, 400, 999] {
            for losers in [&[0, 2][..], &[0, 1, 2]] {
                let mut crash = TriggeredCrash { members: 4, ..crash(2, milestone, 0) };
                for loser in losers {
                    crash.nodes[*loser].1 = Loss::Ledger { kept };
                }
                check(&federation, vec![crash]);
            }
        }
    }
}

#[test]
fn a_record_is_damaged_and_fetched_again() {
    let federation = Federation::new(N as u16);
    for at in [0, 500, 999] {
        let mut crash = TriggeredCrash { members: 4, ..crash(2, Milestone::SetDecided, 0) };
        for (_, loss) in &mut crash.nodes[..3] {
            *loss = Loss::Record { at };
        }
        check(&federation, vec![crash]);
    }
}

/// The scenarios above reach the states that they are meant for.
#[test]
fn without_persisted_state_rounds_fail_or_do_not_end() {
    let federation = Federation::new(N as u16);
    // Nobody can decrypt its part of a sum without a commitment in it: the round is void.
    let lost = |loser| vec![one_disk_lost(1, Milestone::SetDecided, 0, 4, loser)];
    let voided = |bug, loser| match outcome(&federation, lost(loser), bug) {
        Ok(outcome) => outcome.rounds[2] > 0,
        Err(failure) => panic!("{failure}"),
    };
    assert!(EVERYONE.into_iter().any(|loser| voided(Some(Bug::CommitmentsNotKept), loser)));
    assert!(!EVERYONE.into_iter().any(|loser| voided(None, loser)));
    let fails = |bug, crashes: Vec<TriggeredCrash>| {
        let failure = run(&federation, crashes, Some(bug)).err();
        failure.is_some_and(|failure| failure.checker == "liveness")
    };
    // Two members did not apply the round again: one is the member that lost its disk.
    let killed = |loser| vec![one_disk_lost(0, Milestone::Applied, 0, 1, loser)];
    assert!(EVERYONE.into_iter().any(|loser| fails(Bug::OneAdapter, killed(loser))));
}

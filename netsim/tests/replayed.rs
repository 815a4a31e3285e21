//! Old heartbeats are said again by somebody else: the newest one of each member counts, by whichever path.

use fedshield_netsim::l0::{Crash, Fault, Federation, Loss, Options, Outcome, Plan, run_seed};
use fedshield_protocol::ids::MemberIndex;

const ROUNDS: u64 = 20;

fn run(members: u16, seed: u64, change: impl Fn(&mut Plan)) -> Outcome {
    let federation = Federation::new(members);
    let mut plan = Plan::calm(members);
    change(&mut plan);
    let options = Options { plan: Some(plan), rounds: ROUNDS, ..Options::default() };
    run_seed(&federation, seed, &options).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn one_member_that_repeats_old_heartbeats_costs_no_round() {
    for members in [4, 7, 10] {
        for seed in 0..3 {
            let quiet = run(members, seed, |_| {});
            let outcome = run(members, seed, |plan| {
                plan.faulty = vec![(MemberIndex(1), Fault::Replays)];
            });
            eprintln!(
                "{members} {seed} {:?} {:?} {} {}",
                quiet.rounds, outcome.rounds, quiet.virtual_ms, outcome.virtual_ms
            );
        }
    }
}

//! Old heartbeats are replayed by another member: only the newest one of each member counts,
//! whichever way it arrives.

use fedshield_netsim::l0::{Fault, Federation, Options, Outcome, Plan, run_seed};
use fedshield_protocol::ids::MemberIndex;

const ROUNDS: u64 = 20;

fn run(members: u16, seed: u64, faulty: &[(MemberIndex, Fault)]) -> Outcome {
    let plan = Plan { faulty: faulty.to_vec(), delay_ms: 200, ..Plan::fault_free(members) };
    let options = Options { plan: Some(plan), rounds: ROUNDS, ..Options::default() };
    run_seed(&Federation::new(members), seed, &options)
        .unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn one_member_that_replays_heartbeats_costs_no_round() {
    for members in [4, 7, 10] {
        for seed in 0..2 {
            let quiet = run(members, seed, &[]);
            let outcome = run(members, seed, &[(MemberIndex(1), Fault::ReplaysHeartbeats)]);
            // Without an order among heartbeats: rounds skipped, and up to 1.6 times as long among
            // ten members.
            let (took, quiet_ms) = (outcome.virtual_ms, quiet.virtual_ms);
            assert_eq!(outcome.rounds[2..], quiet.rounds[2..], "{members} members, seed {seed}");
            assert!(took <= quiet_ms * 5 / 4, "{members} members, seed {seed}: {took} {quiet_ms}");
        }
    }
}

//! A bounded sample of storms; the command runs more (`l0 --crash-storm 400 --rounds 40`).

use fedshield_netsim::l0::{Federation, Options, Plan, run_seed};

/// About a hundred starts of each member, with disks, ledgers and records lost.
#[test]
fn forty_rounds_end_in_a_storm() {
    let federation = Federation::new(4);
    for seed in 500..503 {
        let plan = Some(Plan::crash_storm(seed, 4, 1, 400_000));
        let options = Options { plan, rounds: 40, ..Options::default() };
        if let Err(failure) = run_seed(&federation, seed, &options) {
            panic!("{failure}");
        }
    }
}

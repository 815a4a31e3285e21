//! Hundreds of crashes over many rounds: of one, of some, of all at once, with disks, ledgers and
//! records lost.

use super::faults::{Crash, JOB_FAILURES, Plan};
use super::loss::Loss;
use super::random::Random;

impl Plan {
    /// The plan of a seed in which members crash all the time for `storm_ms` and at most 5 % of the
    /// messages are lost. In one run of four up to `max_faulty` members are Byzantine as well;
    /// disks are lost as far as the bound on faulty members allows.
    #[must_use]
    pub fn crash_storm(seed: u64, member_count: u16, max_faulty: u16, storm_ms: u64) -> Self {
        let mut random = Random::new(seed, 3);
        let n = u64::from(member_count);
        let mut plan = Self::fault_free(member_count);
        plan.heal_ms = storm_ms;
        plan.delay_ms = random.between(20, 200);
        plan.loss = random.between(0, 50);
        plan.job_failures = if plan.loss > 0 { JOB_FAILURES } else { 0 };
        if random.chance(250) {
            plan.draw_faulty(&mut random, member_count, max_faulty);
            plan.split = (0..n).map(|_| random.chance(500)).collect();
        }
        // Some storms leave time to finish rounds, some hardly do.
        let gap_ms = random.between(500, 6_000);
        let mut at_ms = random.below(gap_ms);
        while at_ms < storm_ms {
            let hit = match random.below(10) {
                0 => n,
                1 | 2 => random.between(2, n),
                _ => 1,
            };
            let first = random.below(n);
            for node in (0..hit).map(|step| ((first + step) % n) as usize) {
                let down_ms = random.between(200, 2_000);
                let loss = match random.below(8) {
                    0 | 1 => Loss::Disk,
                    2 => Loss::Ledger { kept: 0 },
                    3 => Loss::Ledger { kept: random.below(1000) },
                    4 => Loss::Record { at: random.below(1000) },
                    _ => Loss::Nothing,
                };
                plan.crashes.push(Crash { node, at_ms, down_ms, loss });
            }
            at_ms += random.between(gap_ms / 2, gap_ms * 3 / 2);
        }
        plan
    }
}

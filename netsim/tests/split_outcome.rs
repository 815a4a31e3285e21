//! Members that disagree about the opened sum: the key decides which value is valid.

use fedshield_netsim::l0::{Fault, Federation, Options, Outcome, Plan, run_seed};
use fedshield_protocol::ids::MemberIndex;

fn run(members: u16, faulty: &[u16], seed: u64) -> Outcome {
    let federation = Federation::new(members);
    let faulty = faulty.iter().map(|m| (MemberIndex(*m), Fault::SplitsOutcome)).collect();
    let plan = Plan { faulty, ..Plan::fault_free(members) };
    let options = Options { plan: Some(plan), rounds: 4, ..Options::default() };
    run_seed(&federation, seed, &options).unwrap_or_else(|failure| panic!("{failure}"))
}

/// An invalid share keeps some members from answering, and a wrong answer keeps them from opening;
/// the others open the sum and are locked on it.
#[test]
fn those_that_open_a_sum_can_show_it_to_those_that_cannot() {
    for members in [4, 5, 7, 10] {
        for seed in 0..5 {
            let outcome = run(members, &[1], seed);
            let [applied, rejected, voided, skipped] = outcome.rounds;
            assert_eq!((applied + rejected, voided, skipped), (4, 0, 0), "{members}: {outcome:?}");
        }
    }
}

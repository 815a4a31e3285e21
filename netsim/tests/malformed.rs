//! Malformed updates: bytes that do not parse are refused before any set depends on them, and
//! their contributor is named.

use fedshield_netsim::l0::{Fault, Federation, Options, Outcome, Plan, run_seed};
use fedshield_protocol::ids::MemberIndex;

const ROUNDS: u64 = 40;

fn run(members: u16, faulty: &[(u16, Fault)]) -> Outcome {
    let federation = Federation::new(members);
    let faulty = faulty.iter().map(|(member, fault)| (MemberIndex(*member), *fault)).collect();
    let plan = Plan { faulty, ..Plan::fault_free(members) };
    let options = Options { plan: Some(plan), rounds: ROUNDS, ..Options::default() };
    run_seed(&federation, 5, &options).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn a_malformed_ciphertext_stops_no_round() {
    for members in [4, 7, 10] {
        let outcome = run(members, &[(1, Fault::MalformedCiphertext)]);
        let [applied, rejected, voided, skipped] = outcome.rounds;
        assert_eq!((applied + rejected, voided, skipped), (ROUNDS, 0, 0), "{members} members");
    }
}

/// As many members as may be faulty; those of them in the committee that reject valid updates
/// exclude nobody.
#[test]
fn f_members_that_reject_sound_updates_stop_no_round() {
    for fault in [Fault::MalformedCiphertext, Fault::RejectsAll, Fault::WrongShape] {
        for (members, faulty) in [(4, vec![0]), (7, vec![2, 5]), (10, vec![0, 4, 9])] {
            let faulty: Vec<(u16, Fault)> = faulty.into_iter().map(|m| (m, fault)).collect();
            let outcome = run(members, &faulty);
            let [applied, rejected, voided, skipped] = outcome.rounds;
            assert_eq!((applied + rejected, voided, skipped), (ROUNDS, 0, 0), "{faulty:?}");
        }
    }
}

#[test]
fn byzantine_members_of_both_kinds_together_stop_no_round() {
    let faulty = [(1, Fault::MalformedCiphertext), (3, Fault::RejectsAll)];
    let outcome = run(7, &faulty);
    let [applied, rejected, voided, skipped] = outcome.rounds;
    assert_eq!((applied + rejected, voided, skipped), (ROUNDS, 0, 0));
}

/// The committee is 2f + 1: without the contributor and those that are silent it has f + 1 left to
/// read and reject it.
#[test]
fn with_the_other_faulty_members_silent_a_malformed_ciphertext_stops_no_round() {
    for (members, contributor, silent) in [(7, 1, vec![5]), (10, 3, vec![0, 8])] {
        let mut faulty = vec![(contributor, Fault::MalformedCiphertext)];
        faulty.extend(silent.into_iter().map(|member| (member, Fault::Silent)));
        let outcome = run(members, &faulty);
        let [applied, rejected, voided, skipped] = outcome.rounds;
        assert_eq!((applied + rejected, voided, skipped), (ROUNDS, 0, 0), "{faulty:?}");
    }
}

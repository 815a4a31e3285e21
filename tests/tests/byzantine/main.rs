//! Byzantine contributors and members, against the daemon's own pipelines: complaints, answers, the
//! set, wrong partial decryptions, keys that belong to no ciphertext, oversized keys. Every honest
//! member opens the true sum or none.

mod evidence;
mod keys;
mod malformed;
mod named;
mod shape;
mod steps;

use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::job::{Combined, Included};
use fedshield_tests::parties;
use steps::*;

/// Seven members, two of them faulty. At once: dealer 6 seals garbage to member 0 and answers the
/// complaint correctly; dealer 5 seals garbage to member 1 and answers the complaint wrong; member
/// 5 releases a wrong partial decryption.
#[test]
fn byzantine_contributors_and_members_at_once() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 7);
    let mut all = contributions(&parties, &sealing_keys(&parties));
    corrupt_sealed_share(&parties, &mut all[6], 0);
    corrupt_sealed_share(&parties, &mut all[5], 1);
    all.iter().for_each(|dealer| carry_sealed_shares(&parties, dealer));

    for (position, party) in parties.iter().enumerate() {
        for (dealer, included) in all.iter().enumerate() {
            let invalid = (dealer, position) == (6, 0) || (dealer, position) == (5, 1);
            assert_eq!(share_is_valid(party, included), !invalid, "{dealer} to {position}");
        }
    }
    // Complaint and answer: the true opening clears dealer 6 everywhere, a changed one clears
    // nobody anywhere.
    let truth = reveal(&parties, &all[6], 0);
    let mut wrong = reveal(&parties, &all[5], 1);
    let last = wrong.len() - 40;
    wrong[last] ^= 1;
    let other = reveal(&parties, &all[5], 2);
    for party in &parties {
        assert!(answer_is_valid(party, &all[6], 0, &truth));
        assert!(!answer_is_valid(party, &all[5], 1, &wrong));
        assert!(!answer_is_valid(party, &all[5], 1, &other), "another member's share");
        assert!(!answer_is_valid(party, &all[5], 1, &[]), "no opening");
    }
    assert!(share_is_valid(&parties[0], &all[6]), "the opening is member 0's share now");
    assert!(!share_is_valid(&parties[1], &all[5]));

    // What every honest member can report: all but dealer 5.
    let set: Vec<Included> = all.iter().filter(|i| i.member.0 != 5).cloned().collect();
    let sum = aggregate(&parties, &set);
    let honest = answers(&parties, &set);
    let Combined::Opened { sum: truth, culprits, .. } = combine(&parties[0], &set, sum, &honest)
    else {
        panic!("honest answers open")
    };
    assert!(culprits.is_empty());
    let mut answers = honest.clone();
    corrupt_answer(&parties, &mut answers[5], true);
    for party in &parties {
        // Five of seven are needed. Four right answers and a wrong one open nothing.
        let few = [&answers[..4], &answers[5..6]].concat();
        assert_eq!(combine(party, &set, sum, &few), Combined::NotYet);
        let Combined::Opened { sum: opened, culprits, .. } = combine(party, &set, sum, &answers)
        else {
            panic!("six true answers open")
        };
        assert_eq!(opened, truth, "the sum is the sum");
        assert_eq!(culprits, [MemberIndex(5)], "and the culprit is named");
    }
    // One more malformed answer: the sum still opens, but too few agree to prove which answer was
    // wrong.
    corrupt_answer(&parties, &mut answers[6], false);
    let combined = combine(&parties[2], &set, sum, &answers);
    assert!(
        matches!(&combined, Combined::Opened { sum, culprits, .. } if *sum == truth && culprits.is_empty()),
        "{combined:?}"
    );
}

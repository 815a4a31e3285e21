//! Contributors with wrong keys. No member can detect them early, because a share of a wrong key
//! looks like any other; the check of the opened sum refuses the result at every member, whichever
//! members answer.

use fedshield_he::{
    OneTimeKey, SealingPublicKey, Update, encrypt_under_any_key, seal_share, share,
};
use fedshield_protocol::job::{Combined, Included};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::CommitmentBody;
use fedshield_tests::{Party, carry, parties};
use fedshieldd::encryption::{ciphertext_digest, member_index};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::steps::*;

/// Where the number of values stands in a ciphertext.
const VALUE_COUNT: std::ops::Range<usize> = 24..32;

/// A key with equal coefficients: an honest one lies within 42.
fn key_of(party: &Party, coefficient: i32) -> OneTimeKey {
    OneTimeKey::from_coefficients(vec![coefficient; party.pipeline.terms().preset.ring_degree()])
}

/// What a dealer publishes that shares `key` and claims that it is the key of `ciphertext`. Its
/// secrets are those of this dealing, so that it can answer complaints.
fn dealt(
    party: &Party,
    honest: &CommitmentBody,
    ciphertext: ObjectRef,
    key: OneTimeKey,
    keys: &[Vec<u8>],
) -> CommitmentBody {
    let terms = party.pipeline.terms();
    let (context, me) = (terms.context(START.round), terms.my_share_index());
    let mut rng = ChaCha8Rng::from_seed([8; 32]);
    let (sharing, root) = (terms.sharing.sharing(), ciphertext_digest(&ciphertext));
    let (commitment, package) =
        share(&context, me, sharing, &key, root, &mut rng).expect("it can be dealt");
    let mut sealed_shares = Vec::new();
    for (opening, key) in package.openings().iter().zip(keys) {
        let receiver = opening.receiver();
        let (name, bytes) =
            (format!("deal-{}", member_index(receiver)), opening.to_bytes(&context));
        party.secrets.put_in_round(START.round, &name, &bytes).expect("it can be kept");
        let key = SealingPublicKey::from_bytes(receiver, key).expect("a sealing key");
        let sealed =
            seal_share(&context, &commitment, opening, &key, &mut rng).expect("it can be sealed");
        sealed_shares.push(Some(party.objects.put(&sealed).expect("it can be kept")));
    }
    let shares = commitment.to_bytes(&context);
    CommitmentBody { ciphertext, sealed_shares, shares, layout: honest.layout }
}

/// Deals a key of ones in place of the one that encrypted.
fn mismatch(parties: &[Party], dealer: &mut Included, keys: &[Vec<u8>]) {
    let party = &parties[dealer.member.position()];
    let ciphertext = dealer.body.ciphertext;
    dealer.body = dealt(party, &dealer.body, ciphertext, key_of(party, 1), keys);
}

/// Encrypts under a key with this coefficient, and deals that key.
fn encrypt_under(parties: &[Party], dealer: &mut Included, coefficient: i32, keys: &[Vec<u8>]) {
    let position = dealer.member.position();
    let party = &parties[position];
    let terms = party.pipeline.terms();
    let honest = party.objects.read(&dealer.body.ciphertext).expect("the ciphertext is there");
    let count = u64::from_le_bytes(honest[VALUE_COUNT].try_into().expect("eight bytes"));
    let values = vec![0.0; usize::try_from(count).expect("it fits")];
    let update = Update { values: &values, scale: 1.0, nonce: &[5; 32], measurement: None };
    let (context, me) = (terms.context(START.round), terms.my_share_index());
    let (key, mut file) = (key_of(party, coefficient), Vec::new());
    encrypt_under_any_key(&context, me, &update, &key, &[6; 32], &mut file)
        .expect("the update is valid");
    let ciphertext = party.objects.put(&file).expect("it can be kept");
    carry(parties, position, &ciphertext);
    dealer.body = dealt(party, &dealer.body, ciphertext, key, keys);
}

/// Four members, the third of which shares a wrong key: everything looks right until the end, then
/// nothing opens anywhere, with all answers as with each three of them.
fn opens_nowhere(substitute: impl Fn(&[Party], &mut Included, &[Vec<u8>])) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 4);
    let keys = sealing_keys(&parties);
    let mut all = contributions(&parties, &keys);
    substitute(&parties, &mut all[2], &keys);
    all.iter().for_each(|dealer| carry_sealed_shares(&parties, dealer));
    for party in &parties {
        assert!(all.iter().all(|dealer| share_is_valid(party, dealer)));
    }
    let sum = aggregate(&parties, &all);
    let answers = answers(&parties, &all);
    for party in &parties {
        assert_eq!(combine(party, &all, sum, &answers), Combined::NotYet);
        for silent in 0..4 {
            let mut three = answers.clone();
            three.remove(silent);
            assert_eq!(combine(party, &all, sum, &three), Combined::NotYet);
        }
        party.pipeline.opened_sum(START.round).expect_err("nothing was opened");
    }
}

/// Correctly dealt, but not the key of the ciphertext.
#[test]
fn a_key_that_does_not_match_its_ciphertext_voids_the_sum() {
    opens_nowhere(mismatch);
}

/// The key of the ciphertext, but with coefficients that no honest member draws: 5,000, and the
/// least that is too large for a sum of four, 4 * 42 and what the others may take off it.
#[test]
fn an_oversized_key_voids_the_sum() {
    for coefficient in [5_000, -(7 * 42 + 1)] {
        opens_nowhere(|parties, dealer, keys| encrypt_under(parties, dealer, coefficient, keys));
    }
}

/// A key that is too large for one member but lies within the bound of the sum does no harm: the
/// sum opens, everywhere the same.
#[test]
fn a_key_within_the_bound_of_the_sum_does_no_harm() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 4);
    let keys = sealing_keys(&parties);
    let mut all = contributions(&parties, &keys);
    encrypt_under(&parties, &mut all[2], 43, &keys);
    all.iter().for_each(|dealer| carry_sealed_shares(&parties, dealer));
    for party in &parties {
        assert!(all.iter().all(|dealer| share_is_valid(party, dealer)));
    }
    let sum = aggregate(&parties, &all);
    let answers = answers(&parties, &all);
    let opened: Vec<Combined> =
        parties.iter().map(|party| combine(party, &all, sum, &answers)).collect();
    assert!(opened.iter().all(|it| *it == opened[0]));
    assert!(matches!(&opened[0], Combined::Opened { culprits, .. } if culprits.is_empty()));
}

/// Seven members, two of them faulty, and all their faults at once: dealers 5 and 6 seal garbage to
/// members 0 and 1 and answer the complaints correctly, so that they stay in the set; the key of 5
/// does not match its ciphertext, the key of 6 is oversized; member 5 releases a wrong partial
/// decryption. No honest member opens anything, whichever answers it has, and nobody is blamed:
/// what proves who was wrong is a polynomial through an accepted key, and there is none.
#[test]
fn all_faults_at_once_open_nothing_and_blame_nobody() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 7);
    let keys = sealing_keys(&parties);
    let mut all = contributions(&parties, &keys);
    mismatch(&parties, &mut all[5], &keys);
    encrypt_under(&parties, &mut all[6], 900, &keys);
    let bad = [(5, 0), (6, 1)];
    for (dealer, victim) in bad {
        corrupt_sealed_share(&parties, &mut all[dealer], victim);
    }
    all.iter().for_each(|dealer| carry_sealed_shares(&parties, dealer));
    for (dealer, victim) in bad {
        assert!(!share_is_valid(&parties[victim], &all[dealer]));
        let opening = reveal(&parties, &all[dealer], victim);
        for party in &parties {
            assert!(answer_is_valid(party, &all[dealer], victim, &opening));
        }
    }
    for party in &parties {
        assert!(all.iter().all(|dealer| share_is_valid(party, dealer)));
    }
    let sum = aggregate(&parties, &all);
    let mut answers = answers(&parties, &all);
    corrupt_answer(&parties, &mut answers[5], true);
    for party in &parties[..5] {
        for answers in [&answers[..], &answers[..5], &answers[1..], &answers[2..]] {
            assert_eq!(combine(party, &all, sum, answers), Combined::NotYet);
        }
        party.pipeline.opened_sum(START.round).expect_err("nothing was opened");
    }
}

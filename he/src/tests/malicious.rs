//! Malicious contributors and members: no wrong sum opens, and they are named where it is proven.

use super::federation::{Federation, index, sharing};
use crate::kernel::{BlockKernel, Kernel};
use crate::*;

const PRESET: &str = "INSECURE-rlwe-sum/b16/n16";

fn honest(members: u16, seed: u64) -> Federation {
    let mut f = Federation::new(PRESET, members, seed);
    for index in 1..=members {
        f.contribute(index, vec![f32::from(index) - 2.0; 900], 1);
    }
    f
}

fn answers(f: &Federation, members: impl IntoIterator<Item = u16>) -> Vec<PartialDecryption> {
    members.into_iter().map(|m| f.answer(m)).collect()
}

fn bump(answer: &mut PartialDecryption, at: usize, by: u32) {
    answer.values[at] = ((u32::from(answer.values[at]) + by) % crate::params::SHARE_MODULUS) as u16;
}

#[test]
fn a_wrong_answer_is_corrected_and_its_sender_named() {
    let f = honest(4, 1);
    for faulty in 1..=4 {
        for (at, by) in [(0, 1), (511, 65_520), (77, 30_000)] {
            let mut answers = answers(&f, 1..=4);
            bump(&mut answers[faulty - 1], at, by);
            let combined = f.combine(&answers).unwrap();
            assert_eq!(combined.answers, Answers::Culprits(vec![index(faulty as u16)]));
            assert_eq!(f.decrypt(&combined.key).0, f.expected());
        }
    }
}

#[test]
fn with_threshold_answers_a_wrong_one_is_detected() {
    let f = honest(4, 2);
    let mut answers = answers(&f, 2..=4);
    bump(&mut answers[0], 3, 1);
    let error = f.combine(&answers).unwrap_err();
    assert!(matches!(error, Error::NotOpened { threshold: 3, answers: 3, tried: 1 }), "{error}");
    let error = f.combine(&answers[..2]).unwrap_err();
    assert!(matches!(error, Error::NotOpened { tried: 0, .. }), "{error}");
}

#[test]
fn e_wrong_answers_are_corrected_with_threshold_plus_e_answers() {
    let f = honest(16, 3);
    assert_eq!((f.threshold, f.max_faulty), (11, 5));
    let mut answers = answers(&f, 1..=16);
    for (i, answer) in answers.iter_mut().take(5).enumerate() {
        bump(answer, i, 1 + i as u32);
    }
    let combined = f.combine(&answers).unwrap();
    assert_eq!(f.decrypt(&combined.key).0, f.expected());
    // Eleven agree: five faulty members could have made eleven agree on another polynomial through
    // the same key.
    assert_eq!(combined.answers, Answers::Disputed((1..=5).map(index).collect()));
    // One wrong answer among sixteen is proven.
    let mut answers = answers.split_off(5);
    answers.extend((1..=5).map(|m| f.answer(m)));
    bump(&mut answers[0], 0, 9);
    assert_eq!(f.combine(&answers).unwrap().answers, Answers::Culprits(vec![index(6)]));
}

/// Two faulty members among seven shift their answers along a polynomial that vanishes at 0 and at
/// three honest members: the key stays right, and the answers of the two other honest members seem
/// wrong. Nobody may be named.
#[test]
fn colluding_members_cannot_frame_honest_members() {
    let f = honest(7, 4);
    assert_eq!((f.threshold, f.max_faulty), (5, 2));
    let mut answers = answers(&f, 1..=7);
    for faulty in [1u32, 2] {
        // x (x - 3)(x - 4)(x - 5), of degree 4 = threshold - 1.
        let p = i64::from(crate::params::SHARE_MODULUS);
        let x = i64::from(faulty);
        let shift = (x * (x - 3) * (x - 4) * (x - 5)).rem_euclid(p) as u32;
        (0..512).for_each(|c| bump(&mut answers[faulty as usize - 1], c, shift));
    }
    let combined = f.combine(&answers).unwrap();
    assert_eq!(f.decrypt(&combined.key).0, f.expected());
    assert_eq!(combined.answers, Answers::Disputed(vec![index(6), index(7)]));
}

/// How every member judges bytes that the dealer publishes as the opening of `receiver`.
fn judge_opening(
    f: &Federation,
    dealer: usize,
    receiver: u16,
    bytes: &[u8],
) -> Result<KeyShare, Error> {
    let commitment = &f.contributors[dealer].commitment;
    ShareOpening::from_bytes(&f.context, commitment, index(receiver), bytes)?
        .verify(&f.context, commitment)
}

#[test]
fn a_bad_share_is_a_reason_to_complain_and_its_opening_answers() {
    let f = honest(4, 5);
    let opening = |receiver: u16| {
        let package = &f.contributors[1].package;
        package.opening_for(index(receiver)).unwrap().to_bytes(&f.context)
    };
    // The dealer seals to member 3 something different from what it committed to.
    let good = opening(3);
    for at in [24, 30, 60, 500, good.len() - 1] {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        let error = judge_opening(&f, 1, 3, &bad).unwrap_err();
        assert!(error.to_string().starts_with("member 2: "), "{error}");
    }
    // The true opening in the clear settles the complaint, and gives the member its share.
    let share = judge_opening(&f, 1, 3, &good).unwrap();
    assert_eq!((share.dealer, share.receiver), (index(2), index(3)));
    // The opening of another member does not.
    assert!(judge_opening(&f, 1, 3, &opening(1)).is_err());
}

#[test]
fn shares_off_a_low_degree_polynomial_fail_the_test() {
    let mut f = honest(4, 6);
    let key = OneTimeKey::from_coefficients(vec![1; 512]);
    // Dealt with one degree more than allowed, with the published polynomials cut to the right
    // length.
    let digest = CiphertextDigest::new([1; 32]);
    let (commitment, package) =
        share(&f.context, index(1), sharing(4, 4), &key, digest, &mut f.rng).unwrap();
    let mut cut = commitment.clone();
    cut.sharing = sharing(3, 4);
    cut.low_degree = cut.low_degree.chunks(4).flat_map(|h| h[..3].to_vec()).collect();
    for opening in package.openings() {
        let error = opening.verify(&f.context, &cut).unwrap_err();
        assert!(matches!(error, Error::Remote { fault: Fault::LowDegree, .. }), "{error}");
    }
    // With the length that its degree needs, it is refused where the threshold is checked.
    let bytes = commitment.to_bytes(&f.context);
    let error =
        ShareCommitment::from_bytes(&f.context, index(1), sharing(3, 4), &bytes).unwrap_err();
    assert!(matches!(error, Error::Remote { field: "threshold", .. }), "{error}");
}

/// Member 4 of four contributes with these coefficients for a key, dealt and used for its
/// ciphertext.
fn with_key_of(coefficients: Vec<i32>) -> Federation {
    let mut f = honest(4, 7);
    f.contributors.truncate(3);
    let values = vec![1.0; 900];
    let update = Update { values: &values, scale: 1.0, nonce: &[0; 32], measurement: None };
    let key = OneTimeKey::from_coefficients(coefficients);
    let mut file = Vec::new();
    encrypt_under_any_key(&f.context, index(4), &update, &key, &[9; 32], &mut file).unwrap();
    let shared = f.share(4, &key, &file);
    f.add(4, values, 1, [0; 32], file, shared);
    f
}

/// A contributor whose ciphertext and shares belong to different keys makes the sum fail: it is
/// void, never wrong.
#[test]
fn a_key_that_does_not_match_its_ciphertext_never_opens() {
    let mut f = honest(4, 7);
    f.contributors.truncate(3);
    let (_, ciphertext) = f.encrypt(4, &[1.0; 900], 1, &[0; 32]);
    let wrong = OneTimeKey::from_coefficients(vec![1; 512]);
    let shared = f.share(4, &wrong, &ciphertext);
    f.add(4, vec![1.0; 900], 1, [0; 32], ciphertext, shared);
    let error = f.combine(&answers(&f, 1..=4)).unwrap_err();
    assert!(matches!(error, Error::NotOpened { tried: 1, .. }), "{error}");
}

/// With an oversized key that is the ciphertext's own, every residual is in bounds: the bound on
/// the sum's key refuses it, for one coefficient too large as for all. Keys within the bound of the
/// sum do no harm: the sum is right.
#[test]
fn an_oversized_key_never_opens_though_it_matches() {
    let bound = 4 * crate::params::KEY_BOUND as i32;
    let one = |at: usize, coefficient: i32| {
        let mut key = vec![0; 512];
        key[at] = coefficient;
        key
    };
    for key in [vec![9_000; 512], one(0, 4 * bound), one(511, -4 * bound), vec![-32_000; 512]] {
        let f = with_key_of(key);
        let error = f.combine(&answers(&f, 1..=4)).unwrap_err();
        assert!(matches!(error, Error::NotOpened { tried: 1, .. }), "{error}");
    }
    for coefficient in [crate::params::KEY_BOUND as i32 + 8, -90] {
        let f = with_key_of(one(17, coefficient));
        let combined = f.combine(&answers(&f, 1..=4)).unwrap();
        assert_eq!(combined.answers, Answers::Consistent);
        assert_eq!(f.decrypt(&combined.key).0, f.expected());
    }
}

#[test]
fn a_ciphertext_with_one_bad_block_is_found_behind_a_good_key() {
    let mut f = honest(4, 8);
    // Valid words, but not of this block: the last block of a fresh encryption.
    let (_, other) = f.encrypt(1, &[1.0; 1200], 1, &[0; 32]);
    let (key, mut mixed) = f.encrypt(1, &[1.0; 1200], 1, &[0; 32]);
    let at = mixed.len() - 200;
    mixed[at..].copy_from_slice(&other[at..]);
    let shared = f.share(1, &key, &mixed);
    f.contributors.clear();
    f.add(1, vec![1.0; 1200], 1, [0; 32], mixed, shared);
    f.contribute(2, vec![2.0; 1200], 1);
    let error = f.combine(&answers(&f, 1..=4)).unwrap_err();
    assert!(matches!(error, Error::Residual { block: 1 }), "{error}");
}

/// A bad share for one member and a wrong answer of another, both at once: the sum still opens.
#[test]
fn all_at_once() {
    let f = honest(7, 9);
    let package = &f.contributors[6].package;
    let mut bad = package.opening_for(index(1)).unwrap().to_bytes(&f.context).to_vec();
    bad[100] ^= 4;
    let error = judge_opening(&f, 6, 1, &bad).unwrap_err();
    assert_eq!(error.to_string(), "member 7: share: does not match its digest");
    // The dealer answers the complaint in the clear, so member 1 takes part; member 2 answers
    // wrong.
    let mut all = answers(&f, 1..=7);
    bump(&mut all[1], 200, 12_345);
    let combined = f.combine(&all).unwrap();
    assert_eq!(combined.answers, Answers::Culprits(vec![index(2)]));
    assert_eq!(f.decrypt(&combined.key).0, f.expected());
}

/// Adds `by` to the first slot of a ciphertext, as a contributor that ignores the encoding would.
fn shift_first_slot(f: &mut Federation, contributor: usize, by: u64) {
    let preset = f.context.preset();
    let (bits, kernel) = (preset.wire_bits(), Kernel::SCALAR);
    let ciphertext = &mut f.contributors[contributor].ciphertext;
    let packed = &mut ciphertext[32..32 + crate::pack::packed_len(512, bits)];
    let mut words = vec![0; 512];
    kernel.unpack_add(packed, bits, &mut words);
    let wrap = preset.modulus() >> preset.dropped_bits();
    words[0] = (words[0] + (by << (preset.scale_bits() - preset.dropped_bits()))) % wrap;
    kernel.pack(&words, bits, packed);
}

#[test]
fn a_slot_beyond_its_range_is_counted() {
    let mut f = honest(3, 10);
    f.contributors.truncate(2);
    let honest = f.contributors[1].ciphertext.clone();
    for (by, out_of_range) in [(0, 0), (60_000, 0), (100_000, 1)] {
        f.contributors[1].ciphertext.clone_from(&honest);
        shift_first_slot(&mut f, 1, by);
        let answers = answers(&f, 1..=3);
        let combined = f.combine(&answers).unwrap();
        let (sum, opened) = f.decrypt(&combined.key);
        assert_eq!(opened.out_of_range, out_of_range, "{by} {}", sum[0]);
        assert_eq!(sum[1..], f.expected()[1..]);
    }
}

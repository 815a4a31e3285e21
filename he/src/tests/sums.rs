//! The sum of encryptions decrypts to the sum, exactly.

use proptest::prelude::*;
use rand_core::Rng;

use super::federation::{Federation, decrypt_to_vec, index, rng};
use crate::kernel::Kernel;
use crate::params::presets;
use crate::*;

/// Integer values whose product with `weight` fits, with worst cases among them.
fn values(federation: &mut Federation, kind: u32, weight: u32, count: usize) -> Vec<f32> {
    let limit = federation.context.preset().value_limit() / i64::from(weight);
    let mut value = || match (kind, federation.rng.next_u32() % 4) {
        (0, _) | (2, 0) => limit,
        (1, _) | (2, 1) => -limit,
        _ => i64::from(federation.rng.next_u32()) % (2 * limit + 1) - limit,
    };
    (0..count).map(|_| value() as f32).collect()
}

/// Some of the members, in random order.
fn some_of(federation: &mut Federation, members: u16, size: u16) -> Vec<u16> {
    let mut order: Vec<u16> = (1..=members).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, federation.rng.next_u32() as usize % (i + 1));
    }
    order.truncate(size.into());
    order
}

/// Random contributors with random weights; random members answer. `kind` 0 and 1: all values are
/// largest or smallest.
fn check_round(
    preset: &str,
    members: u16,
    [missing, silent]: [u16; 2],
    kind: u32,
    count: usize,
    seed: u64,
) {
    let mut f = Federation::new(preset, members, seed);
    let contributors = members.saturating_sub(missing).max(2);
    for index in some_of(&mut f, members, contributors) {
        let weight = [1, 1, 2, 7][f.rng.next_u32() as usize % 4];
        let values = values(&mut f, kind, weight, count);
        f.contribute(index, values, weight);
    }
    let answers = members.saturating_sub(silent).max(f.threshold);
    let answering = some_of(&mut f, members, answers);
    let (sum, opened) = f.open(&answering);
    assert_eq!(sum, f.expected());
    assert_eq!(opened.out_of_range, 0);
    for (k, n) in opened.nonce.iter().enumerate() {
        assert_eq!(*n, f.contributors.iter().map(|c| u32::from(c.nonce[k])).sum::<u32>());
    }
}

const SMALL: [&str; 4] = [
    "INSECURE-rlwe-sum/b8/n16",
    "INSECURE-rlwe-sum/b16/n16",
    "INSECURE-rlwe-sum/b16/n128",
    "INSECURE-rlwe-sum/b20/n128",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn random_rounds_are_exact(
        preset in 0usize..4,
        members in 3u16..=16,
        missing in 0u16..12,
        silent in 0u16..6,
        kind in 0u32..4,
        count in 0usize..4000,
        seed: u64,
    ) {
        check_round(SMALL[preset], members, [missing, silent], kind, count, seed);
    }
}

/// The same with every preset that may be used, a few random rounds each.
#[test]
fn random_rounds_are_exact_with_every_preset() {
    let mut rng = rng(31);
    for preset in presets() {
        for kind in 0..3 {
            let mut random = |range: u32| rng.next_u32() % range;
            let members = 3 + random(8) as u16;
            let absent = [random(6) as u16, random(4) as u16];
            let count = random(2 * preset.slots_per_block() as u32 + 100) as usize;
            check_round(preset.name(), members, absent, kind, count, random(u32::MAX).into());
        }
    }
}

/// As many contributors as a preset holds, all with the largest or all with the smallest values: no
/// slot carries, no word wraps and no residual is too large. The summed key is put together from
/// the keys themselves; dealing it to 512 members is left to another test.
#[test]
fn every_preset_is_exact_when_it_is_full() {
    for preset in presets() {
        for sign in [1.0, -1.0] {
            let mut f = Federation::new(preset.name(), preset.members(), 6);
            let values = vec![sign * preset.value_limit() as f32; preset.slots_per_block() + 40];
            let mut key = vec![0; preset.ring_degree()];
            let mut files = Vec::new();
            for index in 1..=preset.members() {
                let (one, file) = f.encrypt(index, &values, 1, &[255; 32]);
                key.iter_mut().zip(one.coefficients()).for_each(|(sum, k)| *sum += k);
                files.push(file);
            }
            let members = || (1..=preset.members()).map(index);
            let everyone = members().map(|index| (index, CommitmentDigest::new([0; 32])));
            let set = ContributorSet::new(&f.context, 3, everyone).unwrap();
            let (count, mut sum) = (values.len() as u64, Vec::new());
            let inputs = members().zip(files.iter().map(|file| file.as_slice()));
            aggregate(&f.context, &set, count, inputs, &mut sum).unwrap();
            let key = OpenedKey::new(set.id(), key);
            let shape = SumShape::full(preset, preset.members(), count);
            let (found, opened) = decrypt_to_vec(&f.context, &set, &key, shape, &sum[..]).unwrap();
            let expected = sign as i64 * preset.value_limit() * i64::from(preset.members());
            assert!(found.iter().all(|&value| value == expected), "{preset}");
            assert_eq!(opened.out_of_range, 0, "{preset}");
            assert_eq!(opened.nonce, [255 * u32::from(preset.members()); 32]);
        }
    }
}

#[test]
fn full_federations_are_exact_at_the_largest_values() {
    for (preset, members) in [("INSECURE-rlwe-sum/b16/n128", 128), ("INSECURE-rlwe-sum/b8/n16", 16)]
    {
        for sign in [1.0, -1.0] {
            let mut f = Federation::new(preset, members, 5);
            let limit = f.context.preset().value_limit() as f32;
            for index in 1..=members {
                f.contribute(index, vec![sign * limit; 1500], 1);
            }
            let first: Vec<u16> = (1..=f.threshold).collect();
            assert_eq!(f.open(&first).0, f.expected());
        }
    }
}

#[test]
fn every_preset_is_exact_on_every_path() {
    for preset in presets() {
        let mut digests = Vec::new();
        for kernel in Kernel::available() {
            let mut f = Federation::new(preset.name(), 3, 9);
            f.context = RoundContext::with_kernel([7; 32], 3, preset, kernel);
            for index in 1..=3 {
                let values = values(&mut f, 2, 1, preset.slots_per_block() + 100);
                f.contribute(index, values, 1);
            }
            let (sum, opened) = f.open(&[1, 2, 3]);
            assert_eq!(sum, f.expected(), "{preset} {kernel:?}");
            digests.push((opened.digest, f.aggregate().unwrap()));
        }
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{preset}");
    }
}

#[test]
fn weights_and_rounding_add_up() {
    let mut f = Federation::new("INSECURE-rlwe-sum/b16/n16", 4, 1);
    f.scale = 37.5;
    let weights = [3, 200, 17];
    for (index, weight) in (1..).zip(weights) {
        f.contribute(index, vec![0.731, -0.02, 0.0], weight);
    }
    let (sum, _) = f.open(&[2, 3, 4]);
    for (s, x) in sum.iter().zip([0.731f64, -0.02, 0.0]) {
        assert!((*s as f64 - x * 37.5 * 220.0).abs() < 3.01, "{s} {x}");
    }
}

/// Each contributor's largest value counts with its own weight, in the sum of the set at hand.
#[test]
fn a_sum_beyond_what_its_own_contributors_may_send_is_counted() {
    let mut f = Federation::new("INSECURE-rlwe-sum/b16/n16", 4, 2);
    f.scale = 100.0;
    let (weights, clip) = ([1, 2, 4], 1.0);
    for (index, weight) in (1..).zip(weights) {
        f.contribute(index, vec![clip, -clip, 0.5], weight);
    }
    let answers: Vec<_> = (1..=4).map(|m| f.answer(m)).collect();
    let (set, aggregate) = (f.set(), f.aggregate().unwrap());
    let preset = f.context.preset();
    let largest = |w: &u32| largest_value(preset, 100.0 * f64::from(*w), clip);
    let all = SumShape::new(3, weights.iter().map(largest));
    assert_eq!(all.largest, 101 + 201 + 401);
    // Without the weight of the third, and with one value less than what there is.
    let without = SumShape::new(3, weights[..2].iter().map(largest));
    let exact = SumShape { largest: 700, ..all };
    let less = SumShape { largest: 699, ..all };
    for (shape, expected) in [(all, 0), (exact, 0), (less, 2), (without, 3)] {
        let combined =
            combine(&f.context, &set, f.robust(), &answers, shape, &aggregate[..], |_| Ok(()))
                .unwrap();
        assert_eq!(combined.summary.out_of_range, expected, "{shape:?}");
        let key = &combined.key;
        let (_, opened) = decrypt_to_vec(&f.context, &set, key, shape, &aggregate[..]).unwrap();
        assert_eq!(opened, combined.summary);
    }
}

/// A number for each contributor counts once, whatever its weight, with every preset and wherever
/// the limbs come to lie.
#[test]
fn measurements_add_up_once_for_each_contributor() {
    for preset in presets() {
        let a_block = preset.slots_per_block();
        for count in [0, 5, a_block - 34, a_block + 1] {
            let mut f = Federation::new(preset.name(), 4, 8);
            f.context = f.context.with_measurement();
            for (index, number) in (1..).zip([Some(65_535), None, Some(12_345), Some(256)]) {
                f.measurement = number;
                let values = values(&mut f, 2, 7, count);
                f.contribute(index, values, u32::from(index));
            }
            let (sum, opened) = f.open(&[1, 2, 4]);
            assert_eq!(sum, f.expected(), "{preset} {count}");
            let measured = MeasuredSum { count: 3, sum: 65_535 + 12_345 + 256 };
            assert_eq!((opened.out_of_range, opened.measured), (0, Some(measured)), "{preset}");
            let bytes = f.contributors[0].ciphertext.len() as u64;
            let more = count as u64 + MEASUREMENT_SLOTS;
            assert_eq!(bytes, ciphertext_len(preset, more).unwrap(), "{preset} {count}");
        }
    }
}

/// Slots of a measurement that no honest contributor fills like this: no sum of measurements, and
/// the values stand.
#[test]
fn a_measurement_out_of_range_spoils_nothing_but_itself() {
    let preset = "INSECURE-rlwe-sum/b16/n16";
    // An update without limbs of a measurement is one with three more values: a contributor that
    // lies fills the slots as it likes. Its slots are values, so 2^15 above what it gives here.
    let offset = -32_768.0;
    for ([low, high, count], expected) in [
        ([7.0, 1.0, 1.0], Some(MeasuredSum { count: 3, sum: 2 * 300 + 263 })),
        ([0.0, 0.0, 2.0], None),
        ([60_000.0, 0.0, 1.0], None),
        ([0.0, 1_000.0, 1.0], None),
        ([0.0, 0.0, 60_000.0], None),
    ] {
        let mut f = Federation::new(preset, 3, 8);
        f.context = f.context.with_measurement();
        f.measurement = Some(300);
        f.contribute(1, vec![5.0; 4], 1);
        f.contribute(2, vec![-3.0; 4], 1);
        let mut all = vec![offset; 4 + 32 + 3];
        all[..4].fill(2.0);
        for (slot, value) in all[36..].iter_mut().zip([low, high, count]) {
            *slot = offset + value;
        }
        // Nothing of a ciphertext but its header says how its slots are meant.
        let lying = RoundContext::new([7; 32], 3, f.context.preset());
        let update = Update { values: &all, scale: 1.0, nonce: &[0; 32], measurement: None };
        let mut file = Vec::new();
        let (key, _) = encrypt(&lying, index(3), &update, &mut f.rng, &mut file).unwrap();
        let mut honest = Vec::new();
        let update = Update { values: &[0.0; 4], ..update };
        encrypt(&f.context, index(3), &update, &mut f.rng, &mut honest).unwrap();
        file[..32].copy_from_slice(&honest[..32]);
        file.truncate(honest.len());
        let shared = f.share(3, &key, &file);
        f.add(3, vec![2.0; 4], 1, [0; 32], file, shared);
        let (sum, opened) = f.open(&[1, 2, 3]);
        assert_eq!(sum, [4; 4]);
        assert_eq!(opened.out_of_range, 0);
        assert_eq!(opened.measured, expected, "{low} {high} {count}");
    }
}

#[test]
fn both_layouts_are_refused_in_each_others_rounds() {
    let mut f = Federation::new("INSECURE-rlwe-sum/b16/n16", 3, 8);
    let (_, plain) = f.encrypt(1, &[1.0; 5], 1, &[0; 32]);
    let with = f.context.clone().with_measurement();
    let error = check_ciphertext(&with, index(1), 5, plain.as_slice()).unwrap_err();
    assert!(matches!(error, Error::Remote { fault: Fault::Version(1), .. }), "{error}");
    let update = Update { values: &[1.0], scale: 1.0, nonce: &[0; 32], measurement: Some(1) };
    let error = encrypt(&f.context, index(1), &update, &mut f.rng, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("measurement"), "{error}");
    f.context = with;
    let (_, measured) = f.encrypt(1, &[1.0; 5], 1, &[0; 32]);
    let without = RoundContext::new([7; 32], 3, f.context.preset());
    let error = check_ciphertext(&without, index(1), 5, measured.as_slice()).unwrap_err();
    assert!(matches!(error, Error::Remote { fault: Fault::Version(2), .. }), "{error}");
}

#[test]
fn the_aggregate_does_not_depend_on_the_order() {
    let mut f = Federation::new("INSECURE-rlwe-sum/b16/n16", 5, 3);
    for index in [4, 1, 5, 2] {
        f.contribute(index, vec![f32::from(index); 2000], 1);
    }
    let first = f.aggregate().unwrap();
    let id = f.set().id();
    f.contributors.reverse();
    assert_eq!(f.aggregate().unwrap(), first);
    assert_eq!(f.set().id(), id);
}

#[test]
fn what_is_sealed_to_each_member_is_its_own_share() {
    let mut f = Federation::new("INSECURE-rlwe-sum/b16/n16", 3, 4);
    let keys: Vec<_> = (0..3).map(|_| SealingKeyPair::generate(&mut f.rng)).collect();
    f.contribute(2, vec![1.0; 7], 1);
    let c = &f.contributors[0];
    assert_eq!(c.commitment.ciphertext().as_bytes(), blake3::hash(&c.ciphertext).as_bytes());
    check_ciphertext(&f.context, c.index, 7, c.ciphertext.as_slice()).unwrap();
    for (opening, keys) in c.package.openings().iter().zip(&keys) {
        let sealed =
            seal_share(&f.context, &c.commitment, opening, keys.public(), &mut f.rng).unwrap();
        assert_eq!(sealed.len(), sealed_len(&f.context));
        let stored = SealingKeyPair::from_secret(&keys.secret());
        let receiver = opening.receiver();
        let share = open_share(&f.context, &c.commitment, receiver, &stored, &sealed).unwrap();
        assert_eq!((share.dealer, share.receiver), (index(2), receiver));
        assert_eq!(share.commitment, c.commitment.id(&f.context));
    }
}

#[test]
fn values_that_are_no_numbers_and_values_that_do_not_fit() {
    let mut f = Federation::new("INSECURE-rlwe-sum/b16/n16", 3, 4);
    let mut encrypt = |values: &[f32]| {
        let update = Update { values, scale: 1.0, nonce: &[0; 32], measurement: None };
        crate::encrypt(&f.context, index(1), &update, &mut f.rng, &mut Vec::new())
    };
    let mut values = vec![0.0; 3000];
    values[10] = 40_000.0;
    values[2999] = -32_768.0;
    values[5] = 32_767.0;
    assert_eq!(encrypt(&values).unwrap().1.clamped, 2);
    values[2500] = f32::NAN;
    let error = encrypt(&values).unwrap_err();
    assert!(matches!(error, Error::NotFinite { index: 2500 }), "{error}");
}

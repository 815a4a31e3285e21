//! Bytes from outside: truncated, oversized, of another round, preset or member, random, mutated.
//! Typed errors that name the member; never a panic, never a wrong sum.

use proptest::prelude::*;
use rand_core::Rng;

use super::federation::{Federation, decrypt_to_vec, index, sharing};
use crate::*;

const PRESET: &str = "INSECURE-rlwe-sum/b16/n16";

fn round() -> Federation {
    let mut f = Federation::new(PRESET, 4, 21);
    for index in 1..=4 {
        f.contribute(index, vec![f32::from(index); 1100], 1);
    }
    f
}

/// Member and fault of a remote error; 0 where there is no one member.
fn remote(error: Error) -> (u16, Fault) {
    match error {
        Error::Remote { member, fault, .. } => (member.map_or(0, ShareIndex::get), fault),
        other => panic!("{other}"),
    }
}

/// A contributor with some commitment.
fn entry(number: u16) -> (ShareIndex, CommitmentDigest) {
    (index(number), CommitmentDigest::new([number as u8; 32]))
}

/// The same federation in another round, and with another preset.
fn elsewhere(f: &Federation) -> [(RoundContext, Fault); 2] {
    let preset = Preset::by_name("INSECURE-rlwe-sum/b16/n128").unwrap();
    [
        (RoundContext::new([7; 32], 4, f.context.preset()), Fault::WrongRound),
        (RoundContext::new([7; 32], 3, preset), Fault::WrongPreset),
    ]
}

#[test]
fn ciphertexts_name_their_contributor() {
    let mut f = round();
    let good = f.contributors[2].ciphertext.clone();
    let mut expect = |bytes: Vec<u8>, fault: Fault| {
        f.contributors[2].ciphertext = bytes;
        assert_eq!(remote(f.aggregate().unwrap_err()), (3, fault));
    };
    for len in [0, 10, 31, 40, good.len() - 1] {
        expect(good[..len].to_vec(), Fault::Truncated);
    }
    expect([&good[..], &[0]].concat(), Fault::Oversized);
    let change = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    expect(change(0, b'X'), Fault::Kind);
    expect(change(4, 9), Fault::Version(9));
    expect(change(5, 2), Fault::Kind);
    expect(change(6, 2), Fault::WrongMember(2));
    expect(change(24, 0), Fault::Count { found: 1100 & !0xff, expected: 1100 });
    // A word of all ones is above the largest: 2^51 - 1 lies above the modulus.
    let mut bytes = good.clone();
    bytes[32..32 + 8 * 8 * 45].fill(0xff);
    expect(bytes, Fault::OutOfRange(0));
    for (context, fault) in elsewhere(&round()) {
        let g = round();
        let inputs = g.contributors.iter().map(|c| (c.index, c.ciphertext.as_slice()));
        let set = ContributorSet::new(&context, 1, (1..=4).map(entry)).unwrap();
        let error = aggregate(&context, &set, 1100, inputs, &mut Vec::new()).unwrap_err();
        assert_eq!(remote(error), (1, fault));
    }
}

#[test]
fn contributors_have_to_be_those_of_the_set() {
    let f = round();
    let input = |i: usize| (f.contributors[i].index, f.contributors[i].ciphertext.as_slice());
    let run = |inputs: Vec<(ShareIndex, &[u8])>| {
        remote(aggregate(&f.context, &f.set(), 1100, inputs, &mut Vec::new()).unwrap_err())
    };
    assert_eq!(run(vec![input(0), input(1), input(3)]), (3, Fault::Missing));
    assert_eq!(run(vec![input(0), input(1), input(2)]), (4, Fault::Missing));
    assert_eq!(run(vec![input(0), input(1), input(1), input(3)]), (2, Fault::Duplicate));
    let extra = (index(9), input(0).1);
    assert_eq!(run(vec![input(0), input(1), input(2), input(3), extra]), (9, Fault::WrongSet));
}

#[test]
fn sets_that_cannot_be_say_why() {
    let f = round();
    let refused = |least: u16, entries: Vec<u16>| {
        ContributorSet::new(&f.context, least, entries.into_iter().map(entry)).unwrap_err()
    };
    for (least, entries) in [(3, vec![]), (3, vec![4, 2]), (2, vec![1]), (0, vec![])] {
        let found_here = entries.len();
        let error = refused(least, entries);
        let Error::TooFewContributors { found, needed } = error else { panic!("{error}") };
        assert_eq!((found, needed), (found_here, least.max(1)));
    }
    let error = refused(3, vec![1, 2]).to_string();
    assert_eq!(error, "a set of 2 contributors, at least 3 are needed");
    assert_eq!(remote(refused(1, (1..=17).collect())), (17, Fault::WrongMember(17)));
    assert_eq!(remote(refused(1, vec![2, 1, 2])), (2, Fault::Duplicate));
}

#[test]
fn shares_of_another_round_member_or_commitment_are_refused() {
    let f = round();
    let set = f.set();
    let mut later = round();
    later.context = elsewhere(&f)[0].0.clone();
    let release = |shares: &[KeyShare]| {
        remote(partial_decrypt(&f.context, &set, index(1), shares).unwrap_err())
    };
    let mut shares = f.shares(1).unwrap();
    shares[1] = f.shares(2).unwrap().remove(1);
    assert_eq!(release(&shares), (2, Fault::WrongMember(2)));
    let mut shares = f.shares(1).unwrap();
    shares[2].round_tag = *later.context.tag();
    assert_eq!(release(&shares), (3, Fault::WrongRound));
    let mut shares = f.shares(1).unwrap();
    shares[3].commitment = CommitmentDigest::new([0; 32]);
    assert_eq!(release(&shares), (4, Fault::WrongSet));
    assert_eq!(release(&f.shares(1).unwrap()[..3]), (4, Fault::Missing));
    // The bytes themselves state which round and preset they belong to.
    let c = &f.contributors[0];
    for (context, fault) in elsewhere(&f) {
        let bytes = c.package.openings()[0].to_bytes(&f.context);
        let error =
            ShareOpening::from_bytes(&context, &c.commitment, index(1), &bytes).unwrap_err();
        assert_eq!(remote(error), (1, fault.clone()));
        let bytes = c.commitment.to_bytes(&f.context);
        let error =
            ShareCommitment::from_bytes(&context, index(1), f.sharing(), &bytes).unwrap_err();
        assert_eq!(remote(error), (1, fault.clone()));
        let bytes = f.answer(2).to_bytes(&f.context);
        let error =
            PartialDecryption::from_bytes(&context, index(2), set.id(), &bytes).unwrap_err();
        assert_eq!(remote(error), (2, fault));
    }
}

#[test]
fn sealed_shares_are_bound_to_everything() {
    let mut f = round();
    let keys = SealingKeyPair::generate(&mut f.rng);
    let other = SealingKeyPair::generate(&mut f.rng);
    let (commitment, package) = (&f.contributors[0].commitment, &f.contributors[0].package);
    let opening = package.opening_for(index(2)).unwrap();
    let sealed = seal_share(&f.context, commitment, opening, keys.public(), &mut f.rng).unwrap();
    fn open(
        context: &RoundContext,
        commitment: &ShareCommitment,
        receiver: u16,
        keys: &SealingKeyPair,
        sealed: &[u8],
    ) -> Fault {
        remote(open_share(context, commitment, index(receiver), keys, sealed).unwrap_err()).1
    }
    assert!(open_share(&f.context, commitment, index(2), &keys, &sealed).is_ok());
    assert_eq!(open(&f.context, commitment, 2, &other, &sealed), Fault::Sealed);
    assert_eq!(open(&f.context, commitment, 3, &keys, &sealed), Fault::Sealed);
    assert_eq!(open(&elsewhere(&f)[0].0, commitment, 2, &keys, &sealed), Fault::Sealed);
    let mut moved = commitment.clone();
    moved.ciphertext = CiphertextDigest::new([9; 32]);
    assert_eq!(open(&f.context, &moved, 2, &keys, &sealed), Fault::Sealed);
    let mut renamed = commitment.clone();
    renamed.dealer = index(4);
    assert_eq!(open(&f.context, &renamed, 2, &keys, &sealed), Fault::Sealed);
    for at in [0, 1119, 1120, sealed.len() - 1] {
        let mut bad = sealed.clone();
        bad[at] ^= 1;
        assert_eq!(open(&f.context, commitment, 2, &keys, &bad), Fault::Sealed);
    }
    assert_eq!(open(&f.context, commitment, 2, &keys, &sealed[1..]), Fault::Truncated);
    let long = [&sealed[..], &[0]].concat();
    assert_eq!(open(&f.context, commitment, 2, &keys, &long), Fault::Oversized);
    assert!(SealingPublicKey::from_bytes(index(5), &[0; 100]).is_err());
    let bytes = keys.public().to_bytes();
    assert_eq!(bytes.len(), SEALING_PUBLIC_LEN);
    assert_eq!(&SealingPublicKey::from_bytes(index(5), &bytes).unwrap(), keys.public());
}

#[test]
fn aggregates_of_other_sets_and_out_of_range_are_refused() {
    let f = round();
    let good = f.aggregate().unwrap();
    let answers: Vec<_> = (1..=3).map(|m| f.answer(m)).collect();
    let combine = |answers: &[PartialDecryption], bytes: &[u8]| {
        crate::combine(&f.context, &f.set(), f.robust(), answers, f.shape(), bytes, |_| Ok(()))
    };
    let run = |bytes: &[u8]| combine(&answers, bytes).map(|c| c.key);
    let key = run(&good).unwrap();
    let bytes = key.to_bytes(&f.context, &f.set());
    assert_eq!(OpenedKey::from_bytes(&f.context, &f.set(), &bytes).unwrap(), key);
    assert_eq!(remote(run(&good[..good.len() - 1]).unwrap_err()), (0, Fault::Truncated));
    assert_eq!(remote(run(&[&good[..], &[7]].concat()).unwrap_err()), (0, Fault::Oversized));
    let mut bad = good.clone();
    bad[40] ^= 1;
    assert_eq!(remote(run(&bad).unwrap_err()), (0, Fault::WrongSet));
    let mut bad = good.clone();
    bad[64..64 + 64 * 49].fill(0xff);
    assert_eq!(remote(run(&bad).unwrap_err()), (0, Fault::OutOfRange(0)));
    let duplicate = [answers[0].clone(), answers[0].clone(), answers[1].clone()];
    let error = combine(&duplicate, &good).unwrap_err();
    assert_eq!(remote(error), (1, Fault::Duplicate));
    // A key that was tampered with does not decrypt.
    let mut wrong = bytes.clone();
    wrong[60] ^= 1;
    let wrong = OpenedKey::from_bytes(&f.context, &f.set(), &wrong).unwrap();
    let error = decrypt_to_vec(&f.context, &f.set(), &wrong, f.shape(), &good[..]).unwrap_err();
    assert!(matches!(error, Error::Residual { block: 0 }), "{error}");
}

/// Runs every decoder on the bytes. Whatever they are: a value or a typed error.
fn decode_all(f: &Federation, bytes: &[u8]) {
    let (context, set, one) = (&f.context, &f.set(), index(1));
    let commitment = &f.contributors[0].commitment;
    let _ = ShareCommitment::from_bytes(context, one, sharing(3, 4), bytes);
    let _ = ShareOpening::from_bytes(context, commitment, one, bytes)
        .and_then(|opening| opening.verify(context, commitment));
    let _ = PartialDecryption::from_bytes(context, one, set.id(), bytes);
    let _ = OpenedKey::from_bytes(context, set, bytes);
    let _ = SealingPublicKey::from_bytes(one, bytes);
    let _ = check_ciphertext(context, one, 1100, bytes);
    let key = SealingKeyPair::from_secret(&[1; 32]);
    let _ = open_share(context, commitment, one, &key, bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn decoders_survive_anything(
        noise in prop::collection::vec(any::<u8>(), 0..3000),
        kind in 0usize..5,
        cut in 0usize..2000,
        flips in prop::collection::vec((0usize..4000, any::<u8>()), 0..4),
    ) {
        let mut f = Federation::new(PRESET, 4, 22);
        f.contribute(1, vec![1.0; 1100], 1);
        decode_all(&f, &noise);
        // A real object, mutated.
        let c = &f.contributors[0];
        let mut bytes = match kind {
            0 => c.ciphertext.clone(),
            1 => c.commitment.to_bytes(&f.context),
            2 => c.package.openings()[0].to_bytes(&f.context).to_vec(),
            3 => f.answer(1).to_bytes(&f.context),
            _ => {
                let mut noise = vec![0; sealed_len(&f.context)];
                f.rng.fill_bytes(&mut noise);
                noise
            }
        };
        for (at, byte) in flips {
            let len = bytes.len();
            bytes[at % len] ^= byte;
        }
        decode_all(&f, &bytes);
        bytes.truncate(cut);
        decode_all(&f, &bytes);
    }
}

//! Secret seeds that do not depend on fresh randomness alone: hedged, as in Bellare et al.
//! (Asiacrypt 2009, doi:10.1007/978-3-642-10366-7_14).
//!
//! A machine that resumes from a snapshot draws the same randomness again. The same key and errors
//! under other values would reveal the difference of the values, the same polynomials under another
//! key the difference of the keys, the same key of a sealed share both contents. So each seed is a
//! digest, keyed with 32 fresh bytes, of all that it has to hide: seeds are equal only if
//! everything is equal. With good randomness the seed is uniform whatever is hashed; with none it
//! is as hard to guess as the values.

use chacha20::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use zeroize::{Zeroize, Zeroizing};

use crate::context::RoundContext;

/// A seed from 32 bytes of `rng` and what `absorb` hashes, for one use in one round.
pub(crate) fn hedged_seed(
    context: &RoundContext,
    use_context: &str,
    rng: &mut impl CryptoRng,
    absorb: impl FnOnce(&mut blake3::Hasher),
) -> Zeroizing<[u8; 32]> {
    let mut fresh = Zeroizing::new([0; 32]);
    rng.fill_bytes(fresh.as_mut_slice());
    let mut hasher = context.hasher(use_context);
    hasher.update(fresh.as_slice());
    absorb(&mut hasher);
    let seed = Zeroizing::new(*hasher.finalize().as_bytes());
    hasher.zeroize();
    seed
}

/// A generator with such a seed; its state is erased on drop.
pub(crate) fn hedged_rng(
    context: &RoundContext,
    use_context: &str,
    rng: &mut impl CryptoRng,
    absorb: impl FnOnce(&mut blake3::Hasher),
) -> ChaCha20Rng {
    let seed = hedged_seed(context, use_context, rng, absorb);
    ChaCha20Rng::from_seed(*seed)
}

#[cfg(test)]
mod tests {
    use crate::field::from_signed;
    use crate::tests::{index, rng, sharing};
    use crate::*;

    fn context() -> RoundContext {
        RoundContext::new([7; 32], 1, Preset::by_name("INSECURE-rlwe-sum/b16/n16").unwrap())
    }

    fn encrypted(sender: u16, values: &[f32], scale: f64, nonce: [u8; 32]) -> (Vec<i32>, Vec<u8>) {
        let mut file = Vec::new();
        let update = Update { values, scale, nonce: &nonce, measurement: None };
        // The same randomness each time, as when a machine resumes twice from one snapshot.
        let (key, _) = encrypt(&context(), index(sender), &update, &mut rng(1), &mut file).unwrap();
        (key.coefficients().to_vec(), file)
    }

    #[test]
    fn with_the_same_randomness_other_values_have_another_key() {
        let base = encrypted(1, &[1.0, 2.0], 1.0, [0; 32]);
        assert_eq!(base, encrypted(1, &[1.0, 2.0], 1.0, [0; 32]));
        for other in [
            encrypted(2, &[1.0, 2.0], 1.0, [0; 32]),
            encrypted(1, &[1.0, 2.5], 1.0, [0; 32]),
            encrypted(1, &[1.0, 2.0, 0.0], 1.0, [0; 32]),
            encrypted(1, &[1.0, 2.0], 2.0, [0; 32]),
            encrypted(1, &[1.0, 2.0], 1.0, [1; 32]),
        ] {
            assert_ne!(base.0, other.0);
            assert_ne!(base.1[32..], other.1[32..]);
        }
    }

    #[test]
    fn with_the_same_randomness_other_keys_are_shared_on_other_polynomials_and_sealed_in_other_boxes()
     {
        let context = context();
        let to = SealingKeyPair::from_secret(&[6; 32]);
        let dealt = |key: i32| {
            let key = OneTimeKey::from_coefficients(vec![key; 512]);
            let file = CiphertextDigest::new([3; 32]);
            let (commitment, package) =
                share(&context, index(1), sharing(2, 3), &key, file, &mut rng(2)).unwrap();
            let opening = package.opening_for(index(2)).unwrap();
            let sealed = seal_share(&context, &commitment, opening, to.public(), &mut rng(3));
            let values = opening.verify(&context, &commitment).unwrap().values;
            (values.to_vec(), sealed.unwrap())
        };
        let (one, two) = (dealt(1), dealt(2));
        // With the same polynomials, the shares would differ by the difference of the keys
        // everywhere.
        let apart = |(a, b): (&u16, &u16)| i32::from(*b) - i32::from(*a);
        let differences: Vec<i32> = one.0.iter().zip(&two.0).map(apart).collect();
        let same = differences.iter().filter(|d| **d == i32::from(from_signed(1))).count();
        assert!(same < 10, "{same} of 512");
        // The encapsulated key, which fixes the key that seals.
        assert_ne!(one.1[..1120], two.1[..1120]);
        assert_eq!(one.1, dealt(1).1);
    }
}

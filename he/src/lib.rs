//! `rlwe-sum`: encrypted sums, and nothing but sums.
//!
//! Pure functions on buffers and streams: no rounds, no network, no clock. The equations and where
//! each of them lives are in `he/README.md`, the argument for their security in `docs/CRYPTO.md`.
//!
//! One round of a federation, in the order of its phases:
//!
//! ```
//! use fedshield_he::*;
//! # fn main() -> Result<(), Error> {
//! # use rand_core::SeedableRng;
//! # let mut rng = chacha20::ChaCha20Rng::from_seed([1; 32]);
//! let preset = Preset::by_name("INSECURE-rlwe-sum/b16/n16")?; // for_federation(16, 4) in earnest
//! let context = RoundContext::new([7; 32], 0, preset);
//! // Any 3 of 4 members open a sum; one of them may be faulty.
//! let sharing = RobustSharing::new(Sharing::new(3, 4)?, 1)?;
//! let members: Vec<ShareIndex> = sharing.sharing().indices().collect();
//! let keys: Vec<_> = members.iter().map(|_| SealingKeyPair::generate(&mut rng)).collect();
//!
//! // Each contributor: encrypt, share, seal. The commitment is published, each sealed share is
//! // sent to its member; the secret package stays.
//! let (mut files, mut commitments, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
//! for &me in &members {
//!     // The weight of a member is public: it multiplies the scale.
//!     let scale = 100.0 * f64::from(me.get());
//!     let update = Update { values: &[0.5, -0.25], scale, nonce: &[me.get() as u8; 32], measurement: None };
//!     let mut file = Vec::new();
//!     let (key, _) = encrypt(&context, me, &update, &mut rng, &mut file)?;
//!     let digest = CiphertextDigest::new(*blake3::hash(&file).as_bytes());
//!     let (commitment, package) = share(&context, me, sharing.sharing(), &key, digest, &mut rng)?;
//!     drop(key);
//!     let to_each = package.openings().iter().zip(&keys).map(|(opening, key)| {
//!         seal_share(&context, &commitment, opening, key.public(), &mut rng)
//!     });
//!     sealed.push(to_each.collect::<Result<Vec<_>, _>>()?);
//!     files.push(file);
//!     commitments.push(commitment);
//! }
//! // The committee: add the ciphertexts of the decided set.
//! let entries = commitments.iter().map(|c| (c.dealer(), c.id(&context)));
//! let set = ContributorSet::new(&context, 3, entries)?;
//! let mut sum = Vec::new();
//! let inputs = set.contributors().zip(files.iter().map(|f| f.as_slice()));
//! aggregate(&context, &set, 2, inputs, &mut sum)?;
//! // Each member: open the sealed shares, verify them, release their sum.
//! let mut answers = Vec::new();
//! for (position, &me) in members.iter().enumerate().take(3) {
//!     let of = |(c, sealed): (&ShareCommitment, &Vec<Vec<u8>>)| {
//!         open_share(&context, c, me, &keys[position], &sealed[position])
//!     };
//!     let shares = commitments.iter().zip(&sealed).map(of).collect::<Result<Vec<_>, _>>()?;
//!     answers.push(partial_decrypt(&context, &set, me, &shares)?);
//! }
//! // Everyone: combine.
//! let largest = members.iter().map(|m| largest_value(preset, 100.0 * f64::from(m.get()), 0.5));
//! let shape = SumShape::new(2, largest);
//! let mut values = Vec::new();
//! let combined = combine(&context, &set, sharing, &answers, shape, sum.as_slice(), |block| {
//!     values.extend_from_slice(block);
//!     Ok(())
//! })?;
//! assert_eq!((combined.summary.out_of_range, values), (0, vec![500, -250]));
//! // Whoever has key and aggregate can open the sum again.
//! let opened = decrypt(&context, &set, &combined.key, shape, sum.as_slice(), |_| Ok(()))?;
//! assert_eq!(opened, combined.summary);
//! # Ok(())
//! # }
//! ```
#![warn(unreachable_pub)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod aggregate;
#[cfg(any(test, feature = "benches"))]
pub mod benches;
mod ciphertext;
mod combine;
mod commitment;
mod context;
mod crs;
mod culprits;
mod decode;
mod decrypt;
mod digest;
mod encode;
mod encrypt;
mod error;
mod field;
mod gaussian;
mod hedge;
mod kernel;
mod key;
mod layout;
mod low_degree;
mod measurement;
mod modular;
mod open;
mod pack;
mod params;
mod partial_decrypt;
mod ring;
mod seal;
mod set;
mod shamir;
mod shape;
mod share;
mod share_opening;
mod sharing;
mod stream;
mod subsets;
mod wire;
mod wrong_answer;

#[cfg(test)]
mod tests;

pub use aggregate::aggregate;
pub use ciphertext::check_ciphertext;
pub use combine::{CombinedSum, combine};
pub use commitment::ShareCommitment;
pub use context::RoundContext;
pub use culprits::Answers;
pub use decrypt::{SumSummary, decrypt};
pub use digest::{CiphertextDigest, CommitmentDigest, NonceDigest, SetId, ShareDigest, SumDigest};
pub use encode::Update;
#[cfg(any(test, feature = "malicious-testing"))]
pub use encrypt::encrypt_under_any_key;
pub use encrypt::{CiphertextSummary, OneTimeKey, ciphertext_len, encrypt};
pub use error::{Error, Fault};
pub use key::OpenedKey;
pub use measurement::{MEASUREMENT_SLOTS, MeasuredSum};
pub use params::{Preset, PresetError};
pub use partial_decrypt::{PartialDecryption, partial_decrypt};
pub use seal::{
    SEALING_PUBLIC_LEN, SEALING_SECRET_LEN, SealingKeyPair, SealingPublicKey, open_share,
    seal_share, sealed_len,
};
pub use set::ContributorSet;
pub use shape::{SumShape, largest_value};
pub use share::{KeyShare, SecretPackage, share};
pub use share_opening::ShareOpening;
pub use sharing::{RobustSharing, ShareIndex, Sharing};
pub use wrong_answer::{ReleasedAnswer, is_wrong_answer};

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
//! let (threshold, max_faulty) = (3, 1);
//! let keys: Vec<_> = (0..4).map(|_| SealingKeyPair::generate(&mut rng)).collect();
//! let publics: Vec<_> = keys.iter().map(|k| k.public().clone()).collect();
//!
//! // Each contributor: encode, encrypt, commit.
//! let (mut files, mut contributions) = (Vec::new(), Vec::new());
//! for sender in 1..=4u16 {
//!     // The weight of a member is public: it multiplies the scale.
//!     let scale = 100.0 * f64::from(sender);
//!     let update = Update { values: &[0.5, -0.25], scale, nonce: &[sender as u8; 32] };
//!     let mut file = Vec::new();
//!     let made = contribute(&context, sender, threshold, &publics, &update, &mut rng, &mut file)?;
//!     files.push(file);
//!     contributions.push(made);
//! }
//! // Each member: open and check its own boxes. The committee: add.
//! let commitments = contributions.iter().map(|c| (c.commitment.sender(), c.commitment.digest(&context)));
//! let set = ContributorSet::new(&context, 3, commitments)?;
//! let mut sum = Vec::new();
//! aggregate(&context, &set, 2, (1..).zip(files.iter().map(|f| f.as_slice())), &mut sum)?;
//! // Each member, after the decision: release. Everyone: combine.
//! let mut answers = Vec::new();
//! for member in 1..=3u16 {
//!     let at = usize::from(member) - 1;
//!     let shares = contributions
//!         .iter()
//!         .map(|c| open_share(&context, &c.commitment, member, &keys[at], &c.boxes[at]))
//!         .collect::<Result<Vec<_>, _>>()?;
//!     answers.push(partial_decrypt(&context, &set, member, &shares)?);
//! }
//! let largest = (1..=4).map(|sender| largest_value(preset, 100.0 * f64::from(sender), 0.5));
//! let shape = SumShape::new(2, largest);
//! let mut values = Vec::new();
//! let combined = combine(&context, &set, (threshold, max_faulty), &answers, shape, sum.as_slice(), |block| {
//!     values.extend_from_slice(block);
//!     Ok(())
//! })?;
//! assert_eq!((combined.sum.out_of_range, values), (0, vec![500, -250]));
//! // Whoever has key and aggregate can open the sum again.
//! let (values, opened) = decrypt_to_vec(&context, &set, &combined.key, shape, sum.as_slice())?;
//! assert_eq!((opened, values), (combined.sum, vec![500, -250]));
//! # Ok(())
//! # }
//! ```
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod aggregate;
mod ciphertext;
mod combine;
mod commitment;
mod context;
mod contribute;
mod crs;
mod culprits;
mod decode;
mod decrypt;
mod encode;
mod encrypt;
mod error;
mod field;
mod gaussian;
mod hashing;
mod hedge;
mod kernel;
mod key;
mod layout;
mod low_degree;
mod modular;
mod open;
mod pack;
pub mod params;
mod partial;
mod preimage;
mod ring;
mod seal;
mod set;
mod shamir;
mod shape;
mod share;
pub mod stages;
mod stream;
mod subsets;
mod wire;
mod wrong_answer;

#[cfg(test)]
mod tests;

pub use aggregate::{aggregate, aggregate_len};
pub use ciphertext::check_ciphertext;
pub use combine::{Combined, combine};
pub use commitment::ShareCommitment;
pub use context::RoundContext;
pub use contribute::{Contribution, KeyCommitment, commit_key, contribute};
pub use crs::CrsSeed;
pub use culprits::Answers;
pub use decrypt::{OpenedSum, decrypt, decrypt_to_vec};
pub use encode::Update;
#[cfg(any(test, feature = "liars"))]
pub use encrypt::encrypt_under_any_key;
pub use encrypt::{CiphertextSummary, OneTimeKey, ciphertext_len, encrypt};
pub use error::{Error, Fault};
pub use hashing::{HashingWriter, digest_of};
pub use kernel::Kernel;
pub use key::OpenedKey;
pub use layout::{EXTRA_SLOTS, MAX_VALUES};
pub use params::{Preset, PresetError, presets};
pub use partial::{PartialDecryption, partial_decrypt};
pub use preimage::{Preimage, check_preimage};
pub use seal::{
    SEALING_OVERHEAD, SEALING_PUBLIC_LEN, SEALING_SECRET_LEN, SealingKeyPair, SealingPublicKey,
    open_share, seal_share, sealed_len,
};
pub use set::ContributorSet;
pub use shape::{SumShape, largest_value};
pub use share::{Dealing, Share, deal};
pub use subsets::MAX_SETS_TRIED;
pub use wrong_answer::{ReleasedAnswers, is_wrong_answer};

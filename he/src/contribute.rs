//! A contributor's whole part in one call: encrypt, commit, share, seal.

use std::io::Write;

use rand_core::CryptoRng;

use crate::commitment::ShareCommitment;
use crate::context::RoundContext;
use crate::encode::Update;
use crate::encrypt::{CiphertextSummary, OneTimeKey, encrypt};
use crate::error::Error;
use crate::hashing::HashingWriter;
use crate::preimage::Preimage;
use crate::seal::{SealingPublicKey, seal_share};
use crate::share::deal;

/// What a contributor publishes, sends and keeps.
#[derive(Debug)]
pub struct Contribution {
    /// About the ciphertext that was written.
    pub summary: CiphertextSummary,
    /// To publish.
    pub commitment: ShareCommitment,
    /// One sealed box for each member, in the order of the share indices.
    pub boxes: Vec<Vec<u8>>,
    /// To answer complaints with. Secret: into sealed storage ([`Preimage::to_bytes`]) or nowhere; erased
    /// when the round ends.
    pub preimages: Vec<Preimage>,
}

/// A committed and sealed key: [`Contribution`] without the ciphertext.
#[derive(Debug)]
pub struct KeyCommitment {
    /// To publish.
    pub commitment: ShareCommitment,
    /// One sealed box for each member, in the order of the share indices.
    pub boxes: Vec<Vec<u8>>,
    /// To answer complaints with: as in [`Contribution`].
    pub preimages: Vec<Preimage>,
}

/// Encrypts `update` to `out` and deals its key; the ciphertext is committed to by the BLAKE3 of its
/// bytes. Where it is committed to by another digest, call [`encrypt`] and [`commit_key`].
///
/// # Errors
/// Those of [`encrypt`], [`deal`] and [`seal_share`].
pub fn contribute(
    context: &RoundContext,
    sender: u16,
    threshold: u16,
    receivers: &[SealingPublicKey],
    update: &Update<'_>,
    rng: &mut impl CryptoRng,
    out: &mut impl Write,
) -> Result<Contribution, Error> {
    let mut out = HashingWriter::new(out);
    let (key, summary) = encrypt(context, sender, update, rng, &mut out)?;
    let digest = out.digest();
    let KeyCommitment { commitment, boxes, preimages } =
        commit_key(context, sender, threshold, receivers, key, &digest, rng)?;
    Ok(Contribution { summary, commitment, boxes, preimages })
}

/// The second half of [`contribute`]: deals the key of a ciphertext whose digest is known by now, and
/// seals each member its part. The key is consumed and erased.
///
/// # Errors
/// Those of [`deal`] and [`seal_share`].
pub fn commit_key(
    context: &RoundContext,
    sender: u16,
    threshold: u16,
    receivers: &[SealingPublicKey],
    key: OneTimeKey,
    ciphertext_digest: &[u8; 32],
    rng: &mut impl CryptoRng,
) -> Result<KeyCommitment, Error> {
    let members = u16::try_from(receivers.len())
        .map_err(|_| Error::argument("receivers", "more than any preset holds"))?;
    let dealing = deal(context, sender, (threshold, members), &key, ciphertext_digest, rng)?;
    drop(key);
    let boxes = dealing
        .preimages
        .iter()
        .zip(receivers)
        .map(|(preimage, to)| seal_share(context, &dealing.commitment, preimage, to, rng))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(KeyCommitment { commitment: dealing.commitment, boxes, preimages: dealing.preimages })
}

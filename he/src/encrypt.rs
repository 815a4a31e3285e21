//! encrypt: c_j = a_j k + e_j + 2^s pack(u_j), block by block, straight to packed wire bytes.

use std::fmt;
use std::io::Write;

use rand_core::CryptoRng;
use rayon::prelude::*;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::ciphertext::{CIPHERTEXT_HEADER_LEN, ciphertext_header};
use crate::context::RoundContext;
use crate::encode::{Encoder, Update};
use crate::error::Error;
use crate::gaussian;
use crate::hedge::hedged_seed;
use crate::kernel::BlockKernel;
use crate::layout::Layout;
use crate::measurement::limbs;
use crate::params::Preset;
use crate::ring::Multiplier;
use crate::sharing::ShareIndex;
use crate::stream::fill_rounding;

/// The ring key of one ciphertext: drawn by [`encrypt`], shared by [`share`](crate::share), then
/// dropped. Never used for a second ciphertext. Erased on drop.
pub struct OneTimeKey(Zeroizing<Vec<i32>>);

impl OneTimeKey {
    /// Coefficients in -42..=42.
    pub(crate) fn coefficients(&self) -> &[i32] {
        &self.0
    }

    /// A key that was not sampled, as only a malicious contributor would use: for tests of how
    /// others handle it.
    #[cfg(any(test, feature = "malicious-testing"))]
    pub fn from_coefficients(coefficients: Vec<i32>) -> Self {
        Self(Zeroizing::new(coefficients))
    }
}

impl fmt::Debug for OneTimeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeKey(..)")
    }
}

/// What an encryption wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CiphertextSummary {
    /// Bytes written.
    pub bytes: u64,
    /// Values that did not fit `value_bits` bits and were clamped: above zero means that scale and
    /// clipping bound do not match.
    pub clamped: u64,
}

/// Encrypts an update under a fresh key, its seed hedged (see `hedge`), and writes the ciphertext,
/// a few blocks at a time, to `out`.
///
/// The scheme is that of Stevens et al. (USENIX Security 2022, arXiv 2112.06872) and Willow
/// (Bell-Clark et al., ePrint 2024/936) over rings (Lyubashevsky, Peikert and Regev, ePrint
/// 2012/230): the key is a contributor's own, used once.
///
/// Noise: each of the N coefficients of a block has an error with standard deviation 6.4 and
/// absolute value at most 58, and is truncated by its lowest l bits, 0 ..= 2^l - 1.
///
/// Memory beside input and output: less than half a MiB for each thread.
///
/// # Errors
/// [`Error::NotFinite`] names the first NaN or infinity; [`Error::Argument`] an invalid scale or
/// share index; [`Error::Io`] a failed write. Output written before an error must be discarded.
pub fn encrypt(
    context: &RoundContext,
    contributor: ShareIndex,
    update: &Update<'_>,
    rng: &mut impl CryptoRng,
    out: &mut impl Write,
) -> Result<(OneTimeKey, CiphertextSummary), Error> {
    let seed = hedged_seed(context, "fedshield-he v1 encryption seed", rng, |hasher| {
        hasher.update(&contributor.get().to_le_bytes()).update(&update.scale.to_le_bytes());
        hasher.update(update.nonce);
        if context.is_measured() {
            hasher.update(&limbs(update.measurement));
        }
        // Words in native byte order: the seed never leaves this machine.
        hasher.update(bytemuck::cast_slice(update.values));
    });
    encrypt_from_seed(context, contributor, update, &seed, out)
}

/// Encryption as a function of its 32-byte seed, for test vectors.
pub(crate) fn encrypt_from_seed(
    context: &RoundContext,
    contributor: ShareIndex,
    update: &Update<'_>,
    seed: &[u8; 32],
    out: &mut impl Write,
) -> Result<(OneTimeKey, CiphertextSummary), Error> {
    let keys = StreamKeys::derive(context, seed);
    let degree = context.preset().ring_degree();
    let key = OneTimeKey(gaussian::key(context.kernel(), &keys.key, degree));
    let summary = encrypt_under(context, contributor, update, &key, keys, out)?;
    Ok((key, summary))
}

/// Encryption by a malicious contributor that chooses its key freely.
///
/// # Errors
/// Those of [`encrypt`].
#[cfg(any(test, feature = "malicious-testing"))]
pub fn encrypt_under_any_key(
    context: &RoundContext,
    contributor: ShareIndex,
    update: &Update<'_>,
    key: &OneTimeKey,
    seed: &[u8; 32],
    out: &mut impl Write,
) -> Result<CiphertextSummary, Error> {
    encrypt_under(context, contributor, update, key, StreamKeys::derive(context, seed), out)
}

/// Encryption under a given key, with given streams of errors and rounding.
fn encrypt_under(
    context: &RoundContext,
    contributor: ShareIndex,
    update: &Update<'_>,
    key: &OneTimeKey,
    keys: StreamKeys,
    out: &mut impl Write,
) -> Result<CiphertextSummary, Error> {
    let preset = context.preset();
    if contributor.get() > preset.members() {
        return Err(Error::argument("contributor", "not a share index of this preset"));
    }
    let layout = context.layout(update.values.len() as u64)?;
    if update.measurement.is_some() && !context.is_measured() {
        return Err(Error::argument("measurement", "updates of this round carry none"));
    }
    let work = Work {
        context,
        layout,
        encoder: Encoder::new(preset, layout, *update)?,
        multiplier: context.ring().multiplier(key.coefficients()),
        keys,
    };
    out.write_all(&ciphertext_header(context, contributor, layout.value_count()))?;
    let clamped = work.run(out)?;
    let bytes = CIPHERTEXT_HEADER_LEN as u64 + layout.blocks_len(preset.wire_bits());
    Ok(CiphertextSummary { bytes, clamped })
}

/// Bytes of a ciphertext with so many values and no measurement, header included.
///
/// # Errors
/// [`Error::Argument`] for more values than an update may have.
pub fn ciphertext_len(preset: &'static Preset, value_count: u64) -> Result<u64, Error> {
    let layout = Layout::new(preset, value_count)?;
    Ok(CIPHERTEXT_HEADER_LEN as u64 + layout.blocks_len(preset.wire_bits()))
}

impl RoundContext {
    /// Bytes of a ciphertext of this round with so many values, header included.
    ///
    /// # Errors
    /// [`Error::Argument`] for more values than an update may have.
    pub fn ciphertext_len(&self, value_count: u64) -> Result<u64, Error> {
        let layout = self.layout(value_count)?;
        Ok(CIPHERTEXT_HEADER_LEN as u64 + layout.blocks_len(self.preset().wire_bits()))
    }
}

/// Blocks that a thread works on before they are written: about 200 KiB of packed bytes.
const BLOCKS_PER_RUN: u64 = 8;

/// The keys of the three secret streams of one encryption.
#[derive(Zeroize, ZeroizeOnDrop)]
struct StreamKeys {
    key: [u8; 32],
    errors: [u8; 32],
    rounding: [u8; 32],
}

impl StreamKeys {
    fn derive(context: &RoundContext, seed: &[u8; 32]) -> Self {
        let derive = |name: &str| {
            let mut hasher = context.hasher(name);
            hasher.update(seed);
            let key = *hasher.finalize().as_bytes();
            hasher.zeroize();
            key
        };
        Self {
            key: derive("fedshield-he v1 key stream"),
            errors: derive("fedshield-he v1 error stream"),
            rounding: derive("fedshield-he v1 rounding stream"),
        }
    }
}

/// Everything the blocks of one encryption share.
struct Work<'a> {
    context: &'a RoundContext,
    layout: Layout,
    encoder: Encoder<'a>,
    multiplier: Multiplier,
    keys: StreamKeys,
}

impl Work<'_> {
    /// Encrypts all blocks and writes them in order. Returns the number of clamped values.
    fn run(&self, sink: &mut impl Write) -> Result<u64, Error> {
        let preset = self.context.preset();
        let bits = preset.wire_bits();
        let full = self.layout.block_len(0, bits);
        let threads = rayon::current_num_threads();
        // Runs of blocks, so that a thread is woken a few times per MiB and not for each block.
        let run = BLOCKS_PER_RUN.min(self.layout.blocks().div_ceil(threads as u64)) as usize;
        let mut scratch: Vec<Scratch> = (0..threads).map(|_| Scratch::new(preset)).collect();
        let mut packed = vec![0; full * run * threads];
        let (mut block, mut clamped) = (0, 0);
        while block < self.layout.blocks() {
            let count = ((run * threads) as u64).min(self.layout.blocks() - block);
            let len = (count as usize - 1) * full + self.layout.block_len(block + count - 1, bits);
            let work = |(i, (out, scratch)): (usize, (&mut [u8], &mut Scratch))| {
                self.run_of_blocks(block + (i * run) as u64, scratch, out, full)
            };
            clamped += if threads == 1 {
                work((0, (&mut packed[..len], &mut scratch[0])))?
            } else {
                let runs = packed[..len].par_chunks_mut(full * run).zip(&mut scratch);
                runs.enumerate().map(work).try_reduce(|| 0, |a, b| Ok(a + b))?
            };
            sink.write_all(&packed[..len])?;
            block += count;
        }
        Ok(clamped)
    }

    /// Consecutive blocks on one thread.
    fn run_of_blocks(
        &self,
        first: u64,
        scratch: &mut Scratch,
        out: &mut [u8],
        full: usize,
    ) -> Result<u64, Error> {
        let blocks = (first..).zip(out.chunks_mut(full));
        blocks.map(|(block, out)| self.block(block, scratch, out)).sum()
    }

    /// One block: expand, multiply, sample, encode, add, pack; it stays in the cache throughout.
    fn block(&self, block: u64, scratch: &mut Scratch, out: &mut [u8]) -> Result<u64, Error> {
        let Scratch { product, error, message, rounding } = scratch;
        let (preset, kernel) = (self.context.preset(), self.context.kernel());
        fill_rounding(&self.keys.rounding, block, rounding);
        let clamped = self.encoder.block(kernel, block, rounding, message)?;
        self.context.crs_seed().expand(kernel, block, preset.modulus(), product);
        self.context.ring().multiply(product, &self.multiplier);
        gaussian::errors(kernel, &self.keys.errors, block, error);
        let encryption = BlockEncryption::new(preset);
        kernel.add_noise_and_truncate(product, error, message, &encryption);
        kernel.pack(&product[..self.layout.coefficients(block)], preset.wire_bits(), out);
        Ok(clamped)
    }
}

/// The constants of adding errors and messages to a product, and of truncating the sum.
#[derive(Clone, Copy)]
pub(crate) struct BlockEncryption {
    pub(crate) modulus: u64,
    pub(crate) scale_bits: u32,
    pub(crate) dropped_bits: u32,
}

impl BlockEncryption {
    pub(crate) fn new(preset: &Preset) -> Self {
        Self {
            modulus: preset.modulus(),
            scale_bits: preset.scale_bits(),
            dropped_bits: preset.dropped_bits(),
        }
    }
}

/// Buffers for the block in progress. Erased on drop: they hold errors and messages.
struct Scratch {
    product: Zeroizing<Vec<u64>>,
    error: Zeroizing<Vec<u64>>,
    message: Zeroizing<Vec<u64>>,
    rounding: Zeroizing<Vec<u16>>,
}

impl Scratch {
    fn new(preset: &Preset) -> Self {
        let room = || Zeroizing::new(vec![0; preset.ring_degree()]);
        let rounding = Zeroizing::new(vec![0; preset.slots_per_block()]);
        Self { product: room(), error: room(), message: room(), rounding }
    }
}

//! decrypt, done by every member: exact integers from the aggregate and the accepted key.

use std::io::BufRead;

use crate::ciphertext::BlockReader;
use crate::context::RoundContext;
use crate::digest::{NonceDigest, SumDigest};
use crate::error::Error;
use crate::kernel::{BlockKernel, Kernel};
use crate::key::OpenedKey;
use crate::layout::{Layout, NONCE_LIMBS};
use crate::measurement::MeasuredSum;
use crate::open::BlockOpening;
use crate::params::Preset;
use crate::ring::Multiplier;
use crate::set::ContributorSet;
use crate::shape::SumShape;

/// What an opened sum holds besides its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SumSummary {
    /// Number of values.
    pub value_count: u64,
    /// Sums of the contributors' nonces, byte by byte: position k is the sum of all k-th bytes.
    pub nonce: [u32; NONCE_LIMBS],
    /// BLAKE3 over the nonce sums: material for the beacon.
    pub nonce_digest: NonceDigest,
    /// Digest of the opened sum: set, values and nonce. Equal at all members.
    pub digest: SumDigest,
    /// Slots whose sum cannot come from honest contributors: beyond [`SumShape::largest`], or a
    /// limb of the nonce above 255 |U|. Above zero, some contributor is malicious and the sum must
    /// not be applied. Slots of a measurement do not count here.
    pub out_of_range: u64,
    /// The sum of the contributors' measurements; `None` in rounds without one, and where its slots
    /// cannot come from honest contributors, which says nothing of the values.
    pub measured: Option<MeasuredSum>,
}

/// Opens the aggregate under a key that was accepted before, block by block, and hands the sums of
/// the values to `sink`, in order; every residual is checked on the way. What the sink got must be
/// used only if this returns `Ok`.
///
/// # Errors
/// [`Error::Residual`] when the key does not open a block; [`Error::Remote`] for a malformed
/// aggregate; [`Error::Argument`] for the key of another set. Errors of the sink are passed on.
pub fn decrypt(
    context: &RoundContext,
    set: &ContributorSet,
    key: &OpenedKey,
    shape: SumShape,
    aggregate: impl BufRead,
    sink: impl FnMut(&[i64]) -> std::io::Result<()>,
) -> Result<SumSummary, Error> {
    if key.set() != set.id() {
        return Err(Error::argument("key", "opens another set"));
    }
    let blocks = BlockReader::aggregate(context, set, shape.value_count, aggregate)?;
    Opener::new(context, set, (blocks.layout(), shape), key.coefficients())
        .read_from(0, blocks, sink)
}

/// Opens the blocks of one sum with one key.
pub(crate) struct Opener<'a> {
    context: &'a RoundContext,
    multiplier: Multiplier,
    opening: BlockOpening,
    unpacker: Unpacker,
    products: Vec<u64>,
}

impl<'a> Opener<'a> {
    pub(crate) fn new(
        context: &'a RoundContext,
        set: &ContributorSet,
        (layout, shape): (Layout, SumShape),
        key: &[i32],
    ) -> Self {
        Self {
            context,
            multiplier: context.ring().multiplier(key),
            opening: BlockOpening::new(context.preset(), set.len()),
            unpacker: Unpacker::new(context, set, layout, shape),
            products: vec![0; context.preset().ring_degree()],
        }
    }

    /// Opens one block and returns the sums of its values; the wire words in `sum` are overwritten.
    /// Blocks must be opened in order.
    pub(crate) fn block(&mut self, block: u64, sum: &mut [u64]) -> Result<&[i64], Error> {
        let (context, products) = (self.context, &mut self.products);
        if !self.opening.open(context, &self.multiplier, block, sum, products) {
            return Err(Error::Residual { block });
        }
        Ok(self.unpacker.block(block, sum))
    }

    /// Reads the blocks from `first` on, to the end.
    pub(crate) fn read_from(
        mut self,
        first: u64,
        mut blocks: BlockReader<impl BufRead>,
        mut sink: impl FnMut(&[i64]) -> std::io::Result<()>,
    ) -> Result<SumSummary, Error> {
        let layout = blocks.layout();
        let mut sum = vec![0; self.context.preset().ring_degree()];
        for block in first..layout.blocks() {
            let sum = &mut sum[..layout.coefficients(block)];
            sum.fill(0);
            blocks.add_block(self.context, block, sum)?;
            sink(self.block(block, sum)?)?;
        }
        blocks.end()?;
        Ok(self.unpacker.finish(self.context))
    }
}

/// One slot of a message, and the range that its sum must lie in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotRange {
    pub(crate) shift: u32,
    pub(crate) mask: u64,
    /// Subtracted from the slot.
    pub(crate) offset: i64,
    /// Largest absolute value after that.
    pub(crate) limit: i64,
}

/// Splits messages into slots.
struct Unpacker {
    preset: &'static Preset,
    layout: Layout,
    contributors: i64,
    /// Largest absolute value of a value's sum.
    largest: i64,
    slots: Vec<i64>,
    limbs: Vec<u64>,
    out_of_range: u64,
    digest: blake3::Hasher,
    canonical: Vec<i32>,
    kernel: Kernel,
}

impl Unpacker {
    fn new(context: &RoundContext, set: &ContributorSet, layout: Layout, shape: SumShape) -> Self {
        let mut digest = context.hasher("fedshield-he v1 opened sum");
        digest.update(set.id().as_bytes()).update(&layout.value_count().to_le_bytes());
        Self {
            preset: context.preset(),
            layout,
            contributors: set.len().into(),
            largest: shape.largest,
            slots: vec![0; context.preset().slots_per_block()],
            limbs: Vec::with_capacity(layout.limbs()),
            out_of_range: 0,
            digest,
            canonical: vec![0; context.preset().slots_per_block()],
            kernel: context.kernel(),
        }
    }

    /// The value sums of one block.
    fn block(&mut self, block: u64, messages: &[u64]) -> &[i64] {
        let count = messages.len();
        let slots = self.preset.slots_per_coefficient();
        let left = self.layout.value_count().saturating_sub(self.layout.base(block));
        let values = usize::try_from(left).unwrap_or(usize::MAX).min(count * slots);
        for s in 0..slots {
            // The highest slot keeps everything above it, so that an overflow is detected.
            let width = self.preset.slot_bits();
            let mask = if s + 1 == slots { u64::MAX } else { (1 << width) - 1 };
            let shift = width * s as u32;
            let value_range = SlotRange {
                shift,
                mask,
                offset: self.contributors * self.preset.value_offset(),
                limit: self.largest,
            };
            let limb_range = SlotRange { shift, mask, offset: 0, limit: i64::MAX };
            // Values come first; the limbs after them are taken unchanged.
            let here = values.saturating_sub(s * count).min(count);
            let (value_messages, limb_messages) = messages.split_at(here);
            let out = &mut self.slots[s * count..][..count];
            let canonical = &mut self.canonical[s * count..][..count];
            let (value_out, limb_out) = out.split_at_mut(here);
            let (value_short, limb_short) = canonical.split_at_mut(here);
            let kernel = self.kernel;
            self.out_of_range +=
                kernel.extract_slot(value_messages, &value_range, value_out, value_short);
            kernel.extract_slot(limb_messages, &limb_range, limb_out, limb_short);
        }
        self.take_limbs(values, count * slots);
        self.digest.update(bytemuck::cast_slice(&self.canonical[..values]));
        &self.slots[..values]
    }

    fn take_limbs(&mut self, from: usize, to: usize) {
        let missing = self.layout.limbs() - self.limbs.len();
        for &limb in self.slots[from..to].iter().take(missing) {
            let is_nonce = self.limbs.len() < NONCE_LIMBS;
            self.out_of_range += u64::from(is_nonce && limb > 255 * self.contributors);
            self.limbs.push(limb as u64);
        }
    }

    fn finish(mut self, context: &RoundContext) -> SumSummary {
        let mut nonce = [0; NONCE_LIMBS];
        let mut nonce_hasher = context.hasher("fedshield-he v1 nonce sum");
        for (n, &limb) in nonce.iter_mut().zip(&self.limbs) {
            *n = limb as u32;
            nonce_hasher.update(&n.to_le_bytes());
        }
        let nonce_digest = NonceDigest::new(*nonce_hasher.finalize().as_bytes());
        self.digest.update(nonce_digest.as_bytes());
        self.digest.update(&self.out_of_range.to_le_bytes());
        let measured = self.limbs.get(NONCE_LIMBS..).unwrap_or_default();
        for limb in measured {
            self.digest.update(&limb.to_le_bytes());
        }
        let contributors = u16::try_from(self.contributors).unwrap_or(u16::MAX);
        let measured = MeasuredSum::of(measured, contributors);
        SumSummary {
            value_count: self.layout.value_count(),
            nonce,
            nonce_digest,
            digest: SumDigest::new(*self.digest.finalize().as_bytes()),
            out_of_range: self.out_of_range,
            measured,
        }
    }
}

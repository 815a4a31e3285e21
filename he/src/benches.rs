//! What benchmarks and timing tests need of the internals: kernels by name, and the stages of
//! [`encrypt`](crate::encrypt) one by one, which it runs fused on each block. Behind the feature
//! `benches`, which the daemon never enables.

use crate::context::RoundContext;
use crate::encode::{Encoder, Update};
use crate::encrypt::BlockEncryption;
use crate::error::Error;
use crate::gaussian;
use crate::kernel::BlockKernel;
pub use crate::kernel::Kernel;
use crate::layout::Layout;
use crate::params::Preset;
use crate::ring::Multiplier;
use crate::stream::fill_rounding;

/// A round whose inner loops run on a chosen kernel; every kernel gives the same bytes.
pub fn context_on(
    kernel: Kernel,
    manifest_digest: [u8; 32],
    round: u64,
    preset: &'static Preset,
) -> RoundContext {
    RoundContext::with_kernel(manifest_digest, round, preset, kernel)
}

/// The kernel of a round.
pub fn kernel_of(context: &RoundContext) -> Kernel {
    context.kernel()
}

/// One stage of the work on a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockStage {
    /// The common polynomial.
    Expand,
    /// Rounding words and quantisation.
    Encode,
    /// Product with the key and inverse transform.
    Multiply,
    /// The errors.
    Sample,
    /// Addition of error and message, and truncation.
    Add,
    /// Packing.
    Pack,
}

impl BlockStage {
    /// All stages in the order of the work.
    pub const ALL: [Self; 6] =
        [Self::Expand, Self::Encode, Self::Multiply, Self::Sample, Self::Add, Self::Pack];

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expand => "expand",
            Self::Encode => "encode",
            Self::Multiply => "multiply",
            Self::Sample => "sample",
            Self::Add => "add",
            Self::Pack => "pack",
        }
    }
}

/// One step that works on secrets, for tests of its timing: see [`on_secrets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretStep {
    /// Random words to errors.
    Sample,
    /// Key residues, below the modulus, to Shoup quotients.
    Quotients,
    /// Forward transform of key residues.
    Transform,
}

impl SecretStep {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sample, Self::Quotients, Self::Transform];
}

/// Runs one step in place on `words`, a block of secrets.
pub fn on_secrets(context: &RoundContext, step: SecretStep, words: &mut [u64]) {
    let (kernel, q) = (context.kernel(), context.preset().modulus());
    match step {
        SecretStep::Sample => kernel.sample_gaussian(words, &gaussian::ERROR_TABLE),
        SecretStep::Quotients => kernel.shoup_quotients(words, q),
        SecretStep::Transform => context.ring().forward(words),
    }
}

/// Buffers of one block, to run single stages on.
pub struct BlockBench<'a> {
    context: &'a RoundContext,
    layout: Layout,
    encoder: Encoder<'a>,
    multiplier: Multiplier,
    product: Vec<u64>,
    error: Vec<u64>,
    message: Vec<u64>,
    rounding: Vec<u16>,
    packed: Vec<u8>,
}

impl<'a> BlockBench<'a> {
    /// Prepares the stages for an update, under a key that protects nothing.
    ///
    /// # Errors
    /// As [`encrypt`](crate::encrypt).
    pub fn new(context: &'a RoundContext, update: Update<'a>) -> Result<Self, Error> {
        let preset = context.preset();
        let layout = context.layout(update.values.len() as u64)?;
        let degree = preset.ring_degree();
        let key = gaussian::key(context.kernel(), &[0; 32], degree);
        Ok(Self {
            context,
            layout,
            encoder: Encoder::new(preset, layout, update)?,
            multiplier: context.ring().multiplier(&key),
            product: vec![0; degree],
            error: vec![0; degree],
            message: vec![0; degree],
            rounding: vec![0; preset.slots_per_block()],
            packed: vec![0; layout.block_len(0, preset.wire_bits())],
        })
    }

    /// Runs one stage on as many blocks as the update has.
    ///
    /// # Errors
    /// As [`encrypt`](crate::encrypt).
    pub fn run(&mut self, stage: BlockStage) -> Result<(), Error> {
        for block in 0..self.layout.blocks() {
            self.block(stage, block)?;
        }
        Ok(())
    }

    fn block(&mut self, stage: BlockStage, block: u64) -> Result<(), Error> {
        let (preset, kernel) = (self.context.preset(), self.context.kernel());
        let q = preset.modulus();
        match stage {
            BlockStage::Expand => {
                self.context.crs_seed().expand(kernel, block, q, &mut self.product)
            }
            BlockStage::Encode => {
                fill_rounding(&[0; 32], block, &mut self.rounding);
                self.encoder.block(kernel, block, &self.rounding, &mut self.message)?;
            }
            BlockStage::Multiply => {
                self.context.ring().multiply(&mut self.product, &self.multiplier)
            }
            BlockStage::Sample => gaussian::errors(kernel, &[0; 32], block, &mut self.error),
            BlockStage::Add => {
                let encryption = BlockEncryption::new(preset);
                let (product, error) = (&mut self.product, &self.error);
                kernel.add_noise_and_truncate(product, error, &self.message, &encryption);
            }
            BlockStage::Pack => kernel.pack(&self.product, preset.wire_bits(), &mut self.packed),
        }
        Ok(())
    }
}

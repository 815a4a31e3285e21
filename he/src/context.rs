//! What all members have in common in one round: manifest, round number, preset, and what is
//! derived from them.

use std::fmt;
use std::sync::Arc;

use crate::crs::CrsSeed;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::layout::Layout;
use crate::params::Preset;
use crate::ring::Ring;

/// The round that all objects belong to. Cheap to clone. Contexts that differ in manifest digest,
/// round or preset are disjoint: an object of one is refused by the other.
#[derive(Clone)]
pub struct RoundContext {
    manifest_digest: [u8; 32],
    round: u64,
    preset: &'static Preset,
    tag: [u8; 32],
    seed: CrsSeed,
    ring: Arc<Ring>,
    measured: bool,
}

impl RoundContext {
    /// Prepares a round; its inner loops run on the fastest kernel of this machine.
    pub fn new(manifest_digest: [u8; 32], round: u64, preset: &'static Preset) -> Self {
        Self::with_kernel(manifest_digest, round, preset, Kernel::best())
    }

    /// Prepares a round on a chosen kernel; every kernel gives the same bytes.
    pub(crate) fn with_kernel(
        manifest_digest: [u8; 32],
        round: u64,
        preset: &'static Preset,
        kernel: Kernel,
    ) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("fedshield-he v1 round tag");
        hasher.update(&manifest_digest).update(&round.to_le_bytes());
        hasher.update(preset.name().as_bytes());
        Self {
            manifest_digest,
            round,
            preset,
            tag: *hasher.finalize().as_bytes(),
            seed: CrsSeed::new(&manifest_digest, round, preset),
            ring: Arc::new(Ring::new(preset, kernel)),
            measured: false,
        }
    }

    /// The same round of a federation whose updates carry a measurement: part of what the manifest
    /// says, so all members have it in common.
    #[must_use]
    pub fn with_measurement(self) -> Self {
        Self { measured: true, ..self }
    }

    /// Whether updates carry a measurement.
    pub(crate) fn is_measured(&self) -> bool {
        self.measured
    }

    /// The slots of an update with so many values.
    pub(crate) fn layout(&self, value_count: u64) -> Result<Layout, Error> {
        let layout = Layout::new(self.preset, value_count)?;
        Ok(if self.measured { layout.with_measurement() } else { layout })
    }

    /// The preset of the manifest.
    pub fn preset(&self) -> &'static Preset {
        self.preset
    }

    /// Digest of the manifest.
    pub(crate) fn manifest_digest(&self) -> &[u8; 32] {
        &self.manifest_digest
    }

    /// The round number.
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// Seed of the common polynomials.
    pub(crate) fn crs_seed(&self) -> &CrsSeed {
        &self.seed
    }

    /// The implementation that runs the inner loops.
    pub(crate) fn kernel(&self) -> Kernel {
        self.ring.kernel()
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Names manifest, round and preset in 32 bytes; the first 12 are in every header.
    pub(crate) fn tag(&self) -> &[u8; 32] {
        &self.tag
    }

    /// A hasher for one use, bound to this round.
    pub(crate) fn hasher(&self, use_context: &str) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_derive_key(use_context);
        hasher.update(&self.tag);
        hasher
    }
}

impl fmt::Debug for RoundContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoundContext")
            .field("round", &self.round)
            .field("preset", &self.preset.name())
            .finish_non_exhaustive()
    }
}

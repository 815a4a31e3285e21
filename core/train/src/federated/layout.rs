//! The position of every adapter value in the flat vectors that are pruned, encrypted and added.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::model::{ModelConfig, Projection, layer_name};
use crate::{Result, TrainError};

/// The adapter to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdapterSpec {
    /// Rank of the factors.
    pub rank: usize,
    /// Numerator of the scale: the adapter's output is multiplied by alpha / rank.
    pub alpha: f64,
    /// Projections that get an adapter, in every layer.
    pub target_modules: Vec<Projection>,
    /// rsLoRA (Kalajdzievski, arXiv:2312.03732): the output is multiplied by alpha / sqrt(rank)
    /// instead.
    #[serde(default)]
    pub rslora: bool,
}

impl AdapterSpec {
    pub(super) fn validate(&self) -> Result<()> {
        check_shape(self.rank, self.alpha, self.target_modules.len())
    }
}

fn check_shape(rank: usize, alpha: f64, modules: usize) -> Result<()> {
    if rank == 0 || rank > 4096 {
        return Err(TrainError::setting("rank", format!("{rank} is not in 1..=4096")));
    }
    if !(alpha.is_finite() && alpha > 0.0) {
        return Err(TrainError::setting("alpha", "must be a positive number"));
    }
    if modules == 0 {
        return Err(TrainError::setting("target_modules", "at least one is needed"));
    }
    Ok(())
}

impl Default for AdapterSpec {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, target_modules: Projection::ATTENTION.to_vec(), rslora: false }
    }
}

impl std::fmt::Display for AdapterSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.target_modules.iter().map(|p| p.name()).collect();
        let rslora = if self.rslora { ", rsLoRA" } else { "" };
        write!(f, "rank {}, alpha {}{rslora}, {}", self.rank, self.alpha, names.join(" "))
    }
}

/// One of the matrices of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Factor {
    /// `[rank, inputs]`, initially random.
    A,
    /// `[outputs, rank]`, initially zero; with `fed-sb` random and never trained.
    B,
    /// `[rank, rank]`, between A and B; only with `fed-sb`.
    R,
}

impl Factor {
    /// All factors, in the order in which they are stored.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::R];
}

/// One adapted projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleShape {
    /// Layer, from 0.
    pub layer: usize,
    /// Projection inside the layer.
    pub projection: Projection,
    /// Width of its input: columns of A.
    pub inputs: usize,
    /// Width of its output: rows of B.
    pub outputs: usize,
}

impl ModuleShape {
    /// The module's name as PEFT writes it, for example
    /// `base_model.model.model.layers.0.self_attn.q_proj`.
    pub fn peft_name(&self) -> String {
        format!("base_model.model.{}", layer_name(self.layer, &self.projection.path()))
    }
}

/// The modules of an adapter and their positions in the flat vectors.
///
/// Modules are ordered by layer number, then by the bytes of the path inside the layer
/// (`mlp.down_proj` < `mlp.gate_proj` < `mlp.up_proj` < `self_attn.k_proj` < `self_attn.o_proj` <
/// `self_attn.q_proj` < `self_attn.v_proj`). The vector of a factor is the concatenation of that
/// factor of every module, each row-major in PEFT's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterLayout {
    rank: usize,
    alpha: f64,
    rslora: bool,
    modules: Vec<ModuleShape>,
}

impl AdapterLayout {
    /// The layout of `spec` for a model.
    pub fn new(config: &ModelConfig, spec: &AdapterSpec) -> Result<Self> {
        let mut modules = Vec::new();
        let mut targets = spec.target_modules.clone();
        targets.sort_by_key(|projection| projection.path());
        targets.dedup();
        let has = Projection::of(config);
        if let Some(missing) = targets.iter().find(|target| !has.contains(target)) {
            let names: Vec<&str> = has.iter().map(|projection| projection.name()).collect();
            let reason = format!(
                "a {} model has no {}; it has {}",
                config.family.name(),
                missing.name(),
                names.join(", ")
            );
            return Err(TrainError::setting("target_modules", reason));
        }
        for layer in 0..config.layers {
            for projection in &targets {
                let (outputs, inputs) = projection.shape(config);
                modules.push(ModuleShape { layer, projection: *projection, inputs, outputs });
            }
        }
        Self::from_parts(spec.rank, spec.alpha, spec.rslora, modules)
    }

    /// Builds a layout from its parts, and checks them.
    pub(crate) fn from_parts(
        rank: usize,
        alpha: f64,
        rslora: bool,
        modules: Vec<ModuleShape>,
    ) -> Result<Self> {
        check_shape(rank, alpha, modules.len())?;
        let layout = Self { rank, alpha, rslora, modules };
        if Factor::ALL.into_iter().any(|factor| layout.len(factor) > u32::MAX as usize) {
            return Err(TrainError::setting("rank", "a factor has more than 2^32 values"));
        }
        Ok(layout)
    }

    /// Rank of the factors.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The numerator of the scale, over the rank: alpha, or alpha * sqrt(rank) with rsLoRA.
    pub fn numerator(&self) -> f64 {
        if self.rslora { self.alpha * (self.rank as f64).sqrt() } else { self.alpha }
    }

    /// The scale of B A.
    pub fn scale(&self) -> f64 {
        self.numerator() / self.rank as f64
    }

    /// Whether the scale is that of rsLoRA.
    pub(crate) fn is_rslora(&self) -> bool {
        self.rslora
    }

    /// The modules, in order.
    pub fn modules(&self) -> &[ModuleShape] {
        &self.modules
    }

    /// Number of values of a factor over all modules.
    pub fn len(&self, factor: Factor) -> usize {
        self.modules.iter().map(|module| self.size(module, factor)).sum()
    }

    /// Always false: a layout has at least one module.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Each module with the range of its values in the vector of `factor`.
    pub fn ranges(&self, factor: Factor) -> impl Iterator<Item = (&ModuleShape, Range<usize>)> {
        let mut start = 0;
        self.modules.iter().map(move |module| {
            let range = start..start + self.size(module, factor);
            start = range.end;
            (module, range)
        })
    }

    /// BLAKE3 over rank, alpha and modules, and a byte more with rsLoRA. Members with equal digests
    /// mean the same coordinate by the same index, and the same scale.
    pub fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes.extend(self.rslora.then_some(1));
        blake3::derive_key("fedshield-train v1 adapter layout", &bytes)
    }

    /// The adapter settings that this layout has.
    pub fn spec(&self) -> AdapterSpec {
        let mut target_modules = Vec::new();
        for module in &self.modules {
            if !target_modules.contains(&module.projection) {
                target_modules.push(module.projection);
            }
        }
        target_modules.sort();
        AdapterSpec { rank: self.rank, alpha: self.alpha, target_modules, rslora: self.rslora }
    }

    /// Number of values of one module's factor.
    pub(crate) fn size(&self, module: &ModuleShape, factor: Factor) -> usize {
        self.rank
            * match factor {
                Factor::A => module.inputs,
                Factor::B => module.outputs,
                Factor::R => self.rank,
            }
    }

    /// Canonical bytes: rank u32, alpha f64 bits u64, count u32, then layer u32, slot u8, inputs
    /// u32, outputs u32 for each module; little-endian. Without the rule of the scale.
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend((self.rank as u32).to_le_bytes());
        bytes.extend(self.alpha.to_bits().to_le_bytes());
        bytes.extend((self.modules.len() as u32).to_le_bytes());
        for module in &self.modules {
            bytes.extend((module.layer as u32).to_le_bytes());
            bytes.push(module.projection.slot() as u8);
            bytes.extend((module.inputs as u32).to_le_bytes());
            bytes.extend((module.outputs as u32).to_le_bytes());
        }
    }
}

//! Low-rank adapters beside frozen projections: y = W x + (alpha/rank) B A x.

use burn_tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::config::ModelConfig;
use super::transfer::upload;

/// The projections of a decoder layer that an adapter can be attached to. A model has those of
/// [`Self::SEPARATE`] or, where some of them are stored as one matrix, those of [`Self::FUSED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Projection {
    /// Queries.
    QProj,
    /// Keys.
    KProj,
    /// Values.
    VProj,
    /// Attention output.
    OProj,
    /// Feed-forward gate.
    GateProj,
    /// Feed-forward up.
    UpProj,
    /// Feed-forward down.
    DownProj,
    /// Queries, keys and values in one matrix, in this order.
    QkvProj,
    /// Feed-forward gate and up in one matrix, in this order.
    GateUpProj,
}

impl Projection {
    /// Number of projections.
    pub const COUNT: usize = 9;

    /// All of them, in the order of their slots.
    pub const ALL: [Self; Self::COUNT] = [
        Self::QProj,
        Self::KProj,
        Self::VProj,
        Self::OProj,
        Self::GateProj,
        Self::UpProj,
        Self::DownProj,
        Self::QkvProj,
        Self::GateUpProj,
    ];

    /// Those of most models, in the order of a layer's forward pass: no matrix is fused.
    pub const SEPARATE: [Self; 7] = [
        Self::QProj,
        Self::KProj,
        Self::VProj,
        Self::OProj,
        Self::GateProj,
        Self::UpProj,
        Self::DownProj,
    ];

    /// Those of Phi-3, in the order of a layer's forward pass.
    pub const FUSED: [Self; 4] = [Self::QkvProj, Self::OProj, Self::GateUpProj, Self::DownProj];

    /// The attention projections: what is adapted by default.
    pub const ATTENTION: [Self; 4] = [Self::QProj, Self::KProj, Self::VProj, Self::OProj];

    /// Position in [`Self::ALL`].
    pub(crate) fn slot(self) -> usize {
        self as usize
    }

    /// The name in `target_modules`, for example `q_proj`.
    pub fn name(self) -> &'static str {
        match self {
            Self::QProj => "q_proj",
            Self::KProj => "k_proj",
            Self::VProj => "v_proj",
            Self::OProj => "o_proj",
            Self::GateProj => "gate_proj",
            Self::UpProj => "up_proj",
            Self::DownProj => "down_proj",
            Self::QkvProj => "qkv_proj",
            Self::GateUpProj => "gate_up_proj",
        }
    }

    /// Whether it belongs to the attention block; the others belong to the feed-forward block.
    pub(crate) fn is_attention(self) -> bool {
        match self {
            Self::QProj | Self::KProj | Self::VProj | Self::OProj | Self::QkvProj => true,
            Self::GateProj | Self::UpProj | Self::DownProj | Self::GateUpProj => false,
        }
    }

    /// The path inside a layer, for example `self_attn.q_proj`.
    pub fn path(self) -> String {
        let block = if self.is_attention() { "self_attn" } else { "mlp" };
        format!("{block}.{}", self.name())
    }

    /// The projections that an adapter can be attached to in every layer of a model, in the order
    /// of a layer's forward pass. In a mixture of experts these are the attention's alone.
    pub fn of(config: &ModelConfig) -> &'static [Self] {
        match &config.experts {
            Some(_) => &Self::ATTENTION,
            None => Self::in_layer(config, 0),
        }
    }

    /// The attention projections of a model: what is adapted by default.
    pub fn attention_of(config: &ModelConfig) -> Vec<Self> {
        Self::of(config).iter().copied().filter(|one| one.is_attention()).collect()
    }

    /// What `all-linear` means in PEFT: every projection of the layers. `None` where layers differ
    /// in which they have.
    pub fn all_linear(config: &ModelConfig) -> Option<&'static [Self]> {
        let every = Self::of(config);
        (0..config.layers).all(|layer| Self::in_layer(config, layer) == every).then_some(every)
    }

    /// The projections of one layer, in the order of its forward pass; experts are none of them.
    pub(crate) fn in_layer(config: &ModelConfig, layer: usize) -> &'static [Self] {
        match (config.experts_of(layer), config.family.fused()) {
            (Some(_), _) => &Self::ATTENTION,
            (None, true) => &Self::FUSED,
            (None, false) => &Self::SEPARATE,
        }
    }

    /// Reads a `target_modules` name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|projection| projection.name() == name)
    }

    /// Shape of this projection's weight: (outputs, inputs).
    pub fn shape(self, config: &ModelConfig) -> (usize, usize) {
        let hidden = config.hidden_size;
        let queries = config.heads * config.head_dim;
        let keys = config.kv_heads * config.head_dim;
        match self {
            Self::QProj => (queries, hidden),
            Self::KProj | Self::VProj => (keys, hidden),
            Self::OProj => (hidden, queries),
            Self::GateProj | Self::UpProj => (config.intermediate_size, hidden),
            Self::DownProj => (hidden, config.intermediate_size),
            Self::QkvProj => (queries + 2 * keys, hidden),
            Self::GateUpProj => (2 * config.intermediate_size, hidden),
        }
    }
}

/// One adapter on a device: `a` is `[rank, inputs]`, `b` is `[outputs, rank]`.
#[derive(Clone)]
pub(crate) struct Lora {
    pub(crate) a: Tensor<2>,
    pub(crate) b: Tensor<2>,
    /// alpha / rank.
    pub(crate) scaling: f64,
}

impl Lora {
    pub(crate) fn new(
        a: &[f32],
        b: &[f32],
        (rank, inputs, outputs): (usize, usize, usize),
        scaling: f64,
        device: &Device,
    ) -> Self {
        Self {
            a: upload(a.to_vec(), [rank, inputs], device),
            b: upload(b.to_vec(), [outputs, rank], device),
            scaling,
        }
    }
}

/// The adapters of a whole model on a device: one entry per layer, indexed by [`Projection::slot`].
#[derive(Clone, Default)]
pub(crate) struct LoraLayers {
    pub(crate) layers: Vec<[Option<Lora>; Projection::COUNT]>,
}

impl LoraLayers {
    /// No adapter on any projection.
    pub(crate) fn none(layers: usize) -> Self {
        Self { layers: (0..layers).map(|_| Default::default()).collect() }
    }
}

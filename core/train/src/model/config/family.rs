//! Model families and what is fixed by the family: names, norms, activation, biases and the
//! defaults of transformers.

use serde::{Deserialize, Serialize};

/// Model families that this crate can run. All are decoder-only with RMSNorm, rotate-half rotary
/// embeddings, grouped-query attention and a gated feed-forward block; they differ in the switches
/// of [`ModelConfig`](super::ModelConfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Llama 2 and 3, SmolLM2.
    Llama,
    /// Mistral: sliding-window attention.
    Mistral,
    /// Qwen2 and Qwen2.5: biases on the query, key and value projections.
    Qwen2,
    /// Qwen3: RMSNorm on each head's queries and keys.
    Qwen3,
    /// Qwen3 with a mixture of experts.
    Qwen3Moe,
    /// SmolLM3: layers without rotary embeddings.
    SmolLm3,
    /// Granite 3: multipliers of embedding, attention, residuals and logits.
    Granite,
    /// OLMo 2: norms after the blocks, and on the queries and keys of all heads together.
    Olmo2,
    /// OLMo 3: OLMo 2 with a window in three of four layers.
    Olmo3,
    /// Seed-OSS: biases on the query, key and value projections, and a head width of its own.
    SeedOss,
    /// Phi-3 and Phi-4: fused projections, rotary embedding on a part of each head.
    Phi3,
    /// Gemma 3, its text model: norms before and after the blocks, local and global layers.
    Gemma3,
}

/// Where a layer's RMSNorms are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlaces {
    /// Before the attention and the feed-forward block.
    Before,
    /// After them, before the residual is added.
    After,
    /// Both.
    Both,
}

impl NormPlaces {
    /// Names of the norms before attention, after it, before the feed-forward block, and after it.
    pub(crate) fn names(self) -> [Option<&'static str>; 4] {
        let (input, attention) = ("input_layernorm", "post_attention_layernorm");
        let (before, after) = ("pre_feedforward_layernorm", "post_feedforward_layernorm");
        match self {
            // transformers calls it "post attention" here too, though it is the norm before the
            // next block.
            Self::Before => [Some(input), None, Some(attention), None],
            Self::After => [None, Some(attention), None, Some(after)],
            Self::Both => [Some(input), Some(attention), Some(before), Some(after)],
        }
    }
}

/// RMSNorm on queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkNorm {
    /// On each head separately, with one weight of a head's width for all heads.
    Head,
    /// On all heads together.
    Whole,
}

/// The activation function of the feed-forward block's gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x sigmoid(x).
    Silu,
    /// GELU in its tanh approximation.
    GeluTanh,
}

impl Activation {
    /// Parses the name that transformers uses.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "silu" | "swish" => Some(Self::Silu),
            "gelu_pytorch_tanh" => Some(Self::GeluTanh),
            _ => None,
        }
    }

    /// The name that transformers uses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::GeluTanh => "gelu_pytorch_tanh",
        }
    }
}

/// Which projections of a family have biases in transformers.
pub(super) enum Biases {
    /// As `attention_bias` and `mlp_bias` say.
    ByFlags {
        /// Whether the family knows `mlp_bias`.
        mlp: bool,
    },
    /// As `attention_bias` (true unless given), `attention_out_bias` and `mlp_bias` say.
    OutputApart,
    /// On the query, key and value projections.
    Qkv,
    /// None.
    None,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 12] = [
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
        Self::Qwen3Moe,
        Self::SmolLm3,
        Self::Granite,
        Self::Olmo2,
        Self::Olmo3,
        Self::SeedOss,
        Self::Phi3,
        Self::Gemma3,
    ];

    /// The `model_type` of `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Qwen3Moe => "qwen3_moe",
            Self::SmolLm3 => "smollm3",
            Self::Granite => "granite",
            Self::Olmo2 => "olmo2",
            Self::Olmo3 => "olmo3",
            Self::SeedOss => "seed_oss",
            Self::Phi3 => "phi3",
            Self::Gemma3 => "gemma3_text",
        }
    }

    /// Class name that transformers writes to `architectures`.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Qwen3Moe => "Qwen3MoeForCausalLM",
            Self::SmolLm3 => "SmolLM3ForCausalLM",
            Self::Granite => "GraniteForCausalLM",
            Self::Olmo2 => "Olmo2ForCausalLM",
            Self::Olmo3 => "Olmo3ForCausalLM",
            Self::SeedOss => "SeedOssForCausalLM",
            Self::Phi3 => "Phi3ForCausalLM",
            Self::Gemma3 => "Gemma3ForCausalLM",
        }
    }

    /// Reads a `model_type`. `ministral` is what transformers makes of a Mistral with `layer_types`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        if name == "ministral" {
            return Some(Self::Mistral);
        }
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// The families' names, for error messages.
    pub(crate) fn list() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Where the norms are placed.
    pub(crate) fn norms(self) -> NormPlaces {
        match self {
            Self::Olmo2 | Self::Olmo3 => NormPlaces::After,
            Self::Gemma3 => NormPlaces::Both,
            _ => NormPlaces::Before,
        }
    }

    /// RMSNorm on queries and keys.
    pub(crate) fn qk_norm(self) -> Option<QkNorm> {
        match self {
            Self::Qwen3 | Self::Qwen3Moe | Self::Gemma3 => Some(QkNorm::Head),
            Self::Olmo2 | Self::Olmo3 => Some(QkNorm::Whole),
            _ => None,
        }
    }

    /// Whether queries, keys and values come from one projection, and gate and up from another.
    pub fn fused(self) -> bool {
        self == Self::Phi3
    }

    /// Whether layers with a window have rotary parameters of their own.
    pub(super) fn local_rope(self) -> bool {
        matches!(self, Self::Gemma3 | Self::Olmo3)
    }

    /// Whether a norm's weight w is stored as w - 1.
    pub(crate) fn norm_offset(self) -> bool {
        self == Self::Gemma3
    }

    pub(super) fn biases(self) -> Biases {
        match self {
            Self::Llama | Self::SmolLm3 | Self::Granite => Biases::ByFlags { mlp: true },
            Self::Qwen3 | Self::Qwen3Moe | Self::Olmo2 | Self::Olmo3 | Self::Gemma3 => {
                Biases::ByFlags { mlp: false }
            }
            Self::SeedOss => Biases::OutputApart,
            Self::Qwen2 => Biases::Qkv,
            Self::Mistral | Self::Phi3 => Biases::None,
        }
    }

    /// `rope_theta` where the file has none.
    pub(super) fn default_theta(self) -> f64 {
        match self {
            Self::SmolLm3 => 2_000_000.0,
            Self::Olmo3 => 500_000.0,
            Self::Gemma3 => 1_000_000.0,
            _ => 10_000.0,
        }
    }

    pub(super) fn default_max_position(self) -> usize {
        match self {
            Self::Llama | Self::Granite | Self::Olmo2 | Self::Olmo3 => 2048,
            Self::SeedOss => 524_288,
            Self::Phi3 => 4096,
            Self::Qwen2 | Self::Qwen3 | Self::Qwen3Moe | Self::SmolLm3 => 32_768,
            Self::Mistral | Self::Gemma3 => 131_072,
        }
    }

    /// Number of key and value heads where the file has no such field.
    pub(super) fn default_kv_heads(self) -> Option<usize> {
        match self {
            Self::Mistral | Self::SeedOss => Some(8),
            Self::Qwen2 | Self::Qwen3 => Some(32),
            Self::Qwen3Moe | Self::SmolLm3 | Self::Gemma3 => Some(4),
            _ => None,
        }
    }

    /// Whether `num_key_value_heads` may be `null`, which means as many as query heads.
    pub(super) fn null_kv_heads(self) -> bool {
        !matches!(self, Self::Mistral | Self::Qwen3Moe | Self::Gemma3)
    }

    /// Whether `head_dim` may be `null`, which means the width of the model over its heads.
    pub(super) fn null_head_dim(self) -> bool {
        matches!(self, Self::Llama | Self::Mistral | Self::SeedOss)
    }

    pub(super) fn default_head_dim(self) -> Option<usize> {
        match self {
            Self::Qwen3 | Self::SeedOss => Some(128),
            Self::Gemma3 => Some(256),
            _ => None,
        }
    }

    pub(super) fn default_eps(self) -> f64 {
        match self {
            Self::Olmo2 | Self::Olmo3 | Self::Phi3 => 1e-5,
            _ => 1e-6,
        }
    }

    pub(super) fn default_tied(self) -> bool {
        matches!(self, Self::SmolLm3 | Self::Gemma3)
    }

    /// `sliding_window` where the file does not have the field.
    pub(super) fn default_window(self) -> Option<usize> {
        match self {
            Self::Mistral
            | Self::Qwen2
            | Self::Qwen3
            | Self::Qwen3Moe
            | Self::Olmo3
            | Self::Gemma3 => Some(4096),
            _ => None,
        }
    }
}

//! The fields of a `config.json`, read one by one. Fields that change the computation in a way that
//! this crate does not implement are refused by name: ignoring them would compute a different
//! model.

use serde_json::{Map, Value};

use super::Family;

type Outcome<T> = std::result::Result<T, String>;

/// A JSON object whose errors name the field concerned.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    /// Prefix of field names in errors, for example `rope_scaling.`.
    place: &'a str,
    /// Whether `null` is as good as no field. transformers refuses it for most fields of a file.
    null: bool,
}

impl<'a> Fields<'a> {
    /// The fields of an inner object, where `null` is as good as no field.
    pub(super) fn new(object: &'a Map<String, Value>, place: &'a str) -> Self {
        Self { object, place, null: true }
    }

    /// The fields of a whole file, where `null` is refused.
    pub(super) fn of_file(object: &'a Map<String, Value>) -> Self {
        Self { object, place: "", null: false }
    }

    /// The same fields, for one that may be `null`.
    pub(super) fn or_null(self) -> Self {
        Self { null: true, ..self }
    }

    /// The field as written, `null` included.
    pub(super) fn raw(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name)
    }

    /// The field's value; `None` where it is absent or `null`.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.raw(name).filter(|value| !value.is_null())
    }

    fn read<T>(
        &self,
        name: &str,
        kind: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Outcome<Option<T>> {
        let Some(value) = self.raw(name).filter(|value| !(self.null && value.is_null())) else {
            return Ok(None);
        };
        let bad = || format!("{}{name} is {}, expected {kind}", self.place, short(value));
        read(value).map(Some).ok_or_else(bad)
    }

    /// A whole number that fits a tensor's dimension.
    pub(super) fn size(&self, name: &str) -> Outcome<Option<usize>> {
        self.read(name, "a whole number", |v| {
            v.as_u64().and_then(|n| u32::try_from(n).ok()).map(|n| n as usize)
        })
    }

    /// A size that is required.
    pub(super) fn need_size(&self, name: &str) -> Outcome<usize> {
        self.size(name)?.ok_or_else(|| format!("{}{name} is missing", self.place))
    }

    /// A finite number.
    pub(super) fn number(&self, name: &str) -> Outcome<Option<f64>> {
        self.read(name, "a finite number", |v| v.as_f64().filter(|n| n.is_finite()))
    }

    pub(super) fn flag(&self, name: &str) -> Outcome<Option<bool>> {
        self.read(name, "true or false", Value::as_bool)
    }

    pub(super) fn text(&self, name: &str) -> Outcome<Option<&'a str>> {
        self.read(name, "a text", Value::as_str)
    }

    pub(super) fn object(&self, name: &str) -> Outcome<Option<&'a Map<String, Value>>> {
        self.read(name, "an object", Value::as_object)
    }

    pub(super) fn list(&self, name: &str) -> Outcome<Option<&'a [Value]>> {
        self.read(name, "a list", |v| v.as_array().map(Vec::as_slice))
    }

    /// One id or a list of them.
    pub(super) fn ids(&self, name: &str) -> Outcome<Vec<u32>> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = self.read(name, "a token id or a list of them", |value| match value {
            Value::Array(ids) => ids.iter().map(id).collect(),
            one => id(one).map(|id| vec![id]),
        })?;
        Ok(ids.unwrap_or_default())
    }

    /// The names of all fields of the object.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.object.keys().map(String::as_str)
    }
}

/// A value for error messages, shortened.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

/// Which values of a field have no effect.
#[derive(Clone, Copy)]
enum Neutral {
    /// Only absent or `null`.
    Null,
    /// Also `false`.
    False,
    /// Only absent or `true`: transformers takes `null` for `false`.
    True,
    /// Also 1.
    One,
    /// Also 0, `false` and an empty list.
    Zero,
    /// Also a list of ones, or an empty list.
    Ones,
}

impl Neutral {
    fn holds(self, value: &Value) -> bool {
        let number = |n: f64| value.as_f64() == Some(n);
        let list = value.as_array();
        (value.is_null() && !matches!(self, Self::True))
            || match self {
                Self::Null => false,
                Self::False => value == &Value::Bool(false),
                Self::True => value == &Value::Bool(true),
                Self::One => number(1.0),
                Self::Zero => {
                    number(0.0) || value == &Value::Bool(false) || list.is_some_and(Vec::is_empty)
                }
                Self::Ones => list.is_some_and(|l| l.iter().all(|v| v.as_f64() == Some(1.0))),
            }
    }
}

/// Fields of other decoders that change what is computed: the values for which they have no effect,
/// and the families for which this crate implements them.
const MEANINGFUL: &[(&str, Neutral, &[Family])] = {
    use Family::{Gemma3, Granite, Olmo2, Olmo3, Phi3, Qwen3, Qwen3Moe, SmolLm3};
    use Neutral::{False, Null, One, Ones, True, Zero};
    &[
        ("attn_logit_softcapping", Null, &[]),
        ("final_logit_softcapping", Null, &[]),
        ("query_pre_attn_scalar", Null, &[Gemma3]),
        ("embedding_multiplier", One, &[Granite]),
        ("residual_multiplier", One, &[Granite]),
        ("attention_multiplier", Null, &[Granite]),
        ("logits_scaling", One, &[Granite]),
        ("logit_scale", One, &[]),
        ("lm_head_multiplier", One, &[]),
        ("key_multiplier", One, &[]),
        ("mlp_multipliers", Ones, &[]),
        ("ssm_multipliers", Ones, &[]),
        ("scale_emb", One, &[]),
        ("scale_depth", Null, &[]),
        ("dim_model_base", Null, &[]),
        ("partial_rotary_factor", One, &[Phi3]),
        ("rotary_pct", One, &[]),
        ("rope_interleave", False, &[]),
        ("rope_local_base_freq", Null, &[Gemma3]),
        ("sliding_window_pattern", Null, &[Gemma3]),
        ("no_rope_layers", Ones, &[SmolLm3]),
        ("no_rope_layer_interval", Zero, &[SmolLm3]),
        ("use_qk_norm", False, &[Qwen3, Qwen3Moe, Olmo2, Olmo3, Gemma3]),
        ("qk_norm", False, &[Qwen3, Qwen3Moe, Olmo2, Olmo3, Gemma3]),
        ("qk_layernorm", False, &[Qwen3, Qwen3Moe, Olmo2, Olmo3, Gemma3]),
        ("clip_qkv", Null, &[]),
        ("alibi", False, &[]),
        ("use_parallel_residual", False, &[]),
        ("use_bidirectional_attention", False, &[]),
        ("is_causal", True, &[]),
        ("attention_sinks", Zero, &[]),
        ("attention_chunk_size", Zero, &[]),
        ("attn_temperature_tuning", False, &[]),
        ("num_experts", Zero, &[Qwen3Moe]),
        ("num_local_experts", Zero, &[Qwen3Moe]),
        ("num_shared_experts", Zero, &[]),
        ("n_shared_experts", Zero, &[]),
        ("shared_expert_intermediate_size", Zero, &[]),
        ("output_router_logits", False, &[]),
        ("n_routed_experts", Zero, &[]),
        ("kv_lora_rank", Null, &[]),
        ("q_lora_rank", Null, &[]),
        ("num_kv_shared_layers", Zero, &[]),
        ("hidden_size_per_layer_input", Zero, &[]),
        ("is_encoder_decoder", False, &[]),
        ("add_cross_attention", False, &[]),
        ("per_layer_config", Zero, &[]),
    ]
};

/// Refuses, by name, fields that this crate would have to ignore.
pub(super) fn refuse_unknown_meaning(fields: Fields<'_>, family: Family) -> Outcome<()> {
    for (name, neutral, families) in MEANINGFUL {
        let Some(value) = fields.raw(name) else { continue };
        if !neutral.holds(value) && !families.contains(&family) {
            return Err(format!(
                "{}{name} is {}, which changes what the model computes and is not supported for \
                 {}: \
                 remove it if it has no meaning there, or {COMMAND_TRAINER}",
                fields.place,
                short(value),
                family.name()
            ));
        }
    }
    Ok(())
}

/// Advice for a model that this crate cannot run.
pub(crate) const COMMAND_TRAINER: &str =
    "train it with trainer = \"command\" (docs/TRAINING.md, \"A trainer of your own\")";

//! `config.json` as transformers reads it, with the same fields and the same defaults.

use serde_json::{Map, Value};

use super::family::Biases;
use super::fields::{COMMAND_TRAINER, Fields, refuse_unknown_meaning};
use super::{Activation, Family, ModelConfig, scaling};

type Outcome<T> = std::result::Result<T, String>;

/// Gemma 3 with its vision tower, whose adapters and tensors have different names.
const SEEING: &str = "gemma3";
/// Default sizes of a Gemma 3 configuration, which its files may leave out.
const GEMMA3_DEFAULTS: [(&str, usize); 5] = [
    ("vocab_size", 262_208),
    ("hidden_size", 2304),
    ("intermediate_size", 9216),
    ("num_hidden_layers", 26),
    ("num_attention_heads", 8),
];

/// The configuration that the JSON object of a file describes.
pub(super) fn config(object: &Map<String, Value>) -> Outcome<ModelConfig> {
    let fields = Fields::new(object, "");
    let name = fields.text("model_type")?.ok_or("model_type is missing")?;
    if name == SEEING {
        return Err(format!(
            "model_type {SEEING:?} is a model that also sees. Save its text model by itself \
             (docs/TRAINING.md, \
             \"The text model of Gemma 3\") and train that, or {COMMAND_TRAINER}"
        ));
    }
    let family = Family::parse(name).ok_or_else(|| {
        format!("model_type {name:?} is not one of {}: {COMMAND_TRAINER}", Family::list())
    })?;
    refuse_unknown_meaning(fields, family)?;
    let tied = fields.flag("tie_word_embeddings")?.unwrap_or(family.default_tied());
    let mut config = Reader { fields, family }.config(tied)?;
    config.bos_token_id = fields.ids("bos_token_id")?.first().copied();
    config.eos_token_ids = fields.ids("eos_token_id")?;
    Ok(config)
}

struct Reader<'a> {
    fields: Fields<'a>,
    family: Family,
}

impl Reader<'_> {
    fn config(&self, tied_head: bool) -> Outcome<ModelConfig> {
        let (fields, family) = (self.fields, self.family);
        let (hidden_size, heads) = (self.size("hidden_size")?, self.size("num_attention_heads")?);
        let layers = self.size("num_hidden_layers")?;
        if heads == 0 || layers == 0 || layers > 4096 {
            return Err(format!("{heads} num_attention_heads in {layers} num_hidden_layers"));
        }
        let kv_heads = match fields.raw("num_key_value_heads") {
            None => family.default_kv_heads(),
            Some(_) => fields.size("num_key_value_heads")?,
        };
        let head_dim = match fields.raw("head_dim") {
            None => family.default_head_dim(),
            Some(_) => fields.size("head_dim")?,
        };
        let head_dim = head_dim.unwrap_or(hidden_size / heads);
        let max_position =
            fields.size("max_position_embeddings")?.unwrap_or(family.default_max_position());
        let rope = scaling::read(fields, family, max_position)?;
        let (qkv_bias, output_bias, mlp_bias) = self.biases()?;
        let scales = self.scales(hidden_size, head_dim)?;
        Ok(ModelConfig {
            family,
            hidden_size,
            intermediate_size: self.size("intermediate_size")?,
            layers,
            heads,
            kv_heads: kv_heads.unwrap_or(heads),
            head_dim,
            vocab_size: self.size("vocab_size")?,
            activation: self.activation()?,
            rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(family.default_eps()),
            rope_theta: rope.rope.theta,
            rope_scaling: rope.rope.scaling,
            local_rope: rope.local,
            rotary_dim: (head_dim as f64 * rope.partial) as usize,
            rope_layers: self.rope_layers(layers)?,
            max_position,
            tied_head,
            qkv_bias,
            output_bias,
            mlp_bias,
            windows: self.windows(layers)?,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
            ..scales
        })
    }

    fn size(&self, name: &str) -> Outcome<usize> {
        let default = GEMMA3_DEFAULTS.iter().find(|(field, _)| *field == name);
        match (self.family, default, self.fields.size(name)?) {
            (_, _, Some(size)) => Ok(size),
            (Family::Gemma3, Some((_, size)), None) => Ok(*size),
            _ => self.fields.need_size(name),
        }
    }

    fn activation(&self) -> Outcome<Activation> {
        let (field, default) = match self.family {
            Family::Gemma3 => ("hidden_activation", Activation::GeluTanh),
            _ => ("hidden_act", Activation::Silu),
        };
        let Some(name) = self.fields.text(field)? else { return Ok(default) };
        Activation::parse(name).ok_or_else(|| {
            format!("{field} {name:?} is not supported, only silu and gelu_pytorch_tanh")
        })
    }

    /// Biases on queries, keys and values, on the attention's output, and in the feed-forward
    /// block.
    fn biases(&self) -> Outcome<(bool, bool, bool)> {
        Ok(match self.family.biases() {
            Biases::None => (false, false, false),
            Biases::Qkv => (true, false, false),
            Biases::ByFlags { mlp } => {
                let attention = self.fields.flag("attention_bias")?.unwrap_or(false);
                let mlp = mlp && self.fields.flag("mlp_bias")?.unwrap_or(false);
                (attention, attention, mlp)
            }
        })
    }

    /// A configuration with the scales of the family; the other fields are filled in from the file.
    fn scales(&self, hidden_size: usize, head_dim: usize) -> Outcome<ModelConfig> {
        let number = |name: &str| Ok::<_, String>(self.fields.number(name)?.unwrap_or(1.0));
        let mut config = ModelConfig::plain(self.family);
        config.attention_scale = (head_dim as f64).sqrt().recip();
        match self.family {
            Family::Granite => {
                config.embedding_scale = number("embedding_multiplier")?;
                config.attention_scale = number("attention_multiplier")?;
                config.residual_scale = number("residual_multiplier")?;
                config.logit_scale = number("logits_scaling")?.recip();
            }
            Family::Gemma3 => {
                config.embedding_scale = (hidden_size as f64).sqrt();
                let scalar = self.fields.number("query_pre_attn_scalar")?.unwrap_or(256.0);
                config.attention_scale = scalar.sqrt().recip();
            }
            _ => {}
        }
        Ok(config)
    }

    /// SmolLM3: every fourth layer has no rotary embedding, unless a list of zeros and ones says
    /// which layers have one.
    fn rope_layers(&self, layers: usize) -> Outcome<Vec<bool>> {
        if self.family != Family::SmolLm3 {
            return Ok(vec![true; layers]);
        }
        let Some(list) = self.fields.list("no_rope_layers")? else {
            let interval = self.fields.size("no_rope_layer_interval")?.unwrap_or(4);
            if interval == 0 {
                return Err("no_rope_layer_interval is 0".to_owned());
            }
            return Ok((1..=layers).map(|layer| layer % interval != 0).collect());
        };
        let flags: Option<Vec<bool>> =
            list.iter().map(|v| v.as_u64().filter(|n| *n < 2).map(|n| n == 1)).collect();
        let flags = flags.ok_or("no_rope_layers holds more than zeros and ones")?;
        match flags.get(..layers) {
            Some(flags) => Ok(flags.to_vec()),
            None => Err(format!("no_rope_layers has {} entries for {layers} layers", flags.len())),
        }
    }

    /// Each layer's window. Mistral and Phi-3 use it in every layer, Gemma 3 in all but every
    /// sixth, Qwen and SmolLM3 with `use_sliding_window`. `layer_types` takes precedence over these
    /// rules.
    fn windows(&self, layers: usize) -> Outcome<Vec<Option<usize>>> {
        let window = match self.fields.raw("sliding_window") {
            None => self.family.default_window(),
            Some(_) => self.fields.size("sliding_window")?,
        };
        if window == Some(0) {
            return Err("sliding_window is 0".to_owned());
        }
        let switched = matches!(self.family, Family::Qwen2 | Family::Qwen3 | Family::SmolLm3);
        let window = match switched {
            true => {
                window.filter(|_| matches!(self.fields.flag("use_sliding_window"), Ok(Some(true))))
            }
            false => window,
        };
        let sliding = match self.layer_types(layers)? {
            Some(types) => types,
            None => self.default_sliding(layers, window.is_some())?,
        };
        match (self.family, window) {
            (Family::Llama | Family::Granite | Family::Olmo2, Some(window)) => Err(format!(
                "sliding_window is {window}, which transformers ignores in {}: remove it if it \
                 has no meaning there",
                self.family.name()
            )),
            (_, None) if sliding.contains(&true) => {
                Err("layer_types names sliding_attention, and no sliding_window is in use"
                    .to_owned())
            }
            _ => Ok(sliding.into_iter().map(|sliding| window.filter(|_| sliding)).collect()),
        }
    }

    fn default_sliding(&self, layers: usize, windowed: bool) -> Outcome<Vec<bool>> {
        let last = |size: Option<usize>, default: usize| size.unwrap_or(default);
        Ok(match self.family {
            Family::Mistral | Family::Phi3 => vec![windowed; layers],
            Family::Qwen2 | Family::Qwen3 => {
                let first = last(self.fields.size("max_window_layers")?, 28);
                (0..layers).map(|layer| windowed && layer >= first).collect()
            }
            Family::Gemma3 => {
                let pattern = last(self.fields.size("sliding_window_pattern")?, 6);
                if pattern == 0 {
                    return Err("sliding_window_pattern is 0".to_owned());
                }
                (1..=layers).map(|layer| layer % pattern != 0).collect()
            }
            Family::SmolLm3 => {
                self.rope_layers(layers)?.into_iter().map(|rope| windowed && !rope).collect()
            }
            Family::Llama | Family::Granite | Family::Olmo2 => vec![false; layers],
        })
    }

    /// Which layers have a window, where the file lists their types.
    fn layer_types(&self, layers: usize) -> Outcome<Option<Vec<bool>>> {
        let Some(list) = self.fields.list("layer_types")? else { return Ok(None) };
        let mut sliding = Vec::with_capacity(list.len());
        for (layer, kind) in list.iter().enumerate() {
            sliding.push(match kind.as_str() {
                Some("sliding_attention") => true,
                Some("full_attention") => false,
                _ => {
                    return Err(format!(
                        "layer_types[{layer}] is {kind}, not one of full_attention, \
                         sliding_attention"
                    ));
                }
            });
        }
        if sliding.len() != layers {
            return Err(format!("{} layer_types for {layers} layers", sliding.len()));
        }
        let uniform = matches!(self.family, Family::Mistral | Family::Phi3);
        match uniform && sliding.contains(&false) && sliding.contains(&true) {
            true => Err(format!(
                "layer_types differ between layers, and transformers gives every layer of {} the \
                 same window",
                self.family.name()
            )),
            // transformers gives all of them the window, whatever the list says.
            false => Ok(Some(sliding).filter(|_| !uniform)),
        }
    }
}

//! `config.json` as transformers reads it, with the same fields and the same defaults.

use serde_json::{Map, Value};

use super::family::Biases;
use super::fields::{COMMAND_TRAINER, Fields, refuse_unknown_meaning};
use super::{Activation, ExpertShape, Family, ModelConfig, quantised, scaling};

type Outcome<T> = std::result::Result<T, String>;

/// Models that also see, by `model_type`, and the families that their text models can have. Where
/// the text model does not name its family, it is the first.
const MULTIMODAL: [(&str, &[Family]); 2] =
    [("gemma3", &[Family::Gemma3]), ("mistral3", &[Family::Mistral])];
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
    let fields = Fields::of_file(object);
    let name = fields.text("model_type")?.ok_or("model_type is missing")?;
    if let Some((_, families)) = MULTIMODAL.iter().find(|(kind, _)| *kind == name) {
        return text_config(fields, families);
    }
    let family = Family::parse(name).ok_or_else(|| {
        format!("model_type {name:?} is not one of {}: {COMMAND_TRAINER}", Family::list())
    })?;
    refuse_unknown_meaning(fields, family)?;
    quantised::check(fields)?;
    let by_layer = name != family.name() || fields.raw("layer_types").is_some();
    if family == Family::Mistral && by_layer && fields.get("head_dim").is_none() {
        // transformers makes a Ministral of it, where this field has no default.
        return Err("head_dim is missing, which a Mistral with layer_types needs".to_owned());
    }
    let tied = fields.flag("tie_word_embeddings")?.unwrap_or(family.default_tied());
    let mut config = Reader { fields, family }.config(tied)?;
    config.bos_token_id = fields.or_null().ids("bos_token_id")?.first().copied();
    config.eos_token_ids = fields.or_null().ids("eos_token_id")?;
    Ok(config)
}

/// The text model of one that also sees. Whether its head is tied, and its ids, the outer object
/// says, as in transformers.
fn text_config(outer: Fields<'_>, families: &[Family]) -> Outcome<ModelConfig> {
    let [default, ..] = families else { return Err("no family".to_owned()) };
    refuse_unknown_meaning(outer, *default)?;
    quantised::check(outer)?;
    let mut object =
        outer.or_null().object("text_config")?.ok_or("text_config is missing")?.clone();
    object.entry("model_type").or_insert_with(|| default.name().into());
    if *default == Family::Mistral && object.get("layer_types").is_some_and(|v| !v.is_null()) {
        return Err("text_config.layer_types: not followed in a text model of Mistral".to_owned());
    }
    object.insert(
        "tie_word_embeddings".to_owned(),
        outer.flag("tie_word_embeddings")?.unwrap_or(true).into(),
    );
    for ids in ["bos_token_id", "eos_token_id"] {
        if let Some(value) = outer.get(ids) {
            object.insert(ids.to_owned(), value.clone());
        }
    }
    let config = config(&object).map_err(|reason| format!("text_config: {reason}"))?;
    match families.contains(&config.family) && !config.multimodal {
        true => Ok(ModelConfig { multimodal: true, ..config }),
        false => Err(format!("text_config.model_type is not {}", default.name())),
    }
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
            Some(_) if family.null_kv_heads() => fields.or_null().size("num_key_value_heads")?,
            Some(_) => fields.size("num_key_value_heads")?,
        };
        let head_dim = match fields.raw("head_dim") {
            None => family.default_head_dim(),
            Some(_) if family.null_head_dim() => fields.or_null().size("head_dim")?,
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
            experts: self.experts(layers)?,
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
            Biases::OutputApart => {
                let flag = |name: &str| Ok::<_, String>(self.fields.flag(name)?.unwrap_or(false));
                let qkv = self.fields.flag("attention_bias")?.unwrap_or(true);
                (qkv, flag("attention_out_bias")?, flag("mlp_bias")?)
            }
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
                // A whole number, as transformers has it.
                let scalar = self.fields.size("query_pre_attn_scalar")?.unwrap_or(256);
                config.attention_scale = (scalar as f64).sqrt().recip();
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
        let interval = self.fields.size("no_rope_layer_interval")?.unwrap_or(4);
        let Some(list) = self.fields.or_null().list("no_rope_layers")? else {
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

    /// The experts of Qwen3-MoE: in every `decoder_sparse_step`th layer that is not named in
    /// `mlp_only_layers`.
    fn experts(&self, layers: usize) -> Outcome<Option<ExpertShape>> {
        if self.family != Family::Qwen3Moe {
            return Ok(None);
        }
        let fields = self.fields;
        let size = |name: &str, default| Ok::<_, String>(fields.size(name)?.unwrap_or(default));
        // transformers takes the second name for the first, and prefers it.
        let named = size("num_experts", 128)?;
        let count = size("num_local_experts", named)?;
        let step = size("decoder_sparse_step", 1)?;
        fields.flag("output_router_logits")?;
        if count == 0 {
            return Ok(None);
        }
        if step == 0 {
            return Err("decoder_sparse_step is 0".to_owned());
        }
        let mut sparse: Vec<bool> = (1..=layers).map(|layer| layer % step == 0).collect();
        for layer in fields.or_null().list("mlp_only_layers")?.unwrap_or_default() {
            let index = layer.as_u64().and_then(|index| usize::try_from(index).ok());
            let index = index.ok_or_else(|| format!("mlp_only_layers holds {layer}"))?;
            sparse.get_mut(index).into_iter().for_each(|sparse| *sparse = false);
        }
        Ok(Some(ExpertShape {
            count,
            chosen: size("num_experts_per_tok", 8)?,
            width: size("moe_intermediate_size", 768)?,
            normalised: fields.flag("norm_topk_prob")?.unwrap_or(false),
            layers: sparse,
        }))
    }

    /// Each layer's window. Mistral, Phi-3 and Qwen3-MoE use it in every layer, Gemma 3 in all but
    /// every sixth, OLMo 3 in all but every fourth; Qwen and SmolLM3 only with
    /// `use_sliding_window`. `layer_types` takes precedence over these rules.
    fn windows(&self, layers: usize) -> Outcome<Vec<Option<usize>>> {
        let window = match self.fields.raw("sliding_window") {
            None => self.family.default_window(),
            Some(_) => self.fields.or_null().size("sliding_window")?,
        };
        if window == Some(0) {
            return Err("sliding_window is 0".to_owned());
        }
        let switched = matches!(
            self.family,
            Family::Qwen2 | Family::Qwen3 | Family::Qwen3Moe | Family::SmolLm3
        );
        let used = !switched || self.fields.flag("use_sliding_window")?.unwrap_or(false);
        let window = window.filter(|_| used);
        // Read in any case, so that a value of a wrong type is refused.
        let default = self.default_sliding(layers, window.is_some());
        let sliding = match (self.layer_types(layers)?, self.family) {
            (Some(types), Family::Gemma3) => types,
            (Some(types), _) => default.map(|_| types)?,
            (None, _) => default?,
        };
        match (self.family, window) {
            (Family::Llama | Family::Granite | Family::Olmo2 | Family::SeedOss, Some(window)) => {
                Err(format!(
                    "sliding_window is {window}, which transformers ignores in {}: remove it if it \
                 has no meaning there",
                    self.family.name()
                ))
            }
            (_, None) if sliding.contains(&true) => {
                Err("layer_types names sliding_attention, and no sliding_window is in use"
                    .to_owned())
            }
            _ => Ok(sliding.into_iter().map(|sliding| window.filter(|_| sliding)).collect()),
        }
    }

    fn default_sliding(&self, layers: usize, windowed: bool) -> Outcome<Vec<bool>> {
        Ok(match self.family {
            Family::Mistral | Family::Phi3 | Family::Qwen3Moe => vec![windowed; layers],
            Family::Qwen2 | Family::Qwen3 => {
                let first = self.fields.size("max_window_layers")?.unwrap_or(28);
                (0..layers).map(|layer| windowed && layer >= first).collect()
            }
            Family::Gemma3 => {
                let pattern = self.fields.size("sliding_window_pattern")?.unwrap_or(6);
                if pattern == 0 {
                    return Err("sliding_window_pattern is 0".to_owned());
                }
                (1..=layers).map(|layer| layer % pattern != 0).collect()
            }
            Family::SmolLm3 => {
                self.rope_layers(layers)?.into_iter().map(|rope| windowed && !rope).collect()
            }
            Family::Olmo3 => (1..=layers).map(|layer| layer % 4 != 0).collect(),
            Family::Llama | Family::Granite | Family::Olmo2 | Family::SeedOss => {
                vec![false; layers]
            }
        })
    }

    /// Which layers have a window, where the file lists their types.
    fn layer_types(&self, layers: usize) -> Outcome<Option<Vec<bool>>> {
        let Some(list) = self.fields.or_null().list("layer_types")? else { return Ok(None) };
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
        let uniform = matches!(self.family, Family::Phi3 | Family::Qwen3Moe);
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

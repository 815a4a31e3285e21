//! Rotary scaling as `config.json` writes it, with the precedence of transformers 5:
//! `rope_scaling`, unless it is absent or empty, takes precedence over `rope_parameters`. Inside
//! either of them, `rope_type` precedes `type`, and its own `rope_theta` precedes that of the whole
//! file.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::fields::Fields;
use super::{Family, Rope, RopeScaling};

type Outcome<T> = std::result::Result<T, String>;

/// Keys that may accompany the scaling's own without changing it.
const KEYS: [&str; 16] = [
    "rope_type",
    "type",
    "rope_theta",
    "partial_rotary_factor",
    "factor",
    "original_max_position_embeddings",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "short_factor",
    "long_factor",
    "low_freq_factor",
    "high_freq_factor",
];
/// Annotations that do not affect the computation.
const NOTES: [&str; 1] = ["finetuned"];
const LAYER_TYPES: [&str; 2] = ["full_attention", "sliding_attention"];

/// What the file's rotary fields mean.
pub(super) struct RopeOfFile {
    /// The rotary embedding of every layer, or of the global ones.
    pub(super) rope: Rope,
    /// That of the layers with a window, where they have their own.
    pub(super) local: Option<Rope>,
    /// The fraction of each head's coordinates that is rotated.
    pub(super) partial: f64,
}

/// What the rules of the scaling need from the rest of the file.
struct Around<'a> {
    top: Fields<'a>,
    family: Family,
    max_position: usize,
    /// Nested parameters: one object per type of layer.
    nested: bool,
}

pub(super) fn read(top: Fields<'_>, family: Family, max_position: usize) -> Outcome<RopeOfFile> {
    let empty = Map::new();
    let scaling = top.or_null().object("rope_scaling")?.filter(|object| !object.is_empty());
    let parameters = top.or_null().object("rope_parameters")?;
    let around = Around { top, family, max_position, nested: false };
    if family.local_rope() {
        return around.by_layer_type(scaling, parameters.unwrap_or(&empty));
    }
    let (place, object) = match (scaling, parameters) {
        (Some(object), _) => ("rope_scaling.", object),
        (None, Some(object)) => ("rope_parameters.", object),
        (None, None) => ("rope_parameters.", &empty),
    };
    if let Some(key) = LAYER_TYPES.iter().find(|key| object.contains_key(**key)) {
        return Err(format!("{place}{key}: {} has one rope for all layers", family.name()));
    }
    let fields = Fields::new(object, place);
    let partial = match fields.number("partial_rotary_factor")? {
        Some(partial) => partial,
        None if family == Family::Phi3 => top.number("partial_rotary_factor")?.unwrap_or(1.0),
        None => top.or_null().number("partial_rotary_factor")?.unwrap_or(1.0),
    };
    if family == Family::Phi3 {
        // A field of the configuration itself, which may not be null even where it has no effect.
        top.size("original_max_position_embeddings")?;
    }
    if partial != 1.0 && family != Family::Phi3 {
        return Err(format!(
            "{place}partial_rotary_factor is {partial}, which {} does not have",
            family.name()
        ));
    }
    Ok(RopeOfFile { rope: around.rope(fields, family.default_theta())?, local: None, partial })
}

impl Around<'_> {
    /// Gemma 3 and OLMo 3: `rope_scaling` is added to the global layers' parameters, and each type
    /// of layer has its own.
    fn by_layer_type(
        mut self,
        scaling: Option<&Map<String, Value>>,
        parameters: &Map<String, Value>,
    ) -> Outcome<RopeOfFile> {
        if let Some(key) = parameters.keys().find(|key| !LAYER_TYPES.contains(&key.as_str())) {
            return Err(format!(
                "rope_parameters.{key}: {} has them by type of layer, in full_attention and \
                 sliding_attention",
                self.family.name()
            ));
        }
        self.nested = true;
        let outer = Fields::new(parameters, "rope_parameters.");
        let part = |name: &str| Ok::<_, String>(outer.object(name)?.cloned().unwrap_or_default());
        let (mut global, mut local) = (part("full_attention")?, part("sliding_attention")?);
        if outer.get("full_attention").is_none() {
            global.insert("rope_type".to_owned(), "default".into());
        }
        for (key, value) in scaling.into_iter().flatten() {
            global.insert(key.clone(), value.clone());
        }
        let rope = self
            .rope(Fields::new(&global, "rope of full_attention: "), self.family.default_theta())?;
        // The file's own rope_theta is that of the global layers, in OLMo 3 too.
        let local_theta = match self.family {
            Family::Gemma3 => self.top.number("rope_local_base_freq")?.unwrap_or(10_000.0),
            _ => self.family.default_theta(),
        };
        local.entry("rope_theta").or_insert_with(|| local_theta.into());
        let local = self.rope(Fields::new(&local, "rope of sliding_attention: "), local_theta)?;
        Ok(RopeOfFile { rope, local: Some(local), partial: 1.0 })
    }

    fn rope(&self, fields: Fields<'_>, default_theta: f64) -> Outcome<Rope> {
        if let Some(key) = fields.names().find(|key| !KEYS.contains(key) && !NOTES.contains(key)) {
            return Err(format!("rope parameter {key:?} is not known"));
        }
        let theta = match fields.raw("rope_theta") {
            Some(Value::Null) => return Err("rope_theta is null".to_owned()),
            Some(_) => fields.number("rope_theta")?,
            None => self.top.number("rope_theta")?,
        };
        let theta = theta.unwrap_or(default_theta);
        if !(theta.is_finite() && theta > 1.0) {
            return Err(format!("rope_theta is {theta}, expected a number above 1"));
        }
        Ok(Rope { theta, scaling: self.scaling(fields)? })
    }

    /// The context length of the pretraining. As in transformers, the field beside the parameters
    /// takes precedence.
    fn original(&self, fields: Fields<'_>, renamed: bool) -> Outcome<usize> {
        let name = "original_max_position_embeddings";
        let inside = fields.size(name)?;
        let beside = if self.nested { None } else { self.top.or_null().size(name)? };
        let original = match self.family {
            // Phi-3's configuration has a default for this field. The older names of its scaling
            // require it inside as well, where its value is not used.
            Family::Phi3 if renamed && inside.is_none() => {
                return Err(format!("rope scaling needs {name}"));
            }
            Family::Phi3 => beside.unwrap_or(4096),
            _ => beside.or(inside).unwrap_or(self.max_position),
        };
        match original > 0 {
            true => Ok(original),
            false => Err(format!("{name} is 0")),
        }
    }

    fn scaling(&self, fields: Fields<'_>) -> Outcome<Option<RopeScaling>> {
        let need = |name: &str| {
            let value = fields.number(name)?.filter(|v| *v > 0.0);
            value.ok_or_else(|| format!("rope scaling needs a positive {name}"))
        };
        let kind = match fields.raw("rope_type") {
            Some(Value::Null) => return Err("rope_type is null".to_owned()),
            Some(_) => fields.text("rope_type")?,
            None => fields.text("type")?,
        };
        let kind = kind.unwrap_or("default");
        let renamed = self.family == Family::Phi3 && matches!(kind, "su" | "yarn");
        if self.family == Family::Phi3 && !renamed && !matches!(kind, "default" | "longrope") {
            return Err(format!("rope type {kind:?}: phi3 has default and longrope alone"));
        }
        match if renamed { "longrope" } else { kind } {
            "default" => Ok(None),
            "linear" => Ok(Some(RopeScaling::Linear { factor: need("factor")? })),
            "dynamic" => Ok(Some(RopeScaling::Dynamic {
                factor: need("factor")?,
                original_max_position: self.max_position,
            })),
            "llama3" => Ok(Some(RopeScaling::Llama3 {
                factor: need("factor")?,
                low_freq_factor: need("low_freq_factor")?,
                high_freq_factor: need("high_freq_factor")?,
                original_max_position: self.original(fields, false)?,
            })),
            "yarn" => self.yarn(fields).map(Some),
            "longrope" => self.longrope(fields, renamed).map(Some),
            other => Err(format!(
                "rope type {other:?} is not one of default, linear, dynamic, yarn, llama3, longrope"
            )),
        }
    }

    fn yarn(&self, fields: Fields<'_>) -> Outcome<RopeScaling> {
        let original = self.original(fields, false)?;
        let factor = match fields.raw("factor") {
            None => return Err("rope scaling needs factor".to_owned()),
            Some(Value::Null) => self.max_position as f64 / original as f64,
            Some(_) => fields.number("factor")?.unwrap_or_default(),
        };
        if factor <= 0.0 {
            return Err(format!("the factor of the rope scaling is {factor}"));
        }
        let truncate = fields.flag("truncate")?.unwrap_or(true);
        if self.nested && !truncate {
            return Err("truncate has no effect in parameters by type of layer".to_owned());
        }
        // 0.1 m ln(factor) + 1, from YaRN (Peng et al. 2023, arXiv:2309.00071).
        let scale = |m: f64| if factor <= 1.0 { 1.0 } else { 0.1 * m * factor.ln() + 1.0 };
        let set = |name: &str| Ok::<_, String>(fields.number(name)?.filter(|value| *value != 0.0));
        let attention_factor = match fields.number("attention_factor")? {
            Some(given) => given,
            None => match (set("mscale")?, set("mscale_all_dim")?) {
                (Some(one), Some(all)) => scale(one) / scale(all),
                _ => scale(1.0),
            },
        };
        Ok(RopeScaling::Yarn {
            factor,
            attention_factor,
            beta_fast: set("beta_fast")?.unwrap_or(32.0),
            beta_slow: set("beta_slow")?.unwrap_or(1.0),
            original_max_position: original,
            truncate,
        })
    }

    fn longrope(&self, fields: Fields<'_>, renamed: bool) -> Outcome<RopeScaling> {
        let original = self.original(fields, renamed)?;
        let factors = |name: &str| {
            let list = fields.list(name)?.ok_or_else(|| format!("rope scaling needs {name}"))?;
            let number = |v: &Value| v.as_f64().filter(|n| n.is_finite() && *n > 0.0);
            let numbers: Option<Vec<f64>> = list.iter().map(number).collect();
            let numbers =
                numbers.ok_or_else(|| format!("{name} holds more than positive numbers"))?;
            Ok::<Arc<[f64]>, String>(numbers.into())
        };
        let factor = match fields.number("factor")? {
            Some(factor) => factor,
            None => self.max_position as f64 / original as f64,
        };
        let attention_factor = match fields.number("attention_factor")? {
            Some(given) => given,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + factor.ln() / (original as f64).ln()).sqrt(),
        };
        Ok(RopeScaling::LongRope {
            short: factors("short_factor")?,
            long: factors("long_factor")?,
            attention_factor,
            original_max_position: original,
        })
    }
}

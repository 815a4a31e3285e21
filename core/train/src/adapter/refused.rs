//! Fields of `adapter_config.json` that make an adapter more than `W + scale B A`, and advice for
//! each.

use serde_json::Value;

/// Fields that have no effect on a finished adapter of plain LoRA.
const WITHOUT_EFFECT: [&str; 10] = [
    "auto_mapping",
    // Dropout applies in training only.
    "lora_dropout",
    "ensure_weight_tying",
    // PEFT switches it off for the projections supported here.
    "fan_in_fan_out",
    "inference_mode",
    "megatron_core",
    "peft_version",
    // Has an effect only with use_qalora, which is refused.
    "qalora_group_size",
    "revision",
    "runtime_config",
];

const MERGE: &str =
    "merge it into its base in PEFT (merge_and_unload) and use the result as the base model";
const EVA: &str = "EVA spreads the ranks over the modules at its start";
const PLAIN: &str =
    "load it in PEFT, set init_lora_weights to true and eva_config to none, and save it again";
const CONVERT: &str = "convert it to plain LoRA in PEFT: save_pretrained with \
                       path_initial_model_for_weight_conversion, or merge it (merge_and_unload)";

/// Field, its effect, and advice.
const REFUSED: [(&str, &str, &str); 22] = [
    ("use_dora", "DoRA rescales every adapted weight", MERGE),
    ("lora_bias", "it adds a bias to lora_B", MERGE),
    ("modules_to_save", "it replaces whole modules of the base model", MERGE),
    ("trainable_token_indices", "it replaces rows of the embedding", MERGE),
    ("target_parameters", "it adapts parameters that are no projections", MERGE),
    ("alora_invocation_tokens", "aLoRA acts only behind its invocation tokens", "train plain LoRA"),
    ("layer_replication", "it changes the number of layers", MERGE),
    ("loftq_config", "LoftQ changes the base model", CONVERT),
    ("eva_config", EVA, PLAIN),
    ("corda_config", "CorDA changes the base model", CONVERT),
    ("lora_ga_config", "LoRA-GA changes the base model", CONVERT),
    ("kasa_config", "KaSA changes the base model and adds a diagonal", MERGE),
    ("velora_config", "VeLoRA is another layer", MERGE),
    ("monteclora_config", "MonteCLoRA draws its weights", "train plain LoRA"),
    ("arrow_config", "Arrow chooses among several adapters", "name one of its adapters"),
    (
        "megatron_config",
        "it is made for Megatron's layers",
        "convert it to the Hugging Face layout",
    ),
    ("use_qalora", "QA-LoRA averages the inputs of lora_A", MERGE),
    ("use_bdlora", "BD-LoRA stores its factors as blocks", MERGE),
    ("enable_lora", "it adapts parts of fused projections", MERGE),
    ("use_xlora", "X-LoRA mixes several adapters", "name one of its adapters"),
    ("modules_to_tie", "it ties adapters to other modules", MERGE),
    ("target_modules_to_tie", "it ties adapters to other modules", MERGE),
];

/// Checks that a field which does not select modules, ranks or scales is compatible with plain
/// LoRA.
///
/// # Errors
/// The effect that the field would have, and advice.
pub(super) fn check(name: &str, value: &Value) -> Result<(), String> {
    let refuse = |why: &str, instead: &str| {
        let shown: String = value.to_string().chars().take(60).collect();
        Err(format!("{name} is {shown}: {why}, which is not supported; {instead}"))
    };
    match name {
        _ if WITHOUT_EFFECT.contains(&name) => Ok(()),
        "bias" => match value.as_str() {
            None if value.is_null() => Ok(()),
            Some("none") => Ok(()),
            _ => refuse("it trains biases of the base model", MERGE),
        },
        "task_type" => match value.as_str() {
            None if value.is_null() => Ok(()),
            Some("CAUSAL_LM") => Ok(()),
            _ => refuse("the adapter is of another kind of model", "use one of type CAUSAL_LM"),
        },
        "init_lora_weights" => match value {
            // These start from other factors and leave the base as it is.
            Value::Null | Value::Bool(_) => Ok(()),
            Value::String(kind) if kind == "gaussian" || kind == "orthogonal" => Ok(()),
            Value::String(kind) if kind == "eva" => refuse(EVA, PLAIN),
            _ => {
                refuse("the factors belong to a base that this kind of start has changed", CONVERT)
            }
        },
        _ if is_unset(value) => Ok(()),
        _ => match REFUSED.iter().find(|(field, ..)| *field == name) {
            Some((_, why, instead)) => refuse(why, instead),
            None => refuse("this field is unknown here", "if it has no effect, remove it"),
        },
    }
}

/// Default values of PEFT's optional fields.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changes_the_base_or_the_layer_is_refused_with_what_to_do() {
        let cases = [
            ("init_lora_weights", json!("pissa_niter_4"), "path_initial_model"),
            ("init_lora_weights", json!("olora"), "path_initial_model"),
            ("init_lora_weights", json!("eva"), "eva"),
            ("init_lora_weights", json!("loftq"), "merge"),
            ("bias", json!("lora_only"), "merge_and_unload"),
            ("task_type", json!("SEQ_CLS"), "CAUSAL_LM"),
            ("use_dora", json!(true), "DoRA"),
            ("loftq_config", json!({"loftq_bits": 4}), "LoftQ"),
            ("alora_invocation_tokens", json!([1, 2]), "aLoRA"),
            ("layer_replication", json!([[0, 4], [2, 5]]), "number of layers"),
            ("trainable_token_indices", json!([0]), "embedding"),
            ("next_year_config", json!({"on": true}), "unknown"),
            ("threshold", json!(0.0), "unknown"),
        ];
        for (name, value, word) in cases {
            let error = check(name, &value).unwrap_err();
            assert!(error.starts_with(name) && error.contains(word), "{error}");
        }
    }

    #[test]
    fn defaults_and_fields_without_effect_pass() {
        let cases = [
            ("next_year_config", json!(null)),
            ("loftq_config", json!({})),
            ("use_dora", json!(false)),
            ("lora_dropout", json!(0.1)),
            ("fan_in_fan_out", json!(true)),
            ("init_lora_weights", json!("gaussian")),
            ("qalora_group_size", json!(16)),
        ];
        for (name, value) in cases {
            check(name, &value).unwrap();
        }
    }
}

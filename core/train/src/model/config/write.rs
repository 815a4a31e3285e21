//! A `config.json` that makes transformers build the same model.

use serde_json::{Value, json};

use super::{Family, ModelConfig, Rope, RopeScaling};

impl ModelConfig {
    /// The `config.json` that makes transformers build the same model.
    pub fn to_json(&self) -> Value {
        let window = self.windows.iter().flatten().next();
        let mut json = json!({
            "architectures": [self.family.architecture()],
            "model_type": self.family.name(),
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab_size,
            "rms_norm_eps": self.rms_norm_eps,
            "max_position_embeddings": self.max_position,
            "tie_word_embeddings": self.tied_head,
            "attention_bias": self.qkv_bias && self.output_bias,
            "mlp_bias": self.mlp_bias,
            "sliding_window": window,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": self.eos_token_ids,
            "torch_dtype": "float32",
        });
        self.put_rope(&mut json);
        let activation =
            if self.family == Family::Gemma3 { "hidden_activation" } else { "hidden_act" };
        json[activation] = self.activation.name().into();
        let by_layer =
            [Family::Qwen2, Family::Qwen3, Family::SmolLm3, Family::Gemma3, Family::Olmo3];
        let mixed = window.is_some() && self.windows.contains(&None);
        if by_layer.contains(&self.family) || (self.family == Family::Mistral && mixed) {
            json["use_sliding_window"] = window.is_some().into();
            let kind = |w: &Option<usize>| match w {
                Some(_) => "sliding_attention",
                None => "full_attention",
            };
            json["layer_types"] = self.windows.iter().map(kind).collect();
        }
        match self.family {
            Family::Granite => {
                json["embedding_multiplier"] = self.embedding_scale.into();
                json["attention_multiplier"] = self.attention_scale.into();
                json["residual_multiplier"] = self.residual_scale.into();
                json["logits_scaling"] = self.logit_scale.recip().into();
            }
            Family::Gemma3 => {
                json["query_pre_attn_scalar"] = whole(self.attention_scale.powi(-2));
            }
            Family::Qwen3Moe => {
                json["use_sliding_window"] = window.is_some().into();
                self.put_experts(&mut json);
            }
            Family::SeedOss => {
                json["attention_bias"] = self.qkv_bias.into();
                json["attention_out_bias"] = self.output_bias.into();
            }
            Family::SmolLm3 => {
                json["no_rope_layers"] = self.rope_layers.iter().map(|r| u8::from(*r)).collect();
            }
            // Phi-3's default padding token would be outside a small vocabulary.
            Family::Phi3 => json["pad_token_id"] = Value::Null,
            _ => {}
        }
        json
    }

    fn put_experts(&self, json: &mut Value) {
        let Some(experts) = &self.experts else {
            json["num_experts"] = 0.into();
            return;
        };
        let dense = experts.layers.iter().enumerate().filter(|(_, sparse)| !**sparse);
        json["num_experts"] = experts.count.into();
        json["num_experts_per_tok"] = experts.chosen.into();
        json["moe_intermediate_size"] = experts.width.into();
        json["norm_topk_prob"] = experts.normalised.into();
        json["decoder_sparse_step"] = 1.into();
        json["mlp_only_layers"] = dense.map(|(layer, _)| layer).collect();
    }

    fn put_rope(&self, json: &mut Value) {
        let global = Rope { theta: self.rope_theta, scaling: self.rope_scaling.clone() };
        match &self.local_rope {
            Some(local) => {
                json["rope_parameters"] = json!({
                    "full_attention": parameters(&global), "sliding_attention": parameters(local),
                });
            }
            None => {
                json["rope_theta"] = self.rope_theta.into();
                json["rope_scaling"] = match &self.rope_scaling {
                    None => Value::Null,
                    Some(_) => parameters(&global),
                };
                if self.rotary_dim != self.head_dim {
                    let partial = self.rotary_dim as f64 / self.head_dim as f64;
                    json["partial_rotary_factor"] = partial.into();
                }
                if let (Family::Phi3, Some(RopeScaling::LongRope { original_max_position, .. })) =
                    (self.family, &self.rope_scaling)
                {
                    json["original_max_position_embeddings"] = (*original_max_position).into();
                }
            }
        }
    }
}

/// Written as an integer if it is a whole number: transformers requires that of
/// `query_pre_attn_scalar`.
fn whole(value: f64) -> Value {
    let rounded = value.round();
    match (value - rounded).abs() < 1e-9 * value {
        true => (rounded as u64).into(),
        false => value.into(),
    }
}

/// The `rope_parameters` of one rotary embedding.
fn parameters(rope: &Rope) -> Value {
    let mut json = match &rope.scaling {
        None => json!({"rope_type": "default"}),
        Some(RopeScaling::Linear { factor }) => json!({"rope_type": "linear", "factor": factor}),
        Some(RopeScaling::Dynamic { factor, .. }) => {
            json!({"rope_type": "dynamic", "factor": factor})
        }
        Some(RopeScaling::Yarn {
            factor,
            attention_factor,
            beta_fast,
            beta_slow,
            original_max_position,
            truncate,
        }) => json!({
            "rope_type": "yarn", "factor": factor, "attention_factor": attention_factor,
            "beta_fast": beta_fast, "beta_slow": beta_slow, "truncate": truncate,
            "original_max_position_embeddings": original_max_position,
        }),
        Some(RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position,
        }) => json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": original_max_position,
        }),
        Some(RopeScaling::LongRope { short, long, attention_factor, original_max_position }) => {
            json!({
                "rope_type": "longrope", "short_factor": short.as_ref(), "long_factor": long.as_ref(),
                "attention_factor": attention_factor,
                "original_max_position_embeddings": original_max_position,
            })
        }
    };
    json["rope_theta"] = rope.theta.into();
    json
}

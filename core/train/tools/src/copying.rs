//! A start from which a small model copies: a circuit of two layers that repeats what followed an
//! earlier occurrence of the same token.
//!
//! Names and numbers that occur once can only be copied, and transformers do so by induction heads
//! (Olsson et al., "In-context Learning and Induction Heads", 2022): a head that looks one token
//! back writes what it saw into the residual stream, and a head of a later layer looks for places
//! where that equals the current token. From random weights a model of this size finds them only
//! after millions of tokens. Here they are planted before training, which then changes them like
//! all other weights.
//!
//! How: every embedding has one direction in common, so that the first head's scores depend on
//! positions alone and are highest one token back. The first head copies a random code of the token
//! into a random subspace; the second compares the code of its own token with what is in that
//! subspace, on the slow frequencies of the rotary embedding, which hardly turn within a context.

use fedshield_train::model::ModelConfig;

use crate::synth::Choice;
use crate::weights::{BaseWeights, normal};

/// Standard deviation of embeddings, queries, keys, values and the feed-forward input.
const STD: f32 = 0.04;
/// That of what is added to the residual stream, so that embeddings are not drowned.
const OUTPUT_STD: f32 = 0.004;
/// The common direction's part of an embedding, in units of the rest.
const COMMON: f32 = 0.5;
/// Scores of the two heads, before their scale of one over the root of the head's dimension.
const BACK_SCORE: f64 = 80.0;
const MATCH_SCORE: f64 = 3.0;
/// How strongly the heads write, in units of the embeddings.
const BACK_GAIN: f32 = 2.0;
const MATCH_GAIN: f32 = 4.0;
/// Frequencies, in radians per token, that tell neighbours apart, and that do not turn much within
/// a hundred tokens.
const FAST: f64 = 0.15;
const SLOW: f64 = 0.01;

/// Weights of a model with at least two layers and no biases, drawn at random, with the circuit in
/// the first query head of each key/value head of its first two layers.
pub fn copying_weights(config: &ModelConfig, seed: u64) -> BaseWeights {
    let mut weights = BaseWeights::random(config, seed, STD);
    let mut choice = Choice::labelled(seed, "copying");
    let hidden = config.hidden_size;
    let common = orthonormal(1, hidden, &[], &mut choice).remove(0);
    for (name, tensor) in &mut weights.tensors {
        if name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") {
            tensor.values.iter_mut().for_each(|x| *x *= OUTPUT_STD / STD);
        }
        if name.ends_with("embed_tokens.weight") {
            let all = STD * COMMON * (hidden as f32).sqrt();
            for row in tensor.values.chunks_mut(hidden) {
                row.iter_mut().zip(&common).for_each(|(x, c)| *x += all * c);
            }
        }
    }
    let circuit = Circuit::new(config, common);
    let mut used = vec![circuit.common.clone()];
    for kv_head in 0..config.kv_heads {
        let codes = orthonormal(circuit.slow.len(), hidden, &used, &mut choice);
        used.extend(codes.iter().cloned());
        let places = orthonormal(circuit.slow.len(), hidden, &used, &mut choice);
        let values = orthonormal(config.head_dim, hidden, &used, &mut choice);
        circuit.look_back(&mut weights, kv_head, &codes, &places);
        circuit.find_same(&mut weights, kv_head, (&codes, &places), &values);
    }
    weights
}

/// What both heads need to know of the model.
struct Circuit<'a> {
    config: &'a ModelConfig,
    common: Vec<f32>,
    /// Pairs of dimensions with fast frequencies: the first of each pair, with its frequency.
    fast: Vec<(usize, f64)>,
    /// Dimensions with slow frequencies.
    slow: Vec<usize>,
}

impl<'a> Circuit<'a> {
    fn new(config: &'a ModelConfig, common: Vec<f32>) -> Self {
        let half = config.head_dim / 2;
        let frequency = |pair: usize| config.rope_theta.powf(-(pair as f64) / half as f64);
        let pairs = (0..half).map(|pair| (pair, frequency(pair)));
        let fast = pairs.clone().filter(|(_, frequency)| *frequency > FAST).collect();
        let slow = pairs.filter(|(_, frequency)| *frequency < SLOW).map(|(pair, _)| pair);
        let slow: Vec<usize> = slow.flat_map(|pair| [pair, pair + half]).collect();
        Self { config, common, fast, slow }
    }

    /// Layer 0: looks one token back and writes the code of what is there.
    fn look_back(
        &self,
        weights: &mut BaseWeights,
        kv_head: usize,
        codes: &[Vec<f32>],
        places: &[Vec<f32>],
    ) {
        let half = self.config.head_dim / 2;
        // The common direction's length after the norm.
        let length = f64::from(COMMON / (1.0 + COMMON * COMMON).sqrt())
            * (self.config.hidden_size as f64).sqrt();
        let size = BACK_SCORE.sqrt() / length;
        let (mut query, mut key) = (self.head(), self.head());
        for (pair, frequency) in &self.fast {
            key[*pair] = scaled(&self.common, size);
            query[*pair] = scaled(&self.common, size * frequency.cos());
            query[pair + half] = scaled(&self.common, -size * frequency.sin());
        }
        let mut value = self.head();
        let mut output = self.head();
        for (row, (code, place)) in codes.iter().zip(places).enumerate() {
            value[row].clone_from(code);
            output[row] = scaled(place, f64::from(BACK_GAIN * STD));
        }
        self.place(weights, 0, kv_head, [&query, &key, &value, &output]);
    }

    /// Layer 1: looks for what stood after an earlier occurrence of the same token and writes it.
    fn find_same(
        &self,
        weights: &mut BaseWeights,
        kv_head: usize,
        (codes, places): (&[Vec<f32>], &[Vec<f32>]),
        values: &[Vec<f32>],
    ) {
        let (mut query, mut key) = (self.head(), self.head());
        for (dimension, (code, place)) in self.slow.iter().zip(codes.iter().zip(places)) {
            query[*dimension] = scaled(code, MATCH_SCORE.sqrt());
            key[*dimension] = scaled(place, MATCH_SCORE.sqrt());
        }
        let output: Vec<Vec<f32>> =
            values.iter().map(|value| scaled(value, f64::from(MATCH_GAIN * STD))).collect();
        self.place(weights, 1, kv_head, [&query, &key, &values.to_vec(), &output]);
    }

    /// Rows of zeros, `[head_dim][hidden]`.
    fn head(&self) -> Vec<Vec<f32>> {
        vec![vec![0.0; self.config.hidden_size]; self.config.head_dim]
    }

    /// Puts one head's query, key, value and transposed output in their places.
    fn place(
        &self,
        weights: &mut BaseWeights,
        layer: usize,
        kv_head: usize,
        [query, key, value, output]: [&Vec<Vec<f32>>; 4],
    ) {
        let ModelConfig { head_dim, hidden_size, heads, kv_heads, .. } = *self.config;
        let query_head = kv_head * (heads / kv_heads);
        for (projection, head, rows) in
            [("q", query_head, query), ("k", kv_head, key), ("v", kv_head, value)]
        {
            let first = head * head_dim * hidden_size;
            let values = &mut projection_of(weights, layer, projection)[first..];
            values.iter_mut().zip(rows.iter().flatten()).for_each(|(old, new)| *old = *new);
        }
        let width = heads * head_dim;
        let values = projection_of(weights, layer, "o");
        for (column, written) in output.iter().enumerate() {
            for (row, value) in written.iter().enumerate() {
                values[row * width + query_head * head_dim + column] = *value;
            }
        }
    }
}

fn projection_of<'a>(weights: &'a mut BaseWeights, layer: usize, name: &str) -> &'a mut [f32] {
    let name = format!("model.layers.{layer}.self_attn.{name}_proj.weight");
    weights.tensors.get_mut(&name).map_or(&mut [], |tensor| &mut tensor.values)
}

fn scaled(row: &[f32], by: f64) -> Vec<f32> {
    row.iter().map(|x| (f64::from(*x) * by) as f32).collect()
}

/// Random unit vectors, orthogonal to each other and to `used`: Gram and Schmidt, twice, because
/// once is inexact.
fn orthonormal(
    count: usize,
    dimensions: usize,
    used: &[Vec<f32>],
    choice: &mut Choice,
) -> Vec<Vec<f32>> {
    let mut found: Vec<Vec<f32>> = Vec::with_capacity(count);
    for _ in 0..count {
        let mut vector: Vec<f32> = (0..dimensions).map(|_| normal(choice) as f32).collect();
        for _ in 0..2 {
            for other in used.iter().chain(&found) {
                let dot: f32 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                vector.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
            vector.iter_mut().for_each(|x| *x /= length);
        }
        found.push(vector);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::all_labelled;
    use fedshield_train::cpu;
    use fedshield_train::model::{BasePrecision, Batch, Decoder};

    const CONFIG: &str = r#"{ "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "hidden_size": 192, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 48, "hidden_act": "silu",
        "vocab_size": 500, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0, "tie_word_embeddings": true }"#;

    #[test]
    fn what_occurred_before_is_likelier_before_any_training() {
        let path = std::path::Path::new("config.json");
        let config = ModelConfig::from_json(CONFIG, path).expect("the configuration is valid");
        let weights = copying_weights(&config, 3);
        let decoder =
            Decoder::load(&config, &weights, &cpu(), BasePrecision::F32).expect("the weights fit");
        let mut choice = Choice::new(5);
        let fresh: Vec<u32> = (0..40).map(|_| choice.below(500) as u32).collect();
        let loss = |ids: Vec<u32>| {
            let sequence = all_labelled(ids);
            let batch = Batch::new(&[&sequence]).expect("one sequence is a batch");
            decoder.base_loss(&batch).expect("it computes")
        };
        let repeated = [fresh.clone(), fresh.clone()].concat();
        let (once, twice) = (loss(fresh), loss(repeated));
        assert!(2.0 * twice - once < once - 1.5, "{once} at first, {twice} with the repetition");
    }
}

//! The whole decoder on one device: hidden states, loss, gradients, next-token logits.

use std::time::Instant;

use burn_tensor::{Device, Tensor};

use super::batch::{Batch, Indices};
use super::config::ModelConfig;
use super::experts::Experts;
use super::frozen::{BasePrecision, Frozen};
use super::layer::{Layer, LayerGradients, LayerSaved, read_norm};
use super::linear::Wants;
use super::lora::LoraLayers;
use super::loss::{self, HeadOutcome, LossSum};
use super::norm::RmsNorm;
use super::pass::{Pass, Tables};
use super::pool::in_pool;
use super::product::ComputePrecision;
use super::reader::Reader;
use super::transfer::is_host;
use super::weights::{EMBEDDING, FINAL_NORM, HEAD, TensorSource};
use crate::{Result, TrainError, Valid};

/// A decoder with its weights on a device. Cheap to clone: clones share the weights.
#[derive(Clone)]
pub struct Decoder {
    pub(crate) config: Valid<ModelConfig>,
    pub(crate) device: Device,
    pub(crate) embedding: Frozen,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: RmsNorm,
    /// `None` if the head is the embedding.
    pub(crate) head: Option<Frozen>,
    /// See [`Decoder::checkpoint_layers`].
    checkpointing: bool,
    pub(super) tables: Tables,
}

/// What a layer's forward pass keeps for its backward pass.
enum Kept<'a> {
    /// Every activation that the backward pass needs.
    Activations(Box<LayerSaved<'a>>),
    /// Only the layer's input, from which the activations are recomputed.
    Input(Box<Tensor<2>>),
}

/// Wall-clock seconds of the stages of one pass. With a device that computes asynchronously,
/// waiting is attributed to the stage that first needs a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct StageSeconds {
    /// Embedding and layers.
    pub forward: f64,
    /// Final norm, output head and loss, with their gradients.
    pub head: f64,
    /// Backward pass of the layers.
    pub backward: f64,
}

impl std::ops::AddAssign for StageSeconds {
    fn add_assign(&mut self, other: Self) {
        self.forward += other.forward;
        self.head += other.head;
        self.backward += other.backward;
    }
}

/// Loss of a batch and the requested gradients.
#[cfg_attr(
    not(feature = "base-gradients"),
    expect(dead_code, reason = "gradients of base weights are read by that feature alone")
)]
pub(crate) struct DecoderGradients {
    pub(crate) seconds: StageSeconds,
    /// Sum of the losses over the labelled positions, not scaled.
    pub(crate) loss_sum: LossSum,
    pub(crate) layers: Vec<LayerGradients>,
    /// Gradients of the embedding rows in the batch, `[rows, hidden]`; only in full-parameter
    /// training.
    pub(crate) embedded: Option<Tensor<2>>,
    pub(crate) norm: Option<Tensor<1>>,
    pub(crate) head: Option<Tensor<2>>,
}

impl Decoder {
    /// Reads the weights of `source`, one tensor at a time, to `device`.
    ///
    /// # Errors
    /// A tensor that is missing or has the wrong shape, or a value that is not finite or does not
    /// fit `precision`.
    pub fn load(
        config: &Valid<ModelConfig>,
        source: &dyn TensorSource,
        device: &Device,
        precision: BasePrecision,
    ) -> Result<Self> {
        let reader = Reader { source, device, precision };
        let layers = (0..config.layers).map(|index| Layer::load(&reader, config, index));
        let layers = layers.collect::<Result<Vec<Layer>>>()?;
        let head = match config.tied_head {
            true => None,
            false => Some(reader.matrix(HEAD, config.vocab_size, config.hidden_size)?),
        };
        let mut norm = read_norm(&reader, config, FINAL_NORM, config.hidden_size)?;
        if config.logit_scale != 1.0 {
            // Logits are linear in this weight, so their scale is multiplied into it.
            norm.gamma = norm.gamma.mul_scalar(config.logit_scale);
        }
        Ok(Self {
            config: config.clone(),
            device: device.clone(),
            embedding: reader.matrix(EMBEDDING, config.vocab_size, config.hidden_size)?,
            layers,
            norm,
            head,
            checkpointing: false,
            tables: Tables::default(),
        })
    }

    /// Gradient checkpointing: keep only each layer's input between the passes and recompute the
    /// layer in its backward pass. The gradients are bit-identical; a step takes a third longer,
    /// and activations take about a tenth of the memory.
    pub fn checkpoint_layers(&mut self, on: bool) {
        self.checkpointing = on;
    }

    /// Sets the minimum precision of matrix products from now on; the default is f32.
    pub fn compute_in(&mut self, precision: ComputePrecision) {
        let experts = self.layers.iter_mut().filter_map(Layer::experts_mut);
        experts.for_each(|experts| experts.compute_in(precision));
        let projections = self.layers.iter_mut().flat_map(Layer::matrices_mut);
        let matrices = projections.chain([&mut self.embedding]).chain(&mut self.head);
        matrices.for_each(|matrix| matrix.compute_in(precision));
    }

    /// Size in bytes of the frozen matrices: projections, experts, embedding, and the head if it is not the
    /// embedding.
    pub fn base_bytes(&self) -> usize {
        let projections = self.layers.iter().flat_map(Layer::matrices);
        let matrices = projections.chain([&self.embedding]).chain(&self.head);
        let experts = self.layers.iter().filter_map(Layer::experts);
        matrices.map(Frozen::bytes).sum::<usize>() + experts.map(Experts::bytes).sum::<usize>()
    }

    /// Bytes that this process has reserved on the device, which is its peak usage there; 0 on the
    /// processor and where a backend does not report it.
    pub fn device_memory_bytes(&self) -> u64 {
        match is_host(&self.device) {
            true => 0,
            false => self.device.memory_pool_usage().map_or(0, |usage| usage.bytes_reserved),
        }
    }

    /// Shape and switches of this model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The losses at the labelled positions of `batch`, row after row.
    pub(crate) fn losses(&self, lora: &LoraLayers, batch: &Batch) -> Result<Vec<f64>> {
        self.check(batch)?;
        Ok(in_pool(&self.device, || {
            let pass = Pass::over(self, batch, Wants::default());
            let x = pass.hidden(lora);
            let (h, _) = self.norm.forward(x.select(0, pass.rows.tensor.clone()));
            loss::losses(&h, self.head(), &pass.targets)
        }))
    }

    /// Loss and gradients of `scale * loss_sum`.
    pub(crate) fn gradients(
        &self,
        lora: &LoraLayers,
        batch: &Batch,
        scale: f64,
        wants: Wants,
    ) -> Result<DecoderGradients> {
        self.check(batch)?;
        let begin = Instant::now();
        let pass = Pass::over(self, batch, wants);
        let mut x = self.embed(&pass.ids);
        let mut saved = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let input = self.checkpointing.then(|| x.clone());
            let (y, kept) = layer.forward(x, &lora.layers[index], &pass.context(index));
            saved.push(match input {
                Some(input) => Kept::Input(Box::new(input)),
                None => Kept::Activations(Box::new(kept)),
            });
            x = y;
        }
        let forward = begin.elapsed().as_secs_f64();
        let all_rows = x.dims();
        let rows = pass.rows.tensor.clone();
        let (h, norm_saved) = self.norm.forward(x.select(0, rows.clone()));
        let HeadOutcome { loss_sum, d_hidden, d_head } =
            loss::cross_entropy(&h, self.head(), &pass.targets, scale, wants.base);
        let (dh, norm) = self.norm.backward(d_hidden, &norm_saved, wants.base);
        let mut dx = Tensor::<2>::zeros(all_rows, &self.device).select_assign(
            0,
            rows,
            dh,
            burn_tensor::IndexingUpdateOp::Add,
        );
        let head_end = begin.elapsed().as_secs_f64();
        let mut layers = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let Some(kept) = saved.pop() else { break };
            let context = pass.context(index);
            let kept = match kept {
                Kept::Activations(kept) => *kept,
                Kept::Input(x) => layer.forward(*x, &lora.layers[index], &context).1,
            };
            let (d, g) = kept.backward(dx, &context);
            layers.push(g);
            dx = d;
        }
        layers.reverse();
        let embedded = wants.base.then_some(dx);
        let seconds = StageSeconds {
            forward,
            head: head_end - forward,
            backward: begin.elapsed().as_secs_f64() - head_end,
        };
        Ok(DecoderGradients { seconds, loss_sum, layers, embedded, norm, head: d_head })
    }

    /// Logits of every position, `[sequences * len, vocab]`; for parity tests and small models.
    pub(crate) fn logits(&self, lora: &LoraLayers, ids: &[u32], len: usize) -> Tensor<2> {
        let pass = Pass::new(self, ids, len, Wants::default());
        let (h, _) = self.norm.forward(pass.hidden(lora));
        self.head().forward(h)
    }

    /// The embeddings of `ids`, `[ids, hidden]`.
    pub(crate) fn embed(&self, ids: &Indices) -> Tensor<2> {
        let x = self.embedding.select(ids);
        match self.config.embedding_scale {
            1.0 => x,
            scale => x.mul_scalar(scale),
        }
    }

    pub(crate) fn head(&self) -> &Frozen {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Token ids and lengths come from data files, so they are checked, not assumed.
    fn check(&self, batch: &Batch) -> Result<()> {
        self.check_ids(&batch.ids, batch.len)
    }

    pub(super) fn check_ids(&self, ids: &[u32], len: usize) -> Result<()> {
        if len > self.config.context() {
            let reason = format!(
                "a sequence of {} tokens does not fit the model's context of {}",
                len,
                self.config.context()
            );
            return Err(TrainError::setting("max_length", reason));
        }
        match ids.iter().find(|id| **id as usize >= self.config.vocab_size) {
            None => Ok(()),
            Some(id) => Err(TrainError::Tokenizer(format!(
                "token {id} is outside the model's vocabulary of {}",
                self.config.vocab_size
            ))),
        }
    }
}

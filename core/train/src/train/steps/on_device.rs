//! Steps on tensors of a device with memory of its own: adapter, gradient, norm and optimiser never
//! leave it.

use burn_tensor::Tensor;

use super::{LocalSettings, LocalSteps, StepReport};
use crate::federated::{AdapterLayout, Factor, GlobalAdapter, ModuleShape, StepRates};
use crate::model::{
    Batch, ComputePrecision, Decoder, LayerGradients, Lora, LoraLayers, LossSum, StageSeconds,
    Wants, product, to_vec, upload,
};
use crate::train::optimizer::{AdamWSettings, bias_corrections};
use crate::train::optimizer_state::{Moments, OptimizerState};
use crate::{Result, TrainError};

pub(super) struct OnDevice<'a> {
    decoder: &'a Decoder,
    layout: AdapterLayout,
    trained: &'static [Factor],
    /// A, B and R, flat in the layout's order; R only with `fed-sb`.
    a: Tensor<1>,
    b: Tensor<1>,
    r: Option<Tensor<1>>,
    /// Of each trained factor.
    moments: Vec<DeviceMoments>,
    /// The trained factors before the first step; empty without a proximal term.
    start: Vec<Tensor<1>>,
    settings: LocalSettings,
    steps: usize,
}

/// First and second moments, and the steps that they are the result of.
struct DeviceMoments {
    values: [Tensor<1>; 2],
    steps: u32,
}

impl<'a> OnDevice<'a> {
    pub(super) fn new(
        decoder: &'a Decoder,
        adapter: &GlobalAdapter,
        settings: &LocalSettings,
        state: &OptimizerState,
    ) -> Result<Self> {
        let put = |values: Vec<f32>| {
            let len = values.len();
            upload(values, [len], &decoder.device)
        };
        let factor = |factor: Factor| put(adapter.values(factor).to_vec());
        let trained = adapter.trained_factors();
        let moments = trained.iter().map(|factor| {
            let start = state.start(*factor, adapter.layout().len(*factor))?;
            let Moments { first, second, steps } = start;
            Ok(DeviceMoments { values: [put(first), put(second)], steps })
        });
        let is_proximal = settings.proximal > 0.0;
        let start = trained.iter().filter(|_| is_proximal).map(|trained| factor(*trained));
        Ok(Self {
            decoder,
            layout: adapter.layout().clone(),
            trained,
            a: factor(Factor::A),
            b: factor(Factor::B),
            r: (!adapter.values(Factor::R).is_empty()).then(|| factor(Factor::R)),
            moments: moments.collect::<Result<_>>()?,
            start: start.collect(),
            settings: *settings,
            steps: 0,
        })
    }

    /// The adapter as the decoder expects it: views of the factors, except that with `fed-sb` B R
    /// replaces B.
    fn lora(&self) -> LoraLayers {
        let mut lora = LoraLayers::none(self.decoder.layers.len());
        let scaling = self.layout.scale();
        for (index, module) in self.layout.modules().iter().enumerate() {
            let mut b = self.matrix(Factor::B, index);
            if self.r.is_some() {
                b = product(b, self.matrix(Factor::R, index), ComputePrecision::F32);
            }
            let a = self.matrix(Factor::A, index);
            lora.layers[module.layer][module.projection.slot()] = Some(Lora { a, b, scaling });
        }
        lora
    }

    fn flat(&self, factor: Factor) -> &Tensor<1> {
        match factor {
            Factor::A => &self.a,
            Factor::B => &self.b,
            Factor::R => self.r.as_ref().unwrap_or(&self.b),
        }
    }

    fn matrix(&self, factor: Factor, index: usize) -> Tensor<2> {
        let (module, rank) = (&self.layout.modules()[index], self.layout.rank());
        let before = &self.layout.modules()[..index];
        let start = before.iter().map(|module| self.layout.size(module, factor)).sum();
        let shape = match factor {
            Factor::A => [rank, module.inputs],
            Factor::B => [module.outputs, rank],
            Factor::R => [rank, rank],
        };
        self.flat(factor).clone().narrow(0, start, self.layout.size(module, factor)).reshape(shape)
    }

    /// The flat gradient of a factor, from the decoder's gradients of A and B.
    fn gradient(&self, factor: Factor, layers: &[LayerGradients]) -> Tensor<1> {
        let module = |(index, module): (usize, &ModuleShape)| {
            let linear = &layers[module.layer].projections[module.projection.slot()];
            let of = if factor == Factor::A { &linear.a } else { &linear.b };
            let len = self.layout.size(module, factor);
            match (of, factor) {
                (None, _) => Tensor::zeros([len], &self.decoder.device),
                (Some(gradient), Factor::A | Factor::B) => gradient.clone().reshape([len]),
                (Some(gradient), Factor::R) => {
                    let b = self.matrix(Factor::B, index).transpose();
                    product(b, gradient.clone(), ComputePrecision::F32).reshape([len])
                }
            }
        };
        Tensor::cat(self.layout.modules().iter().enumerate().map(module).collect(), 0)
    }

    /// Loss and gradients of the trained factors that are moved, by their place among the trained
    /// ones, summed over all batches.
    fn gradients(
        &self,
        batches: &[Batch],
        moved: &[usize],
    ) -> Result<(Option<LossSum>, Vec<Tensor<1>>, StageSeconds)> {
        let moves = |factor| moved.iter().any(|place| self.trained[*place] == factor);
        let wants = Wants {
            base: false,
            factor_a: moves(Factor::A),
            factor_b: moves(Factor::B) || moves(Factor::R),
        };
        let labels: usize = batches.iter().map(Batch::label_count).sum();
        let lora = self.lora();
        let (mut loss, mut sums, mut seconds) =
            (None, Vec::<Tensor<1>>::new(), StageSeconds::default());
        for batch in batches {
            let result = self.decoder.gradients(&lora, batch, 1.0 / labels as f64, wants)?;
            seconds += result.seconds;
            loss = Some(match loss {
                None => result.loss_sum,
                Some(sum) => LossSum::plus(sum, result.loss_sum),
            });
            let of = |place: &usize| self.gradient(self.trained[*place], &result.layers);
            let gradients = moved.iter().map(of);
            sums = match sums.is_empty() {
                true => gradients.collect(),
                false => sums.into_iter().zip(gradients).map(|(sum, more)| sum + more).collect(),
            };
        }
        if !self.start.is_empty() {
            let pulled = sums.into_iter().zip(moved).map(|(gradient, place)| {
                let moved = self.flat(self.trained[*place]).clone() - self.start[*place].clone();
                gradient + moved.mul_scalar(self.settings.proximal)
            });
            sums = pulled.collect();
        }
        Ok((loss, sums, seconds))
    }

    /// AdamW as in [`AdamW`](crate::AdamW) of the factors at the places `moved`, with gradients
    /// multiplied by `clip`, `[1]`.
    fn update(
        &mut self,
        gradients: Vec<Tensor<1>>,
        moved: &[usize],
        clip: &Tensor<1>,
        rates: StepRates,
    ) {
        let AdamWSettings { beta1, beta2, epsilon, weight_decay } = self.settings.optimizer;
        for (gradient, place) in gradients.into_iter().zip(moved) {
            let factor = self.trained[*place];
            let learning_rate = rates.of(factor);
            let gradient = gradient * clip.clone();
            let steps = self.moments[*place].steps.saturating_add(1);
            let corrections = bias_corrections(&self.settings.optimizer, steps);
            let (step_size, root_correction) =
                (learning_rate / corrections[0], corrections[1].sqrt());
            let [first, second] = self.moments[*place].values.clone();
            let first = first.mul_scalar(beta1) + gradient.clone().mul_scalar(1.0 - beta1);
            let second = second.mul_scalar(beta2) + gradient.square().mul_scalar(1.0 - beta2);
            let root = second.clone().sqrt().div_scalar(root_correction).add_scalar(epsilon);
            let decayed = self.flat(factor).clone().mul_scalar(1.0 - learning_rate * weight_decay);
            let values = decayed - first.clone().mul_scalar(step_size) / root;
            self.moments[*place] = DeviceMoments { values: [first, second], steps };
            match factor {
                Factor::A => self.a = values,
                Factor::B => self.b = values,
                Factor::R => self.r = Some(values),
            }
        }
    }
}

impl LocalSteps for OnDevice<'_> {
    fn step(&mut self, batches: &[Batch], rates: StepRates) -> Result<StepReport> {
        let step = self.steps;
        self.steps += 1;
        let labels: usize = batches.iter().map(Batch::label_count).sum();
        let places = 0..self.trained.len();
        let moved: Vec<usize> = places.filter(|place| rates.moves(self.trained[*place])).collect();
        let (loss, gradients, seconds) = self.gradients(batches, &moved)?;
        let squares = gradients.iter().map(|gradient| gradient.clone().square().sum());
        let norm = squares.reduce(|sum, square| sum + square).map(Tensor::sqrt);
        let (Some(loss), Some(norm)) = (loss, norm) else {
            return Err(TrainError::setting("batch", "a step needs at least one"));
        };
        let loss = loss.tensor(&self.decoder.device);
        let clip =
            norm.clone().add_scalar(1e-6).recip().mul_scalar(self.settings.max_gradient_norm);
        self.update(gradients, &moved, &clip.clamp_max(1.0), rates);
        // The only download of a step, after everything has been launched.
        let [loss, gradient_norm] = to_vec(Tensor::cat(vec![loss, norm], 0))[..] else {
            return Err(TrainError::NotFinite { step, what: "loss" });
        };
        let loss = f64::from(loss) / labels as f64;
        if !loss.is_finite() {
            return Err(TrainError::NotFinite { step, what: "loss" });
        }
        if !gradient_norm.is_finite() {
            return Err(TrainError::NotFinite { step, what: "gradient norm" });
        }
        Ok(StepReport { loss, gradient_norm: f64::from(gradient_norm), seconds })
    }

    fn theta(&self) -> Vec<f32> {
        self.trained.iter().flat_map(|factor| to_vec(self.flat(*factor).clone())).collect()
    }
    fn optimizer_state(&self) -> OptimizerState {
        let mut state = OptimizerState::default();
        for (factor, moments) in self.trained.iter().zip(&self.moments) {
            let [first, second] = moments.values.clone().map(to_vec);
            state.set(*factor, Moments { first, second, steps: moments.steps });
        }
        state
    }
}

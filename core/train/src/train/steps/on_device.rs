//! Steps on tensors of a device with memory of its own: adapter, gradient, norm and optimiser never
//! leave it.

use burn_tensor::Tensor;

use super::{LocalSteps, StepReport};
use crate::federated::{AdapterLayout, Factor, GlobalAdapter, ModuleShape};
use crate::model::{
    Batch, ComputePrecision, Decoder, LayerGradients, Lora, LoraLayers, LossSum, StageSeconds,
    Wants, product, to_vec, upload,
};
use crate::train::optimizer::AdamWSettings;
use crate::{Result, TrainError};

pub(super) struct OnDevice<'a> {
    decoder: &'a Decoder,
    layout: AdapterLayout,
    trained: &'static [Factor],
    /// A, B and R, flat in the layout's order; R only with `fed-sb`.
    a: Tensor<1>,
    b: Tensor<1>,
    r: Option<Tensor<1>>,
    /// First and second moments of each trained factor.
    moments: Vec<[Tensor<1>; 2]>,
    optimizer: AdamWSettings,
    max_gradient_norm: f64,
    steps: usize,
}

impl<'a> OnDevice<'a> {
    pub(super) fn new(
        decoder: &'a Decoder,
        adapter: &GlobalAdapter,
        optimizer: AdamWSettings,
        max_gradient_norm: f64,
    ) -> Self {
        let put = |factor: Factor| {
            let values = adapter.values(factor);
            upload(values.to_vec(), [values.len()], &decoder.device)
        };
        let trained = adapter.trained_factors();
        let none = |factor: &Factor| {
            let none = Tensor::<1>::zeros([adapter.layout().len(*factor)], &decoder.device);
            [none.clone(), none]
        };
        Self {
            decoder,
            layout: adapter.layout().clone(),
            trained,
            a: put(Factor::A),
            b: put(Factor::B),
            r: (!adapter.values(Factor::R).is_empty()).then(|| put(Factor::R)),
            moments: trained.iter().map(none).collect(),
            optimizer,
            max_gradient_norm,
            steps: 0,
        }
    }

    /// The adapter as the decoder expects it: views of the factors, except that with `fed-sb` B R
    /// replaces B.
    fn lora(&self) -> LoraLayers {
        let mut lora = LoraLayers::none(self.decoder.layers.len());
        let scaling = self.layout.alpha() / self.layout.rank() as f64;
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

    /// Loss and gradients of the trained factors, summed over all batches.
    fn gradients(
        &self,
        batches: &[Batch],
    ) -> Result<(Option<LossSum>, Vec<Tensor<1>>, StageSeconds)> {
        let wants = Wants {
            base: false,
            factor_a: self.trained.contains(&Factor::A),
            factor_b: self.trained.contains(&Factor::B) || self.trained.contains(&Factor::R),
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
            let gradients = self.trained.iter().map(|f| self.gradient(*f, &result.layers));
            sums = match sums.is_empty() {
                true => gradients.collect(),
                false => sums.into_iter().zip(gradients).map(|(sum, more)| sum + more).collect(),
            };
        }
        Ok((loss, sums, seconds))
    }

    /// AdamW as in [`AdamW`](crate::AdamW), with gradients multiplied by `clip`, `[1]`.
    fn update(&mut self, gradients: Vec<Tensor<1>>, clip: &Tensor<1>, learning_rate: f64) {
        let AdamWSettings { beta1, beta2, epsilon, weight_decay } = self.optimizer;
        let steps = self.steps as i32;
        let step_size = learning_rate / (1.0 - beta1.powi(steps));
        let root_correction = (1.0 - beta2.powi(steps)).sqrt();
        for (index, gradient) in gradients.into_iter().enumerate() {
            let factor = self.trained[index];
            let gradient = gradient * clip.clone();
            let [first, second] = self.moments[index].clone();
            let first = first.mul_scalar(beta1) + gradient.clone().mul_scalar(1.0 - beta1);
            let second = second.mul_scalar(beta2) + gradient.square().mul_scalar(1.0 - beta2);
            let root = second.clone().sqrt().div_scalar(root_correction).add_scalar(epsilon);
            let decayed = self.flat(factor).clone().mul_scalar(1.0 - learning_rate * weight_decay);
            let values = decayed - first.clone().mul_scalar(step_size) / root;
            self.moments[index] = [first, second];
            match factor {
                Factor::A => self.a = values,
                Factor::B => self.b = values,
                Factor::R => self.r = Some(values),
            }
        }
    }
}

impl LocalSteps for OnDevice<'_> {
    fn step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepReport> {
        let step = self.steps;
        self.steps += 1;
        let labels: usize = batches.iter().map(Batch::label_count).sum();
        let (loss, gradients, seconds) = self.gradients(batches)?;
        let squares = gradients.iter().map(|gradient| gradient.clone().square().sum());
        let norm = squares.reduce(|sum, square| sum + square).map(Tensor::sqrt);
        let (Some(loss), Some(norm)) = (loss, norm) else {
            return Err(TrainError::setting("batch", "a step needs at least one"));
        };
        let loss = loss.tensor(&self.decoder.device);
        let clip = norm.clone().add_scalar(1e-6).recip().mul_scalar(self.max_gradient_norm);
        self.update(gradients, &clip.clamp_max(1.0), learning_rate);
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
}

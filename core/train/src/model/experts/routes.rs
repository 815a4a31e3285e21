//! Which experts compute which tokens, and with what weight. Decided on the host, from the logits
//! of the router.

use burn_tensor::{Device, Tensor};

use crate::model::batch::Indices;
use crate::model::transfer::upload;

/// Consecutive sorted places whose tokens one expert computes.
#[derive(Debug, PartialEq)]
pub(super) struct Run {
    pub(super) expert: usize,
    pub(super) start: usize,
    pub(super) count: usize,
}

/// The assignment of `rows * chosen` places to experts, sorted by expert and then by token.
pub(super) struct Routes {
    chosen: usize,
    normalised: bool,
    /// The router's softmax over all experts, `[rows, experts]`.
    probabilities: Vec<f32>,
    /// The chosen experts of each token, `[rows, chosen]`.
    experts: Vec<usize>,
    /// Their weights, `[rows, chosen]`.
    weights: Vec<f32>,
    /// For each of `[rows, chosen]`, its sorted place.
    places: Indices,
    /// The token of each sorted place.
    pub(super) tokens: Indices,
    /// The runs of the experts that have a token, in the order of places.
    pub(super) runs: Vec<Run>,
}

impl Routes {
    /// `logits` is `[rows, experts]`. Of equally likely experts, the first are chosen.
    pub(super) fn new(
        logits: &[f32],
        rows: usize,
        chosen: usize,
        normalised: bool,
        device: &Device,
    ) -> Self {
        let count = logits.len() / rows.max(1);
        let mut probabilities = Vec::with_capacity(logits.len());
        let (mut experts, mut weights) = (Vec::new(), Vec::new());
        for row in logits.chunks_exact(count.max(1)) {
            let softmax = softmax(row);
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by(|a, b| softmax[*b].total_cmp(&softmax[*a]));
            order.truncate(chosen);
            let sum: f32 = match normalised {
                true => order.iter().map(|expert| softmax[*expert]).sum(),
                false => 1.0,
            };
            weights.extend(order.iter().map(|expert| softmax[*expert] / sum));
            experts.extend(order);
            probabilities.extend(softmax);
        }
        let (order, runs) = sorted(&experts, count);
        let tokens: Vec<u32> = order.iter().map(|choice| (choice / chosen) as u32).collect();
        let mut places = vec![0u32; order.len()];
        order.iter().enumerate().for_each(|(place, choice)| places[*choice] = place as u32);
        let [places, tokens] = Indices::put([&places[..], &tokens[..]], device);
        Self { chosen, normalised, probabilities, experts, weights, places, tokens, runs }
    }

    /// The weight of each sorted place, `[rows * chosen, 1]`.
    pub(super) fn weights(&self, device: &Device) -> Tensor<2> {
        let mut sorted = vec![0.0; self.weights.len()];
        for (place, weight) in self.places.host.iter().zip(&self.weights) {
            sorted[*place as usize] = *weight;
        }
        upload(sorted, [self.weights.len(), 1], device)
    }

    /// The sum of each token's places: `[rows * chosen, hidden]`, sorted, to `[rows, hidden]`.
    pub(super) fn gather(&self, sorted: Tensor<2>, [rows, hidden]: [usize; 2]) -> Tensor<2> {
        let by_token = sorted.select(0, self.places.tensor.clone());
        by_token.reshape([rows, self.chosen, hidden]).sum_dim(1).reshape([rows, hidden])
    }

    /// The gradient of the logits, `[rows, experts]`, from that of the sorted places' weights.
    pub(super) fn logits_backward(&self, d_weights: &[f32]) -> Vec<f32> {
        let mut d_logits = vec![0.0; self.probabilities.len()];
        let count = self.probabilities.len() * self.chosen / self.experts.len().max(1);
        let choices = self.experts.chunks_exact(self.chosen).zip(
            self.weights.chunks_exact(self.chosen).zip(self.places.host.chunks_exact(self.chosen)),
        );
        let rows = d_logits.chunks_exact_mut(count).zip(self.probabilities.chunks_exact(count));
        for ((d, probabilities), (experts, (weights, places))) in rows.zip(choices) {
            let d_weight = |slot: usize| d_weights[places[slot] as usize];
            let mean: f32 = weights.iter().enumerate().map(|(i, w)| w * d_weight(i)).sum();
            // Scaled to a sum of 1, the weights are the softmax over the chosen experts alone: what
            // is not chosen has no share in them.
            if !self.normalised {
                d.iter_mut().zip(probabilities).for_each(|(d, p)| *d = -p * mean);
            }
            for (slot, (expert, weight)) in experts.iter().zip(weights).enumerate() {
                let own = if self.normalised { d_weight(slot) - mean } else { d_weight(slot) };
                d[*expert] += weight * own;
            }
        }
        d_logits
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f32 = exps.iter().sum();
    exps.into_iter().map(|e| e / sum).collect()
}

/// The choices in the order of their experts, and the run of each expert that has one.
fn sorted(experts: &[usize], count: usize) -> (Vec<usize>, Vec<Run>) {
    let mut by_expert = vec![Vec::new(); count];
    for (choice, expert) in experts.iter().enumerate() {
        by_expert[*expert].push(choice);
    }
    let mut start = 0;
    let mut runs = Vec::new();
    for (expert, choices) in by_expert.iter().enumerate().filter(|(_, one)| !one.is_empty()) {
        runs.push(Run { expert, start, count: choices.len() });
        start += choices.len();
    }
    (by_expert.concat(), runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 12] = [0.1, 2.0, -1.0, 0.5, 1.0, 1.0, 1.0, 0.0, -3.0, -2.0, 4.0, 3.9];

    fn routes(logits: &[f32], normalised: bool) -> Routes {
        Routes::new(logits, 3, 2, normalised, &crate::cpu())
    }

    #[test]
    fn each_token_has_its_likeliest_experts_and_ties_go_to_the_first() {
        let routes = routes(&LOGITS, true);
        assert_eq!(routes.experts, [1, 3, 0, 1, 2, 3]);
        assert_eq!(routes.tokens.host, [1, 0, 1, 2, 0, 2]);
        let run = |expert, start, count| Run { expert, start, count };
        assert_eq!(routes.runs, [run(0, 0, 1), run(1, 1, 2), run(2, 3, 1), run(3, 4, 2)]);
        assert_eq!(routes.places.host, [1, 4, 0, 2, 3, 5]);
        assert!(routes.weights.chunks(2).all(|w| (w[0] + w[1] - 1.0).abs() < 1e-6));
    }

    /// The gradient against finite differences of sum(weight * d), where no other expert is chosen.
    #[test]
    fn gradients_of_the_logits() {
        for normalised in [true, false] {
            let d = [0.3f32, -1.2, 0.7, 2.0, -0.4, 0.9];
            // The tie is resolved, so that small changes do not choose others.
            let mut logits = LOGITS;
            logits[6] = 0.9;
            let value = |logits: &[f32]| -> f32 {
                let routes = routes(logits, normalised);
                let weights = routes.places.host.iter().zip(&routes.weights);
                weights.map(|(place, weight)| weight * d[*place as usize]).sum()
            };
            let gradient = routes(&logits, normalised).logits_backward(&d);
            for (index, gradient) in gradient.iter().enumerate() {
                let moved = |by: f32| {
                    let mut logits = logits;
                    logits[index] += by;
                    value(&logits)
                };
                let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!((numeric - gradient).abs() < 2e-3, "{index}: {numeric} {gradient}");
            }
        }
    }
}

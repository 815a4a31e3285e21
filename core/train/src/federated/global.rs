//! The global adapter, which is the same at every member, bit for bit.

use std::borrow::Cow;

use rayon::prelude::*;

use super::algorithm::Algorithm;
use super::layout::{AdapterLayout, Factor};
use super::mask::Mask;
use super::middle;
use super::schedule::PruneRule;
use super::server::ServerOptimizer;
use super::settings::FederatedSettings;
use crate::random::Stream;
use crate::{Result, TrainError, Valid};

/// Values that one task copies.
const COPIED: usize = 1 << 14;

/// State of one factor; all vectors have the factor's length.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FactorState {
    /// The adapter's values g.
    pub(crate) values: Vec<f32>,
    /// Importance scores S; all zero before the factor's first round.
    pub(crate) scores: Vec<f32>,
    /// State of the server optimiser: none, one or two vectors.
    pub(crate) server: Vec<Vec<f32>>,
}

impl FactorState {
    fn new(values: Vec<f32>, server: ServerOptimizer) -> Self {
        let len = values.len();
        Self {
            values,
            scores: vec![0.0; len],
            server: vec![vec![0.0; len]; server.state_vectors()],
        }
    }
}

/// The global adapter after `applied` rounds, with all state from which the next round is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalAdapter {
    pub(crate) layout: AdapterLayout,
    pub(crate) algorithm: Algorithm,
    pub(crate) applied: u64,
    pub(crate) a: FactorState,
    pub(crate) b: FactorState,
    /// State of factor R; empty except with `fed-sb`.
    pub(crate) r: FactorState,
}

impl GlobalAdapter {
    /// The adapter before the first round: A uniform in ±1/sqrt(inputs), which is PEFT's
    /// kaiming-uniform with a = sqrt(5), expanded from `seed` (the federation id); B zero. With
    /// `fed-sb`, B is random too and R zero.
    pub fn new(layout: AdapterLayout, settings: &Valid<FederatedSettings>, seed: [u8; 32]) -> Self {
        let mut stream = Stream::new(seed, "first factor a");
        let mut a = Vec::with_capacity(layout.len(Factor::A));
        for (module, range) in layout.ranges(Factor::A) {
            let bound = 1.0 / (module.inputs as f64).sqrt();
            a.extend(range.map(|_| ((2.0 * stream.unit() - 1.0) * bound) as f32));
        }
        if settings.algorithm == Algorithm::FedSb {
            let b = middle::first_b(&layout, seed);
            let r = vec![0.0; layout.len(Factor::R)];
            return Self::from_factors(layout, settings, [a, b, r]);
        }
        let b = vec![0.0; layout.len(Factor::B)];
        Self::from_values(layout, settings, a, b)
    }

    /// An adapter that continues from existing factors, for example imported ones. With `fed-sb`, R
    /// is the identity, so that the product is unchanged.
    pub(crate) fn from_values(
        layout: AdapterLayout,
        settings: &Valid<FederatedSettings>,
        a: Vec<f32>,
        b: Vec<f32>,
    ) -> Self {
        let r = match settings.algorithm {
            Algorithm::FedSb => middle::identity(&layout),
            _ => Vec::new(),
        };
        Self::from_factors(layout, settings, [a, b, r])
    }

    fn from_factors(
        layout: AdapterLayout,
        settings: &Valid<FederatedSettings>,
        [a, b, r]: [Vec<f32>; 3],
    ) -> Self {
        Self {
            layout,
            algorithm: settings.algorithm,
            applied: 0,
            a: FactorState::new(a, settings.server),
            b: FactorState::new(b, settings.server),
            r: FactorState::new(r, settings.server),
        }
    }

    /// The modules and their order.
    pub fn layout(&self) -> &AdapterLayout {
        &self.layout
    }

    /// Number of applied rounds.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The algorithm that decides which factor is trained.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The values of a factor, in the order of the layout. R is empty except with `fed-sb`.
    pub fn values(&self, factor: Factor) -> &[f32] {
        &self.factor(factor).values
    }

    /// B in y = W x + alpha/rank B A x, and so in PEFT's files: B itself, or B R with `fed-sb`.
    pub fn lora_b(&self) -> Cow<'_, [f32]> {
        match self.algorithm {
            Algorithm::FedSb => Cow::Owned(middle::b_times_r(self)),
            _ => Cow::Borrowed(&self.b.values),
        }
    }

    /// The factors trained in the next round.
    pub fn trained_factors(&self) -> &'static [Factor] {
        self.algorithm.factors(self.applied)
    }

    /// Number of values trained in the next round.
    pub fn trained_len(&self) -> usize {
        self.trained_factors().iter().map(|factor| self.layout.len(*factor)).sum()
    }

    /// The values trained in the next round, one factor after the other.
    pub fn trained_values(&self) -> Vec<f32> {
        self.join(|state| &state.values)
    }

    /// The mask of the next round. `beacon` is the round's public randomness.
    pub fn mask(&self, settings: &Valid<FederatedSettings>, beacon: [u8; 32]) -> Mask {
        if settings.prune.rule == PruneRule::Local || self.algorithm.is_first(self.applied) {
            return Mask::full(self.trained_len());
        }
        let scores = self.join(|state| &state.scores);
        Mask::choose(&settings.prune, self.applied, &scores, beacon)
    }

    /// This adapter with other values of the trained factors and one more round: for local-only
    /// runs, in which nothing is pruned, sent or added. Never use it on a federation's global
    /// adapter.
    pub fn with_trained(&self, values: &[f32]) -> Result<Self> {
        let mut next = self.clone();
        next.set_trained(values)?;
        next.applied += 1;
        Ok(next)
    }

    /// This adapter as plain LoRA, all of whose factors are trained in every round: the start of
    /// training alone. Its output is the same.
    pub fn plain(&self) -> Self {
        let state = |values: &[f32]| FactorState::new(values.to_vec(), ServerOptimizer::default());
        Self {
            layout: self.layout.clone(),
            algorithm: Algorithm::FedIt,
            applied: 0,
            a: state(&self.a.values),
            b: state(&self.lora_b()),
            r: state(&[]),
        }
    }

    /// Replaces the values of the trained factors; the count of rounds is unchanged.
    pub(crate) fn set_trained(&mut self, values: &[f32]) -> Result<()> {
        if values.len() != self.trained_len() {
            let (got, want) = (values.len(), self.trained_len());
            return Err(TrainError::Adapter(format!("{got} values for {want} trained ones")));
        }
        let mut rest = values;
        for factor in self.trained_factors() {
            let state = self.factor_mut(*factor);
            let (head, tail) = rest.split_at(state.values.len());
            let pieces = state.values.par_chunks_mut(COPIED).zip(head.par_chunks(COPIED));
            pieces.for_each(|(values, trained)| values.copy_from_slice(trained));
            rest = tail;
        }
        Ok(())
    }

    /// Checks that `settings` describe this adapter; the error says what differs.
    pub fn check_settings(&self, settings: &Valid<FederatedSettings>) -> Result<()> {
        let differs = if self.algorithm != settings.algorithm {
            "algorithm"
        } else if self.layout.spec().rank != settings.adapter.rank
            || self.layout.spec().alpha != settings.adapter.alpha
        {
            "rank or alpha"
        } else if self.layout.is_rslora() != settings.adapter.rslora {
            "rule for the scale (rsLoRA)"
        } else if self.a.server.len() != settings.server.state_vectors() {
            "server optimiser"
        } else {
            return Ok(());
        };
        Err(TrainError::Adapter(format!("the stored adapter has another {differs}")))
    }

    pub(crate) fn factor(&self, factor: Factor) -> &FactorState {
        match factor {
            Factor::A => &self.a,
            Factor::B => &self.b,
            Factor::R => &self.r,
        }
    }

    pub(crate) fn factor_mut(&mut self, factor: Factor) -> &mut FactorState {
        match factor {
            Factor::A => &mut self.a,
            Factor::B => &mut self.b,
            Factor::R => &mut self.r,
        }
    }

    fn join(&self, part: impl Fn(&FactorState) -> &Vec<f32>) -> Vec<f32> {
        let mut joined = Vec::with_capacity(self.trained_len());
        for factor in self.trained_factors() {
            joined.extend_from_slice(part(self.factor(*factor)));
        }
        joined
    }
}

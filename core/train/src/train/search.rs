//! The search for the best adapter that one member can train by itself: which learning rate, and
//! how many steps. Both are chosen by a loss on examples that nothing is trained on.
//!
//! ```text
//! checkpoint  0    1    2    3    4    5    6   ...
//! rate 1      |----|----|----|----|----|
//! rate 2      |----|----|----|----|----|----|----| ...
//! rate 3      |----|----|----|
//! ```
//!
//! Every rate runs with the schedule of the whole training, until it gains nothing any more. Rates are
//! not dropped after a part of the steps: which one is ahead changes on the way, because the slow ones
//! catch up while the rate falls.

/// A training that is taken on step by step.
pub trait Stepwise {
    /// What it trains.
    type Adapter;
    /// Why it cannot go on.
    type Error;

    /// Takes `steps` further steps.
    ///
    /// # Returns
    /// The adapter after them, or `None` if the training has diverged.
    ///
    /// # Errors
    /// Those of training.
    fn advance(&mut self, steps: usize) -> Result<Option<Self::Adapter>, Self::Error>;
}

/// What is searched.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Steps of one training.
    pub steps: usize,
    /// Learning rates of the first step, the most likely one first.
    pub rates: Vec<f64>,
    /// Checkpoints of one training.
    pub checkpoints: usize,
    /// Checkpoints in a row after which a training ends if the loss has fallen by less than
    /// `least_gain` over them.
    pub patience: usize,
    /// A part of the loss, from 0 to 1: less is not worth further steps.
    pub least_gain: f64,
}

/// What a search has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<A> {
    /// The adapter with the smallest loss.
    pub adapter: A,
    /// Its loss.
    pub loss: f64,
    /// Steps that it was trained for.
    pub steps: usize,
    /// Learning rate of the first of them.
    pub rate: f64,
}

/// Checkpoints of one training.
const CHECKPOINTS: usize = 16;
/// Checkpoints in a row without a gain after which a training ends.
const PATIENCE: usize = 3;
const LEAST_GAIN: f64 = 0.01;

impl Search {
    /// A search of these rates with as many checkpoints as find the best one on the shipped data
    /// (`tests/search.rs`).
    pub fn of_steps(steps: usize, rates: &[f64]) -> Self {
        let rates = rates.to_vec();
        Self { steps, rates, checkpoints: CHECKPOINTS, patience: PATIENCE, least_gain: LEAST_GAIN }
    }

    /// Steps between two checkpoints.
    fn checkpoint(&self) -> usize {
        self.steps.div_ceil(self.checkpoints.max(1)).max(1)
    }

    /// Most steps that the search takes, all trainings together.
    pub fn planned(&self) -> usize {
        self.steps.saturating_mul(self.rates.len())
    }

    /// Runs the search. `start` begins a training at a learning rate, and `loss` measures an
    /// adapter.
    ///
    /// # Returns
    /// `None` if every training has diverged before its first checkpoint.
    ///
    /// # Errors
    /// Those of `start`, `loss` and training.
    pub fn run<R: Stepwise>(
        &self,
        start: impl Fn(f64) -> Result<R, R::Error>,
        loss: impl Fn(&R::Adapter) -> Result<f64, R::Error>,
    ) -> Result<Option<Found<R::Adapter>>, R::Error> {
        let mut best: Option<Found<R::Adapter>> = None;
        for rate in &self.rates {
            let mut training = Training { run: start(*rate)?, rate: *rate, taken: 0 };
            let (mut mark, mut idle) = (f64::INFINITY, 0);
            while training.taken < self.steps && idle < self.patience {
                // A rate that diverges ends there; it is no error of the data.
                let Some(found) = training.next(self, &loss)? else { break };
                match is_better(found.loss, mark * (1.0 - self.least_gain)) {
                    true => (mark, idle) = (found.loss, 0),
                    false => idle += 1,
                }
                keep(&mut best, found);
            }
        }
        Ok(best)
    }
}

/// Keeps `found` if it is better than what was kept, or the first: there may be nothing to measure
/// on but NaN.
fn keep<A>(best: &mut Option<Found<A>>, found: Found<A>) {
    if best.as_ref().is_none_or(|best| is_better(found.loss, best.loss)) {
        *best = Some(found);
    }
}

/// Whether loss `a` is below loss `b`, which may be no number.
fn is_better(a: f64, b: f64) -> bool {
    a < b || (b.is_nan() && !a.is_nan())
}

struct Training<R> {
    run: R,
    rate: f64,
    taken: usize,
}

impl<R: Stepwise> Training<R> {
    /// Trains to the next checkpoint; `None` if the training has diverged.
    fn next(
        &mut self,
        search: &Search,
        loss: impl Fn(&R::Adapter) -> Result<f64, R::Error>,
    ) -> Result<Option<Found<R::Adapter>>, R::Error> {
        let steps = search.checkpoint().min(search.steps - self.taken);
        let Some(adapter) = self.run.advance(steps)? else { return Ok(None) };
        self.taken += steps;
        let loss = loss(&adapter)?;
        Ok(Some(Found { adapter, loss, steps: self.taken, rate: self.rate }))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A training whose adapter after `n` steps at `rate` is the pair of both.
    struct Counted<'a> {
        rate: f64,
        taken: usize,
        all: &'a Cell<usize>,
        diverges_after: usize,
    }

    impl Stepwise for Counted<'_> {
        type Adapter = (f64, usize);
        type Error = String;

        fn advance(&mut self, steps: usize) -> Result<Option<(f64, usize)>, String> {
            self.taken += steps;
            self.all.set(self.all.get() + steps);
            Ok((self.taken <= self.diverges_after).then_some((self.rate, self.taken)))
        }
    }

    fn search(steps: usize, rates: &[f64]) -> Search {
        let rates = rates.to_vec();
        Search { steps, rates, checkpoints: 16, patience: 3, least_gain: 0.01 }
    }

    /// The loss falls at a speed of `rate` until step 80 and rises again.
    fn parabola((rate, steps): &(f64, usize)) -> Result<f64, String> {
        Ok(10.0 - rate * (*steps).min(80) as f64 + ((*steps).max(80) - 80) as f64)
    }

    #[test]
    fn every_rate_ends_when_it_gains_nothing_any_more() {
        let all = Cell::new(0);
        let start = |rate| Ok(Counted { rate, taken: 0, all: &all, diverges_after: 1000 });
        let wanted = search(320, &[0.01, 0.03, 0.02]);
        let found = wanted.run(start, parabola).unwrap().unwrap();
        assert_eq!((found.rate, found.steps, found.adapter), (0.03, 80, (0.03, 80)));
        assert_eq!(wanted.planned(), 3 * 320);
        assert!(all.get() < 3 * 320 / 2, "{}", all.get());
    }

    #[test]
    fn a_gain_that_is_not_worth_further_steps_ends_the_training_and_is_kept() {
        let all = Cell::new(0);
        let start = |rate| Ok(Counted { rate, taken: 0, all: &all, diverges_after: 1000 });
        // After 100 steps the loss falls by a thousandth in twenty steps.
        let loss = |(_, steps): &(f64, usize)| match *steps {
            ..=100 => Ok(2.0 - *steps as f64 / 100.0),
            steps => Ok(1.0 - (steps - 100) as f64 / 20_000.0),
        };
        let found = search(320, &[1.0]).run(start, loss).unwrap().unwrap();
        assert_eq!((found.steps, all.get()), (160, 160));
    }

    #[test]
    fn an_earlier_checkpoint_is_not_lost() {
        let all = Cell::new(0);
        let start = |rate| Ok(Counted { rate, taken: 0, all: &all, diverges_after: 1000 });
        // The first rate is best after one checkpoint and behind after two.
        let loss = |(rate, steps): &(f64, usize)| match (*rate, *steps) {
            (1.0, 20) => Ok(1.0),
            (1.0, _) => Ok(9.0),
            _ => Ok(5.0),
        };
        let found = search(320, &[1.0, 2.0]).run(start, loss).unwrap().unwrap();
        assert_eq!((found.rate, found.steps, found.loss), (1.0, 20, 1.0));
    }

    #[test]
    fn a_rate_that_diverges_is_not_taken() {
        let all = Cell::new(0);
        let start = |rate: f64| {
            let diverges_after = if rate > 1.0 { 0 } else { 1000 };
            Ok(Counted { rate, taken: 0, all: &all, diverges_after })
        };
        let found = search(32, &[2.0, 0.5, 4.0]).run(start, parabola).unwrap().unwrap();
        assert_eq!((found.rate, found.steps), (0.5, 32));
        assert_eq!(search(32, &[2.0]).run(start, parabola).unwrap(), None);
        assert_eq!(search(32, &[2.0, 4.0]).run(start, parabola).unwrap(), None);
    }

    #[test]
    fn few_steps_one_rate_and_losses_that_are_no_numbers() {
        let all = Cell::new(0);
        let start = |rate| Ok(Counted { rate, taken: 0, all: &all, diverges_after: 1000 });
        for steps in [1, 2, 15, 17] {
            all.set(0);
            let wanted = Search { least_gain: 0.0, ..search(steps, &[0.01]) };
            let found = wanted.run(start, parabola).unwrap().unwrap();
            assert_eq!(
                (found.steps, all.get(), wanted.planned()),
                (steps, steps, steps),
                "{steps}"
            );
            let wanted = search(steps, &[0.01, 0.02]);
            assert_eq!(wanted.run(start, parabola).unwrap().unwrap().rate, 0.02, "{steps}");
        }
        let found = search(16, &[0.01, 0.02]).run(start, |_| Ok(f64::NAN)).unwrap().unwrap();
        assert_eq!(found.steps, 1);
        let odd = |(rate, _): &(f64, usize)| Ok(if *rate < 0.02 { f64::NAN } else { 1.0 });
        assert_eq!(search(16, &[0.01, 0.02]).run(start, odd).unwrap().unwrap().rate, 0.02);
        let refused = search(16, &[0.01]).run(start, |_| Err("no".to_owned()));
        assert_eq!(refused.unwrap_err(), "no");
    }
}

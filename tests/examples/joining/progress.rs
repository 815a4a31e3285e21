//! How far a training has come: the losses of its checkpoints, and the best adapter so far.

use fedshield_train::federated::GlobalAdapter;
use serde::{Deserialize, Serialize};

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Local steps of one member so far.
    pub steps: usize,
    /// Ciphertext bytes that one member has sent so far.
    pub bytes: u64,
    /// Seconds of training so far, of the slowest member in each round.
    pub seconds: f64,
    /// Mean validation loss in nats per token of each member that is measured.
    pub validation: Vec<f64>,
    /// Mean over the tokens of all of them.
    pub union: f64,
}

/// The checkpoints of one training.
#[derive(Default)]
pub(crate) struct Progress {
    pub points: Vec<Point>,
    /// The point with the smallest validation loss on the union.
    pub chosen: usize,
    /// The adapter there; `None` before the first checkpoint, and for the base model.
    pub adapter: Option<GlobalAdapter>,
    /// Why it ended before its time.
    pub stopped: Option<String>,
}

impl Progress {
    pub(crate) fn note(&mut self, point: Point, adapter: &GlobalAdapter) {
        // The first is taken in any case: its loss may be NaN.
        if self.adapter.is_none() || point.union < self.points[self.chosen].union {
            self.chosen = self.points.len();
            self.adapter = Some(adapter.clone());
        }
        self.points.push(point);
    }
}

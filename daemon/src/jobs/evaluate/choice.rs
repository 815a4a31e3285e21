//! Which of the adapters a member ends up with.

use fedshield_train::{AnswerScore, ExampleLoss, PairedDifference, mean_loss};

use super::AdapterKind;
use crate::control::api::AdapterLoss;

/// An adapter with its losses.
pub(super) struct Candidate {
    pub(super) kind: AdapterKind,
    pub(super) validation: Vec<ExampleLoss>,
    /// On the part that is reported. Nothing is chosen by it.
    pub(super) reported: Vec<ExampleLoss>,
    /// On that part as well.
    pub(super) answers: Option<AnswerScore>,
    pub(super) steps: u64,
    pub(super) learning_rate: f64,
}

impl Candidate {
    /// `base` are the losses of the frozen model on the part that is reported.
    pub(super) fn loss(&self, base: &[ExampleLoss]) -> AdapterLoss {
        AdapterLoss {
            loss: mean_loss(&self.reported),
            against_base: PairedDifference::of(base, &self.reported),
            answers: self.answers,
            validation: mean_loss(&self.validation),
            steps: self.steps,
            learning_rate: self.learning_rate,
        }
    }
}

/// The common adapter, unless another is better on the validation part by more than the standard
/// error of the difference; of several such ones, the one with the smallest loss.
pub(super) fn best_of<'a>(common: &'a Candidate, others: &'a [Candidate]) -> &'a Candidate {
    let is_better = |candidate: &&Candidate| {
        PairedDifference::of(&common.validation, &candidate.validation)
            .is_some_and(|difference| difference.mean > difference.standard_error)
    };
    let loss = |candidate: &&Candidate| mean_loss(&candidate.validation);
    let better = others.iter().filter(is_better);
    better.min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap_or(common)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(kind: AdapterKind, sums: &[f64]) -> Candidate {
        let one = |(index, sum): (usize, &f64)| ExampleLoss {
            digest: [index as u8; 16],
            sum: *sum,
            tokens: 10,
        };
        let validation: Vec<ExampleLoss> = sums.iter().enumerate().map(one).collect();
        Candidate {
            kind,
            validation,
            reported: Vec::new(),
            answers: None,
            steps: 1,
            learning_rate: 1.0,
        }
    }

    fn best(others: [&[f64]; 2]) -> AdapterKind {
        let [personal, alone] = others;
        let others =
            [candidate(AdapterKind::Personal, personal), candidate(AdapterKind::Alone, alone)];
        best_of(&candidate(AdapterKind::Common, &[20.0, 21.0, 22.0, 23.0]), &others).kind
    }

    #[test]
    fn the_common_adapter_unless_another_is_surely_better() {
        // A better mean because of one example only: within the error.
        assert_eq!(best([&[20.5, 21.5, 22.5, 17.0], &[30.0; 4]]), AdapterKind::Common);
        assert_eq!(best([&[19.0, 20.2, 20.9, 21.8], &[30.0; 4]]), AdapterKind::Personal);
        assert_eq!(best([&[19.0, 20.2, 20.9, 21.8], &[15.0; 4]]), AdapterKind::Alone);
        assert_eq!(best([&[20.0, 21.0, 22.0, 23.0], &[30.0; 4]]), AdapterKind::Common);
        // Losses on other examples prove nothing.
        assert_eq!(best([&[1.0, 1.0], &[1.0]]), AdapterKind::Common);
    }
}

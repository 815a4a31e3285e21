//! What a trainer command cannot do. Version 1 of its request names one learning rate, all factors
//! that a round trains, and no state: a program that is asked for more would not know.

use fedshield_protocol::manifest::{Algorithm, LocalOptimizer, Real, Training};

/// The field of the terms that no trainer command follows, and what it asks for; `None` if there is
/// none.
#[must_use]
pub fn beyond_a_command(training: &Training) -> Option<(&'static str, &'static str)> {
    match training.algorithm {
        Algorithm::FedSb => {
            return Some((
                "training.algorithm",
                "fed-sb trains a matrix that a PEFT folder does not have",
            ));
        }
        Algorithm::Halves => {
            return Some((
                "training.algorithm",
                "halves trains one factor after the other in a round",
            ));
        }
        Algorithm::Rolora | Algorithm::Ffa | Algorithm::Fedit => {}
    }
    if training.rate_ratio != Real::ONE {
        return Some(("training.rate_ratio", "each factor has a learning rate of its own"));
    }
    if training.proximal != Real::ZERO {
        return Some(("training.proximal", "a term is added to the loss"));
    }
    match training.local_optimizer {
        LocalOptimizer::Fresh => None,
        LocalOptimizer::Kept => {
            Some(("training.local_optimizer", "the optimiser's state is kept between rounds"))
        }
    }
}

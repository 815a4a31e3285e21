//! The server optimiser's part of the terms.

use clap::ValueEnum;
use fedshield_protocol::manifest::ServerOptimizer;
use fedshieldd::control::api::ErrorCode;

use super::{TermsFlags, positive, real};
use crate::failure::Failure;

/// `--server-optimizer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OptimizerName {
    /// Adds --server-rate times the mean.
    Plain,
    /// Adds --server-rate times a running sum of the means.
    Momentum,
    /// Nesterov's momentum, as in DiLoCo.
    Nesterov,
    /// Adam on the mean, with --server-momentum as its first decay.
    Adam,
}

/// As in the paper that brought Adam to the server (Reddi et al., "Adaptive federated
/// optimization", 2021).
const ADAM_BETA2: f64 = 0.99;
const ADAM_EPSILON: f64 = 1e-3;

/// The server optimiser that `flags` ask for.
///
/// # Errors
/// Names the flag that does not fit.
pub(super) fn optimizer(flags: &TermsFlags) -> Result<ServerOptimizer, Failure> {
    use OptimizerName::{Adam, Momentum, Nesterov, Plain};
    let usual = if flags.server_momentum.is_some() { Momentum } else { Plain };
    let name = flags.server_optimizer.unwrap_or(usual);
    let refuse = |what: &str, flag: &str, next: &str| {
        Err(Failure::new(ErrorCode::InvalidRequest, what).at(flag).next(next))
    };
    if name == Plain && flags.server_momentum.is_some() {
        return refuse(
            "the plain server optimiser has no momentum",
            "--server-momentum",
            "leave it out, or choose --server-optimizer momentum",
        );
    }
    if name == Adam && flags.server_rate.is_none() {
        // Adam moves every value by about its rate, so the default rate of the others would be far
        // too large.
        return refuse(
            "Adam needs a step size of its own",
            "--server-rate",
            "give about the largest step of a value in one round; the learning rate is a start",
        );
    }
    let rate = positive("--server-rate", flags.server_rate.unwrap_or(1.0))?;
    let momentum = flags.server_momentum.unwrap_or(0.9);
    if !(0.0..1.0).contains(&momentum) {
        return refuse(
            &format!("{momentum} is out of range"),
            "--server-momentum",
            "give a number from 0 to below 1",
        );
    }
    let momentum = real("--server-momentum", momentum)?;
    Ok(match name {
        Plain => ServerOptimizer::Plain { rate },
        Momentum => ServerOptimizer::Momentum { rate, momentum },
        Nesterov => ServerOptimizer::Nesterov { rate, momentum },
        Adam => ServerOptimizer::Adam {
            rate,
            beta1: momentum,
            beta2: real("beta2", ADAM_BETA2)?,
            epsilon: real("epsilon", ADAM_EPSILON)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(name: Option<OptimizerName>, momentum: Option<f64>, rate: Option<f64>) -> TermsFlags {
        TermsFlags {
            server_optimizer: name,
            server_momentum: momentum,
            server_rate: rate,
            ..TermsFlags::default()
        }
    }

    #[test]
    fn each_has_its_flags() {
        let with = |name, momentum| optimizer(&flags(name, momentum, Some(0.01))).unwrap();
        assert!(matches!(with(None, None), ServerOptimizer::Plain { .. }));
        assert!(matches!(with(None, Some(0.5)), ServerOptimizer::Momentum { .. }));
        let nesterov = with(Some(OptimizerName::Nesterov), None);
        let ServerOptimizer::Nesterov { rate, momentum } = nesterov else {
            panic!("not Nesterov's momentum");
        };
        assert_eq!((rate.get(), momentum.get()), (0.01, 0.9));
        let ServerOptimizer::Adam { rate, beta1, .. } = with(Some(OptimizerName::Adam), Some(0.8))
        else {
            panic!("not Adam");
        };
        assert_eq!((rate.get(), beta1.get()), (0.01, 0.8));
    }

    #[test]
    fn what_does_not_fit_names_its_flag() {
        for (flags, flag) in [
            (flags(None, None, Some(0.0)), "--server-rate"),
            (flags(None, Some(1.0), None), "--server-momentum"),
            (flags(Some(OptimizerName::Plain), Some(0.5), None), "--server-momentum"),
            (flags(Some(OptimizerName::Adam), None, None), "--server-rate"),
        ] {
            assert_eq!(optimizer(&flags).unwrap_err().place.as_deref(), Some(flag));
        }
    }
}

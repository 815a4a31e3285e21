//! How the options of local steps and server optimiser are rendered.

use fedshield_protocol::manifest::{LocalOptimizer, Real, ServerOptimizer, Training};

/// What is agreed about the local steps beyond what every federation has.
pub(super) fn options(training: &Training) -> String {
    let mut text = String::new();
    if training.rate_ratio != Real::ONE {
        text += &format!(", {} times as much for B", training.rate_ratio.get());
    }
    if training.proximal != Real::ZERO {
        text += &format!(", proximal term {}", training.proximal.get());
    }
    text + match training.local_optimizer {
        LocalOptimizer::Fresh => "",
        LocalOptimizer::Kept => ", optimiser kept between rounds",
    }
}

/// What is done with the opened mean.
pub(super) fn server(optimizer: ServerOptimizer) -> String {
    match optimizer {
        ServerOptimizer::Plain { rate } => format!("plain, step {}", rate.get()),
        ServerOptimizer::Momentum { rate, momentum } => {
            format!("momentum {}, step {}", momentum.get(), rate.get())
        }
        ServerOptimizer::Nesterov { rate, momentum } => {
            format!("Nesterov's momentum {}, step {}", momentum.get(), rate.get())
        }
        ServerOptimizer::Adam { rate, beta1, beta2, .. } => {
            format!("Adam with {} and {}, step {}", beta1.get(), beta2.get(), rate.get())
        }
    }
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::Digest;

    use super::super::terms_facts;
    use crate::screen::Colours;
    use crate::table::facts;
    use crate::terms::{
        AlgorithmName, LocalOptimizerName, OptimizerName, TermsFlags, TermsPreset, terms,
    };

    #[test]
    fn the_learners_options_are_shown_to_whoever_agrees_to_them() {
        let shown = |flags: &TermsFlags| {
            let terms = terms("t", TermsPreset::Small, 4, flags).unwrap();
            facts(Colours::none(), &terms_facts(&terms, Digest([1; 32]), &[]))
        };
        let flags = TermsFlags {
            algorithm: Some(AlgorithmName::Halves),
            lr_ratio: Some(4.0),
            proximal: Some(0.01),
            local_optimizer: Some(LocalOptimizerName::Kept),
            rslora: true,
            server_optimizer: Some(OptimizerName::Nesterov),
            server_rate: Some(0.7),
            ..TermsFlags::default()
        };
        let (text, plain) = (shown(&flags), shown(&TermsFlags::default()));
        for part in [
            "halves, batch",
            "4 times as much for B",
            "proximal term 0.01",
            "optimiser kept between rounds",
            "alpha 16 over the root of the rank (rsLoRA)",
            "Nesterov's momentum 0.9, step 0.7",
        ] {
            assert!(text.contains(part) && !plain.contains(part), "{part}:\n{text}\n{plain}");
        }
        assert!(plain.contains("plain, step 1"), "{plain}");
    }
}

//! What each check refuses, and that the defaults pass.

use super::{Valid, Validate};
use crate::data::DataSettings;
use crate::federated::{Algorithm, FederatedSettings, ServerOptimizer};
use crate::{TrainError, TrainSettings};

#[test]
fn the_defaults_are_valid() {
    FederatedSettings::default().validate().unwrap();
    TrainSettings::default().validate().unwrap();
    DataSettings::default().validate().unwrap();
}

type Change<T> = fn(&mut T);

/// Each change makes the defaults invalid, and the error names the setting.
fn refused<T>(changes: &[(&str, Change<T>)])
where
    T: Validate<Error = TrainError> + Default + Clone,
{
    for (name, change) in changes {
        let error = Valid::<T>::default().with(change).err().map(|error| error.to_string());
        let error = error.unwrap_or_else(|| panic!("{name} is not refused"));
        assert!(error.contains(name), "{name}: {error}");
    }
}

#[test]
fn what_members_agree_on_is_checked() {
    refused::<FederatedSettings>(&[
        ("rank", |it| it.adapter.rank = 0),
        ("rank", |it| it.adapter.rank = 4097),
        ("alpha", |it| it.adapter.alpha = f64::NAN),
        ("alpha", |it| it.adapter.alpha = -1.0),
        ("target_modules", |it| it.adapter.target_modules.clear()),
        ("steps", |it| it.steps = 0),
        ("learning_rate.peak", |it| it.learning_rate.peak = f64::INFINITY),
        ("learning_rate.last", |it| it.learning_rate.last = 0.0),
        ("rate_ratio", |it| it.rate_ratio = 0.0),
        ("rate_ratio", |it| it.rate_ratio = f64::INFINITY),
        ("rate_ratio", |it| (it.algorithm, it.rate_ratio) = (Algorithm::FedSb, 2.0)),
        ("proximal", |it| it.proximal = -0.1),
        ("proximal", |it| it.proximal = f64::NAN),
        ("steps", |it| (it.algorithm, it.steps) = (Algorithm::Halves, 1)),
        ("clip_factor", |it| it.rate_ratio = 1e60),
        ("clip_factor", |it| it.rate_ratio = 1e-60),
        ("clip_factor", |it| it.clip_factor = 0.0),
        // Finite each, and yet the bound of an update is infinite, or zero, in f32.
        ("clip_factor", |it| it.clip_factor = 1e300),
        ("clip_factor", |it| it.clip_factor = 1e-300),
        ("clip_factor", |it| it.learning_rate.last = 1e-60),
        ("clip_factor", |it| it.learning_rate.peak = 1e60),
        ("prune.start_rate", |it| it.prune.start_rate = 1.0),
        ("prune.end_rate", |it| it.prune.end_rate = f64::NAN),
        ("prune.end_rate", |it| it.prune.end_rate = 0.1),
        ("prune.explore", |it| it.prune.explore = -0.1),
        ("score_decay", |it| it.score_decay = 1.0),
        ("server", |it| it.server = ServerOptimizer::Plain { eta: 0.0 }),
        ("server", |it| it.server = ServerOptimizer::Momentum { eta: 1.0, beta: 1.0 }),
        ("server", |it| it.server = ServerOptimizer::Nesterov { eta: 1.0, beta: 1.0 }),
        ("server", |it| it.server = ServerOptimizer::Nesterov { eta: -1.0, beta: 0.9 }),
        ("server", |it| {
            let (beta1, beta2) = (0.9, 0.99);
            it.server = ServerOptimizer::Adam { eta: 1.0, beta1, beta2, epsilon: 0.0 };
        }),
    ]);
}

#[test]
fn one_members_settings_are_checked() {
    refused::<TrainSettings>(&[
        ("batch_size", |it| it.batch_size = 0),
        ("accumulation", |it| it.accumulation = 0),
        ("max_gradient_norm", |it| it.max_gradient_norm = 0.0),
        ("max_gradient_norm", |it| it.max_gradient_norm = f64::NAN),
        ("optimizer.beta1", |it| it.optimizer.beta1 = 1.0),
        ("optimizer.beta2", |it| it.optimizer.beta2 = -0.5),
        ("optimizer.epsilon", |it| it.optimizer.epsilon = 0.0),
        ("optimizer.weight_decay", |it| it.optimizer.weight_decay = f64::INFINITY),
    ]);
    refused::<DataSettings>(&[
        ("max_length", |it| it.max_length = 1),
        ("held_out", |it| it.held_out = 1.0),
        ("held_out", |it| it.held_out = f64::NAN),
    ]);
}

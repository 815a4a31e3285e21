//! Training of one member by itself, and what it is compared by.

mod fixture;

use std::ops::ControlFlow;

use fedshield_train::federated::{Algorithm, FederatedSettings, GlobalAdapter};
use fedshield_train::{AloneSettings, PairedDifference, Progress, Valid, mean_loss};

fn go_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn settings(steps: usize, checkpoint: usize) -> Valid<AloneSettings> {
    Valid::new(AloneSettings { steps, checkpoint, learning_rate: 5e-3 }).unwrap()
}

#[test]
fn both_factors_are_trained_with_one_optimiser_whatever_the_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = fixture::trainer(&fixture::write_model(folder.path()));
    let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
    for algorithm in [Algorithm::RoLora, Algorithm::Ffa, Algorithm::FedIt, Algorithm::FedSb] {
        let federated = fixture::settings().with(|it| it.algorithm = algorithm).unwrap();
        let start = trainer.first_adapter(&federated, [1; 32]).unwrap().plain();
        let run = |checkpoint| {
            let mut seen: Vec<(usize, GlobalAdapter)> = Vec::new();
            let mut keep = |step, adapter| {
                seen.push((step, adapter));
                Ok(ControlFlow::Continue(()))
            };
            let settings = settings(10, checkpoint);
            trainer.train_alone(&start, &settings, [1; 32], &data, &mut go_on, &mut keep).unwrap();
            seen
        };
        let (coarse, fine) = (run(10), run(4));
        let steps: Vec<usize> = fine.iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [4, 8, 10]);
        assert_eq!(fine[2].1, coarse[0].1, "{algorithm:?}");
        for factor in start.trained_factors() {
            assert_ne!(fine[0].1.values(*factor), start.values(*factor), "{algorithm:?}");
        }
        assert_eq!(start.trained_factors().len(), 2);
        let loss = |adapter| trainer.evaluate(Some(adapter), &data.train).unwrap().loss;
        assert!(loss(&fine[2].1) < loss(&start), "{algorithm:?}");
    }
}

#[test]
fn the_plain_form_of_an_adapter_computes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = fixture::trainer(&fixture::write_model(folder.path()));
    let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
    let settings = fixture::settings().with(|it| it.algorithm = Algorithm::FedSb).unwrap();
    let mut global = trainer.first_adapter(&settings, [1; 32]).unwrap();
    let theta = trainer.train_round(&global, &settings, [1; 32], &data, &mut go_on).unwrap().theta;
    global = global.with_trained(&theta).unwrap();
    let loss = |adapter| trainer.evaluate(Some(adapter), &data.train).unwrap().loss;
    assert!((loss(&global) - loss(&global.plain())).abs() < 1e-6);
}

#[test]
fn losses_of_examples_add_up_to_the_mean() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = fixture::trainer(&fixture::write_model(folder.path()));
    let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
    let each = trainer.evaluate_each(None, &data.train).unwrap();
    let all = trainer.evaluate(None, &data.train).unwrap();
    let digests: Vec<_> = each.iter().map(|loss| loss.digest).collect();
    assert_eq!(digests, data.train.iter().map(|it| it.digest()).collect::<Vec<_>>());
    assert_eq!(each.iter().map(|loss| loss.tokens).sum::<usize>(), all.tokens);
    assert!((mean_loss(&each) - all.loss).abs() < 1e-9);
    let alone = trainer.evaluate(None, &data.train[..1]).unwrap();
    assert!((each[0].sum / each[0].tokens as f64 - alone.loss).abs() < 1e-5);
    let none = PairedDifference::of(&each, &each).unwrap();
    assert_eq!((none.mean, none.low, none.high), (0.0, 0.0, 0.0));
}

#[test]
fn what_cannot_be_trained_alone_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = fixture::trainer(&fixture::write_model(folder.path()));
    let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
    let rolora = Valid::<FederatedSettings>::default().with(|it| it.algorithm = Algorithm::RoLora);
    let half = trainer.first_adapter(&rolora.unwrap(), [1; 32]).unwrap();
    let mut keep = |_, _| Ok(ControlFlow::Continue(()));
    let mut quiet = go_on;
    let result = trainer.train_alone(&half, &settings(2, 1), [1; 32], &data, &mut quiet, &mut keep);
    assert!(result.unwrap_err().to_string().contains("not all trained"));
    for (steps, checkpoint, learning_rate, name) in
        [(0, 1, 1e-3, "steps"), (1, 0, 1e-3, "checkpoint"), (1, 1, f64::NAN, "learning_rate")]
    {
        let refused = Valid::new(AloneSettings { steps, checkpoint, learning_rate }).unwrap_err();
        assert!(refused.to_string().contains(name), "{refused}");
    }
}

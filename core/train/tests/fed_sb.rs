//! `fed-sb`: the matrix between two fixed factors.

mod fixture;

use std::ops::ControlFlow;

use fedshield_train::adapter::{export_peft, import_peft};
use fedshield_train::federated::{Algorithm, Factor, FederatedSettings, GlobalAdapter};
use fedshield_train::load::LoadedModel;
use fedshield_train::model::{BasePrecision, Batch, TokenSequence};
use fedshield_train::{ComputeDevice, Progress, Valid, adapter_gradient};

fn settings() -> Valid<FederatedSettings> {
    fixture::settings().with(|it| it.algorithm = Algorithm::FedSb).unwrap()
}

fn go_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn the_gradient_of_r_is_what_the_loss_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = fixture::write_model(folder.path());
    let trainer = fixture::trainer(&path);
    let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
    let sequences: Vec<TokenSequence> =
        data.train.iter().take(4).map(|e| e.sequence().unwrap()).collect();
    let batch = [Batch::new(&sequences.iter().collect::<Vec<_>>()).unwrap()];
    let device = ComputeDevice::Cpu.open().unwrap();
    let decoder = LoadedModel::open(&path).unwrap().decoder(&device, BasePrecision::F32).unwrap();
    let first = trainer.first_adapter(&settings(), [1; 32]).unwrap();
    // Away from zero, so that R itself matters.
    let r: Vec<f32> =
        (0..first.trained_len()).map(|i| ((i * 37 % 101) as f32 - 50.0) / 500.0).collect();
    let loss_at = |values: &[f32]| {
        let adapter = first.with_trained(values).unwrap();
        adapter_gradient(&decoder, &adapter, &[Factor::R], &batch).unwrap()
    };
    let gradient = loss_at(&r).gradient;
    assert_eq!(gradient.len(), r.len());
    let largest = gradient.iter().fold(0f32, |m, g| m.max(g.abs()));
    let step = 1e-2;
    for index in (0..r.len()).step_by(7) {
        let moved = |by: f32| {
            let mut values = r.clone();
            values[index] += by;
            loss_at(&values).loss
        };
        let slope = (moved(step) - moved(-step)) / f64::from(2.0 * step);
        let difference = (slope - f64::from(gradient[index])).abs();
        assert!(difference < 0.01 * f64::from(largest), "{index}: {slope} {}", gradient[index]);
    }
}

#[test]
fn it_learns_while_a_and_b_stay_and_sends_rank_times_rank_values() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = fixture::trainer(&fixture::write_model(folder.path()));
    let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
    let settings = settings();
    let first = trainer.first_adapter(&settings, [1; 32]).unwrap();
    let rank = settings.adapter.rank;
    assert_eq!(first.trained_len(), rank * rank * first.layout().modules().len());
    let base = trainer.evaluate(None, &data.train).unwrap().loss;
    assert_eq!(trainer.evaluate(Some(&first), &data.train).unwrap().loss, base);
    let mut adapter = first.clone();
    for t in 0..6 {
        let round = trainer.train_round(&adapter, &settings, [t; 32], &data, &mut go_on).unwrap();
        adapter = adapter.with_trained(&round.theta).unwrap();
    }
    for factor in [Factor::A, Factor::B] {
        assert_eq!(adapter.values(factor), first.values(factor));
    }
    let loss = trainer.evaluate(Some(&adapter), &data.train).unwrap().loss;
    assert!(loss < 0.8 * base, "{loss} of {base}");
    assert_eq!(GlobalAdapter::from_bytes(&adapter.to_bytes()).unwrap(), adapter);
}

#[test]
fn peft_gets_the_product_and_what_comes_back_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = fixture::trainer(&fixture::write_model(folder.path()));
    let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
    let settings = settings();
    let first = trainer.first_adapter(&settings, [1; 32]).unwrap();
    let out = folder.path().join("adapter");
    // B R is zero before the first round: nothing that could be trained on.
    export_peft(&out, &first, "base").unwrap();
    let error = import_peft(&out, trainer.config(), &settings).unwrap_err().to_string();
    assert!(error.contains("lora_B") && error.contains("is zero"), "{error}");
    let round = trainer.train_round(&first, &settings, [1; 32], &data, &mut go_on).unwrap();
    let trained = first.with_trained(&round.theta).unwrap();
    export_peft(&out, &trained, "base").unwrap();
    let loss = |adapter: &GlobalAdapter| trainer.evaluate(Some(adapter), &data.train).unwrap().loss;
    let plain = settings.with(|it| it.algorithm = Algorithm::FedIt).unwrap();
    for settings in [plain, settings] {
        let back = import_peft(&out, trainer.config(), &settings).unwrap();
        assert_eq!(back.lora_b(), trained.lora_b());
        assert_eq!(loss(&back), loss(&trained));
    }
}

//! Rounds on a tiny model: training, the federation's arithmetic, errors.

mod fixture;

use std::ops::ControlFlow;

use fedshield_train::adapter::{Adapter, export_model, export_peft, import_peft};
use fedshield_train::data::{DataSet, DataSettings};
use fedshield_train::federated::{Factor, GlobalAdapter, LocalMemory, UpdateSum};
use fedshield_train::load::{LoadedModel, Precision};
use fedshield_train::{Progress, Sampling, TrainError, TrainSettings, Trainer, Valid};
use fedshield_train_tools::{BaseWeights, save_base};

fn go_on(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn the_same_inputs_give_the_same_update_and_another_seed_another() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = fixture::trainer(&fixture::write_model(folder.path()));
    let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
    let settings = fixture::settings();
    let global = trainer.first_adapter(&settings, [1; 32]).unwrap();
    let theta = |seed| {
        trainer.train_round(&global, &settings, [seed; 32], &data, &mut go_on).unwrap().theta
    };
    assert_eq!(theta(1), theta(1));
    assert_ne!(theta(1), theta(2));
}

#[test]
fn two_members_learn_what_neither_has_alone() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = fixture::trainer(&fixture::write_model(folder.path()));
    let settings = fixture::settings();
    let sets =
        [0, 1].map(|part| fixture::data(&trainer, &fixture::write_data(folder.path(), part)));
    let mut global = trainer.first_adapter(&settings, [1; 32]).unwrap();
    let base = sets.each_ref().map(|set| trainer.evaluate(None, &set.train).unwrap().loss);
    let mut memories = [LocalMemory::new(&global), LocalMemory::new(&global)];
    for t in 0..10u8 {
        let scale = settings.scale(global.applied(), 16, 1);
        let mask = global.mask(&settings, [t; 32]);
        let mut sum = vec![0i64; mask.len()];
        for (set, memory) in sets.iter().zip(&mut memories) {
            let result = trainer.train_round(&global, &settings, [t; 32], set, &mut go_on).unwrap();
            let update = memory.prune(&global, &result.theta, mask.clone(), &settings).unwrap();
            for (sum, value) in sum.iter_mut().zip(&*update.encoded()) {
                *sum += (scale * f64::from(*value)).round() as i64;
            }
            memory.spend(global.applied(), &mask, &update.sent).unwrap();
        }
        let opened = UpdateSum { values: &sum, scale, weight_sum: 2, contributors: 2 };
        global = global.apply(&settings, &mask, &opened).unwrap();
    }
    for (set, base) in sets.iter().zip(base) {
        let loss = trainer.evaluate(Some(&global), &set.train).unwrap().loss;
        assert!(loss < 0.5 * base, "{loss} of {base}");
    }
    let template = DataSettings::default().template;
    let sampling = Sampling { max_tokens: 12, ..Sampling::default() };
    let example = &sets[0].train[0].example().unwrap();
    let answer = trainer.answer(Some(&global), template, example, &sampling).unwrap();
    assert!(answer.split_whitespace().count() <= 12);
}

#[test]
fn accumulated_batches_are_one_batch() {
    let folder = tempfile::tempdir().unwrap();
    let model = fixture::write_model(folder.path());
    let theta = |batch_size, accumulation| {
        let settings =
            Valid::new(TrainSettings { batch_size, accumulation, ..TrainSettings::default() })
                .unwrap();
        let trainer = Trainer::open(&model, settings).unwrap();
        let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
        let settings = fixture::settings();
        let global = trainer.first_adapter(&settings, [1; 32]).unwrap();
        trainer.train_round(&global, &settings, [1; 32], &data, &mut go_on).unwrap().theta
    };
    let pairs = theta(4, 1).into_iter().zip(theta(2, 2));
    let largest = pairs.map(|(x, y)| (x - y).abs()).fold(0f32, f32::max);
    assert!(largest < 1e-3, "{largest}");
}

#[test]
fn a_cancelled_round_produces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = fixture::trainer(&fixture::write_model(folder.path()));
    let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
    let settings = fixture::settings();
    let global = trainer.first_adapter(&settings, [1; 32]).unwrap();
    let mut stop = |progress: &Progress| match progress.step {
        2 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let result = trainer.train_round(&global, &settings, [1; 32], &data, &mut stop);
    assert!(matches!(result.map(|r| r.theta), Err(TrainError::Cancelled { step: 2 })));
}

#[test]
fn a_loss_that_is_no_number_produces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let model = fixture::write_model(folder.path());
    let opened = LoadedModel::open(&model).unwrap();
    let mut weights = BaseWeights::read(&opened.config, opened.weights.as_ref()).unwrap();
    // Finite, so the model loads; its products are not.
    weights.tensors.get_mut("model.norm.weight").unwrap().values.fill(f32::MAX);
    save_base(&model, &weights, Precision::F32).unwrap();
    let trainer = fixture::trainer(&model);
    let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
    let settings = fixture::settings();
    let global = trainer.first_adapter(&settings, [1; 32]).unwrap();
    let result = trainer.train_round(&global, &settings, [1; 32], &data, &mut go_on);
    let result = result.map(|r| r.theta);
    assert!(matches!(result, Err(TrainError::NotFinite { step: 0, what: "loss" })));
}

#[test]
fn peft_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = fixture::trainer(&fixture::write_model(folder.path()));
    let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
    let settings = fixture::settings();
    let global = trainer.first_adapter(&settings, [1; 32]).unwrap();
    let theta = trainer.train_round(&global, &settings, [1; 32], &data, &mut go_on).unwrap().theta;
    let trained = global.with_trained(&theta).unwrap();
    let out = folder.path().join("adapter");
    export_peft(&out, &trained, "model").unwrap();
    let back = import_peft(&out, trainer.config(), &settings).unwrap();
    assert_eq!(back.applied(), 0);
    for factor in [Factor::A, Factor::B] {
        assert_eq!(back.values(factor), trained.values(factor));
    }
    let file = folder.path().join("state");
    trained.save(&file).unwrap();
    assert!(GlobalAdapter::load(&file).unwrap() == trained);
}

#[test]
fn a_base_in_few_bits_trains_and_is_the_same_base() {
    let folder = tempfile::tempdir().unwrap();
    let model = fixture::write_model(folder.path());
    let (full, settings) = (fixture::trainer(&model), fixture::settings());
    for base_precision in ["bf16", "f16", "q8", "q4"].map(|name| name.parse().unwrap()) {
        let how =
            Valid::new(TrainSettings { batch_size: 4, base_precision, ..TrainSettings::default() })
                .unwrap();
        let trainer = Trainer::open(&model, how).unwrap();
        assert_eq!(trainer.base_digest(), full.base_digest());
        assert!(trainer.base_bytes() * 10 < full.base_bytes() * 6, "{base_precision}");
        let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
        let loss =
            |global: Option<&dyn Adapter>| trainer.evaluate(global, &data.train).unwrap().loss;
        let (base, rounded) = (full.evaluate(None, &data.train).unwrap().loss, loss(None));
        assert!((base - rounded).abs() < 0.1 * base, "{base_precision}: {base} {rounded}");
        let first = trainer.first_adapter(&settings, [1; 32]).unwrap();
        let round = trainer.train_round(&first, &settings, [1; 32], &data, &mut go_on).unwrap();
        let trained = first.with_trained(&round.theta).unwrap();
        assert!(loss(Some(&trained)) < 0.9 * rounded, "{base_precision}");
    }
}

#[test]
fn bad_models_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = fixture::write_model(folder.path());
    let digest = LoadedModel::open(&model).unwrap().digest;
    assert_eq!(digest, LoadedModel::open(&model).unwrap().digest);
    let config = std::fs::read_to_string(model.join("config.json")).unwrap();
    let open = |config: &str| {
        std::fs::write(model.join("config.json"), config).unwrap();
        Trainer::open(&model, Valid::<TrainSettings>::default()).err().map(|e| e.to_string())
    };
    let unknown = open(&config.replace("\"llama\"", "\"gpt2\"")).unwrap();
    assert!(unknown.contains("config.json") && unknown.contains("gpt2"), "{unknown}");
    let shape = open(&config.replace("\"intermediate_size\":48", "\"intermediate_size\":40"));
    let shape = shape.unwrap();
    assert!(shape.contains("mlp.gate_proj.weight") && shape.contains("[40, 32]"), "{shape}");
    let missing = open(&config.replace("\"num_hidden_layers\":2", "\"num_hidden_layers\":3"));
    let missing = missing.unwrap();
    assert!(missing.contains("model.layers.2.") && missing.contains("missing"), "{missing}");
    assert_eq!(open(&config), None);
    std::fs::write(model.join("tokenizer.json"), "{}").unwrap();
    let tokenizer = open(&config).unwrap();
    assert!(tokenizer.contains("tokenizer.json"), "{tokenizer}");
    assert!(Trainer::open(&folder.path().join("none"), Valid::<TrainSettings>::default()).is_err());
}

#[test]
fn bad_data_is_named_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = fixture::trainer(&fixture::write_model(folder.path()));
    let path = folder.path().join("bad.jsonl");
    let good = r#"{"instruction": "what is", "input": "", "output": "blue"}"#;
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let settings =
            Valid::new(DataSettings { max_length: 96, held_out: 0.0, ..DataSettings::default() })
                .unwrap();
        DataSet::load(std::slice::from_ref(&path), trainer.tokenizer(), &settings)
            .map_err(|e| e.to_string())
    };
    let cases = [
        (format!("{good}\n\n{{\"instruction\""), "bad.jsonl:3"),
        (format!("{good}\n{{\"instruction\": \"a\"}}"), "bad.jsonl:2: no field \"output\""),
        (format!("{good}\n{{\"prompt\": \"a\"}}"), "bad.jsonl:2: no field \"completion\""),
        (format!("{good}\n{{\"words\": \"a\"}}"), "bad.jsonl:2"),
        ("{\"messages\": [{\"role\": \"robot\", \"content\": \"a\"}]}".to_owned(), "robot"),
        (good.replace("blue", " "), "the answer is empty"),
        (String::new(), "no examples"),
    ];
    for (text, expected) in cases {
        let error = check(&text).unwrap_err();
        assert!(error.contains(expected), "{error} should contain {expected}");
    }
    let set = check(good).unwrap();
    assert_eq!((set.train.len(), set.held_out.len(), set.truncated), (1, 0, 0));
}

#[test]
fn a_merged_model_is_base_and_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let model = fixture::write_model(folder.path());
    let trainer = fixture::trainer(&model);
    let data = fixture::data(&trainer, &fixture::write_data(folder.path(), 0));
    let settings = fixture::settings();
    let global = trainer.first_adapter(&settings, [1; 32]).unwrap();
    let theta = trainer.train_round(&global, &settings, [1; 32], &data, &mut go_on).unwrap().theta;
    let trained = global.with_trained(&theta).unwrap();
    let out = folder.path().join("merged");
    export_model(&out, &LoadedModel::open(&model).unwrap(), Some(&trained), Precision::F32)
        .unwrap();
    let merged = fixture::trainer(&out);
    let beside = trainer.evaluate(Some(&trained), &data.train).unwrap().loss;
    let inside = merged.evaluate(None, &data.train).unwrap().loss;
    let base = trainer.evaluate(None, &data.train).unwrap().loss;
    assert!((beside - inside).abs() < 1e-4 && (base - inside).abs() > 1e-2, "{beside} {inside}");
    assert_eq!(merged.tokenizer().eos, trainer.tokenizer().eos);
}

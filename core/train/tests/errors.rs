//! What users get wrong: each error names the file and the tensor, line, field or setting.

mod fixture;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use fedshield_train::adapter::{PeftAdapter, export_peft};
use fedshield_train::data::{DataSet, DataSettings};
use fedshield_train::federated::{GlobalAdapter, LocalMemory, Mask};
use fedshield_train::load::{LoadedModel, Precision, SafetensorsSource, write_safetensors};
use fedshield_train::model::BasePrecision;
use fedshield_train::{Progress, TrainError, TrainSettings, Trainer, Valid};
use fedshield_train_tools::{BaseWeights, HostTensor, save_base};

/// A good model and good data, to be spoilt.
struct Scene {
    folder: tempfile::TempDir,
    model: PathBuf,
    data: PathBuf,
    max_length: usize,
    base_precision: BasePrecision,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = fixture::write_model(folder.path());
        let data = fixture::write_data(folder.path(), 0);
        Self { folder, model, data, max_length: 96, base_precision: BasePrecision::F32 }
    }

    /// Everything that a member does in a round, up to the values that would be sent.
    fn round(&self) -> Result<(), TrainError> {
        let settings = Valid::new(TrainSettings {
            base_precision: self.base_precision,
            ..TrainSettings::default()
        })
        .unwrap();
        let trainer = Trainer::open(&self.model, settings)?;
        let how = Valid::new(DataSettings {
            held_out: 0.0,
            max_length: self.max_length,
            ..DataSettings::default()
        })
        .unwrap();
        let data = DataSet::load(std::slice::from_ref(&self.data), trainer.tokenizer(), &how)?;
        let settings = fixture::settings();
        let global = trainer.first_adapter(&settings, [1; 32])?;
        let mut go_on = |_: &Progress| ControlFlow::Continue(());
        let result = trainer.train_round(&global, &settings, [1; 32], &data, &mut go_on)?;
        let mask = global.mask(&settings, [1; 32]);
        let mut memory = LocalMemory::new(&global);
        memory.prune(&global, &result.theta, mask, &settings).map(drop)
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.model.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    fn weights(&self, change: impl FnOnce(&mut BTreeMap<String, HostTensor>)) {
        let opened = LoadedModel::open(&self.model).unwrap();
        let mut weights = BaseWeights::read(&opened.config, opened.weights.as_ref()).unwrap();
        change(&mut weights.tensors);
        save_base(&self.model, &weights, Precision::F32).unwrap();
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.model.join(file), text).unwrap();
    }

    fn write_data(&self, text: &str) {
        std::fs::write(&self.data, text).unwrap();
    }
}

const Q: &str = "model.layers.1.self_attn.q_proj.weight";
const GOOD: &str = r#"{"instruction": "what is", "input": "sky", "output": "blue"}"#;

type Spoil = fn(&mut Scene);

#[test]
fn a_good_scene_is_no_error() {
    Scene::new().round().unwrap();
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let cases: &[(&str, Spoil, &[&str])] = &[
        ("missing tensor", |s| s.weights(|w| drop(w.remove(Q))), &["model", Q, "missing"]),
        (
            "wrong shape",
            |s| s.weights(|w| w.get_mut(Q).unwrap().shape = vec![16, 64]),
            &["model", Q, "shape [16, 64], expected [32, 32]"],
        ),
        (
            "unknown architecture",
            |s| s.edit("config.json", "\"llama\"", "\"gpt2\""),
            &["config.json", "gpt2"],
        ),
        (
            "configuration that is no JSON",
            |s| s.write("config.json", "{\"model_type\":"),
            &["config.json"],
        ),
        (
            "weights that are no safetensors",
            |s| s.write("model.safetensors", "version https://git-lfs"),
            &["model.safetensors"],
        ),
        (
            "no weights",
            |s| std::fs::remove_file(s.model.join("model.safetensors")).unwrap(),
            &["model", "no .safetensors file"],
        ),
        ("broken tokenizer", |s| s.write("tokenizer.json", "{}"), &["tokenizer.json"]),
        (
            "no tokenizer",
            |s| std::fs::remove_file(s.model.join("tokenizer.json")).unwrap(),
            &["tokenizer.json"],
        ),
        (
            "token outside the vocabulary",
            |s| s.edit("tokenizer.json", "\"blue\":35", "\"blue\":9999"),
            &["token \"blue\" (9999)", "beyond the 45 tokens"],
        ),
        ("no model", |s| s.model = s.folder.path().join("none"), &["none", "not found"]),
        ("no data file", |s| s.data = s.folder.path().join("none.jsonl"), &["none.jsonl"]),
        ("empty data set", |s| s.write_data("\n"), &["data-0.jsonl", "no examples"]),
        (
            "line that is no JSON",
            |s| s.write_data(&format!("{GOOD}\n{{\"instruction\"")),
            &["data-0.jsonl:2", "JSON"],
        ),
        (
            "no answer left after the cut",
            |s| s.max_length = 8,
            &["data-0.jsonl", "lost their whole answer", "8 tokens"],
        ),
        (
            "template that does not fit the line",
            |s| {
                let turn = |role| format!(r#"{{"role": "{role}", "content": "a"}}"#);
                let (u, a) = (turn("user"), turn("assistant"));
                s.write_data(&format!("{GOOD}\n{{\"messages\": [{u}, {a}, {u}, {a}]}}"));
            },
            &["data-0.jsonl:2", "one question and one answer"],
        ),
        (
            "sequence longer than the context",
            |s| {
                s.max_length = 4096;
                s.write_data(&GOOD.replace("sky", &"sky ".repeat(100)));
            },
            &["context of 96", "max_length"],
        ),
        (
            "NaN loss",
            |s| s.weights(|w| w.get_mut("model.norm.weight").unwrap().values.fill(f32::MAX)),
            &["step 0", "loss is not a finite number"],
        ),
        (
            "NaN in a norm",
            |s| s.weights(|w| w.get_mut("model.norm.weight").unwrap().values[3] = f32::NAN),
            &["model.safetensors", "model.norm.weight", "value 3 is NaN"],
        ),
        (
            "infinite weight",
            |s| s.weights(|w| w.get_mut(Q).unwrap().values[40] = f32::NEG_INFINITY),
            &["model.safetensors", Q, "value 40 is -inf"],
        ),
        (
            "NaN weight in few bits",
            |s| {
                s.base_precision = BasePrecision::Q4;
                s.weights(|w| w.get_mut(Q).unwrap().values[40] = f32::NAN);
            },
            &["model.safetensors", Q, "value 40 is NaN"],
        ),
        (
            "weight too large for f16",
            |s| {
                s.base_precision = BasePrecision::F16;
                s.weights(|w| w.get_mut(Q).unwrap().values[40] = 65520.0);
            },
            &["model.safetensors", Q, "65520 at row 1, column 8 does not fit f16"],
        ),
        (
            "minimum too large for q4",
            |s| {
                s.base_precision = BasePrecision::Q4;
                s.weights(|w| w.get_mut(Q).unwrap().values[40] = -1e5);
            },
            &["model.safetensors", Q, "-100000 at row 1, column 8 does not fit q4"],
        ),
    ];
    for (name, spoil, words) in cases {
        let mut scene = Scene::new();
        spoil(&mut scene);
        let error = scene.round().expect_err(name).to_string();
        for word in *words {
            assert!(error.contains(word), "{name}: {error:?} should contain {word:?}");
        }
    }
}

/// A trained adapter in PEFT form, spoilt by `change`, read back as what a round gave.
fn result_of(change: impl FnOnce(&Path, &GlobalAdapter)) -> Result<Vec<f32>, TrainError> {
    let scene = Scene::new();
    let trainer = fixture::trainer(&scene.model);
    let global = trainer.first_adapter(&fixture::settings(), [1; 32])?;
    let folder = scene.folder.path().join("adapter");
    export_peft(&folder, &global, "base")?;
    change(&folder, &global);
    PeftAdapter::open(&folder)?.round_result(&global, trainer.config())
}

fn change_tensors(
    folder: &Path,
    change: impl FnOnce(&mut BTreeMap<String, (Vec<usize>, Vec<f32>)>),
) {
    let path = folder.join("adapter_model.safetensors");
    let mut tensors: BTreeMap<_, _> = {
        let source = SafetensorsSource::open_file(&path).unwrap();
        source.names().map(|name| (name.to_owned(), source.read_any(name).unwrap())).collect()
    };
    change(&mut tensors);
    std::fs::remove_file(&path).unwrap();
    write_safetensors(&path, &tensors).unwrap();
}

#[test]
fn an_adapter_from_elsewhere_is_checked_tensor_by_tensor() {
    const A: &str = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    const B: &str = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";
    let config = |from: &'static str, to: &'static str| {
        move |folder: &Path| {
            let path = folder.join("adapter_config.json");
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{text}");
            std::fs::write(path, text.replace(from, to)).unwrap();
        }
    };
    type Change = Box<dyn Fn(&Path)>;
    type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;
    let tensors = |change: fn(&mut Tensors)| -> Change {
        Box::new(move |folder: &Path| change_tensors(folder, change))
    };
    let cases: Vec<(Change, Vec<&str>)> = vec![
        (tensors(|t| drop(t.remove(B))), vec![B, "missing"]),
        (tensors(|t| t.get_mut(B).unwrap().0 = vec![4, 16]), vec![B, "shape [4, 16]"]),
        (tensors(|t| t.get_mut(B).unwrap().1[5] = f32::INFINITY), vec![B, "not finite"]),
        (tensors(|t| t.get_mut(A).unwrap().1[5] += 1e-6), vec![A, "frozen this round"]),
        (
            tensors(|t| drop(t.insert("extra".into(), (vec![1], vec![0.0])))),
            vec!["adapter_model.safetensors", "extra", "no LoRA factor"],
        ),
        (
            Box::new(config("\"r\": 4", "\"r\": 2")),
            vec!["adapter_config.json", "rank 2", "shape [4, "],
        ),
        (
            Box::new(config("\"use_rslora\": false", "\"use_rslora\": true")),
            vec!["adapter_config.json", "alpha 16", "alpha 8"],
        ),
        (
            Box::new(config("\"peft_type\": \"LORA\"", "\"peft_type\": \"IA3\"")),
            vec!["adapter_config.json", "IA3"],
        ),
        (
            Box::new(|folder: &Path| {
                std::fs::remove_file(folder.join("adapter_model.safetensors")).unwrap();
            }),
            vec!["adapter_model.safetensors"],
        ),
    ];
    for (change, words) in cases {
        let error = result_of(|folder, _| change(folder)).unwrap_err().to_string();
        for word in &words {
            assert!(error.contains(word), "{error:?} should contain {word:?}");
        }
    }
    // The factor that is trained may change, and comes back as it was written.
    let mut expected = Vec::new();
    let given = result_of(|folder, global| {
        expected = global.trained_values();
        expected.iter_mut().for_each(|value| *value += 0.5);
        change_tensors(folder, |tensors| {
            for (name, (_, values)) in tensors {
                if name.contains("lora_B") {
                    values.iter_mut().for_each(|value| *value += 0.5);
                }
            }
        });
    });
    assert_eq!(given.unwrap(), expected);
}

#[test]
fn a_nan_update_is_never_pruned_into_something_that_could_be_sent() {
    let scene = Scene::new();
    let trainer = fixture::trainer(&scene.model);
    let settings = fixture::settings();
    let global = trainer.first_adapter(&settings, [1; 32]).unwrap();
    let mut theta = global.trained_values();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        theta[7] = bad;
        let mut memory = LocalMemory::new(&global);
        let refused = memory.prune(&global, &theta, Mask::full(theta.len()), &settings);
        assert!(matches!(refused, Err(TrainError::NotFinite { what: "update", .. })));
        assert_eq!(memory.pending_round(), None);
    }
}

//! `config.json` files in which one field after the other is changed, against transformers: the
//! same logits, or refused by name. Files and logits are from `tests/parity/make_configs.py`.
#![allow(clippy::print_stdout, reason = "the table that docs/TRAINING.md shows")]

use std::collections::BTreeMap;
use std::path::Path;

use fedshield_train::federated::{AdapterLayout, AdapterSpec, FederatedSettings, GlobalAdapter};
use fedshield_train::load::{LoadedModel, write_safetensors};
use fedshield_train::model::BasePrecision;
use fedshield_train::{Valid, adapter_logits, cpu};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Names and shapes of a model's tensors.
type Layout = BTreeMap<String, Vec<usize>>;

#[derive(Deserialize)]
struct Suite {
    ids: Vec<u32>,
    #[serde(deserialize_with = "layouts")]
    layouts: Vec<Layout>,
    families: BTreeMap<String, OfFamily>,
}

/// What a layout has beside an earlier one.
#[derive(Deserialize)]
struct Difference {
    like: Option<usize>,
    set: Layout,
    #[serde(default)]
    drop: Vec<String>,
}

fn layouts<'a, D: serde::Deserializer<'a>>(from: D) -> Result<Vec<Layout>, D::Error> {
    let mut layouts: Vec<Layout> = Vec::new();
    for one in Vec::<Difference>::deserialize(from)? {
        let mut layout = one.like.map_or_else(Layout::new, |index| layouts[index].clone());
        layout.extend(one.set);
        one.drop.iter().for_each(|name| drop(layout.remove(name)));
        layouts.push(layout);
    }
    Ok(layouts)
}

#[derive(Deserialize)]
struct OfFamily {
    base: Map<String, Value>,
    #[serde(deserialize_with = "cases")]
    cases: Vec<Case>,
}

fn cases<'a, D: serde::Deserializer<'a>>(from: D) -> Result<Vec<Case>, D::Error> {
    let mut cases = Vec::<Case>::deserialize(from)?;
    for index in 0..cases.len() {
        if let Some(like) = cases[index].like {
            let Case { layout, largest, ref logits, .. } = cases[like];
            assert!(like < index && !logits.is_empty(), "case {index} is like {like}");
            let logits = logits.clone();
            let set = std::mem::take(&mut cases[index].set);
            let drop = std::mem::take(&mut cases[index].drop);
            cases[index] = Case { set, drop, like: None, layout, largest, logits, error: None };
        }
    }
    Ok(cases)
}

/// What is changed in the family's file, and what transformers makes of it.
#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    set: Map<String, Value>,
    #[serde(default)]
    drop: Vec<String>,
    /// The number of an earlier case with the same outcome.
    like: Option<usize>,
    layout: Option<usize>,
    #[serde(default)]
    largest: f32,
    #[serde(default)]
    logits: Vec<f32>,
    error: Option<String>,
}

/// Fields without any effect on logits or gradients here. transformers checks the types of some of
/// them; that is no reason to refuse a file.
const NO_EFFECT: [&str; 21] = [
    "_attn_implementation",
    "attention_dropout",
    "auto_map",
    "bos_token_id",
    "dtype",
    "embd_pdrop",
    "id2label",
    "initializer_range",
    "label2id",
    "num_labels",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "pretraining_tp",
    "resid_pdrop",
    "residual_dropout",
    "return_dict",
    "router_aux_loss_coef",
    "torch_dtype",
    "use_cache",
    "eos_token_id",
];

/// One token, which is every special one: the classes of some families would name others.
const TOKENIZER: &str = r#"{"version": "1.0", "normalizer": null, "post_processor": null,
    "added_tokens": [{"id": 0, "content": "<end>", "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true}],
    "pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
    "model": {"type": "WordLevel", "vocab": {"<end>": 0}, "unk_token": "<end>"}}"#;
const TOKENIZER_CONFIG: &str = r#"{"eos_token": "<end>", "bos_token": "<end>",
    "pad_token": "<end>", "unk_token": "<end>"}"#;

/// The weights of a tensor, from its name: splitmix64 from its hash (FNV-1a).
fn generated(name: &str, shape: &[usize]) -> Vec<f32> {
    let hash = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let norm = shape.len() == 1 && name.ends_with("weight");
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
        if norm { 1.0 + 0.25 * unit } else { 0.375 * unit }
    };
    (0..shape.iter().product()).map(|_| next()).collect()
}

/// The logits of a few positions, as the script stores them.
fn computed(model: &LoadedModel, ids: &[u32]) -> Result<Vec<f32>, String> {
    let decoder = model.decoder(&cpu(), BasePrecision::F32).map_err(|e| e.to_string())?;
    let target = fedshield_train::model::Projection::OProj;
    let spec = AdapterSpec { target_modules: vec![target], ..AdapterSpec::default() };
    let vocabulary = model.config.vocab_size;
    if let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary) {
        return Err(format!("token {id}, vocab_size {vocabulary}"));
    }
    let layout = AdapterLayout::new(&model.config, &spec).map_err(|e| e.to_string())?;
    let adapter = GlobalAdapter::new(layout, &Valid::<FederatedSettings>::default(), [0; 32]);
    let logits = adapter_logits(&decoder, &adapter, ids, ids.len());
    let last = (ids.len() - 1) * vocabulary;
    Ok([&logits[4 * vocabulary..4 * vocabulary + 5], &logits[last..last + 7]].concat())
}

/// A model's folder, whose files are written anew for each case.
struct Bench<'a> {
    folder: tempfile::TempDir,
    suite: &'a Suite,
    /// The layout of the tensors that are there.
    written: Option<usize>,
}

impl<'a> Bench<'a> {
    fn new(suite: &'a Suite) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), TOKENIZER).unwrap();
        std::fs::write(folder.path().join("tokenizer_config.json"), TOKENIZER_CONFIG).unwrap();
        Self { folder, suite, written: None }
    }

    /// What this crate makes of a file, with the tensors of the case or of the one before.
    fn run(&mut self, family: &OfFamily, case: &Case) -> Result<Vec<f32>, String> {
        let model = self.folder.path();
        if let Some(layout) = case.layout.filter(|layout| self.written != Some(*layout)) {
            let tensor = |(name, shape): (&String, &Vec<usize>)| {
                (name.clone(), (shape.clone(), generated(name, shape)))
            };
            let tensors = self.suite.layouts[layout].iter().map(tensor).collect();
            write_safetensors(&model.join("model.safetensors"), &tensors).unwrap();
            self.written = Some(layout);
        }
        let mut config = family.base.clone();
        config.extend(case.set.clone());
        case.drop.iter().for_each(|name| drop(config.remove(name)));
        std::fs::write(model.join("config.json"), Value::Object(config).to_string()).unwrap();
        let model = LoadedModel::open(model).map_err(|e| e.to_string())?;
        computed(&model, &self.suite.ids)
    }

    fn family(mut self, name: &str, family: &OfFamily) -> Vec<String> {
        let mut counts = Counts::default();
        for case in &family.cases {
            let ours = self.run(family, case);
            judge(&mut counts, case, &family.cases[0], &ours);
        }
        println!(
            "| `{name}` | {} | {} | {} | {} | {} |",
            counts.same,
            counts.refused_as_there,
            counts.refused_here,
            counts.without_effect,
            counts.wrong.len()
        );
        if counts.same < 200 {
            counts.wrong.push(format!("{} same of {}", counts.same, family.cases.len()));
        }
        counts.wrong.into_iter().map(|one| format!("{name}: {one}")).collect()
    }
}

#[derive(Default)]
struct Counts {
    same: usize,
    refused_as_there: usize,
    refused_here: usize,
    without_effect: usize,
    /// Different, refused without a name, or accepted though transformers refuses.
    wrong: Vec<String>,
}

fn close(ours: &[f32], case: &Case) -> bool {
    let pairs = ours.iter().zip(&case.logits);
    ours.len() == case.logits.len()
        && pairs.into_iter().all(|(a, b)| (a - b).abs() <= 1e-4 * case.largest)
}

fn judge(counts: &mut Counts, case: &Case, base: &Case, ours: &Result<Vec<f32>, String>) {
    let fields: Vec<&str> = case.set.keys().chain(&case.drop).map(String::as_str).collect();
    let what = format!("{} without {:?}", Value::Object(case.set.clone()), case.drop);
    match (ours, &case.error) {
        (Ok(ours), None) if close(ours, case) => counts.same += 1,
        (Ok(_), None) => counts.wrong.push(format!("{what}: other logits")),
        (Ok(ours), Some(_))
            if fields.iter().all(|f| NO_EFFECT.contains(f)) && close(ours, base) =>
        {
            counts.without_effect += 1;
        }
        (Ok(_), Some(error)) => counts.wrong.push(format!("{what}: accepted; there: {error}")),
        (Err(_), Some(_)) => counts.refused_as_there += 1,
        (Err(error), None) if !names_one(error, &fields) => {
            counts.wrong.push(format!("{what}: refused without the field's name: {error}"));
        }
        (Err(error), None) => {
            counts.refused_here += 1;
            if std::env::var("FEDSHIELD_SHOW_REFUSED").is_ok() {
                println!("  {what}: {error}");
            }
        }
    }
}

/// Whether an error names one of the fields, or says what the field means.
fn names_one(error: &str, fields: &[&str]) -> bool {
    const MEANINGS: [&str; 8] = [
        "rope type",
        "rope parameter",
        "rope_theta",
        "coordinates of a head",
        "scale of the ",
        "sliding_window",
        "model_type",
        "trainer = \"command\"",
    ];
    fields.iter().chain(&MEANINGS).any(|name| error.contains(name))
}

#[test]
fn every_field_is_followed_or_refused_by_name() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/configs.json");
    let suite: Suite = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    println!("| family | same | refused, as there | refused here alone | no effect | wrong |");
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (name, family) in &suite.families {
            let bench = Bench::new(&suite);
            threads.push(scope.spawn(move || bench.family(name, family)));
        }
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

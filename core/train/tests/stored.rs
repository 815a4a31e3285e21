//! What a folder's tensors decide whatever its configuration says, and what is refused rather than
//! left out.

mod fixture;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fedshield_train::federated::{AdapterLayout, AdapterSpec, FederatedSettings, GlobalAdapter};
use fedshield_train::load::{LoadedModel, SafetensorsSource, write_safetensors};
use fedshield_train::model::BasePrecision;
use fedshield_train::{Valid, adapter_logits, cpu};

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The fixture's model with its tensors and configuration changed.
fn opened(
    change: impl FnOnce(&mut Tensors),
    configure: impl FnOnce(&mut serde_json::Value),
) -> Result<LoadedModel, String> {
    let folder = tempfile::tempdir().unwrap();
    let model: PathBuf = fixture::write_model(folder.path());
    let path = model.join("model.safetensors");
    let mut tensors: Tensors = {
        let source = SafetensorsSource::open_file(&path).unwrap();
        source.names().map(|name| (name.to_owned(), source.read_any(name).unwrap())).collect()
    };
    change(&mut tensors);
    std::fs::remove_file(&path).unwrap();
    write_safetensors(&path, &tensors).unwrap();
    rewrite(&model.join("config.json"), configure);
    LoadedModel::open(&model).map_err(|e| e.to_string())
}

fn rewrite(path: &Path, configure: impl FnOnce(&mut serde_json::Value)) {
    let mut config = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    configure(&mut config);
    std::fs::write(path, config.to_string()).unwrap();
}

fn bias(tensors: &mut Tensors, projections: &[&str]) {
    for layer in 0..2 {
        for projection in projections {
            let weight = &tensors[&format!("model.layers.{layer}.{projection}.weight")];
            let outputs = weight.0[0];
            let name = format!("model.layers.{layer}.{projection}.bias");
            tensors.insert(name, (vec![outputs], vec![0.25; outputs]));
        }
    }
}

const QKV: [&str; 3] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

#[test]
fn a_tied_flag_beside_a_stored_head() {
    let tied = |change: fn(&mut Tensors)| opened(change, |_| ()).unwrap().config.tied_head;
    assert!(tied(|_| ()));
    assert!(tied(|t| drop(t.insert(HEAD.into(), t[EMBEDDING].clone()))));
    // transformers keeps a head that differs from the embedding, whatever the flag says.
    assert!(!tied(|t| {
        let mut head = t[EMBEDDING].clone();
        head.1[3] += 1.0;
        t.insert(HEAD.into(), head);
    }));
}

#[test]
fn no_head_and_no_tie_is_refused() {
    let untied = opened(|_| (), |c| c["tie_word_embeddings"] = false.into());
    let absent = opened(|_| (), |c| drop(c.as_object_mut().unwrap().remove("tie_word_embeddings")));
    for outcome in [untied, absent] {
        let error = outcome.err().unwrap();
        assert!(error.contains(HEAD) && error.contains("tie_word_embeddings"), "{error}");
    }
}

#[test]
fn biases_go_by_the_tensors() {
    let with = |names: &'static [&str], flag: bool| {
        opened(|t| bias(t, names), |c| c["attention_bias"] = flag.into())
    };
    let config = with(&QKV, true).unwrap().config;
    assert_eq!((config.qkv_bias, config.output_bias), (true, false));
    let config = with(&[], true).unwrap().config;
    assert_eq!((config.qkv_bias, config.output_bias), (false, false));
    // transformers would leave them out.
    let error = with(&QKV, false).err().unwrap();
    assert!(error.contains("model.layers.0.self_attn.k_proj.bias"), "{error}");
    assert!(error.contains("attention_bias"), "{error}");
    // Some and not all.
    let error = with(&QKV[..1], true).unwrap().decoder(&cpu(), BasePrecision::F32).err().unwrap();
    assert!(error.to_string().contains("k_proj.bias"), "{error}");
}

#[test]
fn a_tensor_without_a_place_is_refused_by_name() {
    for name in [
        "model.layers.0.self_attn.q_norm.weight",
        "model.layers.2.input_layernorm.weight",
        "model.layers.0.self_attn.q_proj.weight_scale",
        "score.weight",
    ] {
        let change = |t: &mut Tensors| drop(t.insert(name.into(), (vec![1], vec![1.0])));
        let error = opened(change, |_| ()).err().unwrap();
        assert!(error.contains(name) && error.contains("no place"), "{error}");
    }
    let name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    opened(|t| drop(t.insert(name.into(), (vec![1], vec![1.0]))), |_| ()).unwrap();
}

/// Folders whose projections are packed, written and read by `parity/make_packed_folders.py`.
#[test]
fn packed_folders_give_the_logits_of_transformers() {
    for kind in ["nf4", "fp8"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/packed").join(kind);
        let model = LoadedModel::open(&folder).unwrap();
        let decoder = model.decoder(&cpu(), BasePrecision::F32).unwrap();
        let layout = AdapterLayout::new(&model.config, &AdapterSpec::default()).unwrap();
        let adapter = GlobalAdapter::new(layout, &Valid::<FederatedSettings>::default(), [0; 32]);
        let path = folder.join("reference.safetensors");
        let reference = SafetensorsSource::open_file(&path).unwrap();
        let ids: Vec<u32> =
            reference.read_any("ids").unwrap().1.iter().map(|id| *id as u32).collect();
        let ours = adapter_logits(&decoder, &adapter, &ids, ids.len());
        let theirs = reference.read_any("logits").unwrap().1;
        let largest = theirs.iter().fold(0f32, |m, v| m.max(v.abs()));
        let difference = ours.iter().zip(&theirs).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(difference <= 1e-5 * largest, "{kind}: {difference:e} of {largest:e}");
    }
}

//! `adapter merge` on the built program: what it prints is for programs to read.

use std::path::Path;
use std::process::Command;

use fedshield_train::Valid;
use fedshield_train::adapter::export_peft;
use fedshield_train::federated::{AdapterLayout, AdapterSpec, GlobalAdapter};
use fedshield_train::load::open_config;

fn base() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/assets/base")
}

/// The base model without the token that is joined last, whose number no other token has.
fn write_holed_base(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    for file in std::fs::read_dir(base()).unwrap().flatten() {
        std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let path = folder.join("tokenizer.json");
    let bytes = std::fs::read(&path).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let merge = json["model"]["merges"].as_array_mut().unwrap().pop().unwrap();
    let joined: String =
        merge.as_array().unwrap().iter().filter_map(|half| half.as_str()).collect();
    let added = json["added_tokens"].as_array().unwrap().clone();
    let vocabulary = json["model"]["vocab"].as_object_mut().unwrap();
    assert!(vocabulary.remove(&joined).is_some());
    // Otherwise the added tokens would move up.
    for token in added {
        vocabulary.insert(token["content"].as_str().unwrap().to_owned(), token["id"].clone());
    }
    std::fs::write(&path, json.to_string()).unwrap();
}

#[test]
fn standard_output_is_json_alone_whatever_the_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let (model, adapter) = (folder.path().join("model"), folder.path().join("adapter"));
    write_holed_base(&model);
    let config = open_config(&model).unwrap();
    let layout = AdapterLayout::new(&config, &AdapterSpec::default()).unwrap();
    let global = GlobalAdapter::new(layout, &Valid::default(), [7; 32]);
    export_peft(&adapter, &global, "base").unwrap();
    for (format, out) in [("gguf", "out.gguf"), ("safetensors", "out")] {
        let run = Command::new(env!("CARGO_BIN_EXE_fedshield-cli"))
            .args(["adapter", "merge", "adapter", "--model", "model", "--out", out])
            .args(["--format", format, "--json"])
            .current_dir(folder.path())
            .env("FEDSHIELD_HOME", folder.path().join("home"))
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let json: Result<serde_json::Value, _> = serde_json::from_str(&shown);
        assert!(json.is_ok(), "{format}: {shown}");
    }
}

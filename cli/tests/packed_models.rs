//! Base models with packed matrices, as bitsandbytes (NF4) and FP8 checkpoints store them: data are
//! checked with them and they answer. Any other packing is refused by its name.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const WORDS: [&str; 9] = ["<unk>", "<s>", "</s>", "what", "is", "a", "weir", "low", "dam"];

/// Copies a fixture into `folder` and gives it a tokenizer that knows some words.
fn model(packing: &str, folder: &Path) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/tests/parity/packed");
    for name in ["config.json", "model.safetensors"] {
        fs::copy(fixture.join(packing).join(name), folder.join(name)).unwrap();
    }
    let ids: serde_json::Map<String, Value> =
        WORDS.iter().zip(0..).map(|(word, id)| ((*word).to_owned(), json!(id))).collect();
    let added = |id: usize| {
        json!({"id": id, "content": WORDS[id], "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false, "special": true})
    };
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [added(0), added(1), added(2)], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": ids, "unk_token": "<unk>"},
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let line = r#"{"instruction": "what is a weir", "output": "a low dam"}"#;
    fs::write(folder.join("data.jsonl"), format!("{line}\n")).unwrap();
}

fn cli(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fedshield-cli"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .env_clear()
        .env("FEDSHIELD_HOME", folder.join("home"))
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

const CHECK: &str = "data check data.jsonl --model . --seq 60 --held-out-fraction 0 --example";
const CHAT: &str = "adapter chat --model . --template alpaca --prompt what --max-tokens 3 --json";

#[test]
fn data_are_checked_with_a_packed_model_and_it_answers() {
    for packing in ["nf4", "fp8"] {
        let folder = tempfile::tempdir().unwrap();
        model(packing, folder.path());
        for line in [CHECK, CHAT] {
            let output = cli(folder.path(), line);
            let said = String::from_utf8_lossy(&output.stdout);
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{packing}, {line}: {error}");
            if line == CHECK {
                assert!(said.contains("to train on   1 example\n"), "{packing}: {said}");
                assert!(said.contains(">>a low dam </s><<"), "{packing}: {said}");
            }
        }
    }
}

#[test]
fn another_packing_is_refused_by_its_name_before_any_data_are_read() {
    for (packing, changed, named) in [
        ("fp8", json!({"quant_method": "gptq", "bits": 4}), "gptq"),
        ("fp8", json!({"quant_method": "awq", "bits": 4}), "awq"),
        ("fp8", json!({"quant_method": "compressed-tensors"}), "compressed-tensors"),
        ("nf4", json!({"quant_method": "bitsandbytes", "load_in_8bit": true}), "load_in_8bit"),
        ("nf4", json!({"load_in_4bit": true, "bnb_4bit_quant_type": "fp4"}), "fp4"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        model(packing, folder.path());
        let path = folder.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config["quantization_config"] = changed;
        fs::write(&path, config.to_string()).unwrap();
        for line in [CHECK, CHAT] {
            let output = cli(folder.path(), line);
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(21), "{named}, {line}: {error}");
            assert!(error.contains(named) && error.contains("config.json"), "{line}: {error}");
            assert!(output.stdout.is_empty(), "{named}, {line}");
            assert!(!error.contains("data check --help"), "the data are not to blame: {error}");
        }
    }
}

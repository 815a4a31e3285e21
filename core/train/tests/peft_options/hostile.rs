//! Files that are no adapters, or not the one that their configuration describes.

use super::*;

type Tensors = std::collections::BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// An adapter's tensors after a change.
fn changed(change: impl FnOnce(&mut Tensors)) -> String {
    let (_folder, path) = with(&[]);
    let weights = path.join("adapter_model.safetensors");
    let source = SafetensorsSource::open_file(&weights).unwrap();
    let read = |name: &str| (name.to_owned(), source.read_any(name).unwrap());
    let mut tensors: Tensors = source.names().map(read).collect();
    change(&mut tensors);
    write_safetensors(&weights, &tensors).unwrap();
    let opened = PeftAdapter::open(&path).and_then(|peft| peft.lora(&config()));
    opened.expect_err("it should be refused").to_string()
}

const Q_A: &str = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight";

#[test]
fn wrong_tensors_are_refused_by_name() {
    let b = Q_A.replace("lora_A", "lora_B");
    let swapped = changed(|tensors| {
        let (one, other) = (tensors[Q_A].clone(), tensors[&b].clone());
        tensors.insert(Q_A.to_owned(), other);
        tensors.insert(b.clone(), one);
    });
    assert!(swapped.contains("q_proj.lora_A") && swapped.contains("gives it rank 2"), "{swapped}");
    let half = changed(|tensors| drop(tensors.remove(Q_A)));
    assert!(half.contains("q_proj.lora_A") && half.contains("missing"), "{half}");
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = changed(|tensors| tensors.get_mut(Q_A).unwrap().1[3] = value);
        assert!(error.contains("q_proj.lora_A") && error.contains("not finite"), "{error}");
    }
    let wide = changed(|tensors| drop(tensors.insert(Q_A.to_owned(), (vec![2, 7], vec![0.1; 14]))));
    assert!(wide.contains("shape [2, 7]"), "{wide}");
    let flat = changed(|tensors| drop(tensors.insert(Q_A.to_owned(), (vec![2], vec![0.1; 2]))));
    assert!(flat.contains("shape [2]"), "{flat}");
    let none = changed(Tensors::clear);
    assert!(none.contains("holds no factor"), "{none}");
    for name in
        ["base_model.model.model.layers.0.self_attn.\u{fb01}_proj.lora_A.weight", "\u{202e}", ""]
    {
        let error = changed(|tensors| drop(tensors.insert(name.to_owned(), (vec![1], vec![0.0]))));
        assert!(error.contains("is no LoRA factor") || error.contains("does not have"), "{error}");
    }
}

/// A safetensors file with this header and these many bytes of values.
fn raw(path: &Path, header: &str, values: usize) {
    let bytes =
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; values]].concat();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn hostile_files_end_with_a_message() {
    let (_folder, path) = with(&[]);
    let weights = path.join("adapter_model.safetensors");
    let open = || PeftAdapter::open(&path).and_then(|peft| peft.lora(&config()).map(drop));
    let error = || open().expect_err("it should be refused").to_string();
    for (kind, bytes) in [("I8", 1), ("I64", 8), ("F64", 8), ("BOOL", 1)] {
        let tensor = |name: &str, shape: [usize; 2], at: usize| {
            let count = shape[0] * shape[1] * bytes;
            let range = [at, at + count];
            (name.to_owned(), json!({"dtype": kind, "shape": shape, "data_offsets": range}))
        };
        let mut header = serde_json::Map::new();
        header.extend([tensor(Q_A, [2, 32], 0)]);
        header.extend([tensor(&Q_A.replace("lora_A", "lora_B"), [32, 2], 64 * bytes)]);
        raw(&weights, &Value::Object(header).to_string(), 128 * bytes);
        let text = serde_json::json!(["q_proj"]);
        let (_other, path) = with(&[("target_modules", text), ("layers_to_transform", json!([0]))]);
        std::fs::copy(&weights, path.join("adapter_model.safetensors")).unwrap();
        let opened = PeftAdapter::open(&path).and_then(|peft| peft.lora(&config()));
        let error = opened.expect_err("it should be refused").to_string();
        assert!(error.contains("q_proj.lora_A") && error.contains(kind), "{error}");
    }
    for (header, values) in [
        ("{}".to_owned(), 0),
        ("{".repeat(100_000), 0),
        (format!("{{\"{}\": 1}}", "x".repeat(1 << 20)), 0),
        (
            json!({"a": {"dtype": "F32", "shape": [1u64 << 40, 1u64 << 40], "data_offsets": [0, 4]}})
                .to_string(),
            4,
        ),
        (json!({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).to_string(), 0),
    ] {
        raw(&weights, &header, values);
        assert!(error().contains("adapter_model.safetensors"), "{}", error());
    }
    std::fs::write(&weights, u64::MAX.to_le_bytes()).unwrap();
    assert!(error().contains("adapter_model.safetensors"), "{}", error());
    std::fs::write(&weights, []).unwrap();
    assert!(error().contains("adapter_model.safetensors"), "{}", error());
    std::fs::remove_file(&weights).unwrap();
    assert!(error().contains("adapter_model.safetensors"), "{}", error());
    std::fs::create_dir(&weights).unwrap();
    assert!(error().contains("no regular file"), "{}", error());
    std::fs::write(path.join("adapter_config.json"), "[".repeat(1 << 20)).unwrap();
    assert!(error().contains("adapter_config.json"), "{}", error());
    std::fs::write(path.join("adapter_config.json"), vec![b' '; (16 << 20) + 1]).unwrap();
    assert!(error().contains("more than"), "{}", error());
}

#[test]
fn a_folder_of_several_adapters_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let error = || PeftAdapter::open(folder.path()).err().unwrap().to_string();
    assert!(
        error().contains("adapter_config.json") && error().contains("is missing"),
        "{}",
        error()
    );
    for name in ["default", "other"] {
        let inside = folder.path().join(name);
        std::fs::create_dir(&inside).unwrap();
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            let from = parity().join("adapters/default_keys").join(file);
            std::fs::copy(from, inside.join(file)).unwrap();
        }
    }
    assert!(error().contains("default, other"), "{}", error());
    PeftAdapter::open(&folder.path().join("other")).unwrap();
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_what_never_ends_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let from = parity().join("adapters/default_keys");
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        std::os::unix::fs::symlink(from.join(file), folder.path().join(file)).unwrap();
    }
    let here = PeftAdapter::open(folder.path()).unwrap();
    assert_eq!(here.digest().unwrap(), PeftAdapter::open(&from).unwrap().digest().unwrap());
    for file in ["adapter_model.safetensors", "adapter_config.json"] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join(file)).unwrap();
        let error = PeftAdapter::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains(file) && error.contains("no regular file"), "{error}");
    }
}

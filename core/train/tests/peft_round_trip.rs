//! Adapters in and out: what PEFT wrote comes back as it was, bit for bit, however often.

use std::path::Path;

use fedshield_train::Valid;
use fedshield_train::adapter::{Adapter, PeftAdapter, export_peft};
use fedshield_train::federated::{AdapterLayout, Algorithm, FederatedSettings, GlobalAdapter};
use fedshield_train::model::ModelConfig;

#[test]
fn export_import_export_is_the_same_to_the_bit() {
    for family in ["llama", "llama3", "mistral", "qwen2", "qwen3"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(family);
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let config = ModelConfig::from_json(&text, &path).unwrap();
        // Written by PEFT itself.
        let theirs = PeftAdapter::open(&folder.join("adapter")).unwrap();
        let settings = |peft: &PeftAdapter| {
            Valid::new(FederatedSettings {
                adapter: peft.spec().unwrap(),
                algorithm: Algorithm::FedIt,
                ..FederatedSettings::default()
            })
            .unwrap()
        };
        let first = theirs.global(&config, &settings(&theirs)).unwrap();
        let out = tempfile::tempdir().unwrap();
        let (one, two) = (out.path().join("one"), out.path().join("two"));
        export_peft(&one, &first, "base").unwrap();
        let ours = PeftAdapter::open(&one).unwrap();
        assert_eq!(ours.digest().unwrap(), theirs.digest().unwrap(), "{family}");
        let second = ours.global(&config, &settings(&ours)).unwrap();
        assert!(second == first, "{family}");
        export_peft(&two, &second, "base").unwrap();
        for name in ["adapter_config.json", "adapter_model.safetensors"] {
            let read = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
            assert_eq!(read(&one), read(&two), "{family} {name}");
        }
    }
}

#[test]
fn another_value_alpha_or_shape_is_another_adapter() {
    let json = r#"{"model_type": "llama", "hidden_size": 8, "intermediate_size": 12,
        "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 16}"#;
    let config = ModelConfig::from_json(json, Path::new("shape")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let digest = |name: &str, rank: usize, alpha: f64, seed: u8| {
        let settings = Valid::<FederatedSettings>::default()
            .with(|it| (it.adapter.rank, it.adapter.alpha) = (rank, alpha))
            .unwrap();
        let layout = AdapterLayout::new(&config, &settings.adapter).unwrap();
        let adapter = GlobalAdapter::new(layout, &settings, [seed; 32]);
        export_peft(&out.path().join(name), &adapter, "base").unwrap();
        PeftAdapter::open(&out.path().join(name)).unwrap().digest().unwrap()
    };
    let first = digest("a", 2, 4.0, 1);
    assert_eq!(first, digest("same", 2, 4.0, 1));
    assert_ne!(first, digest("values", 2, 4.0, 2));
    assert_ne!(first, digest("alpha", 2, 8.0, 1));
    assert_ne!(first, digest("rank", 4, 4.0, 1));
}

/// The files say `use_rslora`, so PEFT computes the same scale; they are accepted back as a round's
/// result and as a new federation's first adapter.
#[test]
fn an_adapter_with_rslora_says_so_in_its_files_and_comes_back() {
    let json = r#"{"model_type": "llama", "hidden_size": 8, "intermediate_size": 12,
        "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 16}"#;
    let config = ModelConfig::from_json(json, Path::new("shape")).unwrap();
    let out = tempfile::tempdir().unwrap();
    // With rank 2 the plain alpha would be no whole number.
    let settings = Valid::<FederatedSettings>::default()
        .with(|it| {
            (it.adapter.rank, it.adapter.alpha, it.adapter.rslora) = (2, 6.0, true);
            it.algorithm = Algorithm::FedIt;
        })
        .unwrap();
    let layout = AdapterLayout::new(&config, &settings.adapter).unwrap();
    let first = GlobalAdapter::new(layout, &settings, [1; 32]);
    let theta: Vec<f32> = first.trained_values().iter().map(|value| value + 0.5).collect();
    let trained = first.with_trained(&theta).unwrap();
    let folder = out.path().join("adapter");
    export_peft(&folder, &trained, "base").unwrap();
    let path = folder.join("adapter_config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for field in ["\"use_rslora\": true", "\"lora_alpha\": 6", "\"r\": 2"] {
        assert!(text.contains(field), "{field} is not in {text}");
    }
    let peft = PeftAdapter::open(&folder).unwrap();
    peft.check_is(&trained).unwrap();
    assert!(peft.check_is(&first).is_err());
    assert_eq!(peft.round_result(&first, &config).unwrap(), theta);
    // As the start of another federation, whose scale is a plain one.
    let plain = settings.with(|it| it.adapter = peft.federated_spec()).unwrap();
    assert!(!plain.adapter.rslora && plain.adapter.alpha == 9.0, "{}", plain.adapter);
    let next = peft.global(&config, &plain).unwrap();
    let changes = |adapter: &GlobalAdapter| -> Vec<f64> {
        let of = |one: &fedshield_train::adapter::AdaptedProjection<'_>| {
            one.b.iter().map(|b| one.scale() * f64::from(*b)).collect::<Vec<_>>()
        };
        adapter.projections().iter().flat_map(of).collect()
    };
    let pairs = changes(&trained).into_iter().zip(changes(&next));
    assert!(pairs.into_iter().all(|(x, y)| (x - y).abs() < 1e-6));
    // The same factors at the plain scale are another adapter.
    std::fs::write(&path, text.replace("\"use_rslora\": true", "\"use_rslora\": false")).unwrap();
    let other = PeftAdapter::open(&folder).unwrap();
    let error = other.round_result(&first, &config).unwrap_err().to_string();
    assert!(error.contains("alpha 6, rsLoRA"), "{error}");
    assert!(other.check_is(&trained).is_err());
}

//! Frequencies against those of transformers (`tests/parity/make_rope.py`).

use std::path::Path;

use serde_json::Value;

use super::scaling::frequencies;
use crate::model::{ModelConfig, RopeScaling};

#[track_caller]
fn close(what: &str, ours: &[f64], theirs: &Value) {
    let theirs: Vec<f64> = theirs.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        // transformers computes them in f32.
        assert!((ours - theirs).abs() <= 2e-6 * theirs.abs(), "{what}: {ours} {theirs}");
    }
}

#[test]
fn every_spelling_means_what_it_means_in_transformers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/rope.json");
    let text = std::fs::read_to_string(path).unwrap();
    let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(entries.len() > 50);
    for entry in &entries {
        let what = entry["config"].to_string();
        let config = ModelConfig::from_json(&what, Path::new("config.json"));
        if entry.get("error").is_some() {
            assert!(config.is_err(), "transformers refuses {what}");
            continue;
        }
        let config = config.unwrap_or_else(|e| panic!("{e}: {what}"));
        let length = entry["length"].as_u64().unwrap() as usize;
        let check = |theta: f64, scaling: Option<&RopeScaling>, place: &str| {
            let (ours, factor) = frequencies(theta, scaling, config.rotary_dim, length);
            close(&what, &ours, &entry[format!("{place}frequencies")]);
            let theirs = entry[format!("{place}factor")].as_f64().unwrap();
            assert!((factor - theirs).abs() < 1e-9, "{what}: {factor} {theirs}");
        };
        // What this crate writes has the same meaning.
        let written = config.to_json().to_string();
        let again = ModelConfig::from_json(&written, Path::new("written")).unwrap();
        for config in [&config, &again] {
            check(config.rope_theta, config.rope_scaling.as_ref(), "");
            if let Some(local) = &config.local_rope {
                check(local.theta, local.scaling.as_ref(), "local_");
            }
            assert_eq!(config.local_rope.is_some(), entry.get("local_factor").is_some(), "{what}");
        }
    }
}

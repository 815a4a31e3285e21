//! Packed rows give the loss and gradients of rows that hold one example each, in every family.

use std::path::Path;

use fedshield_train::adapter::import_peft;
use fedshield_train::federated::{Factor, FederatedSettings};
use fedshield_train::load::SafetensorsSource;
use fedshield_train::model::{BasePrecision, Batch, Decoder, ModelConfig, TokenSequence};
use fedshield_train::{StepGradient, Valid, adapter_gradient};

/// An example of `len` tokens that differ from those of another `salt`; the first third carries no loss.
fn example(len: usize, salt: u32) -> TokenSequence {
    let ids = (0..len as u32).map(|i| (i * i * 7 + i * salt + 5 * salt) % 64).collect();
    TokenSequence { ids, labels: (0..len).map(|i| i > len / 3).collect() }
}

fn check(family: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(family);
    let path = folder.join("config.json");
    let config = ModelConfig::from_json(&std::fs::read_to_string(&path).unwrap(), &path).unwrap();
    let base = SafetensorsSource::open_file(&folder.join("model.safetensors")).unwrap();
    let decoder =
        Decoder::load(&config, &base, &fedshield_train::cpu(), BasePrecision::F32).unwrap();
    let settings = Valid::<FederatedSettings>::default();
    let adapter = import_peft(&folder.join("adapter"), &config, &settings).unwrap();
    let examples: Vec<TokenSequence> =
        [5, 30, 9, 12, 17, 3, 21].iter().zip(1..).map(|(len, salt)| example(*len, salt)).collect();
    let examples: Vec<&TokenSequence> = examples.iter().collect();
    let plain = Batch::new(&examples).unwrap();
    let packed = Batch::packed(&examples).unwrap();
    // 97 tokens: seven rows of thirty, or four.
    assert_eq!((plain.token_count(), packed.token_count()), (210, 120));
    assert_eq!(plain.label_count(), packed.label_count());
    let of = |batch: &Batch| {
        let factors = [Factor::A, Factor::B];
        adapter_gradient(&decoder, &adapter, &factors, std::slice::from_ref(batch)).unwrap()
    };
    let StepGradient { loss, gradient, .. } = of(&plain);
    let other = of(&packed);
    assert!((loss - other.loss).abs() < 1e-5 * loss, "{family}: {loss} {}", other.loss);
    let largest = gradient.iter().fold(0f32, |m, v| m.max(v.abs()));
    let pairs = gradient.iter().zip(&other.gradient);
    let difference = pairs.map(|(x, y)| (x - y).abs()).fold(0f32, f32::max);
    assert!(difference < 1e-5 * largest, "{family}: {difference:e} of {largest:e}");
}

#[test]
fn packing_changes_neither_loss_nor_gradient() {
    for family in ["llama", "llama3", "mistral", "qwen2", "qwen3"] {
        check(family);
    }
}

#[test]
fn a_batch_that_cannot_be_packed_is_the_plain_one() {
    let long = [example(12, 1), example(12, 2)];
    let batch = Batch::packed(&long.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(batch.token_count(), 24);
    let silent = TokenSequence { ids: vec![1, 2], labels: vec![false, false] };
    assert!(Batch::packed(&[&silent]).is_err());
}

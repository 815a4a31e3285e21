//! Parity with transformers + PEFT on tiny random models of every family. The reference values in
//! `tests/parity/<family>` were made by `tests/parity/make_reference.py`.

use std::path::{Path, PathBuf};

use fedshield_train::adapter::{export_peft, import_peft};
use fedshield_train::federated::{Algorithm, Factor, FederatedSettings, GlobalAdapter, StepRates};
use fedshield_train::load::{FolderSource, SafetensorsSource};
use fedshield_train::model::{
    BasePrecision, Batch, Decoder, ModelConfig, TensorSource, TokenSequence,
};
use fedshield_train::{
    AdamW, AdamWSettings, ComputeDevice, LocalSettings, OptimizerState, StepGradient, Valid,
    adapter_gradient, adapter_logits, clip_global_norm, local_steps,
};
use fedshield_train_tools::BaseWeights;

/// Bound of the project: max|a - b| <= 1e-4 * max|b|. On the processor the tests hold a tenth of it.
fn bound() -> f32 {
    if device() == ComputeDevice::Cpu { 1e-5 } else { 1e-4 }
}

/// The processor, or what the environment variable names, so that the same comparison runs on GPUs.
fn device() -> ComputeDevice {
    let name = std::env::var("FEDSHIELD_PARITY_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    ComputeDevice::parse(&name).unwrap()
}

fn decoder(
    config: &Valid<ModelConfig>,
    base: &dyn TensorSource,
    precision: BasePrecision,
) -> Decoder {
    Decoder::load(config, base, &device().open().unwrap(), precision).unwrap()
}

struct Case {
    config: Valid<ModelConfig>,
    base: FolderSource,
    decoder: Decoder,
    adapter: GlobalAdapter,
    reference: SafetensorsSource,
}

impl Case {
    fn open(family: &str) -> Self {
        let folder: PathBuf =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(family);
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let config = ModelConfig::from_json(&text, &path).unwrap();
        let base = FolderSource::open(&folder, &config).unwrap();
        let decoder = decoder(&config, &base, BasePrecision::F32);
        let settings = Valid::<FederatedSettings>::default();
        let adapter = import_peft(&folder.join("adapter"), &config, &settings).unwrap();
        let reference =
            SafetensorsSource::open_file(&folder.join("reference.safetensors")).unwrap();
        Self { config, base, decoder, adapter, reference }
    }

    fn values(&self, name: &str) -> Vec<f32> {
        self.reference.read_any(name).unwrap().1
    }

    /// The reference's values of a factor in our order.
    fn factor(&self, kind: &str, factor: Factor) -> Vec<f32> {
        let suffix = if factor == Factor::A { "lora_A" } else { "lora_B" };
        let modules = self.adapter.layout().modules().iter();
        modules
            .flat_map(|m| self.values(&format!("{kind}.{}.{suffix}.weight", m.peft_name())))
            .collect()
    }

    fn batch(&self) -> (Vec<u32>, usize, Batch) {
        let (shape, ids) = self.reference.read_any("ids").unwrap();
        let ids: Vec<u32> = ids.iter().map(|id| *id as u32).collect();
        let sequences: Vec<TokenSequence> = ids
            .chunks(shape[1])
            .map(|ids| TokenSequence {
                ids: ids.to_vec(),
                labels: (0..ids.len()).map(|position| position >= 4).collect(),
            })
            .collect();
        let batch = Batch::new(&sequences.iter().collect::<Vec<_>>()).unwrap();
        (ids, shape[1], batch)
    }
}

#[track_caller]
fn assert_close(what: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let largest = theirs.iter().fold(0f32, |m, v| m.max(v.abs()));
    let difference = ours.iter().zip(theirs).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(difference <= bound() * largest, "{what}: {difference:e} of {largest:e}");
}

/// Bit for bit on the processor; GPUs do not promise the same order of additions twice.
#[track_caller]
fn assert_same(what: &str, ours: &[f32], theirs: &[f32]) {
    match device() {
        ComputeDevice::Cpu => assert!(ours == theirs, "{what}"),
        _ => assert_close(what, ours, theirs),
    }
}

fn check(family: &str) {
    let case = Case::open(family);
    let (ids, len, batch) = case.batch();
    let logits = adapter_logits(&case.decoder, &case.adapter, &ids, len);
    assert_close("logits", &logits, &case.values("logits"));
    let both = [Factor::A, Factor::B];
    let StepGradient { loss, gradient, .. } =
        adapter_gradient(&case.decoder, &case.adapter, &both, std::slice::from_ref(&batch))
            .unwrap();
    assert_close("loss", &[loss as f32], &case.values("loss"));
    let (gradient_a, gradient_b) = gradient.split_at(case.adapter.layout().len(Factor::A));
    for (factor, gradient) in both.into_iter().zip([gradient_a, gradient_b]) {
        for (module, range) in case.adapter.layout().ranges(factor) {
            let suffix = if factor == Factor::A { "lora_A" } else { "lora_B" };
            let name = format!("gradient.{}.{suffix}.weight", module.peft_name());
            assert_close(&name, &gradient[range], &case.values(&name));
        }
        let mut values = case.adapter.values(factor).to_vec();
        AdamW::new(AdamWSettings::default(), values.len()).step(&mut values, gradient, 1e-3);
        assert_close("stepped", &values, &case.factor("stepped", factor));
        // Training one factor alone gives the same gradient as training both.
        let alone =
            adapter_gradient(&case.decoder, &case.adapter, &[factor], std::slice::from_ref(&batch));
        assert_same("one factor", &alone.unwrap().gradient, gradient);
    }
    assert_eq!(case.config.layers, 2);
    if !case.config.multimodal {
        leaves_as_peft_names_it(&case, family);
    }
    // Computing a layer's activations again changes nothing, not even in the last bit.
    let mut frugal = case.decoder.clone();
    frugal.checkpoint_layers(true);
    let again = adapter_gradient(&frugal, &case.adapter, &both, std::slice::from_ref(&batch));
    let again = again.unwrap();
    assert_same("checkpointed", &again.gradient, &gradient);
    assert_same("checkpointed loss", &[again.loss as f32], &[loss as f32]);
}

/// What is written has the names, shapes and values of the file that PEFT wrote.
fn leaves_as_peft_names_it(case: &Case, family: &str) {
    let folder = tempfile::tempdir().unwrap();
    export_peft(folder.path(), &case.adapter, "base").unwrap();
    let file = "adapter_model.safetensors";
    let ours = SafetensorsSource::open_file(&folder.path().join(file)).unwrap();
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(family);
    let theirs = SafetensorsSource::open_file(&place.join("adapter").join(file)).unwrap();
    assert!(ours.names().eq(theirs.names()));
    for name in ours.names() {
        assert!(ours.read_any(name).unwrap() == theirs.read_any(name).unwrap(), "{name}");
    }
}

/// A round's steps, wherever they are computed, are the gradient, the bound on its norm and AdamW.
#[test]
fn steps_of_a_round() {
    let case = Case::open("llama");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/llama/adapter");
    let settings = Valid::new(FederatedSettings {
        algorithm: Algorithm::FedIt,
        ..FederatedSettings::default()
    })
    .unwrap();
    let mut adapter = import_peft(&folder, &case.config, &settings).unwrap();
    let (_, _, batch) = case.batch();
    let batches = [batch.clone(), batch];
    let (optimizer, bound) = (AdamWSettings::default(), 0.5);
    let local = LocalSettings { optimizer, max_gradient_norm: bound, proximal: 0.0 };
    let fresh = OptimizerState::default();
    let mut steps = local_steps(&case.decoder, &adapter, &local, &fresh).unwrap();
    let mut theta = adapter.trained_values();
    let mut adam = AdamW::new(optimizer, theta.len());
    for _ in 0..3 {
        let factors = adapter.trained_factors();
        let mut whole = adapter_gradient(&case.decoder, &adapter, factors, &batches).unwrap();
        let norm = clip_global_norm(&mut whole.gradient, bound);
        adam.step(&mut theta, &whole.gradient, 1e-3);
        adapter = adapter.with_trained(&theta).unwrap();
        let report = steps.step(&batches, StepRates::all(1e-3)).unwrap();
        assert_same("loss", &[report.loss as f32], &[whole.loss as f32]);
        assert_same("norm", &[report.gradient_norm as f32], &[norm as f32]);
    }
    assert_same("theta", &steps.theta(), &theta);
}

#[test]
fn llama() {
    check("llama");
}

#[test]
fn llama_with_linear_scaling_and_biases_in_bf16_shards() {
    check("llama_linear");
}

#[test]
fn qwen2_with_a_window_on_one_layer_in_f16_shards() {
    check("qwen2_window");
}

#[test]
fn qwen3_with_a_window_and_an_untied_head_in_f32_shards() {
    check("qwen3_window");
}

#[test]
fn llama3_with_rope_scaling_untied_head_and_all_projections() {
    check("llama3");
}

#[test]
fn mistral() {
    check("mistral");
}

#[test]
fn qwen2() {
    check("qwen2");
}

#[test]
fn qwen3() {
    check("qwen3");
}

#[test]
fn llama_beyond_its_context_with_dynamic_scaling() {
    check("llama_dynamic");
}

#[test]
fn qwen2_with_yarn() {
    check("qwen2_yarn");
}

#[test]
fn smollm3_with_a_layer_without_rope() {
    check("smollm3");
}

#[test]
fn granite_with_multipliers() {
    check("granite");
}

#[test]
fn olmo2_with_norms_behind_the_blocks() {
    check("olmo2");
}

#[test]
fn olmo3_with_a_window_and_stretched_global_layers() {
    check("olmo3");
}

#[test]
fn seed_oss_with_biases_on_queries_keys_and_values() {
    check("seed_oss");
}

#[test]
fn phi3_with_adapters_on_fused_projections() {
    check("phi3");
}

#[test]
fn phi4_with_a_part_of_each_head_rotated_and_long_factors() {
    check("phi4");
}

#[test]
fn gemma3_with_local_and_global_layers() {
    check("gemma3");
}

#[test]
fn qwen3_moe_with_experts_in_one_tensor() {
    check("qwen3_moe");
}

#[test]
fn qwen3_moe_with_a_dense_layer_and_weights_as_the_router_gives_them() {
    check("qwen3_moe_step");
}

#[test]
fn gemma3_of_a_model_that_also_sees() {
    check("gemma3_vision");
}

/// Files name the text model's tensors in two ways: both are the same model, to the last bit.
#[test]
fn both_spellings_of_a_model_that_also_sees_are_one() {
    let parity = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/gemma3_vision");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::copy(parity.join("config.json"), folder.path().join("config.json")).unwrap();
    std::fs::copy(parity.join("renamed.safetensors"), &path).unwrap();
    let published = Case::open("gemma3_vision");
    let names = |file: &str| SafetensorsSource::open_file(&parity.join(file)).unwrap();
    let starts =
        |file: &str, prefix: &str| names(file).names().any(|name| name.starts_with(prefix));
    assert!(starts("model.safetensors", "language_model.model."));
    assert!(starts("renamed.safetensors", "model.language_model."));
    let source = FolderSource::open(folder.path(), &published.config).unwrap();
    let again = decoder(&published.config, &source, BasePrecision::F32);
    let (ids, len, _) = published.batch();
    let logits = |decoder: &Decoder| adapter_logits(decoder, &published.adapter, &ids, len);
    assert_same("renamed", &logits(&again), &logits(&published.decoder));
}

#[test]
fn mistral_of_a_model_that_also_sees() {
    check("mistral3_vision");
}

const FAMILIES: [&str; 22] = [
    "llama",
    "llama_linear",
    "llama_dynamic",
    "llama3",
    "mistral",
    "qwen2",
    "qwen2_window",
    "qwen2_yarn",
    "qwen3",
    "qwen3_window",
    "qwen3_moe",
    "qwen3_moe_step",
    "smollm3",
    "granite",
    "olmo2",
    "olmo3",
    "seed_oss",
    "phi3",
    "phi4",
    "gemma3",
    "gemma3_vision",
    "mistral3_vision",
];

/// `base` as it is at `precision`: its matrices rounded, its vectors as they are.
fn rounded(case: &Case, precision: BasePrecision) -> BaseWeights {
    let mut weights = BaseWeights::read(&case.config, &case.base).unwrap();
    for (name, tensor) in &mut weights.tensors {
        // The router of a mixture of experts stays as it is.
        let router = name.ends_with(".mlp.gate.weight");
        if let (false, [_, columns]) = (router, &tensor.shape[..]) {
            tensor.values = precision.rounded(&tensor.values, *columns).unwrap();
        }
    }
    weights
}

/// How the matrices are stored is the only difference: logits, loss and gradients are those of the f32 decoder on
/// the rounded weights.
#[test]
fn every_precision_computes_with_its_rounded_weights() {
    let both = [Factor::A, Factor::B];
    for family in FAMILIES {
        let case = Case::open(family);
        let (ids, len, batch) = case.batch();
        let batch = std::slice::from_ref(&batch);
        for name in BasePrecision::NAMES {
            let precision: BasePrecision = name.parse().unwrap();
            let packed = decoder(&case.config, &case.base, precision);
            let dense = decoder(&case.config, &rounded(&case, precision), BasePrecision::F32);
            let what = |part: &str| format!("{family} in {name}: {part}");
            let logits = adapter_logits(&dense, &case.adapter, &ids, len);
            let ours = adapter_logits(&packed, &case.adapter, &ids, len);
            assert_close(&what("logits"), &ours, &logits);
            let ours = adapter_gradient(&packed, &case.adapter, &both, batch).unwrap();
            let theirs = adapter_gradient(&dense, &case.adapter, &both, batch).unwrap();
            assert_close(&what("loss"), &[ours.loss as f32], &[theirs.loss as f32]);
            let (ours_a, ours_b) = ours.gradient.split_at(case.adapter.layout().len(Factor::A));
            let (a, b) = theirs.gradient.split_at(case.adapter.layout().len(Factor::A));
            assert_close(&what("gradient of A"), ours_a, a);
            assert_close(&what("gradient of B"), ours_b, b);
            // Rounded it is, unless the file has fewer bits than that.
            let full = adapter_logits(&case.decoder, &case.adapter, &ids, len);
            let few = matches!(precision, BasePrecision::Q8 | BasePrecision::Q4);
            assert!(!few || logits != full, "{}", what("rounding"));
        }
    }
}

//! The memory of a step grows with the length of a sequence, not with its square: the bytes
//! allocated at the peak of a step are counted.

#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use fedshield_train::federated::{AdapterLayout, Factor, FederatedSettings, GlobalAdapter};
use fedshield_train::model::{BasePrecision, Batch, Decoder, ModelConfig, TokenSequence};
use fedshield_train::{Valid, adapter_gradient, cpu};
use fedshield_train_tools::BaseWeights;

/// Bytes allocated now, and the most there were since it was last set.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn decoder(checkpointing: bool) -> Decoder {
    let json = r#"{"model_type": "llama", "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "vocab_size": 64, "max_position_embeddings": 4096, "tie_word_embeddings": true}"#;
    let config = ModelConfig::from_json(json, Path::new("test")).unwrap();
    let weights = BaseWeights::random(&config, 3, 0.15);
    let mut decoder = Decoder::load(&config, &weights, &cpu(), BasePrecision::F32).unwrap();
    decoder.checkpoint_layers(checkpointing);
    decoder
}

/// Bytes that a step on one sequence of `len` tokens allocates at its peak, beyond the model.
fn peak_of_a_step(decoder: &Decoder, len: usize) -> usize {
    let settings = Valid::<FederatedSettings>::default();
    let layout = AdapterLayout::new(decoder.config(), &settings.adapter).unwrap();
    let adapter = GlobalAdapter::new(layout, &settings, [0; 32]);
    let ids = (0..len as u32).map(|i| (i * 7 + 3) % 64).collect();
    let sequence = TokenSequence { ids, labels: vec![true; len] };
    let batch = [Batch::new(&[&sequence]).unwrap()];
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    adapter_gradient(decoder, &adapter, &[Factor::A, Factor::B], &batch).unwrap();
    PEAK.load(Ordering::Relaxed) - before
}

#[test]
fn a_sequence_four_times_as_long_needs_four_times_the_memory() {
    for checkpointing in [false, true] {
        let decoder = decoder(checkpointing);
        // What threads allocate once.
        peak_of_a_step(&decoder, 1024);
        let (short, long) = (peak_of_a_step(&decoder, 1024), peak_of_a_step(&decoder, 4096));
        let ratio = long as f64 / short as f64;
        // The square of scores of one layer alone would be 268 MB, eighty times `short`.
        assert!(
            ratio < 4.5,
            "checkpointing {checkpointing}: {short} and {long} bytes, {ratio:.2} times"
        );
    }
}

//! Every program of this workspace: the decoder that has the program's name, on what the fuzzer
//! thinks up.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "../src/fuzz/encryption.rs"]
mod encryption;
#[cfg(feature = "member")]
#[path = "../src/fuzz/member.rs"]
mod member;
#[path = "../src/fuzz/protocol.rs"]
mod protocol;

/// As in `tests/src/fuzz.rs`.
struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    run: fn(&[u8]),
}

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let all = protocol::targets().into_iter().chain(encryption::targets());
    #[cfg(feature = "member")]
    let all = all.chain(member::targets());
    let name = env!("CARGO_BIN_NAME");
    all.into_iter().find(|target| target.name == name).expect("the decoder is listed")
});

/// Writes the valid inputs into the folder that `FEDSHIELD_FUZZ_SEEDS` names, for a first corpus.
fn write_seeds() {
    let Ok(folder) = std::env::var("FEDSHIELD_FUZZ_SEEDS") else { return };
    for (i, seed) in TARGET.seeds.iter().enumerate() {
        let path = std::path::Path::new(&folder).join(format!("seed-{i}"));
        std::fs::write(path, seed).expect("the seeds can be written");
    }
}

fuzz_target!(init: write_seeds(), |data: &[u8]| (TARGET.run)(data));

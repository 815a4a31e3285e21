//! A short run of every decoder on random and mutated bytes. `FEDSHIELD_FUZZ_CASES` makes it
//! longer, and `FEDSHIELD_FUZZ_TARGET` names the only decoder to run.

use fedshield_tests::fuzz::{Target, targets};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Cases for each decoder unless the environment says otherwise.
const CASES: u64 = 300;

fn mutate(rng: &mut ChaCha8Rng, seed: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    match rng.random_range(0..6u8) {
        0 => bytes.truncate(rng.random_range(0..=bytes.len())),
        1 => {
            let more = rng.random_range(0..64);
            bytes.extend((0..more).map(|_| rng.random::<u8>()));
        }
        2 => {
            bytes = vec![0; rng.random_range(0..400)];
            rng.fill_bytes(&mut bytes);
        }
        // A piece of the seed stands twice, or in the place of another: text stays close to text.
        3 => {
            for _ in 0..rng.random_range(1..4u8) {
                let ends = [(); 4].map(|()| rng.random_range(0..=bytes.len()));
                let piece = bytes[ends[0].min(ends[1])..ends[0].max(ends[1])].to_vec();
                bytes.splice(ends[2].min(ends[3])..ends[2].max(ends[3]), piece);
            }
        }
        _ => {
            for _ in 0..rng.random_range(1..8u8) {
                if bytes.is_empty() {
                    break;
                }
                let at = rng.random_range(0..bytes.len());
                // Extreme values sit where lengths and ranges break.
                bytes[at] = *[0, 1, 0x7f, 0x80, 0xff, rng.random()]
                    .get(rng.random_range(0..6usize))
                    .unwrap_or(&0);
            }
        }
    }
    bytes
}

fn smoke(target: &Target, cases: u64) {
    for case in 0..cases {
        let mut rng = ChaCha8Rng::seed_from_u64(case);
        let seed = &target.seeds[(case % target.seeds.len() as u64) as usize];
        let bytes = mutate(&mut rng, seed);
        let run = target.run;
        let outcome = std::panic::catch_unwind(move || run(&bytes));
        assert!(outcome.is_ok(), "{} panics on case {case}", target.name);
    }
}

#[test]
fn no_decoder_panics() {
    let cases = std::env::var("FEDSHIELD_FUZZ_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(CASES);
    let only = std::env::var("FEDSHIELD_FUZZ_TARGET").ok();
    let mut run = 0;
    for target in targets().iter().filter(|it| only.as_ref().is_none_or(|name| name == it.name)) {
        smoke(target, cases);
        run += 1;
    }
    assert!(run > 0, "no decoder is called {only:?}");
}

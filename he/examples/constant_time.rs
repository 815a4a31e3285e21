//! Do time, branches or addresses depend on secrets?
//!
//! Under valgrind: every random byte and the values themselves are marked undefined, then one
//! contributor's and one member's whole work runs. Memcheck reports each branch and each address
//! that depends on them.
//!
//! ```text
//! cargo build --release -p fedshield-he --example constant_time
//! valgrind --error-exitcode=1 --suppressions=he/scripts/constant-time.supp target/release/examples/constant_time
//! ```
//!
//! Valgrind has no AVX-512. Alone, the program measures every path this machine has in the way of
//! dudect: one class of inputs is fixed, one random, in random order, and Welch's t compares their
//! times. An absolute value above 4.5 that grows with more measurements (the argument; default
//! 40000) is a leak; one that changes its sign from run to run is noise.

#![allow(clippy::print_stdout, reason = "a report is what it is for")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails has nothing to report")]

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use chacha20::ChaCha20Rng;
use fedshield_he::benches::{Kernel, SecretStep, context_on, on_secrets};
use fedshield_he::*;
use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};

fn main() {
    if valgrind::runs() {
        Kernel::available().into_iter().for_each(work_on_undefined_secrets);
        println!("done; what memcheck printed above depends on a secret");
    } else {
        let count = std::env::args().nth(1).map_or(40_000, |count| count.parse().unwrap());
        Kernel::available().into_iter().for_each(|kernel| compare_times(kernel, count));
    }
}

/// Randomness that memcheck takes for uninitialised.
struct Undefined(ChaCha20Rng);

impl TryRng for Undefined {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(bytes);
        valgrind::set(bytes, valgrind::UNDEFINED);
        Ok(())
    }
}

impl TryCryptoRng for Undefined {}

fn work_on_undefined_secrets(kernel: Kernel) {
    println!("path {}", kernel.name());
    let preset = Preset::by_name("rlwe-sum/b16/n16").unwrap();
    let context = context_on(kernel, [1; 32], 2, preset);
    let mut rng = Undefined(ChaCha20Rng::from_seed([2; 32]));
    let mut values: Vec<f32> = (0..9000).map(|i| (i % 301) as f32 * 0.1 - 15.0).collect();
    valgrind::set(bytemuck::cast_slice_mut(&mut values), valgrind::UNDEFINED);
    let update = Update { values: &values, scale: 1000.0, nonce: &[3; 32], measurement: None };
    let mut file = Vec::new();
    let [dealer, receiver] = [0, 1].map(ShareIndex::from_position);
    let (key, _) = encrypt(&context, dealer, &update, &mut rng, &mut file).unwrap();
    let sharing = Sharing::new(3, 4).unwrap();
    let digest = CiphertextDigest::new([4; 32]);
    let (commitment, package) = share(&context, dealer, sharing, &key, digest, &mut rng).unwrap();
    // What is published is no secret any more.
    let mut public = commitment.to_bytes(&context);
    valgrind::set(&mut public, valgrind::DEFINED);
    let commitment = ShareCommitment::from_bytes(&context, dealer, sharing, &public).unwrap();
    let opening = package.opening_for(receiver).unwrap();
    let share = opening.verify(&context, &commitment).unwrap();
    let set = ContributorSet::new(&context, 1, [(dealer, commitment.id(&context))]).unwrap();
    black_box(partial_decrypt(&context, &set, receiver, &[share]).unwrap().to_bytes(&context));
}

fn compare_times(kernel: Kernel, count: usize) {
    let preset = Preset::by_name("INSECURE-rlwe-sum/b16/n16").unwrap();
    let context = context_on(kernel, [1; 32], 2, preset);
    let mut rng = ChaCha20Rng::from_seed([5; 32]);
    for step in SecretStep::ALL {
        let mut times: [Vec<f64>; 2] = Default::default();
        let mut words = vec![0u64; preset.ring_degree()];
        for _ in 0..count {
            let class = rng.next_u32() as usize % 2;
            // The same instructions fill both classes, whatever they are, and are done before the
            // clock starts.
            let (keep, fixed) = ((class as u64).wrapping_neg(), 1 - class as u64);
            for word in &mut words {
                *word = (rng.next_u64() >> (64 - 50)) & keep | fixed;
            }
            if step == SecretStep::Sample {
                // All 64 bits count here.
                words.iter_mut().for_each(|word| *word = word.rotate_left(14));
            }
            black_box(blake3::hash(bytemuck::cast_slice(&words)));
            let start = Instant::now();
            on_secrets(&context, step, black_box(&mut words));
            times[class].push(start.elapsed().as_nanos() as f64);
        }
        println!("{:>7} {step:?}: t = {:.2}", kernel.name(), welch(&mut times));
    }
}

/// Welch's t without the slowest fifth, which interrupts make.
fn welch(times: &mut [Vec<f64>; 2]) -> f64 {
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let limit = all[all.len() * 4 / 5];
    let [a, b] = times.each_ref().map(|class| {
        let kept: Vec<f64> = class.iter().copied().filter(|t| *t <= limit).collect();
        let n = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / n;
        let variance = kept.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, variance / n)
    });
    (a.0 - b.0) / (a.1 + b.1).sqrt()
}

/// Client requests to valgrind: an instruction sequence that does nothing on the bare machine.
mod valgrind {
    #![allow(unsafe_code, reason = "valgrind is told things by an instruction sequence")]

    const RUNNING_ON_VALGRIND: u64 = 0x1001;
    /// Memcheck: from now on uninitialised.
    pub(super) const UNDEFINED: u64 = ((b'M' as u64) << 24 | (b'C' as u64) << 16) + 1;
    /// Memcheck: from now on initialised.
    pub(super) const DEFINED: u64 = UNDEFINED + 1;

    #[cfg(target_arch = "x86_64")]
    fn request(arguments: [u64; 6]) -> u64 {
        let mut result = 0;
        // SAFETY: four rotations by 128 bits in all and an exchange of a register with itself
        // change nothing; valgrind reads the arguments through rax and answers in rdx. The flags
        // are clobbered, as asm! assumes.
        unsafe {
            std::arch::asm!(
                "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
                in("rax") arguments.as_ptr(),
                inout("rdx") result,
                inout("rdi") 0u64 => _,
            );
        }
        result
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn request(_: [u64; 6]) -> u64 {
        0
    }

    pub(super) fn runs() -> bool {
        request([RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0]) != 0
    }

    pub(super) fn set(bytes: &mut [u8], what: u64) {
        request([what, bytes.as_ptr() as u64, bytes.len() as u64, 0, 0, 0]);
    }
}

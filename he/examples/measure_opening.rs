//! Measures how long a summed key takes to be found among wrong answers, on one core.
//!
//! `cargo run --release -p fedshield-he --example measure_opening`

#![allow(clippy::print_stdout, reason = "a report is what it is for")]
#![allow(clippy::unwrap_used, reason = "a measurement that fails has nothing to report")]

use std::time::Instant;

use chacha20::ChaCha20Rng;
use fedshield_he::*;
use rand_core::{Rng, SeedableRng};

/// Contributors to the sum: the time does not depend on how many there are.
const CONTRIBUTORS: u16 = 3;
/// One block.
const VALUES: u64 = 8;
/// Bytes of a partial decryption before its values.
const HEAD: usize = 24 + 32;

struct Round {
    context: RoundContext,
    set: ContributorSet,
    sharing: RobustSharing,
    sum: Vec<u8>,
    answers: Vec<Vec<u8>>,
}

impl Round {
    fn new(members: u16, rng: &mut ChaCha20Rng) -> Self {
        let preset = Preset::for_federation(16, members).unwrap();
        let context = RoundContext::new([0; 32], 0, preset);
        let max_faulty = (members - 1) / 3;
        let sharing = Sharing::new((members + max_faulty) / 2 + 1, members).unwrap();
        let (mut files, mut shared) = (Vec::new(), Vec::new());
        let contributors = || (0..CONTRIBUTORS).map(ShareIndex::from_position);
        for contributor in contributors() {
            let update = Update {
                values: &[0.5; VALUES as usize],
                scale: 9.0,
                nonce: &[1; 32],
                measurement: None,
            };
            let mut file = Vec::new();
            let (key, _) = encrypt(&context, contributor, &update, rng, &mut file).unwrap();
            let digest = CiphertextDigest::new([2; 32]);
            shared.push(share(&context, contributor, sharing, &key, digest, rng).unwrap());
            files.push(file);
        }
        let entries = shared.iter().map(|(c, _)| (c.dealer(), c.id(&context)));
        let set = ContributorSet::new(&context, CONTRIBUTORS, entries).unwrap();
        let mut sum = Vec::new();
        let inputs = contributors().zip(files.iter().map(|f| f.as_slice()));
        aggregate(&context, &set, VALUES, inputs, &mut sum).unwrap();
        let answer = |member: ShareIndex| {
            let shares: Vec<_> = shared
                .iter()
                .map(|(c, p)| p.opening_for(member).unwrap().verify(&context, c).unwrap())
                .collect();
            partial_decrypt(&context, &set, member, &shares).unwrap().to_bytes(&context)
        };
        let answers = sharing.indices().map(answer).collect();
        let sharing = RobustSharing::new(sharing, max_faulty).unwrap();
        Self { context, set, sharing, sum, answers }
    }

    /// All answers, the first `wrong` of them wrong: in every value on their own, or all along one
    /// direction.
    fn answers(
        &self,
        wrong: usize,
        together: bool,
        rng: &mut ChaCha20Rng,
    ) -> Vec<PartialDecryption> {
        let modulus = 65_521;
        self.sharing
            .sharing()
            .indices()
            .zip(&self.answers)
            .map(|(member, answer)| {
                let mut bytes = answer.clone();
                if usize::from(member.position()) < wrong {
                    for pair in bytes[HEAD..].as_chunks_mut::<2>().0 {
                        let shift = if together { 1 } else { 1 + rng.next_u32() % 8 };
                        let value = (u32::from(u16::from_le_bytes(*pair)) + shift) % modulus;
                        *pair = (value as u16).to_le_bytes();
                    }
                }
                PartialDecryption::from_bytes(&self.context, member, self.set.id(), &bytes).unwrap()
            })
            .collect()
    }

    fn open(&self, answers: &[PartialDecryption]) -> CombinedSum {
        let shape = SumShape::full(self.context.preset(), CONTRIBUTORS, VALUES);
        combine(&self.context, &self.set, self.sharing, answers, shape, &self.sum[..], |_| Ok(()))
            .unwrap()
    }
}

fn main() {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    println!("{:>8} {:>6} {:>16} {:>9}", "members", "wrong", "how", "ms");
    for members in [4, 18, 31, 64, 100] {
        let round = Round::new(members, &mut rng);
        let spare = usize::from(members - round.sharing.threshold());
        let cases = [
            (0, false, ""),
            (1, false, "alone"),
            (spare / 2, true, "together"),
            (spare.max(2) - 1, false, "each alone"),
        ];
        for (wrong, together, how) in cases {
            let answers = round.answers(wrong, together, &mut rng);
            let best = (0..5)
                .map(|_| {
                    let start = Instant::now();
                    round.open(&answers);
                    start.elapsed().as_secs_f64()
                })
                .fold(f64::MAX, f64::min);
            println!("{members:>8} {wrong:>6} {how:>16} {:>9.2}", best * 1e3);
        }
    }
}

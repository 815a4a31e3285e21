//! Known answers for every stage, in `he/vectors/rlwe-sum.txt`: `name = hex`, one a line. They hold
//! on every machine and on every path. A change of any of them is a change of the wire format.

use std::fmt::Write as _;

use super::federation::{decrypt_to_vec, index, rng, sharing};
use crate::encrypt::encrypt_from_seed;
use crate::kernel::Kernel;
use crate::*;

const VECTORS: &str = include_str!("../../vectors/rlwe-sum.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut s, b| {
        write!(s, "{b:02x}").unwrap();
        s
    })
}

fn words(words: &[u64]) -> String {
    hex(&words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>())
}

fn digest(bytes: &[u8]) -> String {
    hex(blake3::hash(bytes).as_bytes())
}

/// One round of three members, all randomness from fixed seeds, with a line for every stage.
fn lines(preset: &'static Preset, kernel: Kernel) -> String {
    let name = preset.name();
    let context = RoundContext::with_kernel([1; 32], 2, preset, kernel);
    let mut out = String::new();
    let mut line = |what: &str, value: String| writeln!(out, "{name} {what} = {value}").unwrap();
    line("round tag", hex(context.tag()));
    line("crs seed", hex(context.crs_seed().as_bytes()));
    let mut poly = vec![0; preset.ring_degree()];
    context.crs_seed().expand(kernel, 5, preset.modulus(), &mut poly);
    line("expand block 5, words 0..2", words(&poly[..2]));
    line("expand block 5, digest", hex(blake3::hash(bytemuck::cast_slice(&poly)).as_bytes()));
    context.ring().forward(&mut poly);
    line("its forward transform, digest", digest(bytemuck::cast_slice(&poly)));
    gaussian::errors(kernel, &[3; 32], 5, &mut poly);
    line("errors, key 03.., block 5, words 0..2", words(&poly[..2]));
    line("errors, digest", digest(bytemuck::cast_slice(&poly)));

    let values: Vec<f32> =
        (0..preset.slots_per_block() as i32 + 50).map(|i| (i % 201 - 100) as f32 * 0.013).collect();
    let scale = preset.value_limit() as f64 / 4.0;
    let mut rng = rng(4);
    let (mut files, mut shared) = (Vec::new(), Vec::new());
    for contributor in 1..=3u16 {
        let scale = scale * f64::from(contributor);
        let update =
            Update { values: &values, scale, nonce: &[contributor as u8; 32], measurement: None };
        let mut file = Vec::new();
        let (key, _) = encrypt_from_seed(
            &context,
            index(contributor),
            &update,
            &[contributor as u8; 32],
            &mut file,
        )
        .unwrap();
        if contributor == 1 {
            let key: Vec<u8> = key.coefficients().iter().map(|&c| c as u8).collect();
            line("key of contributor 1, digest", digest(&key));
            line("ciphertext of contributor 1, bytes 0..64", hex(&file[..64]));
        }
        line(&format!("ciphertext of contributor {contributor}, digest"), digest(&file));
        let file_digest = CiphertextDigest::new(*blake3::hash(&file).as_bytes());
        let (commitment, package) =
            share(&context, index(contributor), sharing(3, 3), &key, file_digest, &mut rng)
                .unwrap();
        let id = commitment.id(&context);
        line(&format!("commitment of contributor {contributor}, digest"), hex(id.as_bytes()));
        files.push(file);
        shared.push((commitment, package));
    }
    let (commitment, package) = &shared[0];
    let opening = package.opening_for(index(2)).unwrap();
    line("share opening 1 -> 2, digest", digest(&opening.to_bytes(&context)));
    let keys = SealingKeyPair::from_secret(&[6; 32]);
    let sealed = seal_share(&context, commitment, opening, keys.public(), &mut rng);
    line("sealing public key of secret 06.., digest", digest(&keys.public().to_bytes()));
    line("sealed share 1 -> 2, digest", digest(&sealed.unwrap()));

    let entries = shared.iter().map(|(c, _)| (c.dealer(), c.id(&context)));
    let set = ContributorSet::new(&context, 3, entries).unwrap();
    line("set", hex(set.id().as_bytes()));
    let mut sum = Vec::new();
    let inputs = (1..).map(index).zip(files.iter().map(|f| f.as_slice()));
    let count = values.len() as u64;
    aggregate(&context, &set, count, inputs, &mut sum).unwrap();
    line("aggregate, digest", digest(&sum));
    let answers: Vec<_> = (1..=3u16)
        .map(|member| {
            let shares: Vec<_> = shared
                .iter()
                .map(|(c, p)| p.opening_for(index(member)).unwrap().verify(&context, c).unwrap())
                .collect();
            partial_decrypt(&context, &set, index(member), &shares).unwrap()
        })
        .collect();
    line("partial decryption of 1, digest", digest(&answers[0].to_bytes(&context)));
    let shape = SumShape::full(preset, 3, count);
    let robust = RobustSharing::new(sharing(3, 3), 0).unwrap();
    let combined = combine(&context, &set, robust, &answers, shape, &sum[..], |_| Ok(())).unwrap();
    let (values, opened) = decrypt_to_vec(&context, &set, &combined.key, shape, &sum[..]).unwrap();
    line("opened values 0..4", format!("{:?}", &values[..4]));
    line("nonce digest", hex(opened.nonce_digest.as_bytes()));
    line("opened sum, digest", hex(opened.digest.as_bytes()));
    out
}

/// Ciphertexts and sums that carry a measurement.
fn measured_lines(preset: &'static Preset, kernel: Kernel) -> String {
    let name = preset.name();
    let context = RoundContext::with_kernel([1; 32], 2, preset, kernel).with_measurement();
    let mut out = String::new();
    let mut line = |what: &str, value: String| {
        writeln!(out, "{name} measured {what} = {value}").unwrap();
    };
    let (mut files, mut key) = (Vec::new(), vec![0; preset.ring_degree()]);
    for contributor in 1..=3u16 {
        let nonce = &[contributor as u8; 32];
        let measurement = (contributor != 2).then_some(40_000 + contributor);
        let update = Update { values: &[0.5, -0.5], scale: 100.0, nonce, measurement };
        let (seed, mut file) = ([contributor as u8; 32], Vec::new());
        let (one, _) =
            encrypt_from_seed(&context, index(contributor), &update, &seed, &mut file).unwrap();
        key.iter_mut().zip(one.coefficients()).for_each(|(sum, k)| *sum += k);
        line(&format!("ciphertext of contributor {contributor}, bytes 0..32"), hex(&file[..32]));
        line(&format!("ciphertext of contributor {contributor}, digest"), digest(&file));
        files.push(file);
    }
    let entries = (1..=3).map(|i| (index(i), CommitmentDigest::new([i as u8; 32])));
    let set = ContributorSet::new(&context, 3, entries).unwrap();
    let mut sum = Vec::new();
    let inputs = (1..).map(index).zip(files.iter().map(|f| f.as_slice()));
    aggregate(&context, &set, 2, inputs, &mut sum).unwrap();
    line("aggregate, digest", digest(&sum));
    let (shape, key) = (SumShape::full(preset, 3, 2), OpenedKey::new(set.id(), key));
    let (_, opened) = decrypt_to_vec(&context, &set, &key, shape, &sum[..]).unwrap();
    line("opened measurement", format!("{:?}", opened.measured));
    line("opened sum, digest", hex(opened.digest.as_bytes()));
    out
}

fn all_lines(kernel: Kernel) -> String {
    let preset = |name| Preset::by_name(name).unwrap();
    let names = ["rlwe-sum/b16/n16", "rlwe-sum/b16/n128", "rlwe-sum/b8/n16", "rlwe-sum/b20/n128"];
    let plain = names.map(|name| lines(preset(name), kernel)).concat();
    let measured =
        ["rlwe-sum/b16/n16", "rlwe-sum/b8/n16"].map(|name| measured_lines(preset(name), kernel));
    plain + &measured.concat()
}

/// After a deliberate change of the format: `FEDSHIELD_WRITE_VECTORS=1 cargo test -p fedshield-he
/// known_answer` writes the file anew, and fails, so that nobody takes it for a check.
#[test]
fn every_stage_gives_its_known_answer() {
    if std::env::var_os("FEDSHIELD_WRITE_VECTORS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/rlwe-sum.txt");
        std::fs::write(path, all_lines(Kernel::SCALAR)).unwrap();
        panic!("{path} is written anew: look at what changed, and run again without the variable");
    }
    for kernel in Kernel::available() {
        let found = all_lines(kernel);
        for (found, known) in found.lines().zip(VECTORS.lines()) {
            assert_eq!(found, known, "{kernel:?}");
        }
        assert_eq!(found.lines().count(), VECTORS.lines().count());
    }
}

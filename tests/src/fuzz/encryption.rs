//! Decoders of the encryption.

use std::sync::LazyLock;

use fedshield_he::{
    Combined, ContributorSet, OpenedKey, PartialDecryption, Preimage, Preset, RoundContext,
    SealingKeyPair, SealingPublicKey, ShareCommitment, SumShape, aggregate, check_ciphertext,
    check_preimage, combine, deal, decrypt_to_vec, encrypt, open_share, partial_decrypt,
    seal_share,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Target;

const MEMBERS: u16 = 4;
const THRESHOLD: u16 = 3;
const VALUES: u64 = 10;

/// A round of one contributor: the decoders check what they read against it, and its objects are seeds.
struct Round {
    context: RoundContext,
    set: ContributorSet,
    keys: SealingKeyPair,
    commitment: ShareCommitment,
    combined: Combined,
    ciphertext: Vec<u8>,
    preimage: Vec<u8>,
    sealed: Vec<u8>,
    answer: Vec<u8>,
    sum: Vec<u8>,
}

static ROUND: LazyLock<Round> = LazyLock::new(|| {
    // The ring of 512 coefficients: the same decoders, with inputs that a fuzzer can grasp.
    let preset = Preset::by_name("INSECURE-rlwe-sum/b16/n16").expect("there is such a preset");
    let context = RoundContext::new([7; 32], 3, preset);
    let mut rng = ChaCha8Rng::from_seed([5; 32]);
    let values = [0.25; VALUES as usize];
    let update = fedshield_he::Update { values: &values, scale: 300.0, nonce: &[9; 32] };
    let mut ciphertext = Vec::new();
    let (key, _) =
        encrypt(&context, 1, &update, &mut rng, &mut ciphertext).expect("the update is valid");
    let dealing = deal(&context, 1, (THRESHOLD, MEMBERS), &key, &[4; 32], &mut rng)
        .expect("the numbers are valid");
    let commitment = dealing.commitment;
    let set = ContributorSet::new(&context, 1, [(1, commitment.digest(&context))])
        .expect("the set is valid");
    let keys = SealingKeyPair::from_secret(&[6; 32]);
    let sealed = seal_share(&context, &commitment, &dealing.preimages[1], keys.public(), &mut rng)
        .expect("the key is valid");
    let inputs = [(1, ciphertext.as_slice())];
    let mut sum = Vec::new();
    aggregate(&context, &set, VALUES, inputs, &mut sum).expect("the ciphertext is valid");
    let answers: Vec<PartialDecryption> = (1..=THRESHOLD)
        .zip(&dealing.preimages)
        .map(|(member, preimage)| {
            let share = preimage.check(&context, &commitment).expect("the share is valid");
            partial_decrypt(&context, &set, member, &[share]).expect("an answer")
        })
        .collect();
    let shape = SumShape::full(preset, 1, VALUES);
    let combined =
        combine(&context, &set, (THRESHOLD, 1), &answers, shape, sum.as_slice(), |_| Ok(()))
            .expect("the answers are valid");
    Round {
        preimage: dealing.preimages[1].to_bytes(&context).to_vec(),
        answer: answers[1].to_bytes(&context),
        context,
        set,
        keys,
        commitment,
        combined,
        ciphertext,
        sealed,
        sum,
    }
});

pub(super) fn targets() -> Vec<Target> {
    let round = &*ROUND;
    vec![
        Target {
            name: "ciphertext",
            seeds: vec![round.ciphertext.clone()],
            run: |b| drop(check_ciphertext(&ROUND.context, 1, VALUES, b)),
        },
        Target {
            name: "aggregate",
            seeds: vec![round.sum.clone()],
            run: |b| {
                let Round { context, set, combined, .. } = &*ROUND;
                let shape = SumShape::full(context.preset(), 1, VALUES);
                drop(decrypt_to_vec(context, set, &combined.key, shape, b));
            },
        },
        Target {
            name: "published_shares",
            seeds: vec![round.commitment.to_bytes(&round.context)],
            run: |b| drop(ShareCommitment::from_bytes(&ROUND.context, 1, (THRESHOLD, MEMBERS), b)),
        },
        Target {
            name: "share",
            seeds: vec![round.preimage.clone()],
            run: |b| {
                drop(Preimage::from_bytes(&ROUND.context, 1, 2, b));
                drop(check_preimage(&ROUND.context, &ROUND.commitment, 2, b));
            },
        },
        Target {
            name: "sealed_share",
            seeds: vec![round.sealed.clone()],
            run: |b| drop(open_share(&ROUND.context, &ROUND.commitment, 2, &ROUND.keys, b)),
        },
        Target {
            name: "partial_decryption",
            seeds: vec![round.answer.clone()],
            run: |b| drop(PartialDecryption::from_bytes(&ROUND.context, 2, &ROUND.set, b)),
        },
        Target {
            name: "opened_key",
            seeds: vec![round.combined.key.to_bytes(&round.context, &round.set)],
            run: |b| drop(OpenedKey::from_bytes(&ROUND.context, &ROUND.set, b)),
        },
        Target {
            name: "sealing_key",
            seeds: vec![round.keys.public().to_bytes()],
            run: |b| drop(SealingPublicKey::from_bytes(1, b)),
        },
    ]
}

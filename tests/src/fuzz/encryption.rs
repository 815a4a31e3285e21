//! Decoders of the encryption.

use std::sync::LazyLock;

use fedshield_he::{
    CiphertextDigest, CombinedSum, ContributorSet, OpenedKey, PartialDecryption, Preset,
    RobustSharing, RoundContext, SealingKeyPair, SealingPublicKey, ShareCommitment, ShareIndex,
    ShareOpening, Sharing, SumShape, aggregate, check_ciphertext, combine, decrypt, encrypt,
    open_share, partial_decrypt, seal_share, share,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Target;

const VALUES: u64 = 10;
const ONE: ShareIndex = ShareIndex::from_position(0);
const TWO: ShareIndex = ShareIndex::from_position(1);

/// Any three of four members open a sum; one of them may be faulty.
fn sharing() -> RobustSharing {
    let sharing = Sharing::new(3, 4).expect("the numbers are valid");
    RobustSharing::new(sharing, 1).expect("the numbers are valid")
}

/// A round of one contributor: decoders check their input against it, and its objects are seeds.
struct Round {
    context: RoundContext,
    set: ContributorSet,
    keys: SealingKeyPair,
    commitment: ShareCommitment,
    combined: CombinedSum,
    ciphertext: Vec<u8>,
    opening: Vec<u8>,
    sealed: Vec<u8>,
    answer: Vec<u8>,
    sum: Vec<u8>,
}

static ROUND: LazyLock<Round> = LazyLock::new(|| {
    // The ring of degree 512: the same decoders, with inputs short enough for a fuzzer.
    let preset = Preset::by_name("INSECURE-rlwe-sum/b16/n16").expect("there is such a preset");
    let context = RoundContext::new([7; 32], 3, preset);
    let mut rng = ChaCha8Rng::from_seed([5; 32]);
    let values = [0.25; VALUES as usize];
    let update =
        fedshield_he::Update { values: &values, scale: 300.0, nonce: &[9; 32], measurement: None };
    let mut ciphertext = Vec::new();
    let (key, _) =
        encrypt(&context, ONE, &update, &mut rng, &mut ciphertext).expect("the update is valid");
    let digest = CiphertextDigest::new([4; 32]);
    let (commitment, package) = share(&context, ONE, sharing().sharing(), &key, digest, &mut rng)
        .expect("the numbers are valid");
    let set = ContributorSet::new(&context, 1, [(ONE, commitment.id(&context))])
        .expect("the set is valid");
    let keys = SealingKeyPair::from_secret(&[6; 32]);
    let of_two = &package.openings()[1];
    let sealed = seal_share(&context, &commitment, of_two, keys.public(), &mut rng)
        .expect("the key is valid");
    let inputs = [(ONE, ciphertext.as_slice())];
    let mut sum = Vec::new();
    aggregate(&context, &set, VALUES, inputs, &mut sum).expect("the ciphertext is valid");
    let answers: Vec<PartialDecryption> = package.openings()[..3]
        .iter()
        .map(|opening| {
            let share = opening.verify(&context, &commitment).expect("the share is valid");
            partial_decrypt(&context, &set, opening.receiver(), &[share]).expect("an answer")
        })
        .collect();
    let shape = SumShape::full(preset, 1, VALUES);
    let combined = combine(&context, &set, sharing(), &answers, shape, sum.as_slice(), |_| Ok(()))
        .expect("the answers are valid");
    Round {
        opening: of_two.to_bytes(&context).to_vec(),
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
            run: |b| drop(check_ciphertext(&ROUND.context, ONE, VALUES, b)),
        },
        Target {
            name: "aggregate",
            seeds: vec![round.sum.clone()],
            run: |b| {
                let Round { context, set, combined, .. } = &*ROUND;
                let shape = SumShape::full(context.preset(), 1, VALUES);
                drop(decrypt(context, set, &combined.key, shape, b, |_| Ok(())));
            },
        },
        Target {
            name: "published_shares",
            seeds: vec![round.commitment.to_bytes(&round.context)],
            run: |b| drop(ShareCommitment::from_bytes(&ROUND.context, ONE, sharing().sharing(), b)),
        },
        Target {
            name: "share",
            seeds: vec![round.opening.clone()],
            run: |b| {
                let Round { context, commitment, .. } = &*ROUND;
                drop(
                    ShareOpening::from_bytes(context, commitment, TWO, b)
                        .and_then(|opening| opening.verify(context, commitment)),
                );
            },
        },
        Target {
            name: "sealed_share",
            seeds: vec![round.sealed.clone()],
            run: |b| drop(open_share(&ROUND.context, &ROUND.commitment, TWO, &ROUND.keys, b)),
        },
        Target {
            name: "partial_decryption",
            seeds: vec![round.answer.clone()],
            run: |b| drop(PartialDecryption::from_bytes(&ROUND.context, TWO, ROUND.set.id(), b)),
        },
        Target {
            name: "opened_key",
            seeds: vec![round.combined.key.to_bytes(&round.context, &round.set)],
            run: |b| drop(OpenedKey::from_bytes(&ROUND.context, &ROUND.set, b)),
        },
        Target {
            name: "sealing_key",
            seeds: vec![round.keys.public().to_bytes()],
            run: |b| drop(SealingPublicKey::from_bytes(ONE, b)),
        },
    ]
}

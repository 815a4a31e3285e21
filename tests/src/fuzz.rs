//! One function for every decoder of remote or stored bytes. They must return, whatever the bytes are.
//!
//! `tests/fuzz_smoke.rs` feeds them random and mutated bytes; a coverage-guided fuzzer can call the same functions.

use fedshield_he::{
    ContributorSet, OpenedKey, PartialDecryption, Preimage, Preset, RoundContext, SealingPublicKey,
    ShareCommitment, check_ciphertext, deal, encrypt,
};
use fedshield_protocol::evidence::Evidence;
use fedshield_protocol::journal::Entry;
use fedshield_protocol::ledger;
use fedshield_protocol::manifest::SignedManifest;
use fedshield_protocol::message::Signed;
use fedshield_train::federated::{GlobalAdapter, LocalMemory};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A decoder under test.
pub struct Target {
    /// Its name in messages.
    pub name: &'static str,
    /// Valid inputs to start from.
    pub seeds: Vec<Vec<u8>>,
    /// Decodes and forgets.
    pub run: fn(&[u8]),
}

const MEMBERS: u16 = 4;
const THRESHOLD: u16 = 3;
const VALUES: usize = 10;

fn context() -> RoundContext {
    let preset = Preset::for_federation(16, MEMBERS).expect("there is a preset for four members");
    RoundContext::new([7; 32], 3, preset)
}

fn set(context: &RoundContext) -> ContributorSet {
    ContributorSet::new(context, 1, [(1, [1; 32]), (2, [2; 32])]).expect("the set is valid")
}

/// Valid objects of the encryption: ciphertext, published shares, one share.
fn encrypted() -> [Vec<u8>; 3] {
    let context = context();
    let mut rng = ChaCha8Rng::from_seed([5; 32]);
    let update =
        fedshield_he::Update { values: &[0.25; VALUES], scale: 100.0, weight: 3, nonce: &[9; 32] };
    let mut ciphertext = Vec::new();
    let (key, _) =
        encrypt(&context, 1, &update, &mut rng, &mut ciphertext).expect("the update is valid");
    let dealing = deal(&context, 1, (THRESHOLD, MEMBERS), &key, &[4; 32], &mut rng)
        .expect("the numbers are valid");
    let share = dealing.preimages[1].to_bytes(&context).to_vec();
    [ciphertext, dealing.commitment.to_bytes(&context), share]
}

/// All decoders.
pub fn targets() -> Vec<Target> {
    let [ciphertext, shares, share] = encrypted();
    let ledger = ledger::encode(&[]).expect("an empty ledger can be written");
    vec![
        Target { name: "message", seeds: vec![vec![1; 200]], run: |b| drop(Signed::decode(b)) },
        Target {
            name: "manifest",
            seeds: vec![vec![1; 300]],
            run: |b| drop(SignedManifest::decode(b)),
        },
        Target {
            name: "journal entry",
            seeds: vec![vec![1; 100]],
            run: |b| drop(Entry::decode(b)),
        },
        Target { name: "evidence", seeds: vec![vec![1; 100]], run: |b| drop(Evidence::decode(b)) },
        Target { name: "ledger", seeds: vec![ledger], run: |b| drop(ledger::decode(b)) },
        Target {
            name: "ciphertext",
            seeds: vec![ciphertext],
            run: |b| drop(check_ciphertext(&context(), 1, VALUES as u64, b)),
        },
        Target {
            name: "published shares",
            seeds: vec![shares],
            run: |b| drop(ShareCommitment::from_bytes(&context(), 1, (THRESHOLD, MEMBERS), b)),
        },
        Target {
            name: "share",
            seeds: vec![share],
            run: |b| drop(Preimage::from_bytes(&context(), 1, 2, b)),
        },
        Target {
            name: "partial decryption",
            seeds: vec![vec![0; 8300]],
            run: |b| {
                let context = context();
                drop(PartialDecryption::from_bytes(&context, 2, &set(&context), b));
            },
        },
        Target {
            name: "opened key",
            seeds: vec![vec![0; 8300]],
            run: |b| {
                let context = context();
                drop(OpenedKey::from_bytes(&context, &set(&context), b));
            },
        },
        Target {
            name: "sealing key",
            seeds: vec![vec![3; fedshield_he::SEALING_PUBLIC_LEN]],
            run: |b| drop(SealingPublicKey::from_bytes(1, b)),
        },
        Target {
            name: "adapter",
            seeds: vec![b"FSADAPT1".to_vec()],
            run: |b| drop(GlobalAdapter::from_bytes(b)),
        },
        Target {
            name: "local memory",
            seeds: vec![b"FSLOCAL1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec()],
            run: |b| drop(LocalMemory::from_bytes(b)),
        },
        Target {
            name: "invite",
            seeds: vec![b"fs1qqqqqqqqqqqq".to_vec()],
            run: |b| drop(String::from_utf8_lossy(b).parse::<fedshieldd::founding::Invite>()),
        },
    ]
}

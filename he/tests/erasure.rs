//! No freed block of the heap holds a secret: an allocator looks into every block that is given
//! back.

#![allow(unsafe_code, reason = "an allocator is unsafe by its trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use chacha20::ChaCha20Rng;
use fedshield_he::*;
use rand_core::{Rng, SeedableRng};

/// Looks for the needle in what is freed.
struct Watching;

static ACTIVE: AtomicBool = AtomicBool::new(false);
static FOUND: AtomicUsize = AtomicUsize::new(0);
static NEEDLE: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
/// The needle is one for the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

// SAFETY: every call goes to the system's allocator as it came; a block is read before it is freed,
// within its size, and byte by byte. (Bytes that were never written read as whatever they are: no
// more than a false alarm could come of it.)
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised. Zeroed, so that every byte of a block has been written.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if ACTIVE.load(Ordering::SeqCst) && layout.size() >= 32 {
            // SAFETY: the block is alive until the next line and has this size.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            let mut needle = [0; 32];
            for (part, word) in needle.chunks_exact_mut(8).zip(&NEEDLE) {
                part.copy_from_slice(&word.load(Ordering::SeqCst).to_le_bytes());
            }
            let hits = bytes.windows(32).step_by(2).filter(|window| *window == needle).count();
            FOUND.fetch_add(hits, Ordering::SeqCst);
        }
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// How often the needle stood in memory that `work` freed.
fn freed(needle: &[u8; 32], work: impl FnOnce()) -> usize {
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for (word, part) in NEEDLE.iter().zip(needle.chunks_exact(8)) {
        word.store(usize::from_le_bytes(part.try_into().unwrap()), Ordering::SeqCst);
    }
    FOUND.store(0, Ordering::SeqCst);
    ACTIVE.store(true, Ordering::SeqCst);
    work();
    ACTIVE.store(false, Ordering::SeqCst);
    drop(guard);
    FOUND.load(Ordering::SeqCst)
}

const FIRST: ShareIndex = ShareIndex::from_position(0);
const FILE: CiphertextDigest = CiphertextDigest::new([3; 32]);

fn context() -> RoundContext {
    RoundContext::new([7; 32], 1, Preset::by_name("INSECURE-rlwe-sum/b16/n16").unwrap())
}

#[test]
fn the_watch_sees_what_is_not_erased() {
    let needle = [0x5a; 32];
    assert!(freed(&needle, || drop(vec![0x5au8; 100])) > 0);
    assert_eq!(freed(&needle, || drop(vec![0x5bu8; 100])), 0);
}

#[test]
fn openings_shares_and_their_sealing_leave_nothing_behind() {
    let context = context();
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let update = Update { values: &[1.0; 9], scale: 1.0, nonce: &[2; 32], measurement: None };
    let (key, _) = encrypt(&context, FIRST, &update, &mut rng, &mut Vec::new()).unwrap();
    let sharing = Sharing::new(2, 3).unwrap();
    let (commitment, package) = share(&context, FIRST, sharing, &key, FILE, &mut rng).unwrap();
    let receiver = ShareIndex::from_position(1);
    let bytes = package.opening_for(receiver).unwrap().to_bytes(&context);
    // Header, receiver and salt come first; these are values of the share.
    let needle: [u8; 32] = bytes[24 + 2 + 32..][..32].try_into().unwrap();
    let keys = SealingKeyPair::generate(&mut rng);
    let found = freed(&needle, || {
        let read = ShareOpening::from_bytes(&context, &commitment, receiver, &bytes).unwrap();
        drop(read.verify(&context, &commitment).unwrap());
        let sealed = seal_share(&context, &commitment, &read, keys.public(), &mut rng).unwrap();
        drop(read);
        drop(open_share(&context, &commitment, receiver, &keys, &sealed).unwrap());
        drop(share(&context, FIRST, sharing, &key, FILE, &mut rng).unwrap());
    });
    assert_eq!(found, 0);
}

#[test]
fn a_secret_package_and_a_sealing_secret_are_erased() {
    let context = context();
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    let update = Update { values: &[1.0; 9], scale: 1.0, nonce: &[2; 32], measurement: None };
    let (key, _) = encrypt(&context, FIRST, &update, &mut rng, &mut Vec::new()).unwrap();
    // The same randomness deals the same shares: what they are is known before they are watched.
    let dealt = || {
        let mut rng = ChaCha20Rng::from_seed([5; 32]);
        share(&context, FIRST, Sharing::new(2, 3).unwrap(), &key, FILE, &mut rng).unwrap()
    };
    let bytes = dealt().1.openings()[2].to_bytes(&context);
    let needle: [u8; 32] = bytes[24 + 2 + 32..][..32].try_into().unwrap();
    assert_eq!(freed(&needle, || drop(dealt())), 0);
    let secret = [0x6b; 32];
    assert_eq!(freed(&secret, || drop(Box::new(SealingKeyPair::from_secret(&secret)))), 0);
}

/// Whoever reads a seed draws the same secrets: the generator's state is erased, and what it drew
/// ahead.
#[test]
fn a_generator_is_erased() {
    let seed = [0x3c; 32];
    assert_eq!(freed(&seed, || drop(Box::new(ChaCha20Rng::from_seed(seed)))), 0);
    let drawn = || {
        let mut rng = Box::new(ChaCha20Rng::from_seed(seed));
        rng.next_u32();
        rng
    };
    let mut ahead = [0; 32];
    let mut rng = drawn();
    (0..7).for_each(|_| {
        rng.next_u32();
    });
    rng.fill_bytes(&mut ahead);
    assert_eq!(freed(&ahead, || drop(drawn())), 0);
}

#[test]
fn messages_of_an_encryption_are_erased() {
    let context = context();
    let mut rng = ChaCha20Rng::from_seed([6; 32]);
    let values = vec![77.0f32; 1024 - 32];
    let update = Update { values: &values, scale: 1.0, nonce: &[2; 32], measurement: None };
    // Two slots of 20 bits with the offset 2^15: every message of a block of equal whole numbers is
    // this word.
    let slot = 77u64 + (1 << 15);
    let word = (slot << 20 | slot).to_le_bytes();
    let needle: [u8; 32] = word.repeat(4).try_into().unwrap();
    let mut file = Vec::with_capacity(100_000);
    let found = freed(&needle, || {
        drop(encrypt(&context, FIRST, &update, &mut rng, &mut file).unwrap());
    });
    assert_eq!(found, 0);
}

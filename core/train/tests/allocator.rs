//! The allocator of the programs: blocks keep their content when they grow and shrink over the
//! limit between small and large ones, and threads that tokenise do not wait for each other.
//!
//! Without the test harness, because how memory is freed is set before a program starts threads.

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use fedshield_train::Allocator;
use fedshield_train::load::open_tokenizer;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// As many waits for each thread are the scheduler's and the loader's own affair.
const MOST_WAITS: u64 = 50;

fn main() {
    fedshield_train::reuse_freed_memory();
    blocks_keep_their_content_over_every_change_of_size();
    threads_that_tokenise_do_not_wait_for_each_other();
}

/// A byte that depends on its place, so that a block moved wrongly is noticed.
fn byte(at: usize) -> u8 {
    (at * 131 + at / 251) as u8
}

fn blocks_keep_their_content_over_every_change_of_size() {
    let sizes = [1, 100, 16 << 10, (16 << 10) + 1, 1 << 20, 40_000, 16_383, 3, 0, 70_000, 2];
    let mut block: Vec<u8> = Vec::new();
    for (step, size) in sizes.into_iter().enumerate() {
        let kept = block.len().min(size);
        block.truncate(size);
        block.shrink_to_fit();
        block.reserve_exact(size - kept);
        assert!((0..kept).all(|at| block[at] == byte(at)), "step {step}: {size} bytes");
        block.extend((kept..size).map(byte));
    }
    for size in [10, 16 << 10, (16 << 10) + 1, 3 << 20] {
        assert!(vec![0u8; size].iter().all(|byte| *byte == 0), "{size} bytes are not all zero");
    }
    #[repr(align(4096))]
    struct Page([u8; 4096]);
    let pages: Vec<Page> = (0..9).map(|page| Page([page; 4096])).collect();
    for (page, expected) in pages.iter().zip(0..) {
        assert_eq!(std::ptr::from_ref(page).addr() % 4096, 0);
        assert_eq!(page.0, [expected; 4096]);
    }
}

/// How often this thread has waited so far; 0 where the system does not say.
fn waits() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.map_or(0, |count| count.trim().parse().unwrap())
}

fn threads_that_tokenise_do_not_wait_for_each_other() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/base");
    let tokenizer = open_tokenizer(&model).unwrap();
    let text = "The river rose over the low dam and the mill stood still. ".repeat(60);
    let begin = Barrier::new(4);
    let work = || {
        begin.wait();
        let before = waits();
        for _ in 0..200 {
            assert!(tokenizer.encode_first(&text, 4096).unwrap().len() > 700);
        }
        waits() - before
    };
    let waited: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let is_calm = waited.iter().all(|waits| *waits <= MOST_WAITS);
    assert!(is_calm, "waits of each thread: {waited:?}");
}

//! The allocator of the project's programs.

use std::alloc::{GlobalAlloc, Layout, System};

use mimalloc::MiMalloc;

/// Size in bytes up to which a block is small; mimalloc's own limit for small blocks.
const SMALL_BYTES: usize = 16 << 10;

/// Allocates small blocks with mimalloc, whose threads share no lock, and large ones with the
/// system's allocator, which keeps them for the next training step (see
/// [`reuse_freed_memory`](super::reuse_freed_memory)).
///
/// A tokenizer allocates about a dozen small blocks for each word. In the one heap that training
/// needs, two threads that tokenise wait for each other longer than they work.
///
/// Programs name it as their `#[global_allocator]`.
pub struct Allocator;

fn is_small(bytes: usize) -> bool {
    bytes <= SMALL_BYTES
}

#[expect(unsafe_code, reason = "the trait of allocators is unsafe; see the safety arguments")]
// SAFETY: the size of a block decides where it comes from. Callers return a block with the layout
// that they requested it with, so it goes back there.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the contract is the same, and the caller keeps it.
        unsafe {
            match is_small(layout.size()) {
                true => MiMalloc.alloc(layout),
                false => System.alloc(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for `alloc`.
        unsafe {
            match is_small(layout.size()) {
                true => MiMalloc.alloc_zeroed(layout),
                false => System.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block comes from the allocator that its size names.
        unsafe {
            match is_small(layout.size()) {
                true => MiMalloc.dealloc(block, layout),
                false => System.dealloc(block, layout),
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: within one allocator, as for `dealloc`. Between the two, the caller guarantees
        // that `new_size` makes a valid layout, and the new block does not overlap the old one.
        unsafe {
            match (is_small(layout.size()), is_small(new_size)) {
                (true, true) => MiMalloc.realloc(block, layout, new_size),
                (false, false) => System.realloc(block, layout, new_size),
                _ => {
                    let new_layout = Layout::from_size_align_unchecked(new_size, layout.align());
                    let moved = self.alloc(new_layout);
                    if !moved.is_null() {
                        let kept = layout.size().min(new_size);
                        std::ptr::copy_nonoverlapping(block, moved, kept);
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}

//! How freed memory is kept. A training step allocates and frees the same large blocks again and
//! again; glibc returns each to the system and gets it back page by page, which costs a tenth of a
//! step (`docs/benchmarks/training`).

mod allocator;

pub use allocator::Allocator;

/// Tells glibc to keep freed blocks of any size in one heap and reuse them, for the whole process.
/// Call it once, before threads are started. On other systems it does nothing.
pub fn reuse_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::reuse();
}

/// Guard for work that allocates much. When it is dropped, free memory is returned to the system.
pub(crate) struct LargeWork;

impl Drop for LargeWork {
    fn drop(&mut self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        glibc::trim();
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "calls into libc; see the safety arguments")]
mod glibc {
    use std::sync::atomic::{AtomicBool, Ordering};

    static REUSING: AtomicBool = AtomicBool::new(false);

    pub(super) fn reuse() {
        let options = [
            // Never map a block separately: it would be unmapped as soon as it is freed.
            (libc::M_MMAP_MAX, 0),
            // Keep any amount of free memory at the end of the heap, and grow it in large steps.
            (libc::M_TRIM_THRESHOLD, -1),
            (libc::M_TOP_PAD, 64 << 20),
            // Use one heap: those of other threads cannot hold large blocks.
            (libc::M_ARENA_MAX, 1),
        ];
        for (option, value) in options {
            // SAFETY: mallopt only changes parameters of the allocator, under its own lock.
            unsafe { libc::mallopt(option, value) };
        }
        REUSING.store(true, Ordering::Relaxed);
    }

    pub(super) fn trim() {
        if REUSING.load(Ordering::Relaxed) {
            // SAFETY: malloc_trim only returns pages that no allocation uses.
            unsafe { libc::malloc_trim(0) };
        }
    }
}

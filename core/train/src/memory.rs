//! How freed memory is kept. A training step allocates and frees the same large blocks again and again; glibc gives each
//! back to the system and gets it again page by page, which costs a tenth of a step (`docs/benchmarks/training`).

/// Tells glibc to keep freed blocks of any size in one heap and use them again, for the whole process. Call it once, before
/// threads are started. Elsewhere it does nothing.
pub fn reuse_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::reuse();
}

/// Work that allocates much. When it is over, however it ends, what is free goes back to the system.
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
            // Never map a block of its own: that is unmapped as soon as it is freed.
            (libc::M_MMAP_MAX, 0),
            // Keep what is free at the end of the heap, however much, and grow it in large steps.
            (libc::M_TRIM_THRESHOLD, -1),
            (libc::M_TOP_PAD, 64 << 20),
            // One heap: those of other threads cannot hold large blocks.
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

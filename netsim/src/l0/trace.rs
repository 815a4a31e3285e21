//! A hash over everything that happens in a run: the same seed gives the same trace.

use super::fast_hash::FastHash;

/// The hash of the trace so far.
#[derive(Default)]
pub(super) struct Trace(FastHash);

impl Trace {
    pub(super) fn note(&mut self, now: u64, node: usize, what: &str, bytes: &[u8]) {
        self.0.number(now);
        self.0.number(node as u64);
        self.0.bytes(what.as_bytes());
        self.0.bytes(bytes);
    }

    /// The hash so far, as 16 hexadecimal digits.
    pub(super) fn text(&self) -> String {
        format!("{:016x}", self.0.finish())
    }
}

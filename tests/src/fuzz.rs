//! One function for every decoder of remote or stored bytes. They must return, whatever the input.
//!
//! `tests/tests/fuzz_smoke.rs` feeds them random and mutated bytes; `tests/fuzz` runs the same
//! functions under a coverage-guided fuzzer (it takes the modules below by their paths, to build
//! without what it does not fuzz).

mod encryption;
mod member;
mod protocol;

/// A decoder under test.
pub struct Target {
    /// Its name in messages, and that of the fuzzer's program for it.
    pub name: &'static str,
    /// Valid inputs to start from.
    pub seeds: Vec<Vec<u8>>,
    /// Decodes the input and discards the result.
    pub run: fn(&[u8]),
}

/// All decoders.
pub fn targets() -> Vec<Target> {
    [protocol::targets(), encryption::targets(), member::targets()].into_iter().flatten().collect()
}

//! The operating system's random generator, and the one error for its failure.

use fedshield_protocol::wire::Nonce;
use zeroize::Zeroizing;

/// A ChaCha20 generator seeded by the operating system. Its state and its buffered output are
/// erased on drop.
pub(crate) type OsRandom = chacha20::ChaCha20Rng;

/// The operating system gives no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no randomness: {0}")]
pub struct RandomnessError(#[from] getrandom::Error);

/// Fills `bytes` from the operating system.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), RandomnessError> {
    Ok(getrandom::fill(bytes)?)
}

/// A number used once, see [`Event::Boot`](fedshield_protocol::event::Event::Boot).
pub(crate) fn nonce() -> Result<Nonce, RandomnessError> {
    let mut nonce = Nonce::default();
    fill(&mut nonce)?;
    Ok(nonce)
}

/// A freshly seeded generator, for libraries that cannot report a failure of the operating system:
/// it is reported here.
pub(crate) fn os_random() -> Result<OsRandom, RandomnessError> {
    let mut seed = Zeroizing::new([0u8; 32]);
    fill(seed.as_mut_slice())?;
    Ok(rand::SeedableRng::from_seed(*seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only for a generator that erases itself on drop; `he/tests/erasure.rs` inspects its
    /// memory.
    #[test]
    fn the_generator_erases_itself() {
        const fn erased<T: zeroize::ZeroizeOnDrop>() {}
        erased::<OsRandom>();
    }
}

//! The operating system's randomness for libraries that cannot report its failure.

use fedshield_protocol::wire::Nonce;
use zeroize::Zeroizing;

/// A ChaCha20 generator seeded by the operating system. Its state and what it drew ahead are erased on drop.
pub(crate) type OsRandom = chacha20::ChaCha20Rng;

/// A number used once, see [`Event::Boot`](fedshield_protocol::event::Event::Boot).
pub(crate) fn nonce() -> Result<Nonce, String> {
    let mut nonce = Nonce::default();
    getrandom::fill(&mut nonce).map_err(|e| e.to_string())?;
    Ok(nonce)
}

/// A fresh generator; the failure of the operating system's randomness is reported in this file and nowhere else.
pub(crate) fn os_random() -> Result<OsRandom, String> {
    let mut seed = Zeroizing::new([0u8; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|e| e.to_string())?;
    Ok(rand::SeedableRng::from_seed(*seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only for a generator that erases itself; `he/tests/erasure.rs` looks into its memory.
    #[test]
    fn the_generator_erases_itself() {
        const fn erased<T: zeroize::ZeroizeOnDrop>() {}
        erased::<OsRandom>();
    }
}

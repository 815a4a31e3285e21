//! Random streams: ChaCha under a 32-byte key, one stream per block.
//!
//! Stream `block` of a key is the ChaCha keystream (RFC 8439: 96-bit nonce, 32-bit counter from 0)
//! with the nonce `block` as eight little-endian bytes followed by four zero bytes. Words are
//! little-endian. Errors and keys use 20 rounds. The common polynomials and the rounding use 8: the
//! former are public, and need only look uniform; the latter hides nothing.

use bytemuck::cast_slice_mut;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use chacha20::{ChaCha8, ChaCha20};

fn nonce(block: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&block.to_le_bytes());
    nonce
}

/// The 20-round stream of a secret key.
pub(crate) fn fill_secret(key: &[u8; 32], block: u64, words: &mut [u64]) {
    ChaCha20::new(key.into(), &nonce(block).into()).write_keystream(cast_slice_mut(words));
    words.iter_mut().for_each(|w| *w = u64::from_le(*w));
}

/// The 8-round stream of a key, as 16-bit words.
pub(crate) fn fill_rounding(key: &[u8; 32], block: u64, words: &mut [u16]) {
    ChaCha8::new(key.into(), &nonce(block).into()).write_keystream(cast_slice_mut(words));
    words.iter_mut().for_each(|w| *w = u16::from_le(*w));
}

/// The 8-round stream of a key, to be read in parts.
pub(crate) struct PublicStream(ChaCha8);

impl PublicStream {
    pub(crate) fn new(key: &[u8; 32], block: u64) -> Self {
        Self(ChaCha8::new(key.into(), &nonce(block).into()))
    }

    pub(crate) fn fill(&mut self, words: &mut [u64]) {
        self.0.write_keystream(cast_slice_mut(words));
        words.iter_mut().for_each(|w| *w = u64::from_le(*w));
    }
}

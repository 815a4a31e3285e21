//! Numbers used once.

/// Fresh from the system's randomness: 32 bytes.
pub type Nonce = [u8; 32];

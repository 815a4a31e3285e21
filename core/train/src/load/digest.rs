//! The digest that identifies a base model: equal files give equal digests on every machine.

/// BLAKE3 over named parts, each preceded by its name and length.
pub(crate) struct BaseDigest {
    hasher: blake3::Hasher,
}

impl BaseDigest {
    pub(crate) fn new() -> Self {
        Self { hasher: blake3::Hasher::new_derive_key("fedshield-train v1 base model") }
    }

    pub(crate) fn part(&mut self, name: &str, bytes: &[u8]) {
        self.hasher.update(&(name.len() as u64).to_le_bytes());
        self.hasher.update(name.as_bytes());
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        // Weights are large: let BLAKE3 use all cores for them.
        if bytes.len() > 1 << 17 {
            self.hasher.update_rayon(bytes);
        } else {
            self.hasher.update(bytes);
        }
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

//! Content addressing: an object is bytes in chunks, named by the root over its chunks' digests.
//!
//! `chunk digest = H(chunk, index || bytes)`, `root = H(object, length || chunk digests)`. A holder
//! proves a chunk by giving the list of chunk digests once; 1 GiB needs a list of 32 KiB.

use serde::{Deserialize, Serialize};

use crate::hash::Use;
use crate::ids::Digest;
use crate::limits::MAX_OBJECT_BYTES;

/// Bytes in every chunk but the last.
pub const CHUNK_SIZE_BYTES: usize = 1 << 20;

/// The name of an object: what to ask for and how much to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Root over the chunk digests.
    pub root: Digest,
    /// Length in bytes.
    pub length: u64,
}

/// Why bytes are not the object that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Longer than [`MAX_OBJECT_BYTES`].
    #[error("object of {length} bytes is over the limit of {MAX_OBJECT_BYTES}")]
    TooLarge {
        /// The claimed length in bytes.
        length: u64,
    },
    /// The list of chunk digests does not hash to the root.
    #[error("the chunk list does not match root {root:?}")]
    WrongList {
        /// The root that was asked for.
        root: Digest,
    },
    /// A chunk's bytes do not hash to its digest, or have the wrong length.
    #[error("chunk {index} does not match its digest")]
    WrongChunk {
        /// Index of the chunk, from 0.
        index: u32,
    },
}

impl ObjectRef {
    /// The object made of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut builder = ObjectBuilder::default();
        builder.update(bytes);
        builder.finish().object
    }

    /// How many chunks it has; an empty object has none.
    #[must_use]
    pub const fn chunk_count(&self) -> u32 {
        // Fits: at most 2^36 / 2^20 = 2^16 chunks once `check_size` has passed; saturates
        // otherwise.
        let count = self.length.div_ceil(CHUNK_SIZE_BYTES as u64);
        if count > u32::MAX as u64 { u32::MAX } else { count as u32 }
    }

    /// Refuses an object over the size limit.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`].
    pub const fn check_size(&self) -> Result<(), ObjectError> {
        if self.length > MAX_OBJECT_BYTES {
            return Err(ObjectError::TooLarge { length: self.length });
        }
        Ok(())
    }

    /// Length in bytes of chunk `index`; 0 past the end.
    #[must_use]
    pub const fn chunk_length(&self, index: u32) -> usize {
        let start = index as u64 * CHUNK_SIZE_BYTES as u64;
        let left = self.length.saturating_sub(start);
        if left < CHUNK_SIZE_BYTES as u64 { left as usize } else { CHUNK_SIZE_BYTES }
    }
}

/// The digests of an object's chunks, checked against its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkList {
    /// The object that the list belongs to.
    pub object: ObjectRef,
    digests: Vec<Digest>,
}

impl ChunkList {
    /// Takes a remote list, if it hashes to the object's root.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`] or [`ObjectError::WrongList`].
    pub fn verify(object: ObjectRef, digests: Vec<Digest>) -> Result<Self, ObjectError> {
        object.check_size()?;
        if digests.len() != object.chunk_count() as usize
            || root_of(object.length, &digests) != object.root
        {
            return Err(ObjectError::WrongList { root: object.root });
        }
        Ok(Self { object, digests })
    }

    /// The digests in order.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// Checks the bytes of chunk `index`.
    ///
    /// # Errors
    /// [`ObjectError::WrongChunk`].
    pub fn check_chunk(&self, index: u32, bytes: &[u8]) -> Result<(), ObjectError> {
        let expected = self.digests.get(index as usize);
        if bytes.len() != self.object.chunk_length(index)
            || expected != Some(&chunk_digest(index, bytes))
        {
            return Err(ObjectError::WrongChunk { index });
        }
        Ok(())
    }
}

/// Builds an object's name while its bytes stream by.
#[derive(Debug, Default)]
pub struct ObjectBuilder {
    digests: Vec<Digest>,
    current: Option<blake3::Hasher>,
    filled: usize,
    length: u64,
}

impl ObjectBuilder {
    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let take = bytes.len().min(CHUNK_SIZE_BYTES - self.filled);
            let (head, tail) = bytes.split_at(take);
            let index = self.digests.len() as u32;
            let hasher = self.current.get_or_insert_with(|| chunk_hasher(index));
            hasher.update(head);
            self.filled += take;
            self.length += take as u64;
            bytes = tail;
            if self.filled == CHUNK_SIZE_BYTES {
                self.close_chunk();
            }
        }
    }

    /// The object's name and chunk list.
    #[must_use]
    pub fn finish(mut self) -> ChunkList {
        self.close_chunk();
        let root = root_of(self.length, &self.digests);
        ChunkList { object: ObjectRef { root, length: self.length }, digests: self.digests }
    }

    fn close_chunk(&mut self) {
        if let Some(hasher) = self.current.take() {
            self.digests.push(Digest(*hasher.finalize().as_bytes()));
        }
        self.filled = 0;
    }
}

impl std::io::Write for ObjectBuilder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn chunk_hasher(index: u32) -> blake3::Hasher {
    let mut hasher = Use::Chunk.hasher();
    hasher.update(&index.to_le_bytes());
    hasher
}

fn chunk_digest(index: u32, bytes: &[u8]) -> Digest {
    let mut hasher = chunk_hasher(index);
    hasher.update(bytes);
    Digest(*hasher.finalize().as_bytes())
}

fn root_of(length: u64, digests: &[Digest]) -> Digest {
    let mut hasher = Use::Object.hasher();
    hasher.update(&length.to_le_bytes());
    for digest in digests {
        hasher.update(digest.as_bytes());
    }
    Digest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_accepted_only_at_its_place() {
        let bytes: Vec<u8> = (0..CHUNK_SIZE_BYTES * 2 + 7).map(|i| (i % 251) as u8).collect();
        let mut builder = ObjectBuilder::default();
        for part in bytes.chunks(1000) {
            builder.update(part);
        }
        let list = builder.finish();
        assert_eq!(list.object, ObjectRef::of(&bytes));
        assert_eq!(list.object.chunk_count(), 3);
        let list = ChunkList::verify(list.object, list.digests().to_vec()).unwrap();
        for (index, chunk) in bytes.chunks(CHUNK_SIZE_BYTES).enumerate() {
            list.check_chunk(index as u32, chunk).unwrap();
            assert!(list.check_chunk(index as u32 + 1, chunk).is_err());
        }
        assert!(list.check_chunk(2, &bytes[..7]).is_err());
    }

    #[test]
    fn a_list_for_another_length_is_refused() {
        let object = ObjectRef::of(b"hello");
        let list = vec![chunk_digest(0, b"hello")];
        assert!(ChunkList::verify(object, list.clone()).is_ok());
        let longer = ObjectRef { length: 6, ..object };
        assert!(ChunkList::verify(longer, list).is_err());
        assert_eq!(ObjectRef::of(b"").chunk_count(), 0);
    }
}

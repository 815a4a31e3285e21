//! The storage of objects, which the daemon implements on its object folder.

use std::io;

use fedshield_protocol::object::{ChunkList, ObjectRef};

/// Storage of objects. All calls may block; the network makes them on threads for blocking work.
pub trait ObjectStore: Send + Sync + 'static {
    /// Whether the complete, verified object is stored.
    ///
    /// # Errors
    /// The error of the disk; the fetch fails.
    fn contains(&self, object: &ObjectRef) -> io::Result<bool>;

    /// The chunk list of a complete object. Each fetching peer requests it once, so it should be
    /// stored beside the object and not be computed each time.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if the object is not stored, or the error of the disk; the peer
    /// gets the answer that the object is not available.
    fn chunk_list(&self, object: &ObjectRef) -> io::Result<ChunkList>;

    /// The bytes of chunk `index` of a complete object, [`ObjectRef::chunk_length`] of them.
    ///
    /// # Errors
    /// As for [`ObjectStore::chunk_list`].
    fn read_chunk(&self, object: &ObjectRef, index: u32) -> io::Result<Vec<u8>>;

    /// Creates a partial object, or opens the one that is stored.
    ///
    /// # Errors
    /// The error of the disk, for instance that it is full; the fetch fails.
    fn resume(&self, list: &ChunkList) -> io::Result<Box<dyn PartialObject>>;
}

/// An object that is being fetched. Dropping it keeps the chunks that were written, for the next
/// [`ObjectStore::resume`].
pub trait PartialObject: Send {
    /// The indices of the chunks that are not stored. Only a chunk whose bytes still match the list
    /// may be left out: the network does not verify again what it wrote before a crash.
    fn missing(&self) -> Vec<u32>;

    /// Writes a verified chunk at the offset `index * CHUNK_SIZE_BYTES`.
    ///
    /// # Errors
    /// The error of the disk; the fetch fails.
    fn write_chunk(&mut self, index: u32, bytes: &[u8]) -> io::Result<()>;

    /// Called when all chunks are written: makes the object durable and visible under its name.
    ///
    /// # Errors
    /// The error of the disk; the fetch fails.
    fn complete(self: Box<Self>) -> io::Result<()>;
}

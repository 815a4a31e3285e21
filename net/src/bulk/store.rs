//! Where objects are kept: the daemon implements this on its object folder.

use std::io;

use fedshield_protocol::object::{ChunkList, ObjectRef};

/// The daemon's object folder, as the network sees it. All calls may block; the network makes them
/// on threads for blocking work.
pub trait ObjectStore: Send + Sync + 'static {
    /// Whether the whole object is there, verified.
    ///
    /// # Errors
    /// Whatever the disk says; the fetch fails.
    fn contains(&self, object: &ObjectRef) -> io::Result<bool>;

    /// The chunk list of a complete object. It is asked for once by each fetching peer, so it
    /// should be kept beside the object and not be computed each time.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if the object is not there, or whatever the disk says; the peer
    /// is told that the object is not available.
    fn chunk_list(&self, object: &ObjectRef) -> io::Result<ChunkList>;

    /// The bytes of chunk `index` of a complete object, [`ObjectRef::chunk_length`] of them.
    ///
    /// # Errors
    /// As for [`ObjectStore::chunk_list`].
    fn read_chunk(&self, object: &ObjectRef, index: u32) -> io::Result<Vec<u8>>;

    /// Starts a partial object or goes on with one that is there.
    ///
    /// # Errors
    /// Whatever the disk says, for instance that it is full; the fetch fails.
    fn resume(&self, list: &ChunkList) -> io::Result<Box<dyn PartialObject>>;
}

/// An object on its way in. Dropping it keeps what was written, for the next
/// [`ObjectStore::resume`].
pub trait PartialObject: Send {
    /// The chunks that are not there yet. Only a chunk whose bytes still match the list may be
    /// left out: the network does not read back what it wrote before a crash.
    fn missing(&self) -> Vec<u32>;

    /// Writes a verified chunk at its place, `index * CHUNK_SIZE_BYTES`.
    ///
    /// # Errors
    /// Whatever the disk says; the fetch fails.
    fn write_chunk(&mut self, index: u32, bytes: &[u8]) -> io::Result<()>;

    /// All chunks are written: makes the object durable and visible under its name.
    ///
    /// # Errors
    /// Whatever the disk says; the fetch fails.
    fn complete(self: Box<Self>) -> io::Result<()>;
}

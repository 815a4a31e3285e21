//! The object folder as the network's chunk store: chunks are served from it and fetched into it.

use std::io;

use fedshield_net::{ObjectStore, PartialObject};
use fedshield_protocol::object::{ChunkList, ObjectRef};

use super::{ObjectStoreError, Objects, PartialFile};
use crate::error_code::ErrorCode;

impl ObjectStore for Objects {
    fn contains(&self, object: &ObjectRef) -> io::Result<bool> {
        Self::contains(self, object).map_err(io_error)
    }

    fn chunk_list(&self, object: &ObjectRef) -> io::Result<ChunkList> {
        Self::chunk_list(self, object).map(|list| (*list).clone()).map_err(io_error)
    }

    fn read_chunk(&self, object: &ObjectRef, index: u32) -> io::Result<Vec<u8>> {
        Self::read_chunk(self, object, index).map_err(io_error)
    }

    fn resume(&self, list: &ChunkList) -> io::Result<Box<dyn PartialObject>> {
        Ok(Box::new(Self::resume(self, list).map_err(io_error)?))
    }
}

impl PartialObject for PartialFile {
    fn missing(&self) -> Vec<u32> {
        Self::missing(self)
    }

    fn write_chunk(&mut self, index: u32, bytes: &[u8]) -> io::Result<()> {
        Self::write_chunk(self, index, bytes).map_err(io_error)
    }

    fn complete(self: Box<Self>) -> io::Result<()> {
        Self::complete(*self).map_err(io_error)
    }
}

/// The network distinguishes a missing object and a full disk from all other errors.
fn io_error(error: ObjectStoreError) -> io::Error {
    let kind = match &error {
        ObjectStoreError::NotFound { .. } => io::ErrorKind::NotFound,
        other if other.code() == ErrorCode::DiskFull => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

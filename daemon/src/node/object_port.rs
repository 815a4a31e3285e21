//! The object folder as the network sees it.

use std::io;
use std::sync::Arc;

use fedshield_net::{ObjectStore, PartialObject};
use fedshield_protocol::object::{ChunkList, ObjectRef};

use crate::error_code::ErrorCode;
use crate::objects::{ObjectStoreError, Objects, PartialFile};

/// The daemon's objects, lent to the network.
pub(super) struct NetObjects(pub(super) Arc<Objects>);

impl ObjectStore for NetObjects {
    fn contains(&self, object: &ObjectRef) -> io::Result<bool> {
        self.0.contains(object).map_err(io_error)
    }

    fn chunk_list(&self, object: &ObjectRef) -> io::Result<ChunkList> {
        self.0.chunk_list(object).map(|list| (*list).clone()).map_err(io_error)
    }

    fn read_chunk(&self, object: &ObjectRef, index: u32) -> io::Result<Vec<u8>> {
        self.0.read_chunk(object, index).map_err(io_error)
    }

    fn resume(&self, list: &ChunkList) -> io::Result<Box<dyn PartialObject>> {
        let file = self.0.resume(list).map_err(io_error)?;
        Ok(Box::new(NetPartial(file)))
    }
}

/// An object on its way in.
struct NetPartial(PartialFile);

impl PartialObject for NetPartial {
    fn missing(&self) -> Vec<u32> {
        self.0.missing()
    }

    fn write_chunk(&mut self, index: u32, bytes: &[u8]) -> io::Result<()> {
        self.0.write_chunk(index, bytes).map_err(io_error)
    }

    fn complete(self: Box<Self>) -> io::Result<()> {
        self.0.complete().map_err(io_error)
    }
}

fn io_error(error: ObjectStoreError) -> io::Error {
    let kind = match &error {
        ObjectStoreError::NotFound { .. } => io::ErrorKind::NotFound,
        other if other.code() == ErrorCode::DiskFull => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

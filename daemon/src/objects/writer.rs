//! Writing an object whose name is not known yet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use fedshield_protocol::object::{ObjectBuilder, ObjectRef};

use super::{ObjectStoreError, Objects};
use crate::durable::{DiskError, PRIVATE_FILE};

const BUFFER_BYTES: usize = 256 << 10;

/// Writes an object and names it by its content. If dropped before [`Self::finish`], nothing is
/// left.
#[derive(Debug)]
pub struct ObjectWriter {
    objects: Objects,
    path: PathBuf,
    /// `None` once finished.
    file: Option<BufWriter<File>>,
    builder: ObjectBuilder,
    length: u64,
}

impl ObjectWriter {
    pub(super) fn start(objects: Objects) -> Result<Self, ObjectStoreError> {
        let path = objects.inner.new_path();
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE_FILE)
            .open(&path)
            .map_err(|error| DiskError::at(&path, error))?;
        let file = Some(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(Self { objects, path, file, builder: ObjectBuilder::default(), length: 0 })
    }

    /// Appends bytes to the object.
    ///
    /// # Errors
    /// An object over the size limit, or a disk error.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), ObjectStoreError> {
        Ok(self.write_all(bytes).map_err(|error| DiskError::at(&self.path, error))?)
    }

    /// Makes the object durable and visible under its name. An object that exists already is left
    /// as it is.
    ///
    /// # Errors
    /// A disk error.
    pub fn finish(mut self) -> Result<ObjectRef, ObjectStoreError> {
        let list = std::mem::take(&mut self.builder).finish();
        if let Some(buffered) = self.file.take() {
            let synced = buffered
                .into_inner()
                .map_err(io::IntoInnerError::into_error)
                .and_then(|file| file.sync_all());
            if let Err(error) = synced {
                self.discard();
                return Err(DiskError::at(&self.path, error).into());
            }
        }
        let published = self.objects.inner.publish(&self.path, &list);
        if published.is_err() {
            self.discard();
        }
        published.map(|()| list.object)
    }

    fn discard(&self) {
        // Anything left in `new/` is removed at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else {
            return Err(io::Error::other("the object is finished"));
        };
        let written = file.write(bytes)?;
        self.length += written as u64;
        let root = fedshield_protocol::ids::Digest([0; 32]);
        ObjectRef { root, length: self.length }
            .check_size()
            .map_err(|error| io::Error::new(io::ErrorKind::FileTooLarge, error))?;
        self.builder.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            self.discard();
        }
    }
}

//! Writes the container of GGUF version 3, a tensor at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::encode::GgufType;
use crate::{Result, TrainError};

/// Alignment of tensors in bytes.
const ALIGNMENT: usize = 32;

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meta {
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Integers(Vec<i32>),
    Floats(Vec<f32>),
}

impl Meta {
    fn put(&self, bytes: &mut Vec<u8>) {
        let list = |bytes: &mut Vec<u8>, kind: u32, count: usize| {
            bytes.extend(9u32.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend((count as u64).to_le_bytes());
        };
        let one = |bytes: &mut Vec<u8>, kind: u32| bytes.extend(kind.to_le_bytes());
        match self {
            Self::U32(value) => {
                one(bytes, 4);
                bytes.extend(value.to_le_bytes());
            }
            Self::I32(value) => {
                one(bytes, 5);
                bytes.extend(value.to_le_bytes());
            }
            Self::F32(value) => {
                one(bytes, 6);
                bytes.extend(value.to_le_bytes());
            }
            Self::Bool(value) => {
                one(bytes, 7);
                bytes.push(u8::from(*value));
            }
            Self::Text(value) => {
                one(bytes, 8);
                put_text(value, bytes);
            }
            Self::Texts(values) => {
                list(bytes, 8, values.len());
                values.iter().for_each(|value| put_text(value, bytes));
            }
            Self::Integers(values) => {
                list(bytes, 5, values.len());
                values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
            }
            Self::Floats(values) => {
                list(bytes, 6, values.len());
                values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
            }
        }
    }
}

fn put_text(text: &str, bytes: &mut Vec<u8>) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// A GGUF file being written. It appears under its name only when [`finish`](Self::finish) has
/// succeeded.
pub(super) struct GgufWriter {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    /// Tensors that are still to be written: name, number of missing values, type.
    left: VecDeque<(String, usize, GgufType)>,
    /// Bytes of the first of them that are written.
    written: usize,
    bytes: Vec<u8>,
}

impl GgufWriter {
    /// Starts a file with this metadata that will hold tensors of these names, row-major shapes and
    /// types, in this order.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(super) fn create(
        path: &Path,
        metadata: &[(String, Meta)],
        tensors: &[(String, Vec<usize>, GgufType)],
    ) -> Result<Self> {
        let mut header = b"GGUF".to_vec();
        header.extend(3u32.to_le_bytes());
        header.extend((tensors.len() as u64).to_le_bytes());
        header.extend((metadata.len() as u64).to_le_bytes());
        for (key, value) in metadata {
            put_text(key, &mut header);
            value.put(&mut header);
        }
        let (mut offset, mut left) = (0usize, VecDeque::new());
        for (name, shape, kind) in tensors {
            put_text(name, &mut header);
            header.extend((shape.len() as u32).to_le_bytes());
            // The file lists dimensions from the innermost outwards.
            shape.iter().rev().for_each(|length| header.extend((*length as u64).to_le_bytes()));
            header.extend(kind.id().to_le_bytes());
            header.extend((offset as u64).to_le_bytes());
            let count: usize = shape.iter().product();
            offset += kind.bytes(count).next_multiple_of(ALIGNMENT);
            left.push_back((name.clone(), count, *kind));
        }
        header.resize(header.len().next_multiple_of(ALIGNMENT), 0);
        let part = path.with_extension("gguf.part");
        let file = File::create(&part).map_err(TrainError::io(&part))?;
        let mut file = BufWriter::new(file);
        file.write_all(&header).map_err(TrainError::io(&part))?;
        Ok(Self { path: path.to_owned(), part, file, left, written: 0, bytes: Vec::new() })
    }

    /// Writes the next tensor, or the next rows of it.
    ///
    /// # Errors
    /// A tensor out of order, with more values than it has, or with a value that its type cannot
    /// hold.
    pub(super) fn write(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let bad = |reason: String| TrainError::tensor(&self.path, name, reason);
        let (count, kind) = match self.left.front_mut() {
            Some((next, count, kind)) if next == name && *count >= values.len() => (count, *kind),
            next => return Err(bad(format!("{} values, expected is {next:?}", values.len()))),
        };
        *count -= values.len();
        let complete = *count == 0;
        self.bytes.clear();
        if let Err(value) = kind.put(values, &mut self.bytes) {
            return Err(bad(format!("{value} does not fit {}", kind.name())));
        }
        self.written += self.bytes.len();
        if complete {
            self.left.pop_front();
            let padding = self.written.next_multiple_of(ALIGNMENT) - self.written;
            self.bytes.extend(std::iter::repeat_n(0, padding));
            self.written = 0;
        }
        self.file.write_all(&self.bytes).map_err(TrainError::io(&self.part))
    }

    /// Completes the file and moves it to its name.
    ///
    /// # Errors
    /// If a tensor is missing, or an I/O error occurs.
    pub(super) fn finish(mut self) -> Result<()> {
        if let Some((name, ..)) = self.left.front() {
            return Err(TrainError::tensor(&self.path, name, "was not written"));
        }
        self.file.flush().map_err(TrainError::io(&self.part))?;
        self.file.get_ref().sync_all().map_err(TrainError::io(&self.part))?;
        std::fs::rename(&self.part, &self.path).map_err(TrainError::io(&self.path))
    }
}

//! The container: header, metadata, and the location of each tensor's bytes. Every length is
//! checked against the file before anything is read or allocated.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::quant::Encoding;
use super::shards::Split;
use crate::load::safetensors::map_file;
use crate::{Result, TrainError};

/// A metadata value; the element type of an array is not kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Array(Vec<Value>),
}

impl Value {
    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(value) => Some(*value),
            Self::Signed(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(crate) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Unsigned(value) => Some(*value as f64),
            Self::Signed(value) => Some(*value as f64),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }
}

/// Shape, encoding and location of a tensor.
#[derive(Clone, Debug)]
pub(crate) struct TensorInfo {
    /// Row-major dimensions (the file stores them in reverse order).
    pub(crate) shape: Vec<usize>,
    pub(crate) encoding: Encoding,
    /// Index of the model's file that holds the tensor.
    part: usize,
    offset: usize,
    size: usize,
}

/// An opened GGUF model: one file, or all of its shards.
pub(crate) struct GgufFile {
    /// The file that was opened, for error messages.
    pub(crate) path: PathBuf,
    parts: Vec<Part>,
    /// Metadata of the first file.
    pub(crate) metadata: BTreeMap<String, Value>,
    pub(crate) tensors: BTreeMap<String, TensorInfo>,
}

struct Part {
    path: PathBuf,
    map: Mmap,
}

impl GgufFile {
    /// Opens a file and, if it is the first of several, all others of its model.
    ///
    /// # Errors
    /// A malformed file; a shard that is missing, has another number than its name says, belongs to
    /// a model with another number of shards, or repeats a tensor.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut file = Self::open_part(path, 0)?;
        let split = Split::of(&file)?;
        for (index, name) in split.others(path)?.into_iter().enumerate() {
            if !name.exists() {
                let reason = format!("the model's shard {} is missing", name.display());
                return Err(TrainError::format(path, reason));
            }
            let mut shard = Self::open_part(&name, file.parts.len())?;
            split.check(&shard, index + 1)?;
            for (tensor, info) in shard.tensors {
                if file.tensors.insert(tensor.clone(), info).is_some() {
                    return Err(TrainError::tensor(&name, &tensor, "is in another shard as well"));
                }
            }
            file.parts.append(&mut shard.parts);
        }
        split.check_total(&file)?;
        Ok(file)
    }

    fn open_part(path: &Path, part: usize) -> Result<Self> {
        let map = map_file(path)?;
        let (metadata, mut tensors) =
            parse(&map).map_err(|reason| TrainError::format(path, reason))?;
        tensors.values_mut().for_each(|info| info.part = part);
        let parts = vec![Part { path: path.to_owned(), map }];
        Ok(Self { path: path.to_owned(), parts, metadata, tensors })
    }

    /// The bytes of each file, in order.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().map(|part| &part.map[..])
    }

    /// The file that holds a tensor.
    pub(crate) fn file_of(&self, name: &str) -> &Path {
        let part = self.tensors.get(name).and_then(|info| self.parts.get(info.part));
        part.map_or(&self.path, |part| &part.path)
    }

    /// A tensor's values as f32, row-major.
    pub(crate) fn values(&self, name: &str) -> Result<(&[usize], Vec<f32>)> {
        let (info, bytes) = self.stored(name)?;
        Ok((&info.shape, info.encoding.decode(bytes)))
    }

    /// One matrix of a tensor of three dimensions, by its index in the first of them.
    pub(crate) fn matrix_of(&self, name: &str, index: usize) -> Result<(&[usize], Vec<f32>)> {
        let (info, bytes) = self.stored(name)?;
        let bad = |reason: String| TrainError::tensor(self.file_of(name), name, reason);
        let [count, shape @ ..] = &info.shape[..] else { return Err(bad("no shape".to_owned())) };
        // Rows are whole blocks, so each matrix is a whole number of bytes.
        let size = info.size / (*count).max(1);
        match bytes.get(index * size..(index + 1) * size) {
            Some(bytes) if shape.len() == 2 => Ok((shape, info.encoding.decode(bytes))),
            _ => Err(bad(format!("shape {:?} has no matrix {index}", info.shape))),
        }
    }

    fn stored(&self, name: &str) -> Result<(&TensorInfo, &[u8])> {
        let missing = || TrainError::tensor(&self.path, name, "missing");
        let info = self.tensors.get(name).ok_or_else(missing)?;
        let map = &self.parts.get(info.part).ok_or_else(missing)?.map;
        Ok((info, &map[info.offset..info.offset + info.size]))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// A metadata value that is required.
    pub(crate) fn require<'a, T>(
        &'a self,
        key: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<T> {
        self.get(key)
            .and_then(read)
            .ok_or_else(|| TrainError::format(&self.path, format!("no usable metadata {key}")))
    }
}

type Parsed = (BTreeMap<String, Value>, BTreeMap<String, TensorInfo>);

fn parse(bytes: &[u8]) -> std::result::Result<Parsed, String> {
    let mut cursor = Cursor { bytes, at: 0 };
    if cursor.take(4)? != b"GGUF" {
        return Err("not a GGUF file".into());
    }
    let version = cursor.u32()?;
    if !(2..=3).contains(&version) {
        return Err(format!("GGUF version {version} is not supported, only 2 and 3"));
    }
    let tensor_count = cursor.count(24)?;
    let value_count = cursor.count(13)?;
    let mut metadata = BTreeMap::new();
    for _ in 0..value_count {
        let key = cursor.text()?;
        let kind = cursor.u32()?;
        let value = cursor.value(kind, 0).map_err(|e| format!("metadata {key}: {e}"))?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(format!("metadata {key} is there twice"));
        }
    }
    let mut infos = Vec::with_capacity(tensor_count);
    for _ in 0..tensor_count {
        let name = cursor.text()?;
        let info = cursor.tensor().map_err(|e| format!("tensor {name}: {e}"))?;
        infos.push((name, info));
    }
    let alignment = metadata.get("general.alignment").and_then(Value::as_u64).unwrap_or(32);
    if alignment == 0 || alignment > 1 << 20 {
        return Err(format!("alignment {alignment}"));
    }
    let start = cursor.at.next_multiple_of(alignment as usize);
    let mut tensors = BTreeMap::new();
    for (name, mut info) in infos {
        let end = start.checked_add(info.offset).and_then(|at| at.checked_add(info.size));
        if end.is_none_or(|end| end > bytes.len()) {
            return Err(format!("tensor {name} reaches beyond the end of the file"));
        }
        info.offset += start;
        if tensors.insert(name.clone(), info).is_some() {
            return Err(format!("tensor {name} is there twice"));
        }
    }
    Ok((metadata, tensors))
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> std::result::Result<&'a [u8], String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..count).ok_or("the file ends too early")?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> std::result::Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> std::result::Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> std::result::Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of items that take at least `least` bytes each.
    fn count(&mut self, least: usize) -> std::result::Result<usize, String> {
        let count = self.u64()?;
        match count <= ((self.bytes.len() - self.at) / least) as u64 {
            true => Ok(count as usize),
            false => Err("a count is larger than the file".into()),
        }
    }

    fn text(&mut self) -> std::result::Result<String, String> {
        let len = self.count(1)?;
        let bytes = self.take(len)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| "a text is not UTF-8".into())
    }

    fn value(&mut self, kind: u32, depth: usize) -> std::result::Result<Value, String> {
        Ok(match kind {
            0 => Value::Unsigned(self.array::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 if depth < 2 => {
                let kind = self.u32()?;
                let count = self.count(1)?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(kind, depth + 1)?);
                }
                Value::Array(values)
            }
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => return Err(format!("value type {other}")),
        })
    }

    fn tensor(&mut self) -> std::result::Result<TensorInfo, String> {
        let dimensions = self.u32()?;
        if !(1..=4).contains(&dimensions) {
            return Err(format!("{dimensions} dimensions"));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.u64()?).map_err(|_| "a dimension is too large")?);
        }
        let encoding = Encoding::from_id(self.u32()?)?;
        let offset = usize::try_from(self.u64()?).map_err(|_| "the offset is too large")?;
        let count = shape.iter().try_fold(1usize, |product, d| product.checked_mul(*d));
        let count = count.ok_or("the tensor is too large")?;
        if !shape[0].is_multiple_of(encoding.block_len()) {
            return Err(format!("rows of {} values do not fill {encoding:?} blocks", shape[0]));
        }
        let size = (count / encoding.block_len())
            .checked_mul(encoding.block_size())
            .ok_or("the tensor is too large")?;
        shape.reverse();
        Ok(TensorInfo { shape, encoding, part: 0, offset, size })
    }
}

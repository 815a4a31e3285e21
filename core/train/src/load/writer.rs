//! Writes a model as one safetensors file, a tensor at a time: memory holds one tensor, not the
//! model.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Result, TrainError};

/// How values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, 5 of them exponent: finer than bf16, but limited to 65504.
    F16,
    /// 16 bits, 8 of them exponent: the range of f32.
    Bf16,
}

impl Precision {
    /// The name in safetensors headers.
    fn dtype(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// The name in `config.json`.
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The value rounded to nearest-even, little-endian; `None` if a finite value would become
    /// infinite.
    fn put(self, value: f32, bytes: &mut Vec<u8>) -> Option<()> {
        let fits = |rounded: f32| (rounded.is_finite() || !value.is_finite()).then_some(());
        match self {
            Self::F32 => bytes.extend(value.to_le_bytes()),
            Self::F16 => {
                let half = half::f16::from_f32(value);
                fits(half.to_f32())?;
                bytes.extend(half.to_le_bytes());
            }
            Self::Bf16 => {
                let half = half::bf16::from_f32(value);
                fits(half.to_f32())?;
                bytes.extend(half.to_le_bytes());
            }
        }
        Some(())
    }
}

/// A safetensors file being written. It appears under its name only when [`finish`](Self::finish)
/// has succeeded.
pub struct SafetensorsWriter {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    precision: Precision,
    left: VecDeque<(String, usize)>,
    bytes: Vec<u8>,
}

impl SafetensorsWriter {
    /// Begins a file that will hold tensors of these names and shapes, in this order.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(
        path: &Path,
        shapes: &[(String, Vec<usize>)],
        precision: Precision,
    ) -> Result<Self> {
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".to_owned(), serde_json::json!({"format": "pt"}));
        let (mut offset, mut left) = (0, VecDeque::new());
        for (name, shape) in shapes {
            let count: usize = shape.iter().product();
            let end = offset + count * precision.bytes();
            let entry = serde_json::json!({
                "dtype": precision.dtype(), "shape": shape, "data_offsets": [offset, end],
            });
            header.insert(name.clone(), entry);
            left.push_back((name.clone(), count));
            offset = end;
        }
        let mut text = serde_json::Value::Object(header).to_string();
        // Values start at a multiple of eight bytes.
        text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
        let part = path.with_extension("safetensors.part");
        let file = File::create(&part).map_err(TrainError::io(&part))?;
        let mut file = BufWriter::new(file);
        let begin = [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        file.write_all(&begin).map_err(TrainError::io(&part))?;
        Ok(Self { path: path.to_owned(), part, file, precision, left, bytes: Vec::new() })
    }

    /// Writes the next tensor.
    ///
    /// # Errors
    /// A tensor out of order, with another number of values, or with a value that the precision
    /// cannot hold.
    pub fn write(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let bad = |reason: String| TrainError::tensor(&self.path, name, reason);
        match self.left.pop_front() {
            Some((next, count)) if next == name && count == values.len() => {}
            next => return Err(bad(format!("{} values, expected is {next:?}", values.len()))),
        }
        self.bytes.clear();
        for value in values {
            if self.precision.put(*value, &mut self.bytes).is_none() {
                let precision = self.precision.torch_name();
                return Err(bad(format!("{value} does not fit {precision}; bfloat16 holds it")));
            }
        }
        self.file.write_all(&self.bytes).map_err(TrainError::io(&self.part))
    }

    /// Completes the file and moves it to its name.
    ///
    /// # Errors
    /// If a tensor is missing, or an I/O error occurs.
    pub fn finish(mut self) -> Result<()> {
        if let Some((name, _)) = self.left.front() {
            return Err(TrainError::tensor(&self.path, name, "was not written"));
        }
        self.file.flush().map_err(TrainError::io(&self.part))?;
        self.file.get_ref().sync_all().map_err(TrainError::io(&self.part))?;
        std::fs::rename(&self.part, &self.path).map_err(TrainError::io(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::SafetensorsSource;

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let values = [1.0f32, -0.5, 3.0e38, 1.0e-3];
        let shapes = [("b".to_owned(), vec![2, 2]), ("a".to_owned(), vec![1])];
        for (precision, tolerance) in [(Precision::F32, 0.0), (Precision::Bf16, 4e-3)] {
            let mut writer = SafetensorsWriter::create(&path, &shapes, precision).unwrap();
            writer.write("b", &values).unwrap();
            writer.write("a", &[7.0]).unwrap();
            writer.finish().unwrap();
            let source = SafetensorsSource::open_file(&path).unwrap();
            let (shape, read) = source.read_any("b").unwrap();
            assert_eq!(shape, [2, 2]);
            for (read, value) in read.iter().zip(values) {
                assert!((read - value).abs() <= tolerance * value.abs(), "{read} {value}");
            }
            assert_eq!(source.read_any("a").unwrap().1, [7.0]);
        }
    }

    #[test]
    fn what_does_not_fit_is_named_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let shapes = [("big".to_owned(), vec![1]), ("last".to_owned(), vec![1])];
        let create = || SafetensorsWriter::create(&path, &shapes, Precision::F16).unwrap();
        let error = create().write("big", &[1e6]).unwrap_err().to_string();
        assert!(error.contains("big") && error.contains("bfloat16"), "{error}");
        assert!(create().write("last", &[1.0]).is_err());
        assert!(create().write("big", &[1.0, 2.0]).is_err());
        let mut unfinished = create();
        unfinished.write("big", &[1.0]).unwrap();
        assert!(unfinished.finish().unwrap_err().to_string().contains("last"));
        assert!(!path.exists());
    }
}

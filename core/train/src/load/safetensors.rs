//! Hugging Face folders: one or several memory-mapped safetensors files, in f32, f16 or bf16, or
//! packed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::digest::BaseDigest;
use super::packed;
use super::writer::{Precision, SafetensorsWriter};
use crate::model::TensorSource;
use crate::{Result, TrainError};

/// A matrix inside a tensor of three dimensions.
pub(super) struct Part {
    /// The dimensions that the whole tensor must have.
    pub(super) dims: [usize; 3],
    /// The matrix's index in the first of them.
    pub(super) index: usize,
    /// The rows wanted of that matrix.
    pub(super) rows: Range<usize>,
}

/// The tensors of a folder or of a single safetensors file.
pub struct SafetensorsSource {
    path: PathBuf,
    files: Vec<MappedFile>,
    /// Which file holds each tensor.
    index: BTreeMap<String, usize>,
}

/// A mapped file with its header, which is parsed once.
struct MappedFile {
    path: PathBuf,
    map: Mmap,
    header: Metadata,
    /// Where the values begin, in bytes.
    values: usize,
}

impl MappedFile {
    fn open(path: PathBuf) -> Result<Self> {
        let map = map_file(&path)?;
        let (length, header) = SafeTensors::read_metadata(&map)
            .map_err(|e| TrainError::format(&path, e.to_string()))?;
        // The header stands behind its length, which takes eight bytes.
        Ok(Self { path, map, header, values: 8 + length })
    }
}

impl SafetensorsSource {
    /// Opens the weights of `folder`: the files that `model.safetensors.index.json` lists; without
    /// an index `model.safetensors`; without either, every `*.safetensors` that is not an adapter.
    pub fn open_folder(folder: &Path) -> Result<Self> {
        let index = folder.join("model.safetensors.index.json");
        let single = folder.join("model.safetensors");
        let paths = match (index.exists(), single.exists()) {
            (true, _) => shards(folder, &index)?,
            (false, true) => vec![single],
            (false, false) => all_files(folder)?,
        };
        Self::open(folder.to_owned(), paths)
    }

    /// Opens one file.
    pub fn open_file(path: &Path) -> Result<Self> {
        Self::open(path.to_owned(), vec![path.to_owned()])
    }

    fn open(path: PathBuf, paths: Vec<PathBuf>) -> Result<Self> {
        let mut source = Self { path, files: Vec::new(), index: BTreeMap::new() };
        for path in paths {
            let file = MappedFile::open(path)?;
            for name in file.header.tensors().into_keys() {
                if let Some(other) = source.index.insert(name.clone(), source.files.len()) {
                    let reason = format!("is in {} as well", source.files[other].path.display());
                    return Err(TrainError::tensor(&file.path, &name, reason));
                }
            }
            source.files.push(file);
        }
        Ok(source)
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    /// Whether two tensors have the same shape and values.
    pub(crate) fn same(&self, one: &str, other: &str) -> Result<bool> {
        let (one, other) = (self.read_any(one)?, self.read_any(other)?);
        Ok(one == other)
    }

    /// Adds the bytes of every file, in the order of their names, to the digest of a model.
    pub(crate) fn digest_into(&self, digest: &mut BaseDigest) {
        for file in &self.files {
            let name = file.path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            digest.part(name, &file.map);
        }
    }

    /// The shape of a tensor.
    ///
    /// # Errors
    /// If the tensor is missing.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>> {
        Ok(self.view(name)?.shape().to_vec())
    }

    /// Shape and values of a tensor, whatever its shape.
    pub fn read_any(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let view = self.view(name)?;
        let bad = |reason: String| TrainError::tensor(self.file(name), name, reason);
        if matches!(view.dtype(), Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return Ok((view.shape().to_vec(), plain(&view).map_err(bad)?));
        }
        packed::decode(&|name| self.view(name).ok(), name, &view).map_err(bad)
    }

    /// The values of a part of a tensor that is stored unpacked.
    ///
    /// # Errors
    /// A tensor that is missing, has other dimensions or is packed.
    pub(super) fn read_part(&self, name: &str, part: &Part) -> Result<Vec<f32>> {
        let view = self.view(name)?;
        let bad = |reason: String| TrainError::tensor(self.file(name), name, reason);
        if view.shape() != part.dims || part.index >= part.dims[0] || part.rows.end > part.dims[1] {
            return Err(bad(format!("shape {:?}, expected {:?}", view.shape(), part.dims)));
        }
        let [matrices, rows, columns] = part.dims;
        let width = view.data().len() / (matrices * rows).max(1);
        let first = part.index * rows;
        let bytes =
            view.data().get((first + part.rows.start) * width..(first + part.rows.end) * width);
        let shape = vec![part.rows.len(), columns];
        let inside = TensorView::new(view.dtype(), shape, bytes.unwrap_or_default());
        inside.map_err(|e| e.to_string()).and_then(|inside| plain(&inside)).map_err(bad)
    }

    fn view(&self, name: &str) -> Result<TensorView<'_>> {
        let missing = || TrainError::tensor(&self.path, name, "missing");
        let file = &self.files[*self.index.get(name).ok_or_else(missing)?];
        let info = file.header.info(name).ok_or_else(missing)?;
        let (start, end) = info.data_offsets;
        let data = file.map.get(file.values + start..file.values + end).ok_or_else(missing)?;
        TensorView::new(info.dtype, info.shape.clone(), data)
            .map_err(|e| TrainError::tensor(&file.path, name, e.to_string()))
    }
}

impl TensorSource for SafetensorsSource {
    fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> &Path {
        self.index.get(name).map_or(&self.path, |index| &self.files[*index].path)
    }

    fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (found, values) = self.read_any(name)?;
        if found != shape {
            let reason = format!("shape {found:?}, expected {shape:?}");
            return Err(TrainError::tensor(&self.path, name, reason));
        }
        Ok(values)
    }
}

/// The part of an index file that maps tensors to files.
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// The files that an index lists, sorted. They must be names, not paths: an index that came with a
/// model must not cause files elsewhere to be opened.
fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let text = std::fs::read_to_string(index).map_err(TrainError::io(index))?;
    let parsed: ShardIndex =
        serde_json::from_str(&text).map_err(|e| TrainError::format(index, e.to_string()))?;
    let names: BTreeSet<String> = parsed.weight_map.into_values().collect();
    if names.is_empty() {
        return Err(TrainError::format(index, "weight_map lists no file"));
    }
    let mut paths = Vec::with_capacity(names.len());
    for name in names {
        if Path::new(&name).file_name() != Some(name.as_ref()) {
            let reason = format!("weight_map names {name:?}, which is not a file of this folder");
            return Err(TrainError::format(index, reason));
        }
        let path = folder.join(&name);
        if !path.exists() {
            let reason = format!("weight_map names {name}, which is missing: download it again");
            return Err(TrainError::format(index, reason));
        }
        paths.push(path);
    }
    Ok(paths)
}

fn all_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(TrainError::io(folder))? {
        let path = entry.map_err(TrainError::io(folder))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.ends_with(".safetensors") && !name.starts_with("adapter_") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(TrainError::format(folder, "no .safetensors file in this folder"));
    }
    Ok(paths)
}

/// Writes f32 tensors in the order of their names, with the metadata that transformers expects.
/// Each tensor is given by its shape and its row-major values.
///
/// # Errors
/// If a shape and the number of values differ, or the file cannot be written.
pub fn write_safetensors(
    path: &Path,
    tensors: &BTreeMap<String, (Vec<usize>, Vec<f32>)>,
) -> Result<()> {
    let shapes: Vec<_> =
        tensors.iter().map(|(name, (shape, _))| (name.clone(), shape.clone())).collect();
    let mut writer = SafetensorsWriter::create(path, &shapes, Precision::F32)?;
    for (name, (_, values)) in tensors {
        writer.write(name, values)?;
    }
    writer.finish()
}

/// Maps a file for reading.
#[expect(unsafe_code, reason = "memory mapping; see the safety argument")]
pub(crate) fn map_file(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(TrainError::io(path))?;
    // SAFETY: the map is only read, and only as bytes. If another process truncates the file
    // meanwhile, this process gets a bus error; model files are not written while a daemon uses
    // them.
    unsafe { Mmap::map(&file) }.map_err(TrainError::io(path))
}

/// Values that are stored unpacked, as f32.
pub(super) fn plain(view: &TensorView<'_>) -> std::result::Result<Vec<f32>, String> {
    let data = view.data();
    let pair = |b: &[u8]| u16::from_le_bytes([b[0], b[1]]);
    match view.dtype() {
        Dtype::F32 => {
            Ok(data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        }
        Dtype::F16 => {
            Ok(data.chunks_exact(2).map(|b| half::f16::from_bits(pair(b)).to_f32()).collect())
        }
        Dtype::BF16 => {
            Ok(data.chunks_exact(2).map(|b| half::bf16::from_bits(pair(b)).to_f32()).collect())
        }
        other => Err(format!("type {other:?} is not one of F32, F16, BF16")),
    }
}

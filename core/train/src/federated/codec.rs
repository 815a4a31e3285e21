//! Canonical bytes of the global adapter, its digest, and its file.
//!
//! `FSADAPT1`, or `FSADAPT2` with the scale of rsLoRA; layout (see [`AdapterLayout`]), algorithm u8,
//! applied rounds u64, number of server vectors u8; then for factor A, factor B and, with `fed-sb`,
//! factor R: values, scores, server vectors, all as little-endian f32 bits.

use std::path::Path;

use super::algorithm::Algorithm;
use super::global::{FactorState, GlobalAdapter};
use super::layout::{AdapterLayout, Factor, ModuleShape};
use crate::model::Projection;
use crate::{Result, TrainError};

const MAGIC: &[u8; 8] = b"FSADAPT1";
/// The same with the scale alpha / sqrt(rank).
const MAGIC_RSLORA: &[u8; 8] = b"FSADAPT2";

impl GlobalAdapter {
    /// The canonical bytes. Two adapters are equal exactly when these are.
    pub fn to_bytes(&self) -> Vec<u8> {
        let is_rslora = self.layout.is_rslora();
        let mut bytes = if is_rslora { MAGIC_RSLORA } else { MAGIC }.to_vec();
        self.layout.encode(&mut bytes);
        bytes.push(self.algorithm.tag());
        bytes.extend(self.applied.to_le_bytes());
        bytes.push(self.a.server.len() as u8);
        let r = (self.algorithm == Algorithm::FedSb).then_some(&self.r);
        for state in [&self.a, &self.b].into_iter().chain(r) {
            for vector in [&state.values, &state.scores].into_iter().chain(&state.server) {
                put_floats(&mut bytes, vector);
            }
        }
        bytes
    }

    /// BLAKE3 of the canonical bytes: the adapter digest in protocol messages and the ledger.
    pub fn digest(&self) -> [u8; 32] {
        blake3::derive_key("fedshield-train v1 adapter", &self.to_bytes())
    }

    /// Parses canonical bytes. They may come from another member: every length is checked against
    /// the bytes present before anything is allocated, and every value must be finite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { rest: bytes, what: "adapter" };
        let magic = reader.take(MAGIC.len())?;
        if magic != MAGIC && magic != MAGIC_RSLORA {
            return Err(reader.bad("not an adapter file of version 1 or 2"));
        }
        let layout = read_layout(&mut reader, magic == MAGIC_RSLORA)?;
        let algorithm = Algorithm::from_tag(reader.byte()?);
        let algorithm = algorithm.ok_or_else(|| reader.bad("unknown algorithm"))?;
        let applied = reader.u64()?;
        let server_vectors = usize::from(reader.byte()?);
        if server_vectors > 2 {
            return Err(reader.bad("more than two server vectors"));
        }
        let a = read_factor(&mut reader, layout.len(Factor::A), server_vectors)?;
        let b = read_factor(&mut reader, layout.len(Factor::B), server_vectors)?;
        let r_len = if algorithm == Algorithm::FedSb { layout.len(Factor::R) } else { 0 };
        let r = read_factor(&mut reader, r_len, server_vectors)?;
        reader.end()?;
        Ok(Self { layout, algorithm, applied, a, b, r })
    }

    /// Writes the canonical bytes to a file.
    pub fn save(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.to_bytes()).map_err(TrainError::io(path))
    }

    /// Reads a file of canonical bytes.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
        Self::from_bytes(&bytes).map_err(|e| TrainError::format(path, e.to_string()))
    }
}

fn read_layout(reader: &mut Reader<'_>, rslora: bool) -> Result<AdapterLayout> {
    let rank = reader.u32()? as usize;
    let alpha = f64::from_bits(reader.u64()?);
    let count = reader.u32()? as usize;
    if count > reader.rest.len() / 13 {
        return Err(reader.bad("more modules than bytes"));
    }
    let mut modules = Vec::with_capacity(count);
    for _ in 0..count {
        let layer = reader.u32()? as usize;
        let slot = usize::from(reader.byte()?);
        let projection = Projection::ALL.get(slot).copied();
        let projection = projection.ok_or_else(|| reader.bad("unknown projection"))?;
        let (inputs, outputs) = (reader.u32()? as usize, reader.u32()? as usize);
        if inputs == 0 || outputs == 0 || inputs > 1 << 24 || outputs > 1 << 24 {
            return Err(reader.bad("a module's width is out of range"));
        }
        modules.push(ModuleShape { layer, projection, inputs, outputs });
    }
    if !modules.is_sorted_by(|x, y| (x.layer, x.projection.path()) < (y.layer, y.projection.path()))
    {
        return Err(reader.bad("modules out of order"));
    }
    AdapterLayout::from_parts(rank, alpha, rslora, modules)
        .map_err(|e| TrainError::Decode { what: "adapter", reason: e.to_string() })
}

fn read_factor(reader: &mut Reader<'_>, len: usize, server_vectors: usize) -> Result<FactorState> {
    let values = reader.floats(len)?;
    let scores = reader.floats(len)?;
    if scores.iter().any(|score| score.is_sign_negative()) {
        return Err(reader.bad("a negative score"));
    }
    let mut server = Vec::new();
    for _ in 0..server_vectors {
        server.push(reader.floats(len)?);
    }
    Ok(FactorState { values, scores, server })
}

pub(crate) fn put_floats(bytes: &mut Vec<u8>, values: &[f32]) {
    bytes.reserve(4 * values.len());
    for value in values {
        bytes.extend(value.to_bits().to_le_bytes());
    }
}

/// A reader that never goes past the end of the bytes.
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
    pub(crate) what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn bad(&self, reason: impl Into<String>) -> TrainError {
        TrainError::Decode { what: self.what, reason: reason.into() }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.rest.split_at_checked(count) else {
            return Err(self.bad("ends too early"));
        };
        self.rest = tail;
        Ok(head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        let (low, high) = (self.u32()?, self.u32()?);
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    pub(crate) fn floats(&mut self, count: usize) -> Result<Vec<f32>> {
        let size = count.checked_mul(4).ok_or_else(|| self.bad("too long"))?;
        let bytes = self.take(size)?;
        let mut values = Vec::with_capacity(count);
        for word in bytes.chunks_exact(4) {
            let value = f32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            if !value.is_finite() {
                return Err(self.bad("a value that is not finite"));
            }
            values.push(value);
        }
        Ok(values)
    }

    pub(crate) fn end(&self) -> Result<()> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(self.bad(format!("{} bytes too many", self.rest.len()))),
        }
    }
}

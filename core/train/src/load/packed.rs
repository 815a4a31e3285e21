//! Weights that a checkpoint stores in few bits with separate scales, decoded to f32: bitsandbytes
//! NF4, and FP8 (E4M3) with a scale for each block of 128 x 128, as published by DeepSeek and Qwen.
//! What the companion tensors claim is checked against their size before anything is read.

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Deserialize;

type Outcome<T> = std::result::Result<T, String>;
/// Looks a tensor up by name, in whichever file of the model holds it.
type Find<'a> = &'a dyn Fn(&str) -> Option<TensorView<'a>>;

/// Name suffixes of the tensors that belong to a packed weight.
const COMPANIONS: [&str; 6] = [
    ".absmax",
    ".quant_map",
    ".nested_absmax",
    ".nested_quant_map",
    ".quant_state.bitsandbytes__nf4",
    "_scale_inv",
];
/// Rows and columns of an FP8 block.
const BLOCK: usize = 128;
/// Most values of a packed matrix, so that sizes claimed by a file cannot overflow.
const MOST: usize = 1 << 40;

/// The name of the weight that a companion tensor belongs to; `None` for other tensors.
pub(super) fn weight_of(name: &str) -> Option<&str> {
    COMPANIONS.iter().find_map(|ending| name.strip_suffix(ending))
}

/// Shape and values of a packed weight.
///
/// # Errors
/// A companion that is missing or does not fit.
pub(super) fn decode(
    find: Find<'_>,
    name: &str,
    view: &TensorView<'_>,
) -> Outcome<(Vec<usize>, Vec<f32>)> {
    match view.dtype() {
        Dtype::F8_E4M3 => fp8(find, name, view).map(|values| (view.shape().to_vec(), values)),
        Dtype::U8 => nf4(find, name, view),
        other => Err(format!("type {other:?} is not one of F32, F16, BF16")),
    }
}

fn companion<'a>(find: Find<'a>, name: &str, ending: &str) -> Outcome<TensorView<'a>> {
    find(&format!("{name}{ending}")).ok_or_else(|| format!("{name}{ending} is missing"))
}

fn floats(view: &TensorView<'_>, what: &str) -> Outcome<Vec<f32>> {
    super::safetensors::plain(view).map_err(|e| format!("{what}: {e}"))
}

fn fp8(find: Find<'_>, name: &str, view: &TensorView<'_>) -> Outcome<Vec<f32>> {
    let scales = companion(find, name, "_scale_inv")?;
    let (&[rows, columns], &[down, across]) = (view.shape(), scales.shape()) else {
        return Err("FP8 is read in matrices with a matrix of scales alone".to_owned());
    };
    if [down, across] != [rows.div_ceil(BLOCK), columns.div_ceil(BLOCK)] {
        return Err(format!("{down} x {across} scales, expected one for {BLOCK} x {BLOCK} values"));
    }
    let scales = floats(&scales, "_scale_inv")?;
    let mut values = Vec::with_capacity(view.data().len());
    for (row, bytes) in view.data().chunks_exact(columns.max(1)).enumerate() {
        let scales = &scales[row / BLOCK * across..][..across];
        values.extend(bytes.iter().enumerate().map(|(at, b)| e4m3(*b) * scales[at / BLOCK]));
    }
    Ok(values)
}

/// Sign, four bits of exponent (bias 7), three of mantissa; no infinities.
fn e4m3(bits: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(bits >> 3 & 15), f32::from(bits & 7));
    let size = match (exponent, bits & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * 2f32.powi(-9),
        _ => (8.0 + mantissa) * 2f32.powi(exponent - 10),
    };
    if bits & 0x80 == 0 { size } else { -size }
}

/// The metadata that bitsandbytes stores with a packed weight, as JSON.
#[derive(Deserialize)]
struct QuantState {
    quant_type: String,
    blocksize: usize,
    dtype: String,
    shape: Vec<usize>,
    nested_blocksize: Option<usize>,
    nested_offset: Option<f32>,
}

fn nf4(find: Find<'_>, name: &str, view: &TensorView<'_>) -> Outcome<(Vec<usize>, Vec<f32>)> {
    let state = companion(find, name, ".quant_state.bitsandbytes__nf4")
        .map_err(|e| format!("type U8 is read as bitsandbytes NF4 alone, and {e}"))?;
    let state: QuantState =
        serde_json::from_slice(state.data()).map_err(|e| format!("quant_state: {e}"))?;
    let count = state.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d).filter(|n| *n < MOST));
    let count = count.ok_or("quant_state: the shape is too large")?;
    if state.quant_type != "nf4" || state.blocksize == 0 || view.data().len() != count.div_ceil(2) {
        return Err(format!(
            "quant_state describes {:?} of {count} values in blocks of {}, and {} bytes are stored",
            state.quant_type,
            state.blocksize,
            view.data().len()
        ));
    }
    let levels = floats(&companion(find, name, ".quant_map")?, "quant_map")?;
    let scales = scales(find, name, &state)?;
    if levels.len() != 16 || scales.len() != count.div_ceil(state.blocksize) {
        let (levels, scales) = (levels.len(), scales.len());
        return Err(format!("{levels} levels and {scales} scales for {count} values"));
    }
    // bitsandbytes computes with values of this type, so they are rounded to it.
    let rounded = |value: f32| match state.dtype.as_str() {
        "float32" => Ok(value),
        "bfloat16" => Ok(half::bf16::from_f32(value).to_f32()),
        "float16" => Ok(half::f16::from_f32(value).to_f32()),
        other => Err(format!("quant_state: dtype {other:?} is not known")),
    };
    let mut values = Vec::with_capacity(count);
    for at in 0..count {
        let byte = view.data()[at / 2];
        let nibble = if at % 2 == 0 { byte >> 4 } else { byte & 15 };
        values.push(rounded(levels[usize::from(nibble)] * scales[at / state.blocksize])?);
    }
    Ok((state.shape, values))
}

/// The scale of each block. With double quantisation, scales are bytes that have a table and scales
/// of their own.
fn scales(find: Find<'_>, name: &str, state: &QuantState) -> Outcome<Vec<f32>> {
    let stored = companion(find, name, ".absmax")?;
    if stored.dtype() != Dtype::U8 {
        return floats(&stored, "absmax");
    }
    let table = floats(&companion(find, name, ".nested_quant_map")?, "nested_quant_map")?;
    let outer = floats(&companion(find, name, ".nested_absmax")?, "nested_absmax")?;
    let block = state.nested_blocksize.filter(|block| *block > 0);
    let block = block.ok_or("quant_state: nested_blocksize is missing")?;
    let bytes = stored.data();
    if table.len() != 256 || outer.len() != bytes.len().div_ceil(block) {
        let (table, outer) = (table.len(), outer.len());
        return Err(format!("{table} nested levels and {outer} nested scales for {}", bytes.len()));
    }
    let offset = state.nested_offset.unwrap_or(0.0);
    let scale = |(at, byte): (usize, &u8)| table[usize::from(*byte)] * outer[at / block] + offset;
    Ok(bytes.iter().enumerate().map(scale).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use safetensors::SafeTensors;

    use crate::load::SafetensorsSource;

    fn file(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/packed").join(name)
    }

    /// Weights packed and decoded by torch and bitsandbytes (`tests/parity/make_packed.py`) are
    /// decoded to the same bits.
    #[test]
    fn packed_weights_decode_as_torch_and_bitsandbytes_do() {
        let source = SafetensorsSource::open_file(&file("packed.safetensors")).unwrap();
        let wanted = SafetensorsSource::open_file(&file("values.safetensors")).unwrap();
        let names: Vec<&str> = wanted.names().collect();
        assert_eq!(names.len(), 4);
        for name in names {
            let (ours, theirs) = (source.read_any(name).unwrap(), wanted.read_any(name).unwrap());
            assert_eq!(ours.0, theirs.0, "{name}");
            for (ours, theirs) in ours.1.iter().zip(&theirs.1) {
                assert_eq!(ours.to_bits(), theirs.to_bits(), "{name}: {ours} {theirs}");
            }
        }
    }

    /// Every companion of every packed tensor is left out or truncated once.
    #[test]
    fn a_companion_that_does_not_fit_is_named() {
        let bytes = std::fs::read(file("packed.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut tried = 0;
        for spoilt in tensors.names() {
            let Some(weight) = weight_of(spoilt) else { continue };
            let whole = tensors.tensor(spoilt).unwrap().shape().iter().product::<usize>();
            for drop_it in [true, false].into_iter().filter(|drop_it| *drop_it || whole > 1) {
                let mut parts: Vec<(String, TensorView<'_>)> = tensors
                    .tensors()
                    .into_iter()
                    .filter(|(name, _)| !(drop_it && name == spoilt))
                    .collect();
                for (name, view) in &mut parts {
                    let width = view.data().len() / view.shape().iter().product::<usize>().max(1);
                    if !drop_it && name == spoilt {
                        *view =
                            TensorView::new(view.dtype(), vec![1], &view.data()[..width]).unwrap();
                    }
                }
                let path = folder.path().join("spoilt.safetensors");
                std::fs::write(&path, safetensors::serialize(parts, None).unwrap()).unwrap();
                let source = SafetensorsSource::open_file(&path).unwrap();
                let outcome = source.read_any(weight);
                let error = outcome.map(|_| ()).expect_err(spoilt).to_string();
                assert!(error.contains(weight), "{spoilt}: {error}");
                tried += 1;
            }
        }
        assert!(tried > 20, "{tried}");
    }
}

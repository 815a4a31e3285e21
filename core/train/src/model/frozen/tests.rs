//! Error bounds of rounding, values that must survive it exactly, and products with packed
//! matrices.

use std::path::Path;

use half::f16;
use safetensors::SafeTensors;

use super::*;
use crate::model::to_vec;
use crate::random::Stream;

const PACKED: [BasePrecision; 4] =
    [BasePrecision::Bf16, BasePrecision::F16, BasePrecision::Q8, BasePrecision::Q4];

/// Weights as models have them, and rows of unusual values: tiny, large, shifted, constant, zero.
fn weights(columns: usize) -> Vec<f32> {
    let mut stream = Stream::new([5; 32], "frozen");
    // The sum of twelve uniform numbers has the variance of a standard normal one.
    let mut normal = || (0..12).map(|_| stream.unit() as f32).sum::<f32>() - 6.0;
    let mut row = |scale: f32, shift: f32| -> Vec<f32> {
        (0..columns).map(|_| normal() * scale + shift).collect()
    };
    let rows = [(0.02, 0.0), (1.0, 0.0), (1e-6, 0.0), (1e3, 0.0), (0.1, 5.0), (0.0, -3.3)];
    let mut all: Vec<f32> = rows.iter().flat_map(|(scale, shift)| row(*scale, *shift)).collect();
    all.extend(vec![0.0; columns]);
    all.extend((0..columns).map(|i| if i == 1 { 4e4 } else { 1e-20 }));
    all
}

/// The step that the documentation of [`BasePrecision`] promises for a block, widened by one f16
/// ulp at most.
fn step(precision: BasePrecision, block: &[f32]) -> f32 {
    let fold = |f: fn(f32, f32) -> f32| block.iter().copied().reduce(f).unwrap();
    let (least, largest) = (fold(f32::min), fold(f32::max));
    let wanted = match precision {
        BasePrecision::Q8 => largest.max(-least) / 127.0,
        _ => (largest - least + least.abs() * 2f32.powi(-10) + 2f32.powi(-24)) / 15.0,
    };
    wanted * (1.0 + 2f32.powi(-10)) + 2f32.powi(-24)
}

#[test]
fn no_value_moves_further_than_promised() {
    // 72: the last block of each row has 8 values.
    for columns in [72, 32, 5] {
        let values = weights(columns);
        for precision in PACKED {
            let rounded = precision.rounded(&values, columns).unwrap();
            assert_eq!(rounded, precision.rounded(&values, columns).unwrap());
            let rows = values.chunks(columns).zip(rounded.chunks(columns));
            let blocks = rows.flat_map(|(w, r)| w.chunks(32).zip(r.chunks(32)));
            for (block, rounded) in blocks {
                for (w, r) in block.iter().zip(rounded) {
                    let bound = match precision {
                        BasePrecision::Bf16 => w.abs() * 2f32.powi(-8),
                        BasePrecision::F16 => (w.abs() * 2f32.powi(-11)).max(2f32.powi(-25)),
                        _ => step(precision, block) / 2.0 + w.abs() * 2f32.powi(-22),
                    };
                    assert!((w - r).abs() <= bound, "{precision}: {w} became {r}, {bound}");
                }
            }
        }
    }
}

#[test]
fn a_value_goes_to_the_nearest_of_its_block() {
    // The step is 1 in both, because the extremes (127 and -127, or 0 and 15) occur.
    let mut block = [0f32; 32];
    block[..6].copy_from_slice(&[127.0, -127.0, 3.4, 3.6, -0.5, 1.5]);
    let rounded = BasePrecision::Q8.rounded(&block, 32).unwrap();
    assert_eq!(rounded[..6], [127.0, -127.0, 3.0, 4.0, 0.0, 2.0]);
    block[..6].copy_from_slice(&[0.0, 15.0, 3.4, 3.6, 0.5, 1.5]);
    let rounded = BasePrecision::Q4.rounded(&block, 32).unwrap();
    assert_eq!(rounded[..6], [0.0, 15.0, 3.0, 4.0, 0.0, 2.0]);
}

/// Real weights encoded by ggml (`tests/parity/make_quant.py`).
#[test]
fn what_a_file_stores_in_the_same_precision_stays_as_it_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/quant");
    let bytes = std::fs::read(folder.join("reference.safetensors")).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    for (name, precision) in [
        ("bf16", BasePrecision::Bf16),
        ("f16", BasePrecision::F16),
        ("q8_0", BasePrecision::Q8),
        ("file.q8_0", BasePrecision::Q8),
        ("q4_1", BasePrecision::Q4),
        ("file.q4_1", BasePrecision::Q4),
    ] {
        let stored = reference.tensor(&format!("{name}.values")).unwrap();
        let stored = stored.data().chunks_exact(4);
        let stored: Vec<f32> = stored.map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert!(precision.rounded(&stored, 32).unwrap() == stored, "{name}");
        // `stored` finds the precision by itself.
        let shape = [stored.len() / 32, 32];
        let bytes = |precision| {
            Frozen::new(stored.clone(), shape, precision, &crate::cpu()).unwrap().bytes()
        };
        assert_eq!(bytes(BasePrecision::Stored), bytes(precision), "{name}");
    }
}

#[test]
fn stored_rounds_nothing_and_takes_f32_where_one_value_needs_it() {
    let mut values = vec![0.5f32; 600 * 32];
    let bytes = |values: &[f32]| {
        assert_eq!(BasePrecision::Stored.rounded(values, 32).unwrap(), values);
        let shape = [values.len() / 32, 32];
        Frozen::new(values.to_vec(), shape, BasePrecision::Stored, &crate::cpu()).unwrap().bytes()
    };
    assert_eq!(bytes(&values), 600 * 20);
    // In the last row, so that neither the first row nor the first run of rows decides.
    values[600 * 32 - 1] = 1e30f32;
    assert_eq!(bytes(&values), 600 * 32 * 4);
    values[600 * 32 - 1] = 2f32.powi(100);
    assert_eq!(bytes(&values), 600 * 32 * 2);
    assert_eq!(bytes(&[]), 0);
}

#[test]
fn products_and_rows_are_those_of_the_rounded_weights() {
    let device = crate::cpu();
    let (rows, columns) = (8, 72);
    let values = weights(columns);
    for precision in PACKED {
        let mut packed = Frozen::new(values.clone(), [rows, columns], precision, &device).unwrap();
        let rounded = precision.rounded(&values, columns).unwrap();
        let dense =
            Frozen::new(rounded.clone(), [rows, columns], BasePrecision::F32, &device).unwrap();
        let x: Vec<f32> = (0..3 * columns).map(|i| (i as f32).sin()).collect();
        let x = Tensor::<2>::from_data(TensorData::new(x, [3, columns]), &device);
        let dy: Vec<f32> = (0..3 * rows).map(|i| (i as f32).cos()).collect();
        let dy = Tensor::<2>::from_data(TensorData::new(dy, [3, rows]), &device);
        // All rows at once, and runs of three with two left over.
        for rows_at_a_time in [rows, 3] {
            packed.run = rows_at_a_time;
            assert_near(packed.forward(x.clone()), dense.forward(x.clone()));
            assert_near(packed.backward(None, dy.clone()), dense.backward(None, dy.clone()));
            let sum = Some(x.clone());
            let added = x.clone() + dense.backward(None, dy.clone());
            assert_near(packed.backward(sum, dy.clone()), added);
        }
        let [ids] = Indices::put([&[7, 0, 2, 2]], &device);
        assert!(to_vec(packed.select(&ids)) == to_vec(dense.select(&ids)), "{precision}");
    }
}

/// Tensors of the processor stand in for those of a device.
#[test]
fn blocks_on_a_device_are_decoded_to_the_same_values() {
    let device = crate::cpu();
    for columns in [72, 64, 5] {
        let values = weights(columns);
        for precision in [BasePrecision::Q8, BasePrecision::Q4] {
            let packed = Packed::encode(&values, columns, precision).unwrap().unwrap();
            let blocks = Blocks::new(&packed, &device).unwrap();
            assert!(to_vec(blocks.decode(0, 8)) == packed.decode(0, 8), "{precision} {columns}");
            assert!(to_vec(blocks.decode(3, 2)) == packed.decode(3, 2), "{precision} {columns}");
            let [ids] = Indices::put([&[7, 0, 2, 2]], &device);
            let gathered = to_vec(blocks.gather(&ids.tensor));
            assert!(gathered == packed.gather(&ids.host), "{precision} {columns}");
        }
    }
    let halves = Packed::encode(&weights(5), 5, BasePrecision::F16).unwrap().unwrap();
    assert!(Blocks::new(&halves, &device).is_none());
}

#[track_caller]
fn assert_near(ours: Tensor<2>, theirs: Tensor<2>) {
    assert_eq!(ours.dims(), theirs.dims());
    let (ours, theirs) = (to_vec(ours), to_vec(theirs));
    let largest = theirs.iter().fold(0f32, |m, v| m.max(v.abs()));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!((ours - theirs).abs() <= 1e-6 * largest, "{ours} {theirs} of {largest}");
    }
}

#[test]
fn bytes_are_those_of_the_precision() {
    let values = vec![0.5; 64 * 96];
    let bytes = |precision| {
        Frozen::new(values.clone(), [64, 96], precision, &crate::cpu()).unwrap().bytes()
    };
    let dense = bytes(BasePrecision::F32);
    assert_eq!(dense, 64 * 96 * 4);
    assert_eq!(PACKED.map(bytes), [dense / 2, dense / 2, dense * 34 / 128, dense * 20 / 128]);
}

#[test]
fn a_value_that_does_not_fit_is_given_with_its_place() {
    let place = |precision: BasePrecision, value: f32| {
        let mut values = vec![1.0; 3 * 40];
        values[2 * 40 + 35] = value;
        precision.rounded(&values, 40).err().map(|unfit| (unfit.value, unfit.row, unfit.column))
    };
    let largest = f32::from(f16::MAX);
    for (precision, fits, does_not) in [
        (BasePrecision::Bf16, 3.3e38, f32::MAX),
        (BasePrecision::F16, largest, 65520.0),
        (BasePrecision::Q8, 127.0 * largest, 128.0 * largest),
        (BasePrecision::Q4, -largest, -65520.0),
        (BasePrecision::Q4, 15.0 * largest, 16.0 * largest),
    ] {
        assert_eq!(place(precision, fits), None, "{precision}");
        assert_eq!(place(precision, does_not), Some((does_not, 2, 35)), "{precision}");
    }
    assert_eq!(place(BasePrecision::F32, f32::MAX), None);
}

#[test]
fn names_are_read_and_written() {
    for name in BasePrecision::NAMES {
        let precision: BasePrecision = name.parse().unwrap();
        assert_eq!(precision.to_string(), name);
        assert_eq!(serde_json::to_value(precision).unwrap(), name);
    }
    let error = "q5".parse::<BasePrecision>().unwrap_err().to_string();
    assert!(error.contains("base_precision") && error.contains("`q5`"), "{error}");
}

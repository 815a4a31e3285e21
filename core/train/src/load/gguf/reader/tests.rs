//! Files with inconsistent lengths: nothing is read beyond their end, whatever they claim.

use super::*;

/// A file with a single tensor of one row, with that many bytes of values.
fn file(encoding: u32, row: u64, bytes: usize) -> Vec<u8> {
    let mut file = b"GGUF".to_vec();
    file.extend(3u32.to_le_bytes());
    file.extend(1u64.to_le_bytes());
    file.extend(0u64.to_le_bytes());
    file.extend(1u64.to_le_bytes());
    file.extend(b"t");
    file.extend(1u32.to_le_bytes());
    file.extend(row.to_le_bytes());
    file.extend(encoding.to_le_bytes());
    file.extend(0u64.to_le_bytes());
    file.resize(file.len().next_multiple_of(32) + bytes, 0);
    file
}

#[test]
fn every_encoding_is_bounded_by_its_file() {
    for id in [0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 30, 39] {
        let encoding = Encoding::from_id(id).unwrap();
        let (len, size) = (encoding.block_len() as u64, encoding.block_size());
        let (_, tensors) = parse(&file(id, 2 * len, 2 * size)).unwrap();
        assert_eq!(
            (tensors["t"].size, &tensors["t"].shape[..]),
            (2 * size, &[2 * len as usize][..])
        );
        let error = parse(&file(id, 2 * len, 2 * size - 1)).unwrap_err();
        assert!(error.contains("tensor t reaches beyond the end"), "{encoding:?}: {error}");
        if len > 1 {
            let error = parse(&file(id, len + 1, 2 * size)).unwrap_err();
            assert!(error.contains("tensor t") && error.contains("do not fill"), "{error}");
        }
        let error = parse(&file(id, u64::MAX / len * len, size)).unwrap_err();
        assert!(error.contains("tensor t"), "{encoding:?}: {error}");
        // Bytes of zero are valid values.
        assert_eq!(encoding.decode(&vec![0; size]).len(), len as usize);
        // So is every other byte: values that are not finite are refused when they are read into a
        // model.
        assert_eq!(encoding.decode(&vec![255; size]).len(), len as usize);
    }
}

#[test]
fn a_count_of_shards_beyond_reason_is_refused() {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend((b"split.count".len() as u64).to_le_bytes());
    bytes.extend(b"split.count");
    bytes.extend(10u32.to_le_bytes());
    bytes.extend(u64::MAX.to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model-00001-of-99999.gguf");
    std::fs::write(&path, bytes).unwrap();
    let error = GgufFile::open(&path).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("split.count is 18446744073709551615"), "{error}");
}

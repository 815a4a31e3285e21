//! Which files of a folder are the weights, and what is said when they are not all there.

use std::collections::BTreeMap;
use std::path::Path;

use fedshield_train::load::{SafetensorsSource, write_safetensors};
use fedshield_train::model::TensorSource;

fn shard(folder: &Path, file: &str, tensor: &str, value: f32) {
    let tensors = BTreeMap::from([(tensor.to_owned(), (vec![2], vec![value; 2]))]);
    write_safetensors(&folder.join(file), &tensors).unwrap();
}

fn index(folder: &Path, map: &[(&str, &str)]) {
    let map: BTreeMap<_, _> = map.iter().copied().collect();
    let text = serde_json::json!({"metadata": {}, "weight_map": map}).to_string();
    std::fs::write(folder.join("model.safetensors.index.json"), text).unwrap();
}

#[test]
fn the_index_decides() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    shard(path, "model-1.safetensors", "a", 1.0);
    shard(path, "model-2.safetensors", "b", 2.0);
    shard(path, "consolidated.safetensors", "a", 9.0);
    index(path, &[("a", "model-1.safetensors"), ("b", "model-2.safetensors")]);
    let source = SafetensorsSource::open_folder(path).unwrap();
    assert_eq!(source.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(source.read("a", &[2]).unwrap(), [1.0, 1.0]);
    let error = source.read("b", &[3]).unwrap_err().to_string();
    assert!(error.contains("tensor b") && error.contains("[2]"), "{error}");
}

#[test]
fn a_tensor_that_is_there_twice_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    shard(path, "model-1.safetensors", "a", 1.0);
    shard(path, "model-2.safetensors", "a", 2.0);
    let open = || SafetensorsSource::open_folder(path).map(|_| ()).unwrap_err().to_string();
    let without_index = open();
    index(path, &[("a", "model-1.safetensors"), ("b", "model-2.safetensors")]);
    for error in [without_index, open()] {
        assert!(error.contains("tensor a") && error.contains("model-1.safetensors"), "{error}");
    }
}

#[test]
fn one_file_needs_no_index() {
    let folder = tempfile::tempdir().unwrap();
    shard(folder.path(), "model.safetensors", "a", 1.0);
    shard(folder.path(), "consolidated.safetensors", "a", 9.0);
    let source = SafetensorsSource::open_folder(folder.path()).unwrap();
    assert_eq!(source.read("a", &[2]).unwrap(), [1.0, 1.0]);
}

#[test]
fn a_missing_shard_and_a_path_out_of_the_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    shard(folder.path(), "model-1.safetensors", "a", 1.0);
    let opened = |map: &[(&str, &str)]| {
        index(folder.path(), map);
        SafetensorsSource::open_folder(folder.path()).map(|_| ()).unwrap_err().to_string()
    };
    let error = opened(&[("a", "model-1.safetensors"), ("b", "model-2.safetensors")]);
    assert!(error.contains("index.json") && error.contains("model-2.safetensors"), "{error}");
    for outside in ["../model-1.safetensors", "/etc/model.safetensors", ".."] {
        let error = opened(&[("a", outside)]);
        assert!(error.contains(outside) && error.contains("not a file of"), "{error}");
    }
}

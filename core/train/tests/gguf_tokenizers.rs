//! A folder and the GGUF file of one model: the tokens of the one are those of transformers, of the other those of
//! llama.cpp (`templates/make_gguf.py`), and where these two agree, so do we.
#![allow(clippy::print_stdout, reason = "a test shows what it counted")]

use std::path::{Path, PathBuf};

use fedshield_train::load::open_tokenizer;
use fedshield_train::text::TextTokenizer;
use serde::Deserialize;

#[derive(Deserialize)]
struct Ids {
    texts: Vec<String>,
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
    /// By text: what transformers makes of it with the folder.
    folder: Vec<Vec<u32>>,
    /// By text: what llama.cpp makes of it with the file.
    file: Vec<Vec<u32>>,
}

fn templates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates")
}

fn ids(tokenizer: &TextTokenizer, text: &str) -> Vec<u32> {
    tokenizer.bos.into_iter().chain(tokenizer.encode(text).unwrap()).collect()
}

#[test]
fn a_folder_is_read_as_by_transformers_and_a_file_as_by_llama_cpp() {
    let bytes = std::fs::read(templates().join("gguf/ids.json")).unwrap();
    let Ids { texts, models } = serde_json::from_slice(&bytes).unwrap();
    let (mut same, mut differ) = (0, Vec::new());
    for Model { name, folder, file } in models {
        let from_folder = open_tokenizer(&templates().join("tokenizers").join(&name)).unwrap();
        let from_file = open_tokenizer(&templates().join(format!("gguf/{name}.gguf"))).unwrap();
        assert_eq!(from_folder.bos, from_file.bos, "{name}");
        for ((text, folder), file) in texts.iter().zip(folder).zip(file) {
            assert_eq!(ids(&from_folder, text), folder, "{name}, folder: {text:?}");
            // The file says `qwen2`, and models of that name were trained on composed text (NFC), which llama.cpp leaves
            // out.
            let wanted = if name == "qwen2" { &folder } else { &file };
            assert_eq!(ids(&from_file, text), *wanted, "{name}, file: {text:?}");
            match folder == *wanted {
                true => same += 1,
                false => differ.push((name.clone(), text.clone())),
            }
        }
    }
    println!("{same} texts have the same tokens in both forms, {} have not", differ.len());
    // What a file cannot say: that no space is put behind an added token (`legacy: false`), and that none is put before a
    // space.
    let is_known = |(name, text): &(String, String)| {
        let behind_added = text.contains('<') && name == "llama_first";
        name.starts_with("llama")
            && (behind_added || text.starts_with([' ', '▁']) || text.contains("> "))
    };
    assert!(differ.iter().all(is_known), "{differ:#?}");
    assert!(same > 90, "{same}");
}

//! Tokenizers of folders in GGUF: the same tokens, or a refusal.

use super::*;

/// A folder with SentencePiece's tokenizer, as transformers 5 writes and rebuilds it.
fn sentencepiece_folder(work: &Path) -> PathBuf {
    let base = LoadedModel::open(&parity("gguf/llama.gguf")).unwrap();
    let folder = work.join("pieces");
    crate::adapter::export_model(&folder, &base, None, crate::load::Precision::F32).unwrap();
    folder
}

fn edit(path: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let mut json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    change(&mut json);
    std::fs::write(path, json.to_string()).unwrap();
}

#[test]
fn pieces_of_a_folder_become_scores_types_and_bytes() {
    let work = tempfile::tempdir().unwrap();
    let folder = sentencepiece_folder(work.path());
    let base = LoadedModel::open(&parity("gguf/llama.gguf")).unwrap();
    let texts: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(parity("gguf/texts.json")).unwrap()).unwrap();
    let texts: Vec<&str> =
        texts.as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap()).collect();
    let written = |name: &str| {
        let path = work.path().join(format!("{name}.gguf"));
        let model = LoadedModel::open(&folder).unwrap();
        let notes = export_gguf_model(&path, &model, None, GgufType::F16).unwrap();
        (GgufFile::open(&path).unwrap(), LoadedModel::open(&path).unwrap(), notes)
    };
    let (file, again, notes) = written("prepend");
    assert!(notes.is_empty(), "{notes:?}");
    let original = GgufFile::open(&parity("gguf/llama.gguf")).unwrap();
    for key in ["model", "tokens", "token_type", "bos_token_id", "eos_token_id"] {
        let key = format!("tokenizer.ggml.{key}");
        assert_eq!(file.get(&key), original.get(&key), "{key}");
    }
    for text in &texts {
        let encode = |model: &LoadedModel| model.tokenizer.encode(text).unwrap();
        assert_eq!(encode(&again), encode(&base), "{text:?}");
    }
    // Spaces as transformers' classes put them; the template decides what the file says.
    let prefix = |file: &GgufFile| {
        file.get("tokenizer.ggml.add_space_prefix").and_then(crate::load::GgufValue::as_bool)
    };
    assert_eq!(prefix(&file), Some(true));
    let metaspace = |scheme: &str, template: Option<&str>| {
        edit(&folder.join("tokenizer.json"), |json| {
            json["normalizer"] = serde_json::Value::Null;
            json["pre_tokenizer"] = serde_json::json!({
                "type": "Metaspace", "replacement": "\u{2581}", "split": false,
                "prepend_scheme": scheme,
            });
        });
        edit(&folder.join("tokenizer_config.json"), |json| {
            json["chat_template"] = template.map(str::to_owned).into();
        });
    };
    let each = "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}";
    let spaced =
        "{{ bos_token }}{% for m in messages %} {{ m.content }}{{ eos_token }}{% endfor %}";
    for (scheme, template, wanted) in [
        ("always", Some(each), Some(true)),
        ("always", Some(spaced), Some(false)),
        ("first", Some(each), Some(false)),
        ("first", None, Some(true)),
        ("never", Some(each), Some(false)),
    ] {
        metaspace(scheme, template);
        let (file, _, notes) = written(&format!("{scheme}-{}", template.map_or(0, str::len)));
        assert_eq!(prefix(&file), wanted, "{scheme} {template:?}");
        assert_eq!(notes.is_empty(), scheme == "never", "{notes:?}");
    }
}

#[test]
fn pieces_that_llama_cpp_would_join_otherwise_are_refused() {
    let work = tempfile::tempdir().unwrap();
    let folder = sentencepiece_folder(work.path());
    let path = folder.join("tokenizer.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let merge = |json: &mut serde_json::Value, at: usize| {
        json["model"]["merges"].as_array_mut().unwrap().remove(at)
    };
    type Change<'a> = &'a dyn Fn(&mut serde_json::Value);
    let cases: [(&str, Change<'_>); 6] = [
        ("would join them", &|json| drop(merge(json, 0))),
        ("stand apart", &|json| {
            // The merges of one piece, with another piece's between them.
            let merges = json["model"]["merges"].as_array().unwrap().clone();
            let joined = |pair: &serde_json::Value| {
                format!("{}{}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap())
            };
            let at = (1..merges.len()).find(|i| joined(&merges[*i]) == joined(&merges[i - 1]));
            let moved = merge(json, at.unwrap());
            json["model"]["merges"].as_array_mut().unwrap().push(moved);
        }),
        ("<0xC3>", &|json| {
            let vocabulary = json["model"]["vocab"].as_object_mut().unwrap();
            let id = vocabulary.remove("<0xC3>").unwrap();
            vocabulary.insert("other".to_owned(), id);
        }),
        ("does not have", &|json| json["normalizer"] = serde_json::json!({"type": "NFKC"})),
        ("post-processor", &|json| {
            let end = serde_json::json!({"SpecialToken": {"id": "</s>", "type_id": 0}});
            json["post_processor"]["single"].as_array_mut().unwrap().push(end);
            let ids = serde_json::json!({"id": "</s>", "ids": [2], "tokens": ["</s>"]});
            json["post_processor"]["special_tokens"]["</s>"] = ids;
        }),
        ("sets `ignore_merges`", &|json| json["model"]["ignore_merges"] = true.into()),
    ];
    for (word, change) in cases {
        std::fs::write(&path, &text).unwrap();
        edit(&path, change);
        let model = LoadedModel::open(&folder).unwrap();
        let out = work.path().join("out.gguf");
        let error = export_gguf_model(&out, &model, None, GgufType::F16).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("tokenizer.json"), "{word}: {error}");
        assert!(!out.exists());
    }
}

#[test]
fn white_space_behind_special_tokens_is_removed_as_llama_cpp_removes_it() {
    let work = tempfile::tempdir().unwrap();
    let (_, lora) = open("llama", work.path(), &parity("llama/adapter"), true);
    drop(lora);
    let folder = work.path().join("llama");
    let stripping = |template: &str| {
        edit(&folder.join("tokenizer.json"), |json| {
            json["added_tokens"][1]["rstrip"] = true.into()
        });
        edit(&folder.join("tokenizer_config.json"), |json| json["chat_template"] = template.into());
        let out = work.path().join("out.gguf");
        let model = LoadedModel::open(&folder).unwrap();
        export_gguf_model(&out, &model, None, GgufType::F16).map_err(|error| error.to_string())
    };
    let notes =
        stripping("{% for m in messages %}<user>{{ m.content }}<|end|>{% endfor %}").unwrap();
    assert!(notes.iter().any(|note| note.contains("white space")), "{notes:?}");
    let error =
        stripping("{% for m in messages %}<user>\n{{ m.content }}<|end|>{% endfor %}").unwrap_err();
    assert!(error.contains("<user>") && error.contains("rstrip"), "{error}");
}

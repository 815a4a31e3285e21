//! What the files of a folder say about its tokenizer and templates: as transformers 5 reads them, or refused by name.

use std::path::{Path, PathBuf};

use fedshield_train::data::{Example, Role, Turn};
use fedshield_train::load::open_tokenizer;
use fedshield_train::text::{Template, TextTokenizer};
use serde_json::{Value, json};

fn copy_of(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates/tokenizers").join(name);
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().to_owned();
    (folder, path)
}

/// Changes fields of a JSON file; `null` takes one away.
fn set(path: &Path, fields: Value) {
    let mut file: Value = match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(_) => json!({}),
    };
    for (name, value) in fields.as_object().unwrap() {
        match value {
            Value::Null => file.as_object_mut().unwrap().remove(name),
            value => file.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    std::fs::write(path, file.to_string()).unwrap();
}

fn settings(folder: &Path, fields: Value) {
    set(&folder.join("tokenizer_config.json"), fields);
}

fn example() -> Example {
    let turns = vec![Turn::new(Role::User, "one?"), Turn::new(Role::Assistant, "1")];
    Example::Chat(turns.into())
}

fn refusal(template: Template, tokenizer: &TextTokenizer) -> String {
    template.render(&example(), tokenizer).unwrap_err().to_string()
}

#[test]
fn the_first_token_is_that_of_the_post_processor_and_a_setting_must_agree() {
    let (_guard, folder) = copy_of("bos_by_post_processor");
    assert_eq!(open_tokenizer(&folder).unwrap().bos, Some(1));
    settings(&folder, json!({"add_bos_token": true}));
    let tokenizer = open_tokenizer(&folder).unwrap();
    assert_eq!(tokenizer.bos, Some(1));
    assert!(Template::Vicuna.render(&example(), &tokenizer).is_ok());
    settings(&folder, json!({"add_bos_token": false}));
    let error = refusal(Template::Vicuna, &open_tokenizer(&folder).unwrap());
    assert!(error.contains("add_bos_token = false"), "{error}");
    let (_guard, folder) = copy_of("byte_level");
    assert_eq!(open_tokenizer(&folder).unwrap().bos, None);
}

#[test]
fn what_is_named_and_not_there_is_refused() {
    for (fields, expected) in [
        (json!({"eos_token": "<|eot|>"}), "eos_token \"<|eot|>\" is not in tokenizer.json"),
        (
            json!({"added_tokens_decoder": {"900": {"content": "<new>"}}}),
            "\"<new>\" has the number 900",
        ),
        (json!({"added_tokens_decoder": {"0": {"content": "<s>"}}}), "has the number 0 here and 1"),
    ] {
        let (_guard, folder) = copy_of("byte_level");
        settings(&folder, fields);
        let error = open_tokenizer(&folder).err().map(|error| error.to_string()).unwrap();
        assert!(error.contains(expected), "{error}");
    }
    let (_guard, folder) = copy_of("byte_level");
    std::fs::write(folder.join("generation_config.json"), "{").unwrap();
    assert!(open_tokenizer(&folder).is_err());
}

#[test]
fn what_ends_an_answer_may_stand_in_any_of_three_files() {
    let (_guard, folder) = copy_of("byte_level");
    settings(&folder, json!({"eos_token": {"content": "<|im_end|>"}}));
    set(&folder.join("generation_config.json"), json!({"eos_token_id": [2, 0]}));
    assert_eq!(open_tokenizer(&folder).unwrap().eos, [4, 2, 0]);
}

#[test]
fn templates_come_from_where_transformers_finds_them() {
    let text = |tokenizer: &TextTokenizer| {
        Template::Model.render(&example(), tokenizer).map(|mut all| all.remove(0).text)
    };
    let (_guard, folder) = copy_of("byte_level");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let body =
        |name: &str| format!("{name}{{% for m in messages %}}{{{{ m.content }}}}{{% endfor %}}");
    let named = |name: &str| json!({"name": name, "template": body(name)});
    write("chat_template.json", r#"{"chat_template": "x"}"#);
    let error = refusal(Template::Model, &open_tokenizer(&folder).unwrap());
    assert!(error.contains("chat_template.json"), "{error}");
    settings(&folder, json!({"chat_template": [named("rag"), named("tool_use")]}));
    let error = refusal(Template::Model, &open_tokenizer(&folder).unwrap());
    assert!(error.contains("none of them is the default: rag, tool_use"), "{error}");
    settings(&folder, json!({"chat_template": [named("default"), named("tool_use")]}));
    let tokenizer = open_tokenizer(&folder).unwrap();
    assert_eq!(text(&tokenizer).unwrap(), "defaultone?1");
    let Example::Chat(mut chat) = example() else { unreachable!() };
    chat.tools = Some(serde_json::from_str("[]").unwrap());
    let with_tools = Template::Model.render(&Example::Chat(chat), &tokenizer).unwrap();
    assert_eq!(with_tools[0].text, "tool_useone?1");
    write("chat_template.jinja", &body("file"));
    write("additional_chat_templates/rag.jinja", "x");
    let tokenizer = open_tokenizer(&folder).unwrap();
    assert_eq!(text(&tokenizer).unwrap(), "fileone?1");
    assert_eq!(tokenizer.tool_template, None);
}

//! Tokenizer classes that transformers 5 builds in its own way: it takes vocabulary, merges, added
//! tokens and post-processor from `tokenizer.json` and splits text as the class does. The class
//! depends on the model, too.

use serde_json::{Map, Value, json};

/// How a tokenizer is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// As `tokenizer.json` specifies.
    File,
    Llama,
    Qwen2,
    Gemma,
    Gpt2,
}

impl Class {
    /// The class that `AutoTokenizer` of transformers 5.24 chooses for a model of this type with
    /// these settings.
    pub(super) fn of(model_type: &str, settings: &Map<String, Value>) -> Self {
        let named = settings.get("tokenizer_class").and_then(Value::as_str);
        match (model_type, named.map(|name| name.trim_end_matches("Fast"))) {
            ("mistral" | "phi3" | "granite" | "olmo2", _) => Self::File,
            ("qwen2", _) => Self::Qwen2,
            (_, Some("LlamaTokenizer")) => Self::Llama,
            (_, Some("Qwen2Tokenizer")) => Self::Qwen2,
            (_, Some("GemmaTokenizer")) => Self::Gemma,
            (_, Some("GPT2Tokenizer")) => Self::Gpt2,
            ("qwen3", None) => Self::Qwen2,
            ("gemma3_text" | "gemma3", None) => Self::Gemma,
            _ => Self::File,
        }
    }

    /// The special tokens of a class that the settings do not name.
    pub(super) fn usual(self, name: &str) -> Option<&'static str> {
        match (self, name) {
            (Self::Llama, "bos_token") => Some("<s>"),
            (Self::Llama, "eos_token") => Some("</s>"),
            (Self::Llama | Self::Gemma, "unk_token") => Some("<unk>"),
            (Self::Gemma, "bos_token") => Some("<bos>"),
            (Self::Gemma, "eos_token") => Some("<eos>"),
            (Self::Gemma, "pad_token") => Some("<pad>"),
            (Self::Gemma, "mask_token") => Some("<mask>"),
            (Self::Qwen2, "eos_token" | "pad_token" | "unk_token") => Some("<|endoftext|>"),
            (Self::Gpt2, "bos_token" | "eos_token" | "unk_token") => Some("<|endoftext|>"),
            _ => None,
        }
    }

    /// A `tokenizer.json` that builds what the class builds; `None` if that is the file itself.
    pub(super) fn rebuilt(self, bytes: &[u8], settings: &Map<String, Value>) -> Option<Vec<u8>> {
        let mut file: Value = serde_json::from_slice(bytes).ok()?;
        let is_bpe = file["model"]["type"] == "BPE";
        let in_bytes = file["pre_tokenizer"].to_string().contains("\"ByteLevel\"");
        let flag = |name: &str| settings.get(name).and_then(Value::as_bool);
        let prefix = flag("add_prefix_space");
        let (normalizer, words) = match self {
            Self::File => return None,
            // Byte-level files sometimes name another model's class by mistake; transformers
            // handles that, too.
            Self::Llama if in_bytes => return None,
            _ if !is_bpe => return None,
            Self::Llama => {
                let scheme = match (prefix, flag("legacy")) {
                    (Some(false), _) => "never",
                    (_, Some(true)) => "always",
                    _ => "first",
                };
                let words = json!({
                    "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme,
                    "split": false,
                });
                (Value::Null, words)
            }
            Self::Gemma => {
                let space = json!({"String": " "});
                let to = "\u{2581}";
                let normalizer = json!({"type": "Replace", "pattern": space, "content": to});
                (normalizer, split(&space, "MergedWithPrevious"))
            }
            Self::Qwen2 => {
                let words = split(&json!({"Regex": QWEN2}), "Isolated");
                let steps = json!([words, bytes_of_words(prefix == Some(true), false)]);
                (json!({"type": "NFC"}), json!({"type": "Sequence", "pretokenizers": steps}))
            }
            Self::Gpt2 => (Value::Null, bytes_of_words(prefix == Some(true), true)),
        };
        file["normalizer"] = normalizer;
        file["pre_tokenizer"] = words;
        let in_pieces = matches!(self, Self::Llama | Self::Gemma);
        let model = &mut file["model"];
        for (key, value) in
            [("fuse_unk", in_pieces), ("byte_fallback", in_pieces), ("ignore_merges", false)]
        {
            model[key] = value.into();
        }
        let unknown = settings.get("unk_token").and_then(super::folder::spelling);
        model["unk_token"] = match self {
            Self::Gemma => unknown.or(self.usual("unk_token")).into(),
            _ => Value::Null,
        };
        serde_json::to_vec(&file).ok()
    }
}

const QWEN2: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\
                     \\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

fn split(pattern: &Value, behavior: &str) -> Value {
    json!({"type": "Split", "pattern": pattern, "behavior": behavior, "invert": false})
}

fn bytes_of_words(prefix: bool, use_regex: bool) -> Value {
    json!({
        "type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true,
        "use_regex": use_regex,
    })
}

//! How text is split into words before byte-level BPE: what `tokenizer.ggml.pre` names. The
//! patterns are those of the models' own `tokenizer.json`, with which they were trained. llama.cpp
//! derives its own from these, with differences outside ASCII: in `tekken` and `gpt-4o`, letters
//! have no case and marks are not letters; in `qwen2`, text is not normalised (NFC) first.

use serde_json::{Value as Json, json};

use super::byte_level::bytes;
use super::reader::{GgufFile, Value};

/// One name for each way of splitting, used in files that this crate writes.
pub(crate) const WRITTEN: [&str; 8] =
    ["smollm", "llama-bpe", "dbrx", "qwen2", "gpt-2", "tekken", "gpt-4o", "deepseek-v3"];

/// How text is normalised and split into words.
pub(crate) struct Splitting {
    pub(crate) normalizer: Json,
    pub(crate) words: Json,
    /// A word that is itself a token is not split further, whatever the merges say.
    pub(crate) ignore_merges: bool,
    /// Whether sequences start with the BOS token unless the file says otherwise.
    pub(super) starts: bool,
}

const CONTRACTIONS: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST: &str = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const CAPITALS: &str = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const SMALL: &str = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
/// Cased letters, as DeepSeek's first tokenizer lists them: fewer than Unicode has.
const CASED: &str = "\
    \\x{41}-\\x{5a}\\x{61}-\\x{7a}\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\
    \\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\
    \\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\
    \\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\
    \\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\
    \\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\
    \\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\
    \\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}\
    \\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\
    \\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\
    \\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\
    \\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\
    \\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\
    \\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\
    \\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\
    \\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\
    \\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}";
/// Chinese and Korean characters, as DeepSeek's first tokenizers list them.
const EAST_ASIAN: &str = "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+";

/// The splitting that a pre-tokenizer's name means; without a name, llama.cpp's default.
pub(crate) fn splitting(pre: Option<&str>) -> std::result::Result<Splitting, String> {
    let name = pre.unwrap_or("default");
    // Names that use GPT-2's pattern, some of them after splitting numbers into digits.
    let (gpt2, digits) = match name {
        "gpt-2" | "phi-2" | "gigachat" | "exaone4" | "trillion" | "olmo" | "mpt" | "jais" => {
            (true, false)
        }
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b" => {
            (true, true)
        }
        _ => (false, false),
    };
    let patterns = match (gpt2, digits) {
        (true, false) => Vec::new(),
        (true, true) => vec!["\\p{N}".to_owned()],
        _ => patterns(name).ok_or_else(|| {
            format!(
                "pre-tokenizer {name:?} is not supported: its words are cut in a way that is not \
                 known here, and \
                 every token after would be another. Take the model as a Hugging Face folder"
            )
        })?,
    };
    let mut steps: Vec<Json> = patterns.iter().map(|pattern| isolated(pattern)).collect();
    steps.push(bytes(gpt2));
    let whole = LLAMA3.contains(&name) || name == "tekken";
    let normalizer = if name == "qwen2" { json!({"type": "NFC"}) } else { Json::Null };
    let words = json!({"type": "Sequence", "pretokenizers": steps});
    Ok(Splitting { normalizer, words, ignore_merges: whole, starts: whole })
}

/// Names that use Llama 3's pattern and take words that are tokens as a whole.
const LLAMA3: [&str; 8] =
    ["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"];

/// The patterns that are applied to a text in turn; `None` for an unknown name.
fn patterns(name: &str) -> Option<Vec<String>> {
    Some(match name {
        "default" => default_patterns(),
        name if LLAMA3.contains(&name) => vec![words("\\p{N}{1,3}")],
        "dbrx" | "smaug-bpe" => vec![words("\\p{N}{1,3}")],
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" | "hunyuan" | "megrez" => vec![words("\\p{N}")],
        "tekken" => vec![cased("", "\\p{N}")],
        "gpt-4o" | "llama4" | "kanana2" => vec![cased(CONTRACTIONS, "\\p{N}{1,3}")],
        "deepseek-llm" => vec![
            "[\\r\\n]".to_owned(),
            format!("\\s?[{CASED}]+"),
            "\\s?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+"
                .to_owned(),
            "\\s+$".to_owned(),
            EAST_ASIAN.to_owned(),
            "\\p{N}+".to_owned(),
        ],
        "deepseek-coder" => {
            ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", EAST_ASIAN, "\\p{N}"]
                .map(str::to_owned)
                .into()
        }
        "deepseek-v3" => vec![
            "\\p{N}{1,3}".to_owned(),
            "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+".to_owned(),
            [
                "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+",
                "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+",
                " ?[\\p{P}\\p{S}]+[\\r\\n]*",
                REST,
            ]
            .join("|"),
        ],
        _ => return None,
    })
}

/// The warning for a file that does not name its pre-tokenizer.
pub(super) fn warning(file: &GgufFile) -> Option<String> {
    let byte_level = file.get("tokenizer.ggml.model").and_then(Value::as_str) == Some("gpt2");
    let named = file.get("tokenizer.ggml.pre").is_some();
    (byte_level && !named).then(|| {
        format!(
            "{}: tokenizer.ggml.pre is missing, so words are cut by llama.cpp's default, which is \
             hardly what the model was \
             trained with. THE MODEL WILL BE WORSE THAN IT IS: convert it again, or take it as a \
             Hugging Face folder",
            file.path.display()
        )
    })
}

fn isolated(pattern: &str) -> Json {
    json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
}

/// The word pattern of GPT-4 and Llama 3; `digits` matches a group of digits.
fn words(digits: &str) -> String {
    format!(
        "{CONTRACTIONS}|[^\\r\\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|{digits}| \
         ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n]*|{REST}"
    )
}

/// Words split before a capital letter, as in the patterns of GPT-4o and Tekken, each with
/// `ending`.
fn cased(ending: &str, digits: &str) -> String {
    let ending = if ending.is_empty() { String::new() } else { format!("{ending}?") };
    let before = "[^\\r\\n\\p{L}\\p{N}]?";
    format!(
        "{before}{CAPITALS}*{SMALL}+{ending}|{before}{CAPITALS}+{SMALL}*{ending}|{digits}| \
         ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n/]*|{REST}"
    )
}

/// llama.cpp's default.
fn default_patterns() -> Vec<String> {
    let gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";
    ["[\\p{P}\\$\\+<=>\\^~\\|]+", gpt2, "\\p{N}+", "[0-9][0-9][0-9]"].map(str::to_owned).into()
}

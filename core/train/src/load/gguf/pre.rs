//! How text is cut into words before byte-level BPE: what `tokenizer.ggml.pre` names. The patterns
//! are those of the models' own `tokenizer.json`, which is what they were trained with; llama.cpp's
//! are made from them, with differences outside of ASCII: letters have no case there and marks are
//! no letters (`tekken`, `gpt-4o`), and text is not composed first (`qwen2`).

use serde_json::{Value as Json, json};

use super::byte_level::bytes;
use super::reader::{GgufFile, Value};

/// Names that stand for all those of the same splitting, in files that are written.
pub(crate) const WRITTEN: [&str; 7] =
    ["smollm", "llama-bpe", "qwen2", "gpt-2", "tekken", "gpt-4o", "deepseek-v3"];

/// How text is prepared and cut into words.
pub(crate) struct Splitting {
    pub(crate) normalizer: Json,
    pub(crate) words: Json,
    /// A word that is a token is taken whole, whatever the merges say.
    pub(crate) ignore_merges: bool,
    /// Sequences start with the BOS token unless the file says otherwise.
    pub(super) starts: bool,
}

const CONTRACTIONS: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST: &str = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const CAPITALS: &str = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const SMALL: &str = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
/// Letters that have case, as DeepSeek's first tokenizer lists them.
const CASED: &str = "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ\
Ὗ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃";

/// What a pre-tokenizer's name stands for; no name stands for llama.cpp's default.
pub(crate) fn splitting(pre: Option<&str>) -> std::result::Result<Splitting, String> {
    let name = pre.unwrap_or("default");
    // Names that go by GPT-2's pattern, some after cutting digits one by one.
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

/// Names of Llama 3's pattern whose words may be tokens as a whole.
const LLAMA3: [&str; 8] =
    ["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"];

/// The patterns that a text is cut by, one after the other; `None` for a name that is not known.
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
            "\\s?[!-/:-~！-／：-～‘-‟　-。]+".to_owned(),
            "\\s+$".to_owned(),
            "[一-龥ࠀ-一가-퟿]+".to_owned(),
            "\\p{N}+".to_owned(),
        ],
        "deepseek-coder" => {
            ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}"]
                .map(str::to_owned)
                .into()
        }
        "deepseek-v3" => vec![
            "\\p{N}{1,3}".to_owned(),
            "[一-龥぀-ゟ゠-ヿ]+".to_owned(),
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

/// What to say of a file that does not name its pre-tokenizer.
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

/// Words as GPT-4's and Llama 3's pattern splits them; `digits` matches a group of them.
fn words(digits: &str) -> String {
    format!(
        "{CONTRACTIONS}|[^\\r\\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|{digits}| \
         ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n]*|{REST}"
    )
}

/// Words cut before a capital letter, as GPT-4o's and Tekken's patterns do, each with `ending`.
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

//! The first tokens of a truncated text are those of the whole text, for every kind of tokenizer
//! that models have.

use fedshield_train_tools::synth::Corpus;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::models::unigram::{Unigram, UnigramTrainerBuilder};
use tokenizers::normalizers::{Prepend, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

use super::*;
use crate::random::Stream;

/// How Llama 3 splits words; Qwen differs only in how it splits numbers.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Longer than the text of any first attempt.
const LONG: usize = 96 << 10;

fn han(bytes: usize, marks: bool) -> String {
    let mut stream = Stream::new([7; 32], "han");
    let mut text = String::new();
    while text.len() < bytes {
        let draw = (stream.unit() * 900.0) as u32;
        text.push(match draw {
            0..40 if marks => '，',
            40..60 if marks => '。',
            _ => char::from_u32(0x4e00 + draw).unwrap(),
        });
    }
    text
}

fn prose() -> String {
    Corpus::new(5).take(400).map(|document| document.text).collect::<Vec<_>>().join("\n\n")
}

fn random(alphabet: &str, bytes: usize) -> String {
    let letters: Vec<char> = alphabet.chars().collect();
    let mut stream = Stream::new([9; 32], "letters");
    let mut text = String::new();
    while text.len() < bytes {
        text.push(letters[(stream.unit() * letters.len() as f64) as usize]);
    }
    text
}

fn texts() -> Vec<(&'static str, String)> {
    let prose = prose();
    vec![
        ("prose", prose.repeat(LONG / prose.len() + 1)),
        ("prose without spaces", prose.replace([' ', '\n'], "").repeat(LONG / prose.len() + 1)),
        ("lines", prose.replace(' ', "\n").repeat(LONG / prose.len() + 1)),
        ("Chinese", han(LONG, true)),
        ("Chinese without marks", han(LONG, false)),
        (
            "base 64",
            random("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", LONG),
        ),
        ("digits", random("0123456789", LONG)),
        ("words and digits", random("abcdefghij     0123\n\t.,;'", LONG)),
        ("marks on letters", random("ae\u{301}\u{308}o\u{327} \u{200d}👩🔬", LONG)),
        ("spaces", " ".repeat(LONG)),
        ("one letter", "a".repeat(LONG)),
        ("two letters", "ab".repeat(LONG / 2)),
        ("words of one letter", "a ".repeat(LONG / 2)),
        ("a rule", "=-".repeat(LONG / 2)),
        ("spaces, then words", " ".repeat(40 << 10) + &prose),
        ("template marks", "<|im_end|>\n<|im_start|>user\nx ".repeat(LONG / 30)),
    ]
}

fn train_texts() -> Vec<String> {
    let prose = Corpus::new(5).take(400).map(|document| document.text);
    prose.chain([han(8 << 10, true), "  ==  --  aa aaaa ab abab 123 2024".repeat(20)]).collect()
}

fn trained(mut tokenizer: Tokenizer) -> TextTokenizer {
    let texts = train_texts().into_iter();
    match tokenizer.get_model() {
        tokenizers::ModelWrapper::Unigram(_) => {
            let trainer = UnigramTrainerBuilder::default()
                .vocab_size(1500)
                .show_progress(false)
                .unk_token(Some("<unk>".to_owned()))
                .special_tokens(vec![tokenizers::AddedToken::from("<unk>", true)])
                .build()
                .unwrap();
            let mut trainer = tokenizers::models::TrainerWrapper::from(trainer);
            tokenizer.train(&mut trainer, texts).unwrap();
        }
        _ => {
            let mut trainer: tokenizers::models::TrainerWrapper = BpeTrainerBuilder::new()
                .vocab_size(2500)
                .min_frequency(2)
                .show_progress(false)
                .max_token_length(Some(16))
                .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
                .build()
                .into();
            tokenizer.train(&mut trainer, texts).unwrap();
        }
    }
    TextTokenizer::new(tokenizer, None, Vec::new())
}

fn shipped() -> TextTokenizer {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/base/tokenizer.json");
    TextTokenizer::from_file(&path, None, Vec::new()).unwrap()
}

fn byte_level() -> TextTokenizer {
    let mut tokenizer = Tokenizer::new(BPE::default());
    let split =
        Split::new(SplitPattern::Regex(LLAMA3.to_owned()), SplitDelimiterBehavior::Isolated, false);
    let bytes = ByteLevel::new(false, false, false);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![split.unwrap().into(), bytes.into()])));
    trained(tokenizer)
}

/// As in Llama 2 and GGUF's SentencePiece: merges apply to the whole text, and nothing splits it
/// into words.
fn without_words() -> TextTokenizer {
    let mut tokenizer = Tokenizer::new(BPE::default());
    let spaces = Replace::new(" ", "▁").unwrap();
    tokenizer.with_normalizer(Some(Normalizers::new(vec![
        Prepend::new("▁".to_owned()).into(),
        spaces.into(),
    ])));
    trained(tokenizer)
}

fn unigram() -> TextTokenizer {
    let mut tokenizer = Tokenizer::new(Unigram::default());
    tokenizer.with_pre_tokenizer(Some(Metaspace::new('▁', PrependScheme::First, true)));
    trained(tokenizer)
}

fn assert_same(name: &str, tokenizer: &TextTokenizer, skip: &[&str]) {
    for (kind, text) in texts().iter().filter(|(kind, _)| !skip.contains(kind)) {
        let whole = tokenizer.encode(text).unwrap();
        for wanted in [1, 65, 513, 2049] {
            let first = tokenizer.encode_first(text, wanted).unwrap();
            assert_eq!(first, whole[..wanted.min(whole.len())], "{name}, {kind}, {wanted}");
        }
        let counted = tokenizer.count(text).unwrap();
        let off = counted.abs_diff(whole.len());
        // A cut costs the tokens that lie across it. Digits without an end are taken in threes, and
        // a cut moves all threes behind it, of which another share are single tokens.
        let most = 80 * (text.len() / COUNTED_BYTES) + whole.len() / 500;
        assert!(off <= most, "{name}, {kind}: {counted}, not {}", whole.len());
    }
}

#[test]
fn first_tokens_are_those_of_the_whole_text() {
    assert_same("shipped", &shipped(), &[]);
    assert_same("byte level", &byte_level(), &[]);
    assert_same("no words", &without_words(), &[]);
    // Where one piece repeats to the end, its best split starts with the remainder, which depends
    // on the length of the text.
    assert_same("unigram", &unigram(), &["one letter", "two letters", "a rule", "spaces"]);
}

/// An added token may be longer than any margin, and may contain spaces.
#[test]
fn a_cut_in_a_long_added_token_changes_nothing() {
    let mut json: serde_json::Value = serde_json::from_str(&shipped().to_json().unwrap()).unwrap();
    let long = "lorem ipsum ".repeat(400);
    json["added_tokens"].as_array_mut().unwrap().push(serde_json::json!({
        "id": shipped().vocab_size(), "content": long, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": false}));
    let json = json.to_string();
    let tokenizer = TextTokenizer::from_bytes(json.as_bytes(), None, Vec::new()).unwrap();
    for shift in (0..6000).step_by(500) {
        // The prefix makes the cut fall inside the long token, after as many tokens as are wanted.
        for wanted in [64, 1000, 5000] {
            let end = FIRST_BYTES + FIRST_BYTES_PER_TOKEN * wanted;
            let text = "x y ".repeat((end - shift) / 4) + &long.repeat(20);
            let whole = tokenizer.encode(&text).unwrap();
            let first = tokenizer.encode_first(&text, wanted).unwrap();
            assert_eq!(first, whole[..wanted.min(whole.len())], "{shift}, {wanted}");
        }
    }
}

#[test]
fn a_short_text_is_tokenised_whole() {
    let tokenizer = shipped();
    for text in ["", "a", "Hello world, this is a text."] {
        let whole = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.encode_first(text, usize::MAX).unwrap(), whole);
        assert_eq!(tokenizer.encode_first(text, 2).unwrap(), whole[..whole.len().min(2)]);
    }
}

#[test]
fn what_no_tokenizer_can_read_is_refused() {
    let json = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "u", "vocab": {"u": 0, "a": 1}},
    });
    let tokenizer =
        TextTokenizer::from_bytes(json.to_string().as_bytes(), None, Vec::new()).unwrap();
    let error = tokenizer.encode_first(&"x".repeat(1 << 20), 8).unwrap_err().to_string();
    assert!(error.contains("258 KiB of text make 1 tokens"), "{error}");
    // Any number of words that it can read.
    assert_eq!(tokenizer.encode_first(&"a ".repeat(1 << 19), 8).unwrap(), [1; 8]);
}

#[test]
fn a_cut_is_behind_a_word_or_between_characters() {
    assert_eq!(cut("one two three", 100), "one two three");
    assert_eq!(cut("one two three", 8), "one two");
    assert_eq!(cut("ääää", 5), "ää");
    assert_eq!(cut("a     bcdefghij", 12), "a     bcdefg");
}

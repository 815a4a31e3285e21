//! Writes the data of the demo and the tokenizer of the shipped model.
//!
//! ```text
//! cargo run --example make_corpus -- core/train/assets [--show 20]
//! cargo run --example make_corpus -- FOLDER --test-notes 200
//! ```
//!
//! The first argument is the folder for `domains/NAME.jsonl`, `hospitals/NAME.PART.jsonl`,
//! `base/tokenizer.json` and `base/tokenizer_config.json`. `--show N` prints N documents of the corpus instead;
//! `--test-notes N` writes into the folder the hospitals alone, with N test notes each. There is no
//! input: everything follows from seeds in the code.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs;
use std::path::Path;

use fedshield_train_tools::synth::{
    Corpus, Domain, Example, Hospital, Parts, TEMPLATE_PARTS, to_jsonl,
};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer};

/// Number of documents on which the tokenizer is trained; their seed is not used in pretraining.
const TOKENIZER_DOCUMENTS: usize = 40_000;
const TOKENIZER_SEED: u64 = 1;
/// Examples of each domain on which the tokenizer is trained, so that their words are not split
/// into letters.
const TOKENIZER_EXAMPLES: usize = 2000;
/// Notes of each hospital, for the same purpose; their patients are none of the shipped ones.
const TOKENIZER_NOTES: usize = 800;
const VOCABULARY: usize = 2048;
/// Ends a document; generation stops at it.
const END: &str = "<|end|>";
/// Padding of a batch; never carries a loss.
const PAD: &str = "<|pad|>";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: make_corpus FOLDER [--show N | --test-notes N]";
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let folder = Path::new(words.first().ok_or(usage)?);
    match words[1..] {
        [] => {
            write_domains(&folder.join("domains"))?;
            write_hospitals(&folder.join("hospitals"), Hospital::shipped)?;
            fs::write(folder.join("hospitals/questions.jsonl"), to_jsonl(&Hospital::questions()))?;
            write_tokenizer(&folder.join("base"))
        }
        ["--test-notes", count] => {
            let count = count.parse()?;
            write_hospitals(folder, |hospital| hospital.with_test_notes(count))
        }
        ["--show", count] => {
            for document in Corpus::new(0).take(count.parse()?) {
                println!("{:.1} nats\n{}\n", document.nats, document.text);
            }
            Ok(())
        }
        _ => Err(usage.into()),
    }
}

fn write_domains(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    for domain in Domain::ALL {
        let examples = domain.shipped();
        fs::write(folder.join(format!("{}.jsonl", domain.name())), to_jsonl(&examples))?;
        println!("{}: {} examples", domain.name(), examples.len());
    }
    Ok(())
}

fn write_hospitals(folder: &Path, notes: impl Fn(Hospital) -> Parts) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    for hospital in Hospital::all() {
        let parts = notes(hospital);
        let name = hospital.name().to_lowercase();
        for (part, examples) in
            [("train", parts.train), ("validation", parts.validation), ("test", parts.test)]
        {
            fs::write(folder.join(format!("{name}.{part}.jsonl")), to_jsonl(&examples))?;
        }
    }
    Ok(())
}

fn write_tokenizer(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    let tokenizer = train_tokenizer().map_err(|e| e.to_string())?;
    let path = folder.join("tokenizer.json");
    tokenizer.save(&path, true).map_err(|e| e.to_string())?;
    fs::write(folder.join("tokenizer_config.json"), TOKENIZER_CONFIG)?;
    report_lengths(&tokenizer)?;
    println!("{}: {} tokens", path.display(), tokenizer.get_vocab_size(true));
    Ok(())
}

fn train_tokenizer() -> tokenizers::Result<Tokenizer> {
    let mut tokenizer = Tokenizer::new(BPE::default());
    // Single digits, so that a number can be copied digit by digit; then words with their leading
    // space.
    let pieces: Vec<PreTokenizerWrapper> =
        vec![Digits::new(true).into(), ByteLevel::new(false, false, true).into()];
    tokenizer.with_pre_tokenizer(Some(Sequence::new(pieces)));
    tokenizer.with_decoder(Some(ByteLevel::new(false, false, true)));
    let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let mut trainer: TrainerWrapper = BpeTrainerBuilder::new()
        .vocab_size(VOCABULARY - TEMPLATE_PARTS.len())
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(alphabet.into_iter().collect())
        .special_tokens(vec![AddedToken::from(END, true), AddedToken::from(PAD, true)])
        .build()
        .into();
    // Otherwise merges would be spent on the template, whose parts are added as tokens below.
    tokenizer.train(&mut trainer, training_texts().into_iter())?;
    // Not special, so that decoded text shows the template.
    let parts = TEMPLATE_PARTS.map(|part| AddedToken::from(part, false).normalized(false));
    tokenizer.add_tokens(&parts);
    Ok(tokenizer)
}

fn training_texts() -> Vec<String> {
    let general = Corpus::new(TOKENIZER_SEED).take(TOKENIZER_DOCUMENTS).map(|d| d.text);
    let text = |example: Example| example.prompt() + &example.output;
    let domains = Domain::ALL
        .into_iter()
        .flat_map(|domain| domain.examples(TOKENIZER_SEED, TOKENIZER_EXAMPLES))
        .map(text);
    let hospitals = Hospital::all()
        .flat_map(|hospital| hospital.examples(TOKENIZER_SEED, TOKENIZER_NOTES))
        .map(text);
    let strip =
        |text: String| TEMPLATE_PARTS.iter().fold(text, |text, part| text.replace(part, "\n"));
    general.chain(domains).chain(hospitals).map(strip).collect()
}

/// Prints how many tokens the examples of each organisation have.
fn report_lengths(tokenizer: &Tokenizer) -> Result<(), Box<dyn Error>> {
    let domains = Domain::ALL.into_iter().map(|domain| (domain.name(), domain.shipped()));
    let hospitals = Hospital::all().map(|hospital| (hospital.name(), hospital.shipped().train));
    for (name, examples) in domains.chain(hospitals) {
        let mut prompt = 0;
        let mut longest = 0;
        let mut total = 0;
        for example in &examples {
            let count = |text: &str| {
                tokenizer.encode(text, false).map(|e| e.len()).map_err(|e| e.to_string())
            };
            let (head, answer) = (count(&example.prompt())?, count(&example.output)? + 1);
            prompt += head;
            total += head + answer;
            longest = longest.max(head + answer);
        }
        let mean = |sum: usize| sum as f64 / examples.len() as f64;
        println!(
            "{name}: prompt {:.1} tokens, whole example {:.1}, longest {longest}",
            mean(prompt),
            mean(total)
        );
    }
    Ok(())
}

/// The settings that transformers needs besides `tokenizer.json`.
const TOKENIZER_CONFIG: &str = r####"{
  "tokenizer_class": "PreTrainedTokenizerFast",
  "model_max_length": 256,
  "bos_token": "<|end|>",
  "eos_token": "<|end|>",
  "pad_token": "<|pad|>",
  "add_bos_token": false,
  "clean_up_tokenization_spaces": false
}
"####;

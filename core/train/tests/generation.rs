//! Generation with kept keys and values: the tokens are those of whole passes, with and without windows, and each new one
//! costs one position wherever it stands.

use std::ops::ControlFlow;
use std::path::Path;

use fedshield_train::adapter::{LoraAdapter, PeftAdapter};
use fedshield_train::data::{Example, Role, Turn};
use fedshield_train::load::LoadedModel;
use fedshield_train::model::{BasePrecision, Decoder};
use fedshield_train::text::{Rendered, Template};
use fedshield_train::{
    Answer, AnswerEnd, Generation, Sampling, TrainSettings, Trainer, Valid, adapter_logits, cpu,
};

/// A family's tiny model with a tokenizer of 64 words and a long context, and its adapter.
fn open(family: &str, work: &Path) -> (Trainer, Decoder, LoraAdapter) {
    open_with(family, work, None)
}

/// The same, whose template writes this token behind an answer.
fn open_with(family: &str, work: &Path, stop: Option<u32>) -> (Trainer, Decoder, LoraAdapter) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(family);
    let folder = work.join(format!("{family}{}", stop.unwrap_or_default()));
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(&from).unwrap().flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
    let path = folder.join("config.json");
    let mut config: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    config["max_position_embeddings"] = 1200.into();
    std::fs::write(&path, config.to_string()).unwrap();
    let vocabulary: serde_json::Map<_, _> = (0..64)
        .map(|i| match i {
            2 => ("<end>".to_owned(), i.into()),
            i if stop == Some(i) => ("<stop>".to_owned(), i.into()),
            i => (format!("w{i}"), i.into()),
        })
        .collect();
    let added = |id: u32, content: &str| {
        serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true})
    };
    let added: Vec<_> =
        std::iter::once(added(2, "<end>")).chain(stop.map(|id| added(id, "<stop>"))).collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added,
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
        "decoder": null, "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w0"},
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    // transformers' classes for Qwen 2 and Gemma would name tokens that these words lack.
    let special = ["eos_token", "bos_token", "pad_token", "unk_token"].map(|name| (name, "<end>"));
    let named = std::collections::BTreeMap::from(special);
    std::fs::write(folder.join("tokenizer_config.json"), serde_json::json!(named).to_string())
        .unwrap();
    let mut model = LoadedModel::open(&folder).unwrap();
    model.tokenizer.chat_template = stop.map(|_| ENDED_BY_STOP.to_owned());
    let adapter =
        PeftAdapter::open(&from.join("adapter")).and_then(|peft| peft.lora(&model.config)).unwrap();
    let decoder = model.decoder(&cpu(), BasePrecision::F32).unwrap();
    let settings =
        Valid::new(TrainSettings { device: "cpu".parse().unwrap(), ..TrainSettings::default() })
            .unwrap();
    (Trainer::new(model, settings).unwrap(), decoder, adapter)
}

const ENDED_BY_STOP: &str = "{% for m in messages %}{{ m.content }}\
    {% if m.role == 'assistant' %} <stop>{% endif %}{% endfor %}";

fn words(ids: &[u32]) -> String {
    ids.iter().map(|id| format!("w{id}")).collect::<Vec<_>>().join(" ")
}

/// Plain text, which no template surrounds.
fn rendered(trainer: &Trainer, prompt: String) -> Rendered {
    let example = Example::Completion { prompt, completion: "w3".to_owned() };
    Template::Alpaca.render_prompt(&example, trainer.tokenizer()).unwrap()
}

fn ask(trainer: &Trainer, generation: &mut Generation, prompt: &[u32], tokens: usize) -> Answer {
    let prompt = rendered(trainer, words(prompt));
    let sampling = Sampling { max_tokens: tokens, ..Sampling::default() };
    let mut streamed = String::new();
    let on_text = &mut |piece: &str| {
        streamed.push_str(piece);
        ControlFlow::Continue(())
    };
    let answer = trainer.continue_with(generation, &prompt, &sampling, on_text).unwrap();
    assert_eq!(streamed, answer.text);
    answer
}

/// The greedy continuation by whole passes.
fn whole(decoder: &Decoder, adapter: &LoraAdapter, prompt: &[u32], tokens: usize) -> Vec<u32> {
    let mut ids = prompt.to_vec();
    while ids.len() < prompt.len() + tokens {
        let logits = adapter_logits(decoder, adapter, &ids, ids.len());
        let last = &logits[logits.len() - 64..];
        let next = (0..64).max_by(|x, y| last[*x].total_cmp(&last[*y])).unwrap() as u32;
        if next == 2 {
            break;
        }
        ids.push(next);
    }
    ids.split_off(prompt.len())
}

fn prompt(len: usize) -> Vec<u32> {
    (0..len as u32).map(|i| 3 + (i * 17 + i * i * 5) % 61).collect()
}

#[test]
fn kept_positions_give_the_tokens_of_whole_passes() {
    let work = tempfile::tempdir().unwrap();
    for family in [
        "llama3",
        "mistral",
        "qwen3_moe_step",
        "qwen2_window",
        "qwen3_window",
        "gemma3",
        "smollm3",
        "phi3",
        "phi4",
        "granite",
    ] {
        let (trainer, decoder, adapter) = open(family, work.path());
        let mut generation = trainer.generation(Some(&adapter)).unwrap();
        // Short, longer than one chunk, and again with another end: what is common is not computed again.
        for (len, tokens) in [(5, 20), (300, 6), (301, 6)] {
            let prompt = prompt(len);
            let answer = ask(&trainer, &mut generation, &prompt, tokens);
            let expected = whole(&decoder, &adapter, &prompt, tokens);
            assert_eq!(answer.text, words(&expected), "{family} {len}");
            assert_eq!((answer.tokens, answer.prompt_tokens), (expected.len(), len));
        }
    }
}

#[test]
fn a_token_costs_one_position_at_the_tenth_and_at_the_thousandth() {
    let work = tempfile::tempdir().unwrap();
    let (trainer, _, adapter) = open("llama", work.path());
    for len in [10, 1000] {
        let mut generation = trainer.generation(Some(&adapter)).unwrap();
        let answer = ask(&trainer, &mut generation, &prompt(len), 16);
        let last = usize::from(answer.end == AnswerEnd::Length);
        assert_eq!(answer.computed, len + answer.tokens - last, "{answer:?}");
        // The conversation goes on: two more tokens of prompt behind what was said.
        let mut longer = prompt(len);
        longer.extend(answer.text.split(' ').map(|w| w[1..].parse::<u32>().unwrap()));
        longer.extend([7, 9]);
        let next = ask(&trainer, &mut generation, &longer, 1);
        assert!(next.computed <= 3, "{next:?}");
    }
}

#[test]
fn answers_end_where_they_should() {
    let work = tempfile::tempdir().unwrap();
    let (trainer, _, adapter) = open("llama", work.path());
    let mut generation = trainer.generation(Some(&adapter)).unwrap();
    let full = ask(&trainer, &mut generation, &prompt(1200), 5);
    assert_eq!((full.end, full.tokens), (AnswerEnd::Context, 0));
    let nearly = ask(&trainer, &mut generation, &prompt(1198), 50);
    assert!(nearly.end == AnswerEnd::Stop || nearly.tokens <= 2, "{nearly:?}");
    let text = rendered(&trainer, words(&prompt(8)));
    let sampling = Sampling::default();
    let mut pieces = 0;
    let stop = &mut |_: &str| {
        pieces += 1;
        ControlFlow::Break(())
    };
    let cut = trainer.continue_with(&mut generation, &text, &sampling, stop).unwrap();
    assert!(cut.end == AnswerEnd::Stop || (cut.end, pieces) == (AnswerEnd::Interrupted, 1));
    let empty = rendered(&trainer, String::new());
    let quiet = &mut |_: &str| ControlFlow::Continue(());
    let error = trainer.continue_with(&mut generation, &empty, &sampling, quiet).unwrap_err();
    assert!(error.to_string().contains("no tokens"), "{error}");
}

/// The tokenizer's only end token is `<end>`; what the template writes behind an answer is another one.
#[test]
fn an_answer_ends_where_the_template_ends_a_turn() {
    let work = tempfile::tempdir().unwrap();
    let (_, decoder, adapter) = open("llama", work.path());
    let ids = prompt(9);
    let expected = whole(&decoder, &adapter, &ids, 30);
    let at = (1..expected.len()).find(|at| !expected[..*at].contains(&expected[*at])).unwrap();
    let stop = expected[at];
    assert!(!ids.contains(&stop), "another prompt is needed");
    let (trainer, _, adapter) = open_with("llama", work.path(), Some(stop));
    assert!(!trainer.tokenizer().is_end(stop));
    let turns = vec![Turn::new(Role::User, words(&ids)), Turn::new(Role::Assistant, "w3")];
    let example = Example::Chat(turns.into());
    let prompt = Template::Model.render_prompt(&example, trainer.tokenizer()).unwrap();
    let mut generation = trainer.generation(Some(&adapter)).unwrap();
    let sampling = Sampling { max_tokens: 30, ..Sampling::default() };
    let quiet = &mut |_: &str| ControlFlow::Continue(());
    let answer = trainer.continue_with(&mut generation, &prompt, &sampling, quiet).unwrap();
    assert_eq!((answer.end, answer.text), (AnswerEnd::Stop, words(&expected[..at])));
}

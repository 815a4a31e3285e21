//! Token ids and masks of conversations against transformers: `templates/make_cases.py` writes what it says.

#![allow(clippy::print_stdout, reason = "the table is for people")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use fedshield_train::data::{Chat, Example, Json, Role, Turn};
use fedshield_train::load::open_tokenizer;
use fedshield_train::text::{Template, TextTokenizer, Tokenized};
use serde::Deserialize;

/// Ids of a sequence, and the ranges of it that are learned.
type Part = (Vec<u32>, Vec<(usize, usize)>);

/// Longer than every case.
const LIMIT: usize = 100_000;
/// Names a file of further cases, which `make_cases.py --trl` writes.
const MORE: &str = "FEDSHIELD_TEMPLATE_CASES";

#[derive(Deserialize)]
struct Cases {
    templates: BTreeMap<String, String>,
    conversations: HashMap<String, Json>,
    plain: Vec<Plain>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    tokenizer: String,
    template: String,
    conversation: String,
    /// Of each sequence its ids, and where it is learned.
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Plain {
    tokenizer: String,
    prompt: String,
    completion: String,
    ids: Vec<u32>,
    learned: usize,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates")
}

fn read(path: &Path) -> Cases {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn tokenizers(cases: &Cases) -> HashMap<String, TextTokenizer> {
    let mut opened = HashMap::new();
    for name in cases.cases.iter().map(|case| &case.tokenizer) {
        opened
            .entry(name.clone())
            .or_insert_with(|| open_tokenizer(&folder().join("tokenizers").join(name)).unwrap());
    }
    opened
}

fn turn(message: &Json) -> Turn {
    let text = |key: &str| message.get(key).and_then(Json::as_text).map(str::to_owned);
    let role = match message.get("role").and_then(Json::as_text) {
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        other => panic!("{other:?}"),
    };
    let parts = message.get("content").filter(|content| matches!(content, Json::List(_)));
    Turn {
        text: text("content"),
        parts: parts.cloned(),
        reasoning: text("reasoning_content"),
        tool_calls: message.get("tool_calls").cloned(),
        tool_call_id: text("tool_call_id"),
        name: text("name"),
        ..Turn::new(role, "")
    }
}

fn example(conversation: &Json) -> Example {
    let Some(Json::List(messages)) = conversation.get("messages") else { panic!() };
    let values = match conversation.get("chat_template_kwargs") {
        Some(Json::Object(values)) => values.clone(),
        _ => Vec::new(),
    };
    let tools = conversation.get("tools").cloned();
    Example::Chat(Chat { turns: messages.iter().map(turn).collect(), tools, values })
}

/// What was wanted and what there is, if they are not the same.
fn difference(found: &[Tokenized], wanted: &[Part]) -> Option<String> {
    if found.len() != wanted.len() {
        return Some(format!("{} sequences instead of {}", found.len(), wanted.len()));
    }
    for (found, (ids, learned)) in found.iter().zip(wanted) {
        let mut labels = vec![false; ids.len()];
        learned.iter().for_each(|(start, end)| labels[*start..*end].fill(true));
        if found.sequence.ids != *ids {
            return Some(format!("ids {:?} instead of {ids:?}", found.sequence.ids));
        }
        if found.sequence.labels != labels {
            let at = |labels: &[bool]| {
                labels.iter().enumerate().filter(|(_, l)| **l).map(|(i, _)| i).collect::<Vec<_>>()
            };
            let (found, wanted) = (at(&found.sequence.labels), at(&labels));
            return Some(format!("learned {found:?} instead of {wanted:?}"));
        }
    }
    None
}

/// How often a template does as transformers does.
#[derive(Default)]
struct Tally {
    same: usize,
    both_refuse: usize,
    only_we_refuse: Vec<String>,
    differs: Vec<String>,
}

fn compare(cases: &Cases) -> BTreeMap<String, Tally> {
    let mut opened = tokenizers(cases);
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for case in &cases.cases {
        let tokenizer = opened.get_mut(&case.tokenizer).unwrap();
        tokenizer.chat_template = Some(cases.templates[&case.template].clone());
        let example = example(&cases.conversations[&case.conversation]);
        let found = Template::Model.tokenize(&example, tokenizer, LIMIT);
        let tally = tallies.entry(case.template.clone()).or_default();
        let place = format!("{} {} {}", case.tokenizer, case.template, case.conversation);
        match (found, &case.parts) {
            (Err(_), None) => tally.both_refuse += 1,
            (Err(error), Some(_)) => tally.only_we_refuse.push(format!("{place}: {error}")),
            (Ok(_), None) => tally.differs.push(format!("{place}: transformers refuses")),
            (Ok(found), Some(wanted)) => match difference(&found, wanted) {
                None => tally.same += 1,
                Some(difference) => tally.differs.push(format!("{place}: {difference}")),
            },
        }
    }
    tallies
}

#[test]
fn conversations_have_the_tokens_and_masks_of_transformers() {
    let cases = read(&folder().join("cases.json"));
    let tallies = compare(&cases);
    let all = |of: fn(&Tally) -> &Vec<String>| -> Vec<&String> {
        tallies.values().flat_map(of).collect()
    };
    let (differs, refused) = (all(|tally| &tally.differs), all(|tally| &tally.only_we_refuse));
    let same: usize = tallies.values().map(|tally| tally.same).sum();
    println!("{same} the same, {} that only we refuse", refused.len());
    for line in refused.iter().chain(&differs).take(60) {
        println!("{line}");
    }
    assert!(differs.is_empty(), "{} of {} differ", differs.len(), cases.cases.len());
    // Of two answers in a row, the first is shown in another way once the second is there.
    let known = |line: &&String| line.contains("drops_thinking two_answers");
    assert!(refused.iter().all(known), "{} are refused and need not be", refused.len());
    assert!(same > 400, "{same}");
}

#[test]
fn plain_texts_have_the_tokens_and_masks_of_trl() {
    let cases = read(&folder().join("cases.json"));
    let opened = tokenizers(&cases);
    let mut wrong = Vec::new();
    for Plain { tokenizer, prompt, completion, ids, learned } in cases.plain {
        let example = Example::Completion { prompt: prompt.clone(), completion };
        let found = Template::Model.tokenize(&example, &opened[&tokenizer], LIMIT).unwrap();
        let wanted = [(ids.clone(), vec![(learned, ids.len())])];
        if let Some(difference) = difference(&found, &wanted) {
            wrong.push(format!("{tokenizer} {prompt:?}: {difference}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `make_vicuna.py` writes what FastChat's own preprocessing gives.
#[test]
fn vicuna_has_the_tokens_and_labels_of_fastchat() {
    type Case = (String, String, Vec<String>, Vec<u32>, Vec<(usize, usize)>);
    let bytes = std::fs::read(folder().join("vicuna.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&bytes).unwrap();
    let mut wrong = Vec::new();
    let mut same = 0;
    for (tokenizer, name, texts, ids, learned) in cases {
        let tokenizer_of = open_tokenizer(&folder().join("tokenizers").join(&tokenizer)).unwrap();
        let role = |at: usize| if at.is_multiple_of(2) { Role::User } else { Role::Assistant };
        let turns = texts.iter().enumerate().map(|(at, text)| Turn::new(role(at), text.as_str()));
        let example = Example::Chat(turns.collect::<Vec<Turn>>().into());
        let found = Template::Vicuna.tokenize(&example, &tokenizer_of, LIMIT);
        if texts.iter().any(String::is_empty) {
            assert!(found.unwrap_err().to_string().contains("an empty turn"));
            continue;
        }
        let found = found.unwrap();
        let place = format!("{tokenizer} {name}");
        if found[0].sequence.ids != ids {
            wrong.push(format!("{place}: ids {:?} instead of {ids:?}", found[0].sequence.ids));
        } else if !learned.is_empty() {
            match difference(&found, &[(ids, learned)]) {
                None => same += 1,
                Some(difference) => wrong.push(format!("{place}: {difference}")),
            }
        }
    }
    println!("{same} the same");
    assert!(wrong.is_empty() && same > 10, "{same}: {wrong:#?}");
}

/// Characters that tokenizers, templates and offsets may trip over.
const PIECES: [&str; 24] = [
    "a",
    " ",
    "\n",
    "\r\n",
    "\u{301}",
    "e\u{301}",
    "é",
    "医",
    "👩\u{200d}👧",
    "🇨🇭",
    "\u{200f}",
    "ا",
    "\u{0}",
    "\u{feff}",
    "<s>",
    "</s>",
    "<|im_end|>",
    "<|im_start|>",
    "<think>",
    "▁",
    "\u{f0000}",
    "\u{a0}",
    "{{",
    "%}",
];

#[test]
fn no_text_panics_and_what_is_learned_is_the_answer() {
    let cases = read(&folder().join("cases.json"));
    let mut opened = tokenizers(&cases);
    let mut state = 1_u64;
    let mut next = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut learned = 0;
    for round in 0..40 {
        let mut text = || -> String { (0..next(9)).map(|_| PIECES[next(PIECES.len())]).collect() };
        let turns: Vec<Turn> = (0..4)
            .map(|at| Turn::new(if at % 2 == 0 { Role::User } else { Role::Assistant }, text()))
            .collect();
        let example = Example::Chat(turns.into());
        for tokenizer in opened.values_mut() {
            for source in cases.templates.values() {
                tokenizer.chat_template = Some(source.clone());
                for limit in [1, 7 + round, LIMIT] {
                    for template in
                        [Template::Model, Template::ChatMl, Template::Vicuna, Template::Alpaca]
                    {
                        let Ok(parts) = template.tokenize(&example, tokenizer, limit) else {
                            continue;
                        };
                        for part in parts {
                            assert!(part.sequence.ids.len() <= limit);
                            learned += part.sequence.label_count();
                        }
                    }
                }
            }
        }
    }
    assert!(learned > 10_000, "{learned}");
}

/// Prints a table of further templates, which the environment names a file of: see docs/TRAINING.md.
#[test]
fn further_templates_do_as_transformers_or_are_refused() {
    let Some(path) = std::env::var_os(MORE).map(PathBuf::from) else { return };
    let tallies = compare(&read(&path));
    println!("| template | same | refused, as there | refused here alone | something else |");
    println!("|---|---|---|---|---|");
    let mut differs = Vec::new();
    for (name, tally) in &tallies {
        let (refused, other) = (tally.only_we_refuse.len(), tally.differs.len());
        println!("| {name} | {} | {} | {refused} | {other} |", tally.same, tally.both_refuse);
        differs.extend(&tally.differs);
    }
    for line in tallies.values().flat_map(|tally| tally.only_we_refuse.iter().chain(&tally.differs))
    {
        let line: String = line.chars().take(400).collect();
        eprintln!("{line}");
    }
    assert!(differs.is_empty(), "{} differ", differs.len());
}

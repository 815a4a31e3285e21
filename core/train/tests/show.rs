//! What a line of data becomes, as a table: the line, what is wanted, what there is.
//!
//!     cargo test -p fedshield-train --test show -- --nocapture
//!
//! Each file of `show/` is a list of cases, and a new file needs no change here. `show/make_show.py` writes
//! `rendering.json` from what transformers, TRL and FastChat make of the lines.

#![allow(clippy::print_stdout, reason = "the table is for people")]

use std::path::{Path, PathBuf};

use fedshield_train::Valid;
use fedshield_train::data::{DataSet, DataSettings};
use fedshield_train::load::open_tokenizer;
use fedshield_train::text::{Template, TextTokenizer};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case is about.
    title: String,
    /// A folder of `templates/tokenizers`.
    tokenizer: String,
    /// `model`, `chatml`, `alpaca` or `vicuna`.
    template: String,
    /// The model's own template.
    #[serde(default)]
    chat_template: Option<String>,
    /// A line of a data file.
    line: String,
    wanted: Wanted,
}

/// Ids, and the ranges of them that are learned.
type Sequence = (Vec<u32>, Vec<(usize, usize)>);

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    /// For each sequence its ids, and the ranges of it that carry a loss.
    Sequences(Vec<Sequence>),
    /// A part of the reason.
    Refused(String),
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// A sequence as text, with `[` and `]` around what carries a loss.
fn shown(tokenizer: &TextTokenizer, ids: &[u32], labels: &[bool]) -> String {
    let mut out = String::new();
    let mut at = 0;
    while let Some(label) = labels.get(at) {
        let run = labels[at..].iter().take_while(|other| *other == label).count();
        let text = tokenizer.decode(&ids[at..at + run], true).unwrap();
        out.push_str(&if *label { format!("[{text}]") } else { text });
        at += run;
    }
    out
}

fn wanted(tokenizer: &TextTokenizer, wanted: &Wanted) -> Result<Vec<(Vec<u32>, String)>, String> {
    match wanted {
        Wanted::Refused(reason) => Err(reason.clone()),
        Wanted::Sequences(all) => Ok(all
            .iter()
            .map(|(ids, ranges)| {
                let labels: Vec<bool> = (0..ids.len())
                    .map(|i| ranges.iter().any(|(a, b)| (*a..*b).contains(&i)))
                    .collect();
                (ids.clone(), shown(tokenizer, ids, &labels))
            })
            .collect()),
    }
}

fn got(case: &Case, tokenizer: &TextTokenizer) -> Result<Vec<(Vec<u32>, String)>, String> {
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("line.jsonl");
    std::fs::write(&file, format!("{}\n", case.line)).unwrap();
    let template = Template::parse(&case.template).unwrap();
    let settings = Valid::new(DataSettings {
        template,
        max_length: 10_000,
        held_out: 0.0,
        ..DataSettings::default()
    })
    .unwrap();
    let set = DataSet::load(&[file], tokenizer, &settings).map_err(|error| error.to_string())?;
    let sequences = set.train.iter().map(|example| example.sequence().unwrap());
    Ok(sequences.map(|one| (one.ids.clone(), shown(tokenizer, &one.ids, &one.labels))).collect())
}

/// At most `width` characters, in one line.
fn cell(text: &str, width: usize) -> String {
    let text = text.replace('\n', "\\n").replace('|', "\\|");
    match text.chars().count() > width {
        true => text.chars().take(width - 1).chain(['…']).collect(),
        false => text,
    }
}

#[test]
fn lines_become_what_is_wanted() {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder("show")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        println!("\n{name}\n| | case | input | wanted | got |\n|---|---|---|---|---|");
        for case in cases {
            let mut tokenizer =
                open_tokenizer(&folder("templates/tokenizers").join(&case.tokenizer)).unwrap();
            tokenizer.chat_template.clone_from(&case.chat_template);
            let (wanted, got) = (wanted(&tokenizer, &case.wanted), got(&case, &tokenizer));
            let holds = match (&wanted, &got) {
                (Ok(wanted), Ok(got)) => wanted == got,
                (Err(reason), Err(error)) => error.contains(reason.as_str()),
                _ => false,
            };
            let text = |outcome: &Result<Vec<(Vec<u32>, String)>, String>| match outcome {
                Ok(all) => {
                    all.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" ¶ ")
                }
                Err(reason) => format!("refused: {reason}"),
            };
            let mark = if holds { "same" } else { "DIFFERS" };
            let (input, wanted, got) = (case.line.clone(), text(&wanted), text(&got));
            println!(
                "| {mark} | {}, {}, {} | {} | {} | {} |",
                case.title,
                case.template,
                case.tokenizer,
                cell(&input, 90),
                cell(&wanted, 110),
                cell(&got, 110)
            );
            count += 1;
            if !holds {
                wrong.push(format!("{name}, {}: wanted {wanted}, got {got}", case.title));
            }
        }
    }
    println!("\n{count} cases, {} differ", wrong.len());
    assert!(wrong.is_empty() && count > 20, "{wrong:#?}");
}

//! Lines of megabytes: the memory that they take goes with the length of the sequence, and what is trained on is the
//! beginning of what would have been tokenised whole.

#![allow(clippy::print_stdout, reason = "a test shows what it measured")]

mod fixture;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use fedshield_train::Valid;
use fedshield_train::data::{
    DataReport, DataSet, DataSettings, Example, MAX_LINE_BYTES, Role, Turn,
};
use fedshield_train::load::open_tokenizer;
use fedshield_train::text::{Template, TextTokenizer};

/// Names the file that a child measures.
const FILE: &str = "LONG_LINES_FILE";
/// What tokenising needs for the beginning of a text, what parsing copies of a line, and the program itself. Tokenising a
/// whole line of [`LONG`] takes 1.2 GB.
const MOST_MIB: u64 = 200;
const LONG: usize = 6 << 20;

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/base")
}

/// The tokenizer of the model that ships, with the tokens that ChatML needs.
fn tokenizer() -> TextTokenizer {
    let opened = open_tokenizer(&assets()).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&opened.to_json().unwrap()).unwrap();
    for (index, content) in ["<|im_start|>", "<|im_end|>"].into_iter().enumerate() {
        json["added_tokens"].as_array_mut().unwrap().push(serde_json::json!({
            "id": opened.vocab_size() + index, "content": content, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false, "special": true,
        }));
    }
    TextTokenizer::from_bytes(json.to_string().as_bytes(), opened.bos, opened.eos).unwrap()
}

fn settings(template: Template) -> Valid<DataSettings> {
    Valid::new(DataSettings { max_length: 512, held_out: 0.0, template, ..DataSettings::default() })
        .unwrap()
}

fn alpaca(instruction: &str, input: &str, output: &str) -> String {
    serde_json::json!({"instruction": instruction, "input": input, "output": output}).to_string()
}

fn chat(turns: &[(&str, &str)]) -> String {
    let turns = turns.iter().map(|(role, text)| serde_json::json!({"role": role, "content": text}));
    serde_json::json!({"messages": turns.collect::<Vec<_>>()}).to_string()
}

/// The largest memory that a process of its own needs to check and to load `lines`, in MiB.
fn peak_mib(lines: &[String]) -> u64 {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
    peak_of(file.path())
}

fn peak_of(file: &Path) -> u64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "reads_the_file_that_the_environment_names", "--nocapture"])
        .env(FILE, file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let kib = text.lines().find_map(|line| line.split_once("VmHWM:")).expect("it is measured").1;
    kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

/// Not a test by itself: the process in which [`peak_mib`] measures.
#[test]
fn reads_the_file_that_the_environment_names() {
    let Some(file) = std::env::var_os(FILE).map(PathBuf::from) else { return };
    let tokenizer = tokenizer();
    let settings = settings(Template::ChatMl);
    let files = [file];
    let report = DataReport::check(&files, &[], &tokenizer, &settings).unwrap();
    let loaded = DataSet::load(&files, &tokenizer, &settings);
    assert_eq!(report.problem_count > 0, loaded.is_err());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("\n{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}

#[test]
fn a_long_line_needs_no_more_memory_than_its_own_text() {
    const { assert!(LONG < MAX_LINE_BYTES) };
    let words = "the quick brown fox jumps over the lazy dog. ".repeat(LONG / 45);
    let letters = "x".repeat(LONG);
    // Three bytes a character.
    let chinese = "医院的数据不离开医院".repeat(LONG / 30);
    for (name, text) in [("words", &words), ("letters", &letters), ("Chinese", &chinese)] {
        // A usable line in front, so that there is something to train on.
        let short = alpaca("Say yes.", "", "yes");
        for (place, long) in [
            ("instruction", alpaca(text, "", "yes")),
            ("input", alpaca("Sum up.", text, "yes")),
            ("output", alpaca("Tell me.", "", text)),
            ("a turn", chat(&[("user", text), ("assistant", "yes")])),
            (
                "a later turn",
                chat(&[("user", "a"), ("assistant", "b"), ("user", text), ("assistant", "c")]),
            ),
        ] {
            let peak = peak_mib(&[short.clone(), long]);
            println!("{name} in {place}: {peak} MiB");
            assert!(peak < MOST_MIB, "{name} in {place}: {peak} MiB");
        }
    }
    let turns: Vec<(&str, &str)> =
        std::iter::repeat_n([("user", "a"), ("assistant", "b")], 50_000).flatten().collect();
    let peak = peak_mib(&[alpaca("Say yes.", "", "yes"), chat(&turns)]);
    println!("100,000 turns: {peak} MiB");
    assert!(peak < MOST_MIB, "turns: {peak} MiB");
}

#[test]
fn a_line_above_the_limit_is_refused_by_its_number_and_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.jsonl");
    let tokenizer = open_tokenizer(&assets()).unwrap();
    let files = [path.clone()];
    let (short, long) = (alpaca("Say yes.", "", "yes"), alpaca("x", "", &"y".repeat(60 << 20)));
    std::fs::write(&path, format!("{short}\n{long}\n{short}\n")).unwrap();
    let error = DataSet::load(&files, &tokenizer, &settings(Template::Alpaca)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("long.jsonl:2: the line is longer than 16 MiB"), "{text}");
    let report = DataReport::check(&files, &[], &tokenizer, &settings(Template::Alpaca)).unwrap();
    assert_eq!((report.train, report.problem_count, report.problems[0].place.line), (2, 1, 2));
    let peak = peak_of(&path);
    println!("a line of 60 MiB: {peak} MiB");
    assert!(peak < MOST_MIB, "{peak} MiB");
    // A line that never ends: two gigabytes of it, of which the disk holds none.
    let mut file = std::fs::File::create(&path).unwrap();
    writeln!(file, "{short}").unwrap();
    file.set_len(2 << 30).unwrap();
    let error = DataSet::load(&files, &tokenizer, &settings(Template::Alpaca)).unwrap_err();
    assert!(error.to_string().contains("long.jsonl:2: the line is longer"), "{error}");
    let peak = peak_of(&path);
    println!("a line of 2 GiB: {peak} MiB");
    assert!(peak < MOST_MIB, "{peak} MiB");
}

/// How a sequence was made before: everything is tokenised, then cut.
fn whole(
    example: &Example,
    tokenizer: &TextTokenizer,
    template: Template,
) -> (Vec<u32>, Vec<bool>) {
    let mut sequence = template.tokenize(example, tokenizer, 1 << 24).unwrap().remove(0).sequence;
    sequence.ids.truncate(512);
    sequence.labels.truncate(512);
    (sequence.ids, sequence.labels)
}

#[test]
fn a_sequence_is_the_beginning_of_the_whole_one_with_every_template() {
    let mut tokenizer = tokenizer();
    tokenizer.bos = Some(1);
    tokenizer.chat_template = Some(
        "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content.strip() }}{{ eos_token }}\n{% endfor %}\
         {% if add_generation_prompt %}<|assistant|>{% endif %}"
            .to_owned(),
    );
    let long = "the quick brown fox jumps over the lazy dog. ".repeat(4000);
    let dense = "医院的数据不离开医院".repeat(6000);
    let turn = |role, text: &str| Turn::new(role, text);
    let alpaca = |instruction: &str, input: &str, output: &str| {
        Example::instruction(instruction, input, output)
    };
    let mut examples = Vec::new();
    // Around the limit, so that some end in each part of a template.
    for words in (0..130).step_by(3).chain([4000]) {
        let text = "lazy dog. ".repeat(words);
        examples.push(alpaca("Sum up.", &text, &text));
        examples.push(alpaca(&text, "", "yes"));
    }
    for text in [&long, &dense] {
        examples.push(alpaca(text, "", "yes"));
        examples.push(alpaca("Sum up.", text, "yes"));
        examples.push(alpaca("Tell me.", "", text));
    }
    let chats: Vec<Example> = [&long, &dense, "one", ""]
        .into_iter()
        .flat_map(|text| {
            let question = [turn(Role::User, text), turn(Role::Assistant, "yes")];
            let answer = [turn(Role::User, "what?"), turn(Role::Assistant, &format!("x{text}"))];
            [
                Example::Chat([question.clone(), answer.clone()].concat().into()),
                Example::Chat([answer, question].concat().into()),
            ]
        })
        .collect();
    for template in [Template::Alpaca, Template::ChatMl, Template::Model, Template::Vicuna] {
        let chats: &[Example] = if template == Template::Alpaca { &[] } else { &chats };
        let mut used = 0;
        for example in examples.iter().chain(chats) {
            if template == Template::Vicuna && example.turns().iter().any(|t| t.said().is_empty()) {
                template.tokenize(example, &tokenizer, 512).unwrap_err();
                continue;
            }
            let (ids, labels) = whole(example, &tokenizer, template);
            let first = template.tokenize(example, &tokenizer, 512).unwrap().remove(0).sequence;
            // Where nothing is learned, nothing is kept.
            if labels.contains(&true) {
                assert_eq!(first.ids, ids, "{template:?}");
                assert_eq!(first.labels, labels, "{template:?}");
            }
            assert_eq!(first.label_count() > 0, labels.contains(&true), "{template:?}");
            used += usize::from(first.label_count() > 0);
        }
        assert!(used > 40, "{used}");
    }
}

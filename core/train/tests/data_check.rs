//! `data check`: what the report finds in files with known faults.

mod fixture;

use std::path::Path;

use fedshield_train::Valid;
use fedshield_train::data::{
    DataReport, DataSet, DataSettings, FieldMap, OnBadLine, Part, Reading, TokenizedExample,
};
use fedshield_train::load::{LoadedModel, open_tokenizer};
use fedshield_train::text::{Template, TextTokenizer};

fn line(instruction: &str, output: &str) -> String {
    let example = serde_json::json!({"instruction": instruction, "input": "", "output": output});
    format!("{example}\n")
}

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn tokenizer(folder: &Path) -> TextTokenizer {
    fixture::trainer(&fixture::write_model(folder)).tokenizer().clone()
}

fn settings() -> Valid<DataSettings> {
    Valid::new(DataSettings { max_length: 96, held_out: 0.0, ..DataSettings::default() }).unwrap()
}

#[test]
fn every_line_that_cannot_be_used_is_named_and_the_others_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = tokenizer(folder.path());
    let sharegpt = r#"{"conversations": [{"from": "human", "value": "what is hot"}, {"from": "gpt", "value": "cold"}]}"#;
    let two =
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}"#
            .replace('\n', "");
    let prompt = r#"{"prompt": "what is ice", "completion": "cold"}"#;
    let text = format!(
        "{}\n{{\"instruction\"\n{sharegpt}\n{two}\n\u{1}\n{prompt}\n",
        line("what is the colour of sky", "blue").trim_end()
    );
    let path = write(folder.path(), "mixed.jsonl", &text);
    let report = DataReport::check(&[path], &[], &tokenizer, &settings()).unwrap();
    assert_eq!((report.train, report.held_out), (3, 0));
    let file = &report.files[0];
    let forms: Vec<(&str, usize)> = file.forms.iter().map(|(f, n)| (f.name(), *n)).collect();
    assert_eq!(forms, [("ShareGPT", 1), ("Alpaca", 1), ("prompt and completion", 1)]);
    assert_eq!(file.bad, 3);
    let places: Vec<usize> = report.problems.iter().map(|p| p.place.line).collect();
    assert_eq!(places, [2, 4, 5]);
    assert!(report.problems[1].reason.contains("one question and one answer"));
    let empty = write(folder.path(), "empty.jsonl", "\n \n");
    let report = DataReport::check(&[empty], &[], &tokenizer, &settings()).unwrap();
    assert_eq!((report.problem_count, report.problems[0].place.line), (1, 0));
    assert!(DataReport::check(&["gone".into()], &[], &tokenizer, &settings()).is_err());
}

#[test]
fn repeated_and_leaked_examples_are_found_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = tokenizer(folder.path());
    let (a, b) = (line("what is sky", "blue"), line("what is snow", "white"));
    let train = write(folder.path(), "train.jsonl", &format!("{a}{b}{a}"));
    let other_answer = line("What  is SNOW", "cold");
    let held_out =
        write(folder.path(), "held.jsonl", &format!("{a}{other_answer}{}", line("hot", "cold")));
    let report = DataReport::check(&[train], &[held_out], &tokenizer, &settings()).unwrap();
    assert_eq!((report.train, report.held_out), (3, 3));
    assert_eq!(report.duplicates, 1);
    let repeat = &report.duplicates_first[0];
    assert_eq!((repeat.first.line, repeat.again.line), (1, 3));
    assert_eq!((report.leaked, report.leaked_questions), (1, 1));
    let places: Vec<_> = report.leaked_first.iter().map(|r| (r.first.line, r.again.line)).collect();
    assert_eq!(places, [(1, 1), (2, 2)]);
}

#[test]
fn lengths_and_truncation_are_those_of_training() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = tokenizer(folder.path());
    let (short, long) = (line("sky", "blue"), line("sky", &"blue ".repeat(40)));
    let no_answer_left = line(&"big ".repeat(80), "small");
    let path = write(folder.path(), "d.jsonl", &format!("{short}{long}{no_answer_left}"));
    let settings = settings().with(|it| it.max_length = 60).unwrap();
    let report = DataReport::check(&[path], &[], &tokenizer, &settings).unwrap();
    assert_eq!((report.train, report.truncated, report.dropped), (2, 2, 1));
    assert_eq!(report.truncated_first.unwrap().line, 2);
    assert_eq!(report.dropped_first.unwrap().line, 3);
    assert_eq!(report.tokens.max, 60);
    assert!(report.uncut_tokens.max > 60);
    // "blue" and the end; the other one keeps what fits after the prompt.
    assert_eq!(report.response_tokens.min, 2);
    assert_eq!(report.histogram.counts.iter().sum::<usize>(), 2);
    let rendered = report.rendered.unwrap();
    let labelled: Vec<&str> =
        rendered.tokens.iter().filter(|t| t.1).map(|t| t.0.as_str()).collect();
    assert_eq!(labelled, ["blue", "<end>"]);
    assert_eq!(rendered.place.line, 1);
}

#[test]
fn a_models_jinja_file_is_its_template() {
    let folder = tempfile::tempdir().unwrap();
    let model = fixture::write_model(folder.path());
    std::fs::write(model.join("tokenizer_config.json"), r#"{"chat_template": "wrong"}"#).unwrap();
    let jinja = "{%- for m in messages -%}\n{{ m.role }} {{ m.content }} {{ '<end>' }}\n{%- endfor -%}\n\
                 {%- if add_generation_prompt -%}\nassistant {% endif %}";
    std::fs::write(model.join("chat_template.jinja"), jinja).unwrap();
    let tokenizer = fixture::trainer(&model).tokenizer().clone();
    let path = write(folder.path(), "d.jsonl", &line("what is sky", "blue"));
    let settings = settings().with(|it| it.template = Template::Model).unwrap();
    let report = DataReport::check(&[path], &[], &tokenizer, &settings).unwrap();
    assert_eq!(report.problems, []);
    let segments = report.rendered.unwrap().segments;
    assert_eq!(segments[0].text, "user what is sky <end>assistant ");
    assert!(segments[1].labelled && segments[1].text == "blue <end>");
}

#[test]
fn a_tokenizer_is_had_without_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let model = fixture::write_model(folder.path());
    let whole = LoadedModel::open(&model).unwrap().tokenizer;
    let same = || {
        let alone = open_tokenizer(&model).unwrap();
        assert_eq!(alone.encode("what is hot").unwrap(), whole.encode("what is hot").unwrap());
        assert_eq!((alone.bos, &alone.eos), (whole.bos, &whole.eos));
        assert_eq!(alone.chat_template, whole.chat_template);
    };
    let weights = model.join("model.safetensors");
    std::fs::write(&weights, "cut").unwrap();
    same();
    std::fs::remove_file(&weights).unwrap();
    same();
    assert!(LoadedModel::open(&model).is_err());
}

#[test]
fn a_data_set_on_disk_is_the_one_in_memory_and_keeps_no_text_there() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = tokenizer(folder.path());
    let lines: String = (0..300).map(|n| line(&format!("what is sky {n}"), "blue")).collect();
    let named = r#"{"frage": "what is snow", "antwort": "white", "other": 1}"#;
    let path = write(folder.path(), "d.jsonl", &lines);
    let mapped = write(folder.path(), "m.jsonl", &format!("{named}\n"));
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let map = [("question", "frage"), ("answer", "antwort")];
    let map = FieldMap::new(map.map(|(a, b)| (a.to_owned(), b.to_owned())).into()).unwrap();
    let reading = Reading { map, ..Reading::default() };
    for (path, reading, keeps_text) in [
        (&path, Reading::default(), true),
        (&path, Reading::default(), false),
        (&mapped, reading, true),
    ] {
        let here = settings()
            .with(|it| {
                it.held_out = 0.0;
                it.keeps_text = keeps_text;
                it.reading = reading;
            })
            .unwrap();
        let there = here.with(|it| it.spill = Some(home.clone())).unwrap();
        let paths = std::slice::from_ref(path);
        let load = |settings| DataSet::load(paths, &tokenizer, settings).unwrap();
        let (here, there) = (load(&here), load(&there));
        assert_eq!(here.summary(), there.summary());
        assert_eq!((here.changes(&there).more, here.changes(&there).fewer), (0, 0));
        assert_eq!(here.train.len(), there.train.len());
        for (a, b) in here.train.iter().zip(&there.train) {
            assert_eq!(a.sequence().unwrap(), b.sequence().unwrap());
            assert_eq!(a.shown().unwrap(), b.shown().unwrap());
            assert_eq!((a.token_count(), a.digest()), (b.token_count(), b.digest()));
        }
        assert_eq!(there.train[0].example().unwrap().answer().is_empty(), !keeps_text);
    }
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0, "the file has no name");
    let gone = settings().with(|it| it.spill = Some(folder.path().join("gone"))).unwrap();
    let error = DataSet::load(&[path], &tokenizer, &gone).unwrap_err().to_string();
    assert!(error.contains("gone"), "{error}");
    // What docs/OPERATING.md says of the memory for each example.
    assert!(size_of::<TokenizedExample>() <= 72);
}

#[test]
fn a_summary_says_what_the_lines_hold() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = tokenizer(folder.path());
    let unknown = r#"{"instruction": "sky", "output": "blue", "mood": "x"}"#;
    let text = format!(
        "{unknown}\nno line\n{}{}",
        line("sky", &"blue ".repeat(40)),
        line(&"big ".repeat(80), "small")
    );
    let path = write(folder.path(), "d.jsonl", &text);
    let reading = Reading { on_bad_line: OnBadLine::Skip, ..Reading::default() };
    let settings = settings()
        .with(|it| {
            it.max_length = 60;
            it.reading = reading;
        })
        .unwrap();
    let summary = DataSet::load(&[path], &tokenizer, &settings).unwrap().summary();
    assert_eq!((summary.examples, summary.held_out, summary.longest), (2, 0, 60));
    assert_eq!((summary.truncated, summary.dropped, summary.skipped), (2, 1, 1));
    assert!(summary.skipped_first[0].contains("d.jsonl:2: not valid JSON"), "{summary:?}");
    assert_eq!(summary.unknown.into_iter().collect::<Vec<_>>(), [("mood".to_owned(), 1)]);
}

/// A test part is taken from the other end than the held-out part, so that nothing else moves.
#[test]
fn data_have_three_parts() {
    let folder = tempfile::tempdir().unwrap();
    let line = |index: usize| {
        format!(r#"{{"instruction": "say {index}", "output": "the number is {index}"}}"#)
    };
    let lines: Vec<String> = (0..300).map(line).collect();
    let path = folder.path().join("data.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    let tokenizer = tokenizer(folder.path());
    let settings = |held_out: f64, test: f64| {
        settings().with(|it| (it.held_out, it.test) = (held_out, test)).unwrap()
    };
    let files = [path];
    let load =
        |held_out, test| DataSet::load(&files, &tokenizer, &settings(held_out, test)).unwrap();
    let (two, three) = (load(0.2, 0.0), load(0.2, 0.2));
    let digests = |part: &[TokenizedExample]| -> Vec<_> {
        part.iter().map(TokenizedExample::digest).collect()
    };
    assert_eq!(digests(&two.held_out), digests(&three.held_out));
    assert!(two.test.is_empty() && three.test.len() > 30);
    let sum = three.train.len() + three.held_out.len() + three.test.len();
    assert_eq!(sum, 300);
    assert_ne!(two.digest(), three.digest());
    let report = DataReport::check(&files, &[], &tokenizer, &settings(0.2, 0.2)).unwrap();
    let counts = (report.train, report.held_out, report.test);
    assert_eq!(counts, (three.train.len(), three.held_out.len(), three.test.len()));
    let summary = three.summary();
    assert_eq!((summary.held_out, summary.test), (report.held_out, report.test));
    // Files of their own for a part.
    let other = folder.path().join("test.jsonl");
    std::fs::write(&other, line(1000)).unwrap();
    let apart =
        DataSet::load_held_out(std::slice::from_ref(&other), &tokenizer, &settings(0.2, 0.0))
            .unwrap();
    let with = load(0.2, 0.0).with_part(Part::Test, apart);
    assert_eq!((with.test.len(), with.held_out.len()), (1, two.held_out.len()));
    let files = [(files[0].clone(), Part::Train), (other, Part::Test)];
    let checked =
        DataReport::check_watched(&files, &tokenizer, &settings(0.2, 0.2), &mut |_| ()).unwrap();
    assert_eq!((checked.test, checked.held_out), (1, two.held_out.len()));
}

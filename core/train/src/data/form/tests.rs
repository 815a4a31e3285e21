use super::super::example::{Chat, Role, Turn};
use super::super::json::Json;
use super::*;

fn read(text: &str) -> Result<Understood, String> {
    understand(text, &FieldMap::default())
}

/// Each turn as its role, its text, and whether it is learned.
fn turns(example: &Example) -> Vec<(Role, String, bool)> {
    let turn = |turn: &Turn| (turn.role, turn.said().to_owned(), turn.is_learned());
    example.turns().iter().map(turn).collect()
}

fn chat(example: Example) -> Chat {
    match example {
        Example::Chat(chat) => chat,
        other => panic!("no conversation: {other:?}"),
    }
}

const ASKED: &str = r#"{"role": "user", "content": "q"}"#;

/// A conversation of one question and one answer with these keys.
fn answered(answer: &str) -> String {
    format!(r#"{{"messages": [{ASKED}, {{"role": "assistant", {answer}}}]}}"#)
}

#[test]
fn every_form_in_the_documentation_says_what_it_says_there() {
    use Role::{Assistant, System, User};
    let q = (User, "q".to_owned(), false);
    let a = (Assistant, "a".to_owned(), true);
    let s = (System, "s".to_owned(), false);
    let both = vec![q.clone(), a.clone()];
    let three = vec![s, q.clone(), a.clone()];
    let earlier = vec![(User, "p".into(), false), (Assistant, "b".into(), true), q.clone(), a];
    let with_input = vec![(User, "q\n\ni".to_owned(), false), both[1].clone()];
    for (line, form, expected) in [
        (
            r#"{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}"#,
            Form::Messages,
            &both,
        ),
        (
            r#"{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": "s"}"#,
            Form::ShareGpt,
            &three,
        ),
        (
            r#"{"conversations": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}"#,
            Form::Messages,
            &both,
        ),
        (r#"{"id": "0", "data": ["q", "a"]}"#, Form::UltraChat, &both),
        (
            r#"{"prompt": "q", "prompt_id": "x", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}"#,
            Form::Messages,
            &both,
        ),
        (r#"{"instruction": "q", "output": "a"}"#, Form::Alpaca, &both),
        (
            r#"{"instruction": "q", "input": null, "output": "a", "history": []}"#,
            Form::Alpaca,
            &both,
        ),
        (
            r#"{"instruction": "q", "input": "i", "output": "a", "text": "q i a"}"#,
            Form::Alpaca,
            &with_input,
        ),
        (
            r#"{"instruction": "q", "input": "", "output": "a", "system": "s"}"#,
            Form::Alpaca,
            &three,
        ),
        (r#"{"instruction": "q", "output": "a", "history": [["p", "b"]]}"#, Form::Alpaca, &earlier),
        (
            r#"{"instruction": "q", "context": "i", "response": "a", "category": "open_qa"}"#,
            Form::Dolly,
            &with_input,
        ),
        (
            r#"{"id": "niv.1", "system_prompt": "s", "question": "q", "response": "a"}"#,
            Form::Question,
            &three,
        ),
        (r#"{"system_prompt": "", "question": "q", "response": "a"}"#, Form::Question, &both),
        (r#"{"question": "q", "answer": "a"}"#, Form::Question, &both),
        (r#"{"query": "q", "response": "a"}"#, Form::Question, &both),
        (r#"{"prompt": "q", "response": "a"}"#, Form::Question, &both),
        (r#"{"prompt": "q", "completion": "a"}"#, Form::PromptCompletion, &both),
        (
            r#"{"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}"#,
            Form::PromptCompletion,
            &both,
        ),
        (r#"{"text": "a"}"#, Form::Text, &vec![(User, String::new(), false), both[1].clone()]),
    ] {
        let understood = read(line).unwrap_or_else(|reason| panic!("{line}: {reason}"));
        assert_eq!(understood.form, form, "{line}");
        assert_eq!(&turns(&understood.example), expected, "{line}");
        assert_eq!(understood.unknown, [""; 0], "{line}");
    }
    // Texts are continued as they are, without a template.
    let plain = |line| matches!(read(line).unwrap().example, Example::Completion { .. });
    assert!(plain(r#"{"prompt": "q", "completion": "a"}"#) && plain(r#"{"text": "a"}"#));
}

/// A record as `tests/cases.txt` describes it.
fn described(understood: &Understood) -> Vec<String> {
    let json = |value: &Json| serde_json::to_string(value).unwrap();
    let mut lines = vec![format!("= {}", understood.form.name())];
    match &understood.example {
        Example::Completion { prompt, completion } => {
            lines.extend([format!("plain: {prompt}"), format!("goes on: {completion}")]);
        }
        other => lines.extend(other.turns().iter().map(|turn| {
            let off = if turn.role == Role::Assistant && !turn.trained { "-" } else { "" };
            let named = |name: &str, text: &Option<String>| {
                text.iter().map(|text| format!("{name}={text} ")).collect::<String>()
            };
            let thought: String = turn.reasoning.iter().map(|text| format!("<{text}> ")).collect();
            let calls: String =
                turn.tool_calls.iter().map(|calls| format!("calls {}", json(calls))).collect();
            let (name, id) = (named("name", &turn.name), named("id", &turn.tool_call_id));
            format!("{}{off}: {thought}{name}{id}{calls}{}", turn.role.name(), turn.said())
        })),
    }
    if let Example::Chat(chat) = &understood.example {
        lines.extend(chat.tools.iter().map(|tools| format!("tools: {}", json(tools))));
        if !chat.values.is_empty() {
            lines.push(format!("values: {}", json(&Json::Object(chat.values.clone()))));
        }
    }
    if !understood.unknown.is_empty() {
        lines.push(format!("unknown: {}", understood.unknown.join(", ")));
    }
    lines.iter().map(|line| line.replace('\n', "\\n").replace('\0', "␀")).collect()
}

#[test]
fn published_data_are_read_as_they_are_meant_or_refused_by_name() {
    let cases: Vec<Vec<&str>> =
        include_str!("tests/cases.txt").split("\n\n").map(|case| case.lines().collect()).collect();
    assert!(cases.len() > 100, "{}", cases.len());
    for case in &cases[1..] {
        let [what, record, expected @ ..] = &case[..] else { panic!("{case:?}") };
        match (read(record), expected) {
            (Ok(understood), expected) => assert_eq!(described(&understood), expected, "{what}"),
            (Err(reason), [refused]) if refused.starts_with("! ") => {
                assert!(reason.contains(&refused[2..]), "{what}: {reason}");
            }
            (Err(reason), _) => panic!("{what}: {reason}"),
        }
    }
}

/// The names in backticks in one cell of a table of docs/TRAINING.md.
fn names_in(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_tables_of_the_documentation_name_what_the_code_knows() {
    let docs = include_str!("../../../../../docs/TRAINING.md");
    let rows: Vec<[&str; 2]> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.rsplit_once(" | "))
        .map(|(left, right)| [left, right])
        .collect();
    let row = |begin: &str| {
        let found =
            rows.iter().find(|[left, right]| right.starts_with(begin) && left.contains('`'));
        let mut names = names_in(found.unwrap_or_else(|| panic!("no row {begin:?}"))[0]);
        names.sort_unstable();
        names
    };
    let sorted = |names: &mut dyn Iterator<Item = &'static str>| {
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names
    };
    assert_eq!(row("passed over"), sorted(&mut names::HARMLESS.iter().copied()));
    let words = [names::PREFERENCE_WORDS, names::MEDIA_WORDS].concat();
    let others = names::OTHER_TASKS.iter().map(|(name, _)| *name);
    assert_eq!(row("refused: data for another"), sorted(&mut others.chain(words)));
    assert_eq!(row("refused beside a form"), sorted(&mut names::MEANINGFUL.iter().copied()));
    for role in row("the roles of speakers").into_iter().filter(|it| !["role", "from"].contains(it))
    {
        let line = format!(r#"{{"messages": [{ASKED}, {{"role": "{role}", "content": "{{}}"}}]}}"#);
        let reason = read(&line).err().unwrap_or_default();
        assert!(!reason.contains("is not one of"), "{role}: {reason}");
    }
}

#[test]
fn answers_of_weight_nothing_are_not_learned() {
    let two = |keys: &str| {
        format!(
            r#"{{"messages": [{ASKED}, {{"role": "assistant", "content": "a", {keys}}},
            {ASKED}, {{"role": "assistant", "content": "b"}}]}}"#
        )
    };
    for (keys, learned) in [
        (r#""weight": 0"#, false),
        (r#""weight": 0.0"#, false),
        (r#""train": false"#, false),
        (r#""weight": 1"#, true),
        (r#""train": true"#, true),
        (r#""weight": null"#, true),
    ] {
        let turns = turns(&read(&two(keys)).unwrap().example);
        assert_eq!((turns[1].2, turns[3].2), (learned, true), "{keys}");
    }
    // TRL does not learn what precedes the completion, either.
    let line = r#"{"prompt": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}"#;
    let learned: Vec<bool> = turns(&read(line).unwrap().example).iter().map(|t| t.2).collect();
    assert_eq!(learned, [false, false, false, true]);
}

#[test]
fn tools_and_thoughts_reach_the_template_as_it_knows_them() {
    let json = |value: &Option<Json>| serde_json::to_string(value).unwrap();
    let call = r#"[{"type":"function","function":{"name":"f","arguments":{"x":1}}}]"#;
    let tools = r#"[{"type":"function","function":{"name":"f","parameters":{}}}]"#;
    let openai = format!(
        r#"{{"messages": [{ASKED}, {{"role": "assistant", "content": null, "tool_calls": {call}}},
        {{"role": "tool", "tool_call_id": "c", "name": "f", "content": "1"}},
        {{"role": "assistant", "content": "a", "reasoning_content": "t"}}], "tools": {tools}}}"#
    );
    let sharegpt = r#"{"conversations": [{"from": "human", "value": "q"},
        {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"},
        {"from": "observation", "value": "1"}, {"from": "gpt", "value": "a"}],
        "tools": "[{\"name\": \"f\", \"parameters\": {}}]"}"#;
    let old = format!(
        r#"{{"messages": [{ASKED}, {{"role": "assistant", "content": null,
        "function_call": {{"name": "f", "arguments": {{"x": 1}}}}}},
        {{"role": "function", "name": "f", "content": "1"}},
        {{"role": "assistant", "content": "a", "thinking": "t"}}],
        "functions": [{{"name": "f", "parameters": {{}}}}]}}"#
    );
    for line in [openai.as_str(), sharegpt, &old] {
        let understood = read(line).unwrap_or_else(|reason| panic!("{line}: {reason}"));
        assert_eq!(understood.unknown, [""; 0]);
        let chat = chat(understood.example);
        assert_eq!(
            (json(&chat.turns[1].tool_calls), json(&chat.tools)),
            (call.into(), tools.into())
        );
        assert_eq!((chat.turns[1].text.as_deref(), chat.turns[2].role), (None, Role::Tool));
        let thought = chat.turns[3].reasoning.as_deref();
        assert_eq!(thought, Some("t").filter(|_| line != sharegpt));
    }
    let parts =
        answered(r#""content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]"#);
    let parts = chat(read(&parts).unwrap().example);
    assert_eq!((parts.turns[1].said(), parts.turns[1].parts.is_some()), ("ab", true));
}

#[test]
fn whatever_has_no_plain_meaning_is_refused_in_words() {
    let cases: Vec<(String, &str)> = [
        (r#"[]"#, "a list, not an object"),
        (r#"{"instruction""#, "not valid JSON"),
        (r#"{}"#, "no field \"messages\""),
        (r#"{"instruction": "q", "output": null}"#, "\"output\", or it is null"),
        (r#"{"instruction": "q"}"#, "\"output\""),
        (r#"{"instruction": "q", "output": ["a"]}"#, "must be text, not a list"),
        (r#"{"instruction": "q", "output": "a", "output": "b"}"#, "stands twice"),
        (r#"{"instruction": "q", "output": "a", "response": "b"}"#, "no meaning beside"),
        (r#"{"instruction": "q", "output": "a", "text": "b"}"#, "says something else"),
        (r#"{"instruction": "q", "output": "a", "history": ["p"]}"#, "list of pairs"),
        (r#"{"instruction": "q", "output": " "}"#, "the answer is empty"),
        (r#"{"messages": [], "prompt": "x"}"#, "\"messages\" is empty"),
        (r#"{"messages": [{"role": "user", "content": "q"}]}"#, "there is no answer"),
        (r#"{"question": "q", "answer": "a", "response": "b"}"#, "which is meant"),
        (r#"{"question": "q", "answer": "a", "context": "c"}"#, "data.map"),
        (r#"{"prompt": "q"}"#, "\"completion\""),
        (
            r#"{"prompt": "q", "completion": [{"role": "assistant", "content": "a"}]}"#,
            "like \"prompt\"",
        ),
        (r#"{"prompt": "q", "completion": "a", "system": "s"}"#, "no meaning beside"),
        (r#"{"prompt": "q", "completion": "a", "label": false}"#, "KTO"),
        (r#"{"text": "a", "label": 1}"#, "classification"),
        (r#"{"prompt": "q", "chosen": "a", "rejected": "b"}"#, "preference data"),
        (r#"{"instruction": "q", "output": "a", "weight": 0.5}"#, "is not applied"),
        (r#"{"instruction": "q", "output": "a", "train": false}"#, "leave the example out"),
        (r#"{"instruction": "q", "output": "a", "images": ["x.png"]}"#, "images"),
        (r#"{"input_ids": [1, 2], "labels": [1, 2]}"#, "token ids"),
    ]
    .map(|(line, reason)| (line.to_owned(), reason))
    .into_iter()
    .chain([
        (answered(r#""content": "a", "weight": 0"#), "no answer is learned"),
        (answered(r#""content": "a", "weight": 2"#), "must be 0 or 1"),
        (answered(r#""content": "a", "train": 1"#), "true or false"),
        (answered(r#""content": null"#), "null"),
        (answered(r#""content": 5"#), "text or a list of parts"),
        (answered(r#""content": [], "weight": 1"#), "empty list"),
        (answered(r#""content": [{"type": "image_url", "image_url": {}}]"#), "images"),
        (answered(r#""content": "a", "value": "b""#), "twice"),
        (answered(r#""content": "a", "audio": {"id": "x"}"#), "audio"),
        (answered(r#""content": "", "tool_calls": []"#), "the answer is empty"),
        (answered(r#""content": "a", "tool_calls": "x""#), "must be a list"),
        (answered(r#""content": "a"}, {"role": "narrator", "content": "x""#), "data.map"),
        (
            answered(r#""content": "a"}, {"role": "user", "content": "x", "train": true"#),
            "only answers",
        ),
        (
            answered(r#""content": "a"}, {"role": "user", "content": "x", "thinking": "t""#),
            "only the assistant",
        ),
        (
            answered("\"content\": \"a\"").replace("]}", "], \"prompt\": \"other\"}"),
            "says something else",
        ),
        (answered("\"content\": \"a\"").replace("]}", "], \"tools\": {}}"), "must be a list"),
        (
            answered("\"content\": \"a\"").replace("]}", "], \"output\": \"x\"}"),
            "says something else",
        ),
    ])
    .collect();
    for (line, expected) in cases {
        let reason = read(&line).err().unwrap_or_else(|| panic!("{line} is taken"));
        assert!(reason.contains(expected), "{line}: {reason}");
    }
}

#[test]
fn unknown_fields_are_named_and_harmless_ones_are_not() {
    let line = answered(r#""content": "a", "id": 1, "mood": "x""#);
    let line = line.replace("]}", "], \"source\": \"x\", \"split\": \"test\", \"score\": 1}");
    assert_eq!(read(&line).unwrap().unknown, ["messages[].mood", "score", "split"]);
}

fn map(names: &[(&str, &str)]) -> crate::Result<FieldMap> {
    let own = |(field, column): &(&str, &str)| ((*field).to_owned(), (*column).to_owned());
    FieldMap::new(names.iter().map(own).collect())
}

#[test]
fn a_map_names_columns_and_leaves_out_all_others() {
    let plain = map(&[("instruction", "frage"), ("output", "antwort")]).unwrap();
    let line = r#"{"frage": "q", "antwort": "a", "output": 7, "rejected": "x"}"#;
    let understood = understand(line, &plain).unwrap();
    assert_eq!(understood.example, Example::instruction("q", "", "a"));
    assert_eq!(understood.unknown, [""; 0]);
    let reason = understand(r#"{"frage": "q"}"#, &plain).unwrap_err();
    assert!(reason.contains("column \"antwort\""), "{reason}");
    let reason = understand(r#"{"instruction": "q"}"#, &plain).unwrap_err();
    assert!(reason.contains("columns that `data.map` names"), "{reason}");
    // A preferred answer can be mapped as the completion.
    let chosen = map(&[("prompt", "prompt"), ("completion", "chosen")]).unwrap();
    assert!(understand(r#"{"prompt": "q", "chosen": "a", "rejected": "b"}"#, &chosen).is_ok());
    let speakers = [
        ("messages", "dialog"),
        ("role", "wer"),
        ("content", "was"),
        ("user_role", "kunde"),
        ("assistant_role", "wir"),
    ];
    let speakers = map(&speakers).unwrap();
    let line = r#"{"dialog": [{"wer": "kunde", "was": "q"}, {"wer": "wir", "was": "a"}]}"#;
    let turns = turns(&understand(line, &speakers).unwrap().example);
    assert_eq!(turns[1], (Role::Assistant, "a".to_owned(), true));
    for (wrong, expected) in [
        (&[("anwser", "x")][..], "`anwser` is not one of"),
        (&[("text", "x"), ("messages", "x")], "two fields"),
        (&[("user_role", "x"), ("tool_role", "x")], "two fields"),
        (&[("text", "")], "names no column"),
        // `instruction` would be left out.
        (&[("output", "x")], "name all of an example"),
        (&[("instruction", "x"), ("system", "y")], "name all of an example"),
    ] {
        let reason = map(wrong).unwrap_err().to_string();
        assert!(reason.contains("data.map") && reason.contains(expected), "{reason}");
    }
    let nested = map(&[("question", "data.q"), ("answer", "data.a")]).unwrap();
    let reason = understand(r#"{"data": {"q": "q", "a": "a"}}"#, &nested).unwrap_err();
    assert!(reason.contains("none of the columns"), "{reason}");
    let reason = understand(
        r#"{"data.q": "q", "data": {"a": "a"}}"#,
        &map(&[("instruction", "data.q"), ("output", "data.a")]).unwrap(),
    )
    .unwrap_err();
    assert!(reason.contains("inside of objects is not reached"), "{reason}");
}

//! Parsing, hashing and shortening of lines.

use super::*;

#[test]
fn what_is_wrong_with_a_line_is_said_without_repeating_it() {
    for (line, expected) in [
        (r#""Mr Smith has measles""#, "it is text, not an object"),
        (r#"{"instruction": 4711}"#, "must be text, not a number"),
        (r#"{"instruction": "a", "output": "b", "input": {"Smith": 1}}"#, "not an object"),
        (r#"{"messages": "Mr \"Smith\", expected `x`"}"#, "must be a list of turns, not text"),
        (r#"{"messages": ["Smith"]}"#, "must be an object, not text"),
        (r#"{"messages": [{"role": "Smith, John, born 1950-01-01", "content": "x"}]}"#, "role"),
    ] {
        let error = Example::parse(line, Path::new("a"), 1).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        for secret in ["measles", "4711", "01-01"] {
            assert!(!error.contains(secret), "{error}");
        }
    }
}

#[test]
fn the_digest_of_parts_is_that_of_the_whole() {
    let of = |text| Example::parse(text, Path::new("a"), 1).unwrap().digest();
    let parts = of(r#"{"instruction": "a", "input": "b", "output": "c"}"#);
    assert_eq!(parts, of(r#"{"prompt": "a\n\nb", "completion": "c"}"#));
    assert_ne!(parts, of(r#"{"prompt": "a\n\n", "completion": "bc"}"#));
}

#[test]
fn a_shortened_example_keeps_its_beginning() {
    let of = |text| Example::parse(text, Path::new("a"), 1).unwrap();
    let example = of(r#"{"instruction": "aé", "input": "b", "output": "cd"}"#);
    assert_eq!(example.clone().shortened(6), example);
    let cut = Example::instruction("a", "b", "");
    assert_eq!(example.shortened(2), cut);
    let chat = of(r#"{"messages": [{"role": "user", "content": "ab"},
        {"role": "assistant", "content": "cd"}, {"role": "user", "content": "e"}]}"#);
    let texts = |example: Example| -> Vec<String> {
        example.turns().iter().map(|turn| turn.said().to_owned()).collect()
    };
    assert_eq!(texts(chat.clone().shortened(100)), ["ab", "cd", "e"]);
    assert_eq!(texts(chat.shortened(3)), ["ab", "c"]);
}

#[test]
fn a_digest_tells_apart_whatever_a_template_may_show() {
    let of = |text: &str| Example::parse(text, Path::new("a"), 1).unwrap().digest();
    let line = |turn: &str, more: &str| {
        format!(
            r#"{{"messages": [{{"role": "user", "content": "q"}},
            {{"role": "assistant", "content": "a"{turn}}}]{more}}}"#
        )
    };
    let lines = [
        line("", ""),
        line(r#", "reasoning_content": "t""#, ""),
        line(r#", "tool_calls": [{"b": 1, "a": 2}]"#, ""),
        line(r#", "tool_calls": [{"a": 2, "b": 1}]"#, ""),
        line(r#", "name": "t""#, ""),
        line("", r#", "tools": [{"name": "t"}]"#),
    ];
    let digests: std::collections::HashSet<_> = lines.iter().map(|line| of(line)).collect();
    assert_eq!(digests.len(), lines.len());
    assert_eq!(of(&lines[0]), of(r#"{"instruction": "q", "output": "a"}"#));
}

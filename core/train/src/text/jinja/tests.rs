//! Features that templates use, with what Jinja2 and transformers render for them.

use super::*;

fn of(template: &str) -> String {
    let values = minijinja::context! {
        text => "  a\u{1c}b\u{a0} ",
        none => Value::from(()),
        object => Value::from_pairs([
            ("b", Value::from(vec![Value::from(1), Value::from(2.0), Value::from(())])),
            ("a", Value::from("é<'>")),
        ]),
    };
    match environment(template.to_owned()).and_then(|environment| render(&environment, values)) {
        Ok(text) => text,
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn texts_are_those_of_python() {
    for (template, expected) in [
        ("{{ object.b }}", "[1, 2.0, None]"),
        ("{{ object.b | string }}", "[1, 2.0, None]"),
        ("{{ true }} {{ none }} {{ missing }}|", "True None |"),
        ("{{ '\u{1c}x\u{1c}'.strip() }}|{{ '\u{1f}x' | trim }}", "x|x"),
        ("{{ 'a\u{b}b\\r\\nc'.splitlines() }}", "['a', 'b', 'c']"),
        ("{{ 'a b  c'.split() }}{{ 'a,b,c'.split(',', 1) }}", "['a', 'b', 'c']['a', 'b,c']"),
        ("{{ 'a,b,c'.rsplit(',', 1) }}{{ ' a b'.split(maxsplit=1) }}", "['a,b', 'c']['a', 'b']"),
        ("{{ 'xab'.removeprefix('x') }}{{ [1, 'b'] | join('-') }}", "ab1-b"),
        ("{{ 'ab' is sequence }}{{ object is sequence }}{{ 1 is sequence }}", "TrueTrueFalse"),
        ("{{ object is iterable }}{{ 'a' is iterable }}{{ none is iterable }}", "TrueTrueFalse"),
        ("{{ [1, 2, 3][::-1] | join(' ') }}{{ 'abc'[1:] }}", "3 2 1bc"),
    ] {
        assert_eq!(of(template), expected, "{template}");
    }
}

#[test]
fn json_is_that_of_python() {
    for (template, expected) in [
        ("{{ {'b': 1, 'a': [true, 'é<\"']} | tojson }}", r#"{"b": 1, "a": [true, "é<\""]}"#),
        ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", r#"{"a": 2, "b": 1}"#),
        ("{{ ['é'] | tojson(ensure_ascii=true) }}", r#"["\u00e9"]"#),
        ("{{ [1, {'a': 2}] | tojson(separators=(',', ':')) }}", r#"[1,{"a":2}]"#),
        ("{{ [1] | tojson(indent=2) }}", "[\n  1\n]"),
    ] {
        assert_eq!(of(template), expected, "{template}");
    }
    assert!(of("{{ missing | tojson }}").starts_with("error"));
    assert!(of("{{ 1 | tojson(unknown=1) }}").starts_with("error"));
}

#[test]
fn the_date_is_written_in_the_format_that_is_asked_for() {
    assert_eq!(of("{{ strftime_now('%d %b %Y') }}"), "26 Jul 2024");
    assert_eq!(of("{{ strftime_now('%A, %Y-%m-%d %H:%M:%S%%') }}"), "Friday, 2024-07-26 00:00:00%");
    assert!(of("{{ strftime_now('%Q') }}").contains("%Q"));
}

//! Templates, with what the Jinja of transformers renders for them.

#![allow(clippy::print_stdout, reason = "the counts are for people")]

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::chat::value;
use super::super::marks;
use super::*;
use crate::data::Json;

/// Names a file of further templates, which `make_jinja.py SEED FILE` writes.
const MORE: &str = "FEDSHIELD_JINJA_CASES";

#[derive(Deserialize)]
struct Cases {
    values: Json,
    /// Templates and their text, if Jinja renders them.
    cases: Vec<(String, Option<String>)>,
}

fn rendered(template: &str, values: Value) -> Result<String, String> {
    let (source, _) = marks::rewrite(template)?;
    let environment = environment(source, TemplateDate::default()).map_err(|e| e.to_string())?;
    render(&environment, values).map_err(|e| e.to_string())
}

#[test]
fn templates_render_as_in_transformers_or_are_refused() {
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/templates/jinja.json");
    let path = std::env::var_os(MORE).unwrap_or_else(|| committed.into());
    let Cases { values, cases } = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let values = value(&values);
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut wrong = Vec::new();
    for (template, wanted) in &cases {
        let found = rendered(template, values.clone());
        let verdict = match (&found, wanted) {
            (Ok(found), Some(wanted)) if found == wanted => "same",
            (Err(_), None) => "refused, as there",
            (Err(_), Some(_)) => "refused here alone",
            _ => {
                wrong.push(format!("{template:?}: wanted {wanted:?}, got {found:?}"));
                "something else"
            }
        };
        *counts.entry(verdict).or_default() += 1;
    }
    println!("{counts:?}");
    assert!(wrong.is_empty(), "{:#?}", &wrong[..wrong.len().min(40)]);
    // What only this program refuses is rare: formats of `%`, filters for HTML, numbers beyond 128
    // bits, and the like.
    assert!(counts["same"] > 3900 && counts["refused here alone"] < 260, "{counts:?}");
}

#[test]
fn what_is_refused_is_named_with_its_line() {
    for (template, named) in [
        ("a\n{{ x.items }}", "line 2: the method items without a call"),
        ("{{ ('<' | safe) | trim }}", "marked as safe"),
        ("{% block x %}{% endblock %}", "line 1: the tag block"),
        ("{{ 'a\\N{BULLET}' }}", "by its name"),
        ("\n\n{% macro m(a) %}{% generation %}{% endgeneration %}{% endmacro %}", "line 3"),
        ("{% macro m() %}{% endmacro %}{{ m.arguments }}", "an attribute of the macro m"),
        ("{{ 1", "line 1"),
        (&format!("{{{{ {}1{} }}}}", "(".repeat(500), ")".repeat(500)), "nested too deeply"),
        (&format!("{{{{ {}1 }}}}", "-".repeat(500)), "nested too deeply"),
        ("{{ range(1000000) }}", "100,000"),
    ] {
        let error = rendered(template, Value::from(())).unwrap_err();
        assert!(error.contains(named), "{template}: {error}");
    }
}

fn of(template: &str) -> String {
    let values = minijinja::context! {
        text => "  a\u{1c}b\u{a0} ",
        none => Value::from(()),
        object => Value::from_pairs([
            ("b", Value::from(vec![Value::from(1), Value::from(2.0), Value::from(())])),
            ("a", Value::from("é<'>")),
        ]),
    };
    rendered(template, values).unwrap_or_else(|error| format!("error: {error}"))
}

#[test]
fn texts_are_those_of_python() {
    for (template, expected) in [
        ("{{ object.b }}", "[1, 2.0, None]"),
        ("{{ object.b | string }}", "[1, 2.0, None]"),
        ("{{ true }} {{ none }} {{ missing }}|", "True None |"),
        ("{{ '\\x1cx\\x1c'.strip() }}|{{ '\\x1fx' | trim }}", "x|x"),
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

/// Expected texts: MarkupSafe 3.0's, through the Jinja of transformers.
#[test]
fn what_is_added_to_a_safe_text_is_escaped() {
    for (template, expected) in [
        ("{{ '<a>'|safe + '<b>' }}", "<a>&lt;b&gt;"),
        ("{{ '<b>' + '<a>'|safe }}", "&lt;b&gt;<a>"),
        ("{{ ('<a>'|safe + '\"&') + \"'\" }}", "<a>&#34;&amp;&#39;"),
        ("{{ '<a>'|safe + '<b>'|safe }}{{ '<' + '>' }}", "<a><b><>"),
        ("{% set a = {'x': 'é'}|tojson|safe %}{{ 'f' + '[ARGS]' + a }}", "f[ARGS]{\"x\": \"é\"}"),
        ("{{ ('<a>'|safe + '<') ~ '<' }}", "<a>&lt;<"),
        ("{{ 1 + 2 }} {{ 1.5 + true }} {{ [1] + [2] }} {{ (1,) + (2,) }}", "3 2.5 [1, 2] (1, 2)"),
    ] {
        assert_eq!(of(template), expected, "{template}");
    }
    for template in ["{{ 'a'|safe + 1 }}", "{{ none + 'a'|safe }}", "{{ 'a' + [] }}"] {
        assert!(of(template).starts_with("error"), "{template}: {}", of(template));
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
fn the_date_is_the_one_that_is_set() {
    assert_eq!(of("{{ strftime_now('%d %b %Y') }}"), "26 Jul 2024");
    let date = "2026-11-27".parse().unwrap();
    let environment = environment("{{ strftime_now('%d %b %Y') }}".to_owned(), date).unwrap();
    assert_eq!(render(&environment, Value::from(())).unwrap(), "27 Nov 2026");
    assert!(of("{{ strftime_now('%Q') }}").contains("%Q"));
}

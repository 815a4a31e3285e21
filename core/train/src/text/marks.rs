//! `{% generation %}` marks: the text between them is what the model writes, so it carries a loss.
//!
//! transformers adds them to Jinja as a tag. Here each becomes a scope that prints a variable at
//! its beginning and end: empty to render the text, or a character that occurs nowhere else to find
//! the positions.

use std::ops::Range;

/// Printed where a marked part begins.
pub(super) const OPEN: &str = "fedshield_generation_begins";
/// Printed where it ends.
pub(super) const CLOSE: &str = "fedshield_generation_ends";

/// A template whose marks were replaced by variables, and whether it has any.
pub(super) fn rewrite(source: &str) -> (String, bool) {
    let (mut out, mut rest, mut any) = (String::with_capacity(source.len()), source, false);
    let mut is_raw = false;
    while let Some(at) =
        rest.find("{{").into_iter().chain(rest.find("{%")).chain(rest.find("{#")).min()
    {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match is_raw {
            true if !rest.starts_with("{%") => 2,
            _ => tag_length(rest),
        };
        let tag = &rest[..length];
        rest = &rest[length..];
        let (words, left, right) = match tag.starts_with("{%") {
            true => parts(tag),
            false => ("", "", ""),
        };
        match words {
            "endraw" => is_raw = false,
            "raw" => is_raw = true,
            _ => {}
        }
        match words {
            "generation" if !is_raw => {
                any = true;
                out.push_str(&format!(
                    "{{%{left} with %}}{{{{ {OPEN} }}}}{{% if true %}}{{% endif {right}%}}"
                ));
            }
            "endgeneration" if !is_raw => out.push_str(&format!(
                "{{%{left} if true %}}{{{{ {CLOSE} }}}}{{% endif %}}{{% endwith {right}%}}"
            )),
            _ => out.push_str(tag),
        }
    }
    out.push_str(rest);
    (out, any)
}

/// Length of the tag, expression or comment at the beginning of a text; the whole text if it is not
/// closed.
fn tag_length(text: &str) -> usize {
    let end = match text.get(..2) {
        Some("{#") => return text.find("#}").map_or(text.len(), |at| at + 2),
        Some("{{") => "}}",
        _ => "%}",
    };
    let bytes = text.as_bytes();
    let (mut at, mut quote, mut depth) = (2, None, 0usize);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth > 0 => depth -= 1,
            (None, _) if bytes[at..].starts_with(end.as_bytes()) => return at + 2,
            (None, _) => {}
        }
        at += 1;
    }
    text.len()
}

/// The words of a tag, and its whitespace control on the left and on the right.
fn parts(tag: &str) -> (&str, &str, &str) {
    let inner = tag.strip_prefix("{%").and_then(|tag| tag.strip_suffix("%}")).unwrap_or_default();
    let sign = |c: Option<char>| matches!(c, Some('-' | '+'));
    let left = if sign(inner.chars().next()) { &inner[..1] } else { "" };
    let inner = &inner[left.len()..];
    let right = if sign(inner.chars().last()) { &inner[inner.len() - 1..] } else { "" };
    (inner[..inner.len() - right.len()].trim(), left, right)
}

/// A text without the two characters, and the ranges between them; `None` if they are not properly
/// ordered.
pub(super) fn between(text: &str, open: char, close: char) -> Option<(String, Vec<Range<usize>>)> {
    let (mut out, mut parts, mut begin) = (String::with_capacity(text.len()), Vec::new(), None);
    for piece in text.split_inclusive([open, close]) {
        let mark = piece.chars().last().filter(|c| [open, close].contains(c));
        out.push_str(&piece[..piece.len() - mark.map_or(0, char::len_utf8)]);
        match (mark, begin) {
            (Some(mark), None) if mark == open => begin = Some(out.len()),
            (Some(mark), Some(from)) if mark == close => {
                parts.push(from..out.len());
                begin = None;
            }
            (Some(_), _) => return None,
            (None, _) => {}
        }
    }
    begin.is_none().then_some((out, parts))
}

#[cfg(test)]
mod tests {
    use super::super::jinja;
    use super::*;

    fn marked(template: &str) -> (String, Vec<Range<usize>>) {
        let (source, any) = rewrite(template);
        assert!(any, "{template}");
        let environment = jinja::environment(source).unwrap();
        let render = |open, close| {
            let values = minijinja::context! {
                fedshield_generation_begins => open, fedshield_generation_ends => close, x => "x"
            };
            jinja::render(&environment, values).unwrap()
        };
        let found = between(&render("<", ">"), '<', '>').unwrap();
        assert_eq!(found.0, render("", ""));
        found
    }

    #[test]
    fn spaces_around_marks_go_as_around_other_tags() {
        for (template, expected, part) in [
            ("a {% generation %}b{% endgeneration %} c", "a b c", 2..3),
            ("a {%- generation -%} b {%- endgeneration -%} c", "abc", 1..2),
            ("a\n  {% generation %}\nb\n  {% endgeneration %}\nc", "a\nb\nc", 2..4),
            ("a{%- generation %} {{- x }}{%- endgeneration %}\n", "ax", 1..2),
            (
                "{% raw %}{% generation %}{% endraw %}{%generation%}{{ '%}' }}{%endgeneration%}",
                "{% generation %}%}",
                16..18,
            ),
            ("{# {% generation %} #}{% generation %}b{% endgeneration %}", "b", 0..1),
        ] {
            assert_eq!(marked(template), (expected.to_owned(), vec![part]), "{template}");
        }
    }

    #[test]
    fn a_mark_is_a_scope_and_unordered_ones_are_told() {
        let (text, _) =
            marked("{% set a = 1 %}{% generation %}{% set a = 2 %}{% endgeneration %}{{ a }}");
        assert_eq!(text, "1");
        assert!(between("a>b<", '<', '>').is_none());
        assert!(between("<a", '<', '>').is_none());
    }
}

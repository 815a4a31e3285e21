//! `{% generation %}` marks: the text between them is what the model writes, so it carries a loss.
//!
//! transformers adds them to Jinja as a tag. Here each becomes a scope that prints a variable at
//! its beginning and end: empty to render the text, or a character that occurs nowhere else to find
//! the positions.

use std::ops::Range;

use super::jinja;

/// Printed where a marked part begins.
pub(super) const OPEN: &str = "fedshield_generation_begins";
/// Printed where it ends.
pub(super) const CLOSE: &str = "fedshield_generation_ends";

/// A template in minijinja's dialect, with its marks replaced by variables, and whether it has any.
///
/// # Errors
/// What is not supported, with its line; a mark where transformers finds other positions than those
/// of the text.
pub(super) fn rewrite(source: &str) -> Result<(String, bool), String> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    if let Some(c) = source.chars().find(|c| ('\u{1c}'..='\u{1f}').contains(c)) {
        return Err(format!("it contains the control character {c:?}"));
    }
    let mut out = String::with_capacity(source.len() * 2);
    let (mut rest, mut any, mut is_raw) = (source.as_str(), false, false);
    let (mut open, mut macros): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    while let Some(at) =
        rest.find("{{").into_iter().chain(rest.find("{%")).chain(rest.find("{#")).min()
    {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match is_raw {
            true if !rest.starts_with("{%") => 2,
            _ => tag_length(rest),
        };
        let found = &rest[..length];
        let line = || source[..source.len() - rest.len()].matches('\n').count() + 1;
        let (words, left, right) = parts(found);
        let is_tag = found.starts_with("{%");
        let written = match (is_tag, words) {
            (true, "endraw") if is_raw => {
                is_raw = false;
                found.to_owned()
            }
            _ if is_raw || found.starts_with("{#") => found.to_owned(),
            (true, "raw") => {
                is_raw = true;
                found.to_owned()
            }
            (false, _) => {
                let value = jinja::printed(words).map_err(|e| format!("line {}: {e}", line()))?;
                format!("{{{{{left} {value} {right}}}}}")
            }
            (true, _) => {
                let named = words.strip_prefix("macro ").and_then(|rest| rest.split('(').next());
                macros.extend(named.map(|name| name.trim().to_owned()));
                enter(words, &mut open).map_err(|e| format!("line {}: {e}", line()))?;
                match words {
                    "generation" => {
                        any = true;
                        format!(
                            "{{%{left} with %}}{{{{ {OPEN} }}}}{{% if true %}}{{% endif {right}%}}"
                        )
                    }
                    "endgeneration" => format!(
                        "{{%{left} if true %}}{{{{ {CLOSE} }}}}{{% endif %}}{{% endwith {right}%}}"
                    ),
                    _ => {
                        let tag = jinja::tag(words).map_err(|e| format!("line {}: {e}", line()))?;
                        format!("{{%{left} {tag} {right}%}}")
                    }
                }
            }
        };
        out.push_str(&written);
        rest = &rest[length..];
    }
    out.push_str(rest);
    match macros.iter().find(|name| has_attribute(&source, name)) {
        Some(name) => Err(format!("an attribute of the macro {name}, which is not supported")),
        None => Ok((out, any)),
    }
}

/// Whether an attribute of this name occurs in a template. Those of macros have other values here.
fn has_attribute(source: &str, name: &str) -> bool {
    let in_word = |c: char| c == '_' || c == '.' || c.is_alphanumeric();
    source.match_indices(name).any(|(at, _)| {
        let (before, behind) = (&source[..at], &source[at + name.len()..]);
        behind.starts_with('.') && !before.chars().next_back().is_some_and(in_word)
    })
}

/// Blocks whose text Jinja collects before it is written: transformers counts the positions of
/// marks in them from the beginning of that text.
const COLLECTED: [&str; 5] = ["macro", "call", "filter", "set", "generation"];

/// Keeps track of the blocks that are open.
///
/// # Errors
/// A mark inside a block whose text is collected.
fn enter(words: &str, open: &mut Vec<String>) -> Result<(), String> {
    let name = words.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    if let Some(ended) = name.strip_prefix("end") {
        if let Some(at) = open.iter().rposition(|block| block == ended) {
            open.truncate(at);
        }
        return Ok(());
    }
    if name == "generation"
        && let Some(block) = open.iter().find(|block| COLLECTED.contains(&block.as_str()))
    {
        return Err(format!(
            "{{% generation %}} inside of {{% {block} %}}, where transformers marks another text"
        ));
    }
    let is_block = match name {
        "set" => !words.contains('='),
        "for" if words.ends_with("recursive") => {
            open.push("macro".to_owned());
            true
        }
        "macro" | "call" | "filter" | "for" | "if" | "with" | "generation" => true,
        _ => false,
    };
    if is_block {
        open.push(name.to_owned());
    }
    Ok(())
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

/// The words of a tag, and its whitespace control on the left and on the right. A tag that is not
/// closed has its opening as words, which no parser takes.
fn parts(tag: &str) -> (&str, &str, &str) {
    let is_tag = tag.starts_with("{%");
    let end = if is_tag { "%}" } else { "}}" };
    let Some(inner) = tag.get(2..).and_then(|tag| tag.strip_suffix(end)) else {
        return (&tag[..2], "", "");
    };
    let sign = |c: Option<char>, plus: bool| c == Some('-') || (c == Some('+') && plus);
    let left = if sign(inner.chars().next(), true) { &inner[..1] } else { "" };
    let inner = &inner[left.len()..];
    let right = if sign(inner.chars().last(), is_tag) { &inner[inner.len() - 1..] } else { "" };
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
    use super::super::date::TemplateDate;
    use super::super::jinja;
    use super::*;

    fn marked(template: &str) -> (String, Vec<Range<usize>>) {
        let (source, any) = rewrite(template).unwrap();
        assert!(any, "{template}");
        let environment = jinja::environment(source, TemplateDate::default()).unwrap();
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

//! Jinja as transformers offers it to chat templates: trimmed blocks, loop controls, methods and
//! formatting of Python, `raise_exception`, `strftime_now`, `tojson`. Anything unsupported is an
//! error, never a different text.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Value, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, Output, State};
use minijinja_contrib::pycompat;

use super::python::{self, JsonStyle};

/// The name of the only template.
const NAME: &str = "chat";

/// An environment that contains the template.
///
/// # Errors
/// A syntax error of the template.
pub(super) fn environment(source: String) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(method);
    environment.set_formatter(print);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    environment.add_filter("string", |value: &Value| python::str(value));
    environment.add_filter("trim", |text: &Value, chars: Option<&str>| -> Result<String, Error> {
        Ok(strip(&python::str(text)?, chars, true, true).to_owned())
    });
    environment.add_filter("join", join);
    // Python's strings and dictionaries have a length and access by key, which is all that Jinja
    // needs.
    environment.add_test("sequence", |value: &Value| {
        let kinds = [ValueKind::Undefined, ValueKind::String, ValueKind::Seq, ValueKind::Map];
        kinds.contains(&value.kind())
    });
    environment.add_test("iterable", |value: &Value| {
        let is_text = value.is_undefined() || value.kind() == ValueKind::String;
        is_text || (!value.is_none() && value.try_iter().is_ok())
    });
    environment.add_template_owned(NAME, source)?;
    Ok(environment)
}

/// Renders the environment's template.
pub(super) fn render(environment: &Environment<'_>, values: Value) -> Result<String, Error> {
    environment.get_template(NAME)?.render(values)
}

fn print(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let failed = |_| Error::new(ErrorKind::WriteFailure, "out of memory");
    match value.as_str() {
        Some(text) => out.write_str(text).map_err(failed),
        None => out.write_str(&python::str(value)?).map_err(failed),
    }
}

fn raise_exception(message: &Value) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, python::str(message)?))
}

fn bad(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}

/// `json.dumps` with the arguments that transformers passes to it.
fn tojson(value: &Value, ascii: Option<bool>, arguments: Kwargs) -> Result<String, Error> {
    let ascii = match ascii {
        Some(ascii) => Some(ascii),
        None => arguments.get("ensure_ascii")?,
    };
    let indent: Option<Value> = arguments.get("indent")?;
    let indent = match indent.filter(|indent| !indent.is_none()) {
        None => None,
        Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
        Some(count) => {
            let count = usize::try_from(count.as_i64().unwrap_or(0).max(0)).unwrap_or(0);
            Some(" ".repeat(count.min(MOST_INDENT)))
        }
    };
    let separators: Option<Vec<String>> = arguments.get("separators")?;
    let (between_items, behind_key) = match separators.as_deref() {
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
        Some([items, keys]) => (items.clone(), keys.clone()),
        Some(_) => return Err(bad("separators are two texts")),
    };
    let sort_keys = arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    arguments.assert_all_used()?;
    let ascii = ascii.unwrap_or(false);
    python::json(value, &JsonStyle { ascii, sort_keys, indent, between_items, behind_key })
}

/// Bounds the indentation that a template can ask for.
const MOST_INDENT: usize = 64;

fn join(
    value: &Value,
    between: Option<&str>,
    attribute: Option<&str>,
    arguments: Kwargs,
) -> Result<String, Error> {
    let between = match between {
        Some(between) => between.to_owned(),
        None => arguments.get::<Option<String>>("d")?.unwrap_or_default(),
    };
    let attribute = match attribute {
        Some(attribute) => Some(attribute.to_owned()),
        None => arguments.get::<Option<String>>("attribute")?,
    };
    arguments.assert_all_used()?;
    if value.is_undefined() {
        return Ok(String::new());
    }
    let mut joined = String::new();
    for (index, item) in value.try_iter()?.checked().enumerate() {
        let item = match &attribute {
            None => item?,
            Some(name) => item?.get_attr(name)?,
        };
        if index > 0 {
            joined.push_str(&between);
        }
        joined.push_str(&python::str(&item)?);
    }
    Ok(joined)
}

/// String methods of Python that pycompat lacks, or for which it uses Rust's definition of
/// whitespace.
fn method(
    state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return pycompat::unknown_method_callback(state, value, name, arguments);
    };
    Ok(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(arguments)?;
            Value::from(strip(text, chars, name != "rstrip", name != "lstrip"))
        }
        "split" | "rsplit" => {
            let (rest, named): (Rest<Value>, Kwargs) = from_args(arguments)?;
            let between = match rest.first() {
                Some(between) => Some(between.clone()),
                None => named.get("sep")?,
            };
            let most = match rest.get(1) {
                Some(most) => most.as_i64(),
                None => named.get("maxsplit")?,
            };
            named.assert_all_used()?;
            let between = between.filter(|between| !between.is_none());
            let between = between.as_ref().map(|between| {
                between.as_str().ok_or_else(|| bad("what a text is split at is a text"))
            });
            let most = most.and_then(|most| usize::try_from(most).ok());
            Value::from(split(text, between.transpose()?, most, name == "rsplit")?)
        }
        "splitlines" => {
            let (keep,): (Option<bool>,) = from_args(arguments)?;
            Value::from(lines(text, keep.unwrap_or(false)))
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "join" => {
            let (items,): (&Value,) = from_args(arguments)?;
            let items: Result<Vec<String>, Error> = items
                .try_iter()?
                .checked()
                .map(|item| match item?.as_str() {
                    Some(item) => Ok(item.to_owned()),
                    None => Err(bad("only texts can be joined")),
                })
                .collect();
            Value::from(items?.join(text))
        }
        _ => return pycompat::unknown_method_callback(state, value, name, arguments),
    })
}

fn strip<'a>(text: &'a str, chars: Option<&str>, left: bool, right: bool) -> &'a str {
    let goes = |c: char| chars.map_or_else(|| python::is_space(c), |chars| chars.contains(c));
    let text = if left { text.trim_start_matches(goes) } else { text };
    if right { text.trim_end_matches(goes) } else { text }
}

/// `str.split` and `str.rsplit`; without a separator they split at runs of whitespace.
fn split(
    text: &str,
    between: Option<&str>,
    most: Option<usize>,
    from_right: bool,
) -> Result<Vec<String>, Error> {
    let most = most.unwrap_or(usize::MAX);
    let pieces = most.saturating_add(1);
    let mut parts: Vec<String> = match (between, from_right) {
        (Some(""), _) => return Err(bad("empty separator")),
        (Some(between), false) => text.splitn(pieces, between).map(str::to_owned).collect(),
        (Some(between), true) => text.rsplitn(pieces, between).map(str::to_owned).collect(),
        (None, true) if most != usize::MAX => {
            return Err(bad("rsplit with a count needs a separator"));
        }
        (None, _) => {
            let (mut parts, mut rest) = (Vec::new(), text.trim_start_matches(python::is_space));
            while !rest.is_empty() {
                let end = match parts.len() < most {
                    true => rest.find(python::is_space).unwrap_or(rest.len()),
                    false => rest.len(),
                };
                parts.push(rest[..end].to_owned());
                rest = rest[end..].trim_start_matches(python::is_space);
            }
            return Ok(parts);
        }
    };
    if from_right {
        parts.reverse();
    }
    Ok(parts)
}

/// `str.splitlines`, which recognises more line terminators than `\n`.
fn lines(text: &str, keep: bool) -> Vec<String> {
    const ENDS: [char; 10] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    let (mut lines, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(ENDS) {
        let behind = &rest[at..];
        let end = match behind.starts_with("\r\n") {
            true => at + 2,
            false => at + behind.chars().next().map_or(0, char::len_utf8),
        };
        lines.push(rest[..if keep { end } else { at }].to_owned());
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        lines.push(rest.to_owned());
    }
    lines
}

/// `strftime` with a fixed date for every federation, 26 July 2024 at midnight: with the current
/// date, the data of two members, and that of two rounds, would differ.
fn strftime_now(format: &str) -> Result<String, Error> {
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        out.push_str(match rest.next() {
            Some('%') => "%",
            Some('a') => "Fri",
            Some('A') => "Friday",
            Some('b' | 'h') => "Jul",
            Some('B') => "July",
            Some('d' | 'e') => "26",
            Some('D' | 'x') => "07/26/24",
            Some('F') => "2024-07-26",
            Some('H' | 'M' | 'S') => "00",
            Some('I') => "12",
            Some('j') => "208",
            Some('m') => "07",
            Some('p') => "AM",
            Some('R') => "00:00",
            Some('T' | 'X') => "00:00:00",
            Some('u' | 'w') => "5",
            Some('V') => "30",
            Some('W' | 'U') => "29",
            Some('y') => "24",
            Some('Y') => "2024",
            Some('-') => match rest.next() {
                Some('d') => "26",
                Some('m') => "7",
                Some('H' | 'M' | 'S') => "0",
                Some('I') => "12",
                Some('y') => "24",
                Some('j') => "208",
                _ => return Err(bad(format!("strftime_now cannot write {format:?}"))),
            },
            _ => return Err(bad(format!("strftime_now cannot write {format:?}"))),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests;

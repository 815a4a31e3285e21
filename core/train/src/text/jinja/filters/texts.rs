//! Filters that write text: JSON, joined, replaced, formatted and indented.

use minijinja::Error;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};

use super::super::json::{JsonStyle, json};
use super::super::python;
use super::super::{bad, methods, plain};

/// Bounds the indentation that a template can ask for.
const MOST_INDENT: usize = 64;

/// `json.dumps` with the arguments that transformers passes to it.
pub(super) fn tojson(
    value: &Value,
    ascii: Option<Value>,
    arguments: Kwargs,
) -> Result<String, Error> {
    let ascii = match ascii {
        Some(ascii) => Some(ascii),
        None => arguments.get("ensure_ascii")?,
    };
    let indent: Option<Value> = arguments.get("indent")?;
    let indent = match indent.filter(|indent| !indent.is_none()) {
        None => None,
        Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
        Some(count) => {
            let whole = count.is_integer() || count.kind() == ValueKind::Bool;
            let count = if whole { i64::try_from(count).ok() } else { None };
            let count = count.ok_or_else(|| bad("an indentation is a text or a whole number"))?;
            let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
            if count > MOST_INDENT {
                return Err(bad(format!("an indentation of more than {MOST_INDENT}")));
            }
            Some(" ".repeat(count))
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
    let ascii = ascii.is_some_and(|ascii| ascii.is_true());
    json(value, &JsonStyle { ascii, sort_keys, indent, between_items, behind_key })
}

pub(super) fn join(value: &Value, given: Rest<Value>, arguments: Kwargs) -> Result<String, Error> {
    if given.len() > 2 {
        return Err(bad("join takes a text and an attribute"));
    }
    let between = match given.first() {
        Some(between) => Some(between.clone()),
        None if arguments.has("d") => Some(arguments.get("d")?),
        None => None,
    };
    let between = between.map_or(Ok(String::new()), |between| python::str(&between))?;
    let attribute = match given.get(1) {
        Some(attribute) => attribute.as_str().map(str::to_owned),
        None => arguments.get::<Option<String>>("attribute")?,
    };
    arguments.assert_all_used()?;
    if value.is_none() {
        return Err(bad("none cannot be joined"));
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

/// `str.replace` on the texts of three values.
pub(super) fn replace(
    value: &Value,
    old: &Value,
    new: &Value,
    count: Option<Value>,
) -> Result<String, Error> {
    let (text, old, new) = (python::str(value)?, python::str(old)?, python::str(new)?);
    let count = count.map(|count| {
        let whole = count.as_i64().filter(|_| count.is_integer());
        whole.ok_or_else(|| bad("how often a text is replaced is a whole number"))
    });
    Ok(match count.transpose()?.and_then(|count| usize::try_from(count).ok()) {
        Some(count) => text.replacen(&old, &new, count),
        None => text.replace(&old, &new),
    })
}

/// The text of a value.
///
/// # Errors
/// A text that was marked as safe: it would stay marked in Jinja.
pub(super) fn text_of(value: &Value) -> Result<String, Error> {
    plain(value)?;
    python::str(value)
}

/// Formats as Python's `%`, with `%s`, `%d` and `%%` alone.
pub(super) fn format(value: &Value, arguments: Rest<Value>) -> Result<String, Error> {
    let pattern = text_of(value)?;
    let (mut out, mut rest) = (String::with_capacity(pattern.len()), pattern.as_str());
    let mut given = arguments.iter();
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let kind = rest[at + 1..].chars().next();
        match kind {
            Some('%') => out.push('%'),
            Some('s' | 'd') => {
                let next = given.next().ok_or_else(|| bad("format lacks an argument"))?;
                if kind == Some('d') && !next.is_integer() {
                    return Err(bad("only a whole number is formatted by %d"));
                }
                out.push_str(&text_of(next)?);
            }
            _ => return Err(bad("only %s, %d and %% are supported")),
        }
        rest = &rest[at + 2..];
    }
    match given.next() {
        Some(_) => Err(bad("format has too many arguments")),
        None => Ok(out + rest),
    }
}

/// Jinja's filter `title`, whose words begin behind spaces, hyphens and opening brackets.
pub(super) fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for c in text.chars() {
        match begins {
            true => out.extend(c.to_uppercase()),
            false => out.extend(c.to_lowercase()),
        }
        begins = python::is_space(c) || "-({[<".contains(c);
    }
    out
}

/// Jinja's `indent`, which cuts lines as `str.splitlines` does.
pub(super) fn indent(
    text: &Value,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    arguments: Kwargs,
) -> Result<String, Error> {
    plain(text)?;
    let text = text.as_str().ok_or_else(|| bad("only a text can be indented"))?;
    let width = match width {
        Some(width) => Some(width),
        None => arguments.get::<Option<Value>>("width")?,
    };
    let flag = |given: Option<bool>, name: &str| match given {
        Some(given) => Ok::<_, Error>(given),
        None => Ok(arguments.get::<Option<bool>>(name)?.unwrap_or(false)),
    };
    let (first, blank) = (flag(first, "first")?, flag(blank, "blank")?);
    arguments.assert_all_used()?;
    let width = match &width {
        None => " ".repeat(4),
        Some(width) if width.as_str().is_some() => width.as_str().unwrap_or_default().to_owned(),
        Some(width) => {
            let count = width.as_usize().filter(|count| *count <= MOST_INDENT);
            " ".repeat(count.ok_or_else(|| bad("a width of 0 to 64, or a text"))?)
        }
    };
    // Jinja adds a line break first, so that a text that ends in one keeps it.
    let lines = methods::lines(&format!("{text}\n"), false);
    let mut out = if first { width.clone() } else { String::new() };
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            out.push('\n');
            out.push_str(if blank || !line.is_empty() { &width } else { "" });
        }
        out.push_str(line);
    }
    Ok(out)
}

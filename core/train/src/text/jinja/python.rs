//! Python's text for a value, by `str` and `repr`: chat templates rely on it.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::objects::{Range, View};
use super::operators::shape_of_object;

/// How Python would print a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Undefined,
    None,
    Bool,
    Number,
    Text,
    List,
    Tuple,
    Map,
    Range,
    /// What `items()`, `keys()` and `values()` of a dictionary return.
    View,
    /// A generator, a function or an object of Jinja: Python prints its address.
    Unknown,
}

/// The shape of a value.
pub(super) fn shape(value: &Value) -> Shape {
    match value.kind() {
        ValueKind::Undefined => Shape::Undefined,
        ValueKind::None => Shape::None,
        ValueKind::Bool => Shape::Bool,
        ValueKind::Number => Shape::Number,
        ValueKind::String => Shape::Text,
        ValueKind::Seq if value.is_tuple() => Shape::Tuple,
        ValueKind::Seq => Shape::List,
        ValueKind::Iterable => match shape_of_object(value) {
            Some(shape) => shape,
            // Lists that were added are not copied, and only known by their length.
            None if value.len().is_some() => Shape::List,
            None => Shape::Unknown,
        },
        ValueKind::Map => {
            let name = value.as_object().map(|object| object.type_name()).unwrap_or_default();
            match ["Namespace", "Loop", "Macro", "Kwargs"].iter().any(|it| name.contains(it)) {
                true => Shape::Unknown,
                false => Shape::Map,
            }
        }
        _ => Shape::Unknown,
    }
}

/// The text of `str(value)`.
///
/// # Errors
/// An object for which that text is not implemented.
pub(super) fn str(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_undefined() => Ok(String::new()),
        None => {
            let mut out = String::new();
            repr(value, &mut out)?;
            Ok(out)
        }
    }
}

fn repr(value: &Value, out: &mut String) -> Result<(), Error> {
    match shape(value) {
        Shape::Undefined => out.push_str("Undefined"),
        Shape::None => out.push_str("None"),
        Shape::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        Shape::Number => number(value, out)?,
        Shape::Text => quoted(value.as_str().unwrap_or_default(), out),
        Shape::List => items(value, out)?,
        Shape::Tuple => {
            let mut inner = String::new();
            items(value, &mut inner)?;
            out.push('(');
            out.push_str(&inner[1..inner.len() - 1]);
            out.push_str(if value.len() == Some(1) { ",)" } else { ")" });
        }
        Shape::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.checked().enumerate() {
                let key = key?;
                out.push_str(if index > 0 { ", " } else { "" });
                repr(&key, out)?;
                out.push_str(": ");
                repr(&value.get_item(&key)?, out)?;
            }
            out.push('}');
        }
        Shape::Range => {
            let range = value.downcast_object_ref::<Range>();
            out.push_str(&range.map(ToString::to_string).unwrap_or_default());
        }
        Shape::View => {
            out.push_str(value.downcast_object_ref::<View>().map_or("", |view| view.name));
            out.push('(');
            items(value, out)?;
            out.push(')');
        }
        Shape::Unknown => return Err(no_text(value.kind())),
    }
    Ok(())
}

fn items(value: &Value, out: &mut String) -> Result<(), Error> {
    out.push('[');
    for (index, item) in value.try_iter()?.checked().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        repr(&item?, out)?;
    }
    out.push(']');
    Ok(())
}

pub(super) fn no_text(kind: ValueKind) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("a value of kind {kind} has no text"))
}

/// Python's quoting: single quotes, unless double quotes avoid an escape.
fn quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => out.push_str(&match u32::from(c) {
                code @ ..=0xff => format!("\\x{code:02x}"),
                code @ ..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    out.push(quote);
}

/// Whether Python prints a character as it is. Rust's escapes follow the same categories, except
/// that they also escape a combining mark at the beginning of a text.
fn is_printable(c: char) -> bool {
    let text: String = ['a', c].into_iter().collect();
    let escaped = text.escape_debug().to_string();
    matches!(c, '"' | '\'' | '\\') || escaped == text
}

fn number(value: &Value, out: &mut String) -> Result<(), Error> {
    if value.is_integer() {
        out.push_str(&value.to_string());
        return Ok(());
    }
    out.push_str(&float(f64::try_from(value.clone())?));
    Ok(())
}

/// The shortest decimal that reads back as this number; with an exponent below 1e-4 and from 1e16
/// on.
pub(super) fn float(value: f64) -> String {
    if !value.is_finite() {
        let sign = if value < 0.0 { "-" } else { "" };
        return if value.is_nan() { "nan".to_owned() } else { format!("{sign}inf") };
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..=15 => {
            let text = format!("{value}");
            if text.contains('.') { text } else { format!("{text}.0") }
        }
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
    }
}

/// Whether Python treats a character as whitespace.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (123456789012345.6, "123456789012345.6"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (-2.5e300, "-2.5e+300"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn values_are_written_as_python_does() {
        let items = [Value::from(()), Value::from(true), Value::from(1), Value::from("it's")];
        let value: Value = items.into_iter().chain([Value::from("\"'\u{1}é")]).collect();
        assert_eq!(str(&value).unwrap(), "[None, True, 1, \"it's\", '\"\\'\\x01é']");
    }
}

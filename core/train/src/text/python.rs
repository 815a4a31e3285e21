//! Python's text for a value, by `str`, `repr` and `json.dumps`: chat templates rely on it.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// The options of `json.dumps`.
pub(super) struct JsonStyle {
    pub(super) ascii: bool,
    pub(super) sort_keys: bool,
    /// The indentation of one level; without it everything is on one line.
    pub(super) indent: Option<String>,
    pub(super) between_items: String,
    pub(super) behind_key: String,
}

/// The text of `str(value)`.
///
/// # Errors
/// An object for which that text is not implemented.
pub(super) fn str(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => {
            let mut out = String::new();
            repr(value, &mut out)?;
            Ok(out)
        }
    }
}

fn repr(value: &Value, out: &mut String) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined => {}
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => number(value, out)?,
        ValueKind::String => quoted(value.as_str().unwrap_or_default(), out),
        ValueKind::Seq => {
            out.push('[');
            for (index, item) in value.try_iter()?.checked().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                repr(&item?, out)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
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
        other => return Err(no_text(other)),
    }
    Ok(())
}

fn no_text(kind: ValueKind) -> Error {
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
            c if c.is_control() || c == '\u{ad}' => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
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
fn float(value: f64) -> String {
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

/// The text of `json.dumps(value)`.
///
/// # Errors
/// A value that JSON cannot represent.
pub(super) fn json(value: &Value, style: &JsonStyle) -> Result<String, Error> {
    let mut out = String::new();
    write_json(value, style, 0, &mut out)?;
    Ok(out)
}

fn write_json(
    value: &Value,
    style: &JsonStyle,
    depth: usize,
    out: &mut String,
) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
        ValueKind::Number => out.push_str(&json_float(f64::try_from(value.clone())?)),
        ValueKind::String => json_text(value.as_str().unwrap_or_default(), style.ascii, out),
        ValueKind::Seq => {
            out.push('[');
            let mut any = false;
            for item in value.try_iter()?.checked() {
                between(style, depth + 1, any, out);
                any = true;
                write_json(&item?, style, depth + 1, out)?;
            }
            close(style, depth, any, ']', out);
        }
        ValueKind::Map => {
            out.push('{');
            let keys: Result<Vec<Value>, Error> = value.try_iter()?.checked().collect();
            let mut keys = keys?;
            if style.sort_keys {
                keys.sort();
            }
            for (index, key) in keys.iter().enumerate() {
                between(style, depth + 1, index > 0, out);
                json_key(key, style, out)?;
                out.push_str(&style.behind_key);
                write_json(&value.get_item(key)?, style, depth + 1, out)?;
            }
            close(style, depth, !keys.is_empty(), '}', out);
        }
        other => {
            let reason = format!("a value of kind {other} is not JSON");
            return Err(Error::new(ErrorKind::InvalidOperation, reason));
        }
    }
    Ok(())
}

fn json_key(key: &Value, style: &JsonStyle, out: &mut String) -> Result<(), Error> {
    match key.kind() {
        ValueKind::String => json_text(key.as_str().unwrap_or_default(), style.ascii, out),
        ValueKind::None | ValueKind::Bool | ValueKind::Number => {
            out.push('"');
            write_json(key, style, 0, out)?;
            out.push('"');
        }
        other => return Err(no_text(other)),
    }
    Ok(())
}

fn json_float(value: f64) -> String {
    match float(value).as_str() {
        "nan" => "NaN".to_owned(),
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        number => number.to_owned(),
    }
}

fn between(style: &JsonStyle, depth: usize, any: bool, out: &mut String) {
    if any {
        out.push_str(&style.between_items);
    }
    if let Some(indent) = &style.indent {
        out.push('\n');
        out.push_str(&indent.repeat(depth));
    }
}

fn close(style: &JsonStyle, depth: usize, any: bool, end: char, out: &mut String) {
    if let Some(indent) = style.indent.as_ref().filter(|_| any) {
        out.push('\n');
        out.push_str(&indent.repeat(depth));
    }
    out.push(end);
}

fn json_text(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || (ascii && !(' '..='~').contains(&c)) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
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
        let style = JsonStyle {
            ascii: true,
            sort_keys: false,
            indent: Some("  ".to_owned()),
            between_items: ",".to_owned(),
            behind_key: ": ".to_owned(),
        };
        let value = Value::from_pairs([
            ("a", Value::from(Vec::<Value>::new())),
            ("b", Value::from(vec![Value::from("é😀\u{7f}"), Value::from_pairs([("", 0); 0])])),
        ]);
        let text =
            "{\n  \"a\": [],\n  \"b\": [\n    \"\\u00e9\\ud83d\\ude00\\u007f\",\n    {}\n  ]\n}";
        assert_eq!(json(&value, &style).unwrap(), text);
    }
}

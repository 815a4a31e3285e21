//! `json.dumps`, which chat templates write tools and tool calls with.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::operators::compare;
use super::python::{Shape, float, no_text, shape};

/// The options of `json.dumps`.
pub(super) struct JsonStyle {
    pub(super) ascii: bool,
    pub(super) sort_keys: bool,
    /// The indentation of one level; without it everything is on one line.
    pub(super) indent: Option<String>,
    pub(super) between_items: String,
    pub(super) behind_key: String,
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
    match shape(value) {
        Shape::None => out.push_str("null"),
        Shape::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        Shape::Number if value.is_integer() => out.push_str(&value.to_string()),
        Shape::Number => out.push_str(&json_float(f64::try_from(value.clone())?)),
        Shape::Text => json_text(value.as_str().unwrap_or_default(), style.ascii, out),
        Shape::List | Shape::Tuple => {
            out.push('[');
            let mut any = false;
            for item in value.try_iter()?.checked() {
                between(style, depth + 1, any, out);
                any = true;
                write_json(&item?, style, depth + 1, out)?;
            }
            close(style, depth, any, ']', out);
        }
        Shape::Map => {
            out.push('{');
            let keys: Result<Vec<Value>, Error> = value.try_iter()?.checked().collect();
            let mut keys = keys?;
            if style.sort_keys {
                keys.windows(2).try_for_each(|two| compare(&two[0], &two[1]).map(drop))?;
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
        _ => {
            let reason = format!("a value of kind {} is not JSON", value.kind());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_python_does() {
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

//! The names of all settings, for flags (`--set data.train=a.jsonl`) and the environment
//! (`FEDSHIELD_DATA_TRAIN`).

use toml::{Table, Value};

use super::ConfigError;

/// The type that a setting's text is parsed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, taken unchanged.
    Text,
    /// A list: separated by commas, or in TOML syntax as in the file.
    List,
    /// An integer from 0 to 2^32 - 1.
    Count,
    /// A floating-point number.
    Number,
    /// `true` or `false`.
    Flag,
}

/// Every setting: its key in the file and its type.
pub const SETTINGS: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("weight", Kind::Count),
    ("listen", Kind::List),
    ("external_addresses", Kind::List),
    ("shared_origins", Kind::List),
    ("model.path", Kind::Text),
    ("data.train", Kind::List),
    ("data.held_out", Kind::List),
    ("data.held_out_fraction", Kind::Number),
    ("data.test", Kind::List),
    ("data.test_fraction", Kind::Number),
    ("data.template", Kind::Text),
    ("data.on_bad_line", Kind::Text),
    ("training.trainer", Kind::Text),
    ("training.command", Kind::List),
    ("training.command_timeout_s", Kind::Count),
    ("training.device", Kind::Text),
    ("training.gradient_checkpointing", Kind::Flag),
    ("training.packing", Kind::Flag),
    ("training.base_precision", Kind::Text),
    ("training.compute_precision", Kind::Text),
    ("training.threads", Kind::Count),
    ("training.personal", Kind::Flag),
    ("control.socket", Kind::Text),
    ("http.listen", Kind::Text),
    ("http.allow_remote", Kind::Flag),
    ("http.allowed_hosts", Kind::List),
    ("log.format", Kind::Text),
    ("log.level", Kind::Text),
    ("log", Kind::Text),
];

/// The environment variable of a key: `data.train` is `FEDSHIELD_DATA_TRAIN`.
pub(super) fn variable(key: &str) -> String {
    format!("FEDSHIELD_{}", key.replace('.', "_").to_uppercase())
}

/// Puts `text` at `key` of `table`; `origin` is for errors.
pub(super) fn set(
    table: &mut Table,
    key: &str,
    text: &str,
    origin: &str,
) -> Result<(), ConfigError> {
    let kind =
        SETTINGS.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind).ok_or_else(|| {
            ConfigError::UnknownKey {
                origin: origin.to_owned(),
                key: key.to_owned(),
                near: near(key),
            }
        })?;
    let wrong =
        |reason| ConfigError::Value { origin: origin.to_owned(), value: text.to_owned(), reason };
    let value = parse(kind, text).map_err(wrong)?;
    // `FEDSHIELD_LOG=debug` is short for the level.
    let key = if key == "log" { "log.level" } else { key };
    match key.split_once('.') {
        None => table.insert(key.to_owned(), value),
        Some((section, field)) => {
            let section =
                table.entry(section).or_insert_with(|| Value::Table(Table::new())).as_table_mut();
            // The file was parsed before, which refuses a section that is not a table.
            section.and_then(|section| section.insert(field.to_owned(), value))
        }
    };
    Ok(())
}

/// Suggestions for an unknown key: the settings of the same section, or all.
fn near(key: &str) -> String {
    let section = key.split_once('.').map(|(section, _)| format!("{section}."));
    let all = || SETTINGS.iter().map(|(name, _)| *name).filter(|name| *name != "log");
    let like: Vec<&str> = section
        .map(|section| all().filter(|name| name.starts_with(&section)).collect())
        .unwrap_or_default();
    if like.is_empty() {
        return format!("there are {}", all().collect::<Vec<_>>().join(", "));
    }
    format!("there are {}", like.join(", "))
}

/// Parses `text` as this kind of setting; the error is the expected form.
fn parse(kind: Kind, text: &str) -> Result<Value, String> {
    let text = if kind == Kind::Text { text } else { text.trim() };
    let expected = |form: &str| format!("it should be {form}");
    match kind {
        Kind::Text => Ok(Value::String(text.to_owned())),
        Kind::List => list(text),
        Kind::Count => match text.parse::<u32>() {
            Ok(count) => Ok(Value::Integer(count.into())),
            Err(_) => Err(expected("a whole number, 0 or more")),
        },
        Kind::Number => text.parse().map(Value::Float).map_err(|_| expected("a number like 0.1")),
        Kind::Flag => text.parse().map(Value::Boolean).map_err(|_| expected("true or false")),
    }
}

/// `a, b`, or `["a", "b"]` as in the file. A shell may strip the quotation marks of the latter, so
/// `[a, b]` is accepted too.
fn list(text: &str) -> Result<Value, String> {
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let quoted = inside.unwrap_or(text).trim_start().starts_with(['"', '\'']);
    if quoted {
        let array = format!("list = [{}]", inside.unwrap_or(text));
        let parsed = array.parse::<Table>().ok().and_then(|mut table| table.remove("list"));
        return match parsed {
            Some(Value::Array(parts)) if parts.iter().all(Value::is_str) => Ok(Value::Array(parts)),
            _ => Err(LIST_FORMS.to_owned()),
        };
    }
    let parts = inside.unwrap_or(text).split(',').map(str::trim).filter(|part| !part.is_empty());
    let parts: Vec<Value> = parts.map(|part| Value::String(part.to_owned())).collect();
    if inside.is_some_and(|inside| inside.contains(['[', ']', '"'])) {
        return Err(LIST_FORMS.to_owned());
    }
    Ok(Value::Array(parts))
}

const LIST_FORMS: &str = "write a list with commas (a, b) or as in config.toml ([\"a\", \"b\"])";

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Result<Vec<String>, String> {
        let Value::Array(parts) = list(text)? else { panic!("no list") };
        Ok(parts.iter().map(|part| part.as_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn a_list_is_taken_in_every_form_in_which_people_write_it() {
        for form in [
            "a,b c",
            " a , b c, ",
            "[a, b c]",
            "[\"a\", \"b c\"]",
            "['a', 'b c',]",
            "\"a\", \"b c\"",
        ] {
            assert_eq!(strings(form).unwrap(), ["a", "b c"], "{form}");
        }
        assert_eq!(strings("[\"a,b\"]").unwrap(), ["a,b"]);
        assert_eq!(strings("/data/[1]/a.jsonl").unwrap(), ["/data/[1]/a.jsonl"]);
        assert!(strings("").unwrap().is_empty() && strings("[]").unwrap().is_empty());
        for wrong in ["[[a]]", "[\"a\", 3]", "[\"a\", b]", "\"a", "[a, \"b\"]"] {
            assert!(strings(wrong).unwrap_err().contains("with commas"), "{wrong}");
        }
    }
}

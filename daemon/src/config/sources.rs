//! Which settings exist by name, for flags (`--set data.train=a.jsonl`) and the environment (`FEDSHIELD_DATA_TRAIN`).

use toml::{Table, Value};

use super::ConfigError;

/// What a setting's text becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it is.
    Text,
    /// Separated by commas.
    List,
    /// A number without a fraction, not negative.
    Count,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
}

/// Every setting: its key in the file, and what its text becomes.
pub const SETTINGS: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("listen", Kind::List),
    ("external_addresses", Kind::List),
    ("model.path", Kind::Text),
    ("data.train", Kind::List),
    ("data.held_out", Kind::List),
    ("data.held_out_fraction", Kind::Number),
    ("data.template", Kind::Text),
    ("training.trainer", Kind::Text),
    ("training.command", Kind::List),
    ("training.command_timeout_s", Kind::Count),
    ("training.device", Kind::Text),
    ("training.gradient_checkpointing", Kind::Flag),
    ("training.packing", Kind::Flag),
    ("training.base_precision", Kind::Text),
    ("training.threads", Kind::Count),
    ("control.socket", Kind::Text),
    ("http.listen", Kind::Text),
    ("http.allow_remote", Kind::Flag),
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
    let kind = SETTINGS
        .iter()
        .find(|(name, _)| *name == key)
        .map(|(_, kind)| *kind)
        .ok_or_else(|| ConfigError::UnknownKey { key: key.to_owned() })?;
    let value = parse(kind, text).ok_or_else(|| ConfigError::Value {
        origin: origin.to_owned(),
        value: text.to_owned(),
        expected: expected(kind),
    })?;
    // `FEDSHIELD_LOG=debug` is short for the level.
    let key = if key == "log" { "log.level" } else { key };
    match key.split_once('.') {
        None => table.insert(key.to_owned(), value),
        Some((section, field)) => {
            let section =
                table.entry(section).or_insert_with(|| Value::Table(Table::new())).as_table_mut();
            // The file was read before: a section that is no table was refused there.
            section.and_then(|section| section.insert(field.to_owned(), value))
        }
    };
    Ok(())
}

fn parse(kind: Kind, text: &str) -> Option<Value> {
    Some(match kind {
        Kind::Text => Value::String(text.to_owned()),
        Kind::List => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Value::String(part.to_owned()))
                .collect(),
        ),
        Kind::Count => Value::Integer(text.parse::<u32>().ok()?.into()),
        Kind::Number => Value::Float(text.parse().ok()?),
        Kind::Flag => Value::Boolean(text.parse().ok()?),
    })
}

const fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::List => "a list with commas",
        Kind::Count => "a whole number, 0 or more",
        Kind::Number => "a number",
        Kind::Flag => "true or false",
    }
}

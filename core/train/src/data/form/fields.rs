//! The fields of one record, taken out one by one: those left at the end are unknown.

use super::super::json::Json;
use super::kind;
use super::map::FieldMap;
use super::names::{has_meaning, is_harmless, other_task};

/// Characters of a name from a file that are shown.
const SHOWN_CHARS: usize = 24;
/// Most field names that are shown of a record without a known form.
const SHOWN_NAMES: usize = 6;

/// The fields of a record that have a value: null counts as absent.
pub(super) struct Fields<'a> {
    entries: Vec<(String, Json)>,
    pub(super) map: &'a FieldMap,
    unknown: Vec<String>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(entries: Vec<(String, Json)>, map: &'a FieldMap) -> Self {
        let known = entries.into_iter().filter_map(|(name, value)| match map.names_fields() {
            true => map.field_of(&name).map(|field| (field.to_owned(), value)),
            false => Some((name, value)),
        });
        let entries = known.filter(|(_, value)| *value != Json::Null).collect();
        Self { entries, map, unknown: Vec::new() }
    }

    /// Whether there is such a field.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(field, _)| field == name)
    }

    /// Takes a field out.
    pub(super) fn take(&mut self, name: &str) -> Option<Json> {
        let at = self.entries.iter().position(|(field, _)| field == name)?;
        Some(self.entries.swap_remove(at).1)
    }

    /// Takes out an optional field that must be text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_kind(&self.shown(name), "text", &other)),
        }
    }

    /// Takes out a required field that must be text.
    pub(super) fn required(&mut self, name: &str) -> Result<String, String> {
        let missing = format!("no field {}, or it is null", self.shown(name));
        self.text(name)?.ok_or(missing)
    }

    /// Takes out whichever one of these fields is present.
    pub(super) fn one_of(&mut self, names: &[&str]) -> Result<Option<String>, String> {
        let mut found: Option<(&str, String)> = None;
        for name in names {
            let Some(text) = self.text(name)? else { continue };
            if let Some((first, _)) = found {
                return Err(format!("both \"{first}\" and \"{name}\" are there: which is meant?"));
            }
            found = Some((name, text));
        }
        Ok(found.map(|(_, text)| text))
    }

    /// The system text of the whole conversation; an empty one counts as absent.
    pub(super) fn system(&mut self) -> Result<Option<String>, String> {
        Ok(self.one_of(&["system", "system_prompt"])?.filter(|text| !text.is_empty()))
    }

    /// Refuses fields that belong to another form than `form`.
    pub(super) fn refuse(&self, names: &[&str], form: &str) -> Result<(), String> {
        match names.iter().find(|name| self.has(name)) {
            None => Ok(()),
            Some(name) => Err(no_meaning(name, form)),
        }
    }

    /// Refuses data made for other kinds of training, whose fields would have a meaning here.
    pub(super) fn refuse_other_tasks(&mut self) -> Result<(), String> {
        let is_empty = |value: &Json| match value {
            Json::List(items) => items.is_empty(),
            Json::Text(text) => text.is_empty(),
            _ => false,
        };
        self.entries.retain(|(name, value)| other_task(name).is_none() || !is_empty(value));
        let other = self.entries.iter().find_map(|(name, _)| Some((name, other_task(name)?)));
        if let Some((name, what)) = other {
            return Err(format!("\"{}\": {what}", shortened(name)));
        }
        let bad = "only good examples are trained on: leave out what `label` calls bad (KTO)";
        match self.take("label") {
            None | Some(Json::Bool(true)) => {}
            Some(Json::Bool(false)) => return Err(bad.to_owned()),
            Some(_) => {
                let what = "a `label` belongs to classification, which is not trained: write the answer \
                            as text";
                return Err(what.to_owned());
            }
        }
        match self.take("weight") {
            None | Some(Json::Integer(1) | Json::Float(1.0)) => {}
            Some(_) => {
                let what = "`weight` of a whole example is not applied: leave the example out, or write \
                            `weight` at its answers";
                return Err(what.to_owned());
            }
        }
        match self.take("train") {
            None | Some(Json::Bool(true)) => Ok(()),
            Some(_) => {
                Err("`train` of a whole example is not true: leave the example out".to_owned())
            }
        }
    }

    /// Records an unknown field, under the name by which it is reported.
    pub(super) fn note_unknown(&mut self, name: String) {
        if !self.unknown.contains(&name) {
            self.unknown.push(name);
        }
    }

    /// The unknown fields among those that were not taken out.
    ///
    /// # Errors
    /// A field that has a meaning, though not in this form: it would be left out in silence.
    pub(super) fn finish(mut self, form: &str) -> Result<Vec<String>, String> {
        let left = std::mem::take(&mut self.entries);
        for (name, value) in left.into_iter().filter(|(name, _)| !is_harmless(name)) {
            let is_empty = matches!(&value, Json::Text(text) if text.is_empty());
            match has_meaning(&name) {
                true if is_empty => {}
                true => return Err(no_meaning(&name, form)),
                false => self.note_unknown(shortened(&name)),
            }
        }
        self.unknown.sort_unstable();
        Ok(self.unknown)
    }

    /// Explains why the record has no known form.
    pub(super) fn no_form(&self) -> String {
        if !self.map.is_empty() {
            return "it has none of the columns that `data.map` names".to_owned();
        }
        let forms = "\"messages\", \"conversations\", \"instruction\", \"question\", \"prompt\" or \"text\"";
        let names = self.entries.iter().take(SHOWN_NAMES).map(|(name, _)| shortened(name));
        let found = names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let more = if self.entries.len() > SHOWN_NAMES { ", ..." } else { "" };
        let found = if found.is_empty() { "none".to_owned() } else { found + more };
        format!(
            "no field {forms}; its fields: {found}. Name the columns that are meant in `data.map`"
        )
    }

    fn shown(&self, field: &str) -> String {
        match self.map.column_of(field) {
            // A path into an object is a likely mistake.
            Some(column) if column.contains('.') => format!(
                "\"{field}\" (a column \"{}\" of this very name; what is inside of objects is not reached)",
                shortened(column)
            ),
            Some(column) => format!("\"{field}\" (column \"{}\")", shortened(column)),
            None => format!("\"{field}\""),
        }
    }
}

fn no_meaning(name: &str, form: &str) -> String {
    format!(
        "\"{name}\" has no meaning beside {form}: keep one of them, or name the columns in `data.map`"
    )
}

/// Says that a value has the wrong type, without showing the value.
pub(super) fn wrong_kind(name: &str, wanted: &str, found: &Json) -> String {
    format!("{name} must be {wanted}, not {}", kind(found))
}

/// A name from a file, shortened for messages.
pub(in crate::data) fn shortened(name: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let short: String = name.chars().take(SHOWN_CHARS).map(plain).collect();
    if short.len() < name.len() && name.chars().count() > SHOWN_CHARS {
        short + "..."
    } else {
        short
    }
}

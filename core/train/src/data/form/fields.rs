//! The fields of one record, taken out one by one: those left at the end are unknown.

use super::super::json::Json;
use super::kind;
use super::map::FieldMap;

/// Fields that describe the origin of an example and do not affect it.
const HARMLESS: &[&str] = &[
    "id",
    "_id",
    "idx",
    "index",
    "uuid",
    "prompt_id",
    "conversation_id",
    "message_id",
    "source",
    "dataset",
    "category",
    "topic",
    "tags",
    "language",
    "lang",
    "url",
    "license",
    "timestamp",
    "created_at",
    "metadata",
    "parallel_tool_calls",
];
/// Characters of a name from a file that are shown.
const SHOWN_CHARS: usize = 24;

/// Fields of data that are made for other tasks than learning answers, and advice.
const OTHER_TASKS: &[(&str, &str)] = &[
    ("chosen", PREFERENCE),
    ("rejected", PREFERENCE),
    ("kto_tag", "marks of good and bad answers (KTO) are not trained on: keep the good ones"),
    ("completions", "answers with labels for each step are not trained on"),
    ("input_ids", "token ids are not read: they belong to one tokenizer. Write the text"),
    ("images", MEDIA),
    ("image", MEDIA),
    ("videos", MEDIA),
    ("video", MEDIA),
    ("audios", MEDIA),
    ("audio", MEDIA),
    ("train_on_input", "the loss is on answers only; for plain text write `text`"),
];
const PREFERENCE: &str = "preference data (`chosen` and `rejected`) are not trained on: write the \
                          chosen answer as `completion`, or name it in `data.map`";
const MEDIA: &str = "images, audio and video are not read";

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
            Some(name) => Err(format!(
                "\"{name}\" has no meaning beside {form}: keep one of them, or name the columns in `data.map`"
            )),
        }
    }

    /// Refuses data made for other kinds of training, whose fields would have a meaning here.
    pub(super) fn refuse_other_tasks(&mut self) -> Result<(), String> {
        let is_empty = |value: &Json| match value {
            Json::List(items) => items.is_empty(),
            Json::Text(text) => text.is_empty(),
            _ => false,
        };
        self.entries.retain(|(name, value)| {
            !(OTHER_TASKS.iter().any(|(other, _)| other == name) && is_empty(value))
        });
        let other = OTHER_TASKS.iter().find(|(name, _)| self.has(name));
        if let Some((_, what)) = other {
            return Err((*what).to_owned());
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

    /// Whether a field only describes the origin of its record.
    pub(super) fn is_harmless(name: &str) -> bool {
        HARMLESS.contains(&name)
    }

    /// The unknown fields among those that were not taken out.
    pub(super) fn finish(mut self) -> Vec<String> {
        let left = std::mem::take(&mut self.entries);
        for (name, _) in left.into_iter().filter(|(name, _)| !Self::is_harmless(name)) {
            self.note_unknown(shortened(&name));
        }
        self.unknown.sort_unstable();
        self.unknown
    }

    /// Explains why the record has no known form.
    pub(super) fn no_form(&self) -> String {
        let forms = "\"messages\", \"conversations\", \"instruction\", \"question\", \"prompt\" or \"text\"";
        match self.map.is_empty() {
            true => format!("no field {forms}; name other columns in `data.map`"),
            false => "it has none of the columns that `data.map` names".to_owned(),
        }
    }

    fn shown(&self, field: &str) -> String {
        match self.map.column_of(field) {
            Some(column) => format!("\"{field}\" (column \"{}\")", shortened(column)),
            None => format!("\"{field}\""),
        }
    }
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

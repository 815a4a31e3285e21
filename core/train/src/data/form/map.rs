//! Names of columns for data in a form of its own.

use std::collections::BTreeMap;

use crate::{Result, TrainError};

/// Which column of a file holds which field. If any column is named, only the named ones are read;
/// all others are left out on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldMap(BTreeMap<String, String>);

/// Fields of a record to which a column can be assigned.
const FIELDS: &[&str] = &[
    "instruction",
    "input",
    "output",
    "system",
    "history",
    "prompt",
    "completion",
    "question",
    "answer",
    "text",
    "messages",
    "tools",
];
/// Fields that together make up an example.
const WHOLE: &[&[&str]] = &[
    &["messages"],
    &["text"],
    &["instruction", "output"],
    &["question", "answer"],
    &["prompt", "completion"],
    &["prompt", "answer"],
];
/// Keys of a turn.
const TURN_KEYS: &[&str] = &["role", "content"];
/// Entries that name the speaker with each role.
const ROLES: &[&str] = &["system_role", "user_role", "assistant_role", "tool_role"];

impl FieldMap {
    /// Builds a map from column names by field.
    ///
    /// # Errors
    /// A field to which no column can be assigned, one column for two fields, or fields that make up
    /// no example: columns that are not named are left out.
    pub fn new(names: BTreeMap<String, String>) -> Result<Self> {
        let all = || FIELDS.iter().chain(TURN_KEYS).chain(ROLES);
        if let Some(other) = names.keys().find(|name| !all().any(|known| known == name)) {
            let all: Vec<&str> = all().copied().collect();
            let other: String = other.chars().take(24).collect();
            let reason = format!("`{other}` is not one of {}", all.join(", "));
            return Err(TrainError::setting("data.map", reason));
        }
        if let Some((field, _)) = names.iter().find(|(_, column)| column.is_empty()) {
            return Err(TrainError::setting("data.map", format!("`{field}` names no column")));
        }
        let has = |field: &&str| names.contains_key(*field);
        if FIELDS.iter().any(has) && !WHOLE.iter().any(|all| all.iter().all(has)) {
            let whole: Vec<String> = WHOLE.iter().map(|all| all.join(" and ")).collect();
            let reason = format!(
                "columns that are not named are left out, so name all of an example, also what has its own name \
                 already: {}",
                whole.join(", or ")
            );
            return Err(TrainError::setting("data.map", reason));
        }
        for group in [FIELDS, TURN_KEYS, ROLES] {
            let mut used: Vec<&String> =
                group.iter().filter_map(|field| names.get(*field)).collect();
            used.sort_unstable();
            if let Some(two) = used.windows(2).find(|two| two[0] == two[1]) {
                let reason = format!("`{}` is named for two fields", two[0]);
                return Err(TrainError::setting("data.map", reason));
            }
        }
        Ok(Self(names))
    }

    /// Whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a column is named for any field of a record, so that all others are left out.
    pub(super) fn names_fields(&self) -> bool {
        FIELDS.iter().any(|field| self.0.contains_key(*field))
    }

    /// The field of a record that this column holds.
    pub(super) fn field_of(&self, column: &str) -> Option<&'static str> {
        FIELDS.iter().copied().find(|field| self.0.get(*field).is_some_and(|name| name == column))
    }

    /// The column of a field, if it has another name.
    pub(super) fn column_of(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    /// The role of this speaker, if the map names it.
    pub(super) fn role_of(&self, speaker: &str) -> Option<&'static str> {
        let named =
            ROLES.iter().find(|role| self.0.get(**role).is_some_and(|name| name == speaker));
        named.and_then(|role| role.strip_suffix("_role"))
    }
}

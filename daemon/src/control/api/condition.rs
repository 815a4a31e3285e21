//! What an operator should know about a running node: what it waits for, what is wrong, and what to
//! do.

use serde::{Deserialize, Serialize};

/// One lasting state. It is shown by `status`, `doctor`, the dashboard, `/readyz` and the metrics
/// until it no longer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// A stable name in kebab-case: `disk-full`, `model-missing`, `no-quorum`. A node has one
    /// condition of each name.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// For the operator: the state, who is concerned, and until when if that is known.
    pub message: String,
    /// For the operator: what to do about it.
    #[serde(default)]
    pub hint: Option<String>,
    /// When it began, in seconds since 1970 UTC.
    pub since_unix_s: u64,
    /// When it ends by itself at the latest, in seconds since 1970 UTC.
    #[serde(default)]
    pub until_unix_s: Option<u64>,
}

/// How bad a [`Condition`] is, from least to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Information only.
    Notice,
    /// The node takes part, but an operator should check it.
    Warning,
    /// The node cannot take part: `/readyz` answers 503.
    Blocking,
}

impl Condition {
    /// A condition that begins when it is first set.
    pub fn new(name: &str, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            severity,
            message: message.into(),
            hint: None,
            since_unix_s: 0,
            until_unix_s: None,
        }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with the time at which it ends by itself at the latest.
    #[must_use]
    pub const fn until(mut self, unix_s: u64) -> Self {
        self.until_unix_s = Some(unix_s);
        self
    }
}

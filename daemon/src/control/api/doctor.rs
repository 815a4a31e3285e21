//! Pre-flight checks.

use serde::{Deserialize, Serialize};

/// `GET /v1/doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorView {
    /// In the order in which they were run.
    pub checks: Vec<Check>,
}

/// One pre-flight check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked: `identity`, `disk`, `clock`, `model`, `data`, `addresses`, `store`,
    /// `ledger`.
    pub name: String,
    /// The result.
    pub verdict: Verdict,
    /// What was found.
    pub message: String,
    /// What to do about a warning or a failure.
    pub hint: Option<String>,
}

/// The result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but needs attention.
    Warning,
    /// Will not work.
    Failed,
}

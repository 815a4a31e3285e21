//! The section `[data]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fedshield_train::TrainError;
use fedshield_train::data::{FieldMap, OnBadLine, Reading};
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// This organisation's examples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Files of examples: JSON Lines, JSON arrays or Parquet, also packed with gzip.
    pub train: Vec<PathBuf>,
    /// Files of the same kind that are never trained on.
    pub held_out: Vec<PathBuf>,
    /// Without `held_out` files: the fraction of `train` that is held out, above 0 and at most 0.5.
    pub held_out_fraction: Option<f64>,
    /// Files of the same kind that are never trained on and that nothing is chosen by.
    pub test: Vec<PathBuf>,
    /// Without `test` files: the fraction of `train` that is kept for the test, above 0 and at most
    /// 0.5. Without both there is no test part.
    pub test_fraction: Option<f64>,
    /// Prompt template to use instead of the manifest's, if only this node's files have another
    /// form.
    pub template: Option<String>,
    /// What is done with a record that cannot be used: `stop`, or `skip` to leave it out.
    pub on_bad_line: Option<String>,
    /// Names of columns, by field, for files with other column names.
    pub map: BTreeMap<String, String>,
}

impl DataConfig {
    /// How records are read.
    ///
    /// # Errors
    /// A choice or a field that does not exist.
    pub fn reading(&self) -> Result<Reading, TrainError> {
        let on_bad_line = self.on_bad_line.as_deref().map_or(Ok(OnBadLine::Stop), OnBadLine::parse);
        Ok(Reading { map: FieldMap::new(self.map.clone())?, on_bad_line: on_bad_line? })
    }
}

impl DataConfig {
    pub(super) fn check_fractions(&self) -> Result<(), ConfigError> {
        let parts = [
            ("data.held_out_fraction", self.held_out_fraction, &self.held_out),
            ("data.test_fraction", self.test_fraction, &self.test),
        ];
        for (key, fraction, files) in parts {
            let Some(fraction) = fraction else { continue };
            if !(fraction > 0.0 && fraction <= 0.5) {
                return Err(range(key, "above 0 and at most 0.5"));
            }
            if !files.is_empty() {
                return Err(range(key, "leave it out if there are files for this part"));
            }
        }
        let sum = self.held_out_fraction.unwrap_or(0.0) + self.test_fraction.unwrap_or(0.0);
        match sum < 1.0 {
            true => Ok(()),
            false => Err(range("data.test_fraction", "with `held_out_fraction` below 1")),
        }
    }
}

fn range(key: &'static str, reason: &str) -> ConfigError {
    ConfigError::Range { key, reason: reason.to_owned() }
}

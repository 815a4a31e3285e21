//! How the examples of an adapter were rendered. PEFT has no field for this, so it stands in a file
//! of its own beside the adapter, and questions to the adapter are rendered in the same way.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::text::{Template, TemplateDate};
use crate::{Result, TrainError};

const FILE: &str = "adapter_template.json";
/// A file of two short fields; more is not read.
const MOST_BYTES: u64 = 4096;

/// The template that an adapter was trained with, and the date that it writes as the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterRendering {
    /// The template.
    pub template: Template,
    /// The date.
    pub date: TemplateDate,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    template: String,
    template_date: String,
}

impl AdapterRendering {
    /// Writes `adapter_template.json` to an adapter's folder.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let (template, template_date) = (self.template.name().to_owned(), self.date.to_string());
        let json = serde_json::to_string_pretty(&Fields { template, template_date })
            .map_err(|e| TrainError::format(&path, e.to_string()))?;
        std::fs::write(&path, json + "\n").map_err(TrainError::io(&path))
    }

    /// Reads it; `None` if there is no such file, as in folders from other programs.
    ///
    /// # Errors
    /// A file that cannot be read; a field that is missing, unknown or malformed, by its name.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let wrong = |e: String| TrainError::format(&path, e);
        let length = std::fs::metadata(&path).map_err(TrainError::io(&path))?.len();
        if length > MOST_BYTES {
            return Err(wrong(format!("has {length} bytes, at most {MOST_BYTES} are read")));
        }
        let text = std::fs::read_to_string(&path).map_err(TrainError::io(&path))?;
        let fields: Fields = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let template = Template::parse(&fields.template).map_err(|e| wrong(e.to_string()))?;
        let date = fields.template_date.parse().map_err(|e: TrainError| wrong(e.to_string()))?;
        Ok(Some(Self { template, date }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_anything_else_is_refused_by_its_field() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(AdapterRendering::read(folder.path()).unwrap(), None);
        let date = "2026-11-27".parse().unwrap();
        let written = AdapterRendering { template: Template::ChatMl, date };
        written.write(folder.path()).unwrap();
        assert_eq!(AdapterRendering::read(folder.path()).unwrap(), Some(written));
        let good = r#"{"template": "model", "template_date": "2024-07-26"}"#;
        for (text, named) in [
            (r#"{"template": "model"}"#.to_owned(), "template_date"),
            (good.replace("model", "llama"), "llama"),
            (good.replace("07-26", "7-26"), "template_date"),
            (good.replace('}', r#", "more": 1}"#), "more"),
            (good.to_owned() + &" ".repeat(5000), "bytes"),
        ] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let error = AdapterRendering::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains(FILE), "{error}");
        }
    }
}

//! Writing an adapter of this member as a PEFT folder, at an operator's request.

use std::path::Path;

use fedshield_train::TrainError;
use fedshield_train::adapter::export_peft;

use super::evaluate::AdapterKind;
use super::{Pipeline, PipelineError};

/// Put beside an adapter that was trained at home, where people look who get the folder.
const README: &str = "# An adapter of one member\n\n\
    This adapter was trained on at home, on this member's data alone. It holds more of these data \
    than the federation's common adapter does, and the difference between the two is this member's \
    update in clear: whoever has both can compute it. Give it only to those who may see the data.\n";
pub(crate) const README_FILE: &str = "README.md";

impl Pipeline {
    /// Writes the adapter of `kind` to `folder`; `false` if there is none beside the common adapter
    /// of now.
    ///
    /// # Errors
    /// If the folder cannot be written, or a kept adapter cannot be read.
    pub fn export(&self, folder: &Path, kind: AdapterKind) -> Result<bool, PipelineError> {
        let Some(adapter) = self.adapter_of(kind)? else { return Ok(false) };
        export_peft(folder, &adapter, &self.learning.base())?;
        self.terms.rendering.write(folder)?;
        if kind != AdapterKind::Common {
            let path = folder.join(README_FILE);
            std::fs::write(&path, README).map_err(|source| TrainError::Io { path, source })?;
        }
        Ok(true)
    }
}

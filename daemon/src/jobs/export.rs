//! Writing an adapter of this member as a PEFT folder, at an operator's request.

use std::path::Path;

use fedshield_protocol::object::ObjectRef;
use fedshield_train::TrainError;
use fedshield_train::adapter::export_peft;
use fedshield_train::federated::GlobalAdapter;

use super::evaluate::AdapterKind;
use super::{Pipeline, PipelineError};

/// Put beside an adapter that was trained at home, where people look who get the folder.
const README: &str = "# An adapter of one member\n\n\
    This adapter was trained on at home, on this member's data alone. It holds more of these data \
    than the federation's common adapter does, and the difference between the two is this member's \
    update in clear: whoever has both can compute it. Give it only to those who may see the data.\n";
pub(crate) const README_FILE: &str = "README.md";

impl Pipeline {
    /// Writes the common adapter of an earlier round to `folder`; `false` if it is not stored here.
    ///
    /// # Errors
    /// If it cannot be read, or the folder cannot be written.
    pub fn export_object(&self, folder: &Path, object: &ObjectRef) -> Result<bool, PipelineError> {
        if !self.holds(object)? {
            return Ok(false);
        }
        let adapter = GlobalAdapter::from_bytes(&self.objects.read(object)?)?;
        export_peft(folder, &adapter, &self.learning.base())?;
        self.terms.rendering.write(folder)?;
        Ok(true)
    }

    /// Whether an object is stored here.
    ///
    /// # Errors
    /// A disk error.
    pub fn holds(&self, object: &ObjectRef) -> Result<bool, PipelineError> {
        Ok(self.objects.contains(object)?)
    }

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

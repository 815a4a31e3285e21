//! Whether this node could train under terms: asked before it agrees to them.

use fedshield_protocol::manifest::Draft;
use fedshield_train::data::DataSummary;

use crate::jobs::PipelineError;
use crate::learning::TermsChecker;

/// Compares the terms of a draft with this node's model and data. Calls take as long as reading the
/// data.
pub trait CheckTerms: Send + Sync + 'static {
    /// Refuses terms under which training could not even begin here; describes this node's data
    /// under them otherwise.
    ///
    /// # Errors
    /// Names the field, or the file and line.
    fn check(&self, draft: &Draft) -> Result<DataSummary, PipelineError>;
}

impl CheckTerms for TermsChecker {
    fn check(&self, draft: &Draft) -> Result<DataSummary, PipelineError> {
        Self::check(self, draft)
    }
}

//! Which projections of a model an adapter is attached to, where they are not named one by one.

use std::path::Path;

use fedshield_train::load::open_config;
use fedshield_train::model::Projection;

use super::OfflineError;

/// Names of `target_modules` for one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetModules {
    /// The `model_type` of the model's family.
    pub family: &'static str,
    /// Its attention projections.
    pub attention: Vec<String>,
    /// What `all-linear` means in PEFT; `None` where layers differ in which projections they have.
    pub all_linear: Option<Vec<String>>,
}

/// Reads the configuration of the model at `model`, and none of its weights.
///
/// # Errors
/// A model that cannot be read or is of no supported family.
pub fn target_modules(model: &Path) -> Result<TargetModules, OfflineError> {
    let config = open_config(model).map_err(OfflineError::Model)?;
    let names = |projections: &[Projection]| {
        projections.iter().map(|projection| projection.name().to_owned()).collect()
    };
    Ok(TargetModules {
        family: config.family.name(),
        attention: names(&Projection::attention_of(&config)),
        all_linear: Projection::all_linear(&config).map(names),
    })
}

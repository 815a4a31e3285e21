//! Terms from a TOML file, in the form that `federation new --dry-run` and `federation show --toml` print.

use std::path::Path;

use fedshield_protocol::manifest::{
    Adapter, Deadlines, Encryption, Evaluation, Pruning, ServerOptimizer, Stop, Terms, TermsFields,
    Training, Weights,
};
use fedshieldd::control::api::ErrorCode;
use fedshieldd::offline::TemplateDate;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::failure::Failure;

/// The fields of terms, and those of drafts and manifests that are not terms: the daemon has its
/// own, and the members join later.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TermsFile {
    name: String,
    rounds: u64,
    /// 0 in files of earlier versions, where it is left open.
    #[serde(default)]
    min_contributors: Option<u16>,
    #[serde(default)]
    committee_size: Option<u16>,
    #[serde(default)]
    weights: Option<Weights>,
    weight_cap: u32,
    #[serde(default)]
    template_date: Option<String>,
    #[serde(default)]
    evaluation: Evaluation,
    #[serde(default)]
    stop: Option<Stop>,
    adapter: Adapter,
    training: Training,
    pruning: Pruning,
    encryption: Encryption,
    server_optimizer: ServerOptimizer,
    deadlines: Deadlines,
    #[serde(default, rename = "founding_id")]
    _founding_id: IgnoredAny,
    #[serde(default, rename = "epoch")]
    _epoch: IgnoredAny,
    #[serde(default, rename = "base_model")]
    _base_model: IgnoredAny,
    #[serde(default, rename = "members")]
    _members: IgnoredAny,
}

impl TermsFile {
    fn fields(self) -> TermsFields {
        let number = |number: Option<u16>| number.filter(|number| *number != 0);
        TermsFields {
            name: self.name,
            rounds: self.rounds,
            min_contributors: number(self.min_contributors),
            committee_size: number(self.committee_size),
            weights: self.weights,
            weight_cap: self.weight_cap,
            template_date: Some(
                self.template_date.unwrap_or_else(|| TemplateDate::today().to_string()),
            ),
            evaluation: self.evaluation,
            stop: self.stop,
            adapter: self.adapter,
            training: self.training,
            pruning: self.pruning,
            encryption: self.encryption,
            server_optimizer: self.server_optimizer,
            deadlines: self.deadlines,
        }
    }
}

/// Reads terms. A founding id, epoch, base model and members in the file are ignored. Terms without a
/// date for templates, which earlier versions wrote, get today's.
///
/// # Errors
/// If the file cannot be read or has other fields: names file and line. If a field is out of range:
/// names the field.
pub fn terms_from_file(path: &Path) -> Result<Terms, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::io("read the terms", path, &error))?;
    let wrong = |what: String| {
        Failure::new(ErrorCode::InvalidRequest, format!("the terms cannot be used: {what}"))
            .next("compare with the output of `fedshield-cli federation new --dry-run`")
    };
    let file: TermsFile = toml::from_str(&text).map_err(|error| {
        let line = error.span().and_then(|span| text.get(..span.start));
        let line = line.map_or(1, |before| before.lines().count().max(1));
        wrong(error.message().to_owned()).at(format!("{}:{line}", path.display()))
    })?;
    Terms::new(file.fields()).map_err(|error| wrong(error.to_string()).at(path.display()))
}

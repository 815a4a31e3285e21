//! Whether terms can be trained on with this model, data and trainer: checked before somebody
//! agrees to them, and again when training is prepared, by the same function, so that the two
//! cannot differ.

use std::path::Path;

use fedshield_protocol::ids::Digest;
use fedshield_protocol::manifest::{Draft, Evaluation, Manifest, TermsFields, Training};
use fedshield_train::Valid;
use fedshield_train::adapter::{AdapterRendering, PeftAdapter};
use fedshield_train::data::{DataSettings, DataSummary};
use fedshield_train::federated::{AdapterLayout, FederatedSettings, GlobalAdapter};
use fedshield_train::model::ModelConfig;
use fedshield_train::text::{Template, TextTokenizer};

use super::LearningSources;
use super::data::{DataFiles, DataSources};
use super::sample::LEAST_MEASURED;
use crate::jobs::PipelineError;
use crate::terms::{Plan, beyond_a_command};

/// Checks the terms of drafts against one organisation's model and data. Reads the data files each
/// time, because they may change.
#[derive(Clone)]
pub struct TermsChecker {
    config: Valid<ModelConfig>,
    tokenizer: TextTokenizer,
    sources: LearningSources,
}

impl TermsChecker {
    pub(super) fn new(
        config: Valid<ModelConfig>,
        tokenizer: TextTokenizer,
        sources: LearningSources,
    ) -> Self {
        Self { config, tokenizer, sources }
    }

    /// Refuses terms that could be agreed to and could not be trained on here; describes the data
    /// otherwise. Takes as long as reading the data.
    ///
    /// # Errors
    /// Names the field and its allowed values, or the data file and line that does not match the
    /// terms.
    pub fn check(&self, draft: &Draft) -> Result<DataSummary, PipelineError> {
        let plan = Plan::of_draft(draft)?;
        let terms = &draft.offer.terms;
        let (length, most) = (terms.training.sequence_length as usize, self.config.context());
        if length > most {
            let reason = format!(
                "{length} tokens do not fit the base model's context: take {most} or fewer"
            );
            return Err(PipelineError::manifest("training.sequence_length", reason));
        }
        let examination = self.examination();
        let examined = examination.examine(&Agreed::of(terms, &plan))?;
        if let Some(wanted) = terms.adapter.first {
            named_adapter(&self.config, &self.sources.first_adapter, wanted, &plan.settings)?;
        }
        Ok(examined.data.current().set.summary())
    }

    /// The same for terms that are in force: checks only whether they match model, trainer and data
    /// here.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_standing(&self, terms: &Manifest) -> Result<(), PipelineError> {
        let members = u16::try_from(terms.members.len()).unwrap_or(u16::MAX);
        let terms = TermsFields::of(terms);
        let plan = Plan::of(&terms, members)?;
        self.examination().examine(&Agreed::of(&terms, &plan)).map(drop)
    }

    fn examination(&self) -> Examination<'_> {
        let (config, tokenizer, sources) = (&self.config, &self.tokenizer, &self.sources);
        Examination { config, tokenizer, sources }
    }
}

/// What of the terms is checked here.
pub(super) struct Agreed<'a> {
    pub(super) training: &'a Training,
    pub(super) settings: &'a Valid<FederatedSettings>,
    pub(super) rendering: AdapterRendering,
    pub(super) evaluation: Evaluation,
}

impl<'a> Agreed<'a> {
    fn of(terms: &'a TermsFields, plan: &'a Plan) -> Self {
        let (training, evaluation) = (&terms.training, terms.evaluation);
        Self { training, settings: &plan.settings, rendering: plan.rendering, evaluation }
    }
}

/// What terms are checked against.
pub(super) struct Examination<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) tokenizer: &'a TextTokenizer,
    pub(super) sources: &'a LearningSources,
}

/// What the check has read.
pub(super) struct Examined {
    /// The template of the terms, or the one that the configuration names instead.
    pub(super) template: Template,
    /// Length in tokens to which examples are truncated.
    pub(super) length: usize,
    /// This member's data under the terms.
    pub(super) data: DataFiles,
}

impl Examination<'_> {
    /// Checks terms against model, trainer and data.
    ///
    /// # Errors
    /// Names the field of the terms, the setting, or the data file and line.
    pub(super) fn examine(&self, agreed: &Agreed<'_>) -> Result<Examined, PipelineError> {
        let Agreed { training, settings, rendering, evaluation } = *agreed;
        if self.sources.command.is_some()
            && let Some((field, reason)) = beyond_a_command(training)
        {
            let reason = format!(
                "{reason}, which a trainer command is not asked for: set `training.trainer` to builtin"
            );
            return Err(PipelineError::manifest(field, reason));
        }
        AdapterLayout::new(self.config, &settings.adapter)
            .map_err(|error| PipelineError::manifest("adapter", error.to_string()))?;
        // New drafts with longer ones are refused; federations founded before that rule continue.
        let length = (training.sequence_length as usize).min(self.config.context());
        let named =
            self.sources.template.as_deref().map_or(Ok(rendering.template), Template::parse)?;
        // A base model without a chat template gets the plainest one.
        let template = named.or_plain(self.tokenizer);
        let mut tokenizer = self.tokenizer.clone();
        tokenizer.template_date = rendering.date;
        let data = read_data(self.sources, tokenizer, template, length)?;
        let held_out = data.current().set.held_out.len();
        if evaluation == Evaluation::Mean && held_out < LEAST_MEASURED {
            return Err(PipelineError::TooFewHeldOut { held_out });
        }
        Ok(Examined { template, length, data })
    }
}

/// Opens the adapter with digest `wanted` at `path`, for a federation with these settings.
///
/// # Errors
/// [`PipelineError::FirstAdapter`] if it is missing, is another one, or does not match the terms.
pub(super) fn named_adapter(
    config: &ModelConfig,
    path: &Path,
    wanted: Digest,
    settings: &Valid<FederatedSettings>,
) -> Result<GlobalAdapter, PipelineError> {
    let missing =
        |found: String| PipelineError::FirstAdapter { path: path.to_path_buf(), wanted, found };
    let peft = PeftAdapter::open(path).map_err(|error| missing(error.to_string()))?;
    let digest = Digest(peft.digest()?);
    if digest != wanted {
        return Err(missing(format!("there is the adapter {digest}")));
    }
    let (spec, agreed) = (peft.federated_spec(), &settings.adapter);
    let global = peft.global(config, settings)?;
    if *global.layout() != AdapterLayout::new(config, agreed)? {
        return Err(missing(format!("it has {spec}, the manifest says {agreed}")));
    }
    Ok(global)
}

fn read_data(
    sources: &LearningSources,
    tokenizer: TextTokenizer,
    template: Template,
    max_length: usize,
) -> Result<DataFiles, PipelineError> {
    let (held_out, test) = (sources.held_out_fraction, sources.test_fraction);
    let reading = sources.reading.clone();
    // Only a trainer command needs the text.
    let keeps_text = sources.command.is_some();
    DataFiles::open(DataSources {
        train: sources.train.clone(),
        held_out: sources.held_out.clone(),
        test: sources.test.clone(),
        tokenizer,
        settings: Valid::new(DataSettings {
            template,
            max_length,
            held_out,
            test,
            reading,
            keeps_text,
            spill: sources.spill.clone(),
        })?,
    })
    .map_err(PipelineError::Data)
}

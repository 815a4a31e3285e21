//! The manifest as one member computes with it: settings of the learner, parameters of the
//! encryption.

mod command;
mod estimate;
mod unusual;
mod weights;

use fedshield_he::{Preset, RobustSharing, RoundContext, ShareIndex};
use fedshield_protocol::ids::{FederationId, ManifestDigest, MemberIndex, Round};
use fedshield_protocol::job::RoundStart;
use fedshield_protocol::limits::MIN_MEMBERS;
use fedshield_protocol::manifest::{
    self, Draft, Evaluation, Manifest, Rules, TermsFields, ValidManifest,
};
use fedshield_train::Valid;
use fedshield_train::adapter::AdapterRendering;
use fedshield_train::federated::{
    AdapterSpec, Algorithm, FederatedSettings, LearningRate, LocalOptimizer, PruneRule,
    PruneSchedule, ServerOptimizer,
};
use fedshield_train::model::Projection;
use fedshield_train::text::{Template, TemplateDate};

use crate::encryption::{self, share_index};
use crate::jobs::PipelineError;
pub use command::beyond_a_command;
pub use estimate::{MOST_PASSES, UpdateSizes, passes, width};
pub use unusual::unusual;

/// The terms of a federation, and which of its members this is.
#[derive(Debug, Clone)]
pub struct MemberTerms {
    /// The manifest in force.
    pub manifest: Manifest,
    /// Its digest.
    pub manifest_digest: ManifestDigest,
    /// The federation's id, which seeds the first factor A.
    pub federation: FederationId,
    /// This member.
    pub me: MemberIndex,
    /// Quorum, threshold, faults tolerated.
    pub rules: Rules,
    /// The encryption's parameters.
    pub preset: &'static Preset,
    /// How the key of an update is shared.
    pub sharing: RobustSharing,
    /// The learner's settings.
    pub settings: Valid<FederatedSettings>,
    /// How examples become text.
    pub rendering: AdapterRendering,
    /// Applied rounds after which nothing is trained any more.
    end: u64,
}

impl MemberTerms {
    /// Reads a valid manifest.
    ///
    /// # Errors
    /// Names the field that this build does not support.
    pub fn new(valid: &ValidManifest, me: MemberIndex) -> Result<Self, PipelineError> {
        let manifest = valid.manifest().clone();
        let rules = valid.rules();
        let Plan { preset, settings, rendering } =
            Plan::of(&TermsFields::of(&manifest), rules.member_count)?;
        let (manifest_digest, federation) = (valid.digest(), valid.federation());
        let (rules, sharing) = (*rules, encryption::sharing(rules)?);
        Ok(Self {
            end: manifest.rounds,
            manifest,
            manifest_digest,
            federation,
            me,
            rules,
            preset,
            sharing,
            settings,
            rendering,
        })
    }

    /// The encryption context of one round.
    #[must_use]
    pub fn context(&self, round: Round) -> RoundContext {
        let context = RoundContext::new(self.manifest_digest.0, round.0, self.preset);
        if self.measures() { context.with_measurement() } else { context }
    }

    /// Whether each update carries what its member has measured.
    #[must_use]
    pub fn measures(&self) -> bool {
        self.manifest.evaluation == Evaluation::Mean
    }

    /// Whether the round after `applied` applied ones trains nothing and measures the final adapter.
    #[must_use]
    pub fn is_trained(&self, applied: u64) -> bool {
        self.measures() && applied >= self.end
    }

    /// The terms of a round after the members ended the training early, whose learning rate falls
    /// in equal steps to that of the last round; `None` if they did not.
    ///
    /// # Errors
    /// None in practice: the learning rate lies between two valid ones.
    pub(crate) fn falling(&self, start: &RoundStart) -> Result<Option<Self>, PipelineError> {
        let Some(from) = start.stopped else { return Ok(None) };
        let end = self.manifest.end(Some(from));
        let schedule = self.settings.learning_rate;
        let (steps, done) = (end.saturating_sub(from).max(1), start.applied.saturating_sub(from));
        let left = steps.saturating_sub(done.saturating_add(1)) as f64 / steps as f64;
        let rate = schedule.last + (schedule.at(from) - schedule.last) * left;
        let settings = self.settings.with(|settings| {
            settings.learning_rate = LearningRate { peak: rate, last: rate, rounds: 1 };
        })?;
        Ok(Some(Self { settings, end, ..self.clone() }))
    }

    /// Examples that a member trains on in one round.
    #[must_use]
    pub fn examples_per_round(&self) -> usize {
        let training = &self.manifest.training;
        (training.steps_per_round as usize).saturating_mul(training.batch_size as usize)
    }

    /// The manifest in force, checked again.
    ///
    /// # Errors
    /// None in practice, as it was checked when it came into force.
    pub(crate) fn valid_manifest(&self) -> Result<ValidManifest, PipelineError> {
        ValidManifest::check(self.manifest.clone())
            .map_err(|error| PipelineError::manifest("members", error.to_string()))
    }

    /// The share index of this member.
    #[must_use]
    pub const fn my_share_index(&self) -> ShareIndex {
        share_index(self.me)
    }
}

/// The terms that do not depend on who the members are: the same for a draft and for its manifest.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The encryption's parameters.
    pub preset: &'static Preset,
    /// The learner's settings.
    pub settings: Valid<FederatedSettings>,
    /// How examples become text.
    pub rendering: AdapterRendering,
}

impl Plan {
    /// Reads the terms for `members` members.
    ///
    /// # Errors
    /// Names the field that this build does not support.
    pub fn of(terms: &TermsFields, members: u16) -> Result<Self, PipelineError> {
        if terms.weights.is_none() {
            return Err(PipelineError::Earlier);
        }
        let preset = Preset::by_name(&terms.encryption.preset)
            .map_err(|e| PipelineError::manifest("encryption.preset", e.to_string()))?;
        preset
            .check_members(members)
            .map_err(|e| PipelineError::manifest("encryption.preset", e.to_string()))?;
        let settings = Valid::new(settings_of(terms)?)
            .map_err(|e| PipelineError::manifest("training", e.to_string()))?;
        Ok(Self { preset, settings, rendering: rendering_of(terms)? })
    }

    /// Reads the terms of a draft, whose members may not be known yet.
    ///
    /// # Errors
    /// Names the field that this build does not support.
    pub fn of_draft(draft: &Draft) -> Result<Self, PipelineError> {
        let members = u16::try_from(draft.members.len()).unwrap_or(u16::MAX);
        Self::of_terms(&draft.offer.terms, members)
    }

    /// Reads terms that are not in a draft yet.
    ///
    /// # Errors
    /// Names the field that this build does not support.
    pub fn of_terms(terms: &manifest::Terms, members: u16) -> Result<Self, PipelineError> {
        if terms.weights.is_none() {
            let reason = "say what an update counts: \"equal\" or \"declared\"";
            return Err(PipelineError::manifest("weights", reason));
        }
        Self::of(terms, members.max(MIN_MEMBERS))
    }
}

/// How these terms render examples.
///
/// # Errors
/// Names the field that this build does not support.
pub(crate) fn rendering_of(terms: &TermsFields) -> Result<AdapterRendering, PipelineError> {
    let template = Template::parse(&terms.training.template)
        .map_err(|e| PipelineError::manifest("training.template", e.to_string()))?;
    let date = terms.template_date.as_deref().map_or(Ok(TemplateDate::default()), str::parse);
    let date = date.map_err(|e| PipelineError::manifest("template_date", e.to_string()))?;
    Ok(AdapterRendering { template, date })
}

fn settings_of(terms: &TermsFields) -> Result<FederatedSettings, PipelineError> {
    let target_modules = terms
        .adapter
        .target_modules
        .iter()
        .map(|name| {
            let known = Projection::ALL.map(Projection::name).join(", ");
            let reason =
                || format!("`{name}` is no projection of the model's layers: name some of {known}");
            Projection::parse(name)
                .ok_or_else(|| PipelineError::manifest("adapter.target_modules", reason()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (training, pruning) = (&terms.training, &terms.pruning);
    Ok(FederatedSettings {
        adapter: AdapterSpec {
            rank: terms.adapter.rank as usize,
            alpha: f64::from(terms.adapter.alpha),
            target_modules,
            rslora: terms.adapter.rslora,
        },
        algorithm: match training.algorithm {
            manifest::Algorithm::Rolora => Algorithm::RoLora,
            manifest::Algorithm::Ffa => Algorithm::Ffa,
            manifest::Algorithm::Fedit => Algorithm::FedIt,
            manifest::Algorithm::FedSb => Algorithm::FedSb,
            manifest::Algorithm::Halves => Algorithm::Halves,
        },
        steps: training.steps_per_round as usize,
        learning_rate: LearningRate {
            peak: training.learning_rate.get(),
            last: training.learning_rate_final.get(),
            rounds: terms.rounds,
        },
        rate_ratio: training.rate_ratio.get(),
        proximal: training.proximal.get(),
        local_optimizer: match training.local_optimizer {
            manifest::LocalOptimizer::Fresh => LocalOptimizer::Fresh,
            manifest::LocalOptimizer::Kept => LocalOptimizer::Kept,
        },
        prune: PruneSchedule {
            rule: match pruning.rule {
                manifest::PruningRule::Shared => PruneRule::Shared,
                manifest::PruningRule::Local => PruneRule::Local,
            },
            start_rate: pruning.initial.get(),
            end_rate: pruning.last.get(),
            start_round: pruning.start_round,
            end_round: pruning.end_round,
            explore: pruning.explore.get(),
        },
        score_decay: pruning.memory.get(),
        clip_factor: terms.encryption.clip.get(),
        server: server_of(terms.server_optimizer),
    })
}

fn server_of(terms: manifest::ServerOptimizer) -> ServerOptimizer {
    use manifest::ServerOptimizer as Agreed;
    match terms {
        Agreed::Plain { rate } => ServerOptimizer::Plain { eta: rate.get() },
        Agreed::Momentum { rate, momentum } => {
            ServerOptimizer::Momentum { eta: rate.get(), beta: momentum.get() }
        }
        Agreed::Nesterov { rate, momentum } => {
            ServerOptimizer::Nesterov { eta: rate.get(), beta: momentum.get() }
        }
        Agreed::Adam { rate, beta1, beta2, epsilon } => ServerOptimizer::Adam {
            eta: rate.get(),
            beta1: beta1.get(),
            beta2: beta2.get(),
            epsilon: epsilon.get(),
        },
    }
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::manifest::SignedManifest;

    use super::*;

    #[test]
    fn once_the_training_is_ended_the_learning_rate_falls_to_the_last_one() {
        let mut manifest = fedshield_fixtures::manifest(4);
        (manifest.rounds, manifest.evaluation) = (20, Evaluation::Mean);
        manifest.stop = Some(manifest::Stop { after: 2, fall: 3 });
        manifest.encryption.clip = fedshield_fixtures::real(1.0);
        let terms =
            MemberTerms::new(&ValidManifest::check(manifest).unwrap(), MemberIndex(0)).unwrap();
        let start = |applied, stopped| RoundStart {
            round: Round(applied + 4),
            applied,
            beacon: fedshield_protocol::ids::Beacon([1; 32]),
            stopped,
        };
        assert!(terms.falling(&start(7, None)).unwrap().is_none());
        let planned = terms.settings.learning_rate;
        let rate = |applied| {
            let falling = terms.falling(&start(applied, Some(7))).unwrap().unwrap();
            assert_eq!(falling.is_trained(applied), applied >= 10);
            falling.settings.learning_rate.at(applied)
        };
        let (first, last) = (planned.at(7), planned.last);
        let expected = [2.0 / 3.0, 1.0 / 3.0, 0.0].map(|left| last + (first - last) * left);
        for (applied, expected) in (7..10).zip(expected) {
            assert!((rate(applied) - expected).abs() < 1e-15, "{applied}");
        }
        assert_eq!(rate(9), last);
        assert_eq!(rate(10), last);
        // Near the planned end nothing is added.
        let late = terms.falling(&start(19, Some(19))).unwrap().unwrap();
        assert!(late.is_trained(20) && !late.is_trained(19));
    }

    #[test]
    fn a_federation_of_an_earlier_version_is_not_continued_and_the_error_says_what_to_do() {
        let bytes = include_bytes!("../tests/homes/first-version/manifest.signed");
        let valid = ValidManifest::founded(SignedManifest::decode(bytes).unwrap()).unwrap();
        let error = MemberTerms::new(&valid, MemberIndex(0)).unwrap_err();
        assert!(matches!(error, PipelineError::Earlier));
        assert!(error.to_string().contains("`weights`"), "{error}");
        assert!(error.hint().contains("federation new --adapter"), "{}", error.hint());
        // A draft is not a federation yet: it lacks a setting.
        let fields = TermsFields { weights: None, ..fedshield_fixtures::terms() };
        let terms = manifest::Terms::new(fields).unwrap();
        let error = Plan::of_terms(&terms, 4).unwrap_err().to_string();
        assert!(error.contains("weights") && error.contains("equal"), "{error}");
    }
}

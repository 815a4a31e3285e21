//! The manifest as the pipeline needs it: settings of the learner, context of the encryption.

use fedshield_he::{Preset, RoundContext};
use fedshield_protocol::ids::{Digest, MemberIndex, Round};
use fedshield_protocol::manifest::{self, Manifest};
use fedshield_train::federated::{
    AdapterSpec, Algorithm, FederatedSettings, LearningRate, PruneSchedule, ServerOptimizer,
};
use fedshield_train::model::Projection;
use fedshield_train::text::Template;

use super::PipelineError;

/// What the members agreed on, and which of them this is.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The manifest in force.
    pub manifest: Manifest,
    /// Its digest.
    pub manifest_digest: Digest,
    /// Seeds the first factor A.
    pub federation: Digest,
    /// This member.
    pub me: MemberIndex,
    /// How many partial decryptions open a sum.
    pub threshold: u16,
    /// The encryption's parameters.
    pub preset: &'static Preset,
    /// The learner's settings.
    pub settings: FederatedSettings,
    /// How examples become text.
    pub template: Option<Template>,
}

impl Terms {
    /// Reads a validated manifest.
    ///
    /// # Errors
    /// Names the field that this build cannot honour.
    pub fn new(
        manifest: Manifest,
        manifest_digest: Digest,
        federation: Digest,
        me: MemberIndex,
        threshold: u16,
    ) -> Result<Self, PipelineError> {
        let preset = Preset::by_name(&manifest.encryption.preset)
            .map_err(|e| PipelineError::manifest("encryption.preset", e.to_string()))?;
        preset
            .check_members(manifest.members.len().try_into().unwrap_or(u16::MAX))
            .map_err(|e| PipelineError::manifest("encryption.preset", e.to_string()))?;
        let settings = settings_of(&manifest)?;
        settings.check().map_err(|e| PipelineError::manifest("training", e.to_string()))?;
        let template = template_of(&manifest)?;
        Ok(Self { manifest, manifest_digest, federation, me, threshold, preset, settings, template })
    }

    /// The encryption of one round.
    #[must_use]
    pub fn context(&self, round: Round) -> RoundContext {
        RoundContext::new(self.manifest_digest.0, round.0, self.preset)
    }

    /// Threshold and number of members, as sharing wants them.
    #[must_use]
    pub fn sharing(&self) -> (u16, u16) {
        (self.threshold, self.member_count())
    }

    /// Number of members.
    #[must_use]
    pub fn member_count(&self) -> u16 {
        // A validated manifest has at most 100 members.
        self.manifest.members.len().try_into().unwrap_or(u16::MAX)
    }

    /// Quanta per unit of an update in applied round `t`.
    #[must_use]
    pub fn scale(&self, t: u64) -> f64 {
        self.settings.scale(t, self.preset.value_bits(), u64::from(self.manifest.weight_cap))
    }
}

fn settings_of(manifest: &Manifest) -> Result<FederatedSettings, PipelineError> {
    let target_modules = manifest
        .adapter
        .target_modules
        .iter()
        .map(|name| {
            Projection::parse(name)
                .map_err(|e| PipelineError::manifest("adapter.target_modules", e.to_string()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (training, pruning) = (&manifest.training, &manifest.pruning);
    Ok(FederatedSettings {
        adapter: AdapterSpec {
            rank: manifest.adapter.rank as usize,
            alpha: f64::from(manifest.adapter.alpha),
            target_modules,
        },
        algorithm: match training.algorithm {
            manifest::Algorithm::Rolora => Algorithm::RoLora,
            manifest::Algorithm::Ffa => Algorithm::Ffa,
            manifest::Algorithm::Fedit => Algorithm::FedIt,
        },
        steps: training.steps_per_round as usize,
        learning_rate: LearningRate {
            peak: training.learning_rate.get(),
            last: training.learning_rate_final.get(),
            rounds: manifest.rounds,
        },
        prune: PruneSchedule {
            start_rate: pruning.initial.get(),
            end_rate: pruning.last.get(),
            start_round: pruning.start_round,
            end_round: pruning.end_round,
            explore: pruning.explore.get(),
        },
        score_decay: pruning.memory.get(),
        clip_factor: manifest.encryption.clip.get(),
        server: match manifest.server_optimizer {
            manifest::ServerOptimizer::Plain { rate } => ServerOptimizer::Plain { eta: rate.get() },
            manifest::ServerOptimizer::Momentum { rate, momentum } => {
                ServerOptimizer::Momentum { eta: rate.get(), momentum: momentum.get() }
            }
        },
    })
}

/// `None` for `model`: the model's own template.
fn template_of(manifest: &Manifest) -> Result<Option<Template>, PipelineError> {
    match manifest.training.template.as_str() {
        "model" => Ok(None),
        name => Template::parse(name)
            .map(Some)
            .map_err(|e| PipelineError::manifest("training.template", e.to_string())),
    }
}

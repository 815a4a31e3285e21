//! The manifest: the contract between the members. TOML for people, canonical bytes for its digest.
//!
//! On the way to it there are three types: [`Terms`] are what people choose, a [`Draft`] is an
//! [`Offer`] of terms with the members so far, and a [`ValidManifest`] is complete and, if it is
//! made by [`ValidManifest::founded`], signed by all of them.

mod binary;
mod check;
mod draft;
mod rules;
mod signed;
mod terms;
mod weights;

use serde::{Deserialize, Serialize};

pub use check::ManifestError;
pub use draft::{Draft, Offer, Terms, TermsFields, UncheckedDraft};
pub use rules::{Rules, SetTooSmall};
pub use signed::{
    ManifestSignatureError, SignedManifest, ValidManifest, is_founding_signature, sign_founding,
};
pub use terms::{
    Adapter, Algorithm, Deadlines, Encryption, Evaluation, LocalOptimizer, Pruning, PruningRule,
    Real, ServerOptimizer, Stop, Training,
};
pub use weights::Weights;

use crate::hash::Use;
use crate::ids::{Digest, Epoch, IdentityKey, ManifestDigest};

/// One organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Member {
    /// The name people see; unique in the federation.
    pub name: String,
    /// Signs this member's messages; also its libp2p identity.
    pub identity_key: IdentityKey,
    /// Public key to which shares of the first round are sealed; base64 in TOML, opaque here.
    #[serde(with = "terms::base64_bytes")]
    pub sealing_key: Vec<u8>,
    /// libp2p multiaddresses, most useful first.
    pub addresses: Vec<String>,
    /// What this member's updates count in the mean, where `weights` are declared: by custom its
    /// number of examples, at most `weight_cap`. 1 where they are equal.
    #[serde(default = "weights::one", skip_serializing_if = "weights::is_one")]
    pub weight: u32,
}

/// What every member has agreed to. Two members with the same digest will do the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Manifest {
    /// The name people see.
    pub name: String,
    /// Random; separates federations that agree in everything else.
    pub founding_id: Digest,
    /// Which membership list this is, from 0.
    pub epoch: Epoch,
    /// Rounds that get an adapter before the federation is done.
    pub rounds: u64,
    /// Fewest updates in a sum that may be opened; at least `max(3, f + 2)`.
    pub min_contributors: u16,
    /// Members that add ciphertexts; at least `2f + 1`.
    pub committee_size: u16,
    /// How much each member's update counts. `None` in manifests of earlier versions, whose updates
    /// carried a weight of their own: they can be read and verified, but not be trained on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// Largest weight that a member may declare.
    pub weight_cap: u32,
    /// The date that chat templates write as the current one, `YYYY-MM-DD`. `None` in manifests of earlier versions, which mean
    /// 2024-07-26.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_date: Option<String>,
    /// Whether members measure together how well the common adapter does. Off in manifests of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "Evaluation::is_off")]
    pub evaluation: Evaluation,
    /// When the members' own measurements end the training early; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// Digest of config, tokenizer and weights of the frozen model.
    pub base_model: Digest,
    /// LoRA shape.
    pub adapter: Adapter,
    /// How a round trains.
    pub training: Training,
    /// Which coordinates travel.
    pub pruning: Pruning,
    /// How they travel.
    pub encryption: Encryption,
    /// What happens to the opened mean.
    pub server_optimizer: ServerOptimizer,
    /// How long each phase waits.
    pub deadlines: Deadlines,
    /// All members; a position in this list is a member's index.
    pub members: Vec<Member>,
}

impl Member {
    /// Checks what holds for a member whoever the others are: texts, lengths, and that the key is
    /// one.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), ManifestError> {
        check::check_member("member", self)
    }
}

impl Manifest {
    /// Applied rounds after which nothing is trained any more, where the members ended the training
    /// after `stopped` of them.
    #[must_use]
    pub fn end(&self, stopped: Option<u64>) -> u64 {
        let fall = self.stop.map_or(0, |stop| u64::from(stop.fall));
        stopped.map_or(self.rounds, |from| from.saturating_add(fall).min(self.rounds))
    }

    /// The bytes that are hashed and signed.
    ///
    /// # Errors
    /// Only if a field cannot be encoded, which no valid manifest has.
    pub fn canonical_bytes(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_allocvec(self)
    }

    /// The digest that signatures, records and encryption bind to.
    ///
    /// # Errors
    /// See [`Self::canonical_bytes`].
    pub fn digest(&self) -> Result<ManifestDigest, postcard::Error> {
        Ok(ManifestDigest(Use::Manifest.digest(&[&self.canonical_bytes()?]).0))
    }
}

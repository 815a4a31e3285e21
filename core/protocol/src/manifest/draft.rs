//! From what people choose to a manifest. [`Terms`] are what they choose; an [`Offer`] adds the base model and the id under which
//! the founders meet, and is what a founder accepts; a [`Draft`] adds the members so far; [`Draft::complete`] makes the
//! manifest that the founders sign.

use core::ops::Deref;

use serde::{Deserialize, Serialize};

use super::check::{self, ManifestError};
use super::{
    Adapter, Deadlines, Encryption, Evaluation, Manifest, Member, Pruning, Rules, ServerOptimizer,
    Stop, Training, Weights,
};
use crate::ids::{Digest, Epoch};
use crate::limits::MAX_MEMBERS;

/// The fields of [`Terms`], unchecked: for whoever puts them together or reads them from a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermsFields {
    /// The name people see.
    pub name: String,
    /// Rounds that get an adapter before the federation is done.
    pub rounds: u64,
    /// Fewest updates in a sum that may be opened; `None` is [`Rules::default_contributors`] of the final count of members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_contributors: Option<u16>,
    /// Members that add ciphertexts; `None` is [`Rules::default_committee`] of the final count of members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committee_size: Option<u16>,
    /// How much each member's update counts. `None` in terms of earlier versions, which cannot be trained on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// Largest weight that a member may declare.
    pub weight_cap: u32,
    /// The date that chat templates write as the current one, `YYYY-MM-DD`. `None` in terms of earlier versions, which mean
    /// 2024-07-26.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_date: Option<String>,
    /// Whether members measure together how well the common adapter does.
    #[serde(default, skip_serializing_if = "Evaluation::is_off")]
    pub evaluation: Evaluation,
    /// When the members' own measurements end the training early; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
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
}

impl TermsFields {
    /// The terms of a manifest, with the numbers that it has.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let it = manifest.clone();
        Self {
            name: it.name,
            rounds: it.rounds,
            min_contributors: Some(it.min_contributors),
            committee_size: Some(it.committee_size),
            weights: it.weights,
            weight_cap: it.weight_cap,
            template_date: it.template_date,
            evaluation: it.evaluation,
            stop: it.stop,
            adapter: it.adapter,
            training: it.training,
            pruning: it.pruning,
            encryption: it.encryption,
            server_optimizer: it.server_optimizer,
            deadlines: it.deadlines,
        }
    }
}

/// What people choose for a federation, whoever its members will be. Valid by construction: each field lies in its range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TermsFields", into = "TermsFields")]
pub struct Terms(TermsFields);

impl Terms {
    /// Checks the fields: all that can be checked before the members are known, as [`ValidManifest::check`] will.
    ///
    /// # Errors
    /// The first field that is wrong.
    ///
    /// [`ValidManifest::check`]: super::ValidManifest::check
    pub fn new(fields: TermsFields) -> Result<Self, ManifestError> {
        check::check_terms(&fields)?;
        check::check_open_numbers(&fields)?;
        Ok(Self(fields))
    }

    /// The fields, to change them.
    #[must_use]
    pub fn into_fields(self) -> TermsFields {
        self.0
    }

    /// A member's entry as these terms want it: where weights are equal, it declares none.
    #[must_use]
    pub fn entry_for(&self, member: Member) -> Member {
        Member { weight: Weights::of(self.weights, &member), ..member }
    }
}

impl Deref for Terms {
    type Target = TermsFields;

    fn deref(&self) -> &TermsFields {
        &self.0
    }
}

impl TryFrom<TermsFields> for Terms {
    type Error = ManifestError;

    fn try_from(fields: TermsFields) -> Result<Self, ManifestError> {
        Self::new(fields)
    }
}

impl From<Terms> for TermsFields {
    fn from(terms: Terms) -> Self {
        terms.0
    }
}

/// What a founder accepts: everything but who the members are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Random; separates federations that agree in everything else.
    pub founding_id: Digest,
    /// Digest of config, tokenizer and weights of the frozen model.
    pub base_model: Digest,
    /// What people have chosen.
    pub terms: Terms,
}

impl Offer {
    /// The bytes whose digest people compare before they join: those of a manifest without members.
    ///
    /// # Errors
    /// Only if a field cannot be encoded, which no valid terms have.
    pub fn canonical_bytes(&self) -> Result<Vec<u8>, postcard::Error> {
        self.as_manifest(Vec::new()).canonical_bytes()
    }

    /// Whether `manifest` is this offer, with members added and open numbers filled in.
    #[must_use]
    pub fn is_kept_by(&self, manifest: &Manifest) -> bool {
        self.clone().with(manifest.members.clone()).complete() == *manifest
    }

    /// A draft of this offer.
    #[must_use]
    pub const fn with(self, members: Vec<Member>) -> Draft {
        Draft { offer: self, members }
    }

    /// The bytes of offers and drafts are those of a manifest of epoch 0 with 0 for a number that is left open.
    fn as_manifest(&self, members: Vec<Member>) -> Manifest {
        let TermsFields { min_contributors, committee_size, .. } = &self.terms.0;
        let numbers = (min_contributors.unwrap_or(0), committee_size.unwrap_or(0));
        self.manifest(numbers, members)
    }

    fn manifest(&self, (least, committee): (u16, u16), members: Vec<Member>) -> Manifest {
        let terms = self.terms.0.clone();
        Manifest {
            name: terms.name,
            founding_id: self.founding_id,
            epoch: Epoch(0),
            rounds: terms.rounds,
            min_contributors: least,
            committee_size: committee,
            weights: terms.weights,
            weight_cap: terms.weight_cap,
            template_date: terms.template_date,
            evaluation: terms.evaluation,
            stop: terms.stop,
            base_model: self.base_model,
            adapter: terms.adapter,
            training: terms.training,
            pruning: terms.pruning,
            encryption: terms.encryption,
            server_optimizer: terms.server_optimizer,
            deadlines: terms.deadlines,
            members,
        }
    }
}

/// An offer with the members so far; others may still join. It has no federation id, and nobody signs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// What the members have accepted.
    pub offer: Offer,
    /// Who has joined, the owner first.
    pub members: Vec<Member>,
}

impl Draft {
    /// The manifest that these members would sign, with the usual numbers where they are left open. It is not checked: there may
    /// be too few members.
    #[must_use]
    pub fn complete(&self) -> Manifest {
        let count = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        let terms = &self.offer.terms;
        let least = terms.min_contributors.unwrap_or_else(|| Rules::default_contributors(count));
        let committee = terms.committee_size.unwrap_or_else(|| Rules::default_committee(count));
        self.offer.manifest((least, committee), self.members.clone())
    }
}

/// A draft as it is sent and stored on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UncheckedDraft(Manifest);

impl UncheckedDraft {
    /// What the bytes of a manifest say of a draft: one of epoch 0, with 0 for a number that is left open.
    #[must_use]
    pub const fn from_form(form: Manifest) -> Self {
        Self(form)
    }

    /// The manifest that has its bytes; never one that can be founded, as far as a number is left open.
    #[must_use]
    pub fn into_form(self) -> Manifest {
        self.0
    }

    /// Checks the terms. The members are checked with the manifest that is made of the draft.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(self) -> Result<Draft, ManifestError> {
        let Self(form) = self;
        if form.epoch != Epoch(0) || form.members.len() > usize::from(MAX_MEMBERS) {
            let field = if form.epoch == Epoch(0) { "members" } else { "epoch" };
            let remedy = format!("a draft is of epoch 0 and has at most {MAX_MEMBERS} members");
            let value = format!("{}, with {} members", form.epoch.0, form.members.len());
            return Err(ManifestError { field: field.to_owned(), value, remedy });
        }
        let number = |number: Option<u16>| number.filter(|number| *number != 0);
        let fields = TermsFields::of(&form);
        let terms = Terms::new(TermsFields {
            min_contributors: number(fields.min_contributors),
            committee_size: number(fields.committee_size),
            ..fields
        })?;
        let offer = Offer { founding_id: form.founding_id, base_model: form.base_model, terms };
        Ok(Draft { offer, members: form.members })
    }
}

impl From<&Draft> for UncheckedDraft {
    fn from(draft: &Draft) -> Self {
        Self(draft.offer.as_manifest(draft.members.clone()))
    }
}

impl From<&Offer> for UncheckedDraft {
    fn from(offer: &Offer) -> Self {
        Self(offer.as_manifest(Vec::new()))
    }
}

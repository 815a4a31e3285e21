//! What people see of the founding.

use fedshield_protocol::ids::{IdentityKey, MemberIndex};
use fedshield_protocol::manifest::{Manifest, SignedManifest, ValidManifest, Weights};

use super::{FoundingError, phrase_of, terms};
use crate::control::api::{Condition, FederationSummary, FederationView, MemberView, NodeState};

/// The names of all conditions that the founding may set.
pub const FOUNDING_CONDITIONS: [&str; 8] = [
    "list-unconfirmed",
    "list-differs",
    "founding-waits",
    "member-left",
    "draft-reopened",
    "draft-abandoned",
    "draft-dropped",
    "farewell-untold",
];

/// How far the founding is; published whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundingView {
    /// `Idle`, `Draft`, `Joining`, `Founding` or `Active`.
    pub state: NodeState,
    /// The draft, the frozen manifest or the one in force.
    pub manifest: Option<Manifest>,
    /// True once no member can be added.
    pub frozen: bool,
    /// By member, in manifest order: its signature is here. Empty until frozen.
    pub signed: Vec<bool>,
    /// The frozen list is confirmed at this node.
    pub confirmed: bool,
    /// When the list became final, in seconds since 1970, as far as this node knows.
    pub frozen_at_s: Option<u64>,
    /// In what the frozen list is not the one that was expected or confirmed here.
    pub differences: Vec<String>,
    /// The federation, once it is founded and on disk.
    pub founded: Option<SignedManifest>,
    /// Why this node does not get on, for people.
    pub last_error: Option<String>,
    /// What holds and a person should know; each has one of [`FOUNDING_CONDITIONS`] as its name.
    pub conditions: Vec<Condition>,
}

impl FoundingView {
    pub(super) const fn idle() -> Self {
        Self {
            state: NodeState::Idle,
            manifest: None,
            frozen: false,
            signed: Vec::new(),
            confirmed: false,
            frozen_at_s: None,
            differences: Vec::new(),
            founded: None,
            last_error: None,
            conditions: Vec::new(),
        }
    }

    pub(crate) fn founded(signed: SignedManifest) -> Self {
        Self {
            state: NodeState::Active,
            manifest: Some(signed.manifest.clone()),
            frozen: true,
            signed: vec![true; signed.manifest.members.len()],
            confirmed: true,
            founded: Some(signed),
            ..Self::idle()
        }
    }

    /// In short, for `status`; `own` is this node.
    #[must_use]
    pub fn summary(&self, own: &IdentityKey) -> Option<FederationSummary> {
        let manifest = self.manifest.as_ref()?;
        let valid = self.frozen.then(|| ValidManifest::check(manifest.clone()).ok()).flatten();
        let names = || manifest.members.iter().map(|member| member.name.clone());
        let signed = names().zip(&self.signed).filter(|(_, signed)| **signed);
        Some(FederationSummary {
            id: valid.as_ref().map(ValidManifest::federation),
            founding_id: manifest.founding_id,
            name: manifest.name.clone(),
            epoch: manifest.epoch,
            manifest_digest: valid.as_ref().map(ValidManifest::digest),
            members: names().collect(),
            self_index: index_of(manifest, own),
            rounds: manifest.rounds,
            signed: signed.map(|(name, _)| name).collect(),
            phrase: valid.as_ref().map(|valid| phrase_of(&valid.digest())),
        })
    }

    /// `GET /v1/federation`.
    ///
    /// # Errors
    /// [`FoundingError::None`] if there is nothing to show.
    pub fn federation(&self, own: &IdentityKey) -> Result<FederationView, FoundingError> {
        let (Some(manifest), Some(summary)) = (&self.manifest, self.summary(own)) else {
            return Err(FoundingError::None);
        };
        Ok(FederationView {
            summary,
            toml: to_toml(manifest)?,
            manifest: manifest.clone(),
            frozen: self.frozen,
            founded: self.founded.is_some(),
            returning: Vec::new(),
            warnings: Vec::new(),
            confirmed: self.confirmed,
            frozen_at_s: self.frozen_at_s,
            differences: self.differences.clone(),
        })
    }

    /// `GET /v1/members`, without what the machine knows of them.
    #[must_use]
    pub fn members(&self, own: &IdentityKey) -> Vec<MemberView> {
        let members = self.manifest.iter().flat_map(|manifest| &manifest.members);
        let phrase = self.summary(own).and_then(|summary| summary.phrase);
        let weights = self.manifest.as_ref().and_then(|manifest| manifest.weights);
        members
            .zip(0..)
            .map(|(member, index)| MemberView {
                name: member.name.clone(),
                addresses: member.addresses.clone(),
                is_self: member.identity_key == *own,
                signed_manifest: self.signed.get(usize::from(index)).copied().unwrap_or(false),
                weight: (weights == Some(Weights::Declared)).then_some(member.weight),
                phrase: phrase.clone(),
                ..MemberView::new(MemberIndex(index), member.identity_key)
            })
            .collect()
    }
}

/// A manifest as TOML.
pub(super) fn to_toml(manifest: &Manifest) -> Result<String, FoundingError> {
    let text = toml::to_string_pretty(manifest);
    let note = if manifest.min_contributors == 0 || manifest.committee_size == 0 {
        "# 0 in min_contributors or committee_size: the usual number for the final count of members.\n"
    } else {
        ""
    };
    let digest = terms::terms_digest(manifest);
    text.map(|text| format!("# terms digest (without members): {digest}\n{note}{text}"))
        .map_err(|error| FoundingError::Request(error.to_string()))
}

fn index_of(manifest: &Manifest, key: &IdentityKey) -> Option<MemberIndex> {
    let position = manifest.members.iter().position(|member| member.identity_key == *key)?;
    u16::try_from(position).ok().map(MemberIndex)
}

//! The founding as shown to operators.

use fedshield_protocol::ids::{Digest, IdentityKey, MemberIndex};
use fedshield_protocol::manifest::{
    Draft, Member, Offer, SignedManifest, Terms, TermsFields, ValidManifest, Weights,
};
use serde::Serialize;

use super::{FoundingError, phrase_of, terms};
use crate::control::api::{
    Condition, FederationSummary, FederationView, Listing, MemberView, NodeState,
};

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
    pub listing: Option<Listing>,
    /// For each member, in manifest order, whether its signature is here. Empty until frozen.
    pub signed: Vec<bool>,
    /// The frozen list is confirmed at this node.
    pub confirmed: bool,
    /// When the list became final, in seconds since 1970, as far as this node knows.
    pub frozen_at_s: Option<u64>,
    /// How the frozen list differs from the one that was expected or confirmed here.
    pub differences: Vec<String>,
    /// The federation, once it is founded and on disk.
    pub founded: Option<SignedManifest>,
    /// Why the founding does not proceed, as text for the operator.
    pub last_error: Option<String>,
    /// Conditions in force; each has one of [`FOUNDING_CONDITIONS`] as its name.
    pub conditions: Vec<Condition>,
}

impl FoundingView {
    pub(super) const fn idle() -> Self {
        Self {
            state: NodeState::Idle,
            listing: None,
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
            listing: Some(Listing::Manifest(signed.manifest.clone())),
            signed: vec![true; signed.manifest.members.len()],
            confirmed: true,
            founded: Some(signed),
            ..Self::idle()
        }
    }

    /// A summary for `status`; `own` is this node.
    #[must_use]
    pub fn summary(&self, own: &IdentityKey) -> Option<FederationSummary> {
        let listing = self.listing.as_ref()?;
        let valid = match listing {
            Listing::Draft(_) => None,
            Listing::Manifest(manifest) => ValidManifest::check(manifest.clone()).ok(),
        };
        let terms = listing.terms();
        let names = || listing.members().iter().map(|member| member.name.clone());
        let signed = names().zip(&self.signed).filter(|(_, signed)| **signed);
        Some(FederationSummary {
            id: valid.as_ref().map(ValidManifest::federation),
            founding_id: listing.founding_id(),
            name: terms.name,
            epoch: listing.epoch(),
            manifest_digest: valid.as_ref().map(ValidManifest::digest),
            members: names().collect(),
            self_index: index_of(listing.members(), own),
            rounds: terms.rounds,
            signed: signed.map(|(name, _)| name).collect(),
            phrase: valid.as_ref().map(|valid| phrase_of(&valid.digest())),
        })
    }

    /// `GET /v1/federation`.
    ///
    /// # Errors
    /// [`FoundingError::None`] if there is nothing to show.
    pub fn federation(&self, own: &IdentityKey) -> Result<FederationView, FoundingError> {
        let (Some(listing), Some(summary)) = (&self.listing, self.summary(own)) else {
            return Err(FoundingError::None);
        };
        Ok(FederationView {
            summary,
            toml: to_toml(listing)?,
            frozen: listing.is_final(),
            listing: listing.clone(),
            founded: self.founded.is_some(),
            returning: Vec::new(),
            warnings: Vec::new(),
            confirmed: self.confirmed,
            frozen_at_s: self.frozen_at_s,
            differences: self.differences.clone(),
            data: None,
        })
    }

    /// `GET /v1/members`, without the machine's view of them.
    #[must_use]
    pub fn members(&self, own: &IdentityKey) -> Vec<MemberView> {
        let members = self.listing.iter().flat_map(Listing::members);
        let phrase = self.summary(own).and_then(|summary| summary.phrase);
        let weights = self.listing.as_ref().and_then(|listing| listing.terms().weights);
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

/// A draft as TOML: the fields of a manifest, without those that are still open.
#[derive(Serialize)]
struct DraftToml<'a> {
    founding_id: Digest,
    base_model: Digest,
    #[serde(flatten)]
    terms: &'a TermsFields,
    members: &'a [Member],
}

/// A draft or a manifest as TOML, with the digest that organisations compare.
pub(super) fn to_toml(listing: &Listing) -> Result<String, FoundingError> {
    let (text, note, digest) = match listing {
        Listing::Draft(Draft { offer, members }) => {
            let Offer { founding_id, base_model, terms } = offer;
            let (founding_id, base_model) = (*founding_id, *base_model);
            let text =
                toml::to_string_pretty(&DraftToml { founding_id, base_model, terms, members });
            let is_open = terms.min_contributors.is_none() || terms.committee_size.is_none();
            let note = if is_open {
                "# min_contributors and committee_size, where they are left out: the usual number for the final count of members.\n"
            } else {
                ""
            };
            (text, note, terms::terms_digest(offer))
        }
        Listing::Manifest(manifest) => {
            let terms = Terms::new(TermsFields::of(manifest))
                .map_err(|error| FoundingError::Request(error.to_string()))?;
            let (founding_id, base_model) = (manifest.founding_id, manifest.base_model);
            let offer = Offer { founding_id, base_model, terms };
            (toml::to_string_pretty(manifest), "", terms::terms_digest(&offer))
        }
    };
    text.map(|text| format!("# terms digest (without members): {digest}\n{note}{text}"))
        .map_err(|error| FoundingError::Request(error.to_string()))
}

fn index_of(members: &[Member], key: &IdentityKey) -> Option<MemberIndex> {
    let position = members.iter().position(|member| member.identity_key == *key)?;
    u16::try_from(position).ok().map(MemberIndex)
}

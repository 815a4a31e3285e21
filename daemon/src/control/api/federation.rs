//! The federation: its draft, its members, and how an organisation joins.

use fedshield_protocol::ids::{
    Digest, Epoch, FederationId, IdentityKey, ManifestDigest, MemberIndex,
};
use fedshield_protocol::manifest::{Draft, Manifest, Member, Terms, TermsFields};
use fedshield_protocol::status::MemberStatus;
pub use fedshield_train::data::DataSummary;
use serde::{Deserialize, Serialize};

use super::{ConnectionView, KnownAddressView};

/// A summary of the federation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederationSummary {
    /// The federation id; `None` until the manifest is frozen.
    pub id: Option<FederationId>,
    /// The random id that the founders use before there is a manifest.
    pub founding_id: Digest,
    /// The name shown to operators.
    pub name: String,
    /// The number of the membership list.
    pub epoch: Epoch,
    /// Digest of the manifest in force; `None` until it is frozen.
    pub manifest_digest: Option<ManifestDigest>,
    /// Names of the members, in manifest order; of those who have joined so far in a draft.
    pub members: Vec<String>,
    /// This node's position in `members`.
    pub self_index: Option<MemberIndex>,
    /// Number of applied rounds after which the federation is done.
    pub rounds: u64,
    /// Members that have confirmed the list, as far as this node knows: their signatures on the
    /// manifest have arrived.
    pub signed: Vec<String>,
    /// The manifest's digest as 24 words, to be compared by the organisations; `None` until it is
    /// frozen.
    #[serde(default)]
    pub phrase: Option<String>,
}

impl FederationSummary {
    /// Names of the members whose signature this node does not have.
    #[must_use]
    pub fn unsigned(&self) -> Vec<String> {
        self.members.iter().filter(|name| !self.signed.contains(name)).cloned().collect()
    }
}

/// `GET /v1/members`: one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Position in the manifest.
    pub index: MemberIndex,
    /// The name shown to operators.
    pub name: String,
    /// Its identity.
    pub identity_key: IdentityKey,
    /// Its multiaddresses from the manifest.
    pub addresses: Vec<String>,
    /// This node itself.
    pub is_self: bool,
    /// Whether this node has its signature on the manifest.
    pub signed_manifest: bool,
    /// What the protocol machine knows of it in the current round.
    pub status: Option<MemberStatus>,
    /// Its current connections with this node, the oldest first.
    #[serde(default)]
    pub connections: Vec<ConnectionView>,
    /// The addresses at which this node dials it; empty before the federation is founded.
    #[serde(default)]
    pub known_addresses: Vec<KnownAddressView>,
    /// The weight of its updates, where the members declare weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The phrase of the manifest that lists it, the same for all: [`FederationSummary::phrase`].
    #[serde(default)]
    pub phrase: Option<String>,
}

impl MemberView {
    /// A member of which nothing else is known.
    #[must_use]
    pub const fn new(index: MemberIndex, identity_key: IdentityKey) -> Self {
        Self {
            index,
            name: String::new(),
            identity_key,
            addresses: Vec::new(),
            is_self: false,
            signed_manifest: false,
            status: None,
            connections: Vec::new(),
            known_addresses: Vec::new(),
            weight: None,
            phrase: None,
        }
    }
}

/// `POST /v1/federation/new`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFederation {
    /// The chosen terms. The daemon adds a random founding id and the digest of its base model.
    pub terms: Terms,
}

/// A list of members and what they agree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listing {
    /// Others may still join.
    Draft(Draft),
    /// The list is final: frozen, or in force.
    Manifest(Manifest),
}

impl Listing {
    /// Whether no member can be added any more.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Manifest(_))
    }

    /// The members, in order.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        match self {
            Self::Draft(draft) => &draft.members,
            Self::Manifest(manifest) => &manifest.members,
        }
    }

    /// The id under which the founders meet.
    #[must_use]
    pub const fn founding_id(&self) -> Digest {
        match self {
            Self::Draft(draft) => draft.offer.founding_id,
            Self::Manifest(manifest) => manifest.founding_id,
        }
    }

    /// Digest of the base model.
    #[must_use]
    pub const fn base_model(&self) -> Digest {
        match self {
            Self::Draft(draft) => draft.offer.base_model,
            Self::Manifest(manifest) => manifest.base_model,
        }
    }

    /// The number of the membership list; a draft is the first one.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        match self {
            Self::Draft(_) => Epoch(0),
            Self::Manifest(manifest) => manifest.epoch,
        }
    }

    /// The chosen terms, with the values in force if the list is final.
    #[must_use]
    pub fn terms(&self) -> TermsFields {
        match self {
            Self::Draft(draft) => draft.offer.terms.clone().into_fields(),
            Self::Manifest(manifest) => TermsFields::of(manifest),
        }
    }
}

/// `GET /v1/federation`: the manifest or the draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederationView {
    /// The summary.
    pub summary: FederationSummary,
    /// The manifest or draft as TOML.
    pub toml: String,
    /// The same, for programs: `draft` or `manifest`.
    #[serde(flatten)]
    pub listing: Listing,
    /// True once no member can be added any more.
    pub frozen: bool,
    /// True once every founder has signed and this node has stored it.
    pub founded: bool,
    /// Members that have not joined again since a frozen draft was reopened; known to its owner
    /// only.
    #[serde(default)]
    pub returning: Vec<String>,
    /// Reasons not to found now, for the operator: founders that are absent or report that they
    /// cannot take part, and terms outside the range that is known to work.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Whether the frozen list is confirmed here, by the operators or by the list that they
    /// expected.
    #[serde(default)]
    pub confirmed: bool,
    /// When the list became final, in seconds since 1970 UTC, as far as this node knows.
    #[serde(default)]
    pub frozen_at_s: Option<u64>,
    /// The differences between the frozen list and the one expected or confirmed here, one sentence
    /// each.
    #[serde(default)]
    pub differences: Vec<String>,
    /// What this node trains on under these terms; only in answers to the commands that check its
    /// data, `new` and `found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataSummary>,
}

/// An expected member, named before the list is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedMember {
    /// The name that it must have in the list, compared exactly.
    pub name: String,
    /// Its identity.
    pub identity_key: IdentityKey,
}

/// `POST /v1/federation/found`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundRequest {
    /// All members, this node included: the draft is frozen, and confirmed here, only if it has
    /// exactly these. `None`: it is frozen as it is, and the operators confirm it.
    #[serde(default)]
    pub expect: Option<Vec<ExpectedMember>>,
}

/// `POST /v1/federation/confirm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// The 24 words of the list, [`FederationSummary::phrase`], as the other organisations have read them out.
    pub phrase: String,
}

/// `POST /v1/federation/leave`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveRequest {
    /// Whether the reason is a wrong list of members; the others are told.
    #[serde(default)]
    pub rejects: bool,
}

/// `POST /v1/federation/drop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropRequest {
    /// The member's name.
    pub name: String,
}

/// `POST /v1/federation/leave` and `POST /v1/federation/abandon`: what this node has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftView {
    /// The name of the federation.
    pub federation: String,
    /// Its owner's name.
    pub owner: String,
    /// Whether the owner has been told. Otherwise it is told as soon as it can be reached.
    pub owner_told: bool,
    /// Whether this node had signed: others may still hold the signature. No secret follows from
    /// it.
    pub had_signed: bool,
    /// Whether the federation was founded; no round of it had ended.
    pub was_founded: bool,
}

/// `POST /v1/invite`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    /// Seconds until the invite expires; at most 30 days.
    pub expires_s: u64,
}

/// One invite for one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteView {
    /// `fs1...`: give it to one organisation over a channel it trusts.
    pub invite: String,
    /// Seconds since 1970 at which it expires.
    pub expires_at_s: u64,
    /// The addresses in the invite, at which the invited organisation dials this node.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Addresses of this node that do not fit into the invite.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Why this node may be unreachable at these addresses, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// `POST /v1/join`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// `fs1...`.
    pub invite: String,
    /// False: only fetch the terms, for reading. True: accept them and join.
    pub accept: bool,
    /// With `accept`: digest of the terms that were read, [`JoinView::terms_digest`]. Joining fails
    /// if they have changed since. `None` accepts the owner's current terms.
    #[serde(default)]
    pub terms_digest: Option<Digest>,
    /// All members, this node included: the daemon confirms the frozen list if it has exactly
    /// these.
    #[serde(default)]
    pub expect: Option<Vec<ExpectedMember>>,
}

/// The terms behind an invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinView {
    /// The terms with the members so far.
    pub draft: Draft,
    /// The terms as TOML.
    pub toml: String,
    /// Digest of the terms without their members.
    pub terms_digest: Digest,
    /// The inviter's name.
    pub owner: String,
    /// True if this node has joined; false after a preview.
    pub joined: bool,
    /// Whether this node's base model is the one in the terms.
    pub model_matches: bool,
    /// Digest of this node's base model.
    pub base_model: Digest,
    /// Warnings before accepting: terms outside the range that is known to work, clocks that
    /// differ.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What this node would train on under these terms.
    #[serde(default)]
    pub data: Option<DataSummary>,
    /// Why this node could not take part under these terms, and what to do; joining would fail.
    #[serde(default)]
    pub obstacle: Option<String>,
}

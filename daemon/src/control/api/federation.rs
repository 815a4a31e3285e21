//! The federation: its draft, its members, how one gets in.

use fedshield_protocol::ids::{
    Digest, Epoch, FederationId, IdentityKey, ManifestDigest, MemberIndex,
};
use fedshield_protocol::manifest::{Draft, Manifest, Member, Terms, TermsFields};
use fedshield_protocol::status::MemberStatus;
use serde::{Deserialize, Serialize};

use super::{ConnectionView, KnownAddressView};

/// The federation in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederationSummary {
    /// The federation id; `None` until the manifest is frozen.
    pub id: Option<FederationId>,
    /// The random id under which the founders meet.
    pub founding_id: Digest,
    /// The name people see.
    pub name: String,
    /// Which membership list.
    pub epoch: Epoch,
    /// Digest of the manifest in force; `None` until it is frozen.
    pub manifest_digest: Option<ManifestDigest>,
    /// Names of the members, in manifest order; of those who have joined so far in a draft.
    pub members: Vec<String>,
    /// This node's position in `members`.
    pub self_index: Option<MemberIndex>,
    /// Rounds that get an adapter before the federation is done.
    pub rounds: u64,
    /// Members that have confirmed the list, as far as it is known here: their signature on the manifest says so.
    pub signed: Vec<String>,
    /// The manifest's digest in 24 words, for people to compare; `None` until it is frozen.
    #[serde(default)]
    pub phrase: Option<String>,
}

impl FederationSummary {
    /// Names of the members whose signature is not here, or not known of.
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
    /// The name people see.
    pub name: String,
    /// Its identity.
    pub identity_key: IdentityKey,
    /// Its multiaddresses from the manifest.
    pub addresses: Vec<String>,
    /// This node itself.
    pub is_self: bool,
    /// Its signature on the manifest is here.
    pub signed_manifest: bool,
    /// What the machine knows of it in the current round.
    pub status: Option<MemberStatus>,
    /// Its connections with this node at the moment, the oldest first.
    #[serde(default)]
    pub connections: Vec<ConnectionView>,
    /// Where this node looks for it; empty before the federation is founded.
    #[serde(default)]
    pub known_addresses: Vec<KnownAddressView>,
    /// What its updates count, where the members declare weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The phrase of the manifest that lists it, the same for all: [`FederationSummary::phrase`].
    #[serde(default)]
    pub phrase: Option<String>,
}

impl MemberView {
    /// A member of whom nothing else is known.
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
    /// What people have chosen. The daemon adds a random founding id and the digest of its base model.
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

    /// The base model's digest.
    #[must_use]
    pub const fn base_model(&self) -> Digest {
        match self {
            Self::Draft(draft) => draft.offer.base_model,
            Self::Manifest(manifest) => manifest.base_model,
        }
    }

    /// Which membership list it is; a draft is the first one.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        match self {
            Self::Draft(_) => Epoch(0),
            Self::Manifest(manifest) => manifest.epoch,
        }
    }

    /// What people have chosen, with the numbers that are in force if the list is final.
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
    /// In short.
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
    /// Members that have not come back since a frozen draft was opened again; at its owner.
    #[serde(default)]
    pub returning: Vec<String>,
    /// What speaks against founding now, for people: founders that are not heard or say that they cannot take part, and
    /// terms outside of what is known to work.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// This node's people, or what they said of whom they expect, have confirmed the frozen list.
    #[serde(default)]
    pub confirmed: bool,
    /// When the list became final, in seconds since 1970, as far as this node knows.
    #[serde(default)]
    pub frozen_at_s: Option<u64>,
    /// In what the frozen list is not the one that was expected or confirmed here, one sentence each.
    #[serde(default)]
    pub differences: Vec<String>,
}

/// Who a member should be, said before the list is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedMember {
    /// The name that it must have in the list, letter for letter.
    pub name: String,
    /// Its identity.
    pub identity_key: IdentityKey,
}

/// `POST /v1/federation/found`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundRequest {
    /// All members, this node included: the draft is frozen, and confirmed here, only if it has exactly these. `None`:
    /// it is frozen as it is, and people confirm it.
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
    /// Because the list of members is wrong: the others are told so.
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

/// `POST /v1/federation/leave` and `POST /v1/federation/abandon`: what this node is in no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftView {
    /// Its name.
    pub federation: String,
    /// Its owner's name.
    pub owner: String,
    /// The owner knows. Otherwise it is told as soon as it can be reached.
    pub owner_told: bool,
    /// This node had signed: others may still hold the signature. It opens nothing.
    pub had_signed: bool,
    /// The federation was founded; no round of it had ended.
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
    /// Where the invited look for this node.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Addresses of this node for which the invite has no room.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Why it may lead nowhere, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// `POST /v1/join`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// `fs1...`.
    pub invite: String,
    /// False: only fetch the terms, so that people can read them. True: accept them and join.
    pub accept: bool,
    /// With `accept`: digest of the terms that were read, [`JoinView::terms_digest`]. Joining fails if they have
    /// changed in between. `None` accepts what the owner has now.
    #[serde(default)]
    pub terms_digest: Option<Digest>,
    /// All members, this node included: the frozen list is confirmed by the daemon if it has exactly these.
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
    /// The base model here is the one in the terms.
    pub model_matches: bool,
    /// The base model here.
    pub base_model: Digest,
    /// What to consider before accepting: terms outside of what is known to work, clocks that differ.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why this node could not take part under these terms, and what to do; joining would fail.
    #[serde(default)]
    pub obstacle: Option<String>,
}

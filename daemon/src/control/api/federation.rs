//! The federation: its draft, its members, how one gets in.

use fedshield_protocol::ids::{Digest, Epoch, IdentityKey, MemberIndex};
use fedshield_protocol::manifest::Manifest;
use fedshield_protocol::status::MemberStatus;
use serde::{Deserialize, Serialize};

use super::{ConnectionView, KnownAddressView};

/// The federation in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederationSummary {
    /// The federation id; `None` until the manifest is frozen.
    pub id: Option<Digest>,
    /// The random id under which the founders meet.
    pub founding_id: Digest,
    /// The name people see.
    pub name: String,
    /// Which membership list.
    pub epoch: Epoch,
    /// Digest of the manifest in force; `None` until it is frozen.
    pub manifest_digest: Option<Digest>,
    /// Names of the members, in manifest order; of those who have joined so far in a draft.
    pub members: Vec<String>,
    /// This node's position in `members`.
    pub self_index: Option<MemberIndex>,
    /// Rounds that get an adapter before the federation is done.
    pub rounds: u64,
    /// Members whose signature on the manifest is here.
    pub signed: Vec<String>,
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
        }
    }
}

/// `POST /v1/federation/new`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFederation {
    /// The terms: a manifest without members, epoch 0. Its `founding_id` and `base_model` are replaced by fresh
    /// randomness and by the digest of this node's base model; zeroes will do.
    pub terms: Manifest,
}

/// `GET /v1/federation`: the manifest or the draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederationView {
    /// In short.
    pub summary: FederationSummary,
    /// The manifest or draft as TOML.
    pub toml: String,
    /// The same, for programs.
    pub manifest: Manifest,
    /// True once no member can be added any more.
    pub frozen: bool,
    /// True once every founder has signed and this node has stored it.
    pub founded: bool,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// The terms behind an invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinView {
    /// The terms with the members so far.
    pub terms: Manifest,
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
}

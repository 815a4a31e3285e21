//! The founder's side: what it accepted, and what it does with each answer of the owner. No network, no clock.

use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use fedshield_protocol::codec;
use fedshield_protocol::ids::Digest;
use fedshield_protocol::manifest::{
    Manifest, Member, SignedManifest, ValidManifest, sign_founding,
};
use serde::{Deserialize, Serialize};

use super::message::{Ask, Refusal, Reply};
use super::{FoundingError, Invite, InviteError, terms};
use crate::durable;

const MAX_JOINING_BYTES: usize = 2 << 20;

/// What a founder keeps on disk from accepting the terms until it has the signed manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Joining {
    pub(super) invite: Invite,
    /// The terms that were accepted, without members.
    pub(super) terms: Manifest,
    /// This node's own entry, as the owner should have it.
    pub(super) own: Member,
    /// Digest of the one manifest that was signed: on disk before the signature leaves.
    pub(super) signed: Option<Digest>,
    /// The newest draft or manifest, for people.
    pub(super) seen: Manifest,
}

/// What to do after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "lives for one exchange")]
pub(super) enum Next {
    /// Ask again later.
    Wait,
    /// Ask this at once.
    Ask(Ask),
    /// Everybody has signed: this is the federation.
    Founded(SignedManifest),
}

/// The accepted terms and where they are kept.
#[derive(Debug)]
pub(super) struct Joiner {
    pub(super) joining: Joining,
    path: PathBuf,
}

impl Joiner {
    /// Accepts the terms in `draft`, on disk when this returns.
    pub(super) fn accept(
        path: &Path,
        invite: Invite,
        draft: &Manifest,
        own: Member,
    ) -> Result<Self, FoundingError> {
        terms::check_member(&own).map_err(FoundingError::Request)?;
        let joining = Joining {
            invite,
            terms: terms::terms_of(draft),
            own,
            signed: None,
            seen: draft.clone(),
        };
        let mut joiner = Self { joining: joining.clone(), path: path.to_path_buf() };
        joiner.save(joining)?;
        Ok(joiner)
    }

    /// What an earlier run accepted, if anything. Before it has signed, its own entry may still change: the addresses of
    /// a fresh start, for instance.
    pub(super) fn load(path: &Path, own: &Member) -> Result<Option<Self>, FoundingError> {
        let Some(bytes) = durable::read_if_present(path, MAX_JOINING_BYTES as u64)? else {
            return Ok(None);
        };
        let joining: Joining =
            codec::decode("joining", &bytes, MAX_JOINING_BYTES).map_err(|error| {
                FoundingError::File { file: path.display().to_string(), reason: error.to_string() }
            })?;
        let mut joiner = Self { joining, path: path.to_path_buf() };
        joiner.set_own(own)?;
        Ok(Some(joiner))
    }

    /// Brings this node's own entry up to date before it has signed; the owner is told at the next poll.
    pub(super) fn set_own(&mut self, own: &Member) -> Result<(), FoundingError> {
        if self.joining.signed.is_none() && self.joining.own != *own {
            self.save(Joining { own: own.clone(), ..self.joining.clone() })?;
        }
        Ok(())
    }

    /// The request that makes this node a member, or brings its entry up to date.
    pub(super) fn join_request(&self) -> Ask {
        Ask::Join {
            member: self.joining.own.clone(),
            terms: terms::terms_digest(&self.joining.terms),
            base_model: self.joining.terms.base_model,
        }
    }

    /// What follows from the owner's answer.
    pub(super) fn take(&mut self, reply: Reply, key: &SigningKey) -> Result<Next, FoundingError> {
        match reply {
            // The request to join was lost: ask again.
            Reply::Refused { refusal: Refusal::NotJoined } => Ok(Next::Ask(self.join_request())),
            Reply::Refused { refusal } => Err(refused(refusal, &self.joining.terms.base_model)),
            Reply::Terms { .. } => Err(FoundingError::Answer("terms again".into())),
            Reply::Waiting { draft } => {
                self.check_accepted(&terms::resolved(&draft))?;
                if !draft.members.contains(&self.joining.own) {
                    return Ok(Next::Ask(self.join_request()));
                }
                if self.joining.seen != draft {
                    self.save(Joining { seen: draft, ..self.joining.clone() })?;
                }
                Ok(Next::Wait)
            }
            Reply::Signed { .. } => Ok(Next::Wait),
            Reply::Sign { manifest } => self.sign(manifest, key).map(Next::Ask),
            Reply::Founded { signed } => {
                self.check_manifest(&signed.manifest)?;
                let valid = ValidManifest::founded(signed.clone())?;
                self.check_signed(valid.digest())?;
                Ok(Next::Founded(signed))
            }
        }
    }

    fn sign(&mut self, manifest: Manifest, key: &SigningKey) -> Result<Ask, FoundingError> {
        self.check_manifest(&manifest)?;
        let digest = ValidManifest::check(manifest.clone())?.digest();
        self.check_signed(digest)?;
        let (_, signature) = sign_founding(&manifest, key)?;
        if self.joining.signed.is_none() {
            let signed = Some(digest);
            self.save(Joining { signed, seen: manifest, ..self.joining.clone() })?;
        }
        Ok(Ask::Sign { manifest: digest, signature })
    }

    /// The frozen manifest must be the accepted terms with members added, this node and the owner among them.
    fn check_manifest(&self, manifest: &Manifest) -> Result<(), FoundingError> {
        self.check_accepted(manifest)?;
        let changed = |what: &str| Err(FoundingError::TermsChanged { what: what.to_owned() });
        if !manifest.members.iter().any(|member| self.is_own(member)) {
            return changed("this node's own entry is missing or was altered");
        }
        let owner = self.joining.invite.owner;
        if !manifest.members.iter().any(|member| member.identity_key == owner) {
            return changed("the owner is not a member");
        }
        Ok(())
    }

    /// This node's entry, perhaps with the addresses of an earlier start: those are hints, not promises.
    fn is_own(&self, member: &Member) -> bool {
        let own = &self.joining.own;
        member.name == own.name
            && member.identity_key == own.identity_key
            && member.sealing_key == own.sealing_key
    }

    fn check_accepted(&self, manifest: &Manifest) -> Result<(), FoundingError> {
        if terms::same_terms(&self.joining.terms, manifest) {
            return Ok(());
        }
        let what = "something other than the list of members is different".to_owned();
        Err(FoundingError::TermsChanged { what })
    }

    fn check_signed(&self, digest: Digest) -> Result<(), FoundingError> {
        match self.joining.signed {
            Some(signed) if signed != digest => Err(FoundingError::TermsChanged {
                what: format!("this node has signed {}, not {}", signed.short(), digest.short()),
            }),
            _ => Ok(()),
        }
    }

    fn save(&mut self, next: Joining) -> Result<(), FoundingError> {
        let bytes = codec::encode("joining", &next, MAX_JOINING_BYTES)
            .map_err(|error| FoundingError::Request(error.to_string()))?;
        durable::replace(&self.path, &bytes)?;
        self.joining = next;
        Ok(())
    }
}

/// The owner's refusal in this node's words; `own` is the digest of the base model here.
pub(super) fn refused(refusal: Refusal, own: &Digest) -> FoundingError {
    match refusal {
        Refusal::InviteUnknown => FoundingError::InviteUnknown,
        Refusal::InviteExpired { seconds } => InviteError::Expired { seconds }.into(),
        Refusal::InviteUsed => FoundingError::InviteUsed,
        Refusal::Frozen => FoundingError::Frozen,
        Refusal::NotJoined => FoundingError::Refused { reason: "this node has not joined".into() },
        Refusal::TermsChanged => {
            FoundingError::TermsChanged { what: "the owner has changed them since".into() }
        }
        Refusal::ModelMismatch { expected } => FoundingError::ModelMismatch { own: *own, expected },
        Refusal::Other { reason } => FoundingError::Refused { reason },
    }
}

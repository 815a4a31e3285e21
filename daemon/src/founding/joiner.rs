//! The founder's side: what it accepted, and how it handles each answer of the owner. No network,
//! no clock.

mod confirming;
mod stored;

use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use fedshield_protocol::ids::{Digest, ManifestDigest};
use fedshield_protocol::manifest::{Draft, Manifest, Member, Offer, SignedManifest, ValidManifest};

use super::lookalikes::first_lookalikes;
use super::message::{Ask, Gone, Refusal, Reply};
use super::{FoundingError, Invite, terms};
use crate::control::api::ExpectedMember;
pub(super) use stored::{Joining, Shown};

/// What to do after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask again later.
    Wait,
    /// Ask this at once.
    Ask(Ask),
    /// Everybody has signed: this is the federation.
    Founded(SignedManifest),
    /// The draft was opened again with the same terms, without the members that have left: join it
    /// with a fresh sealing key.
    Move(Draft, Vec<Gone>),
}

/// The accepted offer, and the file that it is stored in.
#[derive(Debug)]
pub(super) struct Joiner {
    pub(super) joining: Joining,
    /// Names of the members that have not signed, once the draft is frozen, if the owner has sent
    /// them since the daemon started.
    pub(super) missing: Option<Vec<String>>,
    path: PathBuf,
}

impl Joiner {
    /// Accepts the offer of `draft`, on disk when this returns.
    pub(super) fn accept(
        path: &Path,
        invite: Invite,
        draft: &Draft,
        own: Member,
        expected: Option<Vec<ExpectedMember>>,
    ) -> Result<Self, FoundingError> {
        let own = terms::own_entry(&draft.offer.terms, own)?;
        let joining = Joining {
            invite,
            accepted: draft.offer.clone(),
            own,
            signed: None,
            shown: Shown::Draft(draft.clone()),
            confirmed: None,
            expected,
        };
        let mut joiner = Self { joining: joining.clone(), missing: None, path: path.to_path_buf() };
        joiner.save(joining)?;
        Ok(joiner)
    }

    /// Continues with what an earlier run accepted. Before this node has signed, its entry may
    /// still change: its addresses after a restart, for instance.
    pub(super) fn resume(
        path: &Path,
        joining: Joining,
        own: &Member,
    ) -> Result<Self, FoundingError> {
        let mut joiner = Self { joining: joining.clone(), missing: None, path: path.to_path_buf() };
        let own = joining.accepted.terms.entry_for(own.clone());
        if joining.signed.is_none() && joining.own != own {
            joiner.save(Joining { own, ..joining })?;
        }
        Ok(joiner)
    }

    /// Joins the same draft under the id and with the members that it has now. What was signed
    /// under the old id binds nobody: the sealing key in that entry is about to be erased.
    pub(super) fn follow(&mut self, draft: &Draft, own: Member) -> Result<Ask, FoundingError> {
        let own = terms::own_entry(&draft.offer.terms, own)?;
        let founding_id = draft.offer.founding_id;
        let joining = self.joining.clone();
        self.save(Joining {
            invite: Invite { founding_id, ..joining.invite },
            accepted: draft.offer.clone(),
            own,
            signed: None,
            shown: Shown::Draft(draft.clone()),
            confirmed: None,
            expected: joining.expected,
        })?;
        self.missing = None;
        Ok(self.join_request())
    }

    /// The owner's name, or the short form of its identity key if the name is not known.
    pub(super) fn owner_name(&self) -> String {
        let owner = self.joining.invite.owner;
        let mut members = self.joining.members().iter();
        members
            .find(|member| member.identity_key == owner)
            .map_or_else(|| owner.short(), |member| member.name.clone())
    }

    /// Brings the addresses in this node's own entry up to date before it has signed; the next poll
    /// sends them to the owner.
    pub(super) fn set_addresses(&mut self, addresses: &[String]) -> Result<(), FoundingError> {
        let joining = self.joining.clone();
        if joining.signed.is_none() && joining.own.addresses != addresses {
            let own = Member { addresses: addresses.to_vec(), ..joining.own.clone() };
            self.save(Joining { own, ..joining })?;
        }
        Ok(())
    }

    /// The request that makes this node a member, or brings its entry up to date.
    pub(super) fn join_request(&self) -> Ask {
        Ask::Join {
            member: self.joining.own.clone(),
            terms: terms::terms_digest(&self.joining.accepted),
            base_model: self.joining.accepted.base_model,
        }
    }

    /// Handles the owner's answer and returns the next step.
    pub(super) fn take(
        &mut self,
        reply: Reply,
        key: &SigningKey,
        now_s: u64,
    ) -> Result<Next, FoundingError> {
        match reply {
            // The request to join was lost: ask again.
            Reply::Refused { refusal: Refusal::NotJoined } => Ok(Next::Ask(self.join_request())),
            Reply::Refused { refusal } => Err(refused(refusal, &self.joining.accepted.base_model)),
            Reply::Terms { .. } => Err(FoundingError::Answer("terms again".into())),
            Reply::Left | Reply::Clock { .. } | Reply::Noted => {
                Err(FoundingError::Answer("it answers another question".into()))
            }
            Reply::Moved { draft, gone } => {
                let draft = terms::checked(draft)?;
                let founding_id = draft.offer.founding_id;
                if draft.offer != (Offer { founding_id, ..self.joining.accepted.clone() }) {
                    let what = "the draft was opened again with other terms".to_owned();
                    return Err(FoundingError::TermsChanged { what });
                }
                Ok(Next::Move(draft, gone))
            }
            Reply::Waiting { draft } => {
                let draft = terms::checked(draft)?;
                self.check_accepted(&draft.complete())?;
                if !draft.members.contains(&self.joining.own) {
                    return Ok(Next::Ask(self.join_request()));
                }
                let shown = Shown::Draft(draft);
                if self.joining.shown != shown {
                    self.save(Joining { shown, ..self.joining.clone() })?;
                }
                Ok(Next::Wait)
            }
            Reply::Signed { missing } => {
                self.missing = Some(missing);
                Ok(Next::Wait)
            }
            Reply::Sign { manifest, missing } => self.shown(manifest, missing, key, now_s),
            Reply::Founded { signed } => {
                self.check_manifest(&signed.manifest)?;
                let valid = ValidManifest::founded(signed.clone())?;
                self.check_signed(valid.digest())?;
                Ok(Next::Founded(signed))
            }
        }
    }

    /// Whether this is the federation that this node has agreed to and signed.
    pub(super) fn accepts(&self, signed: &SignedManifest) -> bool {
        self.check_manifest(&signed.manifest).is_ok()
            && ValidManifest::founded(signed.clone())
                .is_ok_and(|valid| self.check_signed(valid.digest()).is_ok())
    }

    /// The frozen manifest must be the accepted terms with members added, this node and the owner
    /// among them.
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
        first_lookalikes(&manifest.members)
            .map_or(Ok(()), |(one, other)| Err(FoundingError::Lookalikes { one, other }))
    }

    /// This node's entry, perhaps with the addresses of an earlier start: those are hints, not
    /// promises.
    fn is_own(&self, member: &Member) -> bool {
        let own = &self.joining.own;
        member.name == own.name
            && member.identity_key == own.identity_key
            && member.sealing_key == own.sealing_key
            && member.weight == own.weight
    }

    fn check_accepted(&self, manifest: &Manifest) -> Result<(), FoundingError> {
        if self.joining.accepted.is_kept_by(manifest) {
            return Ok(());
        }
        let what = "something other than the list of members is different".to_owned();
        Err(FoundingError::TermsChanged { what })
    }

    fn check_signed(&self, digest: ManifestDigest) -> Result<(), FoundingError> {
        match self.joining.signed {
            Some(signed) if signed != digest => Err(FoundingError::TermsChanged {
                what: format!("this node has signed {}, not {}", signed.short(), digest.short()),
            }),
            _ => Ok(()),
        }
    }

    fn save(&mut self, next: Joining) -> Result<(), FoundingError> {
        next.write(&self.path)?;
        self.joining = next;
        Ok(())
    }
}

/// The owner's refusal in this node's words; `own` is the digest of the base model here.
pub(super) fn refused(refusal: Refusal, own: &Digest) -> FoundingError {
    match refusal {
        Refusal::InviteUnknown => FoundingError::InviteUnknown,
        // Only a request with an invite compares the clocks; here the time of expiry is unknown.
        Refusal::InviteExpired { .. } => FoundingError::Refused {
            reason: "the invite expired before this node's request to join arrived".into(),
        },
        Refusal::InviteUsed => FoundingError::InviteUsed,
        Refusal::Frozen => FoundingError::Frozen,
        Refusal::NotJoined => FoundingError::Refused { reason: "this node has not joined".into() },
        Refusal::TermsChanged => {
            FoundingError::TermsChanged { what: "the owner has changed them since".into() }
        }
        Refusal::ModelMismatch { expected } => FoundingError::ModelMismatch { own: *own, expected },
        Refusal::Other { reason } => FoundingError::Refused { reason },
        Refusal::Abandoned { federation } => FoundingError::Abandoned { federation },
        Refusal::Dropped => FoundingError::Dropped,
        Refusal::Later { reason } => FoundingError::Later { reason },
        Refusal::Left => FoundingError::LeftAlready,
    }
}

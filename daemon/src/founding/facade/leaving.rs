//! The ways out: a founder leaves, the owner drops a founder or abandons the draft, a member leaves
//! a federation in which no round has ended. How the others are notified is in `farewells`, what
//! operators are shown in `notices`.
//!
//! Each way out is one replacement of `federation.left` (or of the draft); what follows from it,
//! erasing the sealing key first, is repeated at the next start if a crash prevents it.

use fedshield_protocol::manifest::ValidManifest;

use super::super::FoundingError;
use super::super::message::{Ask, Refusal, Reply};
use super::super::owner::Owner;
use super::super::partings::{FAREWELL_S, Farewell, Left, Why};
use super::{Founding, State, now_s};
use crate::control::api::{FederationView, LeftView};
use crate::durable;
use crate::sealing_keys;

impl Founding {
    /// `POST /v1/federation/leave` before the founding is complete: this node is no founder any
    /// more, whatever the owner answers, or if it does not answer.
    ///
    /// # Errors
    /// [`FoundingError::Complete`] if all have signed meanwhile; [`FoundingError::OwnDraft`];
    /// [`FoundingError::None`].
    pub async fn leave(&self) -> Result<LeftView, FoundingError> {
        self.go(Why::Chosen).await
    }

    /// Leaves because the list of members is wrong: the owner, and through it the others, learn the
    /// reason.
    ///
    /// # Errors
    /// See [`Self::leave`].
    pub async fn reject(&self) -> Result<LeftView, FoundingError> {
        self.go(Why::Rejected).await
    }

    async fn go(&self, why: Why) -> Result<LeftView, FoundingError> {
        let _one = self.inner.command.lock().await;
        let (invite, sealing_key) = {
            let mut state = self.lock();
            if state.founded.is_some() {
                return Err(FoundingError::Complete);
            }
            if state.owner.is_some() {
                return Err(FoundingError::OwnDraft);
            }
            let joining = &state.joiner.as_ref().ok_or(FoundingError::None)?.joining;
            let asked = (joining.invite.clone(), joining.own.sealing_key.clone());
            // A poll that is under way must not sign while the request to leave is.
            state.leaving = true;
            asked
        };
        let rejects = why == Why::Rejected;
        let told = self.ask(&invite, Ask::Leave { sealing_key, parted: false, rejects }).await;
        let left = self.leave_after(&told, why);
        self.publish();
        left
    }

    fn leave_after(
        &self,
        told: &Result<Reply, FoundingError>,
        why: Why,
    ) -> Result<LeftView, FoundingError> {
        let mut state = self.lock();
        state.leaving = false;
        if let Ok(Reply::Founded { signed }) = told
            && let Some(joiner) = &state.joiner
            && joiner.accepts(signed)
        {
            let signed = signed.clone();
            self.store(&mut state, signed)?;
        }
        if state.founded.is_some() {
            return Err(FoundingError::Complete);
        }
        let Some(joiner) = &state.joiner else {
            // The owner abandoned the draft at the same time: that is recorded already.
            return Err(FoundingError::None);
        };
        let signed = joiner.joining.signed.is_some();
        let (federation, owner) = (joiner.joining.accepted.terms.name.clone(), joiner.owner_name());
        // An owner that does not know this node needs no notice, unless it may hold the signature.
        let told = match told {
            Ok(Reply::Left) => true,
            Ok(Reply::Refused { refusal }) => match refusal {
                Refusal::Left | Refusal::Dropped | Refusal::Abandoned { .. } => true,
                Refusal::InviteUnknown | Refusal::NotJoined => !signed,
                _ => false,
            },
            _ => false,
        };
        self.part(&mut state, why, told)?;
        Ok(LeftView { federation, owner, owner_told: told, had_signed: signed, was_founded: false })
    }

    /// Leaves the draft: first records it on disk, then erases the key, then what was accepted.
    pub(super) fn part(
        &self,
        state: &mut State,
        why: Why,
        told: bool,
    ) -> Result<(), FoundingError> {
        let Some(joiner) = &state.joiner else { return Ok(()) };
        let joining = &joiner.joining;
        let farewells = if told || !matches!(why, Why::Chosen | Why::Rejected) {
            Vec::new()
        } else {
            let until_s = now_s().saturating_add(FAREWELL_S);
            let mut farewells = vec![Farewell {
                to: joining.invite.owner,
                addresses: joining.invite.addresses.clone(),
                token: joining.invite.token,
                until_s,
            }];
            // Without this node's signature nobody can complete the draft, so the others need not
            // know.
            if joining.signed.is_some() {
                let owner = Some(joining.invite.owner);
                farewells.extend(self.farewells(joining.members(), owner, until_s)?);
            }
            farewells
        };
        let left = Left {
            founding_id: joining.invite.founding_id,
            federation: joining.accepted.terms.name.clone(),
            owner: joiner.owner_name(),
            sealing_key: joining.own.sealing_key.clone(),
            signed: joining.signed,
            why,
            wipe: false,
            farewells,
        };
        tracing::info!(federation = %left.federation, ?why, told, "left a draft");
        state.partings.change(|all| all.left.push(left))?;
        sealing_keys::erase_drafts(&self.inner.secrets, None)?;
        durable::erase(&self.inner.home.joining())?;
        state.joiner = None;
        Ok(())
    }

    /// Leaves a founded federation in which no round has ended, which the caller has checked. The
    /// federation's files are erased at the next start, by
    /// [`finish_leaving`](super::super::finish_leaving), after which this node is in no federation.
    ///
    /// # Errors
    /// [`FoundingError::None`], or a failure of the disk.
    pub fn leave_founded(&self) -> Result<LeftView, FoundingError> {
        let mut state = self.lock();
        let signed = state.founded.clone().ok_or(FoundingError::None)?;
        let manifest = signed.manifest.clone();
        let digest = ValidManifest::founded(signed)?.digest();
        let me = self.inner.identity.key();
        let own = manifest.members.iter().find(|member| member.identity_key == me);
        let until_s = now_s().saturating_add(FAREWELL_S);
        let owner = manifest.members.first().map_or_else(String::new, |it| it.name.clone());
        let left = Left {
            founding_id: manifest.founding_id,
            federation: manifest.name.clone(),
            owner: owner.clone(),
            sealing_key: own.map_or_else(Vec::new, |own| own.sealing_key.clone()),
            signed: Some(digest),
            why: Why::Chosen,
            wipe: true,
            farewells: self.farewells(&manifest.members, None, until_s)?,
        };
        state.partings.change(|all| {
            all.left.push(left);
            all.received.retain(|farewell| farewell.founding_id != manifest.founding_id);
        })?;
        Ok(LeftView {
            federation: manifest.name,
            owner,
            owner_told: false,
            had_signed: true,
            was_founded: true,
        })
    }

    /// `POST /v1/federation/drop`: takes a founder off the list. A frozen draft is open again then.
    ///
    /// # Errors
    /// [`FoundingError::NotOwner`], [`FoundingError::NoSuchMember`], [`FoundingError::Complete`].
    pub async fn drop_member(&self, name: &str) -> Result<FederationView, FoundingError> {
        let _one = self.inner.command.lock().await;
        {
            let mut state = self.lock();
            let owner = owner_of(&mut state)?;
            owner.drop_member(name, || self.fresh())?;
            let current = owner.kept.founding_id();
            self.retire_key(&current);
        }
        self.publish();
        self.federation()
    }

    /// `POST /v1/federation/abandon`: abandons the draft. From then on founders that ask get this
    /// answer.
    ///
    /// # Errors
    /// [`FoundingError::NotOwner`], [`FoundingError::Complete`].
    pub async fn abandon(&self) -> Result<LeftView, FoundingError> {
        let _one = self.inner.command.lock().await;
        let left = {
            let mut state = self.lock();
            let owner = owner_of(&mut state)?;
            if owner.signed().is_some() {
                return Err(FoundingError::Complete);
            }
            let abandoned = owner.tombstone();
            let had_signed = owner.has_signed();
            let federation = abandoned.federation.clone();
            let me = self.inner.local.member.name.clone();
            state.partings.change(|all| all.abandoned.push(abandoned))?;
            sealing_keys::erase_drafts(&self.inner.secrets, None)?;
            durable::erase(&self.inner.home.draft())?;
            state.owner = None;
            LeftView { federation, owner: me, owner_told: true, had_signed, was_founded: false }
        };
        self.publish();
        Ok(left)
    }
}

fn owner_of(state: &mut State) -> Result<&mut Owner, FoundingError> {
    let elsewhere = state.joiner.is_some();
    match (&state.founded, &mut state.owner) {
        (Some(_), _) => Err(FoundingError::Complete),
        (None, Some(owner)) => Ok(owner),
        (None, None) if elsewhere => Err(FoundingError::NotOwner),
        (None, None) => Err(FoundingError::None),
    }
}

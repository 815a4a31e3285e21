//! What operators command: draft, invite, join, found.

use std::sync::Arc;

use fedshield_protocol::ids::IdentityKey;
use fedshield_protocol::manifest::{Draft, Member, Offer, Terms};

use super::super::joiner::refused;
use super::super::message::{Ask, Refusal, Reply};
use super::super::owner::Owner;
use super::super::view::to_toml;
use super::super::{Announced, Expiry, FoundingError, Invite, addresses, expected, terms};
use super::{Founding, State, now_s};
use crate::control::api::{
    DataSummary, FederationView, FoundRequest, InviteRequest, InviteView, JoinRequest, JoinView,
    Listing, NewFederation,
};
use crate::first_adapter::FirstAdapter;
use crate::terms::{beyond_a_command, unusual};

/// Longest validity of an invite: 30 days.
const MAX_INVITE_S: u64 = 30 * 24 * 3600;

impl Founding {
    /// `POST /v1/federation/new`.
    ///
    /// # Errors
    /// [`FoundingError::Already`], [`FoundingError::Terms`], or a failure of the disk.
    pub async fn new_federation(
        &self,
        request: NewFederation,
    ) -> Result<FederationView, FoundingError> {
        let _one = self.inner.command.lock().await;
        self.check_idle()?;
        let founding_id = self.random_id()?;
        let base_model = self.inner.local.base_model;
        let offer = Offer { founding_id, base_model, terms: request.terms };
        self.check_here(&offer.terms)?;
        let data = self.check_terms(&offer.clone().with(Vec::new()), true).await?;
        let own = self.own_entry(&founding_id)?;
        let owner = Owner::start(&self.inner.home.draft(), offer, own)?;
        self.begin(|state| state.owner = Some(owner));
        self.publish();
        Ok(FederationView { data: Some(data), ..self.federation()? })
    }

    /// `POST /v1/federation/found`: freezes the draft; founding is complete when every member has fetched, confirmed and
    /// signed it. With the expected members it is frozen only if it has exactly these, and confirmed here at once.
    /// Reasons against it are in [`FederationView::warnings`], before as well as after.
    ///
    /// # Errors
    /// [`FoundingError::NotOwner`], [`FoundingError::TooFewMembers`], [`FoundingError::Returning`],
    /// [`FoundingError::Terms`], [`FoundingError::Unexpected`], or a field of the terms that is not valid.
    pub async fn found(&self, request: FoundRequest) -> Result<FederationView, FoundingError> {
        if let Some(list) = &request.expect {
            expected::check_here(list, &self.inner.local.member, None)?;
        }
        let _one = self.inner.command.lock().await;
        let draft = self.with_owner(|owner| Ok(owner.kept.draft.clone()))?;
        let data = self.check_terms(&draft, true).await?;
        let key = self.inner.identity.signing_key();
        self.with_owner(|owner| match &request.expect {
            Some(list) => owner.freeze_expected(list, now_s(), key),
            None => owner.freeze(now_s()),
        })?;
        {
            let mut state = self.lock();
            self.settle_owner(&mut state)?;
        }
        self.publish();
        Ok(FederationView { data: Some(data), ..self.federation()? })
    }

    /// `POST /v1/invite`.
    ///
    /// # Errors
    /// [`FoundingError::NotOwner`], [`FoundingError::Frozen`], or no address that others can dial.
    pub async fn invite(&self, request: InviteRequest) -> Result<InviteView, FoundingError> {
        let _one = self.inner.command.lock().await;
        if request.expires_s == 0 || request.expires_s > MAX_INVITE_S {
            let reason = format!("expires_s must be 1 to {MAX_INVITE_S} seconds");
            return Err(FoundingError::Request(reason));
        }
        let told = self.announced();
        let local = &self.inner.local.member;
        if told.addresses.is_empty() {
            let reason = "this node has no address that others can dial: set `listen` or \
                          `external_addresses`; `fedshield-cli status` says what it waits for";
            return Err(FoundingError::Request(reason.to_owned()));
        }
        let now_s = now_s();
        let expires_at_s = now_s.saturating_add(request.expires_s);
        let invite = self.with_owner(|owner| {
            let members = owner.kept.draft.members.len();
            Ok(Invite {
                founding_id: owner.kept.founding_id(),
                owner: local.identity_key,
                token: owner.issue(now_s, expires_at_s)?,
                expires_at_s,
                member_count: u16::try_from(members).unwrap_or(u16::MAX),
                addresses: told.addresses.clone(),
            })
        })?;
        let warning = addresses::warning(&told);
        let Announced { addresses, left_out } = told;
        Ok(InviteView { invite: invite.to_string(), expires_at_s, addresses, left_out, warning })
    }

    /// `POST /v1/join`: fetches the terms; with `accept`, joins under them.
    ///
    /// # Errors
    /// Anything from a mistyped invite to another base model; see [`FoundingError`].
    pub async fn join(&self, request: JoinRequest) -> Result<JoinView, FoundingError> {
        let _one = self.inner.command.lock().await;
        let invite: Invite = request.invite.parse()?;
        if let Some(list) = &request.expect {
            expected::check_here(list, &self.inner.local.member, Some(&invite.owner))?;
        }
        if request.accept {
            self.check_idle()?;
        }
        let own = self.inner.local.base_model;
        let (invite, draft, clocks) = self.terms_behind(invite).await?;
        if let Some(left) = self.lock().partings.all.signed(&draft.offer.founding_id) {
            return Err(FoundingError::LeftSigned { federation: left.federation.clone() });
        }
        let mut warnings: Vec<String> =
            clocks.and_then(|clocks| clocks.remark()).into_iter().collect();
        warnings.extend(unusual(&draft.offer.terms));
        if let Some(list) = &request.expect {
            warnings.extend(expected::strangers(list, &draft.members));
        }
        let model_matches = draft.offer.base_model == own;
        let view = |joined, warnings, data, obstacle| {
            Ok(JoinView {
                toml: to_toml(&Listing::Draft(draft.clone()))?,
                terms_digest: terms::terms_digest(&draft.offer),
                owner: name_of(&draft.members, &invite.owner),
                joined,
                model_matches,
                base_model: own,
                draft: draft.clone(),
                warnings,
                data,
                obstacle,
            })
        };
        if !request.accept {
            // Terms for another model cannot be checked here.
            let (data, obstacle) =
                if model_matches { self.outlook(&draft).await } else { (None, None) };
            return view(false, warnings, data, obstacle);
        }
        if !model_matches {
            return Err(FoundingError::ModelMismatch { own, expected: draft.offer.base_model });
        }
        if request.terms_digest.is_some_and(|read| read != terms::terms_digest(&draft.offer)) {
            let what = "the owner has changed them since they were read".to_owned();
            return Err(FoundingError::TermsChanged { what });
        }
        self.check_here(&draft.offer.terms)?;
        let data = self.check_terms(&draft, false).await?;
        self.accept(&invite, &draft, request.expect).await?;
        view(true, warnings, Some(data), None)
    }

    /// The terms that the owner has for an invite, under the founding id that the draft has now, and the times of both clocks if
    /// they seem to differ. The owner's clock decides: the owner is asked even if the invite has expired by the clock here.
    async fn terms_behind(
        &self,
        invite: Invite,
    ) -> Result<(Invite, Draft, Option<Expiry>), FoundingError> {
        let here_s = now_s();
        let ended_here = invite.is_expired(here_s);
        let expiry = |owner_s| Expiry { at_s: invite.expires_at_s, here_s, owner_s };
        let expired = |owner_s, unasked_because| {
            Err(FoundingError::Expired { expiry: expiry(owner_s), unasked_because })
        };
        let draft = match self.ask(&invite, Ask::Terms).await {
            Ok(Reply::Terms { draft }) => {
                let draft = terms::checked(draft)?;
                if draft.offer.founding_id != invite.founding_id {
                    return Err(FoundingError::Answer("the terms of another federation".into()));
                }
                draft
            }
            // The draft was opened again since the invite was made.
            Ok(Reply::Moved { draft, .. }) => terms::checked(draft)?,
            Ok(Reply::Refused { refusal: Refusal::InviteExpired { seconds } }) => {
                return expired(Some(invite.expires_at_s.saturating_add(seconds)), None);
            }
            // An owner forgets an unused invite some time after its expiry.
            Ok(Reply::Refused { refusal: Refusal::InviteUnknown }) if ended_here => {
                return expired(None, None);
            }
            Ok(Reply::Refused { refusal }) => {
                return Err(refused(refusal, &self.inner.local.base_model));
            }
            Ok(_) => return Err(FoundingError::Answer("not the terms".into())),
            Err(FoundingError::Port(error)) if ended_here => return expired(None, Some(error)),
            Err(error) => return Err(error),
        };
        let clocks = if ended_here {
            match self.ask(&invite, Ask::Clock).await {
                Ok(Reply::Clock { now_s }) => Some(expiry(Some(now_s))),
                // The owner accepts the invite, so by its clock the invite has not expired.
                _ => Some(expiry(Some(invite.expires_at_s))),
            }
        } else {
            None
        };
        let founding_id = draft.offer.founding_id;
        Ok((Invite { founding_id, ..invite.clone() }, draft, clocks))
    }

    /// Whether this node could train under the terms, as it will find out when the federation is founded, and on what.
    pub(super) async fn check_terms(
        &self,
        draft: &Draft,
        own: bool,
    ) -> Result<DataSummary, FoundingError> {
        let (check, draft) = (Arc::clone(&self.inner.check), draft.clone());
        let work = tokio::task::spawn_blocking(move || check.check(&draft));
        let checked = work.await.map_err(|_| {
            FoundingError::Request("checking the terms ended unexpectedly: see the log".into())
        })?;
        checked.map_err(|error| FoundingError::Terms { error, own })
    }

    /// What this node would train on under the terms, or why it could not join, as text for the operator.
    async fn outlook(&self, draft: &Draft) -> (Option<DataSummary>, Option<String>) {
        let found = match self.check_here(&draft.offer.terms) {
            Ok(()) => self.check_terms(draft, false).await,
            Err(refused) => Err(refused),
        };
        match found {
            Ok(data) => (Some(data), None),
            Err(error) => (None, Some(format!("{error} ({})", error.hint()))),
        }
    }

    /// Begins a command: error and remark of the last one are cleared.
    pub(super) fn begin(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        state.last_error = None;
        state.remark = None;
        state.reported = None;
        change(&mut state);
    }

    fn with_owner<T>(
        &self,
        act: impl FnOnce(&mut Owner) -> Result<T, FoundingError>,
    ) -> Result<T, FoundingError> {
        let mut state = self.lock();
        let elsewhere = state.joiner.is_some() || state.founded.is_some();
        match &mut state.owner {
            Some(owner) => act(owner),
            None if elsewhere => Err(FoundingError::NotOwner),
            None => Err(FoundingError::None),
        }
    }

    /// Whether this node has what the terms ask of every member.
    fn check_here(&self, terms: &Terms) -> Result<(), FoundingError> {
        if self.inner.local.trainer_command
            && let Some((field, reason)) = beyond_a_command(&terms.training)
        {
            return Err(FoundingError::TrainerCommand { field, reason });
        }
        self.check_first_adapter(terms)
    }

    /// Whether the adapter that the terms start from, if they name one, is in the home.
    fn check_first_adapter(&self, terms: &Terms) -> Result<(), FoundingError> {
        let Some(wanted) = terms.adapter.first else { return Ok(()) };
        let found = match FirstAdapter::of(&self.inner.home) {
            Ok(Some(here)) if here.digest == wanted => return Ok(()),
            Ok(Some(here)) => format!("is {}", here.digest),
            Ok(None) => "is none".to_owned(),
            Err(error) => format!("it cannot be read: {error}"),
        };
        Err(FoundingError::FirstAdapter { wanted, found })
    }

    fn check_idle(&self) -> Result<(), FoundingError> {
        let state = self.lock();
        let already = match (&state.founded, &state.owner, &state.joiner) {
            (Some(_), ..) => "is in a federation",
            (_, Some(_), _) => "has a draft",
            (.., Some(_)) => "has joined a draft",
            _ => return Ok(()),
        };
        Err(FoundingError::Already { state: already })
    }
}

fn name_of(members: &[Member], key: &IdentityKey) -> String {
    let owner = members.iter().find(|member| member.identity_key == *key);
    owner.map_or_else(|| key.short(), |member| member.name.clone())
}

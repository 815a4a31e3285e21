//! What operators command: draft, invite, join, found.

use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::manifest::{Algorithm, Manifest};

use super::super::joiner::refused;
use super::super::message::{Ask, Reply};
use super::super::owner::Owner;
use super::super::view::to_toml;
use super::super::{Announced, FoundingError, Invite, addresses, terms};
use super::{Founding, now_s};
use crate::control::api::{
    FederationView, InviteRequest, InviteView, JoinRequest, JoinView, NewFederation,
};
use crate::offline::FirstAdapter;

/// Longest life of an invite: 30 days.
const MAX_INVITE_S: u64 = 30 * 24 * 3600;

impl Founding {
    /// `POST /v1/federation/new`.
    ///
    /// # Errors
    /// [`FoundingError::Already`], or what the disk says.
    pub async fn new_federation(
        &self,
        request: NewFederation,
    ) -> Result<FederationView, FoundingError> {
        let _one = self.inner.command.lock().await;
        self.check_idle()?;
        self.check_here(&request.terms)?;
        let mut id = [0; 32];
        getrandom::fill(&mut id).map_err(|error| FoundingError::Random(error.to_string()))?;
        let terms = Manifest {
            founding_id: Digest(id),
            base_model: self.inner.local.base_model,
            members: Vec::new(),
            ..request.terms
        };
        let owner = Owner::start(&self.inner.home.draft(), terms, self.own_member())?;
        self.lock().owner = Some(owner);
        self.publish();
        self.federation()
    }

    /// `POST /v1/federation/found`: freezes the draft; founding is complete when every member has fetched and signed it.
    ///
    /// # Errors
    /// [`FoundingError::NotOwner`], [`FoundingError::TooFewMembers`], or a field of the terms that is not valid.
    pub async fn found(&self) -> Result<FederationView, FoundingError> {
        let _one = self.inner.command.lock().await;
        self.with_owner(|owner| owner.freeze(self.inner.identity.signing_key()))?;
        self.settle_owner()?;
        self.publish();
        self.federation()
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
            let members = owner.draft.manifest.members.len();
            Ok(Invite {
                founding_id: owner.draft.manifest.founding_id,
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
        invite.check_expiry(now_s())?;
        if request.accept {
            self.check_idle()?;
        }
        let own = self.inner.local.base_model;
        let draft = match self.ask(&invite, Ask::Terms).await? {
            Reply::Terms { draft } => draft,
            Reply::Refused { refusal } => return Err(refused(refusal, &own)),
            _ => return Err(FoundingError::Answer("not the terms".into())),
        };
        if draft.founding_id != invite.founding_id {
            return Err(FoundingError::Answer("the terms of another federation".into()));
        }
        let view = |joined| {
            Ok(JoinView {
                toml: to_toml(&draft)?,
                terms_digest: terms::terms_digest(&draft),
                owner: name_of(&draft, &invite.owner),
                joined,
                model_matches: draft.base_model == own,
                base_model: own,
                terms: draft.clone(),
            })
        };
        if !request.accept {
            return view(false);
        }
        if draft.base_model != own {
            return Err(FoundingError::ModelMismatch { own, expected: draft.base_model });
        }
        if request.terms_digest.is_some_and(|read| read != terms::terms_digest(&draft)) {
            let what = "the owner has changed them since they were read".to_owned();
            return Err(FoundingError::TermsChanged { what });
        }
        self.check_here(&draft)?;
        self.accept(&invite, &draft).await?;
        view(true)
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
    fn check_here(&self, terms: &Manifest) -> Result<(), FoundingError> {
        if terms.training.algorithm == Algorithm::FedSb && self.inner.local.trainer_command {
            return Err(FoundingError::TrainerCommand);
        }
        self.check_first_adapter(terms)
    }

    /// Whether the adapter that the terms start from, if they name one, lies in the home.
    fn check_first_adapter(&self, terms: &Manifest) -> Result<(), FoundingError> {
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

fn name_of(manifest: &Manifest, key: &IdentityKey) -> String {
    let owner = manifest.members.iter().find(|member| member.identity_key == *key);
    owner.map_or_else(|| key.short(), |member| member.name.clone())
}

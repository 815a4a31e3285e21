//! The founding of a federation as the host drives it: operator commands, founders' requests, polling the owner.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::manifest::{Manifest, Member, SignedManifest, ValidManifest};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::joiner::{Joiner, Next, refused};
use super::message::{self, Ask, Reply, Request};
use super::owner::Owner;
use super::view::to_toml;
use super::{FoundingError, FoundingView, Invite, JoinPort, addresses, terms};
use crate::control::api::{
    FederationView, InviteRequest, InviteView, JoinRequest, JoinView, MemberView, NewFederation,
    NodeState,
};
use crate::durable;
use crate::home::Home;
use crate::identity::Identity;
use crate::offline::FirstAdapter;

/// Longest life of an invite: 30 days.
const MAX_INVITE_S: u64 = 30 * 24 * 3600;
/// Between two questions to the owner; below the network's limit for joiners.
const POLL_INTERVAL: Duration = Duration::from_millis(1200);
/// The longest pause after failures in a row.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// Questions in one go: join again, sign, see the result.
const MAX_EXCHANGES: usize = 4;

/// What the host knows of this node once it listens and has read its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// This node's entry in a manifest: name, identity key, public sealing key for the first round, addresses.
    pub member: Member,
    /// Digest of the base model here.
    pub base_model: Digest,
}

/// Founding, from idle to a signed manifest on disk. Cheap to clone. Calls write small files.
#[derive(Clone)]
pub struct Founding {
    inner: Arc<Inner>,
}

struct Inner {
    home: Home,
    identity: Arc<Identity>,
    local: Local,
    port: Arc<dyn JoinPort>,
    state: Mutex<State>,
    /// One operator command at a time.
    command: tokio::sync::Mutex<()>,
    view: watch::Sender<FoundingView>,
}

#[derive(Default)]
struct State {
    owner: Option<Owner>,
    joiner: Option<Joiner>,
    founded: Option<SignedManifest>,
    last_error: Option<String>,
}

impl Founding {
    /// Reads what earlier runs left in `home`.
    ///
    /// # Errors
    /// A file that cannot be read, a manifest that is not valid or does not include this node, another base model than
    /// the manifest's.
    pub fn open(
        home: &Home,
        identity: Arc<Identity>,
        local: Local,
        port: Arc<dyn JoinPort>,
    ) -> Result<Self, FoundingError> {
        let state = State {
            founded: load_founded(home, &local)?,
            owner: Owner::load(&home.draft(), &local.member)?,
            joiner: Joiner::load(&home.joining(), &local.member)?,
            last_error: None,
        };
        let (view, _) = watch::channel(FoundingView::idle());
        let inner = Inner {
            home: home.clone(),
            identity,
            local,
            port,
            state: Mutex::new(state),
            command: tokio::sync::Mutex::new(()),
            view,
        };
        let founding = Self { inner: Arc::new(inner) };
        founding.settle_owner()?;
        founding.publish();
        Ok(founding)
    }

    /// How far the founding is, now and whenever it changes.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<FoundingView> {
        self.inner.view.subscribe()
    }

    /// The federation, once it is founded and on disk.
    #[must_use]
    pub fn founded(&self) -> Option<SignedManifest> {
        self.lock().founded.clone()
    }

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
        self.check_first_adapter(&request.terms)?;
        let mut id = [0; 32];
        getrandom::fill(&mut id).map_err(|error| FoundingError::Random(error.to_string()))?;
        let terms = Manifest {
            founding_id: Digest(id),
            base_model: self.inner.local.base_model,
            members: Vec::new(),
            ..request.terms
        };
        let owner = Owner::start(&self.inner.home.draft(), terms, self.inner.local.member.clone())?;
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
        let local = &self.inner.local.member;
        if local.addresses.is_empty() {
            let reason = "this node has no address that others can dial: set `listen` or \
                          `external_addresses`";
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
                addresses: local.addresses.clone(),
            })
        })?;
        let (addresses, warning) = (local.addresses.clone(), addresses::warning(&local.addresses));
        Ok(InviteView { invite: invite.to_string(), expires_at_s, addresses, warning })
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
        self.check_first_adapter(&draft)?;
        self.accept(&invite, &draft).await?;
        view(true)
    }

    /// `GET /v1/federation`.
    ///
    /// # Errors
    /// [`FoundingError::None`].
    pub fn federation(&self) -> Result<FederationView, FoundingError> {
        let view = self.inner.view.borrow().clone();
        view.federation(&self.inner.identity.key())
    }

    /// `GET /v1/members`; the host adds what the machine knows of them.
    #[must_use]
    pub fn members(&self) -> Vec<MemberView> {
        self.inner.view.borrow().members(&self.inner.identity.key())
    }

    /// The answer to a request that came over the join protocol from `from`; `None` declines it.
    #[must_use]
    pub fn answer(&self, from: &IdentityKey, bytes: &[u8]) -> Option<Vec<u8>> {
        let answer = {
            let mut state = self.lock();
            let key = self.inner.identity.signing_key();
            state.owner.as_mut()?.answer(from, bytes, now_s(), key)
        };
        if let Err(error) = self.settle_owner() {
            self.lock().last_error = Some(error.to_string());
        }
        self.publish();
        match answer {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::debug!(from = %from.short(), %error, "a join request was declined");
                None
            }
        }
    }

    /// Waits until the federation is founded, asking the owner from time to time if this node has joined a draft.
    ///
    /// # Errors
    /// What cannot be mended by waiting, for instance terms that changed: tell the operator and call again, it waits for
    /// the next command. `Ok(None)`: stopped before.
    pub async fn run(
        &self,
        stop: &CancellationToken,
    ) -> Result<Option<SignedManifest>, FoundingError> {
        let mut view = self.view();
        let mut pause = POLL_INTERVAL;
        loop {
            let state = view.borrow_and_update().state;
            if let Some(founded) = self.founded() {
                return Ok(Some(founded));
            }
            if matches!(state, NodeState::Joining | NodeState::Founding) && self.has_joined() {
                pause = match self.poll().await {
                    Ok(()) => POLL_INTERVAL,
                    Err(error) if error.is_transient() => (pause * 2).min(POLL_INTERVAL_MAX),
                    Err(error) => return Err(error),
                };
                if self.founded().is_some() {
                    continue;
                }
                tokio::select! {
                    () = stop.cancelled() => return Ok(None),
                    () = tokio::time::sleep(pause) => {}
                }
            } else {
                tokio::select! {
                    () = stop.cancelled() => return Ok(None),
                    // The sender lives in `self`.
                    _ = view.changed() => {}
                }
            }
        }
    }

    /// Asks the owner what happened, signs if it is time, and stores the federation when it is complete.
    ///
    /// # Errors
    /// See [`FoundingError`]; also shown in the view.
    pub async fn poll(&self) -> Result<(), FoundingError> {
        let result = self.exchange(Ask::Poll).await;
        if result.as_ref().is_err_and(FoundingError::ends_joining) {
            self.forget_joining()?;
        }
        self.lock().last_error = result.as_ref().err().map(ToString::to_string);
        self.publish();
        result
    }

    async fn accept(&self, invite: &Invite, draft: &Manifest) -> Result<(), FoundingError> {
        let path = self.inner.home.joining();
        let own = self.inner.local.member.clone();
        let joiner = Joiner::accept(&path, invite.clone(), draft, own)?;
        let first = joiner.join_request();
        self.lock().joiner = Some(joiner);
        let result = self.exchange(first).await;
        // After a lost answer the owner may have taken us in: polling finds out.
        if result.as_ref().is_err_and(FoundingError::ends_joining) {
            self.forget_joining()?;
        }
        self.publish();
        result
    }

    /// Leaves a draft that did not come to be. A node that has signed stays: its signature may still be used.
    fn forget_joining(&self) -> Result<(), FoundingError> {
        let mut state = self.lock();
        if state.joiner.as_ref().is_some_and(|joiner| joiner.joining.signed.is_none()) {
            durable::erase(&self.inner.home.joining())?;
            state.joiner = None;
        }
        Ok(())
    }

    /// Asks, does what follows from the answer, and asks again while that is what follows.
    async fn exchange(&self, first: Ask) -> Result<(), FoundingError> {
        let mut ask = first;
        for _ in 0..MAX_EXCHANGES {
            let Some(invite) = self.lock().joiner.as_ref().map(|it| it.joining.invite.clone())
            else {
                return Err(FoundingError::None);
            };
            let reply = self.ask(&invite, ask).await?;
            let next = match &mut self.lock().joiner {
                Some(joiner) => joiner.take(reply, self.inner.identity.signing_key())?,
                None => return Err(FoundingError::None),
            };
            match next {
                Next::Wait => return Ok(()),
                Next::Ask(next) => ask = next,
                Next::Founded(signed) => return self.store(signed),
            }
        }
        Err(FoundingError::Answer("the owner asks for the same again and again".into()))
    }

    async fn ask(&self, invite: &Invite, ask: Ask) -> Result<Reply, FoundingError> {
        let request = Request {
            founding_id: invite.founding_id,
            owner: invite.owner,
            from: self.inner.identity.key(),
            token: invite.token,
            ask,
        };
        let (bytes, digest) = message::encode_request(&request, self.inner.identity.signing_key())
            .map_err(|error| FoundingError::Request(error.to_string()))?;
        let addresses = invite.addresses.clone();
        let answer = self.inner.port.request(invite.owner, addresses, bytes).await?;
        message::decode_reply(&answer, &digest, &invite.owner)
            .map_err(|error| FoundingError::Answer(error.to_string()))
    }

    /// The owner's own last step: when all have signed, the manifest goes to disk.
    fn settle_owner(&self) -> Result<(), FoundingError> {
        let signed = {
            let state = self.lock();
            if state.founded.is_some() {
                return Ok(());
            }
            state.owner.as_ref().and_then(Owner::signed)
        };
        signed.map_or(Ok(()), |signed| self.store(signed))
    }

    fn store(&self, signed: SignedManifest) -> Result<(), FoundingError> {
        ValidManifest::founded(signed.clone())?;
        let bytes = signed.encode().map_err(|error| FoundingError::Answer(error.to_string()))?;
        durable::replace(&self.inner.home.manifest(), &bytes)?;
        // What was accepted is in the manifest now; the token is of no more use.
        durable::erase(&self.inner.home.joining())?;
        let mut state = self.lock();
        state.joiner = None;
        state.founded = Some(signed);
        Ok(())
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

    fn has_joined(&self) -> bool {
        self.lock().joiner.is_some()
    }

    fn publish(&self) {
        let next = self.lock().view();
        self.inner.view.send_if_modified(|view| {
            let changed = *view != next;
            *view = next;
            changed
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn view(&self) -> FoundingView {
        if let Some(signed) = &self.founded {
            return FoundingView::founded(signed.clone());
        }
        let mut view = FoundingView { last_error: self.last_error.clone(), ..FoundingView::idle() };
        if let Some(owner) = &self.owner {
            view.state = if owner.draft.frozen { NodeState::Founding } else { NodeState::Draft };
            view.manifest = Some(owner.draft.manifest.clone());
            view.frozen = owner.draft.frozen;
            view.signed = owner.draft.signatures.iter().map(Option::is_some).collect();
        } else if let Some(joiner) = &self.joiner {
            let signed = joiner.joining.signed.is_some();
            view.state = if signed { NodeState::Founding } else { NodeState::Joining };
            view.frozen = signed;
            view.manifest = Some(joiner.joining.seen.clone());
        }
        view
    }
}

impl std::fmt::Debug for Founding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Founding").field("state", &self.inner.view.borrow().state).finish()
    }
}

fn load_founded(home: &Home, local: &Local) -> Result<Option<SignedManifest>, FoundingError> {
    let path = home.manifest();
    let limit = fedshield_protocol::limits::MAX_MANIFEST_BYTES;
    let Some(bytes) = durable::read_if_present(&path, limit as u64)? else { return Ok(None) };
    let file = path.display().to_string();
    let signed = SignedManifest::decode(&bytes)
        .map_err(|error| FoundingError::File { file: file.clone(), reason: error.to_string() })?;
    let valid = ValidManifest::founded(signed.clone())?;
    if valid.member_by_key(&local.member.identity_key).is_none() {
        let reason = "this node's identity is not one of its members".to_owned();
        return Err(FoundingError::File { file, reason });
    }
    let expected = valid.manifest().base_model;
    if expected != local.base_model {
        return Err(FoundingError::ModelMismatch { own: local.base_model, expected });
    }
    Ok(Some(signed))
}

fn name_of(manifest: &Manifest, key: &IdentityKey) -> String {
    let owner = manifest.members.iter().find(|member| member.identity_key == *key);
    owner.map_or_else(|| key.short(), |member| member.name.clone())
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

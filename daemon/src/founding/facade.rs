//! The founding of a federation as the host drives it: what is known and kept, and founders' requests. What operators
//! command is in `commands`, how a founder follows its owner in `following`.

mod commands;
mod following;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::manifest::{Member, SignedManifest, ValidManifest};
use tokio::sync::watch;

use super::joiner::Joiner;
use super::owner::Owner;
use super::{Announced, FoundingError, FoundingView, JoinPort};
use crate::control::api::{FederationView, MemberView, NodeState};
use crate::durable;
use crate::home::Home;
use crate::identity::Identity;

/// What the host knows of this node once it listens and has read its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// This node's entry in a manifest: name, identity key, public sealing key for the first round, addresses.
    pub member: Member,
    /// Digest of the base model here.
    pub base_model: Digest,
    /// Whether a program of the organisation's own trains here.
    pub trainer_command: bool,
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
    /// Where others are told to look for this node; changes while it runs.
    told: Mutex<Announced>,
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
        let addresses = local.member.addresses.clone();
        let told = Announced { addresses, left_out: Vec::new() };
        let inner = Inner {
            home: home.clone(),
            identity,
            told: Mutex::new(told),
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

    /// Where others are told to find this node.
    #[must_use]
    pub fn announced(&self) -> Announced {
        self.inner.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells others from now on to find this node there, also in a draft that is still open. A node that listens nowhere at
    /// the moment leaves the draft as it is.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_addresses(&self, told: Announced) -> Result<(), FoundingError> {
        let is_somewhere = !told.addresses.is_empty();
        *self.inner.told.lock().unwrap_or_else(PoisonError::into_inner) = told;
        if is_somewhere {
            let own = self.own_member();
            let mut state = self.lock();
            if let Some(owner) = &mut state.owner {
                owner.set_own(&own)?;
            }
            if let Some(joiner) = &mut state.joiner {
                joiner.set_own(&own)?;
            }
        }
        self.publish();
        Ok(())
    }

    /// This node's entry with the addresses of now.
    fn own_member(&self) -> Member {
        Member { addresses: self.announced().addresses, ..self.inner.local.member.clone() }
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

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! The founding of a federation as the host drives it: its state in memory and on disk, and
//! founders' requests. Operators' commands are in `commands`, confirming the list in `confirming`,
//! the ways out of a draft in `leaving`, how a founder follows its owner in `following`, and in
//! `opening` how a home is read and interrupted steps are completed after a crash.

mod answers;
mod commands;
mod confirming;
mod farewells;
mod following;
mod leaving;
mod notices;
mod opening;
mod standing;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fedshield_protocol::ids::Digest;
use fedshield_protocol::manifest::{Member, SignedManifest, ValidManifest};
use tokio::sync::watch;

use super::joiner::{Joiner, Shown};
use super::owner::Owner;
use super::partings::PartingsFile;
use super::{Announced, CheckTerms, FoundingError, FoundingView, JoinPort};
use crate::conditions::unix_s as now_s;
use crate::control::api::{Condition, FederationView, Listing, MemberView, NodeState};
use crate::durable;
use crate::home::Home;
use crate::identity::{Identity, SecretStore};
use crate::randomness::os_random;
use crate::sealing_keys;
use crate::terms::unusual;

/// This node as the host knows it once it listens and has read its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// This node's entry in a manifest: name, identity key, addresses. Its sealing key is ignored:
    /// each draft gets its own.
    pub member: Member,
    /// Digest of the base model here.
    pub base_model: Digest,
    /// Whether training is done by the organisation's own trainer command.
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
    /// The addresses that this node announces; they may change while it runs.
    told: Mutex<Announced>,
    check: Arc<dyn CheckTerms>,
    secrets: SecretStore,
    state: Mutex<State>,
    /// One operator command at a time.
    command: tokio::sync::Mutex<()>,
    view: watch::Sender<FoundingView>,
}

struct State {
    owner: Option<Owner>,
    joiner: Option<Joiner>,
    founded: Option<SignedManifest>,
    partings: PartingsFile,
    /// The operator has asked to leave and the request to the owner is under way: nothing is signed
    /// meanwhile.
    leaving: bool,
    /// What keeps this node from taking part, by the names of its conditions.
    problems: Vec<String>,
    /// Which problems were last reported to the owner, and when.
    reported: Option<(u64, Vec<String>)>,
    /// A notice to the operator about something that succeeded, until the next command.
    remark: Option<Condition>,
    last_error: Option<String>,
}

impl Founding {
    /// The addresses that this node announces; they may change while it runs.
    #[must_use]
    pub fn announced(&self) -> Announced {
        self.inner.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Announces these addresses from now on, also in a draft that is still open. A node that
    /// listens nowhere at the moment leaves the draft as it is.
    ///
    /// # Errors
    /// If it cannot be written to disk.
    pub fn set_addresses(&self, told: Announced) -> Result<(), FoundingError> {
        let addresses = told.addresses.clone();
        *self.inner.told.lock().unwrap_or_else(PoisonError::into_inner) = told;
        if !addresses.is_empty() {
            let mut state = self.lock();
            if let Some(owner) = &mut state.owner {
                owner.set_addresses(&addresses)?;
            }
            if let Some(joiner) = &mut state.joiner {
                joiner.set_addresses(&addresses)?;
            }
        }
        self.publish();
        Ok(())
    }

    /// This node's entry with its present addresses; its sealing key is ignored.
    fn own_member(&self) -> Member {
        Member { addresses: self.announced().addresses, ..self.inner.local.member.clone() }
    }

    /// The state of the founding, now and whenever it changes.
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
        let mut federation = self.inner.view.borrow().federation(&self.inner.identity.key())?;
        let state = self.lock();
        if let Some(owner) = state.owner.as_ref().filter(|_| state.founded.is_none()) {
            federation.warnings = owner.concerns(now_s());
            federation.returning =
                owner.kept.returning.iter().map(|member| member.name.clone()).collect();
        }
        if state.founded.is_none() {
            federation.warnings.extend(unusual(&federation.listing.terms()));
        }
        Ok(federation)
    }

    /// What keeps this node from taking part, by the names of its conditions; reported to the owner
    /// of the draft.
    pub fn set_problems(&self, problems: Vec<String>) {
        self.lock().problems = problems;
    }

    /// `GET /v1/members`; the host adds the machine's view of them.
    #[must_use]
    pub fn members(&self) -> Vec<MemberView> {
        self.inner.view.borrow().members(&self.inner.identity.key())
    }

    /// The owner's own last step: when all have signed, the manifest is written to disk.
    fn settle_owner(&self, state: &mut State) -> Result<(), FoundingError> {
        if state.founded.is_some() {
            return Ok(());
        }
        let signed = state.owner.as_ref().and_then(Owner::signed);
        signed.map_or(Ok(()), |signed| self.store(state, signed))
    }

    /// The draft is founded. Its sealing key becomes that of the first round before the manifest is
    /// on disk, and the files of the founding are removed after that, so that a crash in between
    /// repeats steps and loses nothing.
    fn store(&self, state: &mut State, signed: SignedManifest) -> Result<(), FoundingError> {
        let valid = ValidManifest::founded(signed.clone())?;
        let bytes = signed.encode().map_err(|error| FoundingError::Answer(error.to_string()))?;
        let (secrets, id) = (&self.inner.secrets, signed.manifest.founding_id);
        if let Some(me) = valid.member_by_key(&self.inner.identity.key())
            && let Some(own) = signed.manifest.members.get(me.position())
        {
            sealing_keys::promote(secrets, &id, &own.sealing_key)?;
        }
        durable::replace(&self.inner.home.manifest(), &bytes)?;
        sealing_keys::erase_drafts(secrets, None)?;
        // The accepted terms are in the manifest now, and the token is of no more use.
        durable::erase(&self.inner.home.joining())?;
        state.joiner = None;
        state.remark = None;
        state.founded = Some(signed);
        Ok(())
    }

    /// This node's entry in the draft of this id, with a sealing key that is used for this draft
    /// only.
    fn own_entry(&self, founding_id: &Digest) -> Result<Member, FoundingError> {
        let mut rng = os_random()?;
        let pair = sealing_keys::new_for_draft(&self.inner.secrets, founding_id, &mut rng)?;
        let sealing_key = pair.public().to_bytes();
        Ok(Member { sealing_key, ..self.own_member() })
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
        let conditions = self.conditions();
        if let Some(signed) = &self.founded {
            return FoundingView { conditions, ..FoundingView::founded(signed.clone()) };
        }
        let mut view = FoundingView {
            last_error: self.last_error.clone(),
            conditions,
            ..FoundingView::idle()
        };
        if let Some(owner) = &self.owner {
            let (state, listing) = match &owner.kept.frozen {
                None => (NodeState::Draft, Listing::Draft(owner.kept.draft.clone())),
                Some(it) => (NodeState::Founding, Listing::Manifest(it.manifest.clone())),
            };
            (view.state, view.listing) = (state, Some(listing));
            view.signed = owner.kept.signatures().map(|(_, it)| it.is_some()).collect();
            view.confirmed = owner.has_signed();
        } else if let Some(joiner) = &self.joiner {
            let (state, listing) = match &joiner.joining.shown {
                Shown::Draft(draft) => (NodeState::Joining, Listing::Draft(draft.clone())),
                Shown::Frozen(it) => (NodeState::Founding, Listing::Manifest(it.manifest.clone())),
            };
            view.confirmed = joiner.is_confirmed();
            view.differences = joiner.differences();
            if let Some(missing) = joiner.missing.as_ref().filter(|_| listing.is_final()) {
                let members = listing.members().iter();
                view.signed = members.map(|it| !missing.contains(&it.name)).collect();
            }
            (view.state, view.listing) = (state, Some(listing));
        }
        view.frozen_at_s = self.frozen_at_s();
        view
    }
}

impl std::fmt::Debug for Founding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Founding").field("state", &self.inner.view.borrow().state).finish()
    }
}

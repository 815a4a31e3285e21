//! Opens everything that a node needs, one part after the other, and waits for parts that may
//! become available.

use std::sync::{Arc, OnceLock};

use fedshield_net::{NetEvent, NetHandle};
use tokio::sync::{mpsc, watch};

use super::NodeError;
use super::early::{founded, note_start};
use super::peers::Peers;
use super::ports::NetJoinPort;
use super::start::{listen, own_entry};
use super::waiter::{Waiter, on_thread};
use crate::conditions::Conditions;
use crate::config::{Config, TrainerKind};
use crate::control::api::{Condition, NodeStatus, Severity};
use crate::founding::{Founding, FoundingError, Local};
use crate::home::Home;
use crate::identity::{Identity, SecretStore};
use crate::journal::{Journal, StoredEntry};
use crate::learning::{LearningSources, OpenedModel};
use crate::objects::Objects;
use crate::store::{self, Ledger};

/// The inputs for opening a node's parts.
pub(super) struct Startup {
    pub(super) home: Home,
    pub(super) config: Config,
    pub(super) identity: Arc<Identity>,
    pub(super) sources: LearningSources,
    pub(super) conditions: Conditions,
    pub(super) status: Arc<watch::Sender<NodeStatus>>,
    /// Set as soon as the ledger is open.
    pub(super) ledger: Arc<OnceLock<Arc<Ledger>>>,
}

/// A node's opened parts.
pub(super) struct Opened {
    pub(super) secrets: Arc<SecretStore>,
    pub(super) journal: (Journal, Vec<Vec<u8>>),
    pub(super) ledger: Arc<Ledger>,
    pub(super) objects: Arc<Objects>,
    pub(super) model: OpenedModel,
    pub(super) net: NetHandle,
    pub(super) net_events: mpsc::Receiver<NetEvent>,
    pub(super) peers: Peers,
    pub(super) founding: Founding,
}

/// The files of the home, opened.
struct Kept {
    secrets: SecretStore,
    journal: (Journal, Vec<Vec<u8>>),
    ledger: Ledger,
    /// The condition about damage in the ledger and the files beside it.
    damaged: Option<Condition>,
    objects: Objects,
}

impl Startup {
    /// Opens all parts. May be dropped at any time without leaving a partial write.
    ///
    /// # Errors
    /// Errors that waiting cannot resolve.
    pub(super) async fn open(self) -> Result<Opened, NodeError> {
        let kept = self.open_home().await?;
        self.conditions.show(DAMAGED, kept.damaged);
        let (secrets, ledger) = (Arc::new(kept.secrets), Arc::new(kept.ledger));
        let objects = Arc::new(kept.objects);
        // Cannot fail: this runs once.
        let _ = self.ledger.set(Arc::clone(&ledger));
        note_start(&self.conditions, "reads the base model");
        let model = self.open_model().await?;
        note_start(&self.conditions, "reads its data");
        let model = self.check_data(model).await?;
        note_start(&self.conditions, "begins to listen for other members");
        let (net, net_events) = listen(&self.config, &self.home, &self.identity, &objects).await?;
        self.status.send_modify(|status| {
            status.listen = net.listen_addresses().iter().map(ToString::to_string).collect();
        });
        let peers = self.open_peers().await?;
        let founding = self.open_founding(&net, &peers, &model).await?;
        let (journal, secrets) = (kept.journal, secrets);
        Ok(Opened { secrets, journal, ledger, objects, model, net, net_events, peers, founding })
    }

    async fn open_home(&self) -> Result<Kept, NodeError> {
        let mut waiter = Waiter::new(&self.conditions, Vec::new());
        loop {
            let (home, identity) = (self.home.clone(), Arc::clone(&self.identity));
            match on_thread("open", move || open_kept(&home, &identity)).await? {
                Ok(kept) => {
                    waiter.done();
                    return Ok(kept);
                }
                Err(error) => waiter.wait(error).await?,
            }
        }
    }

    async fn open_model(&self) -> Result<OpenedModel, NodeError> {
        let mut waiter = Waiter::new(&self.conditions, vec![self.sources.model.clone()]);
        loop {
            let (sources, home) = (self.sources.clone(), self.home.clone());
            let opened = on_thread("model", move || {
                let model = open_model(sources)?;
                let expected = founded(&home).map(|signed| signed.manifest.base_model);
                match expected.filter(|expected| *expected != model.digest()) {
                    Some(expected) => {
                        Err(FoundingError::ModelMismatch { own: model.digest(), expected }.into())
                    }
                    None => Ok(model),
                }
            });
            match opened.await? {
                Ok(model) => {
                    waiter.done();
                    return Ok(model);
                }
                Err(error) => waiter.wait(error).await?,
            }
        }
    }

    async fn check_data(&self, mut model: OpenedModel) -> Result<OpenedModel, NodeError> {
        let files = self.sources.files().cloned().collect();
        let mut waiter = Waiter::new(&self.conditions, files);
        loop {
            let checked;
            (model, checked) = on_thread("data", move || {
                let checked = model.check_data();
                (model, checked)
            })
            .await?;
            match checked {
                Ok(()) => {
                    waiter.done();
                    return Ok(model);
                }
                Err(error) => waiter.wait(NodeError::Data(error)).await?,
            }
        }
    }

    async fn open_peers(&self) -> Result<Peers, NodeError> {
        let mut waiter = Waiter::new(&self.conditions, Vec::new());
        loop {
            let (file, configured) = (self.home.peers(), self.config.peers.clone());
            match tokio::task::block_in_place(|| Peers::open(file, configured)) {
                Ok(peers) => {
                    waiter.done();
                    return Ok(peers);
                }
                Err(error) => waiter.wait(error).await?,
            }
        }
    }

    async fn open_founding(
        &self,
        net: &NetHandle,
        peers: &Peers,
        model: &OpenedModel,
    ) -> Result<Founding, NodeError> {
        let mut waiter = Waiter::new(&self.conditions, Vec::new());
        loop {
            let opened = tokio::task::block_in_place(|| {
                let local = Local {
                    member: own_entry(&self.config, &self.identity, net),
                    base_model: model.digest(),
                    trainer_command: self.config.training.trainer == TrainerKind::Command,
                };
                let port = Arc::new(NetJoinPort { net: net.clone(), peers: peers.clone() });
                let check = Arc::new(model.checker());
                Ok(Founding::open(&self.home, Arc::clone(&self.identity), local, port, check)?)
            });
            match opened {
                Ok(founding) => {
                    waiter.done();
                    return Ok(founding);
                }
                Err(error) => waiter.wait(error).await?,
            }
        }
    }
}

/// Opens the base model on a usable device. Blocks for as long as reading it takes.
///
/// # Errors
/// [`NodeError::Setting`], [`NodeError::Device`] or [`NodeError::Model`].
pub(super) fn open_model(mut sources: LearningSources) -> Result<OpenedModel, NodeError> {
    if !sources.device.is_built() {
        let reason = sources.device.resolve().err().map(|error| error.to_string());
        let reason = reason.unwrap_or_else(|| "is not in this build".to_owned());
        return Err(NodeError::Setting { key: "training.device", reason });
    }
    sources.device = sources.device.resolve().map_err(NodeError::Device)?;
    tracing::info!(device = sources.device.name(), "training device");
    OpenedModel::open(sources).map_err(NodeError::Model)
}

fn open_kept(home: &Home, identity: &Identity) -> Result<Kept, NodeError> {
    let (ledger, damaged) = open_ledger(home)?;
    Ok(Kept {
        secrets: SecretStore::open(&home.secrets(), identity)?,
        journal: open_journal(home)?,
        ledger,
        damaged,
        objects: Objects::open(&home.objects())?,
    })
}

fn open_ledger(home: &Home) -> Result<(Ledger, Option<Condition>), NodeError> {
    let store::Opened { ledger, repairs, remarks } = Ledger::open(home)?;
    for remark in remarks {
        tracing::warn!("{remark}");
    }
    let (torn, damaged): (Vec<_>, Vec<_>) = repairs.into_iter().partition(|repair| repair.torn);
    for repair in torn {
        tracing::warn!("{repair}: cut off");
    }
    let damaged: Vec<String> = damaged.iter().map(ToString::to_string).collect();
    let condition = (!damaged.is_empty()).then(|| {
        Condition::new(DAMAGED, Severity::Warning, damaged.join("; ")).with_hint(
            "records that are missing come from the other members by themselves; check the disk",
        )
    });
    Ok((ledger, condition))
}

const DAMAGED: &str = "files-damaged";

fn open_journal(home: &Home) -> Result<(Journal, Vec<Vec<u8>>), NodeError> {
    let (journal, replay) = Journal::open(&home.journal())?;
    if let Some(torn) = replay.torn {
        tracing::warn!(
            offset = torn.offset,
            bytes = torn.length,
            "the journal's torn end was cut off"
        );
    }
    let entries = replay.entries.into_iter().map(|StoredEntry { bytes, .. }| bytes).collect();
    Ok((journal, entries))
}

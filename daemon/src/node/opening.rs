//! Opens everything that a node needs, one after the other, and waits where time can mend what is missing.

use std::sync::{Arc, OnceLock};

use fedshield_net::{NetEvent, NetHandle};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::early::{founded, note_start};
use super::peers::Peers;
use super::ports::NetJoinPort;
use super::start::{listen, own_entry};
use super::waiter::{Waiter, on_thread};
use super::{NodeError, listening, net_conditions};
use crate::conditions::Conditions;
use crate::config::{Config, TrainerKind};
use crate::control::api::{Condition, NodeStatus, Severity};
use crate::descriptors::Budget;
use crate::founding::{Founding, FoundingError, Local};
use crate::home::Home;
use crate::identity::{Identity, SecretStore};
use crate::journal::{Entry, Journal};
use crate::objects::Objects;
use crate::pipeline::{LearningSources, OpenedModel};
use crate::store::{self as ledger, Ledger};

/// What it takes to open a node's parts.
pub(super) struct Opening {
    pub(super) home: Home,
    pub(super) config: Config,
    pub(super) identity: Arc<Identity>,
    pub(super) sources: LearningSources,
    pub(super) conditions: Conditions,
    pub(super) status: Arc<watch::Sender<NodeStatus>>,
    /// Where the ledger can be read as soon as it is open.
    pub(super) ledger: Arc<OnceLock<Arc<Ledger>>>,
    pub(super) budget: Budget,
    pub(super) stop: CancellationToken,
}

/// The parts.
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

/// What lies in the home.
struct Kept {
    secrets: SecretStore,
    journal: (Journal, Vec<Vec<u8>>),
    ledger: Arc<Ledger>,
    /// What a person should know of damage that was found in it.
    damaged: Option<Condition>,
    objects: Objects,
}

impl Opening {
    /// Opens all parts. May be dropped at any moment: nothing is torn by it.
    ///
    /// # Errors
    /// What no time mends.
    pub(super) async fn open(self) -> Result<Opened, NodeError> {
        let kept = self.open_home().await?;
        let (secrets, ledger) = (Arc::new(kept.secrets), kept.ledger);
        self.conditions.show(DAMAGED, kept.damaged);
        let objects = Arc::new(kept.objects);
        // Set once: this runs once.
        let _ = self.ledger.set(Arc::clone(&ledger));
        note_start(&self.conditions, "reads the base model");
        let model = self.open_model().await?;
        note_start(&self.conditions, "reads its data");
        let model = self.check_data(model).await?;
        note_start(&self.conditions, "begins to listen for other members");
        let (net, net_events) = listen(&self.config, &self.home, &self.identity, &objects).await?;
        let peers = Peers::open(self.home.peers(), self.config.peers.clone())?;
        self.status.send_modify(|status| {
            status.listen = net.listen_addresses().iter().map(ToString::to_string).collect();
        });
        let founding = self.open_founding(&secrets, &net, &peers, &model).await?;
        self.watch_network(&net, &peers, &founding);
        let (journal, secrets) = (kept.journal, secrets);
        Ok(Opened { secrets, journal, ledger, objects, model, net, net_events, peers, founding })
    }

    /// Tells people, and other members, how it is with the network from now on.
    fn watch_network(&self, net: &NetHandle, peers: &Peers, founding: &Founding) {
        tokio::spawn(net_conditions::watch(
            self.conditions.clone(),
            net.health(),
            founding.view(),
            self.budget,
            self.stop.clone(),
        ));
        let (external, status) = (self.config.external_addresses.clone(), Arc::clone(&self.status));
        listening::follow(net.clone(), founding.clone(), external, status, self.stop.clone());
        let status = Arc::clone(&self.status);
        peers.follow(net.clone(), founding.clone(), status, self.stop.clone());
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
        let files = self.sources.train.iter().chain(&self.sources.held_out).cloned().collect();
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

    async fn open_founding(
        &self,
        secrets: &SecretStore,
        net: &NetHandle,
        peers: &Peers,
        model: &OpenedModel,
    ) -> Result<Founding, NodeError> {
        let mut waiter = Waiter::new(&self.conditions, Vec::new());
        loop {
            let opened = tokio::task::block_in_place(|| {
                let local = Local {
                    member: own_entry(&self.home, &self.config, &self.identity, secrets, net)?,
                    base_model: model.digest(),
                    trainer_command: self.config.training.trainer == TrainerKind::Command,
                };
                let port = Arc::new(NetJoinPort { net: net.clone(), peers: peers.clone() });
                Ok(Founding::open(&self.home, Arc::clone(&self.identity), local, port)?)
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

/// The base model on a device that works. Blocks for as long as it takes to read it.
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

/// The condition of a ledger that was found damaged.
const DAMAGED: &str = "files-damaged";

/// The ledger, and what a person should know of damage that was found in it.
fn open_ledger(home: &Home) -> Result<(Arc<Ledger>, Option<Condition>), NodeError> {
    let ledger::Opened { ledger, repairs, remarks } = Ledger::open(home)?;
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
    Ok((Arc::new(ledger), condition))
}

fn open_journal(home: &Home) -> Result<(Journal, Vec<Vec<u8>>), NodeError> {
    let (journal, replay) = Journal::open(&home.journal())?;
    if let Some(torn) = replay.torn {
        tracing::warn!(
            offset = torn.offset,
            bytes = torn.length,
            "the journal's torn end was cut off"
        );
    }
    let entries = replay.entries.into_iter().map(|Entry { bytes, .. }| bytes).collect();
    Ok((journal, entries))
}

//! The loop of a node: network, founding, rounds and operator, one thing at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fedshield_net::{MemberAddr, NetEvent, NetHandle};
use fedshield_protocol::machine::{Config as MachineConfig, Machine};
use fedshield_protocol::manifest::{SignedManifest, ValidManifest};
use fedshield_protocol::status::Phase;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::NodeError;
use super::activation::{Activated, Activation};
use super::early::end_start;
use super::peers::Peers;
use super::reload::Reload;
use crate::conditions::Conditions;
use crate::control::ControlCommand;
use crate::control::api::{Condition, NodeState, NodeStatus, Severity};
use crate::error_code::ErrorCode;
use crate::founding::{FOUNDING_CONDITIONS, Founding, FoundingError};
use crate::home::{Home, HomeLock};
use crate::host::{DISK_FULL, Host, HostParts, LowPriorityPool, PauseFile, Wake, no_room};
use crate::identity::{Identity, SecretStore};
use crate::jobs::PipelineError;
use crate::journal::Journal;
use crate::learning::{LearningSources, OpenedModel};
use crate::objects::Objects;
use crate::randomness::nonce;
use crate::service::{Watchdog, notify_stopping};
use crate::store::{CheckpointKey, Ledger};

/// Everything that a running node holds.
pub(super) struct Node {
    pub(super) home: Home,
    pub(super) identity: Arc<Identity>,
    pub(super) secrets: Arc<SecretStore>,
    /// The journal and the entries of earlier runs; moves into the host.
    pub(super) journal: Option<(Journal, Vec<Vec<u8>>)>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) objects: Arc<Objects>,
    /// The paths of model and data, to read them again.
    pub(super) sources: LearningSources,
    /// Held until there is a manifest with the terms to use it under.
    pub(super) model: Option<OpenedModel>,
    pub(super) net: NetHandle,
    pub(super) net_events: mpsc::Receiver<NetEvent>,
    pub(super) founding: Founding,
    /// The operator's addresses of members.
    pub(super) peers: Peers,
    pub(super) status: Arc<watch::Sender<NodeStatus>>,
    pub(super) conditions: Conditions,
    pub(super) commands: mpsc::Receiver<ControlCommand>,
    /// Commands that came while the node was starting.
    pub(super) held: Vec<ControlCommand>,
    pub(super) host: Option<Host>,
    /// Where measurements and evaluations run.
    pub(super) low_priority: LowPriorityPool,
    pub(super) reload: Reload,
    /// The tasks of HTTP pages and farewells; they end after `stop`.
    pub(super) services: TaskTracker,
    /// The last shown error of the founding.
    pub(super) founding_error: Option<String>,
    /// The operator has left the federation: this node is to restart.
    pub(super) left: bool,
    pub(super) _lock: HomeLock,
}

/// Why a node has stopped without an error.
pub(super) enum NodeEnd {
    /// It was asked to.
    Stopped,
    /// It has left its federation, and is to restart with what reloads its settings.
    Left(Box<Reload>),
}

/// How long the services may take to finish what is under way.
const SERVICES_LIMIT: Duration = Duration::from_secs(10);

/// The pause before the founding is retried after an error that waiting cannot resolve.
const FOUNDING_PAUSE: Duration = Duration::from_secs(5);

/// What the loop woke up for.
enum Woken {
    Stop,
    Network(Option<NetEvent>),
    Command(Option<ControlCommand>),
    Founded(Result<Option<SignedManifest>, FoundingError>),
    FoundingChanged,
    Activated(Box<Result<Activated, NodeError>>),
    Reload,
    Beat,
    Host(Wake),
}

impl Node {
    /// Runs until `stop`, then shuts down cleanly.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<NodeEnd, NodeError> {
        let (founding, ends) = (self.founding.clone(), stop.clone());
        self.services.spawn(async move { founding.send_farewells(&ends).await });
        let result = self.turn_until(&stop).await;
        if !self.left {
            notify_stopping();
        }
        stop.cancel();
        if let Some(host) = &mut self.host {
            host.stop();
            host.farewell().await;
        }
        self.net.shutdown().await;
        result?;
        if !self.left {
            return Ok(NodeEnd::Stopped);
        }
        // The next daemon on this home needs the same sockets.
        self.services.close();
        let _ = tokio::time::timeout(SERVICES_LIMIT, self.services.wait()).await;
        Ok(NodeEnd::Left(Box::new(self.reload)))
    }

    async fn turn_until(&mut self, stop: &CancellationToken) -> Result<(), NodeError> {
        let founding = self.founding.clone();
        let wait = async |pause: Duration| {
            tokio::time::sleep(pause).await;
            founding.run(stop).await
        };
        let mut waiting = Box::pin(wait(Duration::ZERO));
        let mut founded = false;
        let watchdog = Watchdog::from_environment();
        let mut beats = watchdog.interval().map(tokio::time::interval);
        let mut view = self.founding.view();
        let mut activation = None;
        self.show_founding();
        if self.founding.founded().is_none() {
            end_start(&self.conditions);
        }
        for command in std::mem::take(&mut self.held) {
            self.command(command, stop).await?;
            if self.left {
                return Ok(());
            }
        }
        loop {
            let woken = tokio::select! {
                () = stop.cancelled() => Woken::Stop,
                event = self.net_events.recv() => Woken::Network(event),
                command = self.commands.recv() => Woken::Command(command),
                result = &mut waiting, if !founded => Woken::Founded(result),
                _ = view.changed() => Woken::FoundingChanged,
                activated = ended(&mut activation) => Woken::Activated(Box::new(activated)),
                () = self.reload.asked() => Woken::Reload,
                () = beat(&mut beats) => Woken::Beat,
                wake = wake(&mut self.host) => Woken::Host(wake),
            };
            match woken {
                Woken::Stop => return Ok(()),
                // During a shutdown everything that this loop listens to ends, in no order.
                _ if stop.is_cancelled() => return Ok(()),
                Woken::Network(None) => return Err(NodeError::Gone("the network")),
                Woken::Network(Some(event)) => self.on_network(event).await?,
                Woken::Command(None) => return Err(NodeError::Gone("the control socket")),
                Woken::Command(Some(command)) => {
                    self.command(command, stop).await?;
                    if self.left {
                        return Ok(());
                    }
                }
                Woken::Founded(result) => {
                    match result {
                        Ok(signed) => {
                            founded = true;
                            self.conditions.clear(DISK_FULL);
                            activation =
                                signed.map(|signed| Box::pin(self.activation(signed).run()));
                        }
                        Err(error) => {
                            if error.code() == ErrorCode::DiskFull {
                                self.conditions.set(no_room(&error.to_string()));
                            } else {
                                // The operator has to act; the node runs on and can join another federation.
                                self.conditions.clear(DISK_FULL);
                                tracing::error!(%error, "founding");
                            }
                            waiting = Box::pin(wait(FOUNDING_PAUSE));
                        }
                    }
                }
                Woken::Activated(activated) => {
                    activation = None;
                    match *activated {
                        Ok(activated) => self.boot(activated).await?,
                        Err(error) => self.or_wait_for_leave(error)?,
                    }
                    end_start(&self.conditions);
                }
                Woken::Reload => {
                    self.reload.reload(&self.conditions);
                    if let Some(host) = &self.host {
                        host.look_at_data();
                    }
                }
                Woken::FoundingChanged => self.show_founding(),
                Woken::Beat => watchdog.beat(),
                Woken::Host(wake) => {
                    if let Some(host) = &mut self.host {
                        host.turn(wake).await?;
                    }
                }
            }
            self.show_done();
            self.report_problems();
        }
    }

    async fn on_network(&mut self, event: NetEvent) -> Result<(), NodeError> {
        if let NetEvent::JoinRequest { from, bytes, reply } = event {
            // Without an answer the reply is dropped, which declines the request.
            if let Some(answer) = self.founding.answer(&from, &bytes) {
                reply.answer(answer);
            }
            return Ok(());
        }
        match &mut self.host {
            Some(host) => Ok(host.on_network(event).await?),
            None => Ok(()),
        }
    }

    /// The federation is founded: prepares model and data for it.
    fn activation(&mut self, signed: SignedManifest) -> Activation {
        Activation {
            signed,
            home: self.home.clone(),
            identity: Arc::clone(&self.identity),
            sources: self.sources.clone(),
            model: self.model.take(),
            objects: Arc::clone(&self.objects),
            secrets: Arc::clone(&self.secrets),
            status: Arc::clone(&self.status),
            conditions: self.conditions.clone(),
        }
    }

    /// Starts the host: from here on the protocol machine decides.
    async fn boot(&mut self, activated: Activated) -> Result<(), NodeError> {
        let Activated { signed, pipeline, progress } = activated;
        let valid = ValidManifest::founded(signed.clone())?;
        let config = MachineConfig::new(signed, self.identity.signing_key().clone())?;
        let Some((journal, entries)) = self.journal.take() else {
            return Err(NodeError::Gone("the journal"));
        };
        let members = &valid.manifest().members;
        let addresses = members
            .iter()
            .map(|member| MemberAddr {
                key: member.identity_key,
                addresses: member.addresses.iter().filter_map(|text| text.parse().ok()).collect(),
            })
            .collect();
        self.net.set_members(valid.federation(), addresses).await?;
        let parts = HostParts {
            machine: Machine::new(config),
            members: members.iter().map(|member| member.identity_key).collect(),
            names: members.iter().map(|member| member.name.clone()).collect(),
            net: self.net.clone(),
            journal,
            ledger: Arc::clone(&self.ledger),
            objects: Arc::clone(&self.objects),
            pipeline,
            progress,
            status: Arc::clone(&self.status),
            home: self.home.path().to_path_buf(),
            low_priority: self.low_priority.clone(),
            pause: PauseFile::new(self.home.pause()),
            nonce: nonce()?,
            checkpoint: CheckpointKey::from_seed(&self.identity.seed()),
        };
        tracing::info!(federation = %valid.federation(), members = members.len(), "founded");
        self.host = Some(Host::boot(parts, entries).await?);
        Ok(())
    }

    /// Terms under which no member can train, which earlier versions accepted, do not end the node,
    /// because only a running node can be told to leave.
    fn or_wait_for_leave(&self, error: NodeError) -> Result<(), NodeError> {
        let error = match error {
            NodeError::Pipeline(error) => error,
            other => return Err(other),
        };
        if !matches!(
            error,
            PipelineError::Manifest { .. } | PipelineError::Earlier | PipelineError::Terms(_)
        ) {
            return Err(error.into());
        }
        let text = format!("no round can begin under the terms of this federation: {error}");
        let condition =
            Condition::new("terms-unusable", Severity::Blocking, text).with_hint(error.hint());
        Conditions::new(Arc::clone(&self.status)).set(condition);
        Ok(())
    }

    fn show_founding(&mut self) {
        let view = self.founding.view().borrow().clone();
        let summary = view.summary(&self.identity.key());
        let before = std::mem::replace(&mut self.founding_error, view.last_error.clone());
        self.status.send_modify(|status| {
            status.state = view.state;
            status.federation = summary;
            // Clears an error that was repaired; conditions that others have set since stay.
            if view.last_error.is_some() || (before.is_some() && status.last_error == before) {
                status.last_error = view.last_error;
            }
        });
        let board = Conditions::new(Arc::clone(&self.status));
        for name in FOUNDING_CONDITIONS {
            let holds = view.conditions.iter().find(|condition| condition.name == name);
            board.show(name, holds.cloned());
        }
    }

    /// Reports what would keep this node from taking part to the owner of the draft before it is
    /// frozen: by name only, because messages name files.
    fn report_problems(&self) {
        if self.host.is_some() {
            return;
        }
        let status = self.status.borrow();
        let blocking = status.conditions.iter().filter(|it| it.severity == Severity::Blocking);
        self.founding.set_problems(blocking.map(|it| it.name.clone()).collect());
    }

    fn show_done(&self) {
        self.status.send_if_modified(|status| {
            let done = status.machine.as_ref().is_some_and(|machine| machine.phase == Phase::Done);
            let changed = done && status.state != NodeState::Done;
            if changed {
                status.state = NodeState::Done;
            }
            changed
        });
    }
}

async fn wake(host: &mut Option<Host>) -> Wake {
    match host {
        Some(host) => host.wake().await,
        None => std::future::pending().await,
    }
}

/// The result of the activation under way; pending forever while there is none.
async fn ended(
    activation: &mut Option<Pin<Box<impl Future<Output = Result<Activated, NodeError>>>>>,
) -> Result<Activated, NodeError> {
    match activation {
        Some(activation) => activation.await,
        None => std::future::pending().await,
    }
}

pub(super) async fn beat(beats: &mut Option<tokio::time::Interval>) {
    match beats {
        Some(beats) => {
            beats.tick().await;
        }
        None => std::future::pending().await,
    }
}

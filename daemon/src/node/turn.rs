//! The loop of a node: network, founding, rounds and operator, one thing at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fedshield_net::{NetEvent, NetHandle};
use fedshield_protocol::manifest::SignedManifest;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::NodeError;
use super::activation::Activated;
use super::early::end_start;
use super::peers::Peers;
use super::reload::Reload;
use crate::conditions::Conditions;
use crate::control::ControlCommand;
use crate::control::api::NodeStatus;
use crate::error_code::ErrorCode;
use crate::founding::{Founding, FoundingError};
use crate::home::{Home, HomeLock};
use crate::host::{DISK_FULL, Host, LowPriorityPool, Wake, disk_full};
use crate::identity::{Identity, SecretStore};
use crate::journal::Journal;
use crate::learning::{LearningSources, OpenedModel};
use crate::objects::Objects;
use crate::service::{Watchdog, notify_stopping};
use crate::store::Ledger;

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
    /// Whether a personal adapter is made without being asked once the federation is done.
    pub(super) personal: bool,
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
                                self.conditions.set(disk_full(&error.to_string()));
                            } else {
                                // The operator has to act; the node runs on and can join another
                                // federation.
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
                        host.check_data_files();
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

//! The host of the protocol machine: turns what happens into events, executes effects in order.
//!
//! `effects` executes; `jobs` runs work off the loop; `collect` removes objects of rounds that are over; `reports` keeps
//! what people want to know about finished rounds; `measure` takes the held-out loss in `spare` time.

mod collect;
mod data_watch;
mod effects;
mod error;
mod jobs;
mod measure;
mod progress;
mod reports;
mod spare;
mod timers;

use std::sync::Arc;

use fedshield_net::{FetchError, NetEvent, NetHandle};
use fedshield_protocol::event::{Command, Event, Nonce};
use fedshield_protocol::ids::{IdentityKey, MemberIndex, Round};
use fedshield_protocol::job::JobOutput;
use fedshield_protocol::machine::Machine;
use fedshield_protocol::object::ObjectRef;
use tokio::sync::{mpsc, watch};

pub use error::HostError;
pub use jobs::Cancel;
pub use progress::ProgressBoard;
pub use spare::{SpareError, SpareTime};

use crate::control::api::NodeStatus;
use crate::journal::Journal;
use crate::objects::Objects;
use crate::pipeline::Pipeline;
use crate::store::Ledger;
use collect::Collector;
use data_watch::DataWatch;
use jobs::{Finished, JobFailure, JobRunner};
use measure::Measurer;
use reports::Reports;
use timers::{Clock, Timers};

/// What a host is made of.
pub struct HostParts {
    /// The protocol machine, not booted.
    pub machine: Machine,
    /// Members' keys in manifest order.
    pub members: Vec<IdentityKey>,
    /// Their names.
    pub names: Vec<String>,
    /// The network, with the members set.
    pub net: NetHandle,
    /// Where promises are kept.
    pub journal: Journal,
    /// Where records are kept.
    pub ledger: Arc<Ledger>,
    /// Where bytes are kept.
    pub objects: Arc<Objects>,
    /// Who computes.
    pub pipeline: Arc<Pipeline>,
    /// What the pipeline reported.
    pub progress: Arc<ProgressBoard>,
    /// What people see.
    pub status: Arc<watch::Sender<NodeStatus>>,
    /// Where measurements run.
    pub spare: SpareTime,
    /// Fresh randomness for the machine's questions after this start.
    pub nonce: Nonce,
}

/// A finished job, or a timer.
pub struct Wake(Option<Finished>);

/// One member's machine at work.
pub struct Host {
    machine: Machine,
    members: Vec<IdentityKey>,
    names: Vec<String>,
    net: NetHandle,
    journal: Journal,
    ledger: Arc<Ledger>,
    objects: Arc<Objects>,
    pipeline: Arc<Pipeline>,
    progress: Arc<ProgressBoard>,
    status: Arc<watch::Sender<NodeStatus>>,
    clock: Clock,
    timers: Timers,
    jobs: JobRunner,
    finished: mpsc::Receiver<Finished>,
    reports: Reports,
    collector: Collector,
    measurer: Measurer,
    data_watch: DataWatch,
    /// The newest round with a new adapter.
    last_applied: Option<(Round, ObjectRef)>,
    /// What effects of the present event led to at once: each is an event of its own, handled before anything else.
    /// At most one for each fetch of one event.
    followed: Vec<Event>,
}

impl Host {
    /// Boots the machine with what earlier runs persisted.
    ///
    /// # Errors
    /// If journal or ledger cannot be read or written.
    pub async fn boot(parts: HostParts, journal: Vec<Vec<u8>>) -> Result<Self, HostError> {
        let (jobs, finished) = JobRunner::new(Arc::clone(&parts.pipeline));
        let records = parts.ledger.records()?;
        let reports = Reports::new(parts.names.clone(), parts.net.stats());
        let last_applied = parts.ledger.last_applied()?;
        let ended = records.last().map(|certified| certified.record.round);
        let collector = Collector::new(Arc::clone(&parts.objects), ended);
        let data_watch = DataWatch::start(parts.spare.clone(), Arc::clone(&parts.pipeline));
        let measurer = Measurer::start(
            parts.spare,
            Arc::clone(&parts.pipeline),
            Arc::clone(&parts.ledger),
            Arc::clone(&parts.status),
        );
        let nonce = parts.nonce;
        let mut host = Self {
            machine: parts.machine,
            members: parts.members,
            names: parts.names,
            net: parts.net,
            journal: parts.journal,
            ledger: parts.ledger,
            objects: parts.objects,
            pipeline: parts.pipeline,
            progress: parts.progress,
            status: parts.status,
            clock: Clock::start(),
            timers: Timers::default(),
            jobs,
            finished,
            reports,
            collector,
            measurer,
            data_watch,
            last_applied,
            followed: Vec::new(),
        };
        host.handle(Event::Boot { records, journal, nonce }).await?;
        host.measure_again();
        for key in host.net.connected() {
            if let Some(member) = host.member_of(&key) {
                host.handle(Event::PeerUp(member)).await?;
            }
        }
        Ok(host)
    }

    /// Waits for a timer or a finished job. Cancel-safe: whatever it waits for stays; handling is [`Self::turn`]'s.
    pub async fn wake(&mut self) -> Wake {
        let next = self.timers.next().map(|at| self.clock.instant(at));
        tokio::select! {
            finished = self.finished.recv() => Wake(finished),
            () = sleep_until(next) => Wake(None),
        }
    }

    /// Handles what [`Self::wake`] waited for. Must run to its end.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn turn(&mut self, wake: Wake) -> Result<(), HostError> {
        let event = match wake.0 {
            Some(Finished { id, result }) if self.jobs.finish(id) => match result {
                Ok(output) => {
                    let adopted = matches!(output, JobOutput::Adopted);
                    self.handle(Event::JobDone(id, output)).await?;
                    if adopted {
                        self.measure_again();
                    }
                    return Ok(());
                }
                Err(JobFailure { reason, disk_full: true }) => {
                    return Err(HostError::DiskFull { reason });
                }
                Err(JobFailure { reason, .. }) => {
                    tracing::error!(job = id.0, %reason, "job failed");
                    self.status.send_modify(|status| status.last_error = Some(reason.clone()));
                    Event::JobFailed(id, reason)
                }
            },
            Some(_) => return Ok(()),
            None => match self.timers.take_due(self.clock.now()) {
                Some(timer) => Event::Tick(timer),
                None => return Ok(()),
            },
        };
        self.handle(event).await
    }

    /// Handles what the network says.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn on_network(&mut self, event: NetEvent) -> Result<(), HostError> {
        let event = match event {
            NetEvent::Gossip { from, bytes, .. } | NetEvent::Direct { from, bytes } => {
                self.member_of(&from).map(|from| Event::Message { from, bytes })
            }
            NetEvent::PeerUp(key) => self.member_of(&key).map(Event::PeerUp),
            NetEvent::PeerDown(key) => self.member_of(&key).map(Event::PeerDown),
            NetEvent::ObjectReady(object) => Some(Event::ObjectReady(object)),
            NetEvent::ObjectFailed {
                reason: FetchError::Store { reason, disk_full: true },
                ..
            } => {
                return Err(HostError::DiskFull { reason });
            }
            NetEvent::ObjectFailed { object, reason } => {
                tracing::warn!(object = %object.root.short(), %reason, "fetch failed");
                Some(Event::ObjectFailed(object))
            }
            _ => None,
        };
        match event {
            Some(event) => self.handle(event).await,
            None => Ok(()),
        }
    }

    /// Hands an operator's wish to the machine.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn command(&mut self, command: Command) -> Result<(), HostError> {
        self.handle(Event::Operator(command)).await
    }

    /// The pipeline, for work that people ask for.
    #[must_use]
    pub fn pipeline(&self) -> Arc<Pipeline> {
        Arc::clone(&self.pipeline)
    }

    /// Looks at the data files now, without waiting for it: what they say is used from the next round on, what is wrong
    /// with them shows in the status. They are looked at from time to time anyway.
    pub fn look_at_data(&self) {
        self.data_watch.look_now();
    }

    /// Ends running jobs.
    pub fn stop(&mut self) {
        self.jobs.cancel_all();
        self.measurer.stop();
    }

    async fn handle(&mut self, event: Event) -> Result<(), HostError> {
        self.step(event).await?;
        while let Some(event) = self.followed.pop() {
            self.step(event).await?;
        }
        Ok(())
    }

    async fn step(&mut self, event: Event) -> Result<(), HostError> {
        let effects = self.machine.handle(self.clock.now(), event);
        for effect in effects {
            self.execute(effect).await?;
        }
        Ok(())
    }

    fn member_of(&self, key: &IdentityKey) -> Option<MemberIndex> {
        let position = self.members.iter().position(|member| member == key)?;
        u16::try_from(position).ok().map(MemberIndex)
    }

    fn key_of(&self, member: MemberIndex) -> Option<IdentityKey> {
        self.members.get(member.position()).copied()
    }
}

async fn sleep_until(instant: Option<std::time::Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

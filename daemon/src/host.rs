//! The host of the protocol machine: turns what happens into events, executes effects in order.
//!
//! `effects` executes, `pending` keeps the order when a write has to wait for `room`; `jobs` runs work off the loop;
//! `collect` removes objects of rounds that are over; `reports` keeps what people want to know about finished rounds;
//! `measure` takes the held-out loss in `spare` time; `standing` says whether this node can take part and why not; `pause` and
//! `farewell` are about going.

mod collect;
mod data_watch;
mod drift;
mod effects;
mod error;
mod evidence;
mod failed_rounds;
mod farewell;
mod fetches;
mod jobs;
mod measure;
mod pause;
mod pending;
mod progress;
mod records;
mod reports;
mod room;
mod spare;
mod standing;
mod timers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fedshield_net::{FetchError, NetEvent, NetHandle};
use fedshield_protocol::event::{Command, Event};
use fedshield_protocol::ids::{IdentityKey, MemberIndex, Round};
use fedshield_protocol::job::JobOutput;
use fedshield_protocol::machine::Machine;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::Nonce;
use tokio::sync::{mpsc, watch};

pub use error::HostError;
pub use jobs::Cancel;
pub use pause::PauseFile;
pub use progress::ProgressBoard;
pub(crate) use room::{DISK_FULL, no_room};
pub use spare::{SpareError, SpareTime};

use crate::conditions::{Conditions, unix_s};
use crate::control::api::{NodeStatus, Pause};
use crate::durable::DiskError;
use crate::jobs::Pipeline;
use crate::journal::Journal;
use crate::objects::Objects;
use crate::store::{CheckpointKey, Ledger};
use collect::Collector;
use data_watch::DataWatch;
use drift::Trend;
use fetches::Fetches;
use jobs::{Finished, JobFailure, JobRunner};
use measure::Measurer;
use pending::Pending;
use records::LedgerWatch;
use reports::Reports;
use room::Room;
use standing::Standing;
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
    /// Where people are told what is waited for.
    pub conditions: Conditions,
    /// The home folder, whose disk may be full.
    pub home: std::path::PathBuf,
    /// Where measurements run.
    pub spare: SpareTime,
    /// Where an operator's pause is remembered.
    pub pause: PauseFile,
    /// Fresh randomness for the machine's questions after this start.
    pub nonce: Nonce,
    /// Under which the ledger remembers what has been verified.
    pub checkpoint: CheckpointKey,
}

/// A finished job, a timer, or time to look whether there is room or how this node stands.
pub struct Wake(Woken);

enum Woken {
    /// `None` if there are no more: the jobs have ended for good.
    Job(Option<Finished>),
    Timer,
    Room,
    Look,
}

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
    standing: Standing,
    looked: Instant,
    pause: PauseFile,
    collector: Collector,
    measurer: Measurer,
    /// Whether training gets worse from round to round.
    training: Trend,
    data_watch: DataWatch,
    /// The newest round with a new adapter.
    last_applied: Option<(Round, ObjectRef)>,
    watch: LedgerWatch,
    /// What effects of the present event led to at once: each is an event of its own, handled before anything else.
    /// At most one for each fetch of one event.
    followed: Vec<Event>,
    pending: Pending,
    room: Room,
    fetches: Fetches,
    checkpoint: CheckpointKey,
}

impl Host {
    /// Boots the machine with what earlier runs persisted.
    ///
    /// # Errors
    /// If journal or ledger cannot be read or written.
    pub async fn boot(parts: HostParts, journal: Vec<Vec<u8>>) -> Result<Self, HostError> {
        let (jobs, finished) = JobRunner::new(Arc::clone(&parts.pipeline));
        let mut machine = parts.machine;
        let damage = records::replay(&mut machine, &parts.ledger, &parts.checkpoint)?;
        evidence::recall(&mut machine, &parts.ledger, &parts.status)?;
        let watch = LedgerWatch::new(
            Conditions::new(Arc::clone(&parts.status)),
            parts.names.clone(),
            damage,
        );
        let reports = Reports::new(parts.names.clone(), parts.net.stats());
        let last_applied = parts.ledger.last_applied()?;
        let ended = machine.scope().round.0.checked_sub(1).map(Round);
        let collector = Collector::new(Arc::clone(&parts.objects), ended);
        let data_watch = DataWatch::start(parts.spare.clone(), Arc::clone(&parts.pipeline));
        let measurer = Measurer::start(
            parts.spare,
            Arc::clone(&parts.pipeline),
            Arc::clone(&parts.ledger),
            Arc::clone(&parts.status),
        );
        let mut training = Trend::training();
        let earlier = parts.ledger.reports()?;
        if let Some(first) = earlier.iter().find_map(|report| report.train_loss) {
            training.against(first);
        }
        training.recall(&earlier, |report| report.train_loss);
        training.show(&Conditions::new(Arc::clone(&parts.status)));
        let fetches = Fetches::new(Arc::clone(&parts.objects));
        let nonce = parts.nonce;
        let me = machine.me();
        let mut standing = Standing::new(parts.names.clone(), me, Arc::clone(&parts.status));
        let paused = parts.pause.read();
        standing.set_pause(paused.clone());
        let mut host = Self {
            machine,
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
            standing,
            looked: Instant::now(),
            pause: parts.pause,
            collector,
            measurer,
            training,
            data_watch,
            last_applied,
            watch,
            followed: Vec::new(),
            pending: Pending::default(),
            room: Room::new(parts.conditions, parts.home),
            fetches,
            checkpoint: parts.checkpoint,
        };
        host.handle(Event::Boot { journal, nonce }).await?;
        if paused.is_some() {
            host.handle(Event::Operator(Command::Pause)).await?;
        }
        host.measure_again();
        for key in host.net.connected() {
            if let Some(member) = host.member_of(&key) {
                host.handle(Event::PeerUp(member)).await?;
            }
        }
        Ok(host)
    }

    /// Waits for something to do. Cancel-safe: whatever it waits for stays; handling is [`Self::turn`]'s. While a write
    /// waits for room, timers and finished jobs wait as well.
    pub async fn wake(&mut self) -> Wake {
        let (room, standing) = (self.room.next_look(), Some(self.looked + LOOK_INTERVAL));
        if self.room.is_stalled() {
            return Wake(tokio::select! {
                () = sleep_until(room) => Woken::Room,
                () = sleep_until(standing) => Woken::Look,
            });
        }
        let next = self.timers.next().map(|at| self.clock.instant(at));
        Wake(tokio::select! {
            finished = self.finished.recv() => Woken::Job(finished),
            () = sleep_until(next) => Woken::Timer,
            () = sleep_until(room) => Woken::Room,
            () = sleep_until(standing) => Woken::Look,
        })
    }

    /// Handles what [`Self::wake`] waited for. Must run to its end.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn turn(&mut self, wake: Wake) -> Result<(), HostError> {
        match wake.0 {
            Woken::Job(Some(finished)) => self.job_ended(finished).await,
            Woken::Job(None) => Ok(()),
            Woken::Timer => match self.timers.take_due(self.clock.now()) {
                Some(timer) => self.handle(Event::Tick(timer)).await,
                None => Ok(()),
            },
            Woken::Look => {
                self.look();
                Ok(())
            }
            Woken::Room if self.room.is_stalled() => self.go_on().await,
            Woken::Room => {
                for id in self.room.look() {
                    self.jobs.start_again(id);
                }
                Ok(())
            }
        }
    }

    async fn job_ended(&mut self, Finished { id, result }: Finished) -> Result<(), HostError> {
        let result = match result {
            Err(JobFailure { reason, disk_full: true }) if self.jobs.is_wanted(id) => {
                self.room.job_failed(id, &reason);
                return Ok(());
            }
            result => result,
        };
        self.room.job_ended(id);
        if !self.jobs.finish(id) {
            return Ok(());
        }
        match result {
            Ok(output) => {
                let adopted = matches!(output, JobOutput::Adopted);
                self.handle(Event::JobDone(id, output)).await?;
                if adopted {
                    self.measure_again();
                }
                Ok(())
            }
            Err(JobFailure { reason, .. }) => {
                tracing::error!(job = id.0, %reason, "job failed");
                self.status.send_modify(|status| status.last_error = Some(reason.clone()));
                self.handle(Event::JobFailed(id, reason)).await
            }
        }
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
            NetEvent::ObjectReady(object) => {
                self.fetches.end(&object);
                if !self.fetches.waits_for_room() {
                    self.room.fetched();
                }
                Some(Event::ObjectReady(object))
            }
            NetEvent::ObjectFailed {
                object,
                reason: FetchError::Store { reason, disk_full: true },
            } => {
                // The machine asks for it again.
                self.fetches.end(&object);
                self.room.fetch_failed(&reason);
                Some(Event::ObjectFailed(object))
            }
            NetEvent::ObjectFailed { object, reason } => {
                self.fetches.end(&object);
                tracing::warn!(object = %object.root.short(), %reason, "fetch failed");
                Some(Event::ObjectFailed(object))
            }
            // Answered by the node, before the host.
            NetEvent::JoinRequest { .. } => None,
        };
        match event {
            Some(event) => self.handle(event).await,
            None => Ok(()),
        }
    }

    /// An operator pauses this node: remembered, then done. A second pause changes nothing.
    ///
    /// # Errors
    /// See [`HostError`]; inside, if it cannot be remembered: then the node is not paused.
    pub async fn pause(
        &mut self,
        by: Option<String>,
    ) -> Result<Result<Pause, DiskError>, HostError> {
        let pause = match self.standing.pause() {
            Some(pause) => pause,
            None => {
                let pause = Pause { since_unix_s: unix_s(), by, after_round: None };
                if let Err(error) = tokio::task::block_in_place(|| self.pause.write(&pause)) {
                    return Ok(Err(error));
                }
                tracing::info!(by = pause.by.as_deref().unwrap_or("?"), "paused");
                self.standing.set_pause(Some(pause.clone()));
                pause
            }
        };
        self.handle(Event::Operator(Command::Pause)).await?;
        self.look();
        Ok(Ok(self.standing.pause().unwrap_or(pause)))
    }

    /// An operator ends the pause.
    ///
    /// # Errors
    /// See [`HostError`]; inside, if the disk does not let it be forgotten: then the node stays paused.
    pub async fn resume(&mut self) -> Result<Result<(), DiskError>, HostError> {
        if let Err(error) = tokio::task::block_in_place(|| self.pause.clear()) {
            return Ok(Err(error));
        }
        if self.standing.pause().is_some() {
            tracing::info!("resumed");
        }
        self.standing.set_pause(None);
        self.handle(Event::Operator(Command::Resume)).await?;
        self.look();
        Ok(Ok(()))
    }

    /// Says how this node stands: what must be said may be that nothing happens.
    fn look(&mut self) {
        self.looked = Instant::now();
        self.standing.look(self.clock.now(), unix_s());
    }

    /// The pipeline, for work that people ask for.
    #[must_use]
    pub fn pipeline(&self) -> Arc<Pipeline> {
        Arc::clone(&self.pipeline)
    }

    /// What the node waits for before it does anything else, for people.
    #[must_use]
    pub fn waits_for(&self) -> Option<&str> {
        self.room.stalled_by()
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
        let stalled = self.room.is_stalled();
        self.pending.push(event, stalled);
        if stalled { Ok(()) } else { self.advance().await }
    }

    fn member_of(&self, key: &IdentityKey) -> Option<MemberIndex> {
        let position = self.members.iter().position(|member| member == key)?;
        u16::try_from(position).ok().map(MemberIndex)
    }

    fn key_of(&self, member: MemberIndex) -> Option<IdentityKey> {
        self.members.get(member.position()).copied()
    }
}

/// How often the node's standing is looked at when nothing happens.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

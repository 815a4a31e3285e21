//! The host of the protocol machine: turns what happens into events, executes effects in order.
//!
//! `effects` executes, and `pending` keeps the order when a write waits for free disk space
//! (`disk_space`); `network` and `jobs` turn arrivals and results into events; `collect` removes
//! objects
//! of rounds that are over; `reports` keeps the operator-visible report of each finished round;
//! `measure` takes the held-out loss in the `low_priority` pool, where `at_home` trains on once the
//! federation is done; `standing` reports whether this
//! node can take part and why not, `left_out` and `unreadable` which members delay rounds; `pause`
//! and `farewell` handle not taking part.

mod at_home;
mod best_round;
mod collect;
mod data_watch;
mod disk_space;
mod drift;
mod effects;
mod error;
mod evidence;
mod failed_rounds;
mod farewell;
mod fetches;
mod jobs;
mod left_out;
mod low_priority;
mod measure;
mod network;
mod pause;
mod pending;
mod progress;
mod records;
mod reports;
mod standing;
mod timers;
mod unreadable;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fedshield_net::NetHandle;
use fedshield_protocol::Machine;
use fedshield_protocol::event::{Command, Event};
use fedshield_protocol::ids::{IdentityKey, MemberIndex, Round};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::Nonce;
use tokio::sync::{mpsc, watch};

pub(crate) use disk_space::{DISK_FULL, disk_full};
pub use error::HostError;
pub use low_priority::{LowPriorityPool, PoolError};
pub use pause::PauseFile;
pub use progress::ProgressBoard;

use crate::conditions::{Conditions, unix_s};
use crate::control::api::NodeStatus;
use crate::jobs::Pipeline;
use crate::journal::Journal;
use crate::objects::Objects;
use crate::store::{CheckpointKey, Ledger};
use at_home::WorkAtHome;
use best_round::BestRound;
use collect::Collector;
use data_watch::DataWatch;
use disk_space::DiskSpace;
use drift::Trend;
use fetches::Fetches;
use jobs::{Finished, JobRunner};
use left_out::LeftOut;
use measure::Measurer;
use pending::Pending;
use records::LedgerWatch;
use reports::Reports;
use standing::Standing;
use timers::{Clock, Timers};

/// The parts of a host.
pub struct HostParts {
    /// The protocol machine, not booted.
    pub machine: Machine,
    /// Members' keys in manifest order.
    pub members: Vec<IdentityKey>,
    /// Members' names in manifest order.
    pub names: Vec<String>,
    /// The network, with the members set.
    pub net: NetHandle,
    /// The journal of what this node must not contradict.
    pub journal: Journal,
    /// The ledger of certified records.
    pub ledger: Arc<Ledger>,
    /// The store of ciphertexts, shares, aggregates and adapters.
    pub objects: Arc<Objects>,
    /// Runs the machine's jobs: training, encryption, checks.
    pub pipeline: Arc<Pipeline>,
    /// What the jobs report while they run.
    pub progress: Arc<ProgressBoard>,
    /// The operator-visible status.
    pub status: Arc<watch::Sender<NodeStatus>>,
    /// The home folder, whose disk may be full.
    pub home: std::path::PathBuf,
    /// Where measurements and evaluations run.
    pub low_priority: LowPriorityPool,
    /// Where an operator's pause is remembered.
    pub pause: PauseFile,
    /// Fresh randomness for the machine's questions after this start.
    pub nonce: Nonce,
    /// Authenticates the ledger's checkpoint of verified records.
    pub checkpoint: CheckpointKey,
    /// Whether a personal adapter is made without being asked once the federation is done.
    pub personal: bool,
}

/// A finished job, a timer, or a periodic check of free disk space or of this node's standing.
pub struct Wake(Woken);

enum Woken {
    /// `None` if there are no more: the jobs have ended for good.
    Job(Option<Finished>),
    Timer,
    DiskSpace,
    Refresh,
}

/// One member's machine at work.
pub struct Host {
    parts: HostParts,
    clock: Clock,
    timers: Timers,
    jobs: JobRunner,
    finished: mpsc::Receiver<Finished>,
    reports: Reports,
    standing: Standing,
    refreshed_at: Instant,
    collector: Collector,
    measurer: Measurer,
    at_home: WorkAtHome,
    /// Whether training gets worse from round to round.
    training: Trend,
    /// Whether the federation's mean does.
    joint: Trend,
    /// The adapter with its lowest mean.
    best: Option<BestRound>,
    data_watch: DataWatch,
    /// The newest round with a new adapter.
    last_applied: Option<(Round, ObjectRef)>,
    watch: LedgerWatch,
    left_out: LeftOut,
    /// Events that effects of the present event caused at once, handled before anything else. At
    /// most one for each fetch of one event.
    followed: Vec<Event>,
    pending: Pending,
    disk_space: DiskSpace,
    fetches: Fetches,
}

impl Host {
    /// Boots the machine with what earlier runs persisted.
    ///
    /// # Errors
    /// If journal or ledger cannot be read or written.
    pub async fn boot(mut parts: HostParts, journal: Vec<Vec<u8>>) -> Result<Self, HostError> {
        let (jobs, finished) = JobRunner::new(Arc::clone(&parts.pipeline));
        let damage = records::replay(&mut parts.machine, &parts.ledger, &parts.checkpoint)?;
        evidence::recall(&mut parts.machine, &parts.ledger, &parts.status)?;
        let board = Conditions::new(Arc::clone(&parts.status));
        let mut training = Trend::training();
        let earlier = parts.ledger.reports()?;
        if let Some(first) = earlier.iter().find_map(|report| report.train_loss) {
            training.against(first);
        }
        training.recall(&earlier, |report| report.train_loss);
        training.show(&board);
        let mut joint = Trend::joint();
        for mean in earlier.iter().filter_map(|report| report.mean_loss) {
            joint.best_or_next(mean.round, mean.ratio);
        }
        joint.show(&board);
        let best = BestRound::recall(&earlier, &parts.ledger)?;
        let mean = earlier.iter().rev().find_map(|report| report.mean_loss);
        parts.status.send_modify(|status| status.mean_loss = mean);
        let names = parts.names.clone();
        let mut standing = Standing::new(names, parts.machine.me(), Arc::clone(&parts.status));
        let paused = parts.pause.read();
        standing.set_pause(paused.clone());
        let ended = parts.machine.scope().round.0.checked_sub(1).map(Round);
        let nonce = parts.nonce;
        let mut host = Self {
            clock: Clock::start(),
            timers: Timers::default(),
            jobs,
            finished,
            reports: Reports::new(parts.names.clone(), parts.net.stats()),
            standing,
            refreshed_at: Instant::now(),
            collector: Collector::new(Arc::clone(&parts.objects), ended),
            measurer: Measurer::start(
                parts.low_priority.clone(),
                Arc::clone(&parts.pipeline),
                Arc::clone(&parts.ledger),
                Arc::clone(&parts.status),
            ),
            at_home: WorkAtHome::start(
                parts.personal,
                parts.low_priority.clone(),
                Arc::clone(&parts.pipeline),
                Arc::clone(&parts.ledger),
                Arc::clone(&parts.status),
            ),
            training,
            joint,
            best,
            data_watch: DataWatch::start(parts.low_priority.clone(), Arc::clone(&parts.pipeline)),
            last_applied: parts.ledger.last_applied()?,
            watch: LedgerWatch::new(board.clone(), parts.names.clone(), damage),
            left_out: LeftOut::new(board.clone(), parts.names.clone(), parts.machine.me()),
            followed: Vec::new(),
            pending: Pending::default(),
            disk_space: DiskSpace::new(board, parts.home.clone()),
            fetches: Fetches::new(Arc::clone(&parts.objects)),
            parts,
        };
        host.handle(Event::Boot { journal, nonce }).await?;
        if paused.is_some() {
            host.handle(Event::Operator(Command::Pause)).await?;
        }
        host.measure_again();
        host.show_end();
        for key in host.parts.net.connected() {
            if let Some(member) = host.member_of(&key) {
                host.handle(Event::PeerUp(member)).await?;
            }
        }
        Ok(host)
    }

    /// Waits for something to do. Cancel-safe: dropping the future loses nothing. While a write
    /// waits for free disk space, timers and finished jobs wait as well.
    pub async fn wake(&mut self) -> Wake {
        let (disk_space, standing) =
            (self.disk_space.next_check(), Some(self.refreshed_at + REFRESH_INTERVAL));
        if self.disk_space.is_stalled() {
            return Wake(tokio::select! {
                () = sleep_until(disk_space) => Woken::DiskSpace,
                () = sleep_until(standing) => Woken::Refresh,
            });
        }
        let next = self.timers.next().map(|at| self.clock.instant(at));
        Wake(tokio::select! {
            finished = self.finished.recv() => Woken::Job(finished),
            () = sleep_until(next) => Woken::Timer,
            () = sleep_until(disk_space) => Woken::DiskSpace,
            () = sleep_until(standing) => Woken::Refresh,
        })
    }

    /// Handles what [`Self::wake`] returned. Must run to its end.
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
            Woken::Refresh => {
                self.refresh();
                Ok(())
            }
            Woken::DiskSpace if self.disk_space.is_stalled() => self.resume_pending().await,
            Woken::DiskSpace => {
                for id in self.disk_space.due_jobs() {
                    self.jobs.start_again(id);
                }
                Ok(())
            }
        }
    }

    /// Updates the conditions that follow from this node's standing; some report that nothing has
    /// happened for too long.
    fn refresh(&mut self) {
        self.refreshed_at = Instant::now();
        self.standing.refresh(self.clock.now(), unix_s());
    }

    /// The pipeline, for work that the operator asks for.
    #[must_use]
    pub fn pipeline(&self) -> Arc<Pipeline> {
        Arc::clone(&self.parts.pipeline)
    }

    /// The error of the write that everything else waits for, for the operator; `None` if there is
    /// none.
    #[must_use]
    pub fn waits_for(&self) -> Option<&str> {
        self.disk_space.stalled_by()
    }

    /// Starts reading the data files now and returns at once: their content is used from the next
    /// round on, and errors in them are shown in the status. They are also read periodically.
    pub fn check_data_files(&self) {
        self.data_watch.check_now();
    }

    /// Ends running jobs.
    pub fn stop(&mut self) {
        self.jobs.cancel_all();
        self.measurer.stop();
        self.at_home.stop();
    }

    async fn handle(&mut self, event: Event) -> Result<(), HostError> {
        let stalled = self.disk_space.is_stalled();
        self.pending.push(event, stalled);
        if stalled { Ok(()) } else { self.advance().await }
    }

    fn member_of(&self, key: &IdentityKey) -> Option<MemberIndex> {
        let position = self.parts.members.iter().position(|member| member == key)?;
        u16::try_from(position).ok().map(MemberIndex)
    }

    fn key_of(&self, member: MemberIndex) -> Option<IdentityKey> {
        self.parts.members.get(member.position()).copied()
    }
}

/// The interval between checks of the node's standing when nothing happens.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

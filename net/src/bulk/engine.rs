//! The tables of fetches and of served objects, on which the daemon's calls operate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fedshield_protocol::ids::IdentityKey;
use fedshield_protocol::object::ObjectRef;
use libp2p_stream::{Control, IncomingStreams};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::fetch::{Fetch, FetchEnd};
use super::holder_stream::HolderStreams;
use super::responder::{self, Responder};
use super::served::{Audience, ServedObjects};
use super::store::ObjectStore;
use crate::config::Tuning;
use crate::connected::Connected;
use crate::error::{NetClosed, ObjectCallError};
use crate::event::NetEvent;
use crate::limits::{MAX_ACTIVE_FETCHES, MAX_FETCHES};
use crate::stats::{Counters, Label};
use crate::tasks::Tasks;

/// Capacity of the channel through which a running fetch gets more holders.
const MORE_HOLDERS_QUEUE: usize = 16;

/// What both sides of bulk transfer share.
pub(crate) struct BulkParts {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) control: Control,
    pub(crate) tuning: Tuning,
    pub(crate) counters: Arc<Counters>,
    pub(crate) connected: Arc<Connected>,
    pub(crate) events: mpsc::Sender<NetEvent>,
    pub(crate) tasks: Tasks,
}

/// All fetches under way and all objects that are served.
pub(crate) struct Bulk {
    parts: Arc<BulkParts>,
    streams: Arc<HolderStreams>,
    served: Arc<ServedObjects>,
    /// One permit for each fetch that is active; the others wait for one.
    permits: Semaphore,
    fetches: Mutex<HashMap<ObjectRef, RunningFetch>>,
}

/// A requested fetch: its holders, and the label that its bytes are counted under.
struct Wanted {
    holders: Vec<IdentityKey>,
    label: Label,
}

/// A fetch as its own task sees it.
struct FetchTask {
    wanted: Wanted,
    cancel: CancellationToken,
    more: mpsc::Receiver<Vec<IdentityKey>>,
}

/// A fetch as the table sees it.
struct RunningFetch {
    cancel: CancellationToken,
    more: mpsc::Sender<Vec<IdentityKey>>,
    /// Requested again after it was cancelled: restarts once the cancelled one has released the
    /// store.
    again: Option<Wanted>,
}

impl Bulk {
    pub(crate) fn start(parts: BulkParts, incoming: IncomingStreams) -> Arc<Self> {
        let parts = Arc::new(parts);
        let served = Arc::new(ServedObjects::default());
        let responder = Responder::new(parts.clone(), served.clone());
        // False only if the node is shutting down already.
        let _ = parts.tasks.spawn(responder::accept(Arc::new(responder), incoming));
        Arc::new(Self {
            streams: Arc::new(HolderStreams::new(parts.clone())),
            parts,
            served,
            permits: Semaphore::new(MAX_ACTIVE_FETCHES),
            fetches: Mutex::default(),
        })
    }

    pub(crate) fn serve(
        &self,
        object: ObjectRef,
        audience: Audience,
        label: Label,
    ) -> Result<(), ObjectCallError> {
        self.served.serve(object, audience, label)
    }

    pub(crate) fn stop_serving(&self, object: &ObjectRef) {
        self.served.stop_serving(object);
    }

    /// Drops the streams to everyone who is not a member.
    pub(crate) fn retain_members(&self, members: &[IdentityKey]) {
        self.streams.retain(members);
    }

    /// Starts a fetch, or adds holders to the one that is running.
    pub(crate) fn fetch(
        self: &Arc<Self>,
        object: ObjectRef,
        holders: Vec<IdentityKey>,
        label: Label,
    ) -> Result<(), ObjectCallError> {
        object.check_size().map_err(|_| ObjectCallError::TooLarge { length: object.length })?;
        if holders.is_empty() {
            return Err(ObjectCallError::NoHolder);
        }
        let mut fetches = self.lock();
        if let Some(running) = fetches.get_mut(&object) {
            if running.cancel.is_cancelled() {
                running.again = Some(Wanted { holders, label });
            } else if running.more.try_send(holders).is_err() {
                // The channel is full: it has enough other holders to try before it needs these.
                tracing::debug!(?object, "holders not added: the fetch has enough to try first");
            }
            return Ok(());
        }
        if fetches.len() >= MAX_FETCHES {
            return Err(ObjectCallError::TooMany { max: MAX_FETCHES });
        }
        let (running, task) = self.new_fetch(Wanted { holders, label });
        if !self.parts.tasks.spawn(self.clone().drive(object, task)) {
            return Err(NetClosed.into());
        }
        fetches.insert(object, running);
        Ok(())
    }

    /// Cancels a fetch; the chunks that were written are kept. No event follows.
    pub(crate) fn stop_fetch(&self, object: &ObjectRef) {
        if let Some(running) = self.lock().get_mut(object) {
            running.again = None;
            running.cancel.cancel();
        }
    }

    /// Both ends of a fetch; a shutdown of the node cancels it as well.
    fn new_fetch(&self, wanted: Wanted) -> (RunningFetch, FetchTask) {
        let cancel = self.parts.tasks.token().child_token();
        let (more, more_received) = mpsc::channel(MORE_HOLDERS_QUEUE);
        let running = RunningFetch { cancel: cancel.clone(), more, again: None };
        (running, FetchTask { wanted, cancel, more: more_received })
    }

    async fn drive(self: Arc<Self>, object: ObjectRef, mut task: FetchTask) {
        loop {
            let outcome = self.run_once(object, &mut task).await;
            match self.restart(&object) {
                Some(again) => task = again,
                None => return self.report(object, outcome).await,
            }
        }
    }

    async fn run_once(&self, object: ObjectRef, task: &mut FetchTask) -> Result<(), FetchEnd> {
        let _permit = tokio::select! {
            permit = self.permits.acquire() => permit,
            () = task.cancel.cancelled() => return Err(FetchEnd::Cancelled),
        };
        let fetch = Fetch {
            parts: self.parts.clone(),
            streams: self.streams.clone(),
            object,
            counter: self.parts.counters.object(task.wanted.label),
        };
        Arc::new(fetch).run(&task.wanted.holders, &mut task.more, &task.cancel).await
    }

    /// Removes a fetch that ended from the table, or replaces it by a new one if it was requested
    /// again.
    fn restart(&self, object: &ObjectRef) -> Option<FetchTask> {
        let mut fetches = self.lock();
        let wanted = fetches.remove(object)?.again?;
        let (running, task) = self.new_fetch(wanted);
        fetches.insert(*object, running);
        Some(task)
    }

    async fn report(&self, object: ObjectRef, outcome: Result<(), FetchEnd>) {
        let event = match outcome {
            Ok(()) => NetEvent::ObjectReady(object),
            Err(FetchEnd::Failed(reason)) => NetEvent::ObjectFailed { object, reason },
            Err(FetchEnd::Cancelled) => return,
        };
        tokio::select! {
            // An error means that the daemon has dropped its receiver and wants no more events.
            _ = self.parts.events.send(event) => {}
            () = self.parts.tasks.token().cancelled() => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef, RunningFetch>> {
        // No code panics while it holds the lock, and every map operation leaves it consistent.
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

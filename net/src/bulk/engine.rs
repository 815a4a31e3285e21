//! The table of fetches and of served objects: what the daemon's calls reach.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fedshield_protocol::ids::IdentityKey;
use fedshield_protocol::object::ObjectRef;
use libp2p_stream::{Control, IncomingStreams};
use tokio::sync::{Semaphore, mpsc, watch};

use super::fetch::{Cancel, Ended, Fetch, Shared};
use super::holder::{self, Holder, StreamCounts};
use super::link::Links;
use super::served::{Audience, ServedObjects};
use super::store::ObjectStore;
use crate::config::Tuning;
use crate::connected::Connected;
use crate::error::{NetClosed, ObjectCallError};
use crate::event::NetEvent;
use crate::limits::{MAX_ACTIVE_FETCHES, MAX_FETCHES};
use crate::stats::{Counters, Label};
use crate::tasks::Tasks;

/// More holders for a running fetch, waiting to be taken up.
const MORE_HOLDERS_QUEUE: usize = 16;

/// What [`Bulk::start`] needs.
pub(crate) struct BulkSetup {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) control: Control,
    pub(crate) incoming: IncomingStreams,
    pub(crate) tuning: Tuning,
    pub(crate) counters: Arc<Counters>,
    pub(crate) connected: Arc<Connected>,
    pub(crate) events: mpsc::Sender<NetEvent>,
    pub(crate) tasks: Tasks,
}

/// All objects on their way in and out.
pub(crate) struct Bulk {
    shared: Arc<Shared>,
    served: Arc<ServedObjects>,
    /// Places for fetches that are at work; the others wait for one.
    places: Semaphore,
    fetches: Mutex<HashMap<ObjectRef, Running>>,
    events: mpsc::Sender<NetEvent>,
    tasks: Tasks,
}

/// What the daemon asked for.
struct Wanted {
    holders: Vec<IdentityKey>,
    label: Label,
}

struct Running {
    stop: watch::Sender<bool>,
    more: mpsc::Sender<Vec<IdentityKey>>,
    /// Asked for again after it was stopped: starts over when the old one has let go of the store.
    again: Option<Wanted>,
}

impl Bulk {
    pub(crate) fn start(setup: BulkSetup) -> Arc<Self> {
        let served = Arc::new(ServedObjects::default());
        let holder = Holder {
            store: setup.store.clone(),
            served: served.clone(),
            counters: setup.counters.clone(),
            stall: setup.tuning.stall_timeout,
            streams: StreamCounts::default(),
        };
        let accept = holder::accept(Arc::new(holder), setup.incoming, setup.tasks.clone());
        setup.tasks.spawn(accept);
        let links = Links::new(
            setup.control,
            setup.tuning.fetch_budget_chunks,
            setup.tuning.stall_timeout,
            setup.connected,
            setup.tasks.clone(),
        );
        let shared = Shared {
            store: setup.store,
            links,
            counters: setup.counters,
            stall: setup.tuning.stall_timeout,
        };
        Arc::new(Self {
            shared: Arc::new(shared),
            served,
            places: Semaphore::new(MAX_ACTIVE_FETCHES),
            fetches: Mutex::default(),
            events: setup.events,
            tasks: setup.tasks,
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

    pub(crate) fn unserve(&self, object: &ObjectRef) {
        self.served.unserve(object);
    }

    /// Only members keep their streams.
    pub(crate) fn retain_members(&self, members: &[IdentityKey]) {
        self.shared.links.retain(members);
    }

    /// Starts a fetch, or tells a running one of more holders.
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
            if *running.stop.borrow() {
                running.again = Some(Wanted { holders, label });
            } else if running.more.try_send(holders).is_err() {
                // It has holders enough to look through before it needs these.
                tracing::debug!(?object, "more holders than a fetch takes up");
            }
            return Ok(());
        }
        if fetches.len() >= MAX_FETCHES {
            return Err(ObjectCallError::TooMany { max: MAX_FETCHES });
        }
        let (running, stop, more) = Running::new();
        let task = self.clone().drive(object, Wanted { holders, label }, stop, more);
        if !self.tasks.spawn(task) {
            return Err(NetClosed.into());
        }
        fetches.insert(object, running);
        Ok(())
    }

    /// Stops a fetch; what came is kept. No event follows.
    pub(crate) fn stop_fetch(&self, object: &ObjectRef) {
        if let Some(running) = self.lock().get_mut(object) {
            running.again = None;
            running.stop.send_replace(true);
        }
    }

    async fn drive(
        self: Arc<Self>,
        object: ObjectRef,
        mut wanted: Wanted,
        mut stop: watch::Receiver<bool>,
        mut more: mpsc::Receiver<Vec<IdentityKey>>,
    ) {
        loop {
            let outcome = self.run_one(object, &wanted, stop, &mut more).await;
            match self.settle(&object) {
                Some((again, new_stop, new_more)) => {
                    (wanted, stop, more) = (again, new_stop, new_more);
                }
                None => return self.announce(object, outcome).await,
            }
        }
    }

    async fn run_one(
        &self,
        object: ObjectRef,
        wanted: &Wanted,
        stop: watch::Receiver<bool>,
        more: &mut mpsc::Receiver<Vec<IdentityKey>>,
    ) -> Result<(), Ended> {
        let mut cancel = Cancel { fetch: stop, node: self.tasks.stop_signal() };
        let _place = tokio::select! {
            place = self.places.acquire() => place,
            () = cancel.cancelled() => return Err(Ended::Stopped),
        };
        let counter = self.shared.counters.object(wanted.label);
        let fetch = Fetch { shared: self.shared.clone(), object, counter };
        Arc::new(fetch).run(&wanted.holders, more, cancel).await
    }

    /// Takes a fetch that ended out of the table, or starts it over if it was asked for again.
    fn settle(
        &self,
        object: &ObjectRef,
    ) -> Option<(Wanted, watch::Receiver<bool>, mpsc::Receiver<Vec<IdentityKey>>)> {
        let mut fetches = self.lock();
        let again = fetches.remove(object)?.again?;
        let (running, stop, more) = Running::new();
        fetches.insert(*object, running);
        Some((again, stop, more))
    }

    async fn announce(&self, object: ObjectRef, outcome: Result<(), Ended>) {
        let event = match outcome {
            Ok(()) => NetEvent::ObjectReady(object),
            Err(Ended::Failed(reason)) => NetEvent::ObjectFailed { object, reason },
            Err(Ended::Stopped) => return,
        };
        let mut stop = self.tasks.stop_signal();
        tokio::select! {
            // The daemon may be gone; then nobody minds.
            _ = self.events.send(event) => {}
            () = stop.stopped() => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef, Running>> {
        // No code panics while it holds the lock, and a map is whole at every step.
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn new() -> (Self, watch::Receiver<bool>, mpsc::Receiver<Vec<IdentityKey>>) {
        let (stop, stopped) = watch::channel(false);
        let (more, more_received) = mpsc::channel(MORE_HOLDERS_QUEUE);
        (Self { stop, more, again: None }, stopped, more_received)
    }
}

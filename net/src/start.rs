//! Starting a node: keys, transport, listeners, tasks.

use std::sync::Arc;
use std::time::Duration;

use libp2p::{Swarm, swarm};
use tokio::sync::{mpsc, watch};

use crate::address_book::AddressBook;
use crate::admission::AdmissionControl;
use crate::behaviour::Behaviour;
use crate::bulk::{Bulk, BulkParts};
use crate::config::NetConfig;
use crate::connected::Connected;
use crate::connection_budget::ConnectionBudget;
use crate::driver::{Driver, DriverParts, PresenceMonitor, QuicUpgrades, RecordExchange};
use crate::error::StartError;
use crate::event::NetEvent;
use crate::handle::NetHandle;
use crate::health::NetHealth;
use crate::key::identity_key_of;
use crate::limits::{COMMAND_QUEUE, EVENT_QUEUE};
use crate::listen::Listeners;
use crate::peer_records::{PeerRecords, RecordSaver};
use crate::presence::{Instances, SharedInstances};
use crate::protocols;
use crate::state::StatePublisher;
use crate::stats::Counters;
use crate::tasks::Tasks;
use crate::transport::{self, Resolver};

/// The library closes no idle connection: those of members stay open, the others are closed by the
/// driver.
const IDLE_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// The network of one node.
#[derive(Debug)]
pub struct Net;

impl Net {
    /// Starts a node inside a tokio runtime. When it returns, the node listens on every address
    /// that is available; the others are retried, see [`NetHandle::state`]. The receiver must be
    /// read: while it is full, the network is not.
    ///
    /// # Errors
    /// [`StartError`], for problems that a retry does not solve; nothing is left running then.
    pub async fn start(
        config: NetConfig,
    ) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), StartError> {
        let pair = config.identity.to_keypair()?;
        let peer = pair.public().to_peer_id();
        let local_key = identity_key_of(&peer).ok_or(StartError::Identity)?;
        let counters = Arc::new(Counters::default());
        let tuning = config.tuning;
        let now = tokio::time::Instant::now();
        let instances = Instances::new(pair.clone(), local_key, tuning.hello_interval, now);
        let instances = SharedInstances::new(instances);
        let budget = ConnectionBudget::of(tuning.max_descriptors);
        let shared = tuning.shared_origins.clone();
        let admission = AdmissionControl::new(budget.slots, shared, counters.clone());
        let behaviour =
            Behaviour::new(&pair, &counters, instances.clone(), &tuning, admission.clone())?;
        let state = StatePublisher::default();
        let mut listeners = Listeners::new(&config.listen, peer, state.clone())?;
        let resolver = Resolver::new(state.clone());
        let transport = transport::build(&pair, &counters.transport, resolver, admission.clone())?;
        let swarm_config =
            swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT);
        let swarm_config = swarm_config.with_dial_concurrency_factor(budget.sockets_per_dial);
        let mut swarm = Swarm::new(transport, behaviour, peer, swarm_config);
        let early = listeners.start(&mut swarm).await?;

        let control = swarm.behaviour_mut().members.inner().streams.new_control();
        let incoming = control
            .clone()
            .accept(protocols::BULK)
            .map_err(|error| StartError::Setup(error.to_string()))?;
        let (commands, commands_in) = mpsc::channel(COMMAND_QUEUE);
        let (events, events_out) = mpsc::channel(EVENT_QUEUE);
        let connected = Arc::new(Connected::default());
        let (health, health_out) = watch::channel(NetHealth::default());
        let tasks = Tasks::default();
        let bulk_parts = BulkParts {
            store: config.store,
            control,
            tuning: tuning.clone(),
            counters: counters.clone(),
            connected: connected.clone(),
            events: events.clone(),
            tasks: tasks.clone(),
        };
        let bulk = Bulk::start(bulk_parts, incoming);
        let (saver, stored) = RecordSaver::start(config.addresses, state.clone(), &tasks).await;
        let mut records = PeerRecords::new(pair);
        let refused = records.load(stored);
        if refused > 0 {
            tracing::warn!(refused, "some of the stored peer records are not valid");
        }
        let presence = PresenceMonitor::new(
            instances,
            health,
            admission.clone(),
            tuning.hello_interval,
            budget.connections,
        );
        let driver = Driver::new(DriverParts {
            swarm,
            commands: commands_in,
            events,
            book: AddressBook::new(peer, tuning.redial_base, tuning.redial_cap),
            bulk: bulk.clone(),
            counters: counters.clone(),
            connected: connected.clone(),
            tasks,
            listeners,
            admission,
            presence,
            records: RecordExchange::new(records, saver),
            quic_upgrades: QuicUpgrades::new(tuning.quic_upgrade_base),
        });
        tokio::spawn(driver.run(early));
        let handle =
            NetHandle { local_key, state, commands, bulk, counters, connected, health: health_out };
        Ok((handle, events_out))
    }
}

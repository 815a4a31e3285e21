//! Starting a node: keys, transport, listeners, tasks.

use std::sync::Arc;
use std::time::Duration;

use libp2p::{Swarm, swarm};
use tokio::sync::{mpsc, watch};

use crate::address_book::AddressBook;
use crate::addresses::{Records, Saver};
use crate::admission::Door;
use crate::behaviour::Behaviour;
use crate::bulk::{Bulk, BulkParts};
use crate::config::NetConfig;
use crate::connected::Connected;
use crate::descriptors::Room;
use crate::driver::{Driver, Setup};
use crate::error::StartError;
use crate::event::NetEvent;
use crate::handle::NetHandle;
use crate::health::NetHealth;
use crate::key::identity_key_of;
use crate::limits::{COMMAND_QUEUE, EVENT_QUEUE};
use crate::listen::Listeners;
use crate::names::Names;
use crate::presence::{Copies, SharedCopies};
use crate::protocols;
use crate::state::StateBoard;
use crate::stats::Counters;
use crate::tasks::Tasks;
use crate::transport;

/// Connections stay open; who has no business here is sent away by the driver.
const IDLE_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// The network of one node.
#[derive(Debug)]
pub struct Net;

impl Net {
    /// Starts a node: when it returns, every address is listened on that there is; the others are
    /// waited for, see [`NetHandle::state`]. Must be called inside a tokio runtime. Events must be
    /// read: while the queue is full the network waits.
    ///
    /// # Errors
    /// [`StartError`], what time does not mend; nothing is left running then.
    pub async fn start(
        config: NetConfig,
    ) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), StartError> {
        let pair = config.identity.to_keypair()?;
        let peer = pair.public().to_peer_id();
        let local_key = identity_key_of(&peer).ok_or(StartError::Identity)?;
        let counters = Arc::new(Counters::default());
        let tuning = config.tuning;
        let now = tokio::time::Instant::now();
        let copies =
            SharedCopies::new(Copies::new(pair.clone(), local_key, tuning.hello_interval, now));
        let room = Room::of(tuning.max_descriptors);
        let door = Door::new(room.places, tuning.shared_origins.clone(), counters.clone());
        let behaviour = Behaviour::new(&pair, &counters, copies.clone(), &tuning, door.clone())?;
        let board = StateBoard::default();
        let mut listeners = Listeners::new(&config.listen, peer, board.clone())?;
        let names = Names::new(board.clone());
        let transport = transport::build(&pair, &counters.transport, names, &door)?;
        let swarm_config =
            swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_TIMEOUT);
        let swarm_config = swarm_config.with_dial_concurrency_factor(room.sockets_per_dial);
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
        let (saver, kept) = Saver::start(config.addresses, board.clone(), &tasks).await;
        let mut records = Records::new(pair);
        let refused = records.load(kept);
        if refused > 0 {
            tracing::warn!(refused, "some of the kept addresses are not signed as they should be");
        }
        let driver = Driver::new(Setup {
            swarm,
            commands: commands_in,
            events,
            book: AddressBook::new(peer, tuning.redial_base, tuning.redial_cap),
            bulk: bulk.clone(),
            counters: counters.clone(),
            connected: connected.clone(),
            tasks,
            copies,
            health,
            tuning,
            listeners,
            door,
            records,
            saver,
            early,
        });
        tokio::spawn(driver.run());
        let handle = NetHandle {
            local_key,
            state: board,
            commands,
            bulk,
            counters,
            connected,
            health: health_out,
        };
        Ok((handle, events_out))
    }
}

//! Brings a node up. Errors that waiting cannot resolve are checked first; then the control socket
//! answers; then each part comes up when it can, see `opening`.

use std::sync::Arc;
use std::time::Duration;

use fedshield_net::{
    Multiaddr, Net, NetConfig, NetEvent, NetHandle, ObjectStore, SecretKey, Tuning,
};
use fedshield_protocol::manifest::Member;
use fedshield_train::{ComputeDevice, TrainError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::NodeError;
use super::address_port::AddressFile;
use super::early::{Early, note_start};
use super::opening::Startup;
use super::reload::Reload;
use super::serving;
use super::turn::{Node, beat};
use super::{listening, net_conditions, net_metrics, transports};
use crate::conditions::Conditions;
use crate::config::{Config, Loaded, TrainerKind};
use crate::control::api::{Condition, NodeStatus, Severity};
use crate::control::{ControlHost, control_channel};
use crate::descriptors;
use crate::founding::{Interfaces, announced, finish_leaving};
use crate::home::Home;
use crate::host::LowPriorityPool;
use crate::http::Metrics;
use crate::identity::{Identity, Passphrase};
use crate::learning::{CommandSettings, LearningSources};
use crate::objects::Objects;
use crate::private;
use crate::service::{Watchdog, notify_ready, report_status};

/// Starts a node. `None` if it was stopped while it waited for something. `control` becomes the task that answers on the control
/// socket.
///
/// # Errors
/// Errors that waiting cannot resolve.
pub(super) async fn start(
    home: &Home,
    loaded: Loaded,
    passphrase: Option<Passphrase>,
    mut reload: Reload,
    control: &mut Option<JoinHandle<()>>,
    stop: &CancellationToken,
) -> Result<Option<Node>, NodeError> {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let config = loaded.config;
    // Must precede the opening of any file.
    let budget = descriptors::budget();
    let sources = sources(&config, home)?;
    let lock = home.lock()?;
    if finish_leaving(home)? {
        tracing::info!("what belonged to the federation that was left has been erased");
    }
    let identity = Arc::new(open_identity(home, passphrase)?);
    use_threads(config.training.threads);
    let low_priority = LowPriorityPool::new(config.training.threads)?;
    let personal = config.training.personal;
    let mut early = Early::new(home, &identity);
    let mut first = NodeStatus::starting(&config.name, identity.key());
    early.show(&mut first);
    let (port, ControlHost { mut commands, status }) = control_channel(first);
    let status = Arc::new(status);
    let conditions = Conditions::new(Arc::clone(&status));
    *control = Some(serving::serve_control(home, &config, port.clone(), &conditions, stop)?);
    tokio::spawn(report_status(status.subscribe()));
    erase_left_over(home, &conditions);
    // From here on the node answers, whatever it waits for; if readiness waited for more, a service
    // manager would kill a node because of a missing mount.
    note_start(&conditions, "opens its files");
    notify_ready();
    let metrics = Metrics::default();
    let services = TaskTracker::new();
    if let Some(pages) =
        serving::serve_http(&config, port, &conditions, &status, metrics.clone(), stop)
    {
        services.spawn(pages);
    }
    serving::watch_log(&conditions, stop);
    let external = config.external_addresses.clone();
    let opening = Startup {
        home: home.clone(),
        config,
        identity: Arc::clone(&identity),
        sources: sources.clone(),
        conditions: conditions.clone(),
        status: Arc::clone(&status),
        ledger: Arc::clone(&early.ledger),
    };
    let opened = {
        let mut opened = Box::pin(opening.open());
        let (watchdog, mut watched) = (Watchdog::from_environment(), status.subscribe());
        let mut beats = watchdog.interval().map(tokio::time::interval);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                opened = &mut opened => break opened?,
                command = commands.recv() => {
                    let Some(command) = command else {
                        // During a shutdown everything that this loop listens to ends, in no order.
                        if stop.is_cancelled() {
                            return Ok(None);
                        }
                        return Err(NodeError::Gone("the control socket"));
                    };
                    let now = status.borrow().clone();
                    early.command(command, &now, stop);
                }
                _ = watched.changed() => {
                    let now = watched.borrow_and_update().clone();
                    early.refuse_if_held_up(&now);
                }
                () = beat(&mut beats) => watchdog.beat(),
                () = reload.asked() => reload.reload(&conditions),
            }
        }
    };
    let (net, founding, peers) = (opened.net, opened.founding, opened.peers);
    tokio::spawn(net_conditions::watch(
        conditions.clone(),
        net.health(),
        founding.view(),
        budget,
        stop.clone(),
    ));
    tokio::spawn(net_metrics::follow(metrics, net.clone(), founding.view(), stop.clone()));
    tokio::spawn(transports::follow(
        net.clone(),
        founding.view(),
        Arc::clone(&status),
        stop.clone(),
    ));
    listening::follow(net.clone(), founding.clone(), external, Arc::clone(&status), stop.clone());
    peers.follow(net.clone(), founding.clone(), Arc::clone(&status), stop.clone());
    Ok(Some(Node {
        home: home.clone(),
        identity,
        secrets: opened.secrets,
        journal: Some(opened.journal),
        ledger: opened.ledger,
        objects: opened.objects,
        sources,
        model: Some(opened.model),
        net,
        net_events: opened.net_events,
        founding,
        peers,
        status,
        conditions,
        commands,
        held: early.into_held(),
        host: None,
        low_priority,
        personal,
        reload,
        services,
        founding_error: None,
        left: false,
        _lock: lock,
    }))
}

fn open_identity(home: &Home, given: Option<Passphrase>) -> Result<Identity, NodeError> {
    let passphrase = match given {
        Some(passphrase) => Some(passphrase),
        None => Passphrase::from_environment()?,
    };
    Ok(Identity::open(&home.identity(), passphrase.as_ref())?)
}

/// The settings that are about learning.
///
/// # Errors
/// [`NodeError::Setting`]: a setting that has no default is missing.
pub(super) fn sources(config: &Config, home: &Home) -> Result<LearningSources, NodeError> {
    let missing = |key, what: &str| NodeError::Setting {
        key,
        reason: format!("is not set: {what}, in config.toml or with a flag of `init`"),
    };
    let model =
        config.model.path.clone().ok_or_else(|| missing("model.path", "name the base model"))?;
    if config.data.train.is_empty() {
        return Err(missing("data.train", "name at least one file of examples"));
    }
    let device = ComputeDevice::parse(&config.training.device).map_err(device_error)?;
    Ok(LearningSources {
        model,
        train: config.data.train.clone(),
        held_out: config.data.held_out.clone(),
        held_out_fraction: config.data.held_out_fraction.unwrap_or(DEFAULT_HELD_OUT),
        test: config.data.test.clone(),
        test_fraction: config.data.test_fraction.unwrap_or(0.0),
        device,
        gradient_checkpointing: config.training.gradient_checkpointing,
        packing: config.training.packing,
        base_precision: config.training.base_precision,
        compute_precision: config.training.compute_precision,
        template: config.data.template.clone(),
        reading: config.data.reading().map_err(data_error)?,
        spill: Some(home.path().to_owned()),
        first_adapter: home.first_adapter(),
        command: command(config, home),
    })
}

fn command(config: &Config, home: &Home) -> Option<CommandSettings> {
    let training = &config.training;
    (training.trainer == TrainerKind::Command).then(|| {
        // Absolute, so that the trainer finds its files whatever folder the daemon was started in.
        let folder = std::path::absolute(home.path()).unwrap_or_else(|_| home.path().to_path_buf());
        CommandSettings {
            program: training.command.clone(),
            work: Home::new(&folder).trainer_work(),
            folder,
            timeout: Duration::from_secs(training.command_timeout_s),
        }
    })
}

/// Erases files that a killed daemon left for its trainer command. Called under the lock, so no
/// other daemon is using them.
fn erase_left_over(home: &Home, conditions: &Conditions) {
    let folder = home.trainer_work();
    if !std::fs::read_dir(&folder).is_ok_and(|mut left| left.next().is_some()) {
        return;
    }
    match private::erase_content(&folder) {
        Ok(()) => tracing::info!(
            "files that the last daemon left for its trainer command were \
                                  erased"
        ),
        Err(error) => {
            let message = format!("plaintext training data could not be erased: {error}");
            let hint = format!("erase {} as the user that owns the files", folder.display());
            let condition = Condition::new("training-data-left", Severity::Warning, message);
            conditions.set(condition.with_hint(hint));
        }
    }
}

fn data_error(error: TrainError) -> NodeError {
    NodeError::Setting { key: "data", reason: error.to_string() }
}

fn device_error(error: TrainError) -> NodeError {
    NodeError::Setting { key: "training.device", reason: error.to_string() }
}

/// Fraction of the examples that is held out of training when no held-out file is named.
const DEFAULT_HELD_OUT: f64 = 0.1;

fn use_threads(threads: usize) {
    if threads > 0 {
        // Fails only if the pool exists already, as in tests with several nodes in one process.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
}

pub(super) async fn listen(
    config: &Config,
    home: &Home,
    identity: &Identity,
    objects: &Arc<Objects>,
) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), NodeError> {
    let listen = config
        .listen
        .iter()
        .map(|text| {
            text.parse::<Multiaddr>().map_err(|e| NodeError::Setting {
                key: "listen",
                reason: format!("`{text}` is not a multiaddress: {e}"),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let tuning = Tuning {
        max_descriptors: descriptors::budget().net,
        shared_origins: config
            .shared_networks()
            .map_err(|e| NodeError::Setting { key: "shared_origins", reason: e.to_string() })?,
        ..Tuning::default()
    };
    let started = Net::start(NetConfig {
        identity: SecretKey::new(identity.seed()),
        listen,
        store: Arc::clone(objects) as Arc<dyn ObjectStore>,
        addresses: Arc::new(AddressFile(home.addresses())),
        tuning,
    });
    Ok(started.await?)
}

/// This node's entry in a draft without its sealing key, which is different for each draft.
pub(super) fn own_entry(config: &Config, identity: &Identity, net: &NetHandle) -> Member {
    let interfaces = Interfaces::of_this_machine();
    let told = announced(&net.listen_addresses(), &config.external_addresses, &interfaces);
    let (name, identity_key) = (config.name.clone(), identity.key());
    let (addresses, weight) = (told.addresses, config.weight);
    Member { name, identity_key, sealing_key: Vec::new(), addresses, weight }
}

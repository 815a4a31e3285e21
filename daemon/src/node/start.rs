//! Opens everything that a node needs, in an order in which each failure is found before others notice.

use std::sync::Arc;
use std::time::Duration;

use fedshield_net::{Multiaddr, Net, NetConfig, NetEvent, NetHandle, SecretKey, Tuning};
use fedshield_protocol::manifest::Member;
use fedshield_train::{ComputeDevice, TrainError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::NodeError;
use super::object_port::NetObjects;
use super::ports::NetJoinPort;
use super::turn::Node;
use crate::conditions::Conditions;
use crate::config::{Config, Loaded, TrainerKind};
use crate::control::api::{Condition, NodeStatus, Severity};
use crate::control::{ControlHost, ControlPort, ControlServer, control_channel};
use crate::founding::{Founding, Local, announced};
use crate::home::Home;
use crate::host::SpareTime;
use crate::http::{HttpServer, Metrics};
use crate::identity::{Identity, Passphrase, SecretStore};
use crate::journal::{Entry, Journal};
use crate::objects::Objects;
use crate::pipeline::{CommandSettings, LearningSources, OpenedModel};
use crate::private;
use crate::randomness::os_random;
use crate::sealing_keys;
use crate::store::{Ledger, SledStore};

/// Starts a node up to the point where it can be talked to.
pub(super) async fn start(
    home: &Home,
    loaded: Loaded,
    passphrase: Option<Passphrase>,
    rebuild_store: bool,
    stop: &CancellationToken,
) -> Result<Node, NodeError> {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let config = loaded.config;
    let lock = home.lock()?;
    let identity = Arc::new(open_identity(home, passphrase)?);
    let secrets = Arc::new(SecretStore::open(&home.secrets(), &identity)?);
    let (journal, entries) = open_journal(home)?;
    // Under the lock: nobody else may be using what is put aside.
    if rebuild_store && let Some(aside) = SledStore::put_aside(&home.store())? {
        tracing::warn!(folder = %aside.display(), "the old store was put aside");
    }
    let ledger = Arc::new(Ledger::new(Arc::new(SledStore::open(&home.store())?)));
    let objects = Arc::new(Objects::open(&home.objects())?);
    let sources = sources(&config, home)?;
    use_threads(config.training.threads);
    let spare = SpareTime::new(config.training.threads)?;
    let model = open_model(sources).await?;
    let base_model = model.digest();
    // Bound before the network: whoever sees that this node listens can talk to it, and waits a moment for the answer.
    let control = bind_control(home, &config)?;
    let (net, net_events) = listen(&config, &identity, &objects).await?;
    let local = Local {
        member: own_entry(home, &config, &identity, &secrets, &net)?,
        base_model,
        trainer_command: config.training.trainer == TrainerKind::Command,
    };
    let founding =
        Founding::open(home, Arc::clone(&identity), local, Arc::new(NetJoinPort(net.clone())))?;
    let (port, ControlHost { commands, status }) =
        control_channel(first_status(&config, &identity, &net));
    serve_control(control, port.clone(), stop);
    let http = serve_http(&config, port, stop).await?;
    status.send_modify(|status| status.http = http);
    let status = Arc::new(status);
    erase_left_over(home, &status);
    Ok(Node {
        home: home.clone(),
        identity,
        secrets,
        journal: Some((journal, entries)),
        ledger,
        objects,
        model: Some(model),
        net,
        net_events,
        founding,
        status,
        commands,
        host: None,
        spare,
        _lock: lock,
    })
}

fn open_identity(home: &Home, given: Option<Passphrase>) -> Result<Identity, NodeError> {
    let passphrase = match given {
        Some(passphrase) => Some(passphrase),
        None => Passphrase::from_environment()?,
    };
    Ok(Identity::open(&home.identity(), passphrase.as_ref())?)
}

fn open_journal(home: &Home) -> Result<(Journal, Vec<Vec<u8>>), NodeError> {
    let (journal, replay) = Journal::open(&home.journal())?;
    if let Some(torn) = replay.torn {
        tracing::warn!(
            offset = torn.offset,
            bytes = torn.length,
            "the journal's torn end was cut off"
        );
    }
    let entries = replay.entries.into_iter().map(|Entry { bytes, .. }| bytes).collect();
    Ok((journal, entries))
}

fn sources(config: &Config, home: &Home) -> Result<LearningSources, NodeError> {
    let missing = |key, what: &str| NodeError::Setting {
        key,
        reason: format!("is not set: {what}, in config.toml or with a flag of `init`"),
    };
    let model =
        config.model.path.clone().ok_or_else(|| missing("model.path", "name the base model"))?;
    if config.data.train.is_empty() {
        return Err(missing("data.train", "name at least one JSONL file"));
    }
    let device = ComputeDevice::parse(&config.training.device).map_err(device_error)?;
    Ok(LearningSources {
        model,
        train: config.data.train.clone(),
        held_out: config.data.held_out.clone(),
        held_out_fraction: config.data.held_out_fraction.unwrap_or(DEFAULT_HELD_OUT),
        device,
        gradient_checkpointing: config.training.gradient_checkpointing,
        packing: config.training.packing,
        base_precision: config.training.base_precision,
        template: config.data.template.clone(),
        first_adapter: home.first_adapter(),
        command: command(config, home),
    })
}

fn command(config: &Config, home: &Home) -> Option<CommandSettings> {
    let training = &config.training;
    (training.trainer == TrainerKind::Command).then(|| {
        // The program and its requests must find each other whatever folder the daemon was started in.
        let folder = std::path::absolute(home.path()).unwrap_or_else(|_| home.path().to_path_buf());
        CommandSettings {
            program: training.command.clone(),
            work: Home::new(&folder).trainer_work(),
            folder,
            timeout: Duration::from_secs(training.command_timeout_s),
        }
    })
}

/// Erases what a trainer command was given by a daemon that was killed: under the lock, so nobody else is using it.
fn erase_left_over(home: &Home, status: &Arc<watch::Sender<NodeStatus>>) {
    let folder = home.trainer_work();
    if !std::fs::read_dir(&folder).is_ok_and(|mut left| left.next().is_some()) {
        return;
    }
    match private::erase_content(&folder) {
        Ok(()) => tracing::info!("what the last daemon left for its trainer command was erased"),
        Err(error) => {
            let message = format!("training data in clear could not be erased: {error}");
            let hint = format!("erase {} as the user that owns the files", folder.display());
            let condition = Condition::new("training-data-left", Severity::Warning, message);
            Conditions::new(Arc::clone(status)).set(condition.with_hint(hint));
        }
    }
}

fn device_error(error: TrainError) -> NodeError {
    NodeError::Setting { key: "training.device", reason: error.to_string() }
}

/// Part of the examples that stays out of training when no held-out file is named.
const DEFAULT_HELD_OUT: f64 = 0.1;

fn use_threads(threads: usize) {
    if threads > 0 {
        // Fails only if the pool exists already, as in tests with several nodes in one process.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
}

async fn open_model(mut sources: LearningSources) -> Result<OpenedModel, NodeError> {
    let work = tokio::task::spawn_blocking(move || {
        sources.device = sources.device.resolve().map_err(device_error)?;
        tracing::info!(device = sources.device.name(), "training device");
        let model = OpenedModel::open(sources).map_err(NodeError::Model)?;
        model.check_data().map_err(NodeError::Data)?;
        Ok(model)
    });
    work.await.map_err(|_| NodeError::Gone("reading the model"))?
}

async fn listen(
    config: &Config,
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
    let started = Net::start(NetConfig {
        identity: SecretKey::new(identity.seed()),
        listen,
        store: Arc::new(NetObjects(Arc::clone(objects))),
        tuning: Tuning::default(),
    });
    Ok(started.await?)
}

fn own_entry(
    home: &Home,
    config: &Config,
    identity: &Identity,
    secrets: &SecretStore,
    net: &NetHandle,
) -> Result<Member, NodeError> {
    // Once founded, the entry in the manifest stands, and its first key may have been erased.
    let sealing_key = if home.manifest().exists() {
        Vec::new()
    } else {
        let mut rng = os_random().map_err(NodeError::Randomness)?;
        sealing_keys::first(secrets, &mut rng)?.public().to_bytes()
    };
    let addresses = announced(net.listen_addresses(), &config.external_addresses);
    Ok(Member { name: config.name.clone(), identity_key: identity.key(), sealing_key, addresses })
}

fn first_status(config: &Config, identity: &Identity, net: &NetHandle) -> NodeStatus {
    NodeStatus {
        listen: net.listen_addresses().iter().map(ToString::to_string).collect(),
        ..NodeStatus::starting(&config.name, identity.key())
    }
}

fn bind_control(home: &Home, config: &Config) -> Result<ControlServer, NodeError> {
    let path = config.control.socket.clone().unwrap_or_else(|| home.control_socket());
    Ok(ControlServer::bind(&path)?)
}

fn serve_control(server: ControlServer, port: ControlPort, stop: &CancellationToken) {
    let stop = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = server.serve(port, stop).await {
            tracing::error!(%error, "the control socket failed");
        }
    });
}

async fn serve_http(
    config: &Config,
    port: ControlPort,
    stop: &CancellationToken,
) -> Result<Option<String>, NodeError> {
    let Some(address) = config.http.listen else { return Ok(None) };
    let server = HttpServer::bind(address).await?;
    let address = server.address();
    let stop = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = server.serve(port, Metrics::default(), stop).await {
            tracing::error!(%error, "metrics and dashboard failed");
        }
    });
    tracing::info!(%address, "dashboard");
    Ok(Some(address.to_string()))
}

//! Opens everything that a node needs, in an order in which each failure is found before others notice.

use std::sync::Arc;
use std::time::Duration;

use fedshield_net::{Multiaddr, Net, NetConfig, NetEvent, NetHandle, SecretKey, Tuning};
use fedshield_protocol::manifest::Member;
use fedshield_train::{ComputeDevice, TrainError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::NodeError;
use super::object_port::NetObjects;
use super::ports::NetJoinPort;
use super::turn::Node;
use crate::config::{Config, Loaded, TrainerKind};
use crate::control::api::NodeStatus;
use crate::control::{ControlHost, ControlPort, ControlServer, control_channel};
use crate::founding::{Founding, Local, announced, finish_leaving};
use crate::home::Home;
use crate::host::SpareTime;
use crate::http::{HttpServer, Metrics};
use crate::identity::{Identity, Passphrase, SecretStore};
use crate::journal::{Entry, Journal};
use crate::objects::Objects;
use crate::pipeline::{CommandSettings, LearningSources, OpenedModel};
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
    if finish_leaving(home)? {
        tracing::info!("what belonged to the federation that was left has been erased");
    }
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
        member: own_entry(&config, &identity, &net),
        base_model,
        trainer_command: config.training.trainer == TrainerKind::Command,
    };
    let port = Arc::new(NetJoinPort(net.clone()));
    let check = Arc::new(model.checker());
    let founding = Founding::open(home, Arc::clone(&identity), local, port, check)?;
    let (port, ControlHost { commands, status }) =
        control_channel(first_status(&config, &identity, &net));
    let mut services = vec![serve_control(control, port.clone(), stop)];
    let http = serve_http(&config, port, stop, &mut services).await?;
    status.send_modify(|status| status.http = http);
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
        status: Arc::new(status),
        commands,
        host: None,
        spare,
        services,
        founding_error: None,
        left: false,
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
            work: folder.join("training").join("command"),
            folder,
            timeout: Duration::from_secs(training.command_timeout_s),
        }
    })
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

/// This node's entry in a draft but for its sealing key, which each draft has its own.
fn own_entry(config: &Config, identity: &Identity, net: &NetHandle) -> Member {
    let addresses = announced(net.listen_addresses(), &config.external_addresses);
    let (name, identity_key) = (config.name.clone(), identity.key());
    Member { name, identity_key, sealing_key: Vec::new(), addresses }
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

fn serve_control(
    server: ControlServer,
    port: ControlPort,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let stop = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = server.serve(port, stop).await {
            tracing::error!(%error, "the control socket failed");
        }
    })
}

async fn serve_http(
    config: &Config,
    port: ControlPort,
    stop: &CancellationToken,
    services: &mut Vec<JoinHandle<()>>,
) -> Result<Option<String>, NodeError> {
    let Some(address) = config.http.listen else { return Ok(None) };
    let server = HttpServer::bind(address).await?;
    let address = server.address();
    let stop = stop.clone();
    services.push(tokio::spawn(async move {
        if let Err(error) = server.serve(port, Metrics::default(), stop).await {
            tracing::error!(%error, "metrics and dashboard failed");
        }
    }));
    tracing::info!(%address, "dashboard");
    Ok(Some(address.to_string()))
}

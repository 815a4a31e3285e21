//! One node: opens what is on disk, listens, founds or joins a federation, then hosts its rounds until stopped.

mod commands;
mod doctor;
mod object_port;
mod ports;
mod start;
mod turn;

use fedshield_net::StartError;
use tokio_util::sync::CancellationToken;

use crate::config::{Loaded, Overrides};
use crate::error_code::ErrorCode;
use crate::home::Home;
use crate::identity::Passphrase;
use crate::service::{init_logging, keep_private, stop_on_signals};

/// Why a node cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The home folder.
    #[error(transparent)]
    Home(#[from] crate::home::HomeError),
    /// The identity.
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    /// A file.
    #[error(transparent)]
    Disk(#[from] crate::durable::DiskError),
    /// The sealed secrets.
    #[error(transparent)]
    Secrets(#[from] crate::identity::SecretStoreError),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// The objects.
    #[error(transparent)]
    Objects(#[from] crate::objects::ObjectStoreError),
    /// The configuration lacks something that a node needs.
    #[error("configuration: `{key}` {reason}")]
    Setting {
        /// Dotted key.
        key: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The network.
    #[error("cannot listen: {0}")]
    Network(#[from] StartError),
    /// Founding or joining.
    #[error(transparent)]
    Founding(#[from] crate::founding::FoundingError),
    /// The base model's files.
    #[error("base model: {0}")]
    Model(#[source] fedshield_train::TrainError),
    /// The data files.
    #[error("data: {0}")]
    Data(#[source] fedshield_train::TrainError),
    /// Model, data and manifest together.
    #[error(transparent)]
    Pipeline(#[from] crate::pipeline::PipelineError),
    /// The manifest on disk.
    #[error("the manifest on disk is not valid: {0}")]
    Manifest(#[from] fedshield_protocol::manifest::FoundingError),
    /// A member's entry in the manifest.
    #[error("members of the manifest: {0}")]
    Members(#[from] fedshield_net::MembersError),
    /// The rounds.
    #[error(transparent)]
    Host(#[from] crate::host::HostError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// Logs.
    #[error(transparent)]
    Log(#[from] crate::service::LogError),
    /// Metrics and dashboard.
    #[error(transparent)]
    Http(#[from] crate::http::HttpError),
    /// Threads or signals.
    #[error("the system refuses what a daemon needs: {0}")]
    System(#[from] std::io::Error),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] crate::control::ControlError),
    /// Randomness of the operating system.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(String),
    /// A part of the daemon ended by itself.
    #[error("{0} has stopped unexpectedly")]
    Gone(&'static str),
}

impl NodeError {
    /// The stable code that the command line turns into an exit code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Home(crate::home::HomeError::Disk(e)) | Self::Disk(e) => e.code(),
            Self::Home(_) => ErrorCode::AddressInUse,
            Self::Identity(e) => e.code(),
            Self::Secrets(e) => e.code(),
            Self::Store(e) => e.code(),
            Self::Journal(e) => e.code(),
            Self::Objects(e) => e.code(),
            Self::Network(StartError::AddressInUse { .. }) => ErrorCode::AddressInUse,
            Self::Control(e) => e.code(),
            Self::Config(e) => e.code(),
            Self::Http(e) => e.code(),
            Self::Pipeline(e) => e.code(),
            Self::Host(e) => e.code(),
            Self::System(e) if crate::durable::DiskError::is_full(e) => ErrorCode::DiskFull,
            Self::Log(_) => ErrorCode::ConfigInvalid,
            Self::Founding(e) => e.code(),
            Self::Model(_) => ErrorCode::ModelUnreadable,
            Self::Data(_) => ErrorCode::DataUnreadable,
            Self::Setting { .. } | Self::Network(_) => ErrorCode::ConfigInvalid,
            _ => ErrorCode::Internal,
        }
    }
}

/// Runs a node as a process of its own: configuration, logs, signals, then [`run`]. Without a `passphrase` it is taken from
/// the environment, see [`Passphrase::from_environment`].
///
/// # Errors
/// See [`NodeError`].
pub fn run_process(
    home: &Home,
    overrides: &Overrides,
    passphrase: Option<Passphrase>,
    rebuild_store: bool,
) -> Result<(), NodeError> {
    keep_private();
    let loaded = Loaded::read(home, overrides)?;
    init_logging(&loaded.config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let stop = stop_on_signals()?;
        run(home, loaded, passphrase, rebuild_store, stop).await
    });
    // A job that computes looks at its cancel flag between steps; nobody waits for it any longer than this.
    runtime.shutdown_timeout(JOB_LIMIT);
    result
}

/// How long running jobs may take to notice that the daemon stops.
const JOB_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Runs a node until `stop`. With `rebuild_store` the store's folder is put aside first and the node begins with an empty
/// one, which it fills with the other members' records.
///
/// # Errors
/// See [`NodeError`]; nothing is lost, the next start goes on from what is on disk.
pub async fn run(
    home: &Home,
    loaded: Loaded,
    passphrase: Option<Passphrase>,
    rebuild_store: bool,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let node = start::start(home, loaded, passphrase, rebuild_store, &stop).await?;
    node.run(stop).await
}

//! One node: opens what is on disk, listens, founds or joins a federation, then hosts its rounds
//! until stopped.

mod activation;
mod address_port;
mod begin;
mod commands;
mod doctor;
mod early;
pub(crate) mod evidence;
mod files;
mod founding_status;
mod listening;
mod net_conditions;
mod net_metrics;
mod opening;
mod peers;
mod ports;
mod preflight;
mod reload;
mod serving;
mod start;
mod transport_check;
mod transports;
mod turn;
mod waiter;

use fedshield_net::StartError;
use tokio_util::sync::CancellationToken;

use crate::config::{Loaded, Overrides};
use crate::error_code::ErrorCode;
use crate::home::Home;
use crate::identity::Passphrase;
use crate::service::{LogError, init_logging, keep_private, listen_to_signals, notify_stopping};
pub(crate) use early::founded;
use reload::Reload;

pub use preflight::{Finding, Impact, preflight};
pub use waiter::waits_for;

/// Why a node cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The home folder cannot be used.
    #[error(transparent)]
    Home(#[from] crate::home::HomeError),
    /// The identity cannot be opened.
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    /// A file cannot be read or written.
    #[error(transparent)]
    Disk(#[from] crate::durable::DiskError),
    /// The store of sealed secrets failed.
    #[error(transparent)]
    Secrets(#[from] crate::identity::SecretStoreError),
    /// The store of records, reports and evidence failed.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// The object folder failed.
    #[error(transparent)]
    Objects(#[from] crate::objects::ObjectStoreError),
    /// The configuration lacks something that a node needs.
    #[error("configuration: `{key}` {reason}")]
    Setting {
        /// The setting's dotted key.
        key: &'static str,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The network cannot start, for a reason that waiting cannot resolve.
    #[error("the network does not start: {0}")]
    Network(#[from] StartError),
    /// Founding or joining failed.
    #[error(transparent)]
    Founding(#[from] crate::founding::FoundingError),
    /// The training device cannot be used.
    #[error("training device: {0}")]
    Device(#[source] fedshield_train::TrainError),
    /// The base model's files cannot be read.
    #[error("base model: {0}")]
    Model(#[source] fedshield_train::TrainError),
    /// The data files cannot be read.
    #[error("data: {0}")]
    Data(#[source] fedshield_train::TrainError),
    /// Model, data and manifest do not fit together.
    #[error(transparent)]
    Pipeline(#[from] crate::jobs::PipelineError),
    /// The manifest on disk is not valid.
    #[error("the manifest on disk is not valid: {0}")]
    Manifest(#[from] fedshield_protocol::manifest::ManifestSignatureError),
    /// A member's entry in the manifest is not usable by the network.
    #[error("members of the manifest: {0}")]
    Members(#[from] fedshield_net::MembersError),
    /// The host of the rounds had to stop.
    #[error(transparent)]
    Host(#[from] crate::host::HostError),
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// Logging cannot be set up.
    #[error(transparent)]
    Log(#[from] crate::service::LogError),
    /// The operating system refused threads or signal handlers.
    #[error("the system refuses what a daemon needs: {0}")]
    System(#[from] std::io::Error),
    /// The control socket cannot be served.
    #[error(transparent)]
    Control(#[from] crate::control::ControlError),
    /// The operating system returned no random bytes.
    #[error(transparent)]
    Randomness(#[from] crate::RandomnessError),
    /// A part of the daemon ended unexpectedly.
    #[error("{0} has stopped unexpectedly")]
    Gone(&'static str),
}

impl NodeError {
    /// The stable code that the command line turns into an exit code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Home(e) => e.code(),
            Self::Disk(e) => e.code(),
            Self::Identity(e) => e.code(),
            Self::Secrets(e) => e.code(),
            Self::Store(e) => e.code(),
            Self::Journal(e) => e.code(),
            Self::Objects(e) => e.code(),
            Self::Control(e) => e.code(),
            Self::Config(e) => e.code(),
            Self::Pipeline(e) => e.code(),
            Self::Host(e) => e.code(),
            Self::System(e) | Self::Log(LogError::System(e)) => {
                if crate::durable::DiskError::is_full(e) {
                    ErrorCode::DiskFull
                } else {
                    ErrorCode::Internal
                }
            }
            Self::Log(LogError::Level { .. }) => ErrorCode::ConfigInvalid,
            Self::Log(LogError::Again) => ErrorCode::Internal,
            Self::Founding(e) => e.code(),
            Self::Model(_) => ErrorCode::ModelUnreadable,
            Self::Data(_) => ErrorCode::DataUnreadable,
            Self::Setting { .. } | Self::Device(_) | Self::Network(_) => ErrorCode::ConfigInvalid,
            // Both were checked before, when the manifest was signed.
            Self::Manifest(_) | Self::Members(_) => ErrorCode::Internal,
            Self::Randomness(_) | Self::Gone(_) => ErrorCode::Internal,
        }
    }

    /// What to do next about this cause.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Founding(error) => error.hint(),
            Self::Pipeline(error) => error.hint(),
            other => other.code().hint(),
        }
    }
}

/// Runs a node as a process of its own: configuration, logs, signals, then [`run`]. Without a
/// `passphrase` it is taken from the environment, see [`Passphrase::from_environment`].
///
/// # Errors
/// See [`NodeError`].
pub fn run_process(
    home: &Home,
    overrides: &Overrides,
    passphrase: Option<Passphrase>,
) -> Result<(), NodeError> {
    keep_private();
    let loaded = Loaded::read(home, overrides)?;
    let log = init_logging(&loaded.config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let signals = listen_to_signals()?;
        let reload = Reload::new(home, overrides, &loaded.config, log, signals.reload);
        run_until(home, loaded, passphrase, reload, signals.stop).await
    });
    // A running job checks its cancel flag between steps; the shutdown waits no longer than this.
    runtime.shutdown_timeout(JOB_LIMIT);
    result
}

/// How long running jobs may take to notice that the daemon stops.
const JOB_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Runs a node until `stop`.
///
/// # Errors
/// See [`NodeError`]; nothing is lost, the next start continues from what is on disk.
pub async fn run(
    home: &Home,
    loaded: Loaded,
    passphrase: Option<Passphrase>,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let reload = Reload::never(home, &loaded.config);
    run_until(home, loaded, passphrase, reload, stop).await
}

async fn run_until(
    home: &Home,
    loaded: Loaded,
    passphrase: Option<Passphrase>,
    mut reload: Reload,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    loop {
        // Each run of the node ends its own services; `stop` ends the last one.
        let (life, mut control) = (stop.child_token(), None);
        let (loaded, passphrase) = (loaded.clone(), passphrase.clone());
        let started = start::start(home, loaded, passphrase, reload, &mut control, &life).await;
        let result = match started {
            Ok(Some(node)) => node.run(life.clone()).await,
            stopped => {
                notify_stopping();
                stopped.map(|_| turn::NodeEnd::Stopped)
            }
        };
        life.cancel();
        if let Err(error) = &result {
            tracing::error!(%error, "stopping");
        }
        // The client that asked it to stop or to leave gets its answer.
        if let Some(control) = control {
            let _ = tokio::time::timeout(ANSWER_LIMIT, control).await;
        }
        match result? {
            turn::NodeEnd::Stopped => return Ok(()),
            turn::NodeEnd::Left(kept) => reload = *kept,
        }
        tracing::info!("the federation was left: starting anew, in none");
    }
}

/// How long a shutdown waits for clients of the control socket to read their answers.
const ANSWER_LIMIT: std::time::Duration = std::time::Duration::from_secs(2);

//! Why a job failed.

use std::path::{Path, PathBuf};

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_train::TrainError;

use crate::durable::DiskError;
use crate::error_code::ErrorCode;
use crate::identity::SecretStoreError;
use crate::learning::LEAST_MEASURED;
use crate::objects::ObjectStoreError;
use crate::randomness::RandomnessError;

/// Why a job failed. Messages name the file, member or field and what to do.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A field of the manifest that this build does not support.
    #[error("manifest field `{field}`: {reason}")]
    Manifest {
        /// Dotted name.
        field: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// A federation of an earlier version, whose updates carried weights of their own.
    #[error(
        "manifest: `weights` is missing: this federation was founded with an earlier version, whose updates carried weights \
         that nobody had agreed to. Its history can be read and exported, but not continued"
    )]
    Earlier,
    /// An invalid field of the terms.
    #[error(transparent)]
    Terms(fedshield_protocol::manifest::ManifestError),
    /// A file of the pipeline's folder could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file of the pipeline's folder has unexpected content.
    #[error("{path}: {reason}; remove it if the round it belongs to is over")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The data files cannot be used.
    #[error("data: {0}")]
    Data(#[source] TrainError),
    /// Training, pruning or applying failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The trainer command of the configuration failed.
    #[error("trainer command `{program}`: {reason}")]
    Command {
        /// The program, the first word of the command.
        program: String,
        /// What went wrong.
        reason: String,
    },
    /// The adapter that the first round starts from is missing or another one.
    #[error(
        "the federation starts from the adapter {wanted}, and {}: {found}; get the folder from the federation's owner",
        path.display()
    )]
    FirstAdapter {
        /// The path where it is expected.
        path: PathBuf,
        /// Its digest.
        wanted: fedshield_protocol::ids::Digest,
        /// What is there instead.
        found: String,
    },
    /// Encrypting, sharing or opening failed.
    #[error(transparent)]
    Encryption(#[from] fedshield_he::Error),
    /// A durable write failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] ObjectStoreError),
    /// The sealed secrets cannot be read or written.
    #[error(transparent)]
    Secrets(#[from] SecretStoreError),
    /// This member does not have the adapter that the round starts from.
    #[error(
        "round {round} starts after {wanted} applied rounds, this member has {here}: it has to catch up first"
    )]
    Behind {
        /// The round.
        round: Round,
        /// Applied rounds that the round starts from.
        wanted: u64,
        /// Applied rounds at this member.
        here: u64,
    },
    /// The share of a decided update is missing.
    #[error("round {round}: the key share from member {member} is missing")]
    ShareMissing {
        /// The round.
        round: Round,
        /// Its dealer.
        member: MemberIndex,
    },
    /// This member has already answered for another set in this round.
    #[error(
        "round {round}: a partial decryption for another set was made already; it is made once"
    )]
    AlreadyReleased {
        /// The round.
        round: Round,
    },
    /// The decided sum is not the one that was opened here.
    #[error("round {round}: the decided sum was not opened here")]
    OtherSum {
        /// The round.
        round: Round,
    },
    /// The operating system gives no randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The daemon stops, or the round has moved on.
    #[error("cancelled")]
    Cancelled,
    /// There is no held-out data to measure on.
    #[error(
        "there is no held-out data to evaluate on: set `data.held_out` or `data.held_out_fraction`"
    )]
    NoHeldOut,
    /// Fewer validation examples than the federation's mean asks of each member.
    #[error(
        "the terms say `evaluation = \"mean\"`, which takes {least} held-out examples of each member, \
         and here are {held_out}: set `data.held_out` or a larger `data.held_out_fraction`, or agree \
         on terms with `evaluation = \"off\"`",
        least = LEAST_MEASURED
    )]
    TooFewHeldOut {
        /// Examples here.
        held_out: usize,
    },
    /// The held-out loss is NaN or infinite.
    #[error(
        "the held-out loss is {0}, not a finite number: base model and adapter do not compute \
         finite values here, which a learning rate that is too large can cause"
    )]
    HeldOutNotFinite(f64),
}

impl PipelineError {
    /// The stable name.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Disk(error) => error.code(),
            Self::Objects(error) => error.code(),
            Self::Secrets(error) => error.code(),
            Self::File { source, .. } => of_io(source),
            Self::Train(error) => of_training(error),
            Self::Encryption(error) => of_encryption(error),
            Self::Data(_) => ErrorCode::DataUnreadable,
            Self::NoHeldOut | Self::TooFewHeldOut { .. } => ErrorCode::ConfigInvalid,
            Self::Manifest { .. } | Self::Earlier | Self::Terms(_) => ErrorCode::InvalidRequest,
            Self::FirstAdapter { .. } => ErrorCode::ModelMismatch,
            Self::Cancelled => ErrorCode::WrongState,
            Self::Corrupt { .. }
            | Self::Command { .. }
            | Self::Behind { .. }
            | Self::ShareMissing { .. }
            | Self::AlreadyReleased { .. }
            | Self::OtherSum { .. }
            | Self::Randomness(_)
            | Self::HeldOutNotFinite(_) => ErrorCode::Internal,
        }
    }

    /// The hint for this cause.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Manifest { .. } | Self::Terms(_) => {
                "no member can train under these terms: `federation leave`, and agree on other ones"
            }
            Self::Earlier => {
                "stop the daemon, export the adapter (`fedshield-cli adapter export`) and found a new federation that starts from it \
                 (`fedshield-cli federation new --adapter`)"
            }
            Self::NoHeldOut | Self::TooFewHeldOut { .. } => {
                "name held-out data in config.toml, then restart the daemon"
            }
            Self::FirstAdapter { .. } => {
                "get the adapter's folder from the federation's owner and put it where the message says"
            }
            Self::Cancelled => "ask again when the daemon has time; it gives way to the rounds",
            Self::Command { .. } => {
                "run the trainer command by hand with the request that the log names"
            }
            other => other.code().hint(),
        }
    }

    pub(crate) fn manifest(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Manifest { field, reason: reason.into() }
    }

    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(crate) fn corrupt(path: &Path, reason: impl ToString) -> Self {
        Self::Corrupt { path: path.to_owned(), reason: reason.to_string() }
    }
}

fn of_io(error: &std::io::Error) -> ErrorCode {
    if DiskError::is_full(error) { ErrorCode::DiskFull } else { ErrorCode::Internal }
}

/// The code of a training error. Models and devices are opened before any job runs, so an error of
/// theirs has arisen since.
fn of_training(error: &TrainError) -> ErrorCode {
    match error {
        TrainError::Io { source, .. } => of_io(source),
        TrainError::Data { .. } => ErrorCode::DataUnreadable,
        TrainError::Format { .. }
        | TrainError::Tensor { .. }
        | TrainError::Tokenizer(_)
        | TrainError::Template { .. }
        | TrainError::Setting { .. }
        | TrainError::NotFinite { .. }
        | TrainError::Cancelled { .. }
        | TrainError::Adapter(_)
        | TrainError::Decode { .. }
        | TrainError::Rejected(_)
        | TrainError::Device { .. } => ErrorCode::Internal,
    }
}

fn of_encryption(error: &fedshield_he::Error) -> ErrorCode {
    use fedshield_he::Error as E;
    match error {
        E::Io(source) => of_io(source),
        E::Preset(_)
        | E::Remote { .. }
        | E::Argument { .. }
        | E::TooFewContributors { .. }
        | E::NotFinite { .. }
        | E::NotOpened { .. }
        | E::Residual { .. } => ErrorCode::Internal,
    }
}

//! The control server: axum on a Unix socket that only this user can open.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::address::SocketPath;
use super::api::{ApiError, ErrorBody, ErrorCode, path};
use super::caller::Caller;
use super::port::{ControlCommand, ControlPort, Reply};
use crate::descriptors::budget;
use crate::durable::{self, DiskError};
use crate::serve::serve;

/// The longest request: a manifest as JSON.
const MAX_BODY_BYTES: usize = 4 << 20;
/// A temporary folder for binding that is older than this is a leftover.
const LEFTOVER_AGE: Duration = Duration::from_secs(60);

/// Why the control socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A daemon answers there already.
    #[error("another daemon answers on {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// A file or folder could not be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl ControlError {
    /// The stable name.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::InUse { .. } => ErrorCode::AddressInUse,
            Self::Disk(error) => error.code(),
        }
    }
}

/// A bound control socket. The socket file is removed with it, even if it is never served.
#[derive(Debug)]
pub struct ControlServer {
    listener: UnixListener,
    file: RemoveSocket,
}

impl ControlServer {
    /// Binds the socket, mode 0600. Replaces what a killed daemon left behind: the socket file, and
    /// the temporary folder in which a socket is bound before it is renamed.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn bind(path: &Path) -> Result<Self, ControlError> {
        let disk = |error| DiskError::at(path, error);
        let folder = durable::parent(path);
        durable::make_folder(folder)?;
        let answers = SocketPath::to(path).and_then(|way| StdUnixStream::connect(way.as_path()));
        match answers {
            Ok(_) => return Err(ControlError::InUse { path: path.to_path_buf() }),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                remove_stale(path).map_err(disk)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(disk(error).into()),
        }
        // Bound in a private folder, so that its mode is set before it has its final name.
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".new");
        let private = folder.join(name);
        remove_folder(&private).map_err(|error| DiskError::at(&private, error))?;
        remove_old_leftovers(folder);
        durable::make_folder(&private)?;
        let hidden = private.join("s");
        let bound = (|| {
            let listener = UnixListener::bind(SocketPath::to(&hidden)?.as_path())?;
            fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))?;
            fs::rename(&hidden, path)?;
            Ok(listener)
        })();
        let _ = fs::remove_dir_all(&private);
        let listener = bound.map_err(disk)?;
        Ok(Self { listener, file: RemoveSocket(path.to_path_buf()) })
    }

    /// The path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.0
    }

    /// Answers until `stop`, then finishes the requests in progress.
    ///
    /// # Errors
    /// Errors of the socket.
    pub async fn serve(self, port: ControlPort, stop: CancellationToken) -> io::Result<()> {
        let _remove = self.file;
        let router = router(port);
        let for_caller = move |stream: &UnixStream| {
            router.clone().layer(Extension(ConnectInfo(Caller::of(stream))))
        };
        serve(self.listener, for_caller, budget().control, stop).await;
        Ok(())
    }
}

/// Removes a folder and what is in it, if it is there.
fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Earlier versions named that folder after the process, `.fs123`, and left it behind if they were
/// killed there. They use it for an instant only, so an old one belongs to no running process.
fn remove_old_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(".fs"));
        let is_ours = number.is_some_and(|number| number.parse::<u32>().is_ok());
        let is_old = || {
            let changed = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            changed.and_then(|at| at.elapsed().ok()).is_some_and(|age| age >= LEFTOVER_AGE)
        };
        if is_ours && is_old() {
            // A folder that cannot be removed does no harm.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes a socket that nobody answers on; refuses any other kind of file.
fn remove_stale(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.file_type().is_socket() {
        return fs::remove_file(path);
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file here that is no socket"))
}

/// Removes the socket file when dropped.
#[derive(Debug)]
struct RemoveSocket(PathBuf);

impl Drop for RemoveSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn router(port: ControlPort) -> Router {
    type Port = State<ControlPort>;
    Router::new()
        .route(path::STATUS, get(|State(port): Port| async move { Json(port.status()) }))
        .route(path::MEMBERS, get(|State(port): Port| ask(port, ControlCommand::Members)))
        .route(path::ROUNDS, get(|State(port): Port| ask(port, ControlCommand::Rounds)))
        .route(path::FEDERATION, get(|State(port): Port| ask(port, ControlCommand::Federation)))
        .route(path::DOCTOR, get(|State(port): Port| ask(port, ControlCommand::Doctor)))
        .route(path::LEDGER, get(ledger))
        .route(path::EVIDENCE, get(|State(port): Port| ask(port, ControlCommand::Evidence)))
        .route(path::EVIDENCE_FILE, post(evidence_file))
        .route(path::EVIDENCE_LIFT, post(lift))
        .route(
            path::FEDERATION_NEW,
            post(|port, body| tell(port, body, ControlCommand::NewFederation)),
        )
        .route(path::FEDERATION_DROP, post(|port, body| tell(port, body, ControlCommand::Drop)))
        .route(path::FEDERATION_LEAVE, post(|port, body| tell(port, body, ControlCommand::Leave)))
        .route(
            path::FEDERATION_CONFIRM,
            post(|port, body| tell(port, body, ControlCommand::Confirm)),
        )
        .route(
            path::FEDERATION_ABANDON,
            post(|State(port): Port| ask(port, ControlCommand::Abandon)),
        )
        .route(path::INVITE, post(|port, body| tell(port, body, ControlCommand::Invite)))
        .route(path::PEER_ADD, post(|port, body| tell(port, body, ControlCommand::PeerAdd)))
        .route(path::PEER_REMOVE, post(|port, body| tell(port, body, ControlCommand::PeerRemove)))
        .route(path::JOIN, post(|port, body| tell(port, body, ControlCommand::Join)))
        .route(path::ADAPTER_EXPORT, post(|port, body| tell(port, body, ControlCommand::Export)))
        .route(path::FEDERATION_FOUND, post(|port, body| tell(port, body, ControlCommand::Found)))
        .route(path::EVALUATE, post(|port, body| tell(port, body, ControlCommand::Evaluate)))
        .route(path::PAUSE, post(pause))
        .route(path::RESUME, post(|State(port): Port| ask(port, ControlCommand::Resume)))
        .route(path::STOP, post(|State(port): Port| ask(port, ControlCommand::Stop)))
        .fallback(|| async { fail(no_such_path()) })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(port)
}

async fn ask<T: Serialize>(
    port: ControlPort,
    command: impl FnOnce(Reply<T>) -> ControlCommand,
) -> Response {
    respond(port.call(command).await)
}

async fn tell<B: DeserializeOwned, T: Serialize>(
    State(port): State<ControlPort>,
    body: Bytes,
    command: impl FnOnce(B, Reply<T>) -> ControlCommand,
) -> Response {
    match serde_json::from_slice(&body) {
        Ok(body) => ask(port, |reply| command(body, reply)).await,
        Err(error) => fail(malformed(&error)),
    }
}

async fn pause(
    State(port): State<ControlPort>,
    ConnectInfo(caller): ConnectInfo<Caller>,
) -> Response {
    let by = caller.name().await;
    ask(port, |reply| ControlCommand::Pause(by, reply)).await
}

async fn lift(
    State(port): State<ControlPort>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    body: Bytes,
) -> Response {
    let by = caller.name().await;
    tell(State(port), body, |request, reply| ControlCommand::Lift(request, by, reply)).await
}

async fn ledger(State(port): State<ControlPort>) -> Response {
    bytes(port.call(ControlCommand::Ledger).await)
}

async fn evidence_file(State(port): State<ControlPort>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(request) => bytes(port.call(|reply| ControlCommand::EvidenceFile(request, reply)).await),
        Err(error) => fail(malformed(&error)),
    }
}

fn bytes(result: Result<Vec<u8>, ApiError>) -> Response {
    match result {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        Err(error) => fail(error),
    }
}

fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, format!("request body: {error}"))
}

fn no_such_path() -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, "this daemon has no such path")
        .with_hint("compare the versions of `fedshield-cli` and the daemon; docs: control/api.rs")
}

fn respond<T: Serialize>(result: Result<T, ApiError>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => fail(error),
    }
}

fn fail(error: ApiError) -> Response {
    let status =
        StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(ErrorBody { error })).into_response()
}

//! The client side of the control socket, as the CLI uses it.

use std::io;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::address::SocketPath;
use super::api::{
    ApiError, ConfirmRequest, DoctorView, Done, DropRequest, ErrorBody, ErrorCode, EvaluateRequest,
    Evaluation, EvidenceRequest, EvidenceView, ExportRequest, ExportView, FederationView,
    FoundRequest, InviteRequest, InviteView, JoinRequest, JoinView, LeaveRequest, LeftView,
    LiftRequest, LiftView, MemberView, NewFederation, NodeStatus, Pause, PeerAddresses,
    PeerRequest, RoundReport, path,
};

/// The longest answer: a ledger of a million rounds is about this long.
const MAX_ANSWER_BYTES: usize = 1 << 30;

/// Talks to the daemon behind one control socket; opens a connection for each call.
#[derive(Debug, Clone)]
pub struct ControlClient {
    socket: PathBuf,
}

impl ControlClient {
    /// A client for the daemon behind `socket`, which need not be running yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The path of the socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The node's status.
    ///
    /// # Errors
    /// [`ErrorCode::NotRunning`], or the daemon's.
    pub async fn status(&self) -> Result<NodeStatus, ApiError> {
        self.get(path::STATUS).await
    }

    /// The members.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn members(&self) -> Result<Vec<MemberView>, ApiError> {
        self.get(path::MEMBERS).await
    }

    /// The finished rounds, oldest first.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn rounds(&self) -> Result<Vec<RoundReport>, ApiError> {
        self.get(path::ROUNDS).await
    }

    /// The manifest or draft.
    ///
    /// # Errors
    /// [`ErrorCode::NoFederation`]; see [`Self::status`].
    pub async fn federation(&self) -> Result<FederationView, ApiError> {
        self.get(path::FEDERATION).await
    }

    /// All pre-flight checks.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn doctor(&self) -> Result<DoctorView, ApiError> {
        self.get(path::DOCTOR).await
    }

    /// The ledger's canonical bytes.
    ///
    /// # Errors
    /// [`ErrorCode::NoFederation`]; see [`Self::status`].
    pub async fn ledger(&self) -> Result<Vec<u8>, ApiError> {
        self.exchange(Method::GET, path::LEDGER, Bytes::new()).await.map(|bytes| bytes.to_vec())
    }

    /// All evidence, in the order in which it arrived.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn evidence(&self) -> Result<Vec<EvidenceView>, ApiError> {
        self.get(path::EVIDENCE).await
    }

    /// One proof as a file for others.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] if there is none of this name; see [`Self::status`].
    pub async fn evidence_file(&self, body: &EvidenceRequest) -> Result<Vec<u8>, ApiError> {
        let body = serde_json::to_vec(body).map_err(broken)?;
        let answer = self.exchange(Method::POST, path::EVIDENCE_FILE, Bytes::from(body)).await;
        answer.map(|bytes| bytes.to_vec())
    }

    /// Lifts a member's ban.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] for a name that no member has; see [`Self::status`].
    pub async fn lift(&self, body: &LiftRequest) -> Result<LiftView, ApiError> {
        self.post(path::EVIDENCE_LIFT, body).await
    }

    /// Starts a draft.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyInFederation`]; see [`Self::status`].
    pub async fn new_federation(&self, body: &NewFederation) -> Result<FederationView, ApiError> {
        self.post(path::FEDERATION_NEW, body).await
    }

    /// Freezes the draft.
    ///
    /// # Errors
    /// [`ErrorCode::NotOwner`], [`ErrorCode::TooFewMembers`], [`ErrorCode::ListMismatch`]; see
    /// [`Self::status`].
    pub async fn found(&self, body: &FoundRequest) -> Result<FederationView, ApiError> {
        self.post(path::FEDERATION_FOUND, body).await
    }

    /// Confirms the frozen list of members by its phrase.
    ///
    /// # Errors
    /// [`ErrorCode::ListMismatch`], [`ErrorCode::WrongState`] before there is one; see
    /// [`Self::status`].
    pub async fn confirm(&self, body: &ConfirmRequest) -> Result<FederationView, ApiError> {
        self.post(path::FEDERATION_CONFIRM, body).await
    }

    /// Leaves a draft, or a federation in which no round has ended.
    ///
    /// # Errors
    /// [`ErrorCode::WrongState`] once a round has ended, or for a draft's owner; see
    /// [`Self::status`].
    pub async fn leave(&self, body: &LeaveRequest) -> Result<LeftView, ApiError> {
        self.post(path::FEDERATION_LEAVE, body).await
    }

    /// Takes a founder off the draft's list.
    ///
    /// # Errors
    /// [`ErrorCode::NotOwner`], [`ErrorCode::InvalidRequest`] for a name that is not on it; see
    /// [`Self::status`].
    pub async fn drop_member(&self, body: &DropRequest) -> Result<FederationView, ApiError> {
        self.post(path::FEDERATION_DROP, body).await
    }

    /// Gives up the draft.
    ///
    /// # Errors
    /// [`ErrorCode::NotOwner`], [`ErrorCode::WrongState`] once it is founded; see [`Self::status`].
    pub async fn abandon(&self) -> Result<LeftView, ApiError> {
        self.post(path::FEDERATION_ABANDON, &Done {}).await
    }

    /// Makes an invite.
    ///
    /// # Errors
    /// [`ErrorCode::NotOwner`], [`ErrorCode::DraftFrozen`]; see [`Self::status`].
    pub async fn invite(&self, body: &InviteRequest) -> Result<InviteView, ApiError> {
        self.post(path::INVITE, body).await
    }

    /// Reads the terms behind an invite, or accepts them.
    ///
    /// # Errors
    /// The codes that begin with `invite`, [`ErrorCode::ModelMismatch`], [`ErrorCode::Unreachable`]
    /// and more.
    pub async fn join(&self, body: &JoinRequest) -> Result<JoinView, ApiError> {
        self.post(path::JOIN, body).await
    }

    /// Adds an address at which a member is dialled from now on.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`], [`ErrorCode::NoFederation`]; see [`Self::status`].
    pub async fn peer_add(&self, body: &PeerRequest) -> Result<PeerAddresses, ApiError> {
        self.post(path::PEER_ADD, body).await
    }

    /// Removes an address that was added.
    ///
    /// # Errors
    /// See [`Self::peer_add`].
    pub async fn peer_remove(&self, body: &PeerRequest) -> Result<PeerAddresses, ApiError> {
        self.post(path::PEER_REMOVE, body).await
    }

    /// Writes the global adapter in PEFT form.
    ///
    /// # Errors
    /// [`ErrorCode::WrongState`] before the first applied round; see [`Self::status`].
    pub async fn export(&self, body: &ExportRequest) -> Result<ExportView, ApiError> {
        self.post(path::ADAPTER_EXPORT, body).await
    }

    /// Compares base model, common adapter and what can be made at that node; slow.
    ///
    /// # Errors
    /// [`ErrorCode::WrongState`] without a federation; see [`Self::status`].
    pub async fn evaluate(&self, body: &EvaluateRequest) -> Result<Evaluation, ApiError> {
        self.post(path::EVALUATE, body).await
    }

    /// Takes no part in rounds that have not started, until [`Self::resume`]; outlives restarts.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn pause(&self) -> Result<Pause, ApiError> {
        self.post(path::PAUSE, &Done {}).await
    }

    /// Takes part again.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn resume(&self) -> Result<Done, ApiError> {
        self.post(path::RESUME, &Done {}).await
    }

    /// Stops the daemon in an orderly way; answers before it has stopped.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn stop(&self) -> Result<Done, ApiError> {
        self.post(path::STOP, &Done {}).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        read(&self.exchange(Method::GET, path, Bytes::new()).await?)
    }

    async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ApiError> {
        let body = serde_json::to_vec(body).map_err(broken)?;
        read(&self.exchange(Method::POST, path, Bytes::from(body)).await?)
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ApiError> {
        let way = SocketPath::to(&self.socket).map_err(|e| self.unreachable(&e))?;
        let stream = UnixStream::connect(way.as_path()).await.map_err(|e| self.unreachable(&e))?;
        let io = TokioIo::new(stream);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(io).await.map_err(broken)?;
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "fedshield")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(broken)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
        let bytes = body.collect().await.map_err(broken)?.to_bytes();
        driver.abort();
        if status == StatusCode::OK { Ok(bytes) } else { Err(failure(status, &bytes)) }
    }

    fn unreachable(&self, error: &io::Error) -> ApiError {
        let socket = self.socket.display();
        let plain =
            ApiError::new(ErrorCode::NotRunning, format!("no daemon answers on {socket}: {error}"));
        plain.with_hint(match error.kind() {
            io::ErrorKind::PermissionDenied => "run this as the user that the daemon runs as",
            _ => "start `fedshieldd` with the same home folder, or name it with --home",
        })
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(broken)
}

fn failure(status: StatusCode, bytes: &[u8]) -> ApiError {
    serde_json::from_slice::<ErrorBody>(bytes).map_or_else(
        |_| ApiError::new(ErrorCode::Internal, format!("the daemon answered {status}")),
        |body| body.error,
    )
}

fn broken(error: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("the control connection broke: {error}"))
        .with_hint("look at the daemon's log; its version may differ from this program's")
}

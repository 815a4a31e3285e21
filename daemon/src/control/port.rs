//! The connection between the control server and the host: a bounded queue of commands in one
//! direction, the node's status in the other.

use tokio::sync::{mpsc, oneshot, watch};

use super::api::{
    ApiError, ConfirmRequest, DoctorView, Done, DropRequest, ErrorCode, EvaluateRequest,
    Evaluation, EvidenceRequest, EvidenceView, ExportRequest, ExportView, FederationView,
    FoundRequest, InviteRequest, InviteView, JoinRequest, JoinView, LeaveRequest, LeftView,
    LiftRequest, LiftView, MemberView, NewFederation, NodeStatus, Pause, PeerAddresses,
    PeerRequest, RoundReport,
};

/// Commands that may wait for the host; further ones are refused.
pub const COMMAND_QUEUE: usize = 32;

/// Where the answer to a command goes.
pub type Reply<T> = oneshot::Sender<Result<T, ApiError>>;

/// What the control server asks the host for.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "at most COMMAND_QUEUE of them at once")]
pub enum ControlCommand {
    /// Founding: start a draft.
    NewFederation(NewFederation, Reply<FederationView>),
    /// Founding: freeze the draft.
    Found(FoundRequest, Reply<FederationView>),
    /// Founding: an invite.
    Invite(InviteRequest, Reply<InviteView>),
    /// Founding: read the terms behind an invite, or accept them.
    Join(JoinRequest, Reply<JoinView>),
    /// The manifest or draft.
    Federation(Reply<FederationView>),
    /// The members, with what the machine knows of them.
    Members(Reply<Vec<MemberView>>),
    /// Add an address at which a member is dialled.
    PeerAdd(PeerRequest, Reply<PeerAddresses>),
    /// Remove an address that was added.
    PeerRemove(PeerRequest, Reply<PeerAddresses>),
    /// All finished rounds.
    Rounds(Reply<Vec<RoundReport>>),
    /// Write an adapter in PEFT form.
    Export(ExportRequest, Reply<ExportView>),
    /// Compare base model, common adapter and what can be made here.
    Evaluate(EvaluateRequest, Reply<Evaluation>),
    /// Take no part in rounds that have not started; with the user who asks for it.
    Pause(Option<String>, Reply<Pause>),
    /// Take part again.
    Resume(Reply<Done>),
    /// The ledger's canonical bytes.
    Ledger(Reply<Vec<u8>>),
    /// All pre-flight checks.
    Doctor(Reply<DoctorView>),
    /// Stop in an orderly way; answered before it happens.
    Stop(Reply<Done>),
    /// Founding: stop being a founder or a member.
    Leave(LeaveRequest, Reply<LeftView>),
    /// Founding: take a founder off the draft's list.
    Drop(DropRequest, Reply<FederationView>),
    /// Founding: give up the draft.
    Abandon(Reply<LeftView>),
    /// Founding: the organisations have compared the phrase of the frozen list.
    Confirm(ConfirmRequest, Reply<FederationView>),
    /// All evidence.
    Evidence(Reply<Vec<EvidenceView>>),
    /// One proof as a file.
    EvidenceFile(EvidenceRequest, Reply<Vec<u8>>),
    /// Lift a member's ban; with the user who asks for it.
    Lift(LiftRequest, Option<String>, Reply<LiftView>),
}

/// The server's end; cheap to clone.
#[derive(Debug, Clone)]
pub struct ControlPort {
    commands: mpsc::Sender<ControlCommand>,
    status: watch::Receiver<NodeStatus>,
}

/// The host's end.
#[derive(Debug)]
pub struct ControlHost {
    /// Commands to run, in order.
    pub commands: mpsc::Receiver<ControlCommand>,
    /// The operator-visible status; call `send_modify` on it when something changed.
    pub status: watch::Sender<NodeStatus>,
}

/// The two ends.
#[must_use]
pub fn control_channel(initial: NodeStatus) -> (ControlPort, ControlHost) {
    let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
    let (status, status_receiver) = watch::channel(initial);
    let port = ControlPort { commands: command_sender, status: status_receiver };
    (port, ControlHost { commands, status })
}

impl ControlPort {
    /// The status now.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        self.status.borrow().clone()
    }

    /// Sends a command to the host and waits for its answer.
    ///
    /// # Errors
    /// The host's error, or that its queue is full or it has stopped.
    pub async fn call<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> ControlCommand,
    ) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.commands.try_send(command(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                ApiError::new(ErrorCode::Timeout, "the daemon has too many requests at the moment")
                    .with_hint("try again in a moment")
            }
            mpsc::error::TrySendError::Closed(_) => stopping(),
        })?;
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }
}

fn stopping() -> ApiError {
    ApiError::new(ErrorCode::WrongState, "the daemon is stopping")
        .with_hint("wait until it has stopped, start it again, then repeat the command")
}

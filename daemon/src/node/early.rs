//! Answers of a starting node: what is known already is answered at once, other commands are held
//! until the node is up, and if the start does not proceed they are refused with what it waits for.

use std::sync::{Arc, OnceLock};

use fedshield_protocol::limits::MAX_MANIFEST_BYTES;
use fedshield_protocol::manifest::{SignedManifest, ValidManifest};
use tokio_util::sync::CancellationToken;

use super::commands::{answer, answer_ledger};
use super::{doctor, evidence};
use crate::conditions::Conditions;
use crate::control::api::{ApiError, Done, ErrorCode, NodeStatus, Severity};
use crate::control::{COMMAND_QUEUE, ControlCommand, Reply};
use crate::durable;
use crate::founding::FoundingView;
use crate::home::Home;
use crate::identity::Identity;
use crate::store::Ledger;

/// The parts that are available before everything is open.
pub(super) struct Early {
    home: Home,
    identity: Arc<Identity>,
    view: Option<FoundingView>,
    /// Set once the ledger is open.
    pub(super) ledger: Arc<OnceLock<Arc<Ledger>>>,
    /// Commands that wait until the node is complete, in their order.
    held: Vec<ControlCommand>,
}

impl Early {
    pub(super) fn new(home: &Home, identity: &Arc<Identity>) -> Self {
        Self {
            home: home.clone(),
            identity: Arc::clone(identity),
            view: founded(home).map(FoundingView::founded),
            ledger: Arc::default(),
            held: Vec::new(),
        }
    }

    /// Shows the federation that this node is in, though it does not take part yet.
    pub(super) fn show(&self, status: &mut NodeStatus) {
        if let Some(view) = &self.view {
            status.state = view.state;
            status.federation = view.summary(&self.identity.key());
        }
    }

    /// Answers what can be answered, and holds the rest unless the start is blocked.
    pub(super) fn command(
        &mut self,
        command: ControlCommand,
        status: &NodeStatus,
        stop: &CancellationToken,
    ) {
        match command {
            ControlCommand::Stop(reply) => {
                answer(reply, Ok(Done {}));
                stop.cancel();
            }
            ControlCommand::Doctor(reply) => {
                let is_protected = self.identity.is_protected();
                answer(reply, Ok(doctor::checks(&self.home, is_protected, None, status)));
            }
            command => {
                if let Some(command) = self.known(command) {
                    self.held.push(command);
                    self.refuse_if_held_up(status);
                }
            }
        }
    }

    /// Answers from the parts that are available; returns the command if they do not suffice.
    fn known(&self, command: ControlCommand) -> Option<ControlCommand> {
        let key = self.identity.key();
        match (command, &self.view, self.ledger.get()) {
            (ControlCommand::Members(reply), Some(view), _) => {
                answer(reply, Ok(view.members(&key)))
            }
            (ControlCommand::Federation(reply), Some(view), _) => {
                answer(reply, view.federation(&key).map_err(ApiError::from));
            }
            (ControlCommand::Rounds(reply), _, Some(ledger)) => {
                answer_ledger(ledger, reply, |ledger| Ok(ledger.reports()?));
            }
            (ControlCommand::Ledger(reply), _, Some(ledger)) => {
                answer_ledger(ledger, reply, |ledger| Ok(ledger.bytes()?));
            }
            (ControlCommand::Evidence(reply), Some(view), Some(ledger)) => {
                let names = view.members(&key).into_iter().map(|member| member.name).collect();
                answer_ledger(ledger, reply, move |ledger| {
                    let names: Vec<String> = names;
                    evidence::list(ledger, &names)
                });
            }
            (command, ..) => return Some(command),
        }
        None
    }

    /// Must be called when the conditions have changed: refuses the held commands with the reason
    /// if the start is blocked.
    pub(super) fn refuse_if_held_up(&mut self, status: &NodeStatus) {
        let too_many = self.held.len() > COMMAND_QUEUE;
        if let Some(error) = held_up(status).or_else(|| too_many.then(starting)) {
            for command in self.held.drain(..) {
                refuse(command, &error);
            }
        }
    }

    /// The held commands, for the complete node.
    pub(super) fn into_held(self) -> Vec<ControlCommand> {
        self.held
    }
}

/// The federation of the manifest in `home`, if it can be read. Errors in it are reported when the
/// founding opens.
pub(crate) fn founded(home: &Home) -> Option<SignedManifest> {
    let bytes = durable::read_if_present(&home.manifest(), MAX_MANIFEST_BYTES as u64).ok()??;
    let signed = SignedManifest::decode(&bytes).ok()?;
    ValidManifest::founded(signed.clone()).ok().map(|_| signed)
}

/// Why the start of a node does not proceed, if it waits for something.
pub(super) fn held_up(status: &NodeStatus) -> Option<ApiError> {
    let condition = status.conditions.iter().find(|it| it.severity == Severity::Blocking)?;
    let message = format!("the node has not come up yet, it waits: {}", condition.message);
    let error = ApiError::new(ErrorCode::WrongState, message);
    Some(match &condition.hint {
        Some(hint) => error.with_hint(hint.clone()),
        None => error,
    })
}

fn starting() -> ApiError {
    ApiError::new(ErrorCode::WrongState, "the node is starting")
        .with_hint("see `fedshield-cli status`, and try again when it has come up")
}

fn refuse(command: ControlCommand, error: &ApiError) {
    fn no<T>(reply: Reply<T>, error: &ApiError) {
        answer(reply, Err(error.clone()));
    }
    match command {
        ControlCommand::NewFederation(_, reply)
        | ControlCommand::Found(_, reply)
        | ControlCommand::Confirm(_, reply)
        | ControlCommand::Federation(reply) => no(reply, error),
        ControlCommand::Invite(_, reply) => no(reply, error),
        ControlCommand::Join(_, reply) => no(reply, error),
        ControlCommand::Leave(_, reply) | ControlCommand::Abandon(reply) => no(reply, error),
        ControlCommand::Drop(_, reply) => no(reply, error),
        ControlCommand::Members(reply) => no(reply, error),
        ControlCommand::Rounds(reply) => no(reply, error),
        ControlCommand::Export(_, reply) => no(reply, error),
        ControlCommand::Evaluate(_, reply) => no(reply, error),
        ControlCommand::Pause(_, reply) => no(reply, error),
        ControlCommand::PeerAdd(_, reply) | ControlCommand::PeerRemove(_, reply) => {
            no(reply, error)
        }
        ControlCommand::Resume(reply) | ControlCommand::Stop(reply) => no(reply, error),
        ControlCommand::Ledger(reply) => no(reply, error),
        ControlCommand::Doctor(reply) => no(reply, error),
        ControlCommand::Evidence(reply) => no(reply, error),
        ControlCommand::EvidenceFile(_, reply) => no(reply, error),
        ControlCommand::Lift(_, _, reply) => no(reply, error),
    }
}

/// Sets the condition that shows what a start is doing: a notice, no reason for alarm.
pub(super) fn note_start(conditions: &Conditions, doing: &str) {
    use crate::control::api::Condition;
    conditions.set(Condition::new(
        STARTING,
        Severity::Notice,
        format!("the node starts: it {doing}"),
    ));
}

/// Clears that condition.
pub(super) fn end_start(conditions: &Conditions) {
    conditions.clear(STARTING);
}

const STARTING: &str = "starting";

//! Evidence between the machine and the store: what earlier runs kept, the bytes served to other
//! members, and bans that operators lift.

use std::sync::Arc;

use fedshield_protocol::Machine;
use fedshield_protocol::event::{Command, Event};
use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::object::ObjectRef;
use tokio::sync::watch;

use super::{Host, HostError};
use crate::conditions::unix_s;
use crate::control::api::{MAX_MISBEHAVIOUR, NodeStatus};
use crate::objects::ObjectStoreError;
use crate::store::{KeptEvidence, Ledger, Lift, StoreError};

/// Why stored evidence cannot be served as an object.
#[derive(Debug, thiserror::Error)]
enum UnpackError {
    #[error("it is not among the evidence that was kept")]
    Missing,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Objects(#[from] ObjectStoreError),
}

/// Passes the machine what was proven before this start, and shows the operator the bans that are
/// not lifted.
pub(super) fn recall(
    machine: &mut Machine,
    ledger: &Ledger,
    status: &Arc<watch::Sender<NodeStatus>>,
) -> Result<(), HostError> {
    for Lift { member, through, .. } in ledger.lifts() {
        machine.recall_lift(member, through);
    }
    let me = machine.me();
    for KeptEvidence { evidence, proof } in ledger.evidence()? {
        let Some(proof) = proof else { continue };
        machine.recall_evidence(&proof, evidence.object());
        if machine.is_banned(proof.member) || proof.member == me {
            status.send_modify(|status| show(status, &evidence.member, &evidence.reason));
        }
    }
    Ok(())
}

/// Shows the operator what was proven of a member.
pub(super) fn show(status: &mut NodeStatus, name: &str, reason: &str) {
    let kept = MAX_MISBEHAVIOUR - 1;
    let surplus = status.misbehaviour.len().saturating_sub(kept);
    status.misbehaviour.drain(..surplus);
    status.misbehaviour.push(format!("{name}: {reason}"));
}

impl Host {
    /// Writes stored evidence as an object, so that other members can fetch it.
    pub(super) fn unpack_evidence(&self, object: &ObjectRef) {
        if self.parts.objects.contains(object).unwrap_or(false) {
            return;
        }
        let unpacked = || -> Result<(), UnpackError> {
            let kept = self.parts.ledger.evidence_named(&object.root)?;
            let kept = kept.ok_or(UnpackError::Missing)?;
            self.parts.objects.put(&kept.evidence.proof)?;
            Ok(())
        };
        if let Err(reason) = tokio::task::block_in_place(unpacked) {
            // Not fatal: other members may have it as well.
            tracing::warn!(object = %object.root.short(), %reason, "evidence cannot be given to others");
        }
    }

    /// Whether there is evidence against `member` whose ban nobody has lifted.
    #[must_use]
    pub fn is_banned(&self, member: MemberIndex) -> bool {
        self.parts.machine.is_banned(member)
    }

    /// The operator lifts the ban of a member; stored before it takes effect. Evidence up to the
    /// round in progress no longer bans it.
    ///
    /// # Errors
    /// See [`HostError`]. The inner error: it could not be stored, and the ban stays.
    pub async fn lift_ban(
        &mut self,
        member: MemberIndex,
        by: Option<String>,
    ) -> Result<Result<Lift, StoreError>, HostError> {
        // A ledger that was lost may end before the round of the evidence.
        let through = self
            .parts
            .machine
            .scope()
            .round
            .max(self.parts.machine.proven_through(member).unwrap_or_default());
        let lift = Lift { member, through, at_unix_s: unix_s(), by };
        if let Err(error) = tokio::task::block_in_place(|| self.parts.ledger.put_lift(&lift)) {
            return Ok(Err(error));
        }
        let name = self.parts.names.get(member.position()).cloned().unwrap_or_default();
        tracing::warn!(member = name, by = lift.by.as_deref().unwrap_or("?"), "a ban was lifted");
        let prefix = format!("{name}: ");
        self.parts.status.send_modify(|status| {
            status.misbehaviour.retain(|line| !line.starts_with(&prefix));
        });
        self.handle(Event::Operator(Command::Lift { member, through })).await?;
        Ok(Ok(lift))
    }
}

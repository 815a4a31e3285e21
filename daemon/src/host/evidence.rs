//! Evidence between the machine and the store: what earlier runs kept, the bytes for others, and bans that operators lift.

use std::sync::Arc;

use fedshield_protocol::event::{Command, Event};
use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::machine::Machine;
use fedshield_protocol::object::ObjectRef;
use tokio::sync::watch;

use super::{Host, HostError};
use crate::conditions::unix_s;
use crate::control::api::{MAX_MISBEHAVIOUR, NodeStatus};
use crate::objects::ObjectStoreError;
use crate::store::{KeptEvidence, Ledger, Lift, StoreError};

/// Why kept evidence cannot be made an object.
#[derive(Debug, thiserror::Error)]
enum UnpackError {
    #[error("it is not among the evidence that was kept")]
    Missing,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Objects(#[from] ObjectStoreError),
}

/// Gives the machine what was proven before this start, and shows the operator what is not lifted.
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
    /// Makes an object of kept evidence, so that others can get it.
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
            // Others may have it as well.
            tracing::warn!(object = %object.root.short(), %reason, "evidence cannot be given to others");
        }
    }

    /// Whether there is proof against `member` that nobody has lifted.
    #[must_use]
    pub fn is_banned(&self, member: MemberIndex) -> bool {
        self.parts.machine.is_banned(member)
    }

    /// The operator lifts the ban of a member: remembered, then done. What it was proven to have done up to the round in progress
    /// does not ban it any more.
    ///
    /// # Errors
    /// See [`HostError`]; inside, if it cannot be remembered: then the ban stays.
    pub async fn lift_ban(
        &mut self,
        member: MemberIndex,
        by: Option<String>,
    ) -> Result<Result<Lift, StoreError>, HostError> {
        // A ledger that was lost may end before what was proven.
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

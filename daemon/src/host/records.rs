//! The ledger's way to the machine, and to members that are behind: record by record, never all of them in memory.

use std::ops::ControlFlow;

use fedshield_protocol::event::Event;
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::ledger::LedgerError;
use fedshield_protocol::machine::Machine;
use fedshield_protocol::status::Status;

use super::{Host, HostError};
use crate::conditions::Conditions;
use crate::control::api::{Condition, Severity};
use crate::store::Ledger;

/// The condition of a ledger with a record that is not valid.
const DAMAGED: &str = "ledger-damaged";
/// The condition of a ledger that ends before the journal.
const BEHIND: &str = "ledger-behind-journal";

/// Gives the machine the ledger, before it boots. Returns the first record that is not valid, if there is one: it and all
/// later ones are cut off, with a copy put aside, and fetched from the other members again.
pub(super) fn replay(
    machine: &mut Machine,
    ledger: &Ledger,
) -> Result<Option<LedgerError>, HostError> {
    let mut damage = None;
    ledger.for_each(Round(0), |record| match machine.replay(&record) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            damage = Some((record.record.round, error));
            ControlFlow::Break(())
        }
    })?;
    let Some((round, error)) = damage else { return Ok(None) };
    if let Some(repair) = ledger.cut(round, &error.to_string())? {
        tracing::warn!("{repair}");
    }
    Ok(Some(error))
}

/// What people should know of the ledger: damage that a start has found, and a journal that knows of later rounds.
pub(super) struct LedgerWatch {
    board: Conditions,
    damage: Option<(LedgerError, Round)>,
}

impl LedgerWatch {
    pub(super) fn new(board: Conditions, damage: Option<LedgerError>) -> Self {
        let damage = damage.map(|error| {
            let round = match &error {
                LedgerError::Record { round, .. } => *round,
                _ => Round(0),
            };
            (error, round)
        });
        let watch = Self { board, damage };
        if let Some((error, round)) = &watch.damage {
            let message = format!(
                "the ledger on this disk is damaged: {error}. It and all later records are fetched from the other \
                 members again"
            );
            let hint = format!(
                "nothing is to be done unless round {round} is never reached: then check with `fedshield-cli members` \
                 that another member can be reached. Damage that comes back means a failing disk"
            );
            watch.board.set(Condition::new(DAMAGED, Severity::Warning, message).with_hint(hint));
        }
        watch
    }

    /// Takes note of where the machine is.
    pub(super) fn observe(&mut self, status: &Status) {
        if self.damage.as_ref().is_some_and(|(_, round)| status.round > *round) {
            self.damage = None;
            self.board.clear(DAMAGED);
        }
        let behind = status.journal_round.map(|last| {
            let message = format!(
                "the ledger on this disk ends before round {}, but this node has been in round {last}: the records \
                 between are fetched from the other members before it takes part again",
                status.round
            );
            let hint = "one member that can be reached and has the records is enough: `fedshield-cli members` shows who \
                        is there. If no member has them, put back a ledger from a backup";
            Condition::new(BEHIND, Severity::Blocking, message).with_hint(hint)
        });
        self.board.show(BEHIND, behind);
    }
}

impl Host {
    /// Reads records for a member that is behind. A ledger that cannot be read does not stop this node: others may help.
    pub(super) fn read_records(&mut self, to: MemberIndex, from: Round, room_bytes: usize) {
        let read = || self.ledger.read_from(from, room_bytes);
        match tokio::task::block_in_place(read) {
            Ok(records) => self.followed.push(Event::Records { to, records }),
            Err(reason) => tracing::warn!(%to, %from, %reason, "cannot read records for a member"),
        }
    }
}

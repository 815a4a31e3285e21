//! A federation whose rounds all fail is useless: once the network has healed, at least one of
//! every [`OF`] rounds in a row opens its sum. (One opened sum in sixteen is then rejected as out
//! of range, which is a choice of the simulation.)
//!
//! Runs with [`Fault::UnopenableUpdate`] are excepted: no rule identifies that member yet.

use fedshield_protocol::ids::Round;
use fedshield_protocol::wire::Outcome;

use crate::l0::faults::{Fault, Plan};

/// Rounds in a row of which at least one must open its sum.
const OF: u64 = 5;

pub(super) struct Applied {
    excepted: bool,
    heal_ms: u64,
    /// Rounds in a row without an opened sum, begun after the network had healed.
    idle: u64,
}

impl Applied {
    pub(super) fn new(plan: &Plan) -> Self {
        let excepted = plan.faulty.iter().any(|(_, fault)| *fault == Fault::UnopenableUpdate);
        Self { excepted, heal_ms: plan.heal_ms, idle: 0 }
    }

    /// A round was recorded for the first time; it began at `began_ms`.
    pub(super) fn ended(
        &mut self,
        round: Round,
        began_ms: u64,
        outcome: &Outcome,
    ) -> Result<(), String> {
        let opened = matches!(outcome, Outcome::Applied { .. } | Outcome::Rejected { .. });
        if opened || self.excepted || began_ms < self.heal_ms {
            self.idle = 0;
            return Ok(());
        }
        self.idle += 1;
        match self.idle < OF {
            true => Ok(()),
            false => Err(format!("round {round}: the {OF}th in a row that opened no sum")),
        }
    }
}

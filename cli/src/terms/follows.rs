//! What is derived from the number of members, the rounds and the time for one: encryption, pruning
//! schedule, deadlines.

use fedshield_protocol::limits::MAX_MEMBERS;
use fedshield_protocol::manifest::{Deadlines, Pruning, PruningRule};
use fedshieldd::control::api::ErrorCode;

use super::{PruningName, TermsFlags, real};
use crate::failure::Failure;

/// The smallest encryption preset for values of `bits` bits and `members` members:
/// presets hold powers of two from 16 on.
pub(super) fn encryption_preset(bits: &str, members: u16) -> Result<String, Failure> {
    if members > MAX_MEMBERS {
        return Err(Failure::new(
            ErrorCode::InvalidRequest,
            format!("{members} members are too many for one federation"),
        )
        .at("--members")
        .next(format!("split the federation; one holds at most {MAX_MEMBERS}")));
    }
    let holds = members.max(16).next_power_of_two();
    Ok(format!("rlwe-sum/b{bits}/n{holds}"))
}

/// From 0.2 (or less) to the wanted share, growing over the last four fifths of the run.
pub(super) fn pruning(rounds: u64, flags: &TermsFlags) -> Result<Pruning, Failure> {
    let last = flags.sparsity.unwrap_or(0.5);
    if !(0.0..=0.95).contains(&last) {
        return Err(Failure::new(ErrorCode::InvalidRequest, format!("{last} is out of range"))
            .at("--sparsity")
            .next("give a number from 0 to 0.95"));
    }
    let rule = match flags.pruning {
        Some(PruningName::Local) => PruningRule::Local,
        Some(PruningName::Shared) | None => PruningRule::Shared,
    };
    Ok(Pruning {
        rule,
        initial: real("--sparsity", last.min(0.2))?,
        last: real("--sparsity", last)?,
        start_round: rounds / 5,
        end_round: rounds,
        explore: real("explore", 0.05)?,
        memory: real("memory", 0.9)?,
    })
}

/// The deadlines as fractions of the round's time. A phase ends sooner when no member is missing.
pub(super) fn deadlines(round_minutes: u64) -> Deadlines {
    let round_ms = round_minutes * 60_000;
    Deadlines {
        commit_ms: round_ms / 2,
        transfer_ms: round_ms / 4,
        view_ms: (round_ms / 40).clamp(5_000, 60_000),
        decrypt_ms: round_ms / 8,
        round_ms,
    }
}

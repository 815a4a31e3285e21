//! The condition while rounds fail: no culprit can be identified, so it lists whom to ask.

use fedshield_protocol::failed_rounds::FailedRounds;
use fedshield_protocol::ids::MemberIndex;

use crate::control::api::{Condition, Severity};

/// The condition's name.
pub(super) const SUMS_FAIL: &str = "sums-fail";
/// A single round may fail because members stopped during it.
const TROUBLE_ROUNDS: u64 = 2;

/// The condition with the number of sums that failed since the last applied round, and the members
/// that were in all of them; `names` are in manifest order.
pub(super) fn sums_fail(names: &[String], failed_rounds: &FailedRounds) -> Option<Condition> {
    let rounds = failed_rounds.rounds();
    if rounds == 0 {
        return None;
    }
    let name = |member: &MemberIndex| names.get(member.position()).map_or("?", String::as_str);
    let who: Vec<&str> = failed_rounds.in_all.iter().map(name).collect();
    let sums = if rounds == 1 { "sum".to_owned() } else { format!("{rounds} sums") };
    let why = match (failed_rounds.voided, failed_rounds.rejected) {
        (_, 0) => "could not be opened".to_owned(),
        (0, _) => "had values out of range".to_owned(),
        (voided, rejected) => {
            format!("failed ({voided} could not be opened, {rejected} had values out of range)")
        }
    };
    let sets = if rounds == 1 { "in its set" } else { "in all of their sets" };
    let message = match who.as_slice() {
        [] => format!("the last {sums} {why}; no member was {sets}; nobody can be named for this"),
        who => format!(
            "the last {sums} {why}; {sets}: {}; nobody can be named for this",
            who.join(", ")
        ),
    };
    let severity = if rounds >= TROUBLE_ROUNDS { Severity::Warning } else { Severity::Notice };
    let hint = "a single member can make every sum that it is in fail, with a wrong key or wrong \
                values, and no rule excludes it. Ask these members to check their logs and to run \
                the same release; if it continues, agree with the other operators on a new \
                federation without one of them (`fedshield-cli federation leave`)";
    Some(Condition::new(SUMS_FAIL, severity, message).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(failed_rounds: &FailedRounds) -> (Severity, String) {
        let names = ["ada", "bob", "eve"].map(str::to_owned);
        let condition = sums_fail(&names, failed_rounds).unwrap();
        (condition.severity, condition.message)
    }

    #[test]
    fn the_stall_says_how_many_why_and_who_was_in_all() {
        assert_eq!(sums_fail(&[], &FailedRounds::default()), None);
        let in_all = vec![MemberIndex(0), MemberIndex(2)];
        let once = FailedRounds { voided: 1, in_all: in_all.clone(), ..FailedRounds::default() };
        assert_eq!(
            message(&once),
            (
                Severity::Notice,
                "the last sum could not be opened; in its set: ada, eve; nobody can be named for this".into()
            )
        );
        let often = FailedRounds { voided: 4, in_all, ..FailedRounds::default() };
        assert_eq!(
            message(&often),
            (
                Severity::Warning,
                "the last 4 sums could not be opened; in all of their sets: ada, eve; nobody can be named for this"
                    .into()
            )
        );
        let mixed = FailedRounds { voided: 2, rejected: 1, ..FailedRounds::default() };
        assert!(
            message(&mixed)
                .1
                .contains("(2 could not be opened, 1 had values out of range); no member was")
        );
    }
}

//! Members that commit to updates which are in no sum: a member that commits and then serves
//! nobody, or is cut off, costs every round its transfer deadline. This proves no fault, because a
//! member that cannot reach the others looks the same, so the rounds continue, and a condition
//! names the member.

use std::collections::{BTreeMap, BTreeSet};

use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::ledger::set_of;
use fedshield_protocol::status::Status;
use fedshield_protocol::wire::Record;

use crate::conditions::Conditions;
use crate::control::api::{Condition, Severity};

/// The condition's name.
const LEFT_OUT: &str = "updates-left-out";

/// So many rounds in a row are more than a transient failure.
const MANY: u64 = 3;

/// Members whose latest commitments led to no sum, since the start of this node.
pub(super) struct LeftOut {
    board: Conditions,
    /// Members' names in manifest order.
    names: Vec<String>,
    me: MemberIndex,
    /// The round in progress, and the members whose commitments have arrived.
    committed: (Round, BTreeSet<MemberIndex>),
    /// For each such member the number of consecutive rounds, and the last of them.
    in_vain: BTreeMap<MemberIndex, (u64, Round)>,
}

impl LeftOut {
    pub(super) fn new(board: Conditions, names: Vec<String>, me: MemberIndex) -> Self {
        let (committed, in_vain) = ((Round(0), BTreeSet::new()), BTreeMap::new());
        Self { board, names, me, committed, in_vain }
    }

    /// Records whose commitments have arrived. Members that are banned or excluded, or whose update
    /// is refused, are reported with the reason elsewhere.
    pub(super) fn observe(&mut self, status: &Status) {
        if self.committed.0 != status.round {
            self.committed = (status.round, BTreeSet::new());
        }
        let known_reason = |member: MemberIndex| {
            let it = status.members.get(member.position());
            status.banned.contains(&member)
                || it.is_some_and(|it| it.refused.is_some() || it.excluded_until.is_some())
        };
        for (member, it) in (0..).map(MemberIndex).zip(&status.members) {
            if known_reason(member) {
                self.committed.1.remove(&member);
            } else if it.committed {
                self.committed.1.insert(member);
            }
        }
    }

    /// A round has ended. If no set was decided, it counts for no member.
    pub(super) fn round_ended(&mut self, record: &Record) {
        let Some((set, _)) = set_of(&record.outcome) else { return };
        for (member, _) in set {
            self.in_vain.remove(member);
        }
        if self.committed.0 == record.round {
            let is_out = |member: &&MemberIndex| !set.iter().any(|(other, _)| other == *member);
            for member in self.committed.1.iter().filter(is_out) {
                let (times, last) = self.in_vain.entry(*member).or_default();
                *times = times.saturating_add(1);
                *last = record.round;
            }
        }
        self.board.show(LEFT_OUT, self.condition());
    }

    fn condition(&self) -> Option<Condition> {
        let most = self.in_vain.values().map(|(times, _)| *times).max()?;
        let line = |(member, (times, last)): (&MemberIndex, &(u64, Round))| {
            let name = self.names.get(member.position()).map_or("?", String::as_str);
            let rounds = if *times == 1 { "round" } else { "rounds in a row" };
            format!("{name} ({times} {rounds}, the last one is {last})")
        };
        let lines: Vec<String> = self.in_vain.iter().map(line).collect();
        let text = format!(
            "committed to an update that had not arrived at enough members in time and is in no sum: {}",
            lines.join(", ")
        );
        let severity = if most < MANY { Severity::Notice } else { Severity::Warning };
        let hint = if self.in_vain.contains_key(&self.me) {
            "this node is one of them: check its connections to the other members with \
             `fedshield-cli members --long`, and its upload \
             against the deadlines of the terms"
        } else {
            "rounds wait for it until their deadline. Ask its operator whether its network lets the others fetch (`fedshield-cli \
             members --long` there) and how long an upload takes; nothing is proven against it. If it does this for \
             no reason, found a federation without it"
        };
        Some(Condition::new(LEFT_OUT, severity, text).with_hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fedshield_protocol::ids::{
        Beacon, CommitmentDigest, Digest, Epoch, FederationId, IdentityKey, ManifestDigest,
        RecordDigest,
    };
    use fedshield_protocol::object::ObjectRef;
    use fedshield_protocol::wire::Outcome;
    use tokio::sync::watch;

    use super::super::records::tests::machine;
    use super::*;
    use crate::control::api::NodeStatus;

    fn record(round: u64, set: Option<&[u16]>) -> Record {
        let digest = [7; 32];
        let aggregate = ObjectRef { root: Digest(digest), length: 1 };
        let outcome = set.map_or(Outcome::Skipped, |set| Outcome::Void {
            set: set
                .iter()
                .map(|member| (MemberIndex(*member), CommitmentDigest(digest)))
                .collect(),
            aggregate,
        });
        Record {
            federation: FederationId(digest),
            manifest: ManifestDigest(digest),
            epoch: Epoch(0),
            round: Round(round),
            previous: RecordDigest(digest),
            outcome,
            adapter: None,
            applied: 0,
            beacon: Beacon(digest),
        }
    }

    #[test]
    fn a_member_that_commits_without_serving_is_named_with_a_count_until_its_update_is_in_a_sum() {
        let (sender, shown) = watch::channel(NodeStatus::starting("a", IdentityKey([1; 32])));
        let names = ["ada", "bob", "eve", "kay"].map(str::to_owned).to_vec();
        let board = Conditions::new(Arc::new(sender));
        let mut left_out = LeftOut::new(board, names, MemberIndex(0));
        let mut status = machine().status();
        let mut round = |number: u64, committed: &[usize], set: Option<&[u16]>| {
            status.round = Round(number);
            for (position, member) in status.members.iter_mut().enumerate() {
                member.committed = committed.contains(&position);
            }
            left_out.observe(&status);
            left_out.round_ended(&record(number, set));
            shown.borrow().conditions.first().cloned()
        };
        assert_eq!(round(0, &[0, 1, 2, 3], Some(&[0, 1, 2, 3])), None);
        // No set was decided, so any member may be the cause.
        assert_eq!(round(1, &[0, 2], None), None);
        for times in 1..=MANY {
            let it = round(1 + times, &[0, 1, 2, 3], Some(&[0, 1, 3])).unwrap();
            let severity = if times < MANY { Severity::Notice } else { Severity::Warning };
            assert_eq!((it.name.as_str(), it.severity), (LEFT_OUT, severity));
            assert!(it.message.contains(&format!("eve ({times} round")), "{}", it.message);
            assert!(!it.message.contains("bob"), "{}", it.message);
        }
        // A round without a commitment leaves its count unchanged.
        assert!(round(5, &[0, 1, 3], Some(&[0, 1, 3])).unwrap().message.contains("eve (3 rounds"));
        assert_eq!(round(6, &[0, 1, 2, 3], Some(&[0, 2, 3])).unwrap().severity, Severity::Notice);
        assert_eq!(round(7, &[0, 1, 2, 3], Some(&[0, 1, 2])).unwrap().severity, Severity::Notice);
        assert_eq!(round(8, &[3], Some(&[0, 1, 2, 3])), None);
    }

    #[test]
    fn a_member_that_is_banned_is_not_named_once_more() {
        let (sender, shown) = watch::channel(NodeStatus::starting("a", IdentityKey([1; 32])));
        let names = ["ada", "bob", "eve", "kay"].map(str::to_owned).to_vec();
        let mut left_out = LeftOut::new(Conditions::new(Arc::new(sender)), names, MemberIndex(0));
        let mut status = machine().status();
        status.members[2].committed = true;
        left_out.observe(&status);
        status.banned = vec![MemberIndex(2)];
        left_out.observe(&status);
        left_out.round_ended(&record(0, Some(&[0, 1, 3])));
        assert!(shown.borrow().conditions.is_empty());
    }
}

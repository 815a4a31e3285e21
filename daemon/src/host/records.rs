//! Passes the ledger to the machine, and to members that are behind: record by record, never all of
//! them in memory.

use std::ops::ControlFlow;

use fedshield_protocol::Machine;
use fedshield_protocol::event::Event;
use fedshield_protocol::ids::{MemberIndex, Round};
use fedshield_protocol::ledger::LedgerError;
use fedshield_protocol::status::{MemberStatus, Status};

use super::{Host, HostError};
use crate::conditions::Conditions;
use crate::control::api::{Condition, Severity};
use crate::store::{CheckpointKey, Ledger};

/// The condition of a ledger with a record that is not valid.
const DAMAGED: &str = "ledger-damaged";
/// The condition of a ledger that ends before the journal.
const BEHIND: &str = "ledger-behind-journal";

/// Passes the ledger to the machine before it boots. Returns the first invalid record, if there is
/// one: it and all later ones are cut off, with a copy put aside, and fetched from the other
/// members again. Signatures and certificates of records that were verified before are not verified
/// again, see `Ledger::verified`.
pub(super) fn replay(
    machine: &mut Machine,
    ledger: &Ledger,
    key: &CheckpointKey,
) -> Result<Option<LedgerError>, HostError> {
    let verified = ledger.verified(key)?;
    let (mut damage, mut newest) = (None, None);
    ledger.for_each(Round(0), |record| {
        let is_new = record.record.round.0 >= verified;
        let result =
            if is_new { machine.replay(&record) } else { machine.replay_verified(&record) };
        match result {
            Ok(()) => {
                newest = is_new.then_some(record);
                ControlFlow::Continue(())
            }
            Err(error) => {
                damage = Some((record.record.round, error));
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(newest) = newest {
        ledger.set_verified(key, &newest);
    }
    let Some((round, error)) = damage else { return Ok(None) };
    if let Some(repair) = ledger.cut(round, &error.to_string())? {
        tracing::warn!("{repair}");
    }
    Ok(Some(error))
}

/// Conditions of the ledger: damage that a start has found, and a journal with later rounds.
pub(super) struct LedgerWatch {
    board: Conditions,
    /// Members' names in manifest order.
    names: Vec<String>,
    damage: Option<(LedgerError, Round)>,
}

impl LedgerWatch {
    pub(super) fn new(board: Conditions, names: Vec<String>, damage: Option<LedgerError>) -> Self {
        let damage = damage.map(|error| {
            let round = match &error {
                LedgerError::Record { round, .. } => *round,
                _ => Round(0),
            };
            (error, round)
        });
        let watch = Self { board, names, damage };
        if let Some((error, round)) = &watch.damage {
            let message = format!(
                "the ledger on this disk is damaged: {error}. It and all later records are fetched from the other \
                 members again"
            );
            let hint = format!(
                "nothing needs to be done unless round {round} is never reached: then check with \
                 `fedshield-cli members` \
                 that another member can be reached. Damage that recurs means a failing disk"
            );
            watch.board.set(Condition::new(DAMAGED, Severity::Warning, message).with_hint(hint));
        }
        watch
    }

    /// Updates the conditions from the machine's status.
    pub(super) fn observe(&mut self, status: &Status) {
        if self.damage.as_ref().is_some_and(|(_, round)| status.round > *round) {
            self.damage = None;
            self.board.clear(DAMAGED);
        }
        let behind = status.journal_round.map(|last| {
            let message = format!(
                "the ledger on this disk ends before round {}, but this node has been in round {last}: the records \
                 between are fetched from the other members before it takes part again; {}",
                status.round,
                self.holders(status)
            );
            let hint = "one member that can be reached and has the records is enough: \
                        `fedshield-cli members` shows who is connected. If no member has them any \
                        more, a copy of any member's ledger from before will do: stop one \
                        node and put it in place of its own";
            Condition::new(BEHIND, Severity::Blocking, message).with_hint(hint)
        });
        self.board.show(BEHIND, behind);
    }

    /// The members that can send the missing records, as text.
    fn holders(&self, status: &Status) -> String {
        let gives = |member: &MemberStatus| {
            member.reachable && member.round.is_some_and(|round| round > status.round)
        };
        let holders: Vec<&str> = self
            .names
            .iter()
            .zip(&status.members)
            .filter(|(_, member)| gives(member))
            .map(|(name, _)| name.as_str())
            .collect();
        match holders.as_slice() {
            [] => "no member that can be reached has reported yet that it has them".to_owned(),
            some => format!("{} can send them", some.join(", ")),
        }
    }
}

impl Host {
    /// Reads records for a member that is behind. A ledger that cannot be read does not stop this
    /// node, because other members may answer.
    pub(super) fn read_records(&mut self, to: MemberIndex, from: Round, limit_bytes: usize) {
        let read = || self.parts.ledger.read_from(from, limit_bytes);
        match tokio::task::block_in_place(read) {
            Ok(records) => self.followed.push(Event::Records { to, records }),
            Err(reason) => tracing::warn!(%to, %from, %reason, "cannot read records for a member"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use fedshield_fixtures::{key, manifest};
    use fedshield_protocol::MachineConfig;
    use fedshield_protocol::ids::{
        Beacon, Epoch, FederationId, IdentityKey, ManifestDigest, RecordDigest,
    };
    use fedshield_protocol::manifest::{SignedManifest, sign_founding};
    use fedshield_protocol::wire::{CertifiedRecord, Outcome, Record};
    use tokio::sync::watch;

    use super::*;
    use crate::control::api::NodeStatus;
    use crate::home::Home;

    pub(in super::super) fn machine() -> Machine {
        let manifest = manifest(4);
        let signatures = (0..4).map(|i| sign_founding(&manifest, &key(i)).unwrap().1).collect();
        Machine::new(MachineConfig::new(SignedManifest { manifest, signatures }, key(0)).unwrap())
    }

    fn foreign_record() -> CertifiedRecord {
        let digest = [7; 32];
        let record = Record {
            federation: FederationId(digest),
            manifest: ManifestDigest(digest),
            epoch: Epoch(0),
            round: Round(0),
            previous: RecordDigest(digest),
            outcome: Outcome::Skipped,
            adapter: None,
            applied: 0,
            beacon: Beacon(digest),
        };
        CertifiedRecord { record, signatures: vec![], attachments: vec![1, 2] }
    }

    #[test]
    fn damage_in_the_ledger_is_named_until_it_is_repaired_and_so_is_a_journal_that_leads() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Home::new(folder.path())).unwrap().ledger;
        let key = CheckpointKey::from_seed(&[3; 32]);
        assert_eq!(replay(&mut machine(), &ledger, &key).unwrap(), None);
        ledger.append(&foreign_record()).unwrap();
        let mut machine = machine();
        let damage = replay(&mut machine, &ledger, &key).unwrap();
        assert!(damage.is_some());
        // Cut off, with a copy put aside: the valid record can take its place.
        assert_eq!(ledger.count(), 0);
        let names = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name());
        let aside =
            |name: &std::ffi::OsString| name.to_string_lossy().contains("ledger.fsl.damaged");
        assert_eq!(names.filter(aside).count(), 1);

        let (sender, shown) = watch::channel(NodeStatus::starting("a", IdentityKey([1; 32])));
        let mut watch = LedgerWatch::new(
            Conditions::new(Arc::new(sender)),
            ["ada", "bob", "eve", "kay"].map(str::to_owned).to_vec(),
            damage,
        );
        let condition = shown.borrow().conditions[0].clone();
        assert!(condition.message.contains("record 0 (round 0)"), "{}", condition.message);
        let mut status = machine.status();
        watch.observe(&status);
        assert_eq!(shown.borrow().conditions.len(), 1, "the round is not over again");
        status.round = Round(1);
        status.journal_round = Some(Round(5));
        watch.observe(&status);
        assert!(shown.borrow().conditions[0].message.contains("no member that can be reached"));
        status.members[2] =
            MemberStatus { reachable: true, round: Some(Round(4)), ..MemberStatus::default() };
        watch.observe(&status);
        let condition = shown.borrow().conditions.clone();
        let [condition] = condition.as_slice() else { panic!("{condition:?}") };
        assert_eq!((condition.name.as_str(), condition.severity), (BEHIND, Severity::Blocking));
        for words in ["before round 1,", "in round 5:", "; eve can send them"] {
            assert!(condition.message.contains(words), "{}", condition.message);
        }
        status.journal_round = None;
        watch.observe(&status);
        assert!(shown.borrow().conditions.is_empty());
    }
}

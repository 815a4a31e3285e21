//! Starts and stops of simulated nodes: booting from the disk, crashing, leaving and pausing.

use fedshield_protocol::Machine;
use fedshield_protocol::event::{Command, Event};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::evidence::Evidence;
use fedshield_protocol::wire::journal::{Entry, Note};

use super::{SimEvent, World};
use crate::l0::faults::{Absence, AbsenceKind, Crash};
use crate::l0::run::Bug;

impl World {
    pub(super) fn boot(&mut self, index: usize) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        let mut journal: Vec<_> =
            node.disk.journal.iter().map(|(_, bytes)| bytes.clone()).collect();
        if self.bug == Some(Bug::VotesNotPersisted) {
            journal.retain(|bytes| {
                let note = Entry::decode(bytes).map(|entry| entry.note);
                !matches!(note, Ok(Note::Voting { .. } | Note::Decided(_) | Note::Signed(_)))
            });
        }
        if self.bug == Some(Bug::CommitmentsNotKept) {
            journal.retain(|bytes| {
                let note = Entry::decode(bytes).map(|entry| entry.note);
                !matches!(note, Ok(Note::Kept { .. } | Note::Opened { .. }))
            });
        }
        if self.bug == Some(Bug::OneAdapter) {
            node.forget_all_but_the_newest_adapter();
        }
        let member = node.member;
        let mut machine = Machine::new(self.federation.config(member));
        // A damaged record is dropped with all records after it; they are fetched again.
        let good = node.disk.records.iter().take_while(|record| machine.replay(record).is_ok());
        let good = good.count();
        node.disk.records.truncate(good);
        node.disk.damaged = None;
        for bytes in &node.disk.evidence {
            if let Ok(evidence) = Evidence::decode(bytes) {
                machine.recall_evidence(&evidence, ObjectRef::of(bytes));
            }
        }
        node.machine = Some(machine);
        let nonce = self.nonce();
        self.handle(index, Event::Boot { journal, nonce });
        if self.nodes.get(index).is_some_and(|node| node.pauses > 0) {
            self.handle(index, Event::Operator(Command::Pause));
        }
        for other in 0..self.nodes.len() {
            let Some(peer) = self.nodes.get(other).filter(|_| other != index) else { continue };
            let (peer_member, up) = (peer.member, peer.machine.is_some());
            if up {
                self.handle(index, Event::PeerUp(peer_member));
                self.handle(other, Event::PeerUp(member));
            }
        }
    }

    /// A member stops or pauses, and comes back later.
    pub(super) fn leave(&mut self, absence: Absence) {
        let Absence { node: index, kind, until_ms, .. } = absence;
        if self.nodes.get(index).is_none_or(|node| node.machine.is_none()) {
            return;
        }
        match kind {
            AbsenceKind::Stop => {
                self.handle(index, Event::Operator(Command::Leave));
                // It may have crashed while it handled the command; then the crash restarts it.
                if self.nodes.get(index).is_some_and(|node| node.machine.is_some()) {
                    self.take_down(index, "stop");
                    self.schedule(until_ms.max(self.now + 1), SimEvent::Boot(index));
                }
            }
            AbsenceKind::Pause => {
                if let Some(node) = self.nodes.get_mut(index) {
                    node.pauses += 1;
                }
                self.handle(index, Event::Operator(Command::Pause));
                self.schedule(until_ms.max(self.now + 1), SimEvent::Resume(index));
            }
        }
    }

    /// Stops a node; the others see its connections close.
    fn take_down(&mut self, index: usize, what: &str) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.shut_down();
        let member = node.member;
        self.note(index, what, &[]);
        for other in 0..self.nodes.len() {
            self.handle(other, Event::PeerDown(member));
        }
    }

    fn nonce(&mut self) -> [u8; 32] {
        let mut nonce = [0; 32];
        for part in nonce.chunks_mut(8) {
            part.copy_from_slice(&self.random.next().to_le_bytes());
        }
        nonce
    }

    pub(in crate::l0) fn crash(&mut self, index: usize, crash: Crash) {
        // What is not on disk is lost first.
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.shut_down();
        let lost = self.lose(index, crash.loss);
        self.take_down(index, &format!("crash, lost: {lost:?}"));
        // The latest restart is when the network heals or 200 ms from now, whichever is later.
        let back = (self.now + crash.down_ms).min(self.plan.heal_ms.max(self.now + 200));
        self.schedule(back, SimEvent::Boot(index));
    }
}

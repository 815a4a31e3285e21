//! Catching up: records from whoever is ahead, then the global adapter by chunks.

use super::{Machine, Question, Tag};
use crate::effect::{Effect, Purpose};
use crate::ids::{Digest, MemberIndex, Round};
use crate::job::Job;
use crate::limits::MAX_RECORDS_ANSWER_BYTES;
use crate::wire::{Body, CertifiedRecord, LedgerEntry};

impl Machine {
    /// `ahead` is in a later round: its records, please.
    pub(super) fn ask_for_records(&mut self, ahead: MemberIndex) {
        if self.may_answer(ahead, Question::Ask) {
            self.tell(ahead, Body::RecordsRequest(self.round.number));
        }
    }

    pub(super) fn send_records(&mut self, to: MemberIndex, from: Round) {
        if from >= self.round.number || !self.may_answer(to, Question::Records) {
            return;
        }
        let room_bytes = MAX_RECORDS_ANSWER_BYTES;
        self.out.push(Effect::ReadRecords { to, from, room_bytes });
    }

    /// The host has read them; no more are sent than fit.
    pub(super) fn give_records(&mut self, to: MemberIndex, mut records: Vec<CertifiedRecord>) {
        let mut room = MAX_RECORDS_ANSWER_BYTES;
        let fitting = records.iter().take_while(|record| {
            let size = postcard::experimental::serialized_size(record).unwrap_or(usize::MAX);
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        });
        let fitting = fitting.count();
        records.truncate(fitting);
        if !records.is_empty() {
            let entries = records.into_iter().map(LedgerEntry::Round).collect();
            self.tell(to, Body::Records(entries));
        }
    }

    pub(super) fn take_records(&mut self, entries: Vec<LedgerEntry>) {
        let before = self.round.number;
        for LedgerEntry::Round(certified) in entries {
            if certified.record.round != self.round.number {
                continue;
            }
            if self.tip.check(&self.config.roster(), &certified).is_err() {
                return self.dropped("records: not valid");
            }
            // An apply job that runs already outlives the round: it gives the adapter sooner than the network.
            self.finish(certified);
        }
        if self.round.number == before {
            return;
        }
        // There may be more than fit into one answer.
        let current = self.round.number;
        let ahead = self
            .peers
            .iter()
            .position(|peer| peer.newest.as_ref().is_some_and(|newest| newest.round > current));
        if let Some(ahead) = ahead.and_then(|p| u16::try_from(p).ok()).map(MemberIndex) {
            self.forget_answer(ahead, Question::Ask);
            self.ask_for_records(ahead);
        }
    }

    /// Phase sync: the records are here, the adapter they name is not. Gives up on nothing; asks again on every tick.
    pub(crate) fn sync(&mut self) {
        let Some(adapter) = self.tip.adapter.filter(|adapter| self.held != Some(*adapter)) else {
            return;
        };
        if self.past.applied_last.is_some_and(|round| self.jobs.is_running(Tag::Apply(round))) {
            return;
        }
        let members: Vec<_> = self.config.manifest.members().collect();
        if self.want(adapter, Purpose::Adapter, |_| members) {
            let applied = self.tip.applied;
            self.start(Tag::Adopt(adapter.root), Job::Adopt { adapter, applied });
        }
    }

    pub(super) fn adopted(&mut self, root: Digest) {
        if let Some(adapter) = self.tip.adapter.filter(|adapter| adapter.root == root) {
            self.hold(adapter);
        }
    }

    /// The host has the global adapter; others can get it here.
    pub(crate) fn hold(&mut self, adapter: crate::object::ObjectRef) {
        self.held = Some(adapter);
        self.serve_adapter(adapter);
    }
}

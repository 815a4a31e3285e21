//! After a start: the ledger and the journal say where this member was; it goes on from there and contradicts nothing.

use super::Machine;
use crate::agreement::Agreement;
use crate::event::{Nonce, TimerId};
use crate::ids::Round;
use crate::job::Fate;
use crate::journal::{Entry, Note};
use crate::ledger::includes;
use crate::message::Decision;
use crate::record::CertifiedRecord;
use crate::round::RoundState;

impl Machine {
    pub(super) fn boot(
        &mut self,
        records: Vec<CertifiedRecord>,
        journal: &[Vec<u8>],
        nonce: Nonce,
    ) {
        self.booted = true;
        for certified in records {
            if self.tip.check(&self.config.roster(), &certified).is_err() {
                self.dropped("boot: a stored record is not valid");
                break;
            }
            self.tip = self.tip.after(&certified.record);
            self.records.push(certified);
        }
        self.round = RoundState::new(&self.config, &self.tip);
        for bytes in journal {
            match Entry::decode(bytes) {
                Ok(entry) => self.recall(entry),
                Err(_) => {
                    self.dropped("boot: a journal entry cannot be read");
                    self.stay_silent(self.tip.round);
                }
            }
        }
        self.resume();
        self.doubt_itself(nonce);
        self.set_timer(TimerId::Status, self.config.status_ms());
    }

    /// Says nothing that could contradict what a lost journal or ledger knew.
    pub(super) fn stay_silent(&mut self, through: Round) {
        self.silent_through = self.silent_through.max(Some(through));
    }

    fn recall(&mut self, entry: Entry) {
        let current = self.round.number;
        if entry.round > current {
            return self.stay_silent(entry.round);
        }
        if entry.round < current {
            let fate = match usize::try_from(entry.round.0).ok().and_then(|i| self.records.get(i)) {
                Some(r) if includes(&r.record.outcome, self.config.me) => Some(Fate::Spent),
                _ if matches!(entry.note, Note::Committed(_)) => Some(Fate::Kept),
                _ => None,
            };
            let known = self.settling.entry(entry.round).or_default();
            *known = fate.or(*known);
            return;
        }
        match entry.note {
            Note::Committed(body) => self.note_own_commitment(*body),
            Note::Reported(set) => self.note_own_report(set),
            Note::Attested { set, aggregate } => self.note_own_attestation(set, aggregate),
            Note::Voting { decision, state, values } => {
                let vote = Agreement::new(decision, self.config.me, self.config.rules(), state);
                *self.round.vote_on_mut(decision) = vote;
                self.round.values.extend(values.into_iter().map(|value| (value.id(), value)));
            }
            Note::Decided(decided) => {
                let decision = decided.certificate.decision;
                self.round.remembered.insert(decision);
                self.round.values.insert(decided.value.id(), decided.value);
                self.round.vote_on_mut(decision).adopt(decided.certificate);
            }
            Note::Released { set, object } => self.note_own_partial(set, object),
            Note::Signed(record) => self.note_own_record(*record),
            Note::Ready => self.note_own_ready(),
            Note::Present(heard) => self.round.presence.heard.extend(heard),
        }
    }

    /// Goes on with the votes that were under way.
    fn resume(&mut self) {
        for decision in [Decision::Set, Decision::End] {
            let vote = self.round.vote_on_mut(decision);
            if vote.state().cast.is_empty() {
                continue;
            }
            let votes: Vec<_> = vote.cast().collect();
            for vote in votes {
                self.count_own_vote(&vote);
            }
        }
    }
}

//! combine: from enough answers the key is put together and checked against the aggregate; with more answers than the
//! threshold wrong ones are corrected and their authors named.

use crate::job::{Combined, Job};
use crate::machine::{Machine, Tag};
use crate::status::Phase;
use crate::wire::{Decision, Value, set_digest};

impl Machine {
    pub(super) fn combine(&mut self) -> Phase {
        let Some((set, _)) = self.round.decided.clone() else { return Phase::Record };
        self.answer_decision(&set);
        self.serve_again(&set);
        self.put_together();
        self.check_keys();
        if let Some(phase) = self.conclude() {
            return phase;
        }
        Phase::Combine
    }

    /// Starts a combine job whenever there are more answers than the last one had.
    pub(super) fn put_together(&mut self) {
        let Some((set, aggregate)) = self.round.decided.clone() else { return };
        let Some(partials) = self.fetch_answers(&aggregate) else { return };
        let tag = Tag::Combine(self.round.number);
        let has_opened = self.round.opened.is_some() && !self.lacks_its_key();
        if has_opened || self.jobs.is_running(tag) || self.checks_a_key() {
            return;
        }
        if partials.len() > self.round.combined_with {
            self.round.combined_with = partials.len();
            self.may_repeat(tag);
        } else if !self.jobs.has_failed(tag) {
            return;
        }
        let start = self.round.start;
        self.start(tag, Job::Combine { start, set, aggregate, partials });
    }

    pub(crate) fn combined(&mut self, combined: Combined) {
        match combined {
            Combined::NotYet => {}
            Combined::Opened { key, sum, culprits } => {
                self.has_opened(key, sum);
                self.round.culprits = culprits;
            }
        }
    }

    /// Whose answers were wrong can be proven to others only once a quorum has accepted the key: until then it might as well
    /// be the key that is wrong.
    pub(super) fn prove_answers(&mut self) {
        if self.round.culprits.is_empty() {
            return;
        }
        let (Some(set), Some(end)) =
            (self.decided_value(Decision::Set), self.decided_value(Decision::Outcome))
        else {
            return;
        };
        let culprits = core::mem::take(&mut self.round.culprits);
        let agreed = matches!(&end.value, Value::Opened { key, sum }
            if self.round.opened == Some((*key, *sum)));
        let Value::Aggregate { set: updates, .. } = &set.value else { return };
        if !agreed {
            return;
        }
        let digest = set_digest(updates);
        let answers = self
            .round
            .partials
            .iter()
            .filter(|(_, it)| it.set == digest && self.objects.is_here(&it.object) == Some(true))
            .map(|(member, it)| (*member, it.object, it.signature))
            .collect();
        let (round, set, end) = (self.round.number, Box::new(set), Box::new(end));
        let job = Job::ProveAnswers { round, set, outcome: end, answers, culprits };
        self.start(Tag::ProveAnswers(round), job);
    }
}

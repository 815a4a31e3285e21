//! combine: from enough answers the key is put together and checked against the aggregate; with more answers than the
//! threshold wrong ones are corrected and their authors named.

use crate::evidence::Evidence;
use crate::job::{Combined, Job};
use crate::machine::{Machine, Tag};
use crate::message::Body;
use crate::status::Phase;

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
                for member in culprits {
                    let Some(answer) = self.round.partials.get(&member).copied() else { continue };
                    let body = Body::Partial { set: answer.set, object: answer.object };
                    let statements = vec![(body, answer.signature)];
                    let round = self.round.number;
                    let evidence = Evidence { member, round, statements };
                    self.ban(&evidence, "a wrong partial decryption");
                }
            }
        }
    }
}

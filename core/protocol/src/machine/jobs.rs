//! Which part gets the result of a job.

use super::Machine;
use crate::context::Tag;
use crate::job::{JobId, JobOutput};

impl Machine {
    pub(super) fn job_failed(&mut self, id: JobId) {
        match self.cx.jobs.failed(id) {
            Some(Tag::Apply(round)) => self.not_applied(round),
            Some(Tag::CheckCiphertext(of)) => self.ciphertext_not_checked(&of),
            _ => {}
        }
    }

    pub(super) fn job_done(&mut self, id: JobId, output: JobOutput) {
        let Some(tag) = self.cx.jobs.done(id) else { return self.cx.dropped("job: not running") };
        match (tag, output) {
            (Tag::SealingKey(round), JobOutput::SealingKey(key)) => self.have_key(round, key),
            (Tag::Contribute(_), JobOutput::Encrypted) => self.round.encrypted = true,
            (Tag::SealBoxes(_), JobOutput::Contribution(body)) => self.contributed(body),
            (Tag::SealAgain(to), JobOutput::Sealed(sealed)) => self.sealed_again(to, sealed),
            (Tag::CheckBox(of), JobOutput::Checked { valid }) => self.box_checked(of, valid),
            (Tag::Erase, JobOutput::Erased) => self.erased(),
            (Tag::CheckShare(of), JobOutput::Checked { valid }) => self.share_checked(of, valid),
            (Tag::CheckCiphertext(of), JobOutput::Checked { valid }) => {
                self.ciphertext_checked(of, valid);
            }
            (Tag::Prepare(_), JobOutput::Prepared(shape)) => self.prepared(shape),
            (Tag::Reveal(to), JobOutput::Preimage(bytes)) => self.revealed(to, bytes),
            (Tag::CheckPreimage(of, member), JobOutput::Checked { valid }) => {
                self.preimage_checked(of, member, valid);
            }
            (Tag::Aggregate(set), JobOutput::Aggregated(sum)) => self.aggregated(set, sum),
            (Tag::Partial(_), JobOutput::Partial(object)) => self.release(object),
            (Tag::Combine(_), JobOutput::Combined(combined)) => self.combined(combined),
            (Tag::Apply(round), JobOutput::Applied(applied)) => self.applied(round, applied),
            (Tag::Adopt(root), JobOutput::Adopted) => self.adopted(root),
            (Tag::Settle(round), JobOutput::Settled) => self.settled(round),
            (Tag::CheckEvidence(root, member), JobOutput::Evidence(bytes)) => {
                self.evidence_checked(root, member, bytes.as_deref());
            }
            (Tag::ProveAnswers(_), JobOutput::Proven(list)) => self.answers_proven(&list),
            (Tag::CheckKey(key), JobOutput::KeyChecked { sum }) => self.key_checked(key, sum),
            _ => self.cx.dropped("job: an answer of another kind"),
        }
    }
}

//! Which part gets the result of a job.

use super::Machine;
use crate::context::Tag;
use crate::job::{JobId, JobOutput};
use crate::round::Collect;
use crate::round::collect::Availability;
use crate::settlement::Settlement;

/// Why a result is not used.
const OTHER_KIND: &str = "job: an answer of another kind";

impl Machine {
    pub(super) fn on_job_failed(&mut self, id: JobId) {
        match self.cx.jobs.failed(id) {
            Some(Tag::Apply(round)) => self.round.decryption.on_not_applied(&mut self.cx, round),
            Some(Tag::CheckCiphertext(of)) => {
                let commitments = &self.round.collect.commitments;
                Availability::on_ciphertext_not_checked(&mut self.cx, commitments, &of);
            }
            _ => {}
        }
    }

    pub(super) fn on_job_done(&mut self, id: JobId, output: JobOutput) {
        let Some(tag) = self.cx.jobs.done(id) else { return self.cx.dropped("job: not running") };
        match tag {
            Tag::SealingKey(_) | Tag::Erase | Tag::Adopt(_) | Tag::Settle(_) => {
                self.on_upkeep_done(tag, output);
            }
            Tag::CheckEvidence(..) | Tag::ProveAnswers(_) => self.on_evidence_done(tag, output),
            Tag::Aggregate(_)
            | Tag::Partial(_)
            | Tag::Combine(_)
            | Tag::CheckKey(_)
            | Tag::Apply(_) => self.on_sum_done(tag, output),
            _ => self.on_update_done(tag, output),
        }
    }

    /// Keys, secrets, the adapter: what does not belong to a round.
    fn on_upkeep_done(&mut self, tag: Tag, output: JobOutput) {
        let cx = &mut self.cx;
        match (tag, output) {
            (Tag::SealingKey(round), JobOutput::SealingKey(key)) => {
                if self.keys.on_made(cx, round, key, self.recovery.is_recovering()) {
                    self.settlement.key_made();
                }
            }
            (Tag::Erase, JobOutput::Erased) => {
                self.settlement.on_erased();
                self.keys.erased();
            }
            (Tag::Adopt(root), JobOutput::Adopted) => self.sync.on_adopted(cx, &self.chain, root),
            (Tag::Settle(round), JobOutput::Settled) => {
                if self.settlement.on_settled(cx, round) {
                    self.incarnation.keep(cx);
                    Settlement::truncate(cx);
                }
            }
            _ => cx.dropped(OTHER_KIND),
        }
    }

    fn on_evidence_done(&mut self, tag: Tag, output: JobOutput) {
        let (cx, bans) = (&mut self.cx, &mut self.members.bans);
        match (tag, output) {
            (Tag::CheckEvidence(root, member), JobOutput::Evidence(bytes)) => {
                bans.on_checked(cx, root, member, bytes.as_deref());
            }
            (Tag::ProveAnswers(_), JobOutput::Proven(list)) => bans.on_proven(cx, &list),
            _ => cx.dropped(OTHER_KIND),
        }
    }

    /// commit and transfer: this member's own update and those of others.
    fn on_update_done(&mut self, tag: Tag, output: JobOutput) {
        let Self { cx, round, keys, .. } = self;
        let collect = &mut round.collect;
        match (tag, output) {
            (Tag::Prepare(_), JobOutput::Prepared(shape)) => {
                collect.commitments.on_prepared(cx, shape);
            }
            (Tag::Contribute(_), JobOutput::Encrypted) => collect.commitments.on_encrypted(),
            (Tag::SealShares(_), JobOutput::Contribution(body)) => round.on_contribution(cx, body),
            (Tag::CheckShare(of), JobOutput::Checked { valid }) => {
                let Collect { commitments, shares, .. } = collect;
                shares.on_checked(cx, commitments, keys, (of, valid));
            }
            (Tag::ResealShare(to), JobOutput::ResealedShare(sealed)) => {
                collect.on_own_resealed(cx, to, sealed);
            }
            (Tag::CheckResealedShare(of), JobOutput::Checked { valid }) => {
                let Collect { commitments, shares, .. } = collect;
                shares.on_resealed_checked(cx, commitments, keys, (of, valid));
            }
            (Tag::Reveal(to), JobOutput::ShareOpening(bytes)) => {
                collect.on_own_opened(cx, to, bytes);
            }
            (Tag::CheckShareOpening(of, member), JobOutput::Checked { valid }) => {
                let Collect { commitments, shares, .. } = collect;
                shares.on_opening_checked(cx, commitments, (of, member), valid);
            }
            (Tag::CheckCiphertext(of), JobOutput::Checked { valid }) => {
                collect.on_ciphertext_checked(cx, of, valid);
            }
            _ => cx.dropped(OTHER_KIND),
        }
    }

    /// aggregate, decrypt, combine, apply.
    fn on_sum_done(&mut self, tag: Tag, output: JobOutput) {
        let Self { cx, round, members, .. } = self;
        match (tag, output) {
            (Tag::Aggregate(set), JobOutput::Aggregated(sum)) => {
                round.set.sums.on_aggregated(cx, set, sum);
            }
            (Tag::Partial(_), JobOutput::Partial(object)) => {
                round.decryption.on_partial_made(cx, round.set.decided(), object);
            }
            (Tag::Combine(_), JobOutput::Combined(combined)) => {
                round.decryption.on_combined(cx, members, combined);
            }
            (Tag::CheckKey(key), JobOutput::KeyChecked { sum }) => {
                round.decryption.key.on_checked(cx, members, key, sum);
            }
            (Tag::Apply(of), JobOutput::Applied(applied)) if of == cx.round() => {
                round.finish.on_applied(applied);
            }
            (Tag::Apply(of), JobOutput::Applied(applied)) => {
                self.sync.on_applied_late(cx, &self.chain, of, &applied);
            }
            _ => cx.dropped(OTHER_KIND),
        }
    }
}

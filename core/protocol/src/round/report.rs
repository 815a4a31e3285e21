//! report: at the collection deadline, or as soon as nothing is missing, each member signs the updates whose own share
//! is valid and which f + 1 committee members hold whole: one of them is honest and will serve it.

use super::state::Share;
use crate::ids::{Digest, MemberIndex};
use crate::machine::Machine;
use crate::sign::Signature;
use crate::status::Phase;
use crate::wire::journal::Note;
use crate::wire::{Body, Set};

impl Machine {
    pub(super) fn report(&mut self) -> Phase {
        if !self.has_reported() {
            if !self.is_prepared() && !self.round.clock.transfer_over {
                return Phase::Transfer;
            }
            let candidates: Vec<(MemberIndex, Digest)> = self
                .round
                .first
                .iter()
                .map(|(member, digest)| (*member, *digest))
                .filter(|(member, digest)| {
                    self.round.shape.is_some()
                        && self.is_eligible(digest)
                        && !self.is_banned(*member)
                        && !self.is_excluded(*member)
                })
                .collect();
            let listed: Set = candidates
                .iter()
                .filter(|(_, digest)| self.is_vouched_for(digest))
                .copied()
                .collect();
            let open: Vec<_> = candidates
                .iter()
                .filter(|(author, digest)| {
                    !self.is_vouched_for(digest) && !self.is_too_late(*author)
                })
                .collect();
            let missing =
                open.iter().any(|(author, digest)| !self.is_out_of_reach(*author, digest));
            let too_few = !open.is_empty()
                && listed.len() < usize::from(self.config.rules().min_contributors);
            if (missing || too_few) && !self.round.clock.transfer_over {
                return Phase::Transfer;
            }
            self.keep_commitments(&listed);
            if !self.persist(Note::Reported(listed.clone())) {
                return Phase::Transfer;
            }
            self.note_own_report(listed.clone());
            self.say(Body::Report(listed));
        }
        self.round.set_vote.start();
        Phase::Aggregate
    }

    pub(super) fn has_reported(&self) -> bool {
        self.round.reports.contains_key(&self.config.me)
    }

    /// Whether so many have reported without an update of `member` that it cannot be in the set any more, whoever else
    /// lists it: a member that comes late finds the others there.
    pub(super) fn is_too_late(&self, member: MemberIndex) -> bool {
        let rules = self.config.rules();
        let reports = &self.round.reports;
        let lists = |set: &Set| set.iter().any(|(author, _)| *author == member);
        let listed = reports.values().filter(|(set, _)| lists(set)).count();
        let silent = usize::from(rules.member_count).saturating_sub(reports.len());
        if listed.saturating_add(silent) < usize::from(rules.inclusion_threshold()) {
            return true;
        }
        // Nor does a committee member that has reported without it fetch it any more.
        let first = self.round.first.get(&member);
        let could_hold = |m: &&MemberIndex| {
            let have_updates =
                self.round.have_updates.get(*m).zip(first).is_some_and(|(h, d)| h.contains(d));
            have_updates || reports.get(*m).is_none_or(|(set, _)| lists(set))
        };
        let committee = self.round.election.committee().iter();
        committee.filter(could_hold).count() < usize::from(rules.honest_threshold())
    }

    /// Whether nobody is here who could make good what an update lacks: its author is away, and no other holds all of it,
    /// or the own share in it is bad.
    fn is_out_of_reach(&self, author: MemberIndex, digest: &Digest) -> bool {
        let known = self.round.commitments.get(digest);
        let is_bad = known.is_some_and(|commitment| commitment.share == Share::Bad);
        let holders = self.round.holders_of(digest);
        self.is_away(author) && (is_bad || holders.iter().all(|m| self.is_away(*m)))
    }

    /// Whether this member can report an update: its own share is valid, and f + 1 committee members hold all of it.
    pub(crate) fn is_vouched_for(&self, digest: &Digest) -> bool {
        let enough = usize::from(self.config.rules().honest_threshold());
        self.round.commitments.get(digest).is_some_and(|commitment| {
            commitment.share == Share::Valid
                && !commitment.spoiled
                && self.round.holders_of(digest).len() >= enough
        })
    }

    /// Notes the own report, fresh or from the journal.
    pub(crate) fn note_own_report(&mut self, set: Set) {
        let body = Body::Report(set.clone());
        if let Some(signature) = self.sign(self.round.number, &body) {
            self.round.reports.insert(self.config.me, (set, signature));
        }
    }

    pub(super) fn take_report(&mut self, sender: MemberIndex, set: Set, signature: Signature) {
        match self.round.reports.get(&sender) {
            Some((first, _)) if *first == set => {}
            Some((first, first_signature)) => {
                let first = (Body::Report(first.clone()), *first_signature);
                self.equivocated(sender, first, (Body::Report(set), signature));
            }
            None => {
                self.round.reports.insert(sender, (set, signature));
            }
        }
    }
}

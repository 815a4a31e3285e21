//! transfer: before a committee member counts on an update it reads it. Bytes that are no ciphertext of their author would
//! make every sum with them fail; whoever finds them says so, and f + 1 such statements leave the update out and name its
//! author: at most f members lie.
//!
//! What a member says here follows from content alone: the commitment names the bytes by their digest, and all members of a
//! round read them by the same rules. So two honest members never contradict each other, nor does one that has forgotten
//! what it said; an update is never malformed to some only. Whoever rejects an update hands its bytes on to the committee:
//! an author that gives them to a few only gains nothing. f members that reject a good update leave nothing out: the f + 1
//! honest ones of the committee announce it.

use std::collections::BTreeMap;

use super::state::{Form, RoundState};
use crate::effect::Purpose;
use crate::ids::{Digest, MemberIndex};
use crate::job::Job;
use crate::machine::{Machine, Tag};
use crate::sign::Signature;
use crate::wire::Body;
use crate::wire::evidence::Evidence;
use crate::wire::journal::Note;

/// What committee members have said of updates that they could not read, or hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdicts {
    /// Rejected commitments by committee member.
    rejections: BTreeMap<MemberIndex, BTreeMap<Digest, Signature>>,
    /// The last announcement of each committee member, as it was signed.
    announced: BTreeMap<MemberIndex, (Vec<Digest>, Signature)>,
}

impl Verdicts {
    fn rejects(&self, member: MemberIndex, update: &Digest) -> bool {
        self.rejections.get(&member).is_some_and(|rejected| rejected.contains_key(update))
    }

    /// Who rejects an update, with their signatures.
    fn rejecters_of(&self, update: &Digest) -> Vec<(MemberIndex, Signature)> {
        let of = |(member, rejected): (&MemberIndex, &BTreeMap<Digest, Signature>)| {
            Some((*member, *rejected.get(update)?))
        };
        self.rejections.iter().filter_map(of).collect()
    }
}

impl RoundState {
    /// Whether a committee member has said that it cannot read this update.
    pub(crate) fn is_rejected_by(&self, member: MemberIndex, update: &Digest) -> bool {
        self.verdicts.rejects(member, update)
    }

    /// The own rejections, to say them again.
    pub(crate) fn own_rejections(&self, me: MemberIndex) -> Vec<Body> {
        let own = self.verdicts.rejections.get(&me);
        own.into_iter().flat_map(|own| own.keys().copied().map(Body::Rejection)).collect()
    }
}

impl Machine {
    /// What is known of an update before its ciphertext is read: the own one was written here, and what an earlier life has
    /// rejected stays so.
    pub(super) fn form_of(&self, author: MemberIndex, digest: &Digest) -> Form {
        let me = self.config.me;
        if author == me {
            Form::Sound
        } else if self.round.is_rejected_by(me, digest) {
            Form::Malformed
        } else {
            Form::Unknown
        }
    }

    /// Whether a ciphertext that is here can be added; the first question starts the check.
    pub(super) fn is_sound(&mut self, digest: &Digest) -> bool {
        let Some(known) = self.round.commitments.get(digest) else { return false };
        match known.form {
            Form::Sound => return true,
            Form::Malformed => return false,
            Form::Unknown => {}
        }
        if let Some(dealer) = self.round.dealer(digest) {
            let dealer = Box::new(dealer);
            let job = Job::CheckCiphertext { start: self.round.start, update: dealer };
            self.start(Tag::CheckCiphertext(*digest), job);
        }
        false
    }

    /// This member, of the committee, has read a ciphertext.
    pub(crate) fn ciphertext_checked(&mut self, digest: Digest, valid: bool) {
        let me = self.config.me;
        let Some(known) = self.round.commitments.get_mut(&digest) else { return };
        known.form = if valid { Form::Sound } else { Form::Malformed };
        if valid {
            // What it lacks besides may be here already.
            return self.round.stirred.stir(digest);
        }
        let ciphertext = known.body.ciphertext;
        if self.round.is_rejected_by(me, &digest) || !self.persist(Note::Rejected(digest)) {
            return;
        }
        self.note_own_rejection(digest);
        let committee = self.round.election.committee().to_vec();
        self.serve(ciphertext, Some(committee), Purpose::Ciphertext);
        self.say(Body::Rejection(digest));
        self.judge(&digest);
    }

    /// The check has failed for reasons of this member's own, which says nothing of the update; its bytes may have been lost.
    pub(crate) fn ciphertext_not_checked(&mut self, digest: &Digest) {
        if let Some(known) = self.round.commitments.get(digest) {
            let ciphertext = known.body.ciphertext;
            self.may_be_gone(&ciphertext);
        }
    }

    /// Notes an own rejection, fresh or from the journal.
    pub(crate) fn note_own_rejection(&mut self, digest: Digest) {
        let me = self.config.me;
        if let Some(known) = self.round.commitments.get_mut(&digest) {
            known.form = Form::Malformed;
        }
        if let Some(signature) = self.sign(self.round.number, &Body::Rejection(digest)) {
            let own = self.round.verdicts.rejections.entry(me).or_default();
            own.insert(digest, signature);
        }
    }

    pub(super) fn take_rejection(
        &mut self,
        sender: MemberIndex,
        digest: Digest,
        signature: Signature,
    ) {
        if !self.round.election.in_committee(sender) {
            return self.dropped("rejection: not of the committee");
        }
        let room = usize::from(self.config.rules().member_count) * 2;
        let said = self.round.verdicts.rejections.entry(sender).or_default();
        if said.contains_key(&digest) {
            return;
        }
        if said.len() >= room {
            return self.dropped("rejection: more than there can be updates");
        }
        said.insert(digest, signature);
        if let Some((list, first)) = self.round.verdicts.announced.get(&sender)
            && list.contains(&digest)
        {
            let first = (Body::HaveUpdates(list.clone()), *first);
            self.equivocated(sender, first, (Body::Rejection(digest), signature));
        }
        self.judge(&digest);
    }

    /// An announcement of `sender`: it cannot hold what it has rejected.
    pub(super) fn note_announcement(
        &mut self,
        sender: MemberIndex,
        list: &[Digest],
        signature: Signature,
    ) {
        let rejected = list.iter().find_map(|digest| {
            let by = *self.round.verdicts.rejections.get(&sender)?.get(digest)?;
            Some((Body::Rejection(*digest), by))
        });
        self.round.verdicts.announced.insert(sender, (list.to_vec(), signature));
        if let Some(rejected) = rejected {
            self.equivocated(sender, rejected, (Body::HaveUpdates(list.to_vec()), signature));
        }
    }

    /// Whether f + 1 committee members have rejected an update: one of them is honest and has read it.
    pub(crate) fn is_rejected(&self, digest: &Digest) -> bool {
        let enough = usize::from(self.config.rules().honest_threshold());
        self.round.verdicts.rejecters_of(digest).len() >= enough
    }

    /// Names the author of an update that f + 1 have rejected. The first f + 1 are proof enough.
    pub(super) fn judge(&mut self, digest: &Digest) {
        let enough = usize::from(self.config.rules().honest_threshold());
        let mut rejections = self.round.verdicts.rejecters_of(digest);
        let Some(known) = self.round.commitments.get(digest) else { return };
        if rejections.len() < enough {
            return;
        }
        rejections.truncate(enough);
        let (author, round) = (known.author, self.round.number);
        if author == self.config.me {
            return self.dropped("rejection: the committee cannot read the own update");
        }
        let commitment = (known.body.as_ref().clone(), known.signature);
        let evidence = Evidence::rejected(author, round, commitment, rejections);
        self.ban(&evidence, "an update that cannot be read");
    }
}

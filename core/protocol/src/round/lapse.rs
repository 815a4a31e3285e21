//! Dealers that do not answer. A bad share costs its receiver the partial decryption of every set that the update is in, so
//! a dealer that gives f members bad shares and answers nobody can spoil each round. Whether it deserved the complaint nobody
//! else can tell, but everyone can see whether it answers.
//!
//! Whoever hears a complaint in public hands it on to the dealer, directly, with its author's signature, at every own
//! heartbeat until it is answered. A dealer owes an answer when in [`BEATS_UNTIL_OVERDUE`] intervals between own
//! heartbeats, each at least one whole interval after the complaint was first handed on, a heartbeat of the dealer's came
//! while it could be reached, and no answer. What is asked for decides what is an answer: a box, whatever is in it, or the
//! share in clear, if it is valid.
//!
//! An honest dealer answers everyone with a box, and f members in clear; honest members do not ask it for more. So it
//! owes nothing to whoever it can hear, by whichever way, and what f liars say cannot make it. One that is cut off is not
//! heard, and owes nothing.
//!
//! A dealer that owes an answer when the round ends is left out of this member's reports for one round, the next time for
//! two, then four, [`MAX_EXCLUDED_ROUNDS`] at most. The count is forgotten after as many rounds in which it owes nothing.
//! More than f such dealers cannot be: then it is this member that is cut off, and nobody is left out. All of this is
//! one member's own decision, about its own reports; it is in the journal, a lost disk forgets it.

use std::collections::BTreeMap;

use crate::ids::{Digest, MemberIndex, Round};
use crate::limits::{BEATS_UNTIL_OVERDUE, MAX_EXCLUDED_ROUNDS, MAX_HANDED_ON};
use crate::machine::Machine;
use crate::sign::Signature;
use crate::wire::journal::{MissedAnswer, Note};
use crate::wire::{Body, Complaint, Remedy};

/// A complaint in public, and what has become of it.
#[derive(Debug, Clone)]
struct Heard {
    dealer: MemberIndex,
    complaint: Complaint,
    signature: Signature,
    /// Own heartbeats at which it was handed on.
    beats: u32,
    /// The dealer was heard since the last one.
    spoke: bool,
    /// Intervals in which it was heard and could have answered.
    chances: u8,
    /// A box has come.
    boxed: bool,
    answered: bool,
    /// Times that an answer was handed on.
    handed_on: u8,
}

impl Heard {
    const fn new(dealer: MemberIndex, complaint: Complaint, signature: Signature) -> Self {
        Self {
            dealer,
            complaint,
            signature,
            beats: 0,
            spoke: false,
            chances: 0,
            boxed: false,
            answered: false,
            handed_on: 0,
        }
    }
}

/// Complaints in public of one round, by commitment and author.
#[derive(Debug, Clone, Default)]
pub(crate) struct Complaints(BTreeMap<(Digest, MemberIndex), Heard>);

impl Complaints {
    /// A heartbeat of `member` in this round has come.
    pub(crate) fn heard(&mut self, member: MemberIndex) {
        for heard in self.0.values_mut().filter(|heard| heard.dealer == member) {
            heard.spoke = true;
        }
    }

    /// The dealer has sealed again: if more was asked for, at least it has heard the complaint.
    fn boxed(&mut self, of: (Digest, MemberIndex)) {
        if let Some(heard) = self.0.get_mut(&of).filter(|heard| !heard.boxed) {
            heard.boxed = true;
            (heard.beats, heard.chances) = (0, 0);
            heard.answered |= heard.complaint.remedy != Remedy::Open;
        }
    }

    /// Whether an answer may be handed on to whoever complained.
    fn may_hand_on(&mut self, of: (Digest, MemberIndex)) -> bool {
        let Some(heard) = self.0.get_mut(&of) else { return false };
        heard.handed_on = heard.handed_on.saturating_add(1);
        heard.handed_on <= MAX_HANDED_ON
    }

    /// The dealer's answer is valid.
    pub(super) fn answered(&mut self, of: (Digest, MemberIndex)) {
        if let Some(heard) = self.0.get_mut(&of) {
            heard.answered = true;
        }
    }

    fn owe(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        let owes = |heard: &&Heard| !heard.answered && heard.chances >= BEATS_UNTIL_OVERDUE;
        self.0.values().filter(owes).map(|heard| heard.dealer)
    }
}

/// Dealers that owed an answer in earlier rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lapses(BTreeMap<MemberIndex, MissedAnswer>);

impl Lapses {
    pub(crate) fn recall(&mut self, lapses: Vec<(MemberIndex, MissedAnswer)>) {
        self.0 = lapses.into_iter().collect();
    }

    /// The round `ended`, in which `dealt` dealt and `owing` of them owed an answer.
    fn round_ended(&mut self, ended: Round, dealt: &[MemberIndex], owing: &[MemberIndex]) {
        for member in owing {
            let known =
                self.0.entry(*member).or_insert(MissedAnswer { times: 0, until: ended, clean: 0 });
            if ended >= known.until {
                known.times = known.times.saturating_add(1);
                let rounds = term(known.times);
                known.until = Round(ended.0.saturating_add(1).saturating_add(rounds));
                known.clean = 0;
            }
        }
        self.0.retain(|member, lapse| {
            if ended >= lapse.until && dealt.contains(member) && !owing.contains(member) {
                lapse.clean = lapse.clean.saturating_add(1);
            }
            lapse.clean < term(lapse.times)
        });
    }
}

/// For how many rounds a dealer is left out that has owed an answer so many times.
fn term(times: u8) -> u64 {
    let doubled = 1_u64.checked_shl(u32::from(times.saturating_sub(1)));
    doubled.unwrap_or(MAX_EXCLUDED_ROUNDS).min(MAX_EXCLUDED_ROUNDS)
}

/// How a round ended for its dealers.
pub(crate) struct Lapsed {
    dealt: Vec<MemberIndex>,
    owing: Vec<MemberIndex>,
}

impl Machine {
    /// Until which round `member` is left out of the own reports, if it is.
    pub(crate) fn excluded_until(&self, member: MemberIndex) -> Option<Round> {
        let round = self.round.number;
        let is_out = |lapse: &&MissedAnswer| round < lapse.until;
        let out = self.lapses.0.values().filter(is_out).count();
        if out > usize::from(self.config.rules().max_faulty) {
            return None;
        }
        self.lapses.0.get(&member).filter(is_out).map(|lapse| lapse.until)
    }

    /// Whether updates of `member` are left out of the own report in this round.
    pub(crate) fn is_excluded(&self, member: MemberIndex) -> bool {
        self.excluded_until(member).is_some()
    }

    /// Who dealt in this round, and who owes an answer.
    pub(crate) fn lapsed(&self) -> Lapsed {
        let dealt = self.round.first.keys().copied().collect();
        Lapsed { dealt, owing: self.round.complaints.owe().collect() }
    }

    /// The round `ended` is over; what is remembered of its dealers belongs to the next one.
    pub(crate) fn note_lapses(&mut self, ended: Round, lapsed: &Lapsed) {
        self.lapses.round_ended(ended, &lapsed.dealt, &lapsed.owing);
        if !self.lapses.0.is_empty() {
            let lapses = self.lapses.0.iter().map(|(member, lapse)| (*member, *lapse)).collect();
            // If it cannot be written, a restart forgets it: then the dealer is listed.
            let _ = self.persist(Note::Excluded(lapses));
        }
    }

    /// A complaint in public about another member's update, by `author`, which may be this member.
    pub(super) fn note_complaint(
        &mut self,
        author: MemberIndex,
        complaint: Complaint,
        signature: Signature,
    ) {
        let of = (complaint.commitment, author);
        let known = self.round.commitments.get(&complaint.commitment);
        let Some(dealer) = known.map(|known| known.author).filter(|dealer| *dealer != author)
        else {
            return self.dropped("complaint: about no update that is known");
        };
        match self.round.complaints.0.get(&of) {
            Some(first)
                if first.complaint.remedy == Remedy::Open || complaint.remedy != Remedy::Open =>
            {
                // Answered, as far as this member knows; its author may not have heard.
                if first.answered {
                    let body = Body::Complaint(Box::new(complaint));
                    self.forward(dealer, author, body, signature);
                }
            }
            // The first, or it asks for more than before.
            _ => {
                let heard = Heard::new(dealer, complaint, signature);
                self.round.complaints.0.insert(of, heard);
            }
        }
        // An answer may have come first.
        self.hand_on_answer(of);
    }

    /// A status tick: complaints that are not answered are handed on to their dealers.
    pub(crate) fn hand_on_complaints(&mut self) {
        let peers = &self.peers;
        let mut open = Vec::new();
        for ((commitment, author), heard) in &mut self.round.complaints.0 {
            let spoiled = self.round.commitments.get(commitment).is_none_or(|known| known.spoiled);
            if heard.answered || spoiled {
                continue;
            }
            let reachable = peers.get(heard.dealer.position()).is_some_and(|peer| peer.reachable);
            // Handed on at the last tick but one or before: what came since the last had a whole interval.
            if core::mem::take(&mut heard.spoke) && reachable && heard.beats >= 2 {
                heard.chances = heard.chances.saturating_add(1);
            }
            heard.beats = heard.beats.saturating_add(1);
            let body = Body::Complaint(Box::new(heard.complaint.clone()));
            open.push((heard.dealer, *author, body, heard.signature));
        }
        for (dealer, author, body, signature) in open {
            self.forward(dealer, author, body, signature);
        }
    }

    /// The dealer has sealed the share of another member again: it may not hear the dealer.
    pub(super) fn hand_on_box(
        &mut self,
        dealer: MemberIndex,
        of: (Digest, MemberIndex),
        body: Body,
        signature: Signature,
    ) {
        let is_dealer = self.round.complaints.0.get(&of).is_some_and(|it| it.dealer == dealer);
        if is_dealer && self.round.complaints.may_hand_on(of) {
            self.round.complaints.boxed(of);
            self.forward(of.1, dealer, body, signature);
        }
    }

    /// An answer in clear, valid or under check, goes on to whoever complained.
    pub(super) fn hand_on_answer(&mut self, of: (Digest, MemberIndex)) {
        let (commitment, member) = of;
        let Some((opening, signature)) = self.round.share_openings.get(&of).cloned() else {
            return;
        };
        let known = self.round.commitments.get(&commitment);
        let Some(known) = known.filter(|known| !known.spoiled) else { return };
        let dealer = known.author;
        if member != self.config.me
            && !self.jobs.is_running(crate::machine::Tag::CheckShareOpening(commitment, member))
            && self.round.complaints.may_hand_on(of)
        {
            self.round.complaints.answered(of);
            let body = Body::ShareOpening { commitment, member, opening };
            self.forward(member, dealer, body, signature);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIAR: MemberIndex = MemberIndex(3);

    fn until(lapses: &Lapses) -> Option<u64> {
        lapses.0.get(&LIAR).map(|lapse| lapse.until.0)
    }

    #[test]
    fn each_time_it_is_twice_as_long_up_to_a_bound_and_as_long_without_one_it_is_forgotten() {
        let mut lapses = Lapses::default();
        let mut ended = 0;
        for rounds in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
            lapses.round_ended(Round(ended), &[LIAR], &[LIAR]);
            assert_eq!(until(&lapses), Some(ended + 1 + rounds));
            // What it does while it is left out changes nothing.
            for round in ended + 1..ended + 1 + rounds {
                let owing: &[MemberIndex] = if round % 2 == 0 { &[LIAR] } else { &[] };
                lapses.round_ended(Round(round), &[LIAR], owing);
            }
            ended += 1 + rounds;
            assert_eq!(until(&lapses), Some(ended));
        }
        for clean in 0..64 {
            assert_eq!(until(&lapses), Some(ended), "after {clean} clean rounds");
            // A round in which it does not deal counts for nothing.
            lapses.round_ended(Round(ended + 2 * clean), &[], &[]);
            lapses.round_ended(Round(ended + 2 * clean + 1), &[LIAR], &[]);
        }
        assert_eq!(until(&lapses), None);
    }

    #[test]
    fn terms_are_bounded() {
        assert_eq!([0, 1, 2, 7, 8, 64, 255].map(term), [1, 1, 2, 64, 64, 64, 64]);
    }
}

//! Which heartbeat of a member is its newest. Heartbeats bear the number of their author's life and a number within it; of two
//! the one with the greater pair is the newer, and an older one says nothing, whoever brings it and by whichever path.
//!
//! A random number has no order, and one that is kept on disk dies with the disk. So a life takes its number when it has asked
//! the others what was said before (`doubt`): one above the greatest that the own journal knows and that the answers prove. The
//! proof is the newest heartbeat of an earlier life, with the asker's own signature: nobody can drive the numbers up.
//!
//! Others than those that answered may have heard a newer life: one that lasted for a moment, on a disk that is lost. To them the
//! new life looks old. They show it the heartbeat that it is older than; it takes a number above that one and goes on.
//! Nothing else depends on the numbers: a heartbeat binds nobody.
//!
//! Before a life has its number its heartbeats bear none (0). They ask, and are answered, but they are not remembered and do not
//! show that their author is there: they may be old ones, said again.

use super::Machine;
use super::throttle::Question;
use crate::ids::{MemberIndex, Round};
use crate::sign::Signature;
use crate::wire::journal::Note;
use crate::wire::{Body, Heartbeat, Signed, SignedHeartbeat};

/// The number of the own life, and of its heartbeats.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Life {
    /// 0 while it is not known.
    pub(super) number: u64,
    /// The greatest of earlier lives that the journal names or others have proven.
    earlier: u64,
    /// Heartbeats of this life.
    beats: u64,
}

impl Life {
    /// The pair for the next heartbeat.
    pub(super) const fn next_beat(&mut self) -> (u64, u64) {
        self.beats = self.beats.saturating_add(1);
        (self.number, self.beats)
    }
}

impl Machine {
    /// The journal, or a heartbeat that this member has signed, names an earlier life.
    pub(super) fn note_earlier_life(&mut self, number: u64) {
        self.incarnation.earlier = self.incarnation.earlier.max(number);
    }

    /// The others have told what earlier lives said: this one takes its number.
    pub(super) fn begin_life(&mut self) {
        self.incarnation.number = self.incarnation.earlier.saturating_add(1);
        self.incarnation.earlier = self.incarnation.number;
        self.keep_life();
    }

    /// The number is in the journal, again in every round: entries of rounds that are over go.
    pub(super) fn keep_life(&mut self) {
        if self.incarnation.number > 0 {
            // Should it not be written, others know it.
            let _ = self.persist(Note::Incarnation(self.incarnation.number));
        }
    }

    /// What another member remembers of this one, or has been shown by it: an own heartbeat, its signature checked.
    pub(super) fn take_own_heartbeat(&mut self, heartbeat: &Heartbeat) {
        let newer = heartbeat.incarnation > self.incarnation.number
            || heartbeat.incarnation == self.incarnation.number
                && heartbeat.number > self.incarnation.beats;
        self.note_earlier_life(heartbeat.incarnation);
        let me = self.config.me;
        if self.incarnation.number > 0 && newer && self.may_answer(me, Question::OldLife) {
            self.begin_life();
            self.beat();
        }
    }

    /// Whether `heartbeat` is newer than all that was heard of its author; it is remembered then.
    pub(super) fn is_news(
        &mut self,
        sender: MemberIndex,
        round: Round,
        (heartbeat, signature): (&Heartbeat, Signature),
    ) -> bool {
        if heartbeat.incarnation == 0 {
            return false;
        }
        let Some(peer) = self.peers.get_mut(sender.position()) else { return false };
        let pair = |it: &Heartbeat| (it.incarnation, it.number);
        let known = peer.newest.as_ref().map(|newest| pair(&newest.heartbeat));
        if known.is_none_or(|known| known < pair(heartbeat)) {
            let heartbeat = heartbeat.clone();
            peer.newest = Some(Box::new(SignedHeartbeat { round, heartbeat, signature }));
            return true;
        }
        if known.is_some_and(|(incarnation, _)| incarnation > heartbeat.incarnation) {
            self.show_newest(sender);
        }
        self.dropped("heartbeat: not the newest");
        false
    }

    /// `author` has begun again and does not know by which number: its own newest heartbeat tells it.
    fn show_newest(&mut self, author: MemberIndex) {
        let newest = self.peers.get(author.position()).and_then(|peer| peer.newest.clone());
        if let Some(newest) = newest
            && self.may_answer(author, Question::OldLife)
        {
            let SignedHeartbeat { round, heartbeat, signature } = *newest;
            self.forward_of(
                round,
                author,
                (author, Body::Heartbeat(Box::new(heartbeat)), signature),
            );
        }
    }

    /// A message of this member itself that another one has handed over.
    pub(super) fn receive_own(&mut self, signed: &Signed) {
        if let Body::Heartbeat(heartbeat) = &signed.body
            && signed.body.is_within_bounds(self.config.rules().member_count)
            && self.config.roster().is_signed_by(
                signed.round,
                signed.sender,
                &signed.body,
                &signed.signature,
            )
        {
            self.take_own_heartbeat(heartbeat);
        }
    }
}

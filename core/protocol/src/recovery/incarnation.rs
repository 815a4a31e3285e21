//! The number of this member's own incarnation: which start of this member it is. It orders
//! heartbeats (`members::newest`).
//!
//! A random number has no order, and one that is kept on disk dies with the disk. So an incarnation
//! takes its number when it has asked the others what was sent before: one above the greatest that
//! this member's own journal knows and that the answers prove. The proof is the newest heartbeat of
//! an earlier incarnation, with the asker's own signature: nobody can drive the numbers up.
//!
//! Members that did not respond may know a newer incarnation: one that lasted for a moment, on a
//! disk that is lost. To them the new incarnation looks old. They return the newer heartbeat; this
//! member takes a number above it and continues. Nothing else depends on the numbers: a heartbeat
//! binds nobody.

use crate::context::{Cx, Question};
use crate::wire::journal::Note;
use crate::wire::{Body, Heartbeat, Signed};

/// The number, and how many heartbeats it has signed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Incarnation {
    /// 0 while it is not known.
    number: u64,
    /// The greatest of earlier incarnations that the journal names or others have proven.
    earlier: u64,
    /// Heartbeats of this incarnation.
    beats: u64,
}

impl Incarnation {
    /// The pair of numbers for the next heartbeat.
    pub(crate) const fn next_heartbeat_number(&mut self) -> (u64, u64) {
        self.beats = self.beats.saturating_add(1);
        (self.number, self.beats)
    }

    /// The journal, or a heartbeat that this member has signed, names an earlier one.
    pub(crate) fn note_earlier(&mut self, number: u64) {
        self.earlier = self.earlier.max(number);
    }

    /// Recovery is over: this incarnation takes its number.
    pub(crate) fn begin(&mut self, cx: &mut Cx) {
        self.number = self.earlier.saturating_add(1);
        self.earlier = self.number;
        self.keep(cx);
    }

    /// The number is in the journal, again in every round: entries of rounds that are over go.
    pub(crate) fn keep(&self, cx: &mut Cx) {
        if self.number > 0 {
            // If it cannot be written, other members know it.
            let _ = cx.persist(Note::Incarnation(self.number));
        }
    }

    /// A message of this member itself that another one has handed over. Returns whether it took a
    /// new number because of it.
    pub(crate) fn on_own_message(&mut self, cx: &mut Cx, signed: &Signed) -> bool {
        let Body::Heartbeat(heartbeat) = &signed.body else { return false };
        let roster = cx.config.roster();
        signed.body.is_within_bounds(cx.config.rules().member_count)
            && roster.is_signed_by(signed.round, signed.sender, &signed.body, &signed.signature)
            && self.on_own_heartbeat(cx, heartbeat)
    }

    fn on_own_heartbeat(&mut self, cx: &mut Cx, heartbeat: &Heartbeat) -> bool {
        let newer = heartbeat.incarnation > self.number
            || heartbeat.incarnation == self.number && heartbeat.number > self.beats;
        self.note_earlier(heartbeat.incarnation);
        let begins = self.number > 0 && newer && cx.may_answer(cx.me(), Question::OldIncarnation);
        if begins {
            self.begin(cx);
        }
        begins
    }
}

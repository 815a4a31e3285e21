//! Who is away. A round need not wait for a member that has said goodbye ([`Goodbye`]: it stops, is paused, sits the
//! round out, or does not get ready), nor for one of which nothing signed in this round or the one before has been heard
//! for a while, by whichever path. What it needs (`min_contributors`, quorums) it waits for as ever.
//!
//! Being away is one member's own impression and only ever ends a wait early: which updates are in the sum follows from
//! q signed reports, as it does when a timer runs out. So one faulty member cannot have another left out:
//! * it cannot sign for it;
//! * it cannot silence it: whoever is not heard is asked directly ([`Body::Ping`]) before it counts as away;
//! * an old goodbye that it repeats does no harm, because a goodbye only shortens the patience: it counts once its author
//!   has not shown for one more heartbeat that it takes part, is void from the moment it does, and then does not count again.
//!
//! Time is counted in own heartbeats, not in milliseconds: a machine that was suspended has heard nobody for long, and nor
//! has it been listening.

use std::collections::BTreeSet;

use super::{Machine, Question};
use crate::ids::{MemberIndex, Round};
use crate::limits::MAX_GOODBYES;
use crate::status::{Attendance, Phase};
use crate::wire::{Body, Goodbye, Leave, Nonce, Signed};

/// Whole heartbeats without a word after which a member is away, and the shortest time that they may take: where
/// deadlines are very short, a busy machine must not count as gone.
const SILENCE: (u64, u64) = (3, 3_000);
/// The same for a member that said goodbye and has not shown since that it takes part.
const CONFIRMATION: (u64, u64) = (1, 500);
/// The same until a member that does not get ready tells the others not to wait for it.
const OWN_RECOVERY: (u64, u64) = (12, 60_000);
/// Heartbeats without a word after which a member is asked directly.
const BEATS_UNTIL_PING: u32 = 2;

/// What is known of the comings and goings of another member.
#[derive(Debug, Clone, Default)]
pub(crate) struct Absence {
    /// The newest round in which it was heard: what it signed in earlier ones may be a replay.
    newest: Round,
    /// Something signed by it was heard since the start.
    heard: bool,
    /// Own heartbeats since then.
    quiet: u32,
    /// Its goodbye, unless it has been ready since.
    goodbye: Option<Goodbye>,
    /// Own heartbeats since the goodbye came.
    confirmed: u32,
    /// Goodbyes of its newest round after which it came back.
    void: BTreeSet<(Nonce, u32)>,
    /// Kinds of messages heard in its newest round: another one of a kind may be an old one, said again by somebody else.
    kinds: BTreeSet<&'static str>,
}

/// What this member has said of its own absence.
#[derive(Debug, Clone, Default)]
pub(crate) struct Departure {
    /// The nonce of this start.
    pub(super) incarnation: Nonce,
    /// The next goodbye.
    number: u32,
    /// Own heartbeats since this member began to catch up.
    unready: u32,
    /// What has been said in which round.
    said: Option<(Round, Leave)>,
}

impl Machine {
    /// Whether nothing need be waited for from `member`.
    pub(crate) fn is_away(&self, member: MemberIndex) -> bool {
        if member == self.config.me {
            return false;
        }
        self.peers.get(member.position()).is_some_and(|peer| {
            let absence = &peer.absence;
            absence.quiet >= self.beats(SILENCE)
                || absence.goodbye.is_some() && absence.confirmed >= self.beats(CONFIRMATION)
        })
    }

    /// Why it is away, if it said so.
    pub(super) fn why_away(&self, member: MemberIndex) -> Option<Leave> {
        if member == self.config.me {
            return self.own_reason();
        }
        let peer = self.peers.get(member.position()).filter(|_| self.is_away(member))?;
        peer.absence.goodbye.map(|goodbye| goodbye.why)
    }

    /// Whether a member can be counted on: it is not away, and it is connected or was heard since the start.
    pub(super) fn is_here(&self, member: MemberIndex) -> bool {
        if member == self.config.me {
            return self.own_reason().is_none();
        }
        let known = self.peers.get(member.position());
        known.is_some_and(|peer| peer.reachable || peer.absence.heard) && !self.is_away(member)
    }

    /// How many are here, and how many it takes.
    pub(super) fn attendance(&self) -> Attendance {
        let rules = self.config.rules();
        let count = |is: &dyn Fn(MemberIndex) -> bool| {
            let count = self.config.manifest.members().filter(|m| is(*m)).count();
            u16::try_from(count).unwrap_or(u16::MAX)
        };
        let round = &self.round;
        Attendance {
            here: count(&|m| m == self.config.me || self.is_here(m)),
            quorum: rules.quorum,
            // An update that has come counts, whatever has become of its author since.
            contributors: count(&|m| {
                let here = m == self.config.me || self.is_here(m);
                !self.is_banned(m)
                    && round.first.get(&m).map_or(here, |digest| self.is_eligible(digest))
            }),
            min_contributors: rules.min_contributors,
        }
    }

    /// Whole heartbeats that take at least so long: the first tick of a wait may come at once and does not count.
    fn beats(&self, (beats, least_ms): (u64, u64)) -> u32 {
        let beats = beats.max(least_ms.div_ceil(self.config.heartbeat_ms().max(1)));
        u32::try_from(beats.saturating_add(1)).unwrap_or(u32::MAX)
    }

    /// `signed` is by its sender: it is alive.
    pub(super) fn note_life(&mut self, signed: &Signed) {
        let current = self.round.number;
        // Sealing keys are said a round early: they do not show in which one their author is.
        if matches!(signed.body, Body::SealingKey(_)) {
            return;
        }
        let Some(peer) = self.peers.get_mut(signed.sender.position()) else { return };
        let absence = &mut peer.absence;
        // What was signed before may be a replay; and who is far behind takes no part in this round.
        if signed.round < absence.newest || signed.round.next() < current {
            return;
        }
        if signed.round > absence.newest {
            absence.newest = signed.round;
            absence.void.clear();
            absence.kinds.clear();
        }
        // Heartbeats come here only if they are the newest.
        let is_heartbeat = matches!(signed.body, Body::Heartbeat(_));
        if !is_heartbeat && !absence.kinds.insert(signed.body.kind()) {
            return;
        }
        absence.heard = true;
        absence.quiet = 0;
        let takes_part = match &signed.body {
            Body::Heartbeat(heartbeat) => heartbeat.ready,
            Body::Ready => true,
            _ => false,
        };
        if takes_part && let Some(goodbye) = absence.goodbye.take() {
            absence.void.insert((goodbye.incarnation, goodbye.number));
        }
    }

    pub(super) fn take_goodbye(&mut self, sender: MemberIndex, round: Round, goodbye: Goodbye) {
        let Some(peer) = self.peers.get_mut(sender.position()) else { return };
        let absence = &mut peer.absence;
        if round < absence.newest {
            return self.dropped("goodbye: of an earlier round");
        }
        if absence.void.contains(&(goodbye.incarnation, goodbye.number))
            || absence.void.len() >= MAX_GOODBYES
        {
            return self.dropped("goodbye: its author has come back since");
        }
        if absence.goodbye.is_none() {
            absence.confirmed = 0;
        }
        absence.goodbye = Some(goodbye);
    }

    /// A status tick: one more heartbeat without those that are not heard; they are asked before they are given up.
    pub(super) fn count_absence(&mut self) {
        let me = self.config.me;
        self.departure.unready =
            if self.is_catching_up() { self.departure.unready.saturating_add(1) } else { 0 };
        let mut silent = Vec::new();
        for member in self.config.manifest.members().filter(|m| *m != me) {
            let Some(peer) = self.peers.get_mut(member.position()) else { continue };
            let absence = &mut peer.absence;
            absence.quiet = absence.quiet.saturating_add(1);
            absence.confirmed = absence.confirmed.saturating_add(1);
            if absence.quiet >= BEATS_UNTIL_PING && peer.reachable {
                silent.push(member);
            }
        }
        for member in silent {
            self.tell(member, Body::Ping);
        }
    }

    /// `sender` has not heard this member for a while: perhaps announcements do not reach it.
    pub(super) fn take_ping(&mut self, sender: MemberIndex) {
        if !self.may_answer(sender, Question::Ping) {
            return;
        }
        let heartbeat = self.heartbeat();
        self.tell(sender, Body::Heartbeat(Box::new(heartbeat)));
        if let Some(goodbye) = self.own_goodbye() {
            self.tell(sender, Body::Goodbye(goodbye));
        }
    }

    /// Why this member does not take part in the current round, if that is certain and others need not wait for it.
    pub(super) fn own_reason(&self) -> Option<Leave> {
        let before =
            matches!(self.round.phase, Phase::Doubt | Phase::Gather | Phase::Sync | Phase::Paused);
        if !self.booted || !before || self.is_done() {
            None
        } else if self.is_paused() {
            Some(Leave::Paused)
        } else if self.is_silent() {
            Some(Leave::SitsOut)
        } else {
            let for_long = self.departure.unready >= self.beats(OWN_RECOVERY);
            (for_long && self.is_catching_up()).then_some(Leave::CatchesUp)
        }
    }

    fn is_catching_up(&self) -> bool {
        matches!(self.round.phase, Phase::Doubt | Phase::Sync)
    }

    /// Whether an operator's pause is in effect: not while this member is bound by what it has said in the round.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused && !self.has_promised()
    }

    /// Whether others count on what this member has said in the round, in this life or an earlier one.
    fn has_promised(&self) -> bool {
        let (round, me) = (&self.round, self.config.me);
        let under_way = !matches!(
            round.phase,
            Phase::Doubt | Phase::Gather | Phase::Sync | Phase::Paused | Phase::Done
        );
        under_way
            || round.own.is_some()
            || round.reports.contains_key(&me)
            || round.attestations.values().any(|attested| attested.contains_key(&me))
            || !round.set_vote.state().cast.is_empty()
            || !round.outcome_vote.state().cast.is_empty()
            || round.released.is_some()
            || round.signed_before.is_some()
    }

    /// After every event: says once in each round that this member does not take part, and at once when it does again.
    pub(super) fn announce_absence(&mut self) {
        let now = self.own_reason().map(|why| (self.round.number, why));
        let before = core::mem::replace(&mut self.departure.said, now);
        if now == before {
            return;
        }
        match (before, now) {
            (Some(_), None) => {
                self.departure.number = self.departure.number.saturating_add(1);
                self.beat();
            }
            (Some((_, old)), Some((_, new))) if old != new => {
                self.departure.number = self.departure.number.saturating_add(1);
                self.say_goodbye();
            }
            _ => self.say_goodbye(),
        }
    }

    /// Says again that this member does not take part: others may have started or not have heard it.
    pub(super) fn say_goodbye(&mut self) {
        if let Some(goodbye) = self.own_goodbye() {
            self.say(Body::Goodbye(goodbye));
        }
    }

    fn own_goodbye(&self) -> Option<Goodbye> {
        let (_, why) = self.departure.said?;
        Some(Goodbye {
            incarnation: self.departure.incarnation,
            number: self.departure.number,
            why,
        })
    }

    /// The daemon ends: the last thing that this machine says, to everyone and to each.
    pub(super) fn leave(&mut self) {
        let number = self.departure.number.saturating_add(1);
        self.departure.number = number;
        let goodbye =
            Goodbye { incarnation: self.departure.incarnation, number, why: Leave::Stopped };
        self.say(Body::Goodbye(goodbye));
        let me = self.config.me;
        let others: Vec<MemberIndex> =
            self.config.manifest.members().filter(|m| *m != me).collect();
        for member in others {
            self.tell(member, Body::Goodbye(goodbye));
        }
        self.gone = true;
    }
}

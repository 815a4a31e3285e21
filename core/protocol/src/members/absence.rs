//! Which members are absent. A round need not wait for a member that has sent a [`Goodbye`] (it
//! stops, is paused, sits the round out, or does not get ready), nor for one of which no signed
//! message of this round or the one before has arrived for a while, by whichever path. It still
//! waits for what it needs (`min_contributors`, quorums).
//!
//! Whether a member is absent is each member's local view and only ever ends a wait early: which
//! updates are in the sum follows from q signed reports, as it does when a timer expires. So one
//! faulty member cannot have another one left out:
//! * it cannot sign for it;
//! * it cannot silence it: a silent member is pinged directly ([`Body::Ping`]) before it counts as
//!   away;
//! * an old goodbye that it repeats does no harm, because a goodbye only shortens the patience: it
//!   counts once its sender has not shown for one more heartbeat that it takes part, is void from
//!   the moment it does, and then does not count again.
//!
//! Time is counted in own heartbeats, not in milliseconds: a machine that was suspended has
//! received nothing for long, but was not listening either.

use std::collections::BTreeSet;

use crate::context::Cx;
use crate::ids::{MemberIndex, Round};
use crate::limits::MAX_GOODBYES;
use crate::machine::Config;
use crate::wire::{Body, Goodbye, Leave, Nonce, Signed};

/// Whole heartbeats without a message after which a member is absent, and the shortest time that
/// they may take, in milliseconds: where deadlines are very short, a busy machine must not count as
/// gone.
const SILENCE: (u64, u64) = (3, 3_000);
/// The same for a member that has sent a goodbye and has not shown since that it takes part.
const CONFIRMATION: (u64, u64) = (1, 500);
/// Heartbeats without a message after which a member is asked directly.
const BEATS_UNTIL_PING: u32 = 2;

/// What is known of the presence of one other member.
#[derive(Debug, Clone, Default)]
struct Absence {
    /// The newest round that a message of it belongs to: one of an earlier round may be a replay.
    newest: Round,
    /// A message signed by it has arrived since the start.
    seen: bool,
    /// Number of own heartbeats since its last message.
    silent_beats: u32,
    /// Its goodbye, unless it has been ready since.
    goodbye: Option<Goodbye>,
    /// Number of own heartbeats since the goodbye arrived.
    confirmed: u32,
    /// Goodbyes of its newest round after which it came back.
    void: BTreeSet<(Nonce, u32)>,
    /// Kinds of messages that have arrived in its newest round: a further one of a kind may be a
    /// replay by somebody else.
    kinds: BTreeSet<&'static str>,
}

/// The absences of all members, in manifest order.
pub(crate) struct Absences {
    /// Own heartbeats after which [`SILENCE`] is over.
    patience: u32,
    /// Own heartbeats after which [`CONFIRMATION`] is over.
    confirmation: u32,
    of: Vec<Absence>,
}

impl Absences {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            patience: whole_heartbeats(config, SILENCE),
            confirmation: whole_heartbeats(config, CONFIRMATION),
            of: vec![Absence::default(); usize::from(config.rules().member_count)],
        }
    }

    /// Whether another member is absent, judged by its messages.
    pub(super) fn is_absent(&self, member: MemberIndex) -> bool {
        self.of.get(member.position()).is_some_and(|absence| {
            absence.silent_beats >= self.patience
                || absence.goodbye.is_some() && absence.confirmed >= self.confirmation
        })
    }

    /// Whether a message signed by it has arrived since the start.
    pub(super) fn was_seen(&self, member: MemberIndex) -> bool {
        self.of.get(member.position()).is_some_and(|absence| absence.seen)
    }

    /// Why another member is absent, if it has announced a reason.
    pub(crate) fn reason(&self, member: MemberIndex) -> Option<Leave> {
        let absence = self.of.get(member.position()).filter(|_| self.is_absent(member))?;
        absence.goodbye.map(|goodbye| goodbye.why)
    }

    /// `signed` is by its sender, which is therefore alive. Heartbeats come here only if they are
    /// its newest.
    pub(crate) fn on_message(&mut self, cx: &Cx, signed: &Signed) {
        // Sealing keys are sent a round early: they do not show in which one their sender is.
        if matches!(signed.body, Body::SealingKey(_)) {
            return;
        }
        let Some(absence) = self.of.get_mut(signed.sender.position()) else { return };
        // A message of an earlier round may be a replay, and a member that is far behind takes no
        // part in this one.
        if signed.round < absence.newest || signed.round.next() < cx.round() {
            return;
        }
        if signed.round > absence.newest {
            absence.newest = signed.round;
            absence.void.clear();
            absence.kinds.clear();
        }
        let is_heartbeat = matches!(signed.body, Body::Heartbeat(_));
        if !is_heartbeat && !absence.kinds.insert(signed.body.kind()) {
            return;
        }
        absence.seen = true;
        absence.silent_beats = 0;
        let takes_part = match &signed.body {
            Body::Heartbeat(heartbeat) => heartbeat.ready,
            Body::Ready => true,
            _ => false,
        };
        if takes_part && let Some(goodbye) = absence.goodbye.take() {
            absence.void.insert((goodbye.incarnation, goodbye.number));
        }
    }

    pub(crate) fn on_goodbye(
        &mut self,
        cx: &mut Cx,
        sender: MemberIndex,
        round: Round,
        goodbye: Goodbye,
    ) {
        let Some(absence) = self.of.get_mut(sender.position()) else { return };
        if round < absence.newest {
            return cx.dropped("goodbye: of an earlier round");
        }
        if absence.void.contains(&(goodbye.incarnation, goodbye.number))
            || absence.void.len() >= MAX_GOODBYES
        {
            return cx.dropped("goodbye: its sender has come back since");
        }
        if absence.goodbye.is_none() {
            absence.confirmed = 0;
        }
        absence.goodbye = Some(goodbye);
    }

    /// A heartbeat tick: counts it for all members. Silent ones are pinged before they count as
    /// away.
    pub(crate) fn tick(&mut self, cx: &mut Cx, is_reachable: impl Fn(MemberIndex) -> bool) {
        let me = cx.me();
        let mut silent = Vec::new();
        for member in cx.config.manifest.members().filter(|m| *m != me) {
            let Some(absence) = self.of.get_mut(member.position()) else { continue };
            absence.silent_beats = absence.silent_beats.saturating_add(1);
            absence.confirmed = absence.confirmed.saturating_add(1);
            if absence.silent_beats >= BEATS_UNTIL_PING && is_reachable(member) {
                silent.push(member);
            }
        }
        for member in silent {
            cx.send(member, Body::Ping);
        }
    }
}

/// Whole heartbeats that take at least so long: the first tick of a wait may come at once and does
/// not count.
pub(super) fn whole_heartbeats(config: &Config, (beats, least_ms): (u64, u64)) -> u32 {
    let beats = beats.max(least_ms.div_ceil(config.heartbeat_ms().max(1)));
    u32::try_from(beats.saturating_add(1)).unwrap_or(u32::MAX)
}

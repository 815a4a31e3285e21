//! The announcements of this member's own absence, so that others need not wait for this member;
//! see `absence` for how they use them. An absence is announced once in each round, again at every
//! heartbeat, and taken back at once when it is over.

use super::absence::whole_heartbeats;
use crate::context::Cx;
use crate::ids::{MemberIndex, Round};
use crate::machine::Config;
use crate::wire::{Body, Goodbye, Leave, Nonce};

/// Whole heartbeats, and milliseconds at least, until a member that does not get ready announces
/// that nobody should wait for it.
const OWN_RECOVERY: (u64, u64) = (12, 60_000);

/// See the head of this file.
pub(crate) struct Departure {
    /// Own heartbeats after which [`OWN_RECOVERY`] is over.
    patience: u32,
    /// The nonce of this start: numbers count within it.
    nonce: Nonce,
    /// The number of the next goodbye.
    number: u32,
    /// Own heartbeats since this member began to catch up.
    unready: u32,
    /// The reason that has been announced, and its round.
    announced: Option<(Round, Leave)>,
}

impl Departure {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            patience: whole_heartbeats(config, OWN_RECOVERY),
            nonce: Nonce::default(),
            number: 0,
            unready: 0,
            announced: None,
        }
    }

    /// The host has started.
    pub(crate) const fn boot(&mut self, nonce: Nonce) {
        self.nonce = nonce;
    }

    /// A heartbeat tick.
    pub(crate) const fn tick(&mut self, is_catching_up: bool) {
        self.unready = if is_catching_up { self.unready.saturating_add(1) } else { 0 };
    }

    /// Whether this member has been catching up for so long that nobody should wait for it.
    pub(crate) const fn catches_up_for_long(&self) -> bool {
        self.unready >= self.patience
    }

    /// After every event: `reason` is why this member takes no part, if it does not. Returns
    /// whether it takes part again after it had announced that it would not: then a heartbeat must
    /// show it.
    pub(crate) fn announce(&mut self, cx: &mut Cx, reason: Option<Leave>) -> bool {
        let now = reason.map(|why| (cx.round(), why));
        let before = core::mem::replace(&mut self.announced, now);
        if now == before {
            return false;
        }
        match (before, now) {
            (Some(_), None) => {
                self.number = self.number.saturating_add(1);
                return true;
            }
            (Some((_, old)), Some((_, new))) if old != new => {
                self.number = self.number.saturating_add(1);
                self.announce_again(cx);
            }
            _ => self.announce_again(cx),
        }
        false
    }

    /// Others may have started since, or may not have received it.
    pub(crate) fn announce_again(&self, cx: &mut Cx) {
        if let Some(goodbye) = self.goodbye() {
            cx.broadcast(Body::Goodbye(goodbye));
        }
    }

    /// The announcement of this member's own absence, if there is one.
    pub(crate) fn goodbye(&self) -> Option<Goodbye> {
        let (_, why) = self.announced?;
        Some(Goodbye { incarnation: self.nonce, number: self.number, why })
    }

    /// The daemon stops: broadcasts and sends the last message of this machine.
    pub(crate) fn leave(&mut self, cx: &mut Cx) {
        self.number = self.number.saturating_add(1);
        let goodbye = Goodbye { incarnation: self.nonce, number: self.number, why: Leave::Stopped };
        cx.broadcast(Body::Goodbye(goodbye));
        let me = cx.me();
        let others: Vec<MemberIndex> = cx.config.manifest.members().filter(|m| *m != me).collect();
        for member in others {
            cx.send(member, Body::Goodbye(goodbye));
        }
    }
}

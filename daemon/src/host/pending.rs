//! What is still to be executed, in order. A write that fails for lack of space stays at the front
//! and is retried; nothing after it is executed before it, and the machine gets no event meanwhile.

use std::collections::VecDeque;

use fedshield_protocol::effect::Effect;
use fedshield_protocol::event::Event;
use fedshield_protocol::ids::Round;
use fedshield_protocol::object::ObjectRef;

use super::{Host, HostError};
use crate::control::api::RoundReport;
use crate::error_code::ErrorCode;

/// One thing to execute.
pub(super) enum Step {
    /// An effect that the machine asked for.
    Effect(Effect),
    /// A record is in the ledger, and this node's report of its round is still to be kept.
    Ended(Box<EndedRound>),
}

/// The end of a round as this node saw it.
pub(super) struct EndedRound {
    /// The round that ended.
    pub(super) round: Round,
    /// True if it is the federation's last round.
    pub(super) is_last: bool,
    /// The federation's adapter after it.
    pub(super) adapter: Option<ObjectRef>,
    /// The operator-visible report of it.
    pub(super) report: RoundReport,
}

/// Steps and events that wait, the oldest first.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) steps: VecDeque<Step>,
    /// Events that the machine has not got yet.
    events: VecDeque<Event>,
    /// The number of messages dropped while nothing could be written. Others repeat what matters,
    /// as after a restart.
    dropped: u64,
}

impl Pending {
    /// Queues an event until the machine may get it. While `stalled`, which may last for days, only
    /// what cannot be learnt again is kept: the latest event on each member, objects, jobs.
    pub(super) fn push(&mut self, event: Event, stalled: bool) {
        if stalled {
            match event {
                Event::Message { .. } => {
                    self.dropped += 1;
                    return;
                }
                Event::PeerUp(member) | Event::PeerDown(member) => {
                    self.events.retain(|old| {
                        !matches!(old, Event::PeerUp(of) | Event::PeerDown(of) if *of == member)
                    });
                }
                Event::ObjectReady(_) | Event::ObjectFailed(_) => {
                    self.events.retain(|old| *old != event);
                }
                _ => {}
            }
        }
        self.events.push_back(event);
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The number of messages dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

impl Host {
    /// Executes steps and passes events to the machine until nothing is left or a write finds no
    /// free space.
    pub(super) async fn advance(&mut self) -> Result<(), HostError> {
        while self.execute_pending().await? {
            let next = self.followed.pop().or_else(|| self.pending.next_event());
            let Some(event) = next else { return Ok(()) };
            let effects = self.parts.machine.handle(self.clock.now(), event);
            self.pending.steps.extend(effects.into_iter().map(Step::Effect));
        }
        Ok(())
    }

    /// False if a write found no free space: it is at the front again.
    async fn execute_pending(&mut self) -> Result<bool, HostError> {
        while let Some(step) = self.pending.steps.pop_front() {
            match step {
                Step::Effect(effect) if !writes(&effect) => self.act(effect).await,
                step => match tokio::task::block_in_place(|| self.write(&step)) {
                    Ok(Some(next)) => self.pending.steps.push_front(next),
                    Ok(None) => {}
                    Err(error) if error.code() == ErrorCode::DiskFull => {
                        self.pending.steps.push_front(step);
                        self.disk_space.stall(&error.to_string());
                        return Ok(false);
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(true)
    }

    /// Retries the write that found no free space.
    pub(super) async fn resume_pending(&mut self) -> Result<(), HostError> {
        self.disk_space.resume();
        self.advance().await?;
        if !self.disk_space.is_stalled() {
            let dropped = self.pending.take_dropped();
            tracing::info!(
                dropped,
                "there is free space again: the node continues where it \
                                     stopped"
            );
            self.disk_space.show();
        }
        Ok(())
    }
}

/// Whether an effect writes to disk something that later ones rely on.
const fn writes(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Persist(_) | Effect::Append(_) | Effect::Truncate { .. } | Effect::Ban { .. }
    )
}

#[cfg(test)]
mod tests {
    use fedshield_protocol::ids::MemberIndex;

    use super::*;

    fn all(pending: &mut Pending) -> Vec<Event> {
        std::iter::from_fn(|| pending.next_event()).collect()
    }

    #[test]
    fn what_waits_for_disk_space_takes_no_memory_however_long_it_lasts() {
        let mut pending = Pending::default();
        let (a, b) = (MemberIndex(1), MemberIndex(2));
        pending.push(Event::PeerUp(b), false);
        for _ in 0..1000 {
            pending.push(Event::Message { from: a, bytes: vec![0; 1000] }, true);
            pending.push(Event::PeerDown(a), true);
            pending.push(Event::PeerUp(a), true);
            pending.push(Event::PeerDown(b), true);
        }
        assert_eq!(all(&mut pending), [Event::PeerUp(a), Event::PeerDown(b)]);
        assert_eq!((pending.take_dropped(), pending.take_dropped()), (1000, 0));
    }

    #[test]
    fn with_disk_space_the_machine_gets_every_event_in_order() {
        let mut pending = Pending::default();
        let events = [
            Event::PeerUp(MemberIndex(1)),
            Event::Message { from: MemberIndex(1), bytes: vec![1] },
            Event::PeerDown(MemberIndex(1)),
        ];
        for event in events.clone() {
            pending.push(event, false);
        }
        assert_eq!(all(&mut pending), events);
    }
}

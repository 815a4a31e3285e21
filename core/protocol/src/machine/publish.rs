//! What people see.

use std::borrow::Cow;

use super::Machine;
use crate::effect::Effect;
use crate::event::TimerId;
use crate::ids::{MemberIndex, Round, Time, View};
use crate::status::{Attendance, MemberStatus, Phase, Status, Wait};
use crate::wire::{Decision, VoteKind};

/// Time in which changes of no consequence are shown together, in milliseconds.
const PAUSE_MS: u64 = 200;

/// Round, phase and view.
type Place = (Round, Phase, Option<(Decision, View)>);

/// What people have been shown.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// When the status was last looked at.
    at: Option<Time>,
    /// Where this member was then: round, phase, view.
    place: Option<Place>,
    status: Option<Status>,
}

impl Machine {
    /// Publishes the status if it has changed. After something that happens a thousand times in a round, only if that took
    /// this member on, or if people have not been shown anything for a moment; the next heartbeat shows them the rest.
    pub(super) fn publish(&mut self, is_routine: bool) {
        let place = (self.round.number, self.round.phase, self.round.voting());
        let published = &mut self.published;
        let waits = published.at.is_some_and(|at| self.now < at.plus_ms(PAUSE_MS));
        if is_routine && waits && published.place == Some(place) {
            return;
        }
        published.at = Some(self.now);
        published.place = Some(place);
        let status = self.status();
        if self.published.status.as_ref() != Some(&status) {
            self.published.status = Some(status.clone());
            self.out.push(Effect::Publish(Box::new(status)));
        }
    }

    /// Where this member is.
    #[must_use]
    pub fn status(&self) -> Status {
        let round = &self.round;
        let view = round.voting().map(|(_, view)| view).unwrap_or_default();
        let attendance = self.attendance();
        let waiting_for = self.waiting_for(&attendance);
        Status {
            epoch: self.config.manifest.epoch(),
            round: round.number,
            phase: round.phase,
            view,
            applied: self.tip.applied,
            adapter: self.tip.adapter,
            head: self.tip.head,
            committee: round.election.committee().to_vec(),
            proposer: round.voting().map(|_| round.election.proposer(view)),
            members: self.config.manifest.members().map(|m| self.member_status(m)).collect(),
            silent_through: self.silent_through.filter(|last| self.round.number <= *last),
            journal_round: self.ahead.last_round(),
            wait: self.wait(&waiting_for),
            waiting_for,
            attendance,
            paused: self.paused,
            failed_rounds: self.past.failed_rounds.clone(),
            banned: self.config.manifest.members().filter(|m| self.is_banned(*m)).collect(),
            dropped: self.dropped.iter().map(|(k, v)| (Cow::Borrowed(*k), *v)).collect(),
        }
    }

    fn member_status(&self, member: MemberIndex) -> MemberStatus {
        let round = &self.round;
        let me = member == self.config.me;
        let peer = self.peers.get(member.position());
        let heard = peer.and_then(|p| p.newest.as_ref()).map(|newest| newest.round);
        MemberStatus {
            reachable: me || peer.is_some_and(|p| p.reachable),
            round: if me { Some(round.number) } else { heard },
            committed: round.first.contains_key(&member),
            refused: self.refusal_of(member),
            share_valid: round.has_valid_share_of(member),
            have_updates: round
                .have_updates
                .get(&member)
                .map_or(0, |held| u32::try_from(held.len()).unwrap_or(u32::MAX)),
            reported: round.reports.contains_key(&member),
            answered: round.partials.contains_key(&member),
            signed: round.signatures.contains_key(&member),
            here: self.is_here(member),
            left: self.why_away(member),
            excluded_until: self.excluded_until(member),
        }
    }

    /// How many the phase waits for, and until when at most.
    fn wait(&self, waiting_for: &[MemberIndex]) -> Option<Wait> {
        let (round, rules) = (&self.round, self.config.rules());
        let n = rules.member_count;
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let lacking = count(self.missing().len());
        let (here, enough, of, timer) = match round.phase {
            _ if waiting_for.is_empty() => return None,
            Phase::Doubt => {
                let others = n.saturating_sub(1);
                (others.saturating_sub(lacking), rules.quorum.saturating_sub(1), others, None)
            }
            Phase::Gather => (n.saturating_sub(lacking), rules.quorum, n, None),
            Phase::Commit => {
                let here = count(round.first.len());
                (here, rules.min_contributors, n, Some(TimerId::Commit))
            }
            Phase::Transfer => {
                let whole = round.first.values().filter(|digest| self.is_vouched_for(digest));
                let here = count(whole.count());
                (here, rules.min_contributors, n, Some(TimerId::Transfer))
            }
            Phase::Aggregate if round.reports.len() < usize::from(rules.quorum) => {
                (count(round.reports.len()), rules.quorum, n, Some(TimerId::Round))
            }
            Phase::Aggregate => (0, 1, 1, Some(TimerId::View)),
            Phase::Certify => {
                let here = round.set_vote.voters(VoteKind::Precommit).len();
                (count(here), rules.quorum, n, Some(TimerId::Round))
            }
            Phase::Decrypt | Phase::Combine => {
                (count(round.partials.len()), rules.threshold, n, Some(TimerId::Decrypt))
            }
            Phase::Record => (count(round.signatures.len()), rules.quorum, n, None),
            Phase::Sync | Phase::Apply | Phase::Paused | Phase::Done => return None,
        };
        let until = timer.and_then(|timer| self.timers.get(&timer)).copied();
        Some(Wait { here, enough, of, until })
    }

    /// Members that the phase still needs something from: those that are away only as long as it cannot do without.
    fn waiting_for(&self, attendance: &Attendance) -> Vec<MemberIndex> {
        let mut missing = self.missing();
        let suffices = match self.round.phase {
            Phase::Commit | Phase::Transfer => {
                attendance.contributors >= attendance.min_contributors
            }
            _ => true,
        };
        if suffices && attendance.is_quorum() {
            missing.retain(|member| !self.is_away(*member) && !self.is_banned(*member));
        }
        missing
    }

    fn missing(&self) -> Vec<MemberIndex> {
        let round = &self.round;
        let members = || self.config.manifest.members();
        match round.phase {
            Phase::Doubt => self.silent_about_me(),
            Phase::Gather => members().filter(|m| !self.is_present(*m)).collect(),
            Phase::Commit => members().filter(|m| !round.first.contains_key(m)).collect(),
            Phase::Transfer => members()
                .filter(|m| {
                    let first = round.first.get(m).filter(|digest| self.is_eligible(digest));
                    first.is_some() && !round.has_valid_share_of(*m)
                        || round.election.in_committee(*m) && !round.holds_everything(*m)
                })
                .collect(),
            Phase::Aggregate if round.reports.len() < usize::from(self.config.rules().quorum) => {
                members().filter(|m| !round.reports.contains_key(m)).collect()
            }
            Phase::Aggregate => vec![round.election.proposer(round.set_vote.view())],
            Phase::Certify => {
                let voters = round.set_vote.voters(VoteKind::Precommit);
                members().filter(|m| !voters.contains(m)).collect()
            }
            Phase::Decrypt | Phase::Combine => {
                members().filter(|m| !round.partials.contains_key(m)).collect()
            }
            Phase::Record => members().filter(|m| !round.signatures.contains_key(m)).collect(),
            Phase::Sync | Phase::Apply | Phase::Paused | Phase::Done => Vec::new(),
        }
    }
}

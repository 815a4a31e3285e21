//! What people see.

use super::Machine;
use crate::effect::Effect;
use crate::event::TimerId;
use crate::ids::MemberIndex;
use crate::message::VoteKind;
use crate::status::{MemberStatus, Phase, Status, Wait};

impl Machine {
    /// Publishes the status if it has changed.
    pub(super) fn publish(&mut self) {
        let status = self.status();
        if self.published.as_ref() != Some(&status) {
            self.published = Some(status.clone());
            self.out.push(Effect::Publish(Box::new(status)));
        }
    }

    /// Where this member is.
    #[must_use]
    pub fn status(&self) -> Status {
        let round = &self.round;
        let view = round.voting().map(|(_, view)| view).unwrap_or_default();
        let waiting_for = self.waiting_for();
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
            attendance: self.attendance(),
            paused: self.paused,
            dropped: self.dropped.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
        }
    }

    fn member_status(&self, member: MemberIndex) -> MemberStatus {
        let round = &self.round;
        let me = member == self.config.me;
        let peer = self.peers.get(member.position());
        let heard = peer.and_then(|p| p.heartbeat.as_ref()).map(|(round, _)| *round);
        MemberStatus {
            reachable: me || peer.is_some_and(|p| p.reachable),
            round: if me { Some(round.number) } else { heard },
            resting: round.resting.contains(&member),
            committed: round.first.contains_key(&member),
            share_valid: round.has_valid_share_of(member),
            holds: round
                .holds
                .get(&member)
                .map_or(0, |held| u32::try_from(held.len()).unwrap_or(u32::MAX)),
            reported: round.reports.contains_key(&member),
            answered: round.partials.contains_key(&member),
            signed: round.signatures.contains_key(&member),
            here: self.is_here(member),
            left: self.why_away(member),
            unlisted_until: self.unlisted_until(member),
        }
    }

    /// How many the phase waits for, and until when at most.
    fn wait(&self, waiting_for: &[MemberIndex]) -> Option<Wait> {
        let (round, rules) = (&self.round, self.config.rules());
        let n = rules.member_count;
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let contributors = n.saturating_sub(count(round.resting.len()));
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
                (here, rules.min_contributors, contributors, Some(TimerId::Commit))
            }
            Phase::Transfer => {
                let whole = round.first.values().filter(|digest| self.is_vouched_for(digest));
                let here = count(whole.count());
                (here, rules.min_contributors, contributors, Some(TimerId::Transfer))
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
    fn waiting_for(&self) -> Vec<MemberIndex> {
        let mut missing = self.missing();
        let attendance = self.attendance();
        let suffices = match self.round.phase {
            Phase::Commit | Phase::Transfer => {
                attendance.contributors >= attendance.min_contributors
            }
            _ => true,
        };
        if suffices && attendance.is_quorum() {
            missing.retain(|member| !self.is_away(*member));
        }
        missing
    }

    fn missing(&self) -> Vec<MemberIndex> {
        let round = &self.round;
        let members = || self.config.manifest.members();
        match round.phase {
            Phase::Doubt => self.silent_about_me(),
            Phase::Gather => members().filter(|m| !self.is_present(*m)).collect(),
            Phase::Commit => members()
                .filter(|m| !round.first.contains_key(m) && !round.resting.contains(m))
                .collect(),
            Phase::Transfer => members()
                .filter(|m| {
                    round.first.contains_key(m) && !round.has_valid_share_of(*m)
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

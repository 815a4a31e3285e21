//! What people see.

use super::Machine;
use crate::effect::Effect;
use crate::ids::MemberIndex;
use crate::message::VoteKind;
use crate::status::{MemberStatus, Phase, Status};

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
            waiting_for: self.waiting_for(),
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
        }
    }

    fn waiting_for(&self) -> Vec<MemberIndex> {
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

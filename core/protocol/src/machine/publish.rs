//! The status that operators see.

use std::borrow::Cow;

use super::Machine;
use crate::effect::Effect;
use crate::event::TimerId;
use crate::ids::{MemberIndex, Round, Time, View};
use crate::status::{Activity, Attendance, MemberStatus, Phase, Status, Wait};
use crate::wire::{Decision, VoteKind};

/// Time in which changes of no consequence are shown together, in milliseconds.
const PAUSE_MS: u64 = 200;

/// Round, activity and view.
type Place = (Round, Activity, Option<(Decision, View)>);

/// What has been published.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// When the status was last looked at.
    at: Option<Time>,
    /// Where this member was then: round, activity, view.
    place: Option<Place>,
    status: Option<Status>,
}

impl Machine {
    /// Publishes the status if it has changed. After something that happens a thousand times in a
    /// round, only if that took this member on, or if nothing has been published for a moment; the
    /// next heartbeat publishes the rest.
    pub(super) fn publish(&mut self, is_routine: bool) {
        let place = (self.cx.round(), self.round.activity(), self.round.voting());
        let published = &mut self.published;
        let waits = published.at.is_some_and(|at| self.cx.now < at.plus_ms(PAUSE_MS));
        if is_routine && waits && published.place == Some(place) {
            return;
        }
        published.at = Some(self.cx.now);
        published.place = Some(place);
        let status = self.status();
        if self.published.status.as_ref() != Some(&status) {
            self.published.status = Some(status.clone());
            self.cx.push(Effect::Publish(Box::new(status)));
        }
    }

    /// Where this member is.
    #[must_use]
    pub fn status(&self) -> Status {
        let (round, tip) = (&self.round, &self.chain.tip);
        let view = round.voting().map(|(_, view)| view).unwrap_or_default();
        let attendance = self.attendance();
        let waiting_for = self.waiting_for(&attendance);
        let members = || self.cx.config.manifest.members();
        Status {
            epoch: self.cx.config.manifest.epoch(),
            round: self.cx.round(),
            phase: round.phase,
            activity: round.activity(),
            view,
            applied: tip.applied,
            stopped: tip.stopped,
            adapter: tip.adapter,
            head: tip.head,
            committee: self.cx.election.committee().to_vec(),
            proposer: round.voting().map(|_| self.cx.election.proposer(view)),
            members: members().map(|m| self.member_status(m)).collect(),
            silent_through: self.recovery.silent_through(self.cx.round()),
            journal_round: self.recovery.journal_round(),
            wait: self.wait(&waiting_for),
            waiting_for,
            attendance,
            paused: self.paused,
            failed_rounds: self.chain.past.failed_rounds.clone(),
            banned: members().filter(|m| self.is_banned(*m)).collect(),
            dropped: self.cx.drops().iter().map(|(k, v)| (Cow::Borrowed(*k), *v)).collect(),
        }
    }

    fn member_status(&self, member: MemberIndex) -> MemberStatus {
        let (round, collect) = (&self.round, &self.round.collect);
        let me = member == self.cx.me();
        let newest = self.members.newest.of(member).map(|newest| newest.round);
        MemberStatus {
            reachable: me || self.members.is_reachable(member),
            round: if me { Some(self.cx.round()) } else { newest },
            committed: collect.commitments.first_of(member).is_some(),
            refused: collect.refusal_of(&self.cx, member),
            share_valid: collect.has_valid_share_of(member),
            have_updates: u32::try_from(collect.availability.count_of(member)).unwrap_or(u32::MAX),
            reported: collect.reports.of(member).is_some(),
            answered: round.decryption.partial_of(member).is_some(),
            signed: round.finish.signature_of(member).is_some(),
            here: self.is_here(member),
            left: self.why_absent(member),
            excluded_until: self.members.exclusions.until(&self.cx, member),
        }
    }

    /// How many are here, and how many it takes.
    fn attendance(&self) -> Attendance {
        let rules = self.cx.config.rules();
        let count = |is: &dyn Fn(MemberIndex) -> bool| {
            count(self.cx.config.manifest.members().filter(|m| is(*m)).count())
        };
        let collect = &self.round.collect;
        let is_here = |member| member == self.cx.me() || self.is_here(member);
        Attendance {
            here: count(&is_here),
            quorum: rules.quorum,
            // An update that has arrived counts, whatever has become of its contributor since.
            contributors: count(&|member| {
                let first = collect.commitments.first_of(member);
                !self.is_banned(member)
                    && first.map_or_else(
                        || is_here(member),
                        |digest| collect.is_eligible(&self.cx, digest),
                    )
            }),
            min_contributors: rules.min_contributors,
        }
    }

    /// How many the phase waits for, and until when at most.
    fn wait(&self, waiting_for: &[MemberIndex]) -> Option<Wait> {
        let (round, rules) = (&self.round, self.cx.config.rules());
        let n = rules.member_count;
        let lacking = count(self.missing().len());
        let (here, enough, of, timer) = match round.phase {
            _ if waiting_for.is_empty() => return None,
            Phase::Recovering => {
                let others = n.saturating_sub(1);
                (others.saturating_sub(lacking), rules.quorum.saturating_sub(1), others, None)
            }
            Phase::WaitingForQuorum => (n.saturating_sub(lacking), rules.quorum, n, None),
            Phase::Commit => {
                let here = count(round.collect.commitments.first().len());
                (here, rules.min_contributors, n, Some(TimerId::Commit))
            }
            Phase::Transfer => {
                let first = round.collect.commitments.first().values();
                let whole = first.filter(|digest| round.collect.is_vouched_for(&self.cx, digest));
                (count(whole.count()), rules.min_contributors, n, Some(TimerId::Transfer))
            }
            Phase::Certify => match self.certifying() {
                Certifying::Reports => {
                    let here = count(round.collect.reports.all().len());
                    (here, rules.quorum, n, Some(TimerId::Round))
                }
                Certifying::Proposal => (0, 1, 1, Some(TimerId::View)),
                Certifying::Votes => {
                    let here = round.set.vote.agreement().voters(VoteKind::Precommit).len();
                    (count(here), rules.quorum, n, Some(TimerId::Round))
                }
            },
            Phase::Decrypt => {
                let here = count(round.decryption.partials().len());
                (here, rules.threshold, n, Some(TimerId::Decrypt))
            }
            Phase::Record => (count(round.finish.signers().len()), rules.quorum, n, None),
            Phase::Sync | Phase::Apply | Phase::Paused | Phase::Done => return None,
        };
        let until = timer.and_then(|timer| self.cx.timer(timer));
        Some(Wait { here, enough, of, until })
    }

    /// Members that the phase still needs something from: those that are absent only as long as it
    /// cannot do without.
    fn waiting_for(&self, attendance: &Attendance) -> Vec<MemberIndex> {
        let mut missing = self.missing();
        let suffices = match self.round.phase {
            Phase::Commit | Phase::Transfer => {
                attendance.contributors >= attendance.min_contributors
            }
            _ => true,
        };
        if suffices && attendance.is_quorum() {
            missing.retain(|m| !self.members.is_absent(*m) && !self.is_banned(*m));
        }
        missing
    }

    fn missing(&self) -> Vec<MemberIndex> {
        let (round, collect) = (&self.round, &self.round.collect);
        let lacking = |has: &dyn Fn(MemberIndex) -> bool| {
            self.cx.config.manifest.members().filter(|member| !has(*member)).collect()
        };
        match round.phase {
            Phase::Recovering => self.recovery.unanswered(&self.cx),
            Phase::WaitingForQuorum => lacking(&|member| self.is_present(member)),
            Phase::Commit => lacking(&|member| collect.commitments.first_of(member).is_some()),
            Phase::Transfer => lacking(&|member| {
                let commitments = &collect.commitments;
                let first = commitments.first_of(member);
                let needs_share = first.is_some_and(|it| collect.is_eligible(&self.cx, it));
                (!needs_share || collect.has_valid_share_of(member))
                    && (!self.cx.election.in_committee(member)
                        || collect.availability.has_everything(member, commitments))
            }),
            Phase::Certify => match self.certifying() {
                Certifying::Reports => lacking(&|member| collect.reports.of(member).is_some()),
                Certifying::Proposal => {
                    vec![self.cx.election.proposer(round.set.vote.agreement().view())]
                }
                Certifying::Votes => {
                    let voters = round.set.vote.agreement().voters(VoteKind::Precommit);
                    lacking(&|member| voters.contains(&member))
                }
            },
            Phase::Decrypt => lacking(&|member| round.decryption.partial_of(member).is_some()),
            Phase::Record => lacking(&|member| round.finish.signature_of(member).is_some()),
            Phase::Sync | Phase::Apply | Phase::Paused | Phase::Done => Vec::new(),
        }
    }

    /// What the decision on the set waits for.
    fn certifying(&self) -> Certifying {
        let reports = self.round.collect.reports.all().len();
        if self.round.set.vote.agreement().has_proposal() {
            Certifying::Votes
        } else if reports < usize::from(self.cx.config.rules().quorum) {
            Certifying::Reports
        } else {
            Certifying::Proposal
        }
    }
}

/// Where the decision on the set is, for operators.
enum Certifying {
    Reports,
    Proposal,
    Votes,
}

fn count(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

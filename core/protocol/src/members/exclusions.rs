//! Contributors that do not answer complaints, see `collect::complaints`. One that owes an answer
//! when the round ends is left out of this member's reports for one round, the next time for two,
//! then four, [`MAX_EXCLUDED_ROUNDS`] at most. The count is forgotten after as many rounds in which
//! it owes nothing. More than f such contributors cannot be: then it is this member that is cut
//! off, and nobody is left out. All of this is one member's own decision, about its own reports; it
//! is in the journal, a lost disk forgets it.

use std::collections::BTreeMap;

use crate::context::Cx;
use crate::ids::{MemberIndex, Round};
use crate::limits::MAX_EXCLUDED_ROUNDS;
use crate::wire::journal::{MissedAnswer, Note};

/// Contributors that owed an answer in earlier rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exclusions(BTreeMap<MemberIndex, MissedAnswer>);

/// How a round ended for those who contributed to it.
pub(crate) struct UnansweredComplaints {
    /// Whose update was known.
    pub(crate) contributors: Vec<MemberIndex>,
    /// Who of them owed an answer.
    pub(crate) debtors: Vec<MemberIndex>,
}

impl Exclusions {
    /// Restores the exclusions that the journal has as a round begins.
    pub(crate) fn recall(&mut self, known: Vec<(MemberIndex, MissedAnswer)>) {
        self.0 = known.into_iter().collect();
    }

    /// Until which round `member` is left out of this member's own reports, if it is.
    pub(crate) fn until(&self, cx: &Cx, member: MemberIndex) -> Option<Round> {
        let round = cx.round();
        let is_out = |missed: &&MissedAnswer| round < missed.until;
        let out = self.0.values().filter(is_out).count();
        if out > usize::from(cx.config.rules().max_faulty) {
            return None;
        }
        self.0.get(&member).filter(is_out).map(|missed| missed.until)
    }

    /// Whether updates of `member` are left out of this member's own report in this round.
    pub(crate) fn is_excluded(&self, cx: &Cx, member: MemberIndex) -> bool {
        self.until(cx, member).is_some()
    }

    /// The round `ended` is over; what is remembered of its contributors belongs to the next one.
    pub(crate) fn begin_round(
        &mut self,
        cx: &mut Cx,
        ended: Round,
        unanswered: &UnansweredComplaints,
    ) {
        self.round_ended(ended, &unanswered.contributors, &unanswered.debtors);
        if !self.0.is_empty() {
            let known = self.0.iter().map(|(member, missed)| (*member, *missed)).collect();
            // If it cannot be written, a restart forgets it: then the contributor is listed.
            let _ = cx.persist(Note::Excluded(known));
        }
    }

    fn round_ended(&mut self, ended: Round, contributors: &[MemberIndex], debtors: &[MemberIndex]) {
        for member in debtors {
            let known =
                self.0.entry(*member).or_insert(MissedAnswer { times: 0, until: ended, clean: 0 });
            if ended >= known.until {
                known.times = known.times.saturating_add(1);
                let rounds = term(known.times);
                known.until = Round(ended.0.saturating_add(1).saturating_add(rounds));
                known.clean = 0;
            }
        }
        self.0.retain(|member, missed| {
            if ended >= missed.until && contributors.contains(member) && !debtors.contains(member) {
                missed.clean = missed.clean.saturating_add(1);
            }
            missed.clean < term(missed.times)
        });
    }
}

/// For how many rounds a contributor is left out that has owed an answer so many times.
fn term(times: u8) -> u64 {
    let doubled = 1_u64.checked_shl(u32::from(times.saturating_sub(1)));
    doubled.unwrap_or(MAX_EXCLUDED_ROUNDS).min(MAX_EXCLUDED_ROUNDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: MemberIndex = MemberIndex(3);

    fn until(exclusions: &Exclusions) -> Option<u64> {
        exclusions.0.get(&SILENT).map(|missed| missed.until.0)
    }

    #[test]
    fn each_time_it_is_twice_as_long_up_to_a_bound_and_as_long_without_one_it_is_forgotten() {
        let mut exclusions = Exclusions::default();
        let mut ended = 0;
        for rounds in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
            exclusions.round_ended(Round(ended), &[SILENT], &[SILENT]);
            assert_eq!(until(&exclusions), Some(ended + 1 + rounds));
            // What it does while it is left out changes nothing.
            for round in ended + 1..ended + 1 + rounds {
                let debtors: &[MemberIndex] = if round % 2 == 0 { &[SILENT] } else { &[] };
                exclusions.round_ended(Round(round), &[SILENT], debtors);
            }
            ended += 1 + rounds;
            assert_eq!(until(&exclusions), Some(ended));
        }
        for clean in 0..64 {
            assert_eq!(until(&exclusions), Some(ended), "after {clean} clean rounds");
            // A round to which it does not contribute counts for nothing.
            exclusions.round_ended(Round(ended + 2 * clean), &[], &[]);
            exclusions.round_ended(Round(ended + 2 * clean + 1), &[SILENT], &[]);
        }
        assert_eq!(until(&exclusions), None);
    }

    #[test]
    fn terms_are_bounded() {
        assert_eq!([0, 1, 2, 7, 8, 64, 255].map(term), [1, 1, 2, 64, 64, 64, 64]);
    }
}

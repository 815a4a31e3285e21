//! One checker for each invariant. They observe honest members and use the rules without any
//! planted bug.

mod agreement;
mod applied;
mod certificate;
mod keys;
mod ledger;
pub(super) mod liveness;
mod min_contributors;
mod openings;
mod release_once;
mod shape;
mod spent;
mod stop;
mod sum;

use fedshield_protocol::effect::Purpose;
use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::job::{Job, JobOutput};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::journal::Entry;
use fedshield_protocol::wire::{CertifiedRecord, Record};

use super::evidence;
use super::faults::Plan;
use super::federation::Federation;
use super::node::Node;

/// Something that an honest member did.
pub(super) enum Fact<'a> {
    /// Persisted an entry of its journal.
    Noted(Entry),
    /// Finished a round.
    Recorded(&'a CertifiedRecord),
    /// Started a job.
    Started(&'a Job),
    /// Got a job's result.
    Ended(&'a Job, &'a JobOutput),
    /// Has evidence against a member.
    Banned(MemberIndex, &'a [u8]),
    /// Requested an object.
    Fetched(ObjectRef, Purpose),
}

/// All checkers of one run, and the first violation.
pub(super) struct Checkers {
    agreement: agreement::Agreement,
    certificate: certificate::Certificate,
    release_once: release_once::ReleaseOnce,
    spent: spent::Spent,
    stop: stop::Stop,
    sum: sum::Sum,
    keys: keys::Keys,
    openings: openings::Openings,
    min_contributors: min_contributors::MinContributors,
    applied: applied::Applied,
    blame: Vec<MemberIndex>,
    pub(super) violation: Option<(&'static str, String)>,
}

impl Checkers {
    pub(super) fn new(_federation: &Federation, plan: &Plan) -> Self {
        Self {
            agreement: agreement::Agreement::default(),
            certificate: certificate::Certificate::default(),
            release_once: release_once::ReleaseOnce::default(),
            spent: spent::Spent::default(),
            stop: stop::Stop::default(),
            sum: sum::Sum::default(),
            keys: keys::Keys,
            openings: openings::Openings::default(),
            min_contributors: min_contributors::MinContributors,
            applied: applied::Applied::new(plan),
            blame: plan.faulty.iter().map(|(member, _)| *member).collect(),
            violation: None,
        }
    }

    pub(super) fn observe(&mut self, federation: &Federation, node: &Node, fact: &Fact<'_>) {
        if self.violation.is_some() {
            return;
        }
        let results = [
            ("agreement", self.agreement.observe(fact)),
            ("certificate", self.certificate.observe(federation, node, fact)),
            ("release_once", self.release_once.observe(node, fact)),
            ("spent", self.spent.observe(node, fact)),
            ("stop", self.stop.observe(federation, &self.blame, fact)),
            ("sum", self.sum.observe(fact)),
            ("shape", shape::Shape.observe(fact)),
            ("keys", self.keys.observe(node, fact)),
            ("openings", self.openings.observe(federation, node, fact)),
            ("min_contributors", self.min_contributors.observe(federation, fact)),
            ("blame", self.blamed(federation, fact)),
        ];
        for (checker, result) in results {
            if let Err(reason) = result {
                let reason = format!("member {}: {reason}", node.member);
                self.violation = Some((checker, reason));
                return;
            }
        }
    }

    /// A round was recorded for the first time; it began when the one before it was.
    pub(super) fn round_ended(&mut self, began_ms: u64, record: &Record) {
        let result = self.applied.ended(record.round, began_ms, &record.outcome);
        if let (None, Err(reason)) = (&self.violation, result) {
            self.violation = Some(("applied", reason));
        }
    }

    /// Records what a member encrypted; called for faulty members as well.
    pub(super) fn contributed(
        &mut self,
        federation: &Federation,
        node: &Node,
        job: &Job,
        output: &JobOutput,
    ) {
        if let Job::SealShares { round, .. } = job {
            let scope = federation.scope(*round);
            self.stop.contributed(&scope, node, (job, output));
            self.sum.contributed(&scope, node, output);
        }
    }

    /// Evidence is only against faulty members, and verifies for every member.
    fn blamed(&self, federation: &Federation, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Banned(member, _) if !self.blame.contains(member) => {
                Err(format!("has evidence against member {member}, which is honest"))
            }
            Fact::Banned(member, bytes) => evidence::check(federation, *member, bytes)
                .map(drop)
                .map_err(|reason| format!("its evidence against member {member}: {reason}")),
            _ => Ok(()),
        }
    }

    /// Checks that need the end of the run. Returns how many rounds were applied, rejected, void,
    /// skipped.
    pub(super) fn finish(
        &self,
        federation: &Federation,
        nodes: &[Node],
    ) -> Result<[u64; 4], (&'static str, String)> {
        ledger::check(federation, nodes).map_err(|reason| ("ledger", reason))
    }
}

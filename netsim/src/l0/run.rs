//! One run from its seed, and its outcome.

use super::faults::Plan;
use super::federation::Federation;
use super::node::Node;
use super::world::World;
use fedshield_protocol::failed_rounds::FailedRounds;
use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::ledger::set_of;
use fedshield_protocol::manifest::Rules;

/// A bug planted to test whether the checkers find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A quorum is a mere majority.
    MajorityQuorum,
    /// Votes, decisions and signed records are forgotten in a crash.
    VotesNotPersisted,
    /// f + 1 partial decryptions open a sum.
    LowThreshold,
    /// Two contributors are enough.
    TooFewContributors,
    /// An update is sent again although it was in a decided set.
    SpentResent,
    /// Whether a voter supports a set depends on the ciphertexts that it happens to hold.
    ValidByHolding,
    /// A restarted member relies on its journal alone and skips recovery.
    TrustsItsDisk,
    /// Commitments of others, the opened sum and the answers are kept in memory only.
    CommitmentsNotKept,
    /// The host keeps only the newest adapter.
    OneAdapter,
    /// As many members as may be faulty end the training.
    StopsByFew,
}

impl Bug {
    /// Applies the bug to the rules, if it changes them.
    pub fn change(self, rules: &mut Rules) {
        match self {
            Self::MajorityQuorum => {
                rules.quorum = rules.member_count / 2 + 1;
                rules.threshold = rules.quorum;
            }
            Self::LowThreshold => rules.threshold = rules.honest_threshold(),
            Self::TooFewContributors => rules.min_contributors = 2,
            #[cfg(feature = "planted-bugs")]
            Self::ValidByHolding => rules.vote_by_holding = true,
            #[cfg(not(feature = "planted-bugs"))]
            Self::ValidByHolding => {}
            // Otherwise it would learn its votes from the others in recovery.
            #[cfg(feature = "planted-bugs")]
            Self::TrustsItsDisk | Self::VotesNotPersisted => rules.trust_the_disk = true,
            #[cfg(not(feature = "planted-bugs"))]
            Self::TrustsItsDisk | Self::VotesNotPersisted => {}
            #[cfg(feature = "planted-bugs")]
            Self::StopsByFew => rules.stop_by_few = true,
            #[cfg(not(feature = "planted-bugs"))]
            Self::StopsByFew => {}
            Self::SpentResent | Self::CommitmentsNotKept | Self::OneAdapter => {}
        }
    }
}

/// The options of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Every honest member must have this many records in the end.
    pub rounds: u64,
    /// The bug, if one is planted; the federation's `used` manifest must have been changed
    /// accordingly.
    pub bug: Option<Bug>,
    /// Replaces the plan of the seed.
    pub plan: Option<Plan>,
    /// Writes the events to standard error.
    pub verbose: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { rounds: 3, bug: None, plan: None, verbose: false }
    }
}

/// A run in which every check passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Milliseconds of virtual time.
    pub virtual_ms: u64,
    /// Events handled.
    pub events: u64,
    /// Rounds applied, rejected, void, skipped, in the longest ledger.
    pub rounds: [u64; 4],
    /// Honest members that another honest one excluded, because they left complaints unanswered.
    pub excluded: Vec<MemberIndex>,
    /// When any node first recorded each round, in milliseconds of virtual time.
    pub round_ends_ms: Vec<u64>,
    /// The contributors in the decided set of each round, in the longest ledger; empty if none was
    /// decided.
    pub sets: Vec<Vec<MemberIndex>>,
    /// The failed rounds that the honest members report in the end.
    pub failed_rounds: Vec<FailedRounds>,
    /// Number of honest members that ban another member in the end.
    pub banning: usize,
    /// Digest of the trace.
    pub trace: String,
}

impl World {
    fn sets(&self) -> Vec<Vec<MemberIndex>> {
        let honest = self.nodes.iter().filter(|node| node.is_honest());
        let longest = honest.map(|node| &node.disk.records).max_by_key(|records| records.len());
        let set = |outcome| set_of(outcome).map(|(set, _)| set.iter().map(|(m, _)| *m).collect());
        let records = longest.into_iter().flatten();
        records.map(|it| set(&it.record.outcome).unwrap_or_default()).collect()
    }

    fn failed_rounds(&self) -> Vec<FailedRounds> {
        let honest = self.nodes.iter().filter(|node| node.is_honest());
        let machines = honest.filter_map(|node| node.machine.as_ref());
        machines.map(|machine| machine.status().failed_rounds).collect()
    }
}

/// A run in which a check failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, {members} members, at {at_ms} ms: {checker}: {reason}")]
pub struct Failure {
    /// The seed, which reproduces the run.
    pub seed: u64,
    /// Number of members.
    pub members: u16,
    /// Time of the failure, in milliseconds of virtual time.
    pub at_ms: u64,
    /// The checker whose invariant failed.
    pub checker: &'static str,
    /// How it failed.
    pub reason: String,
}

/// Virtual time after the network has healed, in milliseconds for each requested round.
const PATIENCE_MS: u64 = 240_000;

/// Runs one seed.
///
/// # Errors
/// The first invariant that did not hold.
pub fn run_seed(federation: &Federation, seed: u64, options: &Options) -> Result<Outcome, Failure> {
    let rules = *federation.rules();
    let members = rules.member_count;
    let plan = options.plan.clone().unwrap_or_else(|| Plan::draw(seed, members, rules.max_faulty));
    let end = plan.heal_ms + PATIENCE_MS * options.rounds;
    if options.verbose {
        eprintln!("{plan:?}");
    }
    let mut world = World::new(federation.clone(), plan, seed, options.bug, options.verbose);
    loop {
        let more = world.step();
        if let Some((checker, reason)) = world.checkers.violation.take() {
            return Err(Failure { seed, members, at_ms: world.now, checker, reason });
        }
        let arrived = |world: &World| {
            let honest = || world.nodes.iter().filter(|node| node.is_honest());
            honest().all(|node| node.disk.records.len() as u64 >= options.rounds)
                && honest().all(|node| node.machine.is_some())
        };
        if arrived(&world) {
            break;
        }
        if !more || world.now > end {
            let reason = super::checkers::liveness::explain(&world.nodes, options.rounds);
            return Err(Failure { seed, members, at_ms: world.now, checker: "liveness", reason });
        }
    }
    let rounds =
        world.checkers.finish(&world.federation, &world.nodes).map_err(|(checker, reason)| {
            Failure { seed, members, at_ms: world.now, checker, reason }
        })?;
    let bans = |node: &&Node| {
        let machine = node.machine.as_ref().filter(|_| node.is_honest());
        let mut members = world.federation.manifest.members();
        machine.is_some_and(|machine| members.any(|member| machine.is_banned(member)))
    };
    let banning = world.nodes.iter().filter(bans).count();
    Ok(Outcome {
        virtual_ms: world.now,
        events: world.events,
        rounds,
        excluded: std::mem::take(&mut world.excluded).into_iter().collect(),
        round_ends_ms: std::mem::take(&mut world.ends),
        sets: world.sets(),
        failed_rounds: world.failed_rounds(),
        banning,
        trace: world.trace.text(),
    })
}

//! What goes wrong in a run, drawn from the seed.

use fedshield_protocol::ids::MemberIndex;

use super::loss::Loss;
use super::random::Random;
use super::triggered_crash::TriggeredCrash;

/// Failure rate of jobs in runs that lose messages, per mille: one in fifty.
pub(super) const JOB_FAILURES: u64 = 20;

/// How a faulty member misbehaves. At most f members do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Sends nothing at all.
    Silent,
    /// Two instances with the same key, each connected with a part of the others: it votes,
    /// proposes and commits twice.
    Twins,
    /// Sends every second receiver a conflicting vote.
    Equivocating,
    /// Attests wrong sums.
    WrongSum,
    /// Deals shares that do not open to the members with an even index.
    BadShares,
    /// Deals shares that do not open to f others, answers no complaint, and releases no partial
    /// decryption.
    BadSharesUnanswered,
    /// Complains about every share that it receives, valid ones as well.
    FalseComplaints,
    /// Releases wrong partial decryptions.
    WrongPartial,
    /// Contributes an update that looks valid, but no sum with it opens.
    UnopenableUpdate,
    /// Commits to bytes that are no ciphertext and cannot be added to a sum.
    MalformedCiphertext,
    /// Rejects every update.
    RejectsAll,
    /// Commits to ciphertexts or sealed shares of a wrong length, or to a wrong layout.
    WrongShape,
    /// Accuses other members with invalid evidence or unrelated objects.
    FalseAccusations,
    /// Divides the others over the opened sum: deals bad shares to just so many that its own
    /// partial decryption is needed, answers no complaint, sends those members a wrong partial
    /// decryption, and withholds its precommits on the outcome, its certificates of the outcome and
    /// its records.
    SplitsOutcome,
    /// Replays old heartbeats and requests of others after their newer messages.
    ReplaysHeartbeats,
    /// As proposer, asks the committee to add as many different sets as it can construct with the
    /// other members with this fault, which sign different reports inside different bundles;
    /// proposes nothing.
    FloodsSets,
}

/// A crash and the restart after it.
#[derive(Debug, Clone, Copy)]
pub struct Crash {
    /// Index of the node.
    pub node: usize,
    /// The earliest time; it happens among the effects of the next event.
    pub at_ms: u64,
    /// Milliseconds until the restart.
    pub down_ms: u64,
    /// What is lost from its disk in the crash.
    pub loss: Loss,
}

/// How an honest member becomes absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbsenceKind {
    /// Its daemon is stopped in an orderly way, and started again.
    Stop,
    /// An operator pauses it, and resumes it.
    Pause,
}

/// A temporary absence of a member.
#[derive(Debug, Clone, Copy)]
pub struct Absence {
    /// Index of the node.
    pub node: usize,
    /// Whether it stops or pauses.
    pub kind: AbsenceKind,
    /// Start in virtual time.
    pub from_ms: u64,
    /// End in virtual time.
    pub until_ms: u64,
}

/// A time during which messages between two sides are lost.
#[derive(Debug, Clone)]
pub struct Partition {
    /// Start in virtual time.
    pub from_ms: u64,
    /// End in virtual time, exclusive.
    pub until_ms: u64,
    /// The side of each member.
    pub side: Vec<bool>,
}

/// A time during which messages between two members are lost, while all others reach both.
#[derive(Debug, Clone)]
pub struct Cut {
    /// The two members.
    pub between: (MemberIndex, MemberIndex),
    /// Start in virtual time.
    pub from_ms: u64,
    /// End in virtual time, exclusive.
    pub until_ms: u64,
}

/// Everything that goes wrong in one run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Faulty members.
    pub faulty: Vec<(MemberIndex, Fault)>,
    /// Messages lost, per mille, until `heal_ms`.
    pub loss: u64,
    /// Jobs that fail, per mille, until `heal_ms`.
    pub job_failures: u64,
    /// Messages delivered twice, per mille, until `heal_ms`.
    pub duplicates: u64,
    /// Longest delay of a message in ms; delays differ, so messages are reordered.
    pub delay_ms: u64,
    /// Crashes of honest members.
    pub crashes: Vec<Crash>,
    /// Crashes at a milestone of the protocol instead of at a given time.
    pub triggered_crashes: Vec<TriggeredCrash>,
    /// Orderly stops and pauses of honest members.
    pub absences: Vec<Absence>,
    /// Partitions.
    pub partitions: Vec<Partition>,
    /// Cuts between two members.
    pub cuts: Vec<Cut>,
    /// When the network heals: from then on no message is lost at random or duplicated and no job
    /// fails. Drawn partitions have ended, and drawn crashes are due, by then.
    pub heal_ms: u64,
    /// Which twin each member is connected with.
    pub split: Vec<bool>,
}

impl Plan {
    /// No faults are injected.
    #[must_use]
    pub fn fault_free(member_count: u16) -> Self {
        Self {
            faulty: Vec::new(),
            loss: 0,
            job_failures: 0,
            duplicates: 0,
            delay_ms: 50,
            crashes: Vec::new(),
            triggered_crashes: Vec::new(),
            absences: Vec::new(),
            partitions: Vec::new(),
            cuts: Vec::new(),
            heal_ms: 0,
            split: vec![false; usize::from(member_count)],
        }
    }

    /// The plan of a seed.
    #[must_use]
    pub fn draw(seed: u64, member_count: u16, max_faulty: u16) -> Self {
        let mut random = Random::new(seed, 1);
        let n = u64::from(member_count);
        let mut plan = Self::fault_free(member_count);
        plan.heal_ms = random.between(15_000, 45_000);
        plan.delay_ms = random.between(20, 400);
        if random.chance(700) {
            plan.loss = random.between(0, 250);
            plan.job_failures = if plan.loss > 0 { JOB_FAILURES } else { 0 };
            plan.duplicates = random.between(0, 100);
        }
        plan.draw_faulty(&mut random, member_count, max_faulty);
        plan.split = (0..n).map(|_| random.chance(500)).collect();
        if random.chance(600) {
            for _ in 0..random.between(1, n) {
                let at_ms = random.below(plan.heal_ms);
                plan.crashes.push(Crash {
                    node: random.below(n) as usize,
                    at_ms,
                    down_ms: random.between(200, plan.heal_ms.saturating_sub(at_ms).max(400)),
                    loss: Loss::Nothing,
                });
            }
        }
        plan.draw_lost_disks(&mut random, member_count, max_faulty);
        plan.draw_absences(&mut Random::new(seed, 3), member_count);
        if random.chance(500) {
            for _ in 0..random.between(1, 2) {
                let from_ms = random.below(plan.heal_ms);
                let until_ms = random.between(from_ms, plan.heal_ms);
                // Sometimes the two sides are those of the twins.
                let side = if random.chance(500) {
                    plan.split.clone()
                } else {
                    (0..n).map(|_| random.chance(500)).collect()
                };
                plan.partitions.push(Partition { from_ms, until_ms, side });
            }
        }
        plan
    }

    /// In some runs disks are lost. A member that loses its disk counts as faulty until the round
    /// is over, so these and the faulty members are at most f together; one member may lose its
    /// disk more than once.
    fn draw_lost_disks(&mut self, random: &mut Random, member_count: u16, max_faulty: u16) {
        let most = usize::from(max_faulty).saturating_sub(self.faulty.len());
        if most == 0 || !random.chance(500) {
            return;
        }
        let mut losers: Vec<u64> = (0..u64::from(member_count))
            .filter(|m| self.fault_of(MemberIndex(*m as u16)).is_none())
            .collect();
        while losers.len() > most {
            losers.swap_remove(random.below(losers.len() as u64) as usize);
        }
        for node in losers {
            for _ in 0..random.between(1, 3) {
                let (node, at_ms) = (node as usize, random.below(self.heal_ms));
                let down_ms = random.between(200, 4_000);
                self.crashes.push(Crash { node, at_ms, down_ms, loss: Loss::Disk });
            }
        }
    }

    /// In some runs members stop or pause and come back. `random` is a stream of its own, so that
    /// the rest of the plan of a seed stays the same.
    fn draw_absences(&mut self, random: &mut Random, member_count: u16) {
        if !random.chance(400) {
            return;
        }
        for _ in 0..random.between(1, u64::from(member_count)) {
            let from_ms = random.below(self.heal_ms);
            let until_ms = random.between(from_ms + 1, self.heal_ms + 1);
            let kind = if random.chance(500) { AbsenceKind::Stop } else { AbsenceKind::Pause };
            let node = random.below(u64::from(member_count)) as usize;
            self.absences.push(Absence { node, kind, from_ms, until_ms });
        }
    }

    pub(super) fn draw_faulty(&mut self, random: &mut Random, member_count: u16, max_faulty: u16) {
        let count = random.between(0, u64::from(max_faulty));
        while (self.faulty.len() as u64) < count {
            let member = MemberIndex(random.below(u64::from(member_count)) as u16);
            if self.faulty.iter().any(|(m, _)| *m == member) {
                continue;
            }
            let fault = match random.below(17) {
                0 => Fault::Silent,
                1 | 2 => Fault::Twins,
                3 => Fault::Equivocating,
                4 => Fault::WrongSum,
                5 => Fault::BadShares,
                6 => Fault::UnopenableUpdate,
                7 => Fault::MalformedCiphertext,
                8 => Fault::RejectsAll,
                9 => Fault::WrongShape,
                10 => Fault::FalseAccusations,
                11 => Fault::BadSharesUnanswered,
                12 => Fault::FalseComplaints,
                13 => Fault::SplitsOutcome,
                14 => Fault::ReplaysHeartbeats,
                15 => Fault::FloodsSets,
                _ => Fault::WrongPartial,
            };
            self.faulty.push((member, fault));
        }
    }

    /// The fault of `member`; none if it is honest.
    #[must_use]
    pub fn fault_of(&self, member: MemberIndex) -> Option<Fault> {
        self.faulty.iter().find(|(m, _)| *m == member).map(|(_, fault)| *fault)
    }

    /// Whether a message between two members is cut at `now_ms`.
    #[must_use]
    pub fn is_partitioned(&self, a: MemberIndex, b: MemberIndex, now_ms: u64) -> bool {
        self.partitions.iter().any(|partition| {
            (partition.from_ms..partition.until_ms).contains(&now_ms)
                && partition.side.get(a.position()) != partition.side.get(b.position())
        }) || self.cuts.iter().any(|cut| {
            (cut.from_ms..cut.until_ms).contains(&now_ms)
                && (cut.between == (a, b) || cut.between == (b, a))
        })
    }
}

//! One of four daemons is killed with SIGKILL, in each phase and in each role: the round ends
//! without it, and restarted it catches up and takes part again.
//!
//! Four members are f = 1, a committee of three and a quorum of three. Roles are drawn anew in each
//! round, so the victim is chosen when the round begins: the last record's beacon says who will add
//! and who will propose. What it really was is read from the survivors' report of that round, and
//! where it died from the last line of its own log. A kill that came a moment late counts for the
//! phase in which it fell, and the wanted one is tried again in a later round.

use std::collections::BTreeSet;
use std::time::Duration;

use fedshield_protocol::election::Election;
use fedshield_protocol::ids::{Epoch, Round, View};
use fedshield_protocol::ledger::record_digest;
use fedshield_tests::{Federation, Program, Step, Terms};
use fedshieldd::control::api::{RoundOutcome, RoundReport};

/// Longest wait for a step of a round.
const LIMIT: Duration = Duration::from_secs(120);
const MEMBERS: usize = 4;
const COMMITTEE: u16 = 3;

/// The role of a member in a round, besides that of a contributor, which every member has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// Contributes and nothing else.
    Contributor,
    /// Adds ciphertexts.
    Committee,
    /// Adds, and proposes in the first view.
    Proposer,
}
use Role::{Committee, Contributor, Proposer};

/// The phase and the role in which a member is killed. `commit` is the time in which it trains and
/// encrypts.
type Case = (&'static str, Role);

/// Every phase, and every role in at least three of them.
const EARLY: &[Case] = &[
    ("commit", Contributor),
    ("commit", Proposer),
    ("transfer", Committee),
    ("aggregate", Proposer),
    ("certify", Proposer),
    ("certify", Contributor),
];
const LATE: &[Case] = &[
    ("decrypt", Committee),
    ("combine", Proposer),
    ("apply", Contributor),
    ("apply", Committee),
    ("record", Committee),
    ("record", Proposer),
];
const PHASES: [&str; 8] =
    ["commit", "transfer", "aggregate", "certify", "decrypt", "combine", "apply", "record"];

#[test]
fn killed_before_the_decision() {
    kill_in_turn(EARLY);
}

#[test]
fn killed_after_the_decision() {
    kill_in_turn(LATE);
}

/// Every phase in every role: `cargo test --workspace --test kill -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn killed_in_every_phase_and_role() {
    let all: Vec<Case> = PHASES
        .iter()
        .flat_map(|phase| [Contributor, Committee, Proposer].map(|role| (*phase, role)))
        .collect();
    kill_in_turn(&all);
}

/// Goes through `cases` in one federation, one after another.
fn kill_in_turn(cases: &[Case]) {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { members: MEMBERS, rounds: 1000, phase_ms: 4000 };
    let mut federation = Federation::found(&program, &terms);
    // In the second round or later, so that there is an adapter to catch up with.
    federation.daemons[0].wait_for_step(|step| step.word == "ended", LIMIT);
    let mut open: BTreeSet<Case> = cases.iter().copied().collect();
    let tries = cases.len() * 6;
    for _ in 0..tries {
        let Some(case) = open.first().copied() else { break };
        let Some(killed) = kill_one(&mut federation, case) else { continue };
        let died = killed.check(&mut federation);
        eprintln!("wanted {case:?}, killed {killed:?}: {died:?}");
        open.remove(&died);
    }
    assert!(open.is_empty(), "not met in {tries} tries: {open:?}");
    for daemon in &federation.daemons {
        program.run(&daemon.home, ["ledger", "verify"]).ok();
    }
}

/// A member that was killed.
#[derive(Debug)]
struct Killed {
    victim: usize,
    round: u64,
    phase: String,
}

/// Kills who will have the role in the round that has just begun, when the phase begins. `None` if
/// that member never came to this phase by itself, for instance because the others decided without
/// it.
fn kill_one(federation: &mut Federation, (phase, role): Case) -> Option<Killed> {
    let (round, victim) = draw(federation, role);
    let daemon = &mut federation.daemons[victim];
    let reached = |step: &Step| step.round == round && step.word == phase;
    let step = daemon.wait_for_step(|step| reached(step) || step.is_after(round, phase), LIMIT);
    if !reached(&step) {
        let over = |step: &Step| step.is_after(round, "record");
        if !over(&step) {
            daemon.wait_for_step(over, LIMIT);
        }
        return None;
    }
    daemon.kill();
    let last = daemon.last_step().expect("it has logged this round");
    Some(Killed { victim, round: last.round, phase: last.word })
}

/// The round in progress, and the member that has the role in it.
fn draw(federation: &Federation, role: Role) -> (u64, usize) {
    let ledger = federation.daemons.iter().map(|daemon| daemon.ledger()).max_by_key(Vec::len);
    let ledger = ledger.expect("there are daemons");
    let last = &ledger.last().expect("a round has ended").record;
    let round = last.round.0 + 1;
    let members = u16::try_from(MEMBERS).expect("it is four");
    let election = Election::draw(&last.beacon, Epoch(0), Round(round), members, COMMITTEE);
    let position = |view| election.proposer(View(view)).position();
    let victim = match role {
        Proposer => position(0),
        // Another member of the committee in each round.
        Committee => position(1 + u32::try_from(round % 2).expect("it is small")),
        Contributor => position(3),
    };
    (round, victim)
}

impl Killed {
    /// Waits until the round has ended without the victim and the victim takes part again. Gives
    /// the phase and the role in which it died, by its log and by the survivors' report.
    fn check(&self, federation: &mut Federation) -> Case {
        let (round, victim) = (self.round, self.victim);
        let name = format!("m{victim}");
        let witness = (victim + 1) % MEMBERS;
        federation.wait_until("the round has ended without the killed member", |daemons| {
            let alive = daemons.iter().enumerate().filter(|(member, _)| *member != victim);
            alive.map(|(_, daemon)| daemon.rounds()).all(|rounds| report(&rounds, round).is_some())
        });
        federation.restart(victim);
        federation.wait_until("the killed member takes part again", |daemons| {
            let rounds = daemons[witness].rounds();
            rounds.iter().any(|report| takes_part(report, round, &name))
        });
        let rounds = federation.daemons[witness].rounds();
        let again = rounds.iter().find(|report| takes_part(report, round, &name));
        let again = again.expect("it was there a moment ago").round;
        // It has the records that it missed: its ledger equals the others'.
        federation.wait_until("the killed member has the record", |daemons| {
            daemons[victim].ledger().len() as u64 > again.0
        });
        let records = |member: usize| {
            let ledger = federation.daemons[member].ledger();
            let until = ledger.into_iter().take_while(|certified| certified.record.round <= again);
            until.map(|certified| record_digest(&certified.record)).collect::<Vec<_>>()
        };
        assert_eq!(records(victim), records(witness), "{name} has another history");

        let ended = report(&rounds, round).expect("it was there before");
        self.role_in(ended, &name)
    }

    fn role_in(&self, ended: &RoundReport, name: &str) -> Case {
        assert_eq!(ended.committee.len(), usize::from(COMMITTEE), "{ended:#?}");
        let role = match ended.committee.iter().position(|member| member == name) {
            Some(0) => Proposer,
            Some(_) => Committee,
            None => Contributor,
        };
        let phase = PHASES.into_iter().find(|phase| *phase == self.phase);
        let phase = phase.unwrap_or("between rounds");
        let contributed = ended.contributors.iter().any(|member| member == name);
        match phase {
            // Counts only if it died before it had committed to anything, so that the others went
            // on without its update.
            "commit" if contributed => return ("waiting for commitments", role),
            // Its update had been decided on: it is in the sum although its contributor is gone.
            "decrypt" | "combine" | "apply" | "record" => {
                assert!(contributed, "{ended:#?}");
                assert_eq!(ended.outcome, RoundOutcome::Applied, "{ended:#?}");
            }
            _ => {}
        }
        (phase, role)
    }
}

fn report(rounds: &[RoundReport], round: u64) -> Option<&RoundReport> {
    rounds.iter().find(|report| report.round.0 == round)
}

fn takes_part(report: &RoundReport, after: u64, name: &str) -> bool {
    report.round.0 > after
        && report.outcome == RoundOutcome::Applied
        && report.contributors.iter().any(|member| member == name)
}

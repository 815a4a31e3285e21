//! `fedshield-netsim l0`: runs seeds, reports the speed and the first seed that fails.

#![warn(unreachable_pub)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Instant;

use clap::{Parser, Subcommand};
use fedshield_netsim::l0::{Failure, Federation, Options, Plan, run_seed};

/// Makes runs a tenth faster than the system's allocator. The simulation holds no secrets, so
/// memory need not be erased when it is freed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(version, about = "Simulated FedShield networks")]
struct Arguments {
    #[command(subcommand)]
    level: Level,
}

#[derive(Subcommand)]
enum Level {
    /// The protocol machine alone under a seeded event queue.
    L0(L0),
}

#[derive(clap::Args)]
struct L0 {
    /// How many seeds to run.
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Members: one number, or a range `4..10` (both included) through which the seeds rotate.
    #[arg(long, default_value = "4..10", value_parser = parse_members)]
    members: (u16, u16),
    /// Records that every honest member must have at the end.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// No faults are injected.
    #[arg(long)]
    fault_free: bool,
    /// For this many virtual seconds members keep crashing and losing disks and ledgers; no other
    /// faults are injected.
    #[arg(long, value_name = "SECONDS", conflicts_with = "fault_free")]
    crash_storm: Option<u64>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    /// Writes every event of each run to standard error; for one seed.
    #[arg(long)]
    trace: bool,
}

fn parse_members(text: &str) -> Result<(u16, u16), String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|n| (3..=100).contains(n))
            .ok_or_else(|| format!("`{text}` is not a number of members (3 to 100)"))
    };
    let (least, most) = (number(least)?, number(most)?);
    if least > most {
        return Err(format!("{least} is more than {most}"));
    }
    Ok((least, most))
}

fn main() -> ExitCode {
    let Level::L0(arguments) = Arguments::parse().level;
    l0(&arguments)
}

/// Totals over many seeds.
#[derive(Default)]
struct Total {
    events: u64,
    virtual_ms: u64,
    rounds: [u64; 4],
    failure: Option<Failure>,
}

/// Runs all seeds on all cores; stops soon after the first failure.
fn run_all(arguments: &L0) -> Total {
    let (least, most) = arguments.members;
    let federations: Vec<Federation> = (least..=most).map(Federation::new).collect();
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first.saturating_add(arguments.seeds);
    let total = Mutex::new(Total::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let federation = &federations[(seed % federations.len() as u64) as usize];
            let rules = federation.rules();
            let (members, byzantine) = (rules.member_count, rules.max_faulty);
            let plan = match arguments.crash_storm {
                Some(seconds) => {
                    Some(Plan::crash_storm(seed, members, byzantine, seconds.saturating_mul(1000)))
                }
                None => arguments.fault_free.then(|| Plan::fault_free(members)),
            };
            let options =
                Options { rounds: arguments.rounds, bug: None, plan, verbose: arguments.trace };
            let result = run_seed(federation, seed, &options);
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(outcome) => {
                    total.events += outcome.events;
                    total.virtual_ms += outcome.virtual_ms;
                    for (sum, count) in total.rounds.iter_mut().zip(outcome.rounds) {
                        *sum += count;
                    }
                }
                Err(failure) => {
                    next.store(end, Ordering::Relaxed);
                    if total.failure.as_ref().is_none_or(|first| failure.seed < first.seed) {
                        total.failure = Some(failure);
                    }
                }
            }
        }
    };
    let threads = if arguments.trace { 1 } else { available_parallelism().map_or(1, usize::from) };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[allow(clippy::print_stdout, reason = "printing the result is the command's purpose")]
fn l0(arguments: &L0) -> ExitCode {
    let started = Instant::now();
    let total = run_all(arguments);
    let (least, most) = arguments.members;
    if let Some(failure) = total.failure {
        if arguments.json {
            let report = serde_json::json!({ "failed": {
                "seed": failure.seed, "members": failure.members, "checker": failure.checker,
                "at_ms": failure.at_ms, "reason": failure.reason } });
            println!("{report}");
        }
        eprintln!("{failure}");
        eprintln!(
            "again: fedshield-netsim l0 --seeds 1 --first {} --members {least}..{most} --rounds {}{} --trace",
            failure.seed,
            arguments.rounds,
            arguments
                .crash_storm
                .map(|seconds| format!(" --crash-storm {seconds}"))
                .unwrap_or_default()
        );
        return ExitCode::FAILURE;
    }
    let seconds = started.elapsed().as_secs_f64();
    let per_second = arguments.seeds as f64 / seconds.max(1e-9);
    let [applied, rejected, voided, skipped] = total.rounds;
    if arguments.json {
        let report = serde_json::json!({
            "seeds": arguments.seeds, "members": [least, most], "seconds": seconds,
            "seeds_per_second": per_second, "events": total.events,
            "virtual_ms": total.virtual_ms,
            "rounds": { "applied": applied, "rejected": rejected, "void": voided,
                "skipped": skipped },
        });
        println!("{report}");
    } else {
        println!(
            "{} seeds with {least} to {most} members: no violation. {per_second:.0} seeds/s, {} events, \
             {:.1} virtual hours; rounds: {applied} applied, {rejected} rejected, {voided} void, {skipped} skipped",
            arguments.seeds,
            total.events,
            total.virtual_ms as f64 / 3.6e6,
        );
    }
    ExitCode::SUCCESS
}

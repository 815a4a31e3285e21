//! A federation without a network: every member's round, the sum, and its application. It is kept
//! after rounds, so that an interrupted one goes on.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use fedshield_he::{Preset, ciphertext_len};
use fedshield_train::federated::{GlobalAdapter, LocalMemory, UpdateSum};
use fedshield_train::{OptimizerState, RoundTask};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Outcome;
use crate::arm::{Arm, Federation};
use crate::bench::{Division, ended, seed_bytes};
use crate::members::Member;
use crate::progress::{Point, Progress};
use crate::state::{Home, State, StateFile};

/// A federation is not written to disk more often than this.
const KEPT_EVERY: Duration = Duration::from_secs(20);

pub(crate) fn run(
    division: &Division<'_>,
    arm: &Arm,
    federation: &Federation,
    file: &StateFile,
) -> Outcome<Progress> {
    let mut state = match file.read(&arm.text)? {
        Some(state) => state,
        None => begin(division, federation)?,
    };
    let mut kept = Instant::now();
    while state.global.applied() < federation.rounds {
        let result = round(division, federation, &mut state);
        match result {
            Ok(()) => {}
            Err(RoundError::Train(error)) => {
                ended(Err(error), &mut state.progress)?;
                break;
            }
            Err(RoundError::Other(error)) => return Err(error),
        }
        if kept.elapsed() >= KEPT_EVERY {
            file.write(&arm.text, &state)?;
            kept = Instant::now();
        }
    }
    Ok(state.progress)
}

/// The state before the first round.
pub(crate) fn begin(division: &Division<'_>, federation: &Federation) -> Outcome<State> {
    let seed = seed_bytes([division.seed, 0, 0]);
    let global = division.bench.trainer.first_adapter(&federation.settings, seed)?;
    let home = || Home { memory: LocalMemory::new(&global), optimizer: OptimizerState::default() };
    let homes = division.members.iter().map(|_| home()).collect();
    Ok(State { progress: Progress::default(), global, homes })
}

#[derive(Debug)]
pub(crate) enum RoundError {
    Train(fedshield_train::TrainError),
    Other(Box<dyn std::error::Error>),
}

impl From<fedshield_train::TrainError> for RoundError {
    fn from(error: fedshield_train::TrainError) -> Self {
        Self::Train(error)
    }
}

/// One round of all members.
pub(crate) fn round(
    division: &Division<'_>,
    federation: &Federation,
    state: &mut State,
) -> Result<(), RoundError> {
    let settings = &federation.settings;
    let t = state.global.applied();
    let mask = state.global.mask(settings, seed_bytes([division.seed, t, 1]));
    let weights: Vec<u64> =
        division.members.iter().map(|member| weight(federation, member)).collect();
    let largest = weights.iter().copied().max().unwrap_or(1);
    let scale = settings.scale(t, federation.bits, largest);
    let (mut sum, mut slowest) = (vec![0i64; mask.len()], 0f64);
    for (index, (member, home)) in division.members.iter().zip(&mut state.homes).enumerate() {
        let seed = seed_bytes([division.seed, t, 2 + index as u64]);
        let task = RoundTask { global: &state.global, settings, optimizer: &home.optimizer, seed };
        let mut quiet = |_: &_| ControlFlow::Continue(());
        let trained = division.bench.trainer.train(&task, &member.data, &mut quiet)?;
        home.optimizer.update(trained.optimizer);
        slowest = slowest.max(trained.stats.seconds);
        let update = home.memory.prune(&state.global, &trained.theta, mask.clone(), settings)?;
        let unit = scale * weights[index] as f64;
        let mut dither =
            ChaCha8Rng::from_seed(seed_bytes([division.seed, t, 1 << 32 | index as u64]));
        // As the encryption rounds, and as a member accounts for it: without the error of rounding.
        for (sum, value) in sum.iter_mut().zip(update.encoded().iter()) {
            *sum += (f64::from(*value) * unit + dither.random::<f64>()).floor() as i64;
        }
        home.memory.spend(t, &mask, &update.sent)?;
    }
    let (weight_sum, contributors) = (weights.iter().sum(), weights.len() as u64);
    let opened = UpdateSum { values: &sum, scale, weight_sum, contributors };
    state.global = state.global.apply(settings, &mask, &opened)?;
    let sent =
        sent_bytes(federation, division.members.len(), mask.len()).map_err(RoundError::Other)?;
    note(division, federation, state, sent, slowest)?;
    Ok(())
}

/// Measures the adapter after a round.
fn note(
    division: &Division<'_>,
    federation: &Federation,
    state: &mut State,
    sent: u64,
    seconds: f64,
) -> fedshield_train::Result<()> {
    let (validation, union) = division.validate(&state.global, None)?;
    let last = state.progress.points.last();
    let point = Point {
        steps: federation.settings.steps * state.global.applied() as usize,
        bytes: sent + last.map_or(0, |last| last.bytes),
        seconds: seconds + last.map_or(0.0, |last| last.seconds),
        validation,
        union,
    };
    let global: &GlobalAdapter = &state.global;
    state.progress.note(point, global);
    Ok(())
}

fn weight(federation: &Federation, member: &Member) -> u64 {
    if federation.declared { member.data.train.len() as u64 } else { 1 }
}

/// Size of one member's ciphertext of this many values.
fn sent_bytes(federation: &Federation, members: usize, values: usize) -> Outcome<u64> {
    let preset = Preset::for_federation(federation.bits, u16::try_from(members)?)?;
    Ok(ciphertext_len(preset, values as u64)?)
}

//! The file of a federation in progress.

use std::fs;
use std::path::PathBuf;

use fedshield_train::federated::{Factor, GlobalAdapter, LocalMemory};
use fedshield_train::{Moments, OptimizerState};
use serde_json::{Value, json};

use crate::Outcome;
use crate::progress::Progress;
use crate::results::replace;

/// A federation between two rounds.
pub(crate) struct State {
    pub progress: Progress,
    pub global: GlobalAdapter,
    /// One for each member.
    pub homes: Vec<Home>,
}

/// What a member keeps between rounds.
pub(crate) struct Home {
    pub memory: LocalMemory,
    pub optimizer: OptimizerState,
}

/// Where it is kept: parts with their lengths (u64, little-endian), the first of which is JSON.
pub(crate) struct StateFile {
    pub path: PathBuf,
}

impl StateFile {
    /// What was kept of a run of the same arm.
    pub(crate) fn read(&self, arm: &str) -> Outcome<Option<State>> {
        if !self.path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(&self.path)?;
        let state = read(&bytes, arm).map_err(|error| {
            format!("{}: {error}; remove it to begin anew", self.path.display())
        })?;
        Ok(Some(state))
    }

    /// Replaces the file in one step.
    pub(crate) fn write(&self, arm: &str, state: &State) -> Outcome<()> {
        let head = json!({
            "arm": arm, "points": state.progress.points, "chosen": state.progress.chosen,
        });
        let best = state.progress.adapter.as_ref().map_or_else(Vec::new, GlobalAdapter::to_bytes);
        let mut parts = vec![head.to_string().into_bytes(), state.global.to_bytes(), best];
        for Home { memory, optimizer } in &state.homes {
            let moments = |factor| optimizer.of(factor).map_or_else(Vec::new, Moments::to_bytes);
            parts.push(memory.to_bytes());
            parts.extend(Factor::ALL.map(moments));
        }
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        }
        self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
        replace(&self.path, &bytes)
    }
}

fn read(bytes: &[u8], arm: &str) -> Outcome<State> {
    let mut parts = parts(bytes)?.into_iter();
    let mut next = || parts.next().ok_or("it ends too early");
    let head: Value = serde_json::from_slice(next()?)?;
    if head["arm"] != arm {
        return Err(format!("it belongs to {}", head["arm"]).into());
    }
    let global = GlobalAdapter::from_bytes(next()?)?;
    let progress = Progress {
        points: serde_json::from_value(head["points"].clone())?,
        chosen: serde_json::from_value(head["chosen"].clone())?,
        adapter: Some(GlobalAdapter::from_bytes(next()?)?),
        stopped: None,
    };
    let mut homes = Vec::new();
    while let Some(memory) = parts.next() {
        let mut optimizer = OptimizerState::default();
        for factor in Factor::ALL {
            let moments = parts.next().ok_or("it ends too early")?;
            if !moments.is_empty() {
                let len = global.values(factor).len();
                optimizer.set(factor, Moments::from_bytes(moments, len)?);
            }
        }
        homes.push(Home { memory: LocalMemory::from_bytes(memory)?, optimizer });
    }
    Ok(State { progress, global, homes })
}

fn parts(mut bytes: &[u8]) -> Outcome<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_le_bytes(*length))?;
        let (part, rest) = rest.split_at_checked(length).ok_or("it ends too early")?;
        parts.push(part);
        bytes = rest;
    }
    Ok(parts)
}

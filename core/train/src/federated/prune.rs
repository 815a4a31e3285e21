//! prune: turns a local update into the values that are sent, and remembers what is not sent.

use std::borrow::Cow;
use std::path::Path;

use super::bounds::RoundBounds;
use super::codec::{Reader, put_floats};
use super::global::GlobalAdapter;
use super::layout::Factor;
use super::local::zero_smallest;
use super::mask::Mask;
use super::settings::FederatedSettings;
use crate::{Result, TrainError, Valid};

/// What a member contributes to a round, in the clear. It never leaves the member in this form: it
/// is encoded and encrypted first.
#[derive(Clone, PartialEq)]
pub struct PrunedUpdate {
    /// The coordinates that are sent.
    pub mask: Mask,
    /// The clipped values, in the mask's order.
    pub sent: Vec<f32>,
    /// Number of values that were clipped.
    pub clipped: usize,
    bounds: RoundBounds,
}

impl PrunedUpdate {
    /// The values as they are quantised, at [`scale`](Valid::<FederatedSettings>::scale) times the
    /// member's weight: each in the unit of its factor.
    pub fn encoded(&self) -> Cow<'_, [f32]> {
        self.bounds.encode(self.mask.indices(), &self.sent)
    }
}

impl std::fmt::Debug for PrunedUpdate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (len, dense_len) = (self.sent.len(), self.mask.dense_len());
        write!(f, "PrunedUpdate {{ {len} of {dense_len} values, redacted }}")
    }
}

/// What a member keeps between rounds: the error feedback of each factor, and the update of the
/// round in progress. It never leaves this member.
///
/// Whether a decided update was applied shows only in the adapter from which the next round starts.
/// If it is a later one, what was not sent is remembered. If it is the same, the sum failed: the
/// next training starts where this one did and makes the same progress again, so nothing of this
/// update is remembered, and earlier error feedback is kept.
#[derive(Clone, PartialEq)]
pub struct LocalMemory {
    /// Error feedback by factor.
    left_out: [Vec<f32>; 3],
    pending: Option<Pending>,
    /// The previous update, without the values of it that were sent.
    settled: Option<Pending>,
}

/// A pruned update: pending until its round is decided, then settled until the next round starts.
#[derive(Clone, PartialEq)]
struct Pending {
    applied: u64,
    factors: Vec<Factor>,
    /// theta - g + e, dense.
    delta: Vec<f32>,
}

impl std::fmt::Debug for LocalMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pending = self.pending.as_ref().map(|pending| pending.applied);
        write!(f, "LocalMemory {{ pending: {pending:?}, values redacted }}")
    }
}

impl LocalMemory {
    /// An empty memory: all error feedback is zero.
    pub fn new(global: &GlobalAdapter) -> Self {
        let zeros = |factor| vec![0.0; global.values(factor).len()];
        Self { left_out: Factor::ALL.map(zeros), pending: None, settled: None }
    }

    /// Prunes the update `theta` (the trained factors after local training, dense) of round
    /// `global.applied()`: delta = theta - g + e, x = clip(delta at the mask), each factor to its own
    /// bound.
    ///
    /// [`Self::spend`] or [`Self::skip`] decide what becomes of delta. Pruning again before that
    /// (in a retried round) replaces the pending update.
    pub fn prune(
        &mut self,
        global: &GlobalAdapter,
        theta: &[f32],
        mask: Mask,
        settings: &Valid<FederatedSettings>,
    ) -> Result<PrunedUpdate> {
        self.begin(global.applied());
        let g = global.trained_values();
        if theta.len() != g.len() || mask.dense_len() != g.len() {
            let (got, want) = (theta.len(), g.len());
            return Err(TrainError::Adapter(format!("an update of {got} values for {want}")));
        }
        let memory = global.trained_factors().iter().flat_map(|factor| self.factor(*factor));
        let mut delta = Vec::with_capacity(g.len());
        for ((theta, g), e) in theta.iter().zip(&g).zip(memory) {
            let value = theta - g + e;
            if !value.is_finite() {
                return Err(TrainError::NotFinite { step: 0, what: "update" });
            }
            delta.push(value);
        }
        let (mut clipped, bounds) = (0, global.bounds(settings));
        let sent = mask.indices().iter().map(|index| {
            let (x, clip) = (delta[*index as usize], bounds.clip(*index as usize));
            clipped += usize::from(x.abs() > clip);
            x.clamp(-clip, clip)
        });
        let sent = sent.collect();
        let factors = global.trained_factors().to_vec();
        self.pending = Some(Pending { applied: global.applied(), factors, delta });
        Ok(PrunedUpdate { mask, sent, clipped, bounds })
    }

    /// Prunes by the paper's rule: of each tensor of theta (plus what an earlier round left out, if
    /// this member was not in it) the round's fraction with the smallest magnitude becomes zero,
    /// and every coordinate sends x = clip(theta - g). So, apart from clipping, the next adapter is the
    /// mean of the members' pruned weights. There is no error feedback: what was pruned is dropped
    /// once the update is spent.
    pub fn prune_locally(
        &mut self,
        global: &GlobalAdapter,
        theta: &[f32],
        settings: &Valid<FederatedSettings>,
    ) -> Result<PrunedUpdate> {
        self.begin(global.applied());
        let g = global.trained_values();
        if theta.len() != g.len() {
            let (got, want) = (theta.len(), g.len());
            return Err(TrainError::Adapter(format!("an update of {got} values for {want}")));
        }
        let factors = global.trained_factors().to_vec();
        let memory = factors.iter().flat_map(|factor| self.factor(*factor));
        let mut weights: Vec<f32> = theta.iter().zip(memory).map(|(theta, e)| theta + e).collect();
        if weights.iter().any(|value| !value.is_finite()) {
            return Err(TrainError::NotFinite { step: 0, what: "update" });
        }
        let rate = settings.prune.rate(global.applied());
        zero_smallest(global.layout(), &factors, rate, &mut weights);
        let (mut clipped, bounds) = (0, global.bounds(settings));
        let sent: Vec<f32> = weights
            .iter()
            .zip(&g)
            .enumerate()
            .map(|(index, (weight, g))| {
                let (x, clip) = (weight - g, bounds.clip(index));
                clipped += usize::from(x.abs() > clip);
                x.clamp(-clip, clip)
            })
            .collect();
        self.pending = Some(Pending { applied: global.applied(), factors, delta: sent.clone() });
        Ok(PrunedUpdate { mask: Mask::full(sent.len()), sent, clipped, bounds })
    }

    /// The next round starts from the adapter of `applied` rounds: what was settled before is
    /// remembered if that adapter is later than the one it was trained from, and dropped if it is
    /// the same.
    pub fn begin(&mut self, applied: u64) {
        if let Some(settled) = self.settled.take_if(|settled| settled.applied <= applied)
            && settled.applied < applied
        {
            self.remember(settled);
        }
    }

    /// The contributors of the round are decided and this member is among them: what was sent is
    /// spent, and the rest is remembered once the round is known to be applied.
    ///
    /// `sent` are the values as sent, in the mask's order: if available, those after quantisation,
    /// divided by scale and weight, so that the rounding error is remembered too; else those of the
    /// [`PrunedUpdate`].
    pub fn spend(&mut self, applied: u64, mask: &Mask, sent: &[f32]) -> Result<()> {
        let Some(mut pending) = self.pending.take_if(|pending| pending.applied == applied) else {
            return Err(TrainError::Adapter(format!("no update of round {applied} is pending")));
        };
        if mask.dense_len() != pending.delta.len() || mask.len() != sent.len() {
            self.pending = Some(pending);
            return Err(TrainError::Adapter("the values sent do not fit the update".to_owned()));
        }
        for (index, value) in mask.indices().iter().zip(sent) {
            pending.delta[*index as usize] -= value;
        }
        self.settled = Some(pending);
        Ok(())
    }

    /// Nothing of the pending update was spent. If the round turns out to be applied without this
    /// member, the whole update is remembered and added to the next one of its factors.
    pub fn skip(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.settled = Some(pending);
        }
    }

    /// The round whose update is waiting for [`Self::spend`] or [`Self::skip`].
    pub fn pending_round(&self) -> Option<u64> {
        self.pending.as_ref().map(|pending| pending.applied)
    }

    /// The error feedback of a factor.
    pub fn factor(&self, factor: Factor) -> &[f32] {
        &self.left_out[factor as usize]
    }

    fn remember(&mut self, pending: Pending) {
        let mut rest = pending.delta.as_slice();
        for factor in &pending.factors {
            let memory = &mut self.left_out[*factor as usize];
            let (head, tail) = rest.split_at(memory.len());
            memory.copy_from_slice(head);
            rest = tail;
        }
    }

    /// Serialises the memory for the member's own storage.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = b"FSLOCAL3".to_vec();
        for factor in &self.left_out {
            bytes.extend((factor.len() as u64).to_le_bytes());
            put_floats(&mut bytes, factor);
        }
        for update in [&self.pending, &self.settled] {
            let Some(update) = update else {
                bytes.push(0);
                continue;
            };
            bytes.push(1);
            bytes.extend(update.applied.to_le_bytes());
            bytes.push(update.factors.iter().map(|f| 1 << (*f as u8)).sum());
            bytes.extend((update.delta.len() as u64).to_le_bytes());
            put_floats(&mut bytes, &update.delta);
        }
        bytes
    }

    /// Parses the bytes of [`Self::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { rest: bytes, what: "local memory" };
        // Version 1 had no R and no algorithm that trains it; version 2 had no settled update.
        let (has_r, has_settled) = match reader.take(8)? {
            b"FSLOCAL1" => (false, false),
            b"FSLOCAL2" => (true, false),
            b"FSLOCAL3" => (true, true),
            _ => return Err(reader.bad("not a local memory of version 1 to 3")),
        };
        let (a, b) = (vector(&mut reader)?, vector(&mut reader)?);
        let r = if has_r { vector(&mut reader)? } else { Vec::new() };
        let left_out = [a, b, r];
        let pending = read_update(&mut reader, &left_out)?;
        let settled = if has_settled { read_update(&mut reader, &left_out)? } else { None };
        reader.end()?;
        Ok(Self { left_out, pending, settled })
    }

    /// Writes the memory to a file.
    pub fn save(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.to_bytes()).map_err(TrainError::io(path))
    }

    /// Reads a file written by [`Self::save`].
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
        Self::from_bytes(&bytes).map_err(|e| TrainError::format(path, e.to_string()))
    }
}

fn vector(reader: &mut Reader<'_>) -> Result<Vec<f32>> {
    let len = usize::try_from(reader.u64()?).map_err(|_| reader.bad("too long"))?;
    reader.floats(len)
}

/// Reads an optional update.
fn read_update(reader: &mut Reader<'_>, left_out: &[Vec<f32>; 3]) -> Result<Option<Pending>> {
    if reader.byte()? == 0 {
        return Ok(None);
    }
    let applied = reader.u64()?;
    let bits = reader.byte()?;
    let factors: Vec<Factor> =
        Factor::ALL.into_iter().filter(|factor| bits >> (*factor as u8) & 1 == 1).collect();
    let delta = vector(reader)?;
    let expected: usize = factors.iter().map(|factor| left_out[*factor as usize].len()).sum();
    if expected != delta.len() {
        return Err(reader.bad("a pending update of another length"));
    }
    Ok(Some(Pending { applied, factors, delta }))
}

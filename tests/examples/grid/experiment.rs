//! One seed of the grid: the division of the data, and a run of each method on it.

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::time::Instant;

use fedshield_he::{Preset, ciphertext_len};
use fedshield_train::data::{DataSet, DataSettings, Part};
use fedshield_train::federated::{
    Algorithm, FederatedSettings, GlobalAdapter, LocalMemory, UpdateSum,
};
use fedshield_train::{TrainSettings, Trainer, Valid};

use crate::Outcome;
use crate::cell::{CellResult, Method};
use crate::options::Options;
use crate::split;

/// As the manifest of a federation has them by default.
const BITS: u32 = 16;
const WEIGHT_CAP: u64 = 1024;

pub(crate) struct Experiment<'a> {
    options: &'a Options,
    seed: u64,
    trainer: Trainer,
    /// Sees all members' batches in one step; opened when it is needed.
    central: OnceCell<Trainer>,
    /// One set for each member.
    data: Vec<DataSet>,
}

impl<'a> Experiment<'a> {
    pub(crate) fn open(options: &'a Options, seed: u64) -> Outcome<Self> {
        let trainer = open_trainer(options, 1)?;
        let how = Valid::new(DataSettings {
            template: options.template,
            max_length: options.seq,
            held_out: if options.test.is_empty() { options.held_out } else { 0.0 },
            ..DataSettings::default()
        })?;
        let load = |path| DataSet::load(std::slice::from_ref(path), trainer.tokenizer(), &how);
        let mut sets = options.data.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        for (set, path) in sets.iter_mut().zip(&options.test) {
            let test = [path.clone()];
            let test = DataSet::load_held_out(&test, trainer.tokenizer(), &how)?;
            *set = std::mem::take(set).with_part(Part::HeldOut, test);
        }
        let data = match options.concentration {
            None => sets,
            Some(concentration) => {
                split::dirichlet(&sets, options.members, concentration, options.batch, seed)
            }
        };
        for (member, set) in data.iter().enumerate() {
            let (train, held_out) = (set.train.len(), set.held_out.len());
            println!("seed {seed}, member {}: {train} examples, {held_out} held out", member + 1);
        }
        Ok(Self { options, seed, trainer, central: OnceCell::new(), data })
    }

    pub(crate) fn run(&self, method: Method) -> Outcome<CellResult> {
        let begin = Instant::now();
        let (adapter, bytes) = match method {
            Method::Base => (None, 0),
            Method::Local(member) => {
                let set = self.data.get(member).ok_or("there is no such member")?;
                (Some(self.alone(&self.trainer, set, 2 + member as u64)?), 0)
            }
            Method::Centralised => (Some(self.centralised()?), 0),
            Method::Federated(algorithm, rate) => {
                let (adapter, bytes) = self.federated(&self.options.settings(algorithm, rate)?)?;
                (Some(adapter), bytes)
            }
        };
        let mut result = CellResult {
            losses: Vec::new(),
            tokens: Vec::new(),
            union: 0.0,
            bytes,
            seconds: begin.elapsed().as_secs_f64(),
        };
        for data in &self.data {
            let evaluation = self
                .trainer
                .evaluate(adapter.as_ref().map(|adapter| adapter as _), &data.held_out)?;
            result.losses.push(evaluation.loss);
            result.tokens.push(evaluation.tokens);
            result.union += evaluation.loss * evaluation.tokens as f64;
        }
        result.union /= result.tokens.iter().sum::<usize>() as f64;
        Ok(result)
    }

    fn centralised(&self) -> Outcome<GlobalAdapter> {
        let mut all = DataSet::default();
        self.data.iter().for_each(|set| all.train.extend(set.train.iter().cloned()));
        let central = match self.central.get() {
            Some(central) => central,
            None => {
                let opened = open_trainer(self.options, self.options.members)?;
                self.central.get_or_init(|| opened)
            }
        };
        self.alone(central, &all, 1)
    }

    /// Plain LoRA: both factors in every round.
    fn alone(&self, trainer: &Trainer, data: &DataSet, order: u64) -> Outcome<GlobalAdapter> {
        let settings = self.options.settings(Algorithm::FedIt, 0.0)?;
        let mut adapter = trainer.first_adapter(&settings, seed_bytes([self.seed, 0, 0]))?;
        for _ in 0..self.options.rounds {
            let theta = self.round(trainer, &adapter, &settings, data, order)?;
            adapter = adapter.with_trained(&theta)?;
        }
        Ok(adapter)
    }

    /// The common adapter after all rounds, and the bytes of one member's ciphertexts.
    fn federated(&self, settings: &Valid<FederatedSettings>) -> Outcome<(GlobalAdapter, u64)> {
        let members = self.data.len() as u64;
        let preset = Preset::for_federation(BITS, members as u16)?;
        let mut global = self.trainer.first_adapter(settings, seed_bytes([self.seed, 0, 0]))?;
        let mut memories: Vec<_> = self.data.iter().map(|_| LocalMemory::new(&global)).collect();
        let mut bytes = 0;
        for t in 0..self.options.rounds {
            let scale = settings.scale(t, BITS, WEIGHT_CAP);
            let mask = global.mask(settings, seed_bytes([self.seed, t, 1]));
            bytes += ciphertext_len(preset, mask.len() as u64)?;
            let mut sum = vec![0i64; mask.len()];
            let mut weight_sum = 0;
            for (member, (data, memory)) in self.data.iter().zip(&mut memories).enumerate() {
                let theta =
                    self.round(&self.trainer, &global, settings, data, 2 + member as u64)?;
                let update = memory.prune(&global, &theta, mask.clone(), settings)?;
                let weight = (data.train.len() as u64).min(WEIGHT_CAP);
                let unit = scale * weight as f64;
                let quantised: Vec<i64> = update
                    .encoded()
                    .iter()
                    .map(|x| (unit * f64::from(*x)).round() as i64)
                    .collect();
                sum.iter_mut().zip(&quantised).for_each(|(sum, q)| *sum += q);
                weight_sum += weight;
                memory.spend(t, &mask, &update.sent)?;
            }
            let opened = UpdateSum { values: &sum, scale, weight_sum, contributors: members };
            global = global.apply(settings, &mask, &opened)?;
        }
        Ok((global, bytes))
    }

    fn round(
        &self,
        trainer: &Trainer,
        adapter: &GlobalAdapter,
        settings: &Valid<FederatedSettings>,
        data: &DataSet,
        order: u64,
    ) -> Outcome<Vec<f32>> {
        let seed = seed_bytes([self.seed, adapter.applied(), order]);
        let mut quiet = |_: &_| ControlFlow::Continue(());
        Ok(trainer.train_round(adapter, settings, seed, data, &mut quiet)?.theta)
    }
}

fn open_trainer(options: &Options, accumulation: usize) -> Outcome<Trainer> {
    let settings = Valid::new(TrainSettings {
        batch_size: options.batch,
        accumulation,
        ..TrainSettings::default()
    })?;
    Ok(Trainer::open(&options.model, settings)?)
}

fn seed_bytes(parts: [u64; 3]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, part) in bytes.chunks_exact_mut(8).zip(parts) {
        chunk.copy_from_slice(&part.to_le_bytes());
    }
    bytes
}

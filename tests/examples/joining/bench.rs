//! A base model with the members' data, and the trainings that run on them.

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::time::Instant;

use fedshield_train::adapter::Adapter;
use fedshield_train::data::{DataSet, TokenizedExample};
use fedshield_train::federated::{Algorithm, FederatedSettings, GlobalAdapter};
use fedshield_train::text::Template;
use fedshield_train::{AloneSettings, TrainError, TrainSettings, Trainer, Valid};
use serde_json::{Value, json};

use crate::Outcome;
use crate::answers;
use crate::arm::{Arm, Kind, federation_of};
use crate::divide;
use crate::federated;
use crate::members::{self, Member};
use crate::options::{Measure, Options};
use crate::progress::{Point, Progress};
use crate::results::{Job, Measured, MemberLosses, Results};

pub(crate) struct Bench<'a> {
    pub options: &'a Options,
    pub trainer: Trainer,
    /// Sees all members' batches in one step; opened when it is needed.
    central: OnceCell<Trainer>,
    files: Vec<Member>,
}

/// The members of one seed.
pub(crate) struct Division<'a> {
    pub bench: &'a Bench<'a>,
    pub seed: u64,
    pub members: Vec<Member>,
}

impl<'a> Bench<'a> {
    pub(crate) fn open(options: &'a Options) -> Outcome<Self> {
        let trainer = open_trainer(options, 1)?;
        let files = members::load(options, trainer.tokenizer())?;
        Ok(Self { options, trainer, central: OnceCell::new(), files })
    }

    /// The members of a seed: the files as they are, or divided.
    pub(crate) fn divide(&'a self, seed: u64) -> Division<'a> {
        let members = match (self.options.over, self.options.concentration) {
            (Some(count), Some(concentration)) => {
                divide::dirichlet(&self.files, count, concentration, self.options.batch, seed)
            }
            _ => self.files.clone(),
        };
        Division { bench: self, seed, members }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        match self.options.over {
            Some(count) => (1..=count).map(|number| format!("member{number}")).collect(),
            None => self.files.iter().map(|file| file.name.clone()).collect(),
        }
    }

    /// What every result depends on beside its seed and arm.
    pub(crate) fn fingerprint(&self) -> Value {
        let options = self.options;
        let file = |file: &Member| json!([file.name, hex(&file.data.digest())]);
        json!({
            "model": hex(&self.trainer.base_digest()),
            "data": self.files.iter().map(file).collect::<Vec<_>>(),
            "concentration": options.concentration, "over": options.over,
            "template": options.template, "seq": options.seq, "batch": options.batch,
            "total": options.total, "every": options.every, "rank": options.rank,
            "alpha": options.alpha, "targets": format!("{:?}", options.targets).to_lowercase(),
        })
    }

    fn central(&self, members: usize) -> Outcome<&Trainer> {
        if let Some(central) = self.central.get() {
            return Ok(central);
        }
        let opened = open_trainer(self.options, members)?;
        Ok(self.central.get_or_init(|| opened))
    }
}

impl Division<'_> {
    /// Trains and measures what is missing of an arm.
    pub(crate) fn run(&self, arm: &Arm, arms: &[Arm], results: &Results) -> Outcome<()> {
        let members = match arm.is_by_member() {
            true => (0..self.members.len()).map(Some).collect(),
            false => vec![None],
        };
        for member in members {
            let name = member.map(|index: usize| self.members[index].name.as_str());
            let job = Job { seed: self.seed, arm, member: name };
            let mut measured = match results.get(&job)? {
                Some(measured) => measured,
                None => {
                    let begin = Instant::now();
                    let progress = self.train(arm, arms, member, results)?;
                    let seconds = begin.elapsed().as_secs_f64();
                    let adapter = progress.adapter.clone();
                    let losses = self.losses(adapter.as_ref(), member, |set| &set.held_out)?;
                    let measured = Measured::new(&job, progress, losses, seconds);
                    results.put(&job, &measured, adapter.as_ref())?;
                    println!("{job}: {:.4} validation", measured.validation_loss());
                    measured
                }
            };
            self.measure_further(&job, &mut measured, member, results)?;
        }
        Ok(())
    }

    /// Test losses and answers, if they are wanted and missing.
    fn measure_further(
        &self,
        job: &Job<'_>,
        measured: &mut Measured,
        member: Option<usize>,
        results: &Results,
    ) -> Outcome<()> {
        let options = self.bench.options;
        let lacks_test = options.measure == Measure::Test && measured.test.is_none();
        let lacks_answers = options.answers > 0 && measured.answers.is_none();
        if !lacks_test && !lacks_answers {
            return Ok(());
        }
        let adapter = match job.arm.kind {
            Kind::Base => None,
            _ => Some(results.adapter(job)?),
        };
        if lacks_test {
            measured.test = Some(self.losses(adapter.as_ref(), member, |set| &set.test)?);
            results.put(job, measured, None)?;
            println!("{job}: test measured");
        }
        if lacks_answers {
            let template = Template::parse(&options.template)?;
            let asked = self.of(member).map(|member| {
                let part = match options.measure {
                    Measure::Validation => &member.data.held_out,
                    Measure::Test => &member.data.test,
                };
                let asked = &part[..part.len().min(options.answers)];
                answers::score(&self.bench.trainer, adapter.as_ref(), template, member, asked)
            });
            measured.answers = Some(asked.collect::<Outcome<_>>()?);
            results.put(job, measured, None)?;
            println!("{job}: answers compared");
        }
        Ok(())
    }

    fn train(
        &self,
        arm: &Arm,
        arms: &[Arm],
        member: Option<usize>,
        results: &Results,
    ) -> Outcome<Progress> {
        let trainer = &self.bench.trainer;
        match (&arm.kind, member) {
            (Kind::Base, _) => Ok(Progress::default()),
            (Kind::Alone(settings), Some(index)) => {
                let (start, data) = (self.start()?, &self.members[index].data);
                self.alone(trainer, start, settings, data, member)
            }
            (Kind::Home { of, rate }, Some(index)) => {
                let federation = federation_of(of, arms)?;
                let of = arms.iter().find(|arm| arm.name == *of).ok_or("no such arm")?;
                let steps = self.bench.options.total - federation.steps();
                if steps == 0 {
                    return Err(
                        format!("{}: {} leaves no steps for home", arm.name, of.name).into()
                    );
                }
                let checkpoint = self.bench.options.every;
                let settings = AloneSettings { steps, checkpoint, learning_rate: *rate };
                let common = results.adapter(&Job { seed: self.seed, arm: of, member: None })?;
                let data = &self.members[index].data;
                self.alone(trainer, common.plain(), &Valid::new(settings)?, data, member)
            }
            (Kind::Central(settings), _) => {
                let mut all = DataSet::default();
                self.members.iter().for_each(|it| all.train.extend(it.data.train.iter().cloned()));
                let central = self.bench.central(self.members.len())?;
                self.alone(central, self.start()?, settings, &all, None)
            }
            (Kind::Federated(federation), _) => {
                federated::run(self, arm, federation, &results.state(self.seed, arm))
            }
            (Kind::Alone(_) | Kind::Home { .. }, None) => {
                Err("each member trains by itself".into())
            }
        }
    }

    /// Both factors from `start`, measured at `member` or, without one, at all.
    fn alone(
        &self,
        trainer: &Trainer,
        start: GlobalAdapter,
        settings: &Valid<AloneSettings>,
        data: &DataSet,
        member: Option<usize>,
    ) -> Outcome<Progress> {
        let order = member.map_or(1, |index| 2 + index as u64);
        let seed = seed_bytes([self.seed, u64::MAX, order]);
        let (mut progress, mut seconds) = (Progress::default(), 0.0);
        let mut begin = Instant::now();
        let trained = trainer.train_alone(
            &start,
            settings,
            seed,
            data,
            &mut |_| ControlFlow::Continue(()),
            &mut |steps, adapter| {
                seconds += begin.elapsed().as_secs_f64();
                let (validation, union) = self.validate(&adapter, member)?;
                progress.note(Point { steps, bytes: 0, seconds, validation, union }, &adapter);
                begin = Instant::now();
                Ok(ControlFlow::Continue(()))
            },
        );
        ended(trained, &mut progress)?;
        Ok(progress)
    }

    /// The adapter before any training, the same for every arm of a seed.
    fn start(&self) -> Outcome<GlobalAdapter> {
        let settings = Valid::new(FederatedSettings {
            adapter: self.bench.options.adapter(),
            algorithm: Algorithm::FedIt,
            ..FederatedSettings::default()
        })?;
        Ok(self.bench.trainer.first_adapter(&settings, seed_bytes([self.seed, 0, 0]))?.plain())
    }

    /// Validation losses at `member` or at all, and of their tokens together.
    pub(crate) fn validate(
        &self,
        adapter: &GlobalAdapter,
        member: Option<usize>,
    ) -> fedshield_train::Result<(Vec<f64>, f64)> {
        let (mut losses, mut sum, mut tokens) = (Vec::new(), 0.0, 0.0);
        for Member { data, .. } in self.of(member) {
            let found = self.bench.trainer.evaluate(Some(adapter), &data.held_out)?;
            losses.push(found.loss);
            sum += found.loss * found.tokens as f64;
            tokens += found.tokens as f64;
        }
        Ok((losses, sum / tokens))
    }

    /// Losses of every example of a part.
    fn losses(
        &self,
        adapter: Option<&GlobalAdapter>,
        member: Option<usize>,
        part: impl Fn(&DataSet) -> &Vec<TokenizedExample>,
    ) -> Outcome<Vec<MemberLosses>> {
        let adapter = adapter.map(|adapter| adapter as &dyn Adapter);
        self.of(member)
            .map(|Member { name, data }| {
                let losses = self.bench.trainer.evaluate_each(adapter, part(data))?;
                Ok(MemberLosses::new(name, &losses))
            })
            .collect()
    }

    /// One member, or all.
    fn of(&self, member: Option<usize>) -> impl Iterator<Item = &Member> {
        let is_meant = move |index: &usize| member.is_none_or(|member| member == *index);
        self.members.iter().enumerate().filter(move |(index, _)| is_meant(index)).map(|(_, it)| it)
    }
}

/// A training that left the range of numbers after some checkpoints has their best as its result.
pub(crate) fn ended(
    trained: fedshield_train::Result<()>,
    progress: &mut Progress,
) -> fedshield_train::Result<()> {
    match trained {
        Err(error @ TrainError::NotFinite { .. }) if progress.adapter.is_some() => {
            progress.stopped = Some(error.to_string());
            Ok(())
        }
        other => other,
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

pub(crate) fn seed_bytes(parts: [u64; 3]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, part) in bytes.chunks_exact_mut(8).zip(parts) {
        chunk.copy_from_slice(&part.to_le_bytes());
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

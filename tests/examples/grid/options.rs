//! What the command line asks for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fedshield_train::Valid;
use fedshield_train::federated::{
    AdapterSpec, Algorithm, FederatedSettings, LearningRate, PruneSchedule, ServerOptimizer,
};
use fedshield_train::model::Projection;
use fedshield_train::text::Template;
use fedshield_train_tools::synth::Domain;
use serde_json::{Value, json};

use crate::Outcome;
use crate::cell::Method;

/// The pruning rates of the paper's grid.
const RATES: [f64; 3] = [0.0, 0.5, 0.9];

pub(crate) struct Options {
    pub out: PathBuf,
    pub seeds: Vec<u64>,
    /// Members that the data is divided over.
    pub members: usize,
    /// Of the Dirichlet distribution; `None`: each file is one member's.
    pub concentration: Option<f64>,
    pub model: PathBuf,
    pub data: Vec<PathBuf>,
    /// What each member is measured on, one file for each of `data`; empty: what is held out of it.
    pub test: Vec<PathBuf>,
    pub template: Template,
    pub held_out: f64,
    pub seq: usize,
    pub batch: usize,
    pub rounds: u64,
    cells: Option<String>,
    settings: Valid<FederatedSettings>,
}

impl Options {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut given = Given::collect(arguments)?;
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/assets");
        let shipped = || {
            let path =
                |domain: Domain| assets.join("domains").join(domain.name()).with_extension("jsonl");
            Domain::ALL.map(path).to_vec()
        };
        let data = given.list("data")?.unwrap_or_else(shipped);
        let test = given.list("test")?.unwrap_or_default();
        let concentration = match given.get("split", "dirichlet".to_owned())?.as_str() {
            "dirichlet" => Some(given.get("concentration", 0.3)?),
            "files" => None,
            other => return Err(format!("--split {other} is not dirichlet or files").into()),
        };
        let members = match concentration {
            Some(_) => given.get("members", 5)?,
            None => data.len(),
        };
        let rounds = given.get("rounds", 16)?;
        let template = given.get("template", "alpaca".to_owned())?;
        let options = Self {
            out: given.get("out", PathBuf::new())?,
            seeds: given.list("seeds")?.unwrap_or_else(|| vec![1, 2, 3]),
            members,
            concentration,
            model: given.get("model", assets.join("base"))?,
            data,
            test,
            template: Template::parse(&template)?,
            held_out: given.get("held-out", 0.125)?,
            seq: given.get("seq", 160)?,
            batch: given.get("batch", 8)?,
            rounds,
            cells: given.0.remove("cells"),
            settings: settings(&mut given, rounds)?,
        };
        if let Some(name) = given.0.keys().next() {
            return Err(format!("there is no option --{name}").into());
        }
        if options.out.as_os_str().is_empty() {
            return Err("--out DIR says where the results go".into());
        }
        if !options.test.is_empty()
            && (options.concentration.is_some() || options.test.len() != options.data.len())
        {
            return Err("--test goes with --split files, one file for each of --data".into());
        }
        Ok(options)
    }

    /// Every method asked for, in the order of the report.
    pub(crate) fn methods(&self) -> Outcome<Vec<Method>> {
        let local = (0..self.members).map(Method::Local);
        let Some(cells) = &self.cells else {
            let algorithms = [Algorithm::FedIt, Algorithm::Ffa, Algorithm::RoLora];
            let grid = algorithms.into_iter().flat_map(|a| RATES.map(|r| Method::Federated(a, r)));
            let first = std::iter::once(Method::Base).chain(local);
            return Ok(first.chain([Method::Centralised]).chain(grid).collect());
        };
        let mut methods = Vec::new();
        for name in cells.split(',') {
            match name {
                "local" => methods.extend(local.clone()),
                name => methods.push(Method::parse(name)?),
            }
        }
        Ok(methods)
    }

    /// The settings of a federated run; those of the other methods follow from them.
    pub(crate) fn settings(
        &self,
        algorithm: Algorithm,
        rate: f64,
    ) -> Outcome<Valid<FederatedSettings>> {
        Ok(self.settings.with(|it| {
            it.algorithm = algorithm;
            it.prune = PruneSchedule::constant(rate);
        })?)
    }

    /// What a result depends on beside its seed and method: kept with it, so that results of
    /// different settings never stand in one table.
    pub(crate) fn fingerprint(&self) -> Value {
        let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned());
        let names = |files: &[PathBuf]| files.iter().map(name).collect::<Vec<_>>();
        json!({
            "model": name(&self.model), "data": names(&self.data), "test": names(&self.test),
            "template": self.template.name(), "held_out": self.held_out, "seq": self.seq,
            "members": self.members, "concentration": self.concentration,
            "batch": self.batch, "rounds": self.rounds, "settings": *self.settings,
        })
    }
}

fn settings(given: &mut Given, rounds: u64) -> Outcome<Valid<FederatedSettings>> {
    let target_modules = match given.get("targets", "all".to_owned())?.as_str() {
        "all" => Projection::SEPARATE.to_vec(),
        "attention" => Projection::ATTENTION.to_vec(),
        other => return Err(format!("--targets {other} is not all or attention").into()),
    };
    Ok(Valid::new(FederatedSettings {
        adapter: AdapterSpec {
            rank: given.get("rank", 16)?,
            alpha: given.get("alpha", 32.0)?,
            target_modules,
            ..AdapterSpec::default()
        },
        steps: given.get("steps", 10)?,
        clip_factor: given.get("clip", 1.0)?,
        server: ServerOptimizer::Plain { eta: given.get("eta", 2.0)? },
        learning_rate: LearningRate {
            peak: given.get("peak", 8e-3)?,
            last: given.get("last", 2e-3)?,
            rounds,
        },
        ..FederatedSettings::default()
    })?)
}

/// `--name value` pairs that nothing has asked for yet.
struct Given(BTreeMap<String, String>);

impl Given {
    fn collect(mut arguments: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut given = BTreeMap::new();
        while let Some(word) = arguments.next() {
            let name = word.strip_prefix("--").ok_or(format!("{word}: options start with --"))?;
            let value = arguments.next().ok_or(format!("{word} needs a value"))?;
            given.insert(name.to_owned(), value);
        }
        Ok(Self(given))
    }

    fn get<T: FromStr>(&mut self, name: &str, default: T) -> Outcome<T> {
        let Some(text) = self.0.remove(name) else { return Ok(default) };
        text.parse().map_err(|_| format!("--{name} {text}: not understood").into())
    }

    fn list<T: FromStr>(&mut self, name: &str) -> Outcome<Option<Vec<T>>> {
        let Some(text) = self.0.remove(name) else { return Ok(None) };
        let parse = |part: &str| {
            part.parse().map_err(|_| format!("--{name} {part}: not understood").into())
        };
        text.split(',').map(parse).collect::<Outcome<Vec<T>>>().map(Some)
    }
}

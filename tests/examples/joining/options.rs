//! What the command line asks for.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use fedshield_train::federated::AdapterSpec;
use fedshield_train::model::Projection;

use crate::Outcome;
use crate::arm::Arm;

/// Which part of the data the report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// What choices are made by. Test examples are not looked at.
    Validation,
    /// What nothing was chosen by.
    Test,
}

impl Measure {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// Projections that get an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Targets {
    All,
    Attention,
}

/// Compares ways to get an adapter on the data of several members.
#[derive(Debug, Parser)]
#[command(name = "joining")]
pub(crate) struct Options {
    /// Folder of the results; an interrupted run goes on where it was
    #[arg(long)]
    pub out: PathBuf,
    /// Folder of `NAME.train.jsonl`, `NAME.validation.jsonl` and `NAME.test.jsonl`, or of
    /// `NAME.jsonl`, of which an eighth each is held out and for the test
    #[arg(long, default_value_os_t = assets().join("hospitals"))]
    pub data: PathBuf,
    /// The files to take from it, one for each member [default: all]
    #[arg(long, value_delimiter = ',')]
    pub members: Vec<String>,
    /// Divide the files over --over members by a Dirichlet distribution of this concentration, anew
    /// for each seed
    #[arg(long, requires = "over")]
    pub concentration: Option<f64>,
    /// Members that the files are divided over
    #[arg(long, requires = "concentration")]
    pub over: Option<usize>,
    /// Base model: a folder or a GGUF file
    #[arg(long, default_value_os_t = assets().join("base"))]
    pub model: PathBuf,
    #[arg(long, default_value = "alpaca")]
    pub template: String,
    /// Longest sequence in tokens
    #[arg(long, default_value_t = 160)]
    pub seq: usize,
    /// Examples in a step of one member
    #[arg(long, default_value_t = 8)]
    pub batch: usize,
    /// Local steps of every adapter in all, those at home included
    #[arg(long, default_value_t = 200)]
    pub total: usize,
    /// Steps between checkpoints of training alone, centralised and at home
    #[arg(long, default_value_t = 10)]
    pub every: usize,
    #[arg(long, default_value_t = 16)]
    pub rank: usize,
    #[arg(long, default_value_t = 32.0)]
    pub alpha: f64,
    #[arg(long, value_enum, default_value_t = Targets::All)]
    pub targets: Targets,
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    pub seeds: Vec<u64>,
    /// Whether test examples are measured
    #[arg(long, value_enum)]
    pub measure: Measure,
    /// Also generate answers to this many test examples of each member, and compare them as sets of
    /// words between commas
    #[arg(long, default_value_t = 0)]
    pub answers: usize,
    /// What is compared
    #[arg(required = true)]
    pub arms: Vec<String>,
}

impl Options {
    /// The arms in the order in which they were given, names distinct.
    pub(crate) fn arms(&self) -> Outcome<Vec<Arm>> {
        let mut arms: Vec<Arm> = Vec::new();
        for text in &self.arms {
            let arm = Arm::parse(text, self)?;
            if arms.iter().any(|other| other.name == arm.name) {
                return Err(format!("{}: two arms have this name", arm.name).into());
            }
            arm.check(&arms)?;
            arms.push(arm);
        }
        Ok(arms)
    }

    pub(crate) fn adapter(&self) -> AdapterSpec {
        let target_modules = match self.targets {
            Targets::All => Projection::SEPARATE.to_vec(),
            Targets::Attention => Projection::ATTENTION.to_vec(),
        };
        AdapterSpec { rank: self.rank, alpha: self.alpha, target_modules, rslora: false }
    }
}

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/assets")
}

//! The folder of results: one JSON file for each seed and arm, or for each seed, arm and member,
//! and beside it the adapter that validation chose.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use fedshield_train::ExampleLoss;
use fedshield_train::federated::GlobalAdapter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Outcome;
use crate::answers::MemberAnswers;
use crate::arm::Arm;
use crate::progress::{Point, Progress};
use crate::state::StateFile;

/// What one file is about.
pub(crate) struct Job<'a> {
    pub seed: u64,
    pub arm: &'a Arm,
    /// For arms that train each member by itself.
    pub member: Option<&'a str>,
}

impl fmt::Display for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, {}", self.seed, self.arm.name)?;
        self.member.map_or(Ok(()), |member| write!(f, ", {member}"))
    }
}

/// Losses of every example of one member's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MemberLosses {
    pub member: String,
    /// Digest, sum of the losses in nats, number of tokens.
    examples: Vec<(String, f64, usize)>,
}

impl MemberLosses {
    pub(crate) fn new(member: &str, losses: &[ExampleLoss]) -> Self {
        let one = |loss: &ExampleLoss| {
            (format!("{:032x}", u128::from_be_bytes(loss.digest)), loss.sum, loss.tokens)
        };
        Self { member: member.to_owned(), examples: losses.iter().map(one).collect() }
    }

    pub(crate) fn losses(&self) -> Outcome<Vec<ExampleLoss>> {
        let one = |(digest, sum, tokens): &(String, f64, usize)| {
            let digest = u128::from_str_radix(digest, 16)?.to_be_bytes();
            Ok(ExampleLoss { digest, sum: *sum, tokens: *tokens })
        };
        self.examples.iter().map(one).collect()
    }
}

/// What a file says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub arm: String,
    pub seed: u64,
    pub points: Vec<Point>,
    /// The point that validation chose; the losses are of its adapter.
    pub chosen: usize,
    /// Why the training ended before its time.
    pub stopped: Option<String>,
    pub validation: Vec<MemberLosses>,
    pub test: Option<Vec<MemberLosses>>,
    pub answers: Option<Vec<MemberAnswers>>,
    /// Wall-clock seconds of training and validation.
    pub seconds: f64,
}

impl Measured {
    pub(crate) fn new(
        job: &Job<'_>,
        progress: Progress,
        validation: Vec<MemberLosses>,
        seconds: f64,
    ) -> Self {
        Self {
            arm: job.arm.text.clone(),
            seed: job.seed,
            points: progress.points,
            chosen: progress.chosen,
            stopped: progress.stopped,
            validation,
            test: None,
            answers: None,
            seconds,
        }
    }

    /// Mean over all tokens of the validation part.
    pub(crate) fn validation_loss(&self) -> f64 {
        let of = |member: &MemberLosses| {
            let add = |(sum, tokens): (f64, f64), one: &(String, f64, usize)| {
                (sum + one.1, tokens + one.2 as f64)
            };
            member.examples.iter().fold((0.0, 0.0), add)
        };
        let each = self.validation.iter().map(of);
        let (sum, tokens) = each.fold((0.0, 0.0), |all, one| (all.0 + one.0, all.1 + one.1));
        sum / tokens
    }

    /// Bytes that one member sent in the whole run, chosen point or not.
    pub(crate) fn bytes(&self) -> u64 {
        self.points.last().map_or(0, |point| point.bytes)
    }
}

pub(crate) struct Results {
    folder: PathBuf,
}

impl Results {
    /// Opens a folder, which holds results of the same data and settings only.
    pub(crate) fn open(folder: &Path, fingerprint: &Value) -> Outcome<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join("settings.json");
        if path.exists() {
            let found: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
            if found != *fingerprint {
                let folder = folder.display();
                return Err(format!(
                    "{folder} holds results of other data or settings (settings.json): choose \
                     another --out"
                )
                .into());
            }
        } else {
            replace(&path, serde_json::to_string_pretty(fingerprint)?.as_bytes())?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    fn path(&self, job: &Job<'_>, kind: &str) -> PathBuf {
        let member = job.member.map(|member| format!("@{member}")).unwrap_or_default();
        self.folder
            .join(format!("seed{}", job.seed))
            .join(format!("{}{member}{kind}", job.arm.name))
    }

    /// Where a federation in progress is kept.
    pub(crate) fn state(&self, seed: u64, arm: &Arm) -> StateFile {
        StateFile { path: self.path(&Job { seed, arm, member: None }, ".state") }
    }

    pub(crate) fn get(&self, job: &Job<'_>) -> Outcome<Option<Measured>> {
        let path = self.path(job, ".json");
        if !path.exists() {
            return Ok(None);
        }
        let bad = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path)?;
        let found: Measured = serde_json::from_str(&text).map_err(|error| bad(&error))?;
        match found.arm == job.arm.text {
            true => Ok(Some(found)),
            false => {
                let was = format!("the arm of this name was {}: give it another name", found.arm);
                Err(bad(&was).into())
            }
        }
    }

    /// Writes a result, its adapter first; a federation in progress is done with it.
    pub(crate) fn put(
        &self,
        job: &Job<'_>,
        measured: &Measured,
        adapter: Option<&GlobalAdapter>,
    ) -> Outcome<()> {
        let path = self.path(job, ".json");
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        if let Some(adapter) = adapter {
            replace(&self.path(job, ".adapter"), &adapter.plain().to_bytes())?;
        }
        replace(&path, serde_json::to_string(measured)?.as_bytes())?;
        match fs::remove_file(self.path(job, ".state")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The adapter that validation chose, as plain LoRA.
    pub(crate) fn adapter(&self, job: &Job<'_>) -> Outcome<GlobalAdapter> {
        let path = self.path(job, ".adapter");
        match path.exists() {
            true => Ok(GlobalAdapter::load(&path)?),
            false => Err(format!("{job}: its adapter {} is missing", path.display()).into()),
        }
    }
}

/// Writes a file in one step, so that an interrupted run leaves no half of one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    fs::write(&draft, bytes)?;
    Ok(fs::rename(draft, path)?)
}

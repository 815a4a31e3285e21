//! The grid's cells: what is compared, and one result file for each.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use fedshield_train::federated::Algorithm;
use serde_json::{Value, json};

use crate::Outcome;
use crate::options::Options;

/// One way to get an adapter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Method {
    /// None: the base model.
    Base,
    /// Both factors, on one member's data, for as many steps as a federation's members make each.
    Local(usize),
    /// Both factors, on everybody's data in one place; each step sees as many examples as all
    /// members' steps do together.
    Centralised,
    /// An algorithm with a constant pruning rate.
    Federated(Algorithm, f64),
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("base"),
            Self::Local(member) => write!(f, "local-{}", member + 1),
            Self::Centralised => f.write_str("centralised"),
            Self::Federated(algorithm, rate) => write!(f, "{}@{rate}", algorithm_name(*algorithm)),
        }
    }
}

impl Method {
    /// Reads what [`fmt::Display`] writes.
    pub(crate) fn parse(name: &str) -> Outcome<Self> {
        let federated = |(algorithm, rate): (&str, &str)| {
            let found = Algorithm::ALL.into_iter().find(|a| algorithm_name(*a) == algorithm)?;
            Some(Self::Federated(found, rate.parse().ok()?))
        };
        let local = |number: &str| number.parse::<usize>().ok()?.checked_sub(1).map(Self::Local);
        let method = match name {
            "base" => Some(Self::Base),
            "centralised" => Some(Self::Centralised),
            _ => match name.strip_prefix("local-") {
                Some(number) => local(number),
                None => name.split_once('@').and_then(federated),
            },
        };
        method.ok_or_else(|| {
            format!(
                "{name} is not base, local, local-N, centralised, or (fedit|ffa|rolora|fed-sb)@RATE"
            )
            .into()
        })
    }
}

pub(crate) fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RoLora => "rolora",
        Algorithm::Ffa => "ffa",
        Algorithm::FedIt => "fedit",
        Algorithm::FedSb => "fed-sb",
        Algorithm::Halves => "halves",
    }
}

/// What one cell measured.
pub(crate) struct CellResult {
    /// Mean held-out loss at each member, nats per token.
    pub losses: Vec<f64>,
    /// Held-out tokens with a loss at each member.
    pub tokens: Vec<usize>,
    /// Mean over all members' held-out tokens.
    pub union: f64,
    /// Ciphertext bytes one member sends in the whole run.
    pub bytes: u64,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// A cell read back.
pub(crate) struct Done {
    pub seed: u64,
    pub method: Method,
    pub result: CellResult,
}

/// The folder of results.
pub(crate) struct Cells {
    folder: PathBuf,
    fingerprint: Value,
}

impl Cells {
    /// Opens the folder, which must hold results of the same settings only.
    pub(crate) fn open(options: &Options) -> Outcome<Self> {
        fs::create_dir_all(&options.out)?;
        let (path, fingerprint) = (options.out.join("settings.json"), options.fingerprint());
        if path.exists() {
            let found: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
            if found != fingerprint {
                let folder = options.out.display();
                return Err(format!(
                    "{folder} holds results of other settings (settings.json): choose another --out"
                )
                .into());
            }
        } else {
            fs::write(path, serde_json::to_string_pretty(&fingerprint)?)?;
        }
        Ok(Self { folder: options.out.clone(), fingerprint })
    }

    fn path(&self, seed: u64, method: Method) -> PathBuf {
        self.folder.join(format!("seed{seed}-{method}.json"))
    }

    pub(crate) fn has(&self, seed: u64, method: Method) -> bool {
        self.path(seed, method).exists()
    }

    /// Writes a result in one step, so that an interrupted run leaves no half of one.
    pub(crate) fn put(&self, seed: u64, method: Method, result: &CellResult) -> Outcome<()> {
        let text = serde_json::to_string_pretty(&json!({
            "seed": seed, "method": method.to_string(), "losses": result.losses,
            "tokens": result.tokens, "union": result.union, "bytes": result.bytes,
            "seconds": result.seconds, "settings": self.fingerprint,
        }))?;
        let path = self.path(seed, method);
        let draft = path.with_extension("draft");
        fs::write(&draft, text)?;
        fs::rename(draft, path)?;
        Ok(())
    }

    /// Every result in the folder, by seed and name.
    pub(crate) fn all(&self) -> Outcome<Vec<Done>> {
        let mut done = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("seed") && name.ends_with(".json") {
                done.push(read(&path)?);
            }
        }
        done.sort_by_key(|cell| (cell.seed, cell.method.to_string()));
        Ok(done)
    }
}

fn read(path: &Path) -> Outcome<Done> {
    let bad = || format!("{}: not a result of this program", path.display());
    let value: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let list = |name: &str| value[name].as_array().ok_or_else(bad);
    let result = CellResult {
        losses: list("losses")?.iter().filter_map(Value::as_f64).collect(),
        tokens: list("tokens")?.iter().filter_map(Value::as_u64).map(|t| t as usize).collect(),
        union: value["union"].as_f64().ok_or_else(bad)?,
        bytes: value["bytes"].as_u64().ok_or_else(bad)?,
        seconds: value["seconds"].as_f64().ok_or_else(bad)?,
    };
    let method = Method::parse(value["method"].as_str().ok_or_else(bad)?)?;
    Ok(Done { seed: value["seed"].as_u64().ok_or_else(bad)?, method, result })
}

//! The arms of a comparison, as they are written on the command line.
//!
//! ```text
//! base                     the frozen model
//! alone:lr=R               each member by itself: both factors, one optimiser, a cosine to R/10
//! central:lr=R             the same on everybody's data, in steps of all members' size together
//! fed:key=value:...        a federation
//! home:of=NAME:lr=R        training on at home from the common adapter of the arm NAME, for the
//!                          steps that are left of --total
//! ```
//!
//! Keys of `fed`: `alg` (rolora), `lr` (0.008), `last` (lr/10), `rounds` (16), `steps` (10),
//! `server` (1), `momentum` (none), `prune` (0.2-0.5, growing from a fifth of the rounds to their
//! end; one number: constant from a factor's second round on), `bits` (16), `clip` (1), `rank`,
//! `alpha`, `rslora` (false), `weights` (equal or declared: by the number of examples), `ratio` of
//! B's rate to A's (1), `optimizer` (fresh or kept), `nesterov` (none), `proximal` (0).

use std::collections::BTreeMap;
use std::str::FromStr;

use fedshield_train::federated::{
    AdapterSpec, Algorithm, FederatedSettings, LearningRate, LocalOptimizer, PruneSchedule,
    ServerOptimizer,
};
use fedshield_train::{AloneSettings, Valid};

use crate::Outcome;
use crate::options::Options;

/// One way to get an adapter.
#[derive(Clone, Debug)]
pub(crate) struct Arm {
    /// In tables and file names.
    pub name: String,
    /// As it was written, without the name: part of every result.
    pub text: String,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Base,
    Alone(Valid<AloneSettings>),
    Central(Valid<AloneSettings>),
    Federated(Box<Federation>),
    /// From the common adapter of the arm `of`.
    Home {
        of: String,
        rate: f64,
    },
}

/// A federation's settings.
#[derive(Clone, Debug)]
pub(crate) struct Federation {
    pub settings: Valid<FederatedSettings>,
    pub rounds: u64,
    /// Of a value of an update.
    pub bits: u32,
    /// Whether updates count by the number of examples, or all the same.
    pub declared: bool,
}

impl Federation {
    /// Local steps of one member.
    pub(crate) fn steps(&self) -> usize {
        self.settings.steps * self.rounds as usize
    }
}

impl Arm {
    pub(crate) fn parse(text: &str, options: &Options) -> Outcome<Self> {
        // A name ends at the first `=`, unless that belongs to a key.
        let (name, text) = match text.split_once('=') {
            Some((name, rest)) if !name.contains(':') => (name, rest),
            _ => (text, text),
        };
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '@']) {
            return Err(format!("{name:?} cannot be the name of an arm").into());
        }
        let mut keys = Keys::read(text)?;
        let alone = |keys: &mut Keys| -> Outcome<_> {
            let (steps, checkpoint) = (options.total, options.every);
            Ok(Valid::new(AloneSettings { steps, checkpoint, learning_rate: keys.need("lr")? })?)
        };
        let kind = match keys.kind.as_str() {
            "base" => Kind::Base,
            "alone" => Kind::Alone(alone(&mut keys)?),
            "central" => Kind::Central(alone(&mut keys)?),
            "fed" => Kind::Federated(Box::new(federation(&mut keys, options)?)),
            "home" => Kind::Home { of: keys.need("of")?, rate: keys.need("lr")? },
            other => {
                return Err(format!("{other} is not base, alone, central, fed or home").into());
            }
        };
        keys.finish()?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), kind })
    }

    /// Checks an arm against those before it.
    pub(crate) fn check(&self, before: &[Self]) -> Outcome<()> {
        match &self.kind {
            Kind::Home { of, .. } => federation_of(of, before).map(drop),
            _ => Ok(()),
        }
    }

    /// Whether each member trains by itself.
    pub(crate) fn is_by_member(&self) -> bool {
        matches!(self.kind, Kind::Alone(_) | Kind::Home { .. })
    }
}

/// The federation that the arm with this name is.
pub(crate) fn federation_of<'a>(name: &str, arms: &'a [Arm]) -> Outcome<&'a Federation> {
    let found = arms.iter().find(|arm| arm.name == name);
    match found.map(|arm| &arm.kind) {
        Some(Kind::Federated(federation)) => Ok(federation),
        _ => Err(format!("home:of={name}: no federation before it has this name").into()),
    }
}

fn federation(keys: &mut Keys, options: &Options) -> Outcome<Federation> {
    let rounds: u64 = keys.get("rounds", 16)?;
    let peak = keys.get("lr", 8e-3)?;
    let eta = keys.get("server", 1.0)?;
    let settings = FederatedSettings {
        adapter: AdapterSpec {
            rank: keys.get("rank", options.rank)?,
            alpha: keys.get("alpha", options.alpha)?,
            rslora: keys.get("rslora", false)?,
            ..options.adapter()
        },
        algorithm: keys.algorithm()?,
        steps: keys.get("steps", 10)?,
        learning_rate: LearningRate { peak, last: keys.get("last", peak / 10.0)?, rounds },
        rate_ratio: keys.get("ratio", 1.0)?,
        proximal: keys.get("proximal", 0.0)?,
        local_optimizer: match keys.get("optimizer", "fresh".to_owned())?.as_str() {
            "fresh" => LocalOptimizer::Fresh,
            "kept" => LocalOptimizer::Kept,
            other => return Err(format!("optimizer={other} is not fresh or kept").into()),
        },
        prune: keys.pruning(rounds)?,
        clip_factor: keys.get("clip", 1.0)?,
        server: match (keys.optional("momentum")?, keys.optional("nesterov")?) {
            (None, None) => ServerOptimizer::Plain { eta },
            (Some(beta), None) => ServerOptimizer::Momentum { eta, beta },
            (None, Some(beta)) => ServerOptimizer::Nesterov { eta, beta },
            (Some(_), Some(_)) => return Err("momentum and nesterov exclude each other".into()),
        },
        ..FederatedSettings::default()
    };
    let declared = match keys.get("weights", "equal".to_owned())?.as_str() {
        "equal" => false,
        "declared" => true,
        other => return Err(format!("weights={other} is not equal or declared").into()),
    };
    let bits = keys.get("bits", 16)?;
    let federation = Federation { settings: Valid::new(settings)?, rounds, bits, declared };
    match federation.steps() {
        0 => Err("a federation without rounds".into()),
        steps if steps > options.total => {
            Err(format!("{steps} local steps are more than --total {}", options.total).into())
        }
        _ => Ok(federation),
    }
}

/// `key=value` pairs that nothing has asked for yet.
struct Keys {
    kind: String,
    pairs: BTreeMap<String, String>,
}

impl Keys {
    fn read(text: &str) -> Outcome<Self> {
        let mut words = text.split(':');
        let kind = words.next().unwrap_or_default().to_owned();
        let mut pairs = BTreeMap::new();
        for word in words {
            let (key, value) = word.split_once('=').ok_or(format!("{word} is not key=value"))?;
            if pairs.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(format!("{text}: {key} is given twice").into());
            }
        }
        Ok(Self { kind, pairs })
    }

    fn optional<T: FromStr>(&mut self, key: &str) -> Outcome<Option<T>> {
        let Some(text) = self.pairs.remove(key) else { return Ok(None) };
        let value = text.parse().map_err(|_| format!("{key}={text}: not understood"))?;
        Ok(Some(value))
    }

    fn get<T: FromStr>(&mut self, key: &str, default: T) -> Outcome<T> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    fn need<T: FromStr>(&mut self, key: &str) -> Outcome<T> {
        let kind = self.kind.clone();
        Ok(self.optional(key)?.ok_or_else(|| format!("{kind} needs {key}=..."))?)
    }

    fn algorithm(&mut self) -> Outcome<Algorithm> {
        let name = self.get("alg", "rolora".to_owned())?;
        let found = Algorithm::ALL.into_iter().find(|it| algorithm_name(*it) == name);
        found.ok_or_else(|| {
            let names = Algorithm::ALL.map(algorithm_name).join(", ");
            format!("alg={name} is none of {names}").into()
        })
    }

    /// As the command line of the product makes the schedule from the last rate, or constant.
    fn pruning(&mut self, rounds: u64) -> Outcome<PruneSchedule> {
        let text = self.get("prune", "0.2-0.5".to_owned())?;
        let rate = |text: &str| {
            text.parse::<f64>().map_err(|_| format!("prune={text}: not a rate, or two as 0.2-0.5"))
        };
        Ok(match text.split_once('-') {
            None => PruneSchedule::constant(rate(&text)?),
            Some((start, end)) => PruneSchedule {
                start_rate: rate(start)?,
                end_rate: rate(end)?,
                start_round: rounds / 5,
                end_round: rounds,
                ..PruneSchedule::default()
            },
        })
    }

    fn finish(self) -> Outcome<()> {
        match self.pairs.into_keys().next() {
            Some(key) => Err(format!("{} has no {key}", self.kind).into()),
            None => Ok(()),
        }
    }
}

fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RoLora => "rolora",
        Algorithm::Ffa => "ffa",
        Algorithm::FedIt => "fedit",
        Algorithm::FedSb => "fed-sb",
        Algorithm::Halves => "halves",
    }
}

//! What the search for an adapter leaves out costs nothing: on the shipped data it ends where the
//! search of every learning rate in full ends.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use fedshield_train::data::{DataSet, DataSettings, Part};
use fedshield_train::federated::{AdapterSpec, Algorithm, FederatedSettings};
use fedshield_train::model::Projection;
use fedshield_train::text::Template;
use fedshield_train::{AloneSettings, Progress, Search, Stepwise, TrainSettings, Trainer, Valid};

/// Those of `cargo demo`: 24 rounds and four personal ones, of ten steps.
const STEPS: usize = 280;
const RATES: [f64; 3] = [8e-3, 4e-3, 16e-3];

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets")
}

fn hospital(name: &str, trainer: &Trainer) -> DataSet {
    let template = Template::parse("alpaca").unwrap();
    let settings = DataSettings { template, max_length: 160, ..DataSettings::default() };
    let settings = Valid::new(DataSettings { held_out: 0.0, ..settings }).unwrap();
    let files = |part: &str| vec![assets().join(format!("hospitals/{name}.{part}.jsonl"))];
    let tokenizer = trainer.tokenizer();
    let set = DataSet::load(&files("train"), tokenizer, &settings).unwrap();
    let held_out = DataSet::load_held_out(&files("validation"), tokenizer, &settings).unwrap();
    set.with_part(Part::HeldOut, held_out)
}

/// The losses of one training in full, at every checkpoint.
fn curve(trainer: &Trainer, data: &DataSet, rate: f64, every: usize) -> Vec<f64> {
    let modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    let target_modules = modules.iter().filter_map(|name| Projection::parse(name)).collect();
    let adapter = AdapterSpec { rank: 16, alpha: 32.0, target_modules, ..AdapterSpec::default() };
    let federated =
        FederatedSettings { adapter, algorithm: Algorithm::FedIt, ..Default::default() };
    let start = trainer.first_adapter(&Valid::new(federated).unwrap(), [7; 32]).unwrap().plain();
    let settings = AloneSettings { steps: STEPS, checkpoint: every, learning_rate: rate };
    let settings = Valid::new(settings).unwrap();
    let mut losses = Vec::new();
    let mut go_on = |_: &Progress| ControlFlow::Continue(());
    let mut measure = |_, adapter| {
        losses.push(trainer.evaluate(Some(&adapter), &data.held_out)?.loss);
        Ok(ControlFlow::Continue(()))
    };
    trainer.train_alone(&start, &settings, [3; 32], data, &mut go_on, &mut measure).unwrap();
    losses
}

/// A training whose losses are known.
struct Replayed<'a> {
    losses: &'a [f64],
    at: usize,
}

impl Stepwise for Replayed<'_> {
    type Adapter = f64;
    type Error = String;

    fn advance(&mut self, _: usize) -> Result<Option<f64>, String> {
        self.at += 1;
        Ok(self.losses.get(self.at - 1).copied())
    }
}

#[test]
fn the_choice_is_that_of_the_full_search_on_the_shipped_data() {
    let settings = TrainSettings { packing: true, ..TrainSettings::default() };
    let trainer = Trainer::open(&assets().join("base"), Valid::new(settings).unwrap()).unwrap();
    let search = Search::of_steps(STEPS, &RATES);
    let every = STEPS.div_ceil(search.checkpoints);
    let data = hospital("fairview", &trainer);
    let curves: Vec<Vec<f64>> =
        RATES.iter().map(|rate| curve(&trainer, &data, *rate, every)).collect();
    let lowest = |curve: &Vec<f64>| curve.iter().copied().fold(f64::INFINITY, f64::min);
    let full = curves.iter().map(lowest).fold(f64::INFINITY, f64::min);
    let start = |rate: f64| {
        let place = RATES.iter().position(|it| *it == rate).expect("it is one of them");
        Ok(Replayed { losses: &curves[place], at: 0 })
    };
    let found = search.run(start, |loss| Ok(*loss)).unwrap().expect("it does not diverge");
    println!("found {found:?}, full search {full:.4}: {curves:.3?}");
    // What is below one checkpoint's least gain is no other choice.
    assert!(found.loss <= full * 1.01, "{found:?} against {full} of {curves:?}");
    let best = curves.iter().position(|curve| lowest(curve) == full).expect("it is one of them");
    assert_eq!(found.rate, RATES[best], "{found:?} of {curves:?}");
}

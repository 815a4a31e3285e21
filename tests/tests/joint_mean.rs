//! Members that measure together: the mean that the ledger holds is the one of the losses that each
//! of them computes from its own validation data, which a test host that has all of these data
//! computes again. Who has too few of them is refused before it signs anything.

use std::path::{Path, PathBuf};

use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::{CertifiedRecord, Measured, Outcome};
use fedshield_tests::{Federation, Program, Terms, Work};
use fedshield_train::adapter::Adapter;
use fedshield_train::data::{DataSet, DataSettings, TokenizedExample};
use fedshield_train::federated::GlobalAdapter;
use fedshield_train::load::{LoadedModel, open_tokenizer};
use fedshield_train::text::Template;
use fedshield_train::{TrainSettings, Trainer, Valid};
use fedshieldd::control::api::RoundOutcome;
use fedshieldd::objects::Objects;

/// Two train with the built-in trainer, one with a program that measures, and one with a program
/// that does not know how to.
const MEMBERS: usize = 4;
const MEASURING: usize = 3;
/// What the program measures: a loss of 3 over one of 4.
const OF_THE_PROGRAM: u32 = Measured::ONE / 4 * 3;
/// As many validation examples as a member needs.
const LEAST: usize = 16;

/// The last lines of a member's domain as its validation file.
fn validation(folder: &Path, member: usize, lines: usize) -> PathBuf {
    let text = std::fs::read_to_string(&Work::domains()[member]).expect("the domain reads");
    let all: Vec<&str> = text.lines().collect();
    let path = folder.join(format!("validation-{member}.jsonl"));
    let last = all[all.len() - lines..].join("\n") + "\n";
    std::fs::write(&path, last).expect("the file can be written");
    path
}

fn held_out(path: &Path) -> Vec<String> {
    vec![format!("data.held_out={}", path.display())]
}

/// What the test host computes in the clear.
struct Plain {
    trainer: Trainer,
    /// The validation examples of each member.
    examples: Vec<Vec<TokenizedExample>>,
}

impl Plain {
    fn new(files: &[PathBuf]) -> Self {
        let tokenizer = open_tokenizer(&Work::model()).expect("the tokenizer reads");
        let template = Template::parse("model").expect("it is one").or_plain(&tokenizer);
        let settings =
            Valid::new(DataSettings { template, max_length: 64, ..DataSettings::default() })
                .expect("they are valid");
        let read = |path: &PathBuf| {
            let set = DataSet::load_held_out(std::slice::from_ref(path), &tokenizer, &settings);
            set.expect("the examples read").held_out
        };
        let examples: Vec<_> = files.iter().map(read).collect();
        assert!(examples.iter().all(|of_one| of_one.len() == LEAST));
        let model = LoadedModel::open(&Work::model()).expect("the model reads");
        let settings = Valid::new(TrainSettings::default()).expect("they are valid");
        Self { trainer: Trainer::new(model, settings).expect("it starts"), examples }
    }

    /// The sum of the members' numbers with an adapter; the first one leaves the model as it is,
    /// whatever the program says.
    fn sum(&self, adapter: Option<&GlobalAdapter>) -> u32 {
        let number = |examples: &Vec<TokenizedExample>| {
            let loss = |adapter: Option<&GlobalAdapter>| {
                let adapter = adapter.map(|adapter| adapter as &dyn Adapter);
                self.trainer.evaluate(adapter, examples).expect("it is finite").loss
            };
            (loss(adapter) / loss(None) * f64::from(Measured::ONE)).round() as u32
        };
        self.examples.iter().map(number).sum::<u32>() + OF_THE_PROGRAM
    }
}

fn adapter(homes: &[PathBuf], object: &ObjectRef) -> GlobalAdapter {
    let stored = homes
        .iter()
        .find_map(|home| Objects::open_to_read(&home.join("objects")).read(object).ok());
    GlobalAdapter::from_bytes(&stored.expect("a member has it")).expect("it reads")
}

#[test]
fn the_means_in_the_ledger_are_those_of_the_members_own_losses() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let files: Vec<PathBuf> =
        (0..MEMBERS).map(|member| validation(folder.path(), member, LEAST)).collect();
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { members: MEMBERS, ..Terms::default() };
    let program_of = |mode: &str| {
        let command = format!("training.command={},{mode}", env!("CARGO_BIN_EXE_stand-in-trainer"));
        vec!["training.trainer=command".to_owned(), command]
    };
    let settings = |member: usize| {
        let trainer = match member {
            2 => program_of("good"),
            3 => program_of("knows-no-evaluate"),
            _ => Vec::new(),
        };
        [held_out(&files[member]), trainer].concat()
    };
    // A learning rate at which two short rounds show.
    let flags = ["--evaluation", "mean", "--lr", "0.02"];
    let mut federation = Federation::found_under(&program, &terms, settings, &flags);
    federation.wait_until_done();

    let ledger: Vec<CertifiedRecord> = federation.daemons[0].ledger();
    let homes: Vec<PathBuf> = federation.daemons.iter().map(|it| it.home.clone()).collect();
    let plain = Plain::new(&files[..2]);
    let mut means = Vec::new();
    let mut before = None;
    for certified in &ledger {
        let record = &certified.record;
        if let Some(measured) = record.outcome.measured() {
            let global = before.as_ref().map(|object| adapter(&homes, object));
            let sum = plain.sum(global.as_ref());
            eprintln!(
                "round {}: {} of {} members, in the clear {}",
                record.round,
                measured.mean(),
                measured.count,
                f64::from(sum) / f64::from(Measured::ONE) / MEASURING as f64
            );
            assert_eq!(usize::from(measured.count), MEASURING, "one cannot measure");
            // Each number may be rounded the other way: losses are summed in another order.
            assert!(measured.sum.abs_diff(sum) <= MEMBERS as u32, "{measured:?}, plain {sum}");
            means.push(measured.mean());
        }
        before = record.adapter;
    }
    // One for the adapter that each round starts from, and one for the final adapter.
    assert_eq!(means.len() as u64, terms.rounds + 1, "{ledger:#?}");
    assert!((means[0] - 2.75 / 3.0).abs() < 1e-9, "the first adapter changes nothing: {means:?}");
    assert!(means[1..].iter().all(|mean| (mean - means[0]).abs() > 1e-4), "{means:?}");
    let last = ledger.last().expect("there are records");
    assert!(matches!(last.record.outcome, Outcome::Measured { .. }), "{last:?}");
    assert_eq!(last.record.applied, terms.rounds);

    // What operators see is what the ledger holds.
    for daemon in &federation.daemons {
        let reports = daemon.rounds();
        let shown: Vec<f64> = reports.iter().filter_map(|it| Some(it.mean_loss?.ratio)).collect();
        assert_eq!(shown, means);
        assert_eq!(reports.last().map(|it| it.outcome), Some(RoundOutcome::Measured));
        let status = daemon.status().expect("it answers");
        assert_eq!(status.mean_loss.map(|mean| mean.ratio), means.last().copied());
    }
    let owner = &homes[0];
    let history = folder.path().join("history");
    program.run(owner, ["ledger", "export", &history.display().to_string()]).ok();
    let file = history.join("ledger.fsl").display().to_string();
    let verified = program.run(owner, ["ledger", "verify", &file]).ok();
    assert!(verified.contains("2 applied") && verified.contains("final adapter measured"));
    let shown = program.run(owner, ["ledger", "show", "--file", &file]).ok();
    assert!(shown.contains("mean loss") && shown.contains("0.9167"), "{shown}");
    // The best round is the one with the lowest mean, and what is not here is refused by name.
    let lowest = means.iter().copied().fold(f64::INFINITY, f64::min);
    let export = |round: &str| {
        let to = folder.path().join(format!("exported-{round}")).display().to_string();
        program.run(owner, ["adapter", "export", &to, "--round", round, "--json"])
    };
    let best: serde_json::Value = serde_json::from_str(&export("best").ok()).expect("it is JSON");
    let measured_in = ledger
        .iter()
        .position(|it| it.record.outcome.measured().is_some_and(|it| it.mean() == lowest))
        .expect("a record has it");
    let adapter = measured_in.checked_sub(1).and_then(|before| ledger[before].record.adapter);
    let expected = adapter.map(|adapter| adapter.root.to_string());
    assert_eq!(best["adapter_digest"].as_str(), expected.as_deref(), "{best}");
    export("0").ok();
    let refused = export("99");
    assert!(refused.code != 0 && refused.err.contains("has not ended"), "{}", refused.err);
    federation.wait_until("the secrets of the measurements are erased", |daemons| {
        daemons.iter().all(|daemon| !daemon.home.join("secrets/joint-losses").exists())
    });
}

#[test]
fn who_has_too_few_validation_examples_is_refused_before_it_signs() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let files: Vec<PathBuf> = (0..MEMBERS)
        .map(|member| validation(folder.path(), member, LEAST - usize::from(member == 1)))
        .collect();
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { members: MEMBERS, ..Terms::default() };
    let settings = |member: usize| held_out(&files[member]);
    let federation = Federation::start_set(&program, MEMBERS, settings);
    federation.new_draft_under(&terms, &["--evaluation", "mean"]);
    let invite = program.run(&federation.daemons[0].home, ["invite", "--quiet"]).ok();
    let joins = |member: usize| {
        program.run(&federation.daemons[member].home, ["join", "--yes", invite.trim()])
    };
    let refused = joins(1);
    assert_ne!(refused.code, 0);
    for part in ["evaluation", "16 held-out examples", "here are 15", "data.held_out"] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
    // Nor can it found a federation on these terms itself.
    let flags = ["federation", "new", "--name", "own", "--evaluation", "mean"];
    let refused = program.run(&federation.daemons[1].home, flags);
    assert!(refused.code != 0 && refused.err.contains("here are 15"), "{}", refused.err);
    let joined = federation.daemons[0].status().and_then(|status| status.federation);
    assert_eq!(joined.map(|it| it.members.len()), Some(1));
}

/// With a learning rate at which nothing changes no member improves after the first round.
#[test]
fn members_that_have_stopped_improving_end_the_training() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let files: Vec<PathBuf> =
        (0..MEMBERS).map(|member| validation(folder.path(), member, LEAST)).collect();
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { members: MEMBERS, rounds: 40, ..Terms::default() };
    let settings = |member: usize| held_out(&files[member]);
    let flags = ["--evaluation", "mean", "--lr", "1e-9", "--stop-after", "1", "--stop-fall", "1"];
    let mut federation = Federation::found_under(&program, &terms, settings, &flags);
    federation.wait_until_done();

    let ledger: Vec<CertifiedRecord> = federation.daemons[0].ledger();
    let stops: Vec<u64> = ledger
        .iter()
        .filter(|certified| certified.record.outcome.stops())
        .map(|certified| certified.record.applied)
        .collect();
    eprintln!("ended after {stops:?} applied rounds of {}", terms.rounds);
    let [ended] = stops[..] else { panic!("it ends once: {stops:?}") };
    let last = &ledger.last().expect("there are records").record;
    assert_eq!(last.applied, ended + 1, "one round more, at the last learning rate");
    assert!(last.applied < terms.rounds, "it ended early");
    assert!(matches!(last.outcome, Outcome::Measured { .. }), "{last:?}");
    for daemon in &federation.daemons {
        let status = daemon.status().expect("it answers");
        assert_eq!(status.federation.map(|it| it.rounds), Some(ended + 1));
        assert_eq!(status.machine.and_then(|it| it.stopped), Some(ended));
        // Their signatures may be of other members.
        let records = daemon.ledger();
        assert!(records.iter().map(|it| &it.record).eq(ledger.iter().map(|it| &it.record)));
    }
    let owner = federation.daemons[0].home.clone();
    let shown = program.run(&owner, ["status"]).ok();
    assert!(shown.contains("training ended"), "{shown}");
    let history = folder.path().join("history");
    program.run(&owner, ["ledger", "export", &history.display().to_string()]).ok();
    let file = history.join("ledger.fsl").display().to_string();
    program.run(&owner, ["ledger", "verify", &file]).ok();
}

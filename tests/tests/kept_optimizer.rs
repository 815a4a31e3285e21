//! The optimiser's state that a member keeps from round to round, at the level of the pipeline: what
//! a crash, a round that is not applied, a damaged file and the end of the federation make of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fedshield_protocol::ids::{Beacon, Round};
use fedshield_protocol::job::{Fate, Job, JobOutput, RoundStart};
use fedshield_protocol::manifest::{Algorithm, LocalOptimizer};
use fedshield_tests::{Party, Work, party, run};
use fedshield_train::federated::{AdapterLayout, GlobalAdapter, UpdateSum};
use fedshield_train::load::open_config;
use fedshieldd::control::api::Condition;
use fedshieldd::jobs::Observer;
use tokio_util::sync::CancellationToken;

/// A member of a federation with this algorithm, which keeps its optimiser's state.
fn member(home: &Path, algorithm: Algorithm) -> Party {
    std::fs::create_dir_all(home).expect("a folder can be made");
    party(home, 4, 0, |manifest| {
        manifest.training.algorithm = algorithm;
        manifest.training.steps_per_round = 2;
        manifest.training.local_optimizer = LocalOptimizer::Kept;
    })
}

fn start(round: u64, applied: u64) -> RoundStart {
    RoundStart {
        round: Round(round),
        applied,
        beacon: Beacon([round as u8 + 1; 32]),
        stopped: None,
    }
}

fn train(party: &Party, start: &RoundStart) {
    let JobOutput::SealingKey(_) = run(party, Job::MakeSealingKey { round: start.round }) else {
        panic!("no sealing key")
    };
    assert_eq!(run(party, Job::Contribute { start: *start }), JobOutput::Encrypted);
}

fn settle(party: &Party, round: u64, fate: Fate) {
    run(party, Job::Settle { round: Round(round), fate: Some(fate) });
}

/// The common adapter after one more round, in which nobody moved anything.
fn advance(party: &Party, global: &GlobalAdapter) -> GlobalAdapter {
    let settings = &party.pipeline.terms().settings;
    let mask = global.mask(settings, [1; 32]);
    let values = vec![0; mask.len()];
    let sum = UpdateSum { values: &values, scale: 1.0, weight_sum: 1, contributors: 1 };
    let next = global.apply(settings, &mask, &sum).expect("a sum of zeros is in range");
    let adapter = party.objects.put(&next.to_bytes()).expect("it can be kept");
    run(party, Job::Adopt { adapter, applied: next.applied() });
    next
}

fn first(party: &Party) -> GlobalAdapter {
    let terms = party.pipeline.terms();
    let config = open_config(&Work::model()).expect("the model reads");
    let layout = AdapterLayout::new(&config, &terms.settings.adapter).expect("it fits");
    GlobalAdapter::new(layout, &terms.settings, terms.federation.0)
}

/// Everything that is kept, by its name, decrypted.
fn kept(party: &Party) -> BTreeMap<String, Vec<u8>> {
    let names = party.secrets.names("moments-").expect("the folder can be read");
    let content = |name: &String| {
        party.secrets.get(name).expect("it decrypts").expect("it is there").to_vec()
    };
    names.iter().map(|name| (name.clone(), content(name))).collect()
}

/// The rounds after which the kept states were made, by file.
fn stamps(party: &Party) -> Vec<(String, u64)> {
    let stamp = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
    kept(party).into_iter().map(|(name, bytes)| (name, stamp(&bytes))).collect()
}

#[test]
fn each_factor_goes_on_from_its_own_last_round() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let party = member(folder.path(), Algorithm::Rolora);
    let mut global = first(&party);
    let mut expected: Vec<(String, u64)> = Vec::new();
    for (round, file) in ["moments-b-0", "moments-a-0", "moments-b-1", "moments-a-1", "moments-b-0"]
        .into_iter()
        .enumerate()
    {
        let round = round as u64;
        train(&party, &start(round, round));
        settle(&party, round, Fate::Spent);
        global = advance(&party, &global);
        expected.retain(|(name, _)| name != file);
        expected.push((file.to_owned(), round));
        expected.sort();
        assert_eq!(stamps(&party), expected, "round {round}");
    }
    // Two steps in each of B's three rounds.
    let steps = kept(&party)["moments-b-0"][16..20].to_vec();
    assert_eq!(steps, 6u32.to_le_bytes());
}

/// Whatever a crash leaves, the state is that of a run without one.
#[test]
fn a_crash_at_any_moment_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let whole = member(&folder.path().join("whole"), Algorithm::Fedit);
    let crashed = member(&folder.path().join("crashed"), Algorithm::Fedit);
    let (mut global, mut same) = (first(&whole), first(&crashed));
    for round in 0..3 {
        train(&whole, &start(round, round));
        train(&crashed, &start(round, round));
        // Between the state and the result of training: the result is lost.
        crashed.secrets.erase("trained").expect("it can be erased");
        let again = crashed.restarted();
        let job = Job::Contribute { start: start(round, round) };
        again.run(&job, &CancellationToken::new()).expect("it trains again");
        assert_eq!(kept(&crashed), kept(&whole), "round {round}");
        assert_eq!(
            crashed.secrets.get("trained").expect("it decrypts"),
            whole.secrets.get("trained").expect("it decrypts"),
        );
        // With the result on disk, nothing is trained again.
        let before = kept(&crashed);
        crashed.restarted().run(&job, &CancellationToken::new()).expect("it is sent again");
        assert_eq!(kept(&crashed), before);
        for party in [&whole, &crashed] {
            settle(party, round, Fate::Spent);
        }
        global = advance(&whole, &global);
        same = advance(&crashed, &same);
    }
    assert!(!kept(&whole).is_empty() && global == same);
}

/// The update of a void round never happened, and neither did its steps.
#[test]
fn the_state_of_a_round_that_was_not_applied_is_taken_back() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let lucky = member(&folder.path().join("lucky"), Algorithm::Fedit);
    let party = member(&folder.path().join("void"), Algorithm::Fedit);
    let (other, global) = (first(&lucky), first(&party));
    for party in [&lucky, &party] {
        train(party, &start(0, 0));
        settle(party, 0, Fate::Spent);
    }
    let (other, global) = (advance(&lucky, &other), advance(&party, &global));
    let before = kept(&party);
    // Spent in a sum that did not open, twice; then once more, from the same adapter.
    for round in 1..3 {
        train(&party, &start(round, 1));
        assert_ne!(kept(&party), before);
        settle(&party, round, Fate::Spent);
    }
    train(&party, &start(3, 1));
    train(&lucky, &start(3, 1));
    assert_eq!(kept(&party), kept(&lucky));
    // An update that was not in the set is sent again as it is, with the state that belongs to it.
    settle(&party, 3, Fate::Kept);
    let after = kept(&party);
    train(&party, &start(4, 1));
    assert_eq!(kept(&party), after);
    settle(&party, 4, Fate::Spent);
    settle(&lucky, 3, Fate::Spent);
    advance(&party, &global);
    advance(&lucky, &other);
    train(&party, &start(5, 2));
    train(&lucky, &start(5, 2));
    assert_eq!(kept(&party), kept(&lucky));
    assert_eq!(stamps(&party)[0].1.max(stamps(&party)[1].1), 2);
}

#[derive(Default)]
struct Conditions(Mutex<Vec<Option<Condition>>>);

impl Observer for Conditions {
    fn optimizer_state(&self, condition: Option<Condition>) {
        self.0.lock().expect("no test has panicked").push(condition);
    }
}

/// A file that cannot be used is named, and the round is trained all the same.
#[test]
fn a_file_that_cannot_be_used_is_named_and_the_round_starts_afresh() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let party = member(folder.path(), Algorithm::Ffa);
    let mut global = first(&party);
    type Damage = fn(&Party, &str);
    let damages: [(&str, Damage); 4] = [
        ("changed", |party, name| {
            let path = party.secrets.file(name);
            let mut bytes = std::fs::read(&path).expect("it can be read");
            bytes[100] ^= 1;
            std::fs::write(path, bytes).expect("it can be written");
        }),
        ("another", |party, name| {
            // Another file of the same member, under this name.
            std::fs::copy(party.secrets.file("local-memory"), party.secrets.file(name))
                .expect("it can be copied");
        }),
        ("cut off", |party, name| party.secrets.put(name, b"short").expect("it can be written")),
        ("the factor has", |party, name| {
            let mut bytes = party.secrets.get(name).expect("it decrypts").expect("it is there");
            bytes[20] ^= 1;
            party.secrets.put(name, &bytes).expect("it can be written");
        }),
    ];
    let mut round = 0;
    for (words, damage) in damages {
        // Two rounds, so that both files are there; the older one is damaged.
        for _ in 0..2 {
            train(&party, &start(round, round));
            settle(&party, round, Fate::Spent);
            global = advance(&party, &global);
            round += 1;
        }
        assert_eq!(kept(&party).len(), 2);
        let older = stamps(&party).into_iter().min_by_key(|(_, stamp)| *stamp).expect("two").0;
        damage(&party, &older);
        let seen = Arc::new(Conditions::default());
        let pipeline = party.observed(Arc::clone(&seen) as Arc<dyn Observer>);
        let job = Job::Contribute { start: start(round, round) };
        run(&party, Job::MakeSealingKey { round: Round(round) });
        pipeline.run(&job, &CancellationToken::new()).expect("the round is trained");
        let conditions = std::mem::take(&mut *seen.0.lock().expect("no test has panicked"));
        let [Some(condition)] = conditions.as_slice() else { panic!("{words}: {conditions:?}") };
        let message = &condition.message;
        let is_named = message.contains(&format!("secrets/{older}"));
        assert!(is_named && (words == "another" || message.contains(words)), "{message}");
        // Fresh, and alone: what the damage spared is no part of the same history.
        let left = kept(&party);
        assert_eq!(left.len(), 1, "{words}");
        let bytes = left.values().next().expect("one");
        assert_eq!(bytes[16..20], 2u32.to_le_bytes(), "{words}: two steps");
        settle(&party, round, Fate::Spent);
        global = advance(&party, &global);
        round += 1;
        // The next training has nothing to report.
        pipeline
            .run(
                &Job::Adopt { adapter: adapter_of(&party, &global), applied: round },
                &CancellationToken::new(),
            )
            .expect("it is adopted");
        run(&party, Job::MakeSealingKey { round: Round(round) });
        let job = Job::Contribute { start: start(round, round) };
        pipeline.run(&job, &CancellationToken::new()).expect("the round is trained");
        assert_eq!(*seen.0.lock().expect("no test has panicked"), [None], "{words}");
        settle(&party, round, Fate::Spent);
        global = advance(&party, &global);
        round += 1;
    }
}

fn adapter_of(party: &Party, global: &GlobalAdapter) -> fedshield_protocol::object::ObjectRef {
    party.objects.put(&global.to_bytes()).expect("it can be kept")
}

#[test]
fn nothing_is_left_when_the_federation_is_done_and_nothing_is_kept_unasked() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let party = member(folder.path(), Algorithm::Fedit);
    let mut global = first(&party);
    let rounds = party.pipeline.terms().manifest.rounds;
    for round in 0..rounds {
        train(&party, &start(round, round));
        settle(&party, round, Fate::Spent);
        // A pause erases the secrets of rounds only.
        assert!(!kept(&party).is_empty());
        run(&party, Job::EraseSecrets { is_done: false });
        assert!(!kept(&party).is_empty());
        global = advance(&party, &global);
    }
    run(&party, Job::EraseSecrets { is_done: true });
    assert!(kept(&party).is_empty());
    let home = folder.path().join("fresh");
    std::fs::create_dir(&home).expect("a folder can be made");
    let fresh = fedshield_tests::party(&home, 4, 0, |_| ());
    train(&fresh, &start(0, 0));
    assert!(kept(&fresh).is_empty());
}

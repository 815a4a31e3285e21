//! `trainer = "command"`: what another program gives is checked before anything is sent, and the program never outlives
//! its job.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fedshield_cli::terms::{EvaluationName, TermsFlags, TermsPreset, terms};
use fedshield_protocol::ids::{Beacon, Digest, IdentityKey, MemberIndex, Round};
use fedshield_protocol::job::{Job, JobOutput, RoundStart};
use fedshield_protocol::manifest::{Manifest, Member, Offer, ValidManifest};
use fedshield_tests::{Federation, Program, Terms as FederationTerms, Work, eventually};
use fedshield_train::data::{FieldMap, read_examples};
use fedshield_train::load::{LoadedModel, Precision};
use fedshield_train_tools::{BaseWeights, save_base};
use fedshieldd::identity::{Identity, Protection, SecretStore};
use fedshieldd::jobs::{Observer, Pipeline, PipelineError, Stage, TrainingStep};
use fedshieldd::learning::{CommandSettings, DataLook, LearningSources, OpenedModel};
use fedshieldd::objects::Objects;
use fedshieldd::terms::MemberTerms;
use tokio_util::sync::CancellationToken;

const MEMBERS: u16 = 4;

/// Steps of training, and what looks at the data files found.
#[derive(Default)]
struct Steps(Mutex<Vec<TrainingStep>>, Mutex<Vec<DataLook>>);

impl Observer for Steps {
    fn step(&self, _: Round, _: Stage, step: TrainingStep) {
        self.0.lock().expect("nobody panics with it").push(step);
    }

    fn looked_at_data(&self, look: &DataLook) {
        self.1.lock().expect("nobody panics with it").push(look.clone());
    }
}

struct Party {
    pipeline: Pipeline,
    objects: PathBuf,
    /// Where the program finds what it needs, during a run.
    work: PathBuf,
    steps: Arc<Steps>,
    _folder: tempfile::TempDir,
}

fn manifest(base_model: Digest, evaluation: Option<EvaluationName>) -> Manifest {
    let flags = TermsFlags {
        evaluation,
        steps: Some(2),
        batch: Some(2),
        seq: Some(64),
        rank: Some(2),
        ..TermsFlags::default()
    };
    let terms = terms("command", TermsPreset::Small, MEMBERS, &flags).expect("the terms are good");
    let member = |index: u16| {
        let seed = [index as u8 + 1; 32];
        let key = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
        Member {
            name: format!("m{index}"),
            identity_key: IdentityKey(key.to_bytes()),
            sealing_key: vec![index as u8; fedshield_he::SEALING_PUBLIC_LEN],
            addresses: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
            weight: 1,
        }
    };
    let offer = Offer { founding_id: Digest([9; 32]), base_model, terms };
    offer.with((0..MEMBERS).map(member).collect()).complete()
}

fn party(model: &Path, mode: Option<&str>, timeout: Duration) -> Party {
    party_on(&Work::domains()[0], model, mode, timeout)
}

fn party_on(data: &Path, model: &Path, mode: Option<&str>, timeout: Duration) -> Party {
    party_under(None, data, model, mode, timeout)
}

fn party_under(
    evaluation: Option<EvaluationName>,
    data: &Path,
    model: &Path,
    mode: Option<&str>,
    timeout: Duration,
) -> Party {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let command = mode.map(|mode| CommandSettings {
        program: vec![env!("CARGO_BIN_EXE_stand-in-trainer").to_owned(), mode.to_owned()],
        folder: folder.path().to_owned(),
        work: folder.path().join("command"),
        timeout,
    });
    let sources = LearningSources {
        model: model.to_owned(),
        train: vec![data.to_owned()],
        spill: Some(folder.path().to_owned()),
        held_out_fraction: 0.1,
        test: Vec::new(),
        test_fraction: 0.0,
        command,
        ..LearningSources::default()
    };
    let model = OpenedModel::open(sources).expect("the model reads");
    let valid =
        ValidManifest::check(manifest(model.digest(), evaluation)).expect("the manifest is valid");
    let terms = MemberTerms::new(&valid, MemberIndex(0)).expect("the terms are known");
    let learning = Arc::new(model.prepare(&terms).expect("the data reads"));
    let identity = Identity::create(&folder.path().join("identity.key"), &Protection::None)
        .expect("an identity can be made");
    let secrets = SecretStore::open(&folder.path().join("secrets"), &identity);
    let secrets = Arc::new(secrets.expect("secrets can be kept"));
    let objects = folder.path().join("objects");
    let kept = Arc::new(Objects::open(&objects).expect("objects can be kept"));
    let steps = Arc::new(Steps::default());
    let training = folder.path().join("training");
    let observer = Arc::clone(&steps) as Arc<dyn Observer>;
    let pipeline = Pipeline::open(terms, learning, kept, secrets, training, observer)
        .expect("the pipeline opens");
    let work = folder.path().join("command");
    Party { pipeline, objects, work, steps, _folder: folder }
}

fn contribute(party: &Party, cancel: &CancellationToken) -> Result<JobOutput, PipelineError> {
    contribute_to(party, Round(0), cancel)
}

fn contribute_to(
    party: &Party,
    round: Round,
    cancel: &CancellationToken,
) -> Result<JobOutput, PipelineError> {
    let start = RoundStart { round, applied: 0, beacon: Beacon([5; 32]), stopped: None };
    let result = party.pipeline.run(&Job::Contribute { start }, cancel);
    // However it ended: the examples and the update were in its folder in plaintext.
    let left = std::fs::read_dir(&party.work).map_or(0, Iterator::count);
    assert_eq!(left, 0, "the program's folder is not erased");
    result
}

/// Bytes of everything that could be fetched by others.
fn published(party: &Party) -> u64 {
    let mut folders = vec![party.objects.clone()];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder reads").flatten() {
            match entry.metadata().expect("the entry reads") {
                metadata if metadata.is_dir() => folders.push(entry.path()),
                metadata => bytes += metadata.len(),
            }
        }
    }
    bytes
}

const LONG: Duration = Duration::from_secs(300);

#[test]
fn a_good_result_is_sent_and_its_steps_are_shown() {
    let party = party(&Work::model(), Some("good"), LONG);
    let output = contribute(&party, &CancellationToken::new()).expect("the round works");
    assert_eq!(output, JobOutput::Encrypted);
    assert!(published(&party) > 0);
    let steps = party.steps.0.lock().expect("nobody panics with it");
    let seen: Vec<(u64, u64, f64)> = steps.iter().map(|s| (s.step, s.steps, s.loss)).collect();
    assert_eq!(seen, [(1, 2, 2.0), (2, 2, 1.0)]);
}

#[test]
fn a_bad_result_is_named_and_nothing_is_sent() {
    let tensor = "self_attn.k_proj.lora_B.weight";
    let frozen = "self_attn.k_proj.lora_A.weight";
    for (mode, words) in [
        ("nan", vec!["result/adapter_model.safetensors", tensor, "not finite"]),
        ("missing", vec!["result/adapter_model.safetensors", tensor, "missing"]),
        ("shape", vec!["result/adapter_model.safetensors", tensor, "shape [", "gives it rank 2"]),
        ("frozen", vec!["result/adapter_model.safetensors", frozen, "frozen this round"]),
        ("nothing", vec!["result/adapter_config.json"]),
        ("fail", vec!["stand-in-trainer", "exit status: 3", "no GPU left"]),
        ("nan-loss", vec!["stand-in-trainer", "step 1", "not a finite number"]),
        ("inf-loss", vec!["stand-in-trainer", "step 1", "not a finite number"]),
    ] {
        let party = party(&Work::model(), Some(mode), LONG);
        let error = contribute(&party, &CancellationToken::new()).expect_err(mode).to_string();
        for word in words {
            assert!(error.contains(word), "{mode}: {error} should contain {word}");
        }
        assert_eq!(published(&party), 0, "{mode}");
    }
}

#[test]
fn a_program_that_takes_too_long_is_ended_with_its_children() {
    let party = party(&Work::model(), Some("hang"), Duration::from_secs(1));
    let error = contribute(&party, &CancellationToken::new()).expect_err("it hangs").to_string();
    assert!(error.contains("longer than 1 s"), "{error}");
    assert_gone(&party);
}

#[test]
fn a_cancelled_round_ends_the_program_with_its_children() {
    let party = party(&Work::model(), Some("hang"), LONG);
    let cancel = CancellationToken::new();
    let result = std::thread::scope(|scope| {
        let work = scope.spawn(|| contribute(&party, &cancel));
        assert!(eventually(|| child(&party).is_some()), "the program starts");
        cancel.cancel();
        work.join().expect("no panic")
    });
    assert!(matches!(result, Err(PipelineError::Cancelled)));
    assert_gone(&party);
}

/// As another program leaves a file, a while ago.
fn write_data(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the data can be written");
    let file = std::fs::File::options().write(true).open(path).expect("it opens");
    let then = std::time::SystemTime::now() - Duration::from_secs(60);
    file.set_modified(then).expect("a time can be set");
}

#[test]
fn a_round_keeps_the_data_that_it_began_with() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let data = folder.path().join("train.jsonl");
    let shipped = std::fs::read_to_string(&Work::domains()[0]).expect("it reads");
    write_data(&data, &shipped);
    let party = party_on(&data, &Work::model(), Some("keep"), LONG);
    let seen = |round: u64| -> usize {
        contribute_to(&party, Round(round), &CancellationToken::new())
            .expect_err("it only keeps them");
        let kept = party._folder.path().join("examples-seen");
        std::fs::read_to_string(kept).expect("it kept them").lines().count()
    };
    let all = seen(0);
    let half: Vec<&str> = shipped.lines().step_by(2).collect();
    write_data(&data, &(half.join("\n") + "\n"));
    // A second try of the same round, then the next round.
    assert_eq!(seen(0), all);
    let fewer = seen(1);
    assert!(fewer < all * 2 / 3, "{fewer} of {all}");
    write_data(&data, &shipped[..shipped.len() - 20]);
    assert_eq!(seen(2), fewer);
    let broken = party.steps.1.lock().expect("nobody panics with it").pop();
    assert!(matches!(broken, Some(DataLook::Unreadable { .. })), "{broken:?}");
    write_data(&data, &shipped);
    assert_eq!(seen(2), fewer);
    assert_eq!(seen(3), all);
}

/// The id of the process that the stand-in left behind, once it has noted it.
fn child(party: &Party) -> Option<u32> {
    let note = party._folder.path().join("trainer-child");
    std::fs::read_to_string(note).ok()?.parse().ok()
}

#[track_caller]
fn assert_gone(party: &Party) {
    let id = child(party).expect("the child was noted");
    // A zombie that nobody reaps yet has no command line any more.
    let runs = || std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.is_empty());
    assert!(eventually(|| !runs()), "process {id} is still there");
}

#[test]
fn a_loss_of_the_built_in_trainer_that_is_no_number_sends_nothing() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let model = folder.path().join("model");
    let opened = LoadedModel::open(&Work::model()).expect("it reads");
    let mut weights = BaseWeights::read(&opened.config, opened.weights.as_ref()).expect("it reads");
    // Finite, as weights must be to be read, and too large for what is computed from them.
    weights.tensors.get_mut("model.norm.weight").expect("it is there").values.fill(f32::MAX);
    save_base(&model, &weights, Precision::F32).expect("it can be written");
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(Work::model().join(name), model.join(name)).expect("it can be copied");
    }
    let party = party(&model, None, LONG);
    let error = contribute(&party, &CancellationToken::new()).expect_err("it is NaN").to_string();
    assert!(error.contains("loss is not a finite number"), "{error}");
    assert_eq!(published(&party), 0);
}

#[test]
fn a_federation_in_which_one_member_trains_with_a_command_applies_its_rounds() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let stand_in = format!("training.command={},good", env!("CARGO_BIN_EXE_stand-in-trainer"));
    let terms = FederationTerms { members: 3, ..FederationTerms::default() };
    let mut federation = Federation::found_with(&program, &terms, |member| match member {
        1 => vec!["training.trainer=command".to_owned(), stand_in.clone()],
        _ => Vec::new(),
    });
    federation.wait_until_done();
    let reports = federation.rounds();
    for (first, rounds) in reports.iter().map(|rounds| (&reports[0], rounds)) {
        assert_eq!(rounds.len(), 2);
        for (mine, theirs) in rounds.iter().zip(first) {
            assert!(mine.contributors.contains(&"m1".to_owned()), "{:?}", mine.contributors);
            assert_eq!(mine.adapter_digest, theirs.adapter_digest);
        }
        assert_ne!(rounds[0].adapter_digest, rounds[1].adapter_digest);
    }
    // What the stand-in reports as its losses: 2 in its only step.
    assert_eq!(reports[1][0].train_loss, Some(2.0));
    // The adapters that are made at home are the program's work too, one learning rate each.
    let compared = program.run(&federation.daemons[1].home, ["compare", "--json"]).ok();
    let compared: serde_json::Value = serde_json::from_str(&compared).expect("it is JSON");
    for kind in ["alone", "personal"] {
        let steps = compared[kind]["steps"].as_u64();
        assert!(steps.is_some_and(|steps| steps >= 1), "{kind}: {compared}");
    }
    let exported = federation.daemons[0].home.join("exported");
    let to = exported.to_str().expect("the path is text");
    program.run(&federation.daemons[0].home, ["adapter", "export", to]).ok();
    for daemon in &federation.daemons {
        assert_private(&daemon.home);
        assert_free_of_examples(&daemon.home);
    }
}

fn files_and_folders(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if path.is_dir() {
            let entries = std::fs::read_dir(path).expect("the folder reads");
            found.extend(entries.map(|entry| entry.expect("the folder reads").path()));
        }
    }
    found
}

/// No file in a home is readable by other users, whichever library made it.
fn assert_private(home: &Path) {
    let open: Vec<(PathBuf, String)> = files_and_folders(home)
        .into_iter()
        .filter_map(|path| {
            // What is removed meanwhile is nobody's.
            let metadata = std::fs::symlink_metadata(&path).ok()?;
            let mode = metadata.permissions().mode() & 0o777;
            let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
            (mode != wanted).then(|| (path, format!("{mode:o}")))
        })
        .collect();
    assert_eq!(open, [], "not private");
}

/// No training data of a member is in its home in plaintext.
fn assert_free_of_examples(home: &Path) {
    let mut answers = Vec::new();
    for domain in Work::domains() {
        for example in read_examples(&domain, &FieldMap::default()).expect("it reads") {
            // As it stands in a file, and long enough to be nothing else.
            let answer = serde_json::to_string(example.answer()).expect("it is text");
            if answer.len() > 24 {
                answers.push(answer.trim_matches('"').to_owned());
            }
        }
    }
    assert!(answers.len() > 50, "{}", answers.len());
    for path in files_and_folders(home).iter().filter(|path| path.is_file()) {
        let bytes = std::fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let found = answers.iter().find(|answer| text.contains(answer.as_str()));
        assert_eq!(found, None, "{} holds training data", path.display());
    }
}

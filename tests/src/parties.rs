//! Members as pipelines of the daemon's library, without network and protocol: a test host runs
//! their jobs and copies objects from one to the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fedshield_fixtures::{long_deadlines, real};
use fedshield_protocol::ids::{Digest, MemberIndex};
use fedshield_protocol::job::{Job, JobOutput, RoundStart};
use fedshield_protocol::manifest::{
    Adapter, Encryption, Manifest, Member, Pruning, Training, ValidManifest, Weights,
};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::CommitmentBody;
use fedshieldd::identity::{Identity, Protection, SecretStore};
use fedshieldd::jobs::{Observer, Pipeline};
use fedshieldd::learning::{ComputeDevice, Learning, LearningSources, OpenedModel};
use fedshieldd::objects::Objects;
use fedshieldd::terms::MemberTerms;
use tokio_util::sync::CancellationToken;

use crate::Work;

/// Ignores the progress of jobs.
struct NoObserver;

impl Observer for NoObserver {}

/// One member: its pipeline and what the test host reads.
pub struct Party {
    /// Runs its jobs.
    pub pipeline: Pipeline,
    /// The objects that it stores, its own and others'.
    pub objects: Arc<Objects>,
    /// Its encrypted secrets.
    pub secrets: Arc<SecretStore>,
    learning: Arc<Learning>,
    folder: PathBuf,
}

impl Party {
    /// Its home: everything that it has on disk.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.folder.parent().expect("the folder of the pipeline is in the home")
    }

    /// The pipeline of another incarnation, on the same disk.
    pub fn restarted(&self) -> Pipeline {
        self.observed(Arc::new(NoObserver))
    }

    /// The same with an observer of its jobs.
    ///
    /// # Panics
    /// If the pipeline does not open.
    pub fn observed(&self, observer: Arc<dyn Observer>) -> Pipeline {
        let (terms, learning) = (self.pipeline.terms().clone(), Arc::clone(&self.learning));
        let (objects, secrets) = (Arc::clone(&self.objects), Arc::clone(&self.secrets));
        Pipeline::open(terms, learning, objects, secrets, self.folder.clone(), observer)
            .expect("the pipeline opens")
    }
}

/// The fixtures' manifest with a model and keys that a pipeline can work with.
fn manifest(base_model: Digest, count: u16) -> Manifest {
    let fixture = fedshield_fixtures::manifest(count);
    // Three of four, five of seven.
    let quorum = count - (count - 1) / 3;
    let sealing_key = |index: usize| vec![index as u8; fedshield_he::SEALING_PUBLIC_LEN];
    // Each member's weight is one more than that of the member before.
    let weight = |index: usize| index as u32 + 1;
    let member = |(index, member)| Member {
        sealing_key: sealing_key(index),
        weight: weight(index),
        ..member
    };
    Manifest {
        rounds: 4,
        min_contributors: quorum,
        committee_size: quorum,
        base_model,
        weights: Some(Weights::Declared),
        adapter: Adapter {
            rank: 2,
            alpha: 4,
            target_modules: vec!["q_proj".to_owned(), "v_proj".to_owned()],
            first: None,
            rslora: false,
        },
        training: Training {
            steps_per_round: 1,
            batch_size: 2,
            sequence_length: 64,
            learning_rate: real(1e-2),
            learning_rate_final: real(1e-3),
            ..fixture.training
        },
        pruning: Pruning { initial: real(0.2), end_round: 4, ..fixture.pruning },
        encryption: Encryption { clip: real(1.0), ..fixture.encryption },
        deadlines: long_deadlines(),
        members: fixture.members.into_iter().enumerate().map(member).collect(),
        ..fixture
    }
}

/// One member of a federation of so many whose manifest `change` has changed.
pub fn party(folder: &Path, members: u16, index: u16, change: impl FnOnce(&mut Manifest)) -> Party {
    let domains = Work::domains();
    let sources = LearningSources {
        model: Work::model(),
        train: vec![domains[usize::from(index) % domains.len()].clone()],
        held_out: Vec::new(),
        spill: None,
        held_out_fraction: 0.1,
        test: Vec::new(),
        test_fraction: 0.0,
        device: ComputeDevice::Cpu,
        gradient_checkpointing: false,
        packing: true,
        ..LearningSources::default()
    };
    let model = OpenedModel::open(sources).expect("the model reads");
    let mut manifest = manifest(model.digest(), members);
    change(&mut manifest);
    let valid = ValidManifest::check(manifest).expect("the manifest is valid");
    let terms = MemberTerms::new(&valid, MemberIndex(index)).expect("the terms are known");
    let learning = Arc::new(model.prepare(&terms).expect("the data reads"));
    let home = folder.join(index.to_string());
    std::fs::create_dir(&home).expect("a folder can be made");
    let identity = Identity::create(&home.join("identity.key"), &Protection::None)
        .expect("an identity can be made");
    let secrets =
        Arc::new(SecretStore::open(&home.join("secrets"), &identity).expect("secrets can be kept"));
    let objects = Arc::new(Objects::open(&home.join("objects")).expect("objects can be kept"));
    let (kept, sealed, at) = (Arc::clone(&objects), Arc::clone(&secrets), home.join("training"));
    let (shared, folder) = (Arc::clone(&learning), at.clone());
    let pipeline = Pipeline::open(terms, shared, kept, sealed, at, Arc::new(NoObserver))
        .expect("the pipeline opens");
    Party { pipeline, objects, secrets, learning, folder }
}

/// Runs one job of a member, which must succeed.
pub fn run(party: &Party, job: Job) -> JobOutput {
    party.pipeline.run(&job, &CancellationToken::new()).expect("the job succeeds")
}

/// A member's own part of a round: encrypts its update, then seals its key shares to `keys`, the
/// sealing keys of the round.
pub fn contribution(party: &Party, start: &RoundStart, keys: &[Vec<u8>]) -> CommitmentBody {
    assert_eq!(run(party, Job::Contribute { start: *start }), JobOutput::Encrypted);
    let sealing_keys = keys.iter().cloned().map(Some).collect();
    match run(party, Job::SealShares { round: start.round, sealing_keys }) {
        JobOutput::Contribution(body) => body,
        other => panic!("{other:?}"),
    }
}

/// Copies an object to all members.
pub fn carry(parties: &[Party], from: usize, object: &ObjectRef) {
    let bytes = parties[from].objects.read(object).expect("the object is there");
    for party in parties {
        assert_eq!(party.objects.put(&bytes).expect("it can be kept"), *object);
    }
}

/// A federation of so many members, with their homes in `folder`.
pub fn parties(folder: &Path, members: u16) -> Vec<Party> {
    (0..members).map(|index| party(folder, members, index, |_| ())).collect()
}

//! The opened sum is the plain sum of the quantised updates.
//!
//! A test host runs the daemon's pipelines of four members and carries their objects from one to the other. As it holds
//! all four homes, it can do what no coalition of fewer than the threshold can: open each single update, too.

use std::path::Path;
use std::sync::Arc;

use fedshield_fixtures::{long_deadlines, members, real, terms};
use fedshield_he::{
    ContributorSet, SealingKeyPair, ShareCommitment, aggregate, combine, decrypt_to_vec,
    open_share, partial_decrypt,
};
use fedshield_protocol::ids::{Digest, MemberIndex, Round};
use fedshield_protocol::job::{Combined, CommitmentBody, Included, Job, JobOutput, RoundStart};
use fedshield_protocol::manifest::{
    Adapter, Encryption, Manifest, Pruning, Training, ValidManifest,
};
use fedshield_protocol::object::ObjectRef;
use fedshield_tests::Work;
use fedshieldd::host::Cancel;
use fedshieldd::identity::{Identity, Protection, SecretStore};
use fedshieldd::objects::Objects;
use fedshieldd::pipeline::{LearningSources, NoObserver, OpenedModel, Pipeline, Terms};

const MEMBERS: u16 = 4;

/// One member: its pipeline and what the test host looks at.
struct Party {
    pipeline: Pipeline,
    objects: Arc<Objects>,
    secrets: Arc<SecretStore>,
}

fn manifest(base_model: Digest) -> Manifest {
    let mut members = members(MEMBERS);
    for member in &mut members {
        member.sealing_key.resize(fedshield_he::SEALING_PUBLIC_LEN, 0);
    }
    let terms = terms();
    Manifest {
        rounds: 4,
        weight_cap: 600,
        base_model,
        adapter: Adapter {
            rank: 2,
            alpha: 4,
            target_modules: vec!["q_proj".to_owned(), "v_proj".to_owned()],
        },
        training: Training {
            steps_per_round: 1,
            batch_size: 2,
            sequence_length: 64,
            learning_rate: real(1e-2),
            learning_rate_final: real(1e-3),
            ..terms.training
        },
        pruning: Pruning { initial: real(0.2), end_round: 4, ..terms.pruning },
        encryption: Encryption { clip: real(1.0), ..terms.encryption },
        deadlines: long_deadlines(),
        members,
        ..terms
    }
}

fn party(folder: &Path, index: u16) -> Party {
    let sources = LearningSources {
        model: Work::model(),
        train: vec![Work::domains()[usize::from(index)].clone()],
        held_out: Vec::new(),
        held_out_fraction: 0.1,
    };
    let model = OpenedModel::open(sources).expect("the model reads");
    let valid = ValidManifest::check(manifest(model.digest())).expect("the manifest is valid");
    let terms = Terms::new(&valid, MemberIndex(index)).expect("the terms are known");
    let learning = Arc::new(model.prepare(&terms).expect("the data reads"));
    let home = folder.join(index.to_string());
    std::fs::create_dir(&home).expect("a folder can be made");
    let identity = Identity::create(&home.join("identity.key"), &Protection::None)
        .expect("an identity can be made");
    let secrets =
        Arc::new(SecretStore::open(&home.join("secrets"), &identity).expect("secrets can be kept"));
    let objects = Arc::new(Objects::open(&home.join("objects")).expect("objects can be kept"));
    let (kept, sealed) = (Arc::clone(&objects), Arc::clone(&secrets));
    let pipeline =
        Pipeline::open(terms, learning, kept, sealed, home.join("training"), Arc::new(NoObserver))
            .expect("the pipeline opens");
    Party { pipeline, objects, secrets }
}

fn run(party: &Party, job: Job) -> JobOutput {
    party.pipeline.run(&job, &Cancel::default()).expect("the job succeeds")
}

/// Carries an object to everybody.
fn carry(parties: &[Party], from: usize, object: &ObjectRef) {
    let bytes = parties[from].objects.read(object).expect("the object is there");
    for party in parties {
        assert_eq!(party.objects.put(&bytes).expect("it can be kept"), *object);
    }
}

/// Opens the update of one contributor alone, with all members' sealing keys: the values as they were quantised.
fn open_single(parties: &[Party], start: &RoundStart, included: &Included, count: u64) -> Vec<i64> {
    let terms = parties[0].pipeline.terms();
    let context = terms.context(start.round);
    let author = included.member.share_index();
    let commitment =
        ShareCommitment::from_bytes(&context, author, terms.sharing(), &included.body.shares)
            .expect("the commitment reads");
    let set = ContributorSet::new(&context, 1, [(author, commitment.digest(&context))])
        .expect("a set of one");
    let answers: Vec<_> = (1..=MEMBERS)
        .zip(parties)
        .map(|(member, party)| {
            let names = party.secrets.names("sealing-").expect("names can be listed");
            let newest = names.last().expect("there is a key");
            let secret = party.secrets.get(newest).expect("it opens").expect("it is there");
            let secret = secret.as_slice().try_into().expect("32 bytes");
            let keys = SealingKeyPair::from_secret(secret);
            let sealed = party
                .objects
                .read(&included.body.boxes[usize::from(member - 1)])
                .expect("the box is there");
            let share = open_share(&context, &commitment, member, &keys, &sealed)
                .expect("the share is valid");
            partial_decrypt(&context, &set, member, &[share]).expect("an answer")
        })
        .collect();
    let ciphertext = parties[0].objects.read(&included.body.ciphertext).expect("it is there");
    let mut sum = Vec::new();
    aggregate(&context, &set, count, [(author, ciphertext.as_slice())], &mut sum)
        .expect("a sum of one");
    let limits = (terms.rules.threshold, terms.rules.max_faulty);
    let combined =
        combine(&context, &set, limits, &answers, count, sum.as_slice()).expect("it opens");
    decrypt_to_vec(&context, &set, &combined.key, count, sum.as_slice()).expect("it decrypts").0
}

#[test]
fn the_opened_sum_is_the_plain_sum_of_the_quantised_updates() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties: Vec<Party> = (0..MEMBERS).map(|index| party(folder.path(), index)).collect();
    let mut adapter = None;
    // Two rounds: one for each factor. The third is pruned.
    for applied in 0..3 {
        let start =
            RoundStart { round: Round(applied), applied, beacon: Digest([applied as u8 + 3; 32]) };
        let next = one_round(&parties, &start);
        assert_ne!(adapter, Some(next));
        adapter = Some(next);
    }
}

fn one_round(parties: &[Party], start: &RoundStart) -> ObjectRef {
    let sealing_keys: Vec<Vec<u8>> = parties
        .iter()
        .map(|party| match run(party, Job::MakeSealingKey { round: start.round }) {
            JobOutput::SealingKey(key) => key,
            other => panic!("{other:?}"),
        })
        .collect();
    let bodies: Vec<CommitmentBody> = parties
        .iter()
        .map(|party| {
            let job = Job::Contribute { start: *start, sealing_keys: sealing_keys.clone() };
            match run(party, job) {
                JobOutput::Contribution(body) => body,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    let set: Vec<Included> = (0..MEMBERS)
        .zip(bodies)
        .map(|(member, body)| Included {
            member: MemberIndex(member),
            commitment: Digest([member as u8; 32]),
            body,
        })
        .collect();
    for included in &set {
        carry(parties, included.member.position(), &included.body.ciphertext);
        for sealed in &included.body.boxes {
            carry(parties, included.member.position(), sealed);
        }
    }
    for party in parties {
        for dealer in &set {
            let job = Job::CheckShare { round: start.round, dealer: dealer.clone() };
            assert_eq!(run(party, job), JobOutput::Checked { valid: true });
        }
    }
    let job = Job::Aggregate { start: *start, set: set.clone() };
    let JobOutput::Aggregated(sum) = run(&parties[0], job.clone()) else { panic!("no aggregate") };
    assert_eq!(run(&parties[3], job), JobOutput::Aggregated(sum), "addition is deterministic");
    carry(parties, 0, &sum);
    let mut partials = Vec::new();
    for (position, party) in parties.iter().enumerate() {
        let job = Job::PartialDecrypt { round: start.round, set: set.clone() };
        let JobOutput::Partial(object) = run(party, job) else { panic!("no answer") };
        carry(parties, position, &object);
        partials.push((MemberIndex(position as u16), object));
    }
    let mut adapters = Vec::new();
    for (position, party) in parties.iter().enumerate() {
        // Another three of the four answers at each member: all open the same sum.
        let answers = partials.iter().filter(|(member, _)| member.position() != position);
        let job = Job::Combine {
            start: *start,
            set: set.clone(),
            aggregate: sum,
            partials: answers.copied().collect(),
        };
        let JobOutput::Combined(Combined::Opened { sum: digest, .. }) = run(party, job) else {
            panic!("not opened");
        };
        let job = Job::Apply { start: *start, set: set.clone(), sum: digest };
        let JobOutput::Applied(applied) = run(party, job) else { panic!("not applied") };
        assert!(applied.accepted);
        adapters.push(applied.adapter);
    }
    assert!(adapters.iter().all(|adapter| *adapter == adapters[0]), "one adapter, bit for bit");

    let opened = parties[0].pipeline.opened_sum(start.round).expect("the sum is there").values;
    let mut plain = vec![0; opened.len()];
    for included in &set {
        let single = open_single(parties, start, included, opened.len() as u64);
        assert!(single.iter().any(|value| *value != 0), "an update of nothing proves nothing");
        for (total, value) in plain.iter_mut().zip(single) {
            *total += value;
        }
    }
    assert_eq!(opened, plain);
    for party in parties {
        let fate = Some(fedshield_protocol::job::Fate::Spent);
        run(party, Job::Settle { round: start.round, fate });
        let names = party.secrets.names("round-").expect("names can be listed");
        assert!(names.is_empty(), "the round's secrets are gone: {names:?}");
    }
    adapters[0]
}

//! The opened sum is the plain sum of the quantised updates.
//!
//! A test host runs the daemon's pipelines of four members and carries their objects from one to
//! the other. As it holds all four homes, it can do what no coalition of fewer than the threshold
//! can: open each single update, too.

use fedshield_he::{
    ContributorSet, SealingKeyPair, ShareCommitment, aggregate, combine, open_share,
    partial_decrypt,
};
use fedshield_protocol::ids::{Beacon, CommitmentDigest, MemberIndex, Round};
use fedshield_protocol::job::{Combined, Included, Job, JobOutput, RoundStart};
use fedshield_protocol::manifest::Algorithm;
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::{CommitmentBody, UpdateSet};
use fedshield_tests::{Party, Work, carry, contribution, parties, party, run};
use fedshield_train::federated::{AdapterLayout, Factor, GlobalAdapter};
use fedshield_train::load::open_config;
use fedshieldd::encryption::share_index;
use tokio_util::sync::CancellationToken;

const MEMBERS: u16 = 4;

/// Opens the update of one contributor alone, with all members' sealing keys: the values as they
/// were quantised.
fn open_single(parties: &[Party], start: &RoundStart, included: &Included, count: u64) -> Vec<i64> {
    let terms = parties[0].pipeline.terms();
    let context = terms.context(start.round);
    let (contributor, sharing) = (share_index(included.member), terms.sharing);
    let shares = &included.body.shares;
    let commitment = ShareCommitment::from_bytes(&context, contributor, sharing.sharing(), shares)
        .expect("the commitment reads");
    let set = ContributorSet::new(&context, 1, [(contributor, commitment.id(&context))])
        .expect("a set of one");
    let answers: Vec<_> = (0..MEMBERS)
        .zip(parties)
        .map(|(member, party)| {
            let secret = party.secrets.get_in_round(start.round, "sealing-key");
            let secret = secret.expect("it opens").expect("it is there");
            let secret = secret.as_slice().try_into().expect("32 bytes");
            let keys = SealingKeyPair::from_secret(secret);
            let sealed = party
                .objects
                .read(
                    &included.body.sealed_shares[usize::from(member)]
                        .expect("there is a sealed share"),
                )
                .expect("the sealed share is there");
            let member = share_index(MemberIndex(member));
            let share = open_share(&context, &commitment, member, &keys, &sealed)
                .expect("the share is valid");
            partial_decrypt(&context, &set, member, &[share]).expect("an answer")
        })
        .collect();
    let ciphertext = parties[0].objects.read(&included.body.ciphertext).expect("it is there");
    let mut sum = Vec::new();
    aggregate(&context, &set, count, [(contributor, ciphertext.as_slice())], &mut sum)
        .expect("a sum of one");
    let mut values = Vec::new();
    // Its own range, which its weight makes: what an honest member sends lies in it.
    let shape = terms.sum_shape([included.member], start.applied, count);
    let opened = combine(&context, &set, sharing, &answers, shape, sum.as_slice(), |block| {
        values.extend_from_slice(block);
        Ok(())
    })
    .expect("it opens");
    assert_eq!(opened.summary.out_of_range, 0);
    values
}

#[test]
fn the_opened_sum_is_the_plain_sum_of_the_quantised_updates() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), MEMBERS);
    let mut adapter = None;
    // Two rounds: one for each factor. The third is pruned.
    for applied in 0..3 {
        let start = RoundStart {
            round: Round(applied),
            applied,
            beacon: Beacon([applied as u8 + 3; 32]),
            stopped: None,
        };
        let next = one_round(&parties, &start, &|_| ());
        assert_ne!(adapter, Some(next));
        adapter = Some(next);
    }
}

/// What a member's training made of all factors, as it is kept until its update is spent: the values
/// stand at the end.
fn trained(party: &Party, values: usize) -> Vec<f32> {
    let bytes = party.secrets.get("trained").expect("it decrypts").expect("it is there");
    let words = bytes[bytes.len() - 4 * values..].chunks_exact(4);
    words.map(|word| f32::from_le_bytes(word.try_into().expect("four bytes"))).collect()
}

/// A at one learning rate and B at sixteen times it: what is applied is the weighted mean of what
/// the members learned, to a quantum of each factor.
#[test]
fn the_mean_of_both_factors_is_as_precise_as_their_own_rates() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties: Vec<Party> = (0..MEMBERS)
        .map(|index| {
            party(folder.path(), MEMBERS, index, |manifest| {
                manifest.training.algorithm = Algorithm::Fedit;
                manifest.training.rate_ratio = fedshield_fixtures::real(16.0);
            })
        })
        .collect();
    let config = open_config(&Work::model()).expect("the model reads");
    let spec = &parties[0].pipeline.terms().settings.adapter;
    let layout = AdapterLayout::new(&config, spec).expect("it fits");
    let values = layout.len(Factor::A) + layout.len(Factor::B);
    let learned = std::cell::RefCell::new(Vec::new());
    let note = |party: &Party| learned.borrow_mut().push(trained(party, values));
    let start = RoundStart { round: Round(0), applied: 0, beacon: Beacon([3; 32]), stopped: None };
    let object = one_round(&parties, &start, &note);
    let bytes = parties[0].objects.read(&object).expect("the adapter is there");
    let next = GlobalAdapter::from_bytes(&bytes).expect("it reads");
    let terms = parties[0].pipeline.terms();
    let first = GlobalAdapter::new(layout, &terms.settings, terms.federation.0);
    let members = (0..MEMBERS).map(MemberIndex);
    let weights: Vec<f64> =
        members.clone().map(|it| f64::from(terms.manifest.weight_of(it))).collect();
    let all = terms.weight_sum(members);
    let bounds = first.bounds(&terms.settings);
    let mut place = 0;
    for factor in [Factor::A, Factor::B] {
        // Each member rounds once.
        let quanta = f64::from(MEMBERS) / (terms.scale(0) * all as f64);
        let most = quanta * terms.settings.unit(0, factor) + 1e-9;
        let pairs = next.values(factor).iter().zip(first.values(factor));
        for (value, before) in pairs {
            let clip = bounds.clip(place);
            let mean: f64 = learned
                .borrow()
                .iter()
                .zip(&weights)
                .map(|(theta, weight)| {
                    weight * f64::from((theta[place] - before).clamp(-clip, clip))
                })
                .sum::<f64>()
                / all as f64;
            let error = (f64::from(value - before) - mean).abs();
            assert!(error <= most, "{factor:?} {place}: {error} above {most}");
            place += 1;
        }
    }
}

/// `before_settling` sees each member when the sum is applied and its update not yet spent.
fn one_round(parties: &[Party], start: &RoundStart, before_settling: &dyn Fn(&Party)) -> ObjectRef {
    let sealing_keys: Vec<Vec<u8>> = parties
        .iter()
        .map(|party| match run(party, Job::MakeSealingKey { round: start.round }) {
            JobOutput::SealingKey(key) => key,
            other => panic!("{other:?}"),
        })
        .collect();
    let bodies: Vec<CommitmentBody> =
        parties.iter().map(|party| contribution(party, start, &sealing_keys)).collect();
    let set: Vec<Included> = (0..MEMBERS)
        .zip(bodies)
        .map(|(member, body)| Included {
            member: MemberIndex(member),
            commitment: CommitmentDigest([member as u8; 32]),
            body,
        })
        .collect();
    for included in &set {
        carry(parties, included.member.position(), &included.body.ciphertext);
        for sealed in included.body.sealed_shares.iter().flatten() {
            carry(parties, included.member.position(), sealed);
        }
    }
    for party in parties {
        for dealer in &set {
            let job = Job::CheckShare { round: start.round, update: dealer.clone() };
            assert_eq!(run(party, job), JobOutput::Checked { valid: true });
        }
    }
    let add = Job::Aggregate { start: *start, set: set.clone() };
    let JobOutput::Aggregated(sum) = run(&parties[0], add.clone()) else { panic!("no aggregate") };
    assert_eq!(
        run(&parties[3], add.clone()),
        JobOutput::Aggregated(sum),
        "addition is deterministic"
    );
    carry(parties, 0, &sum);
    let mut partials = Vec::new();
    for (position, party) in parties.iter().enumerate() {
        let job = Job::PartialDecrypt { round: start.round, set: set.clone() };
        let JobOutput::Partial(object) = run(party, job) else { panic!("no answer") };
        carry(parties, position, &object);
        partials.push((MemberIndex(position as u16), object));
    }
    let mut adapters = Vec::new();
    let names: UpdateSet = set.iter().map(|it| (it.member, it.commitment)).collect();
    for (position, party) in parties.iter().enumerate() {
        // Another three of the four answers at each member: all open the same sum.
        let answers = partials.iter().filter(|(member, _)| member.position() != position);
        let open = Job::Combine {
            start: *start,
            set: names.clone(),
            aggregate: sum,
            partials: answers.copied().collect(),
        };
        let opened = run(party, open.clone());
        let JobOutput::Combined(Combined::Opened { sum: digest, .. }) = &opened else {
            panic!("not opened");
        };
        let apply = Job::Apply { start: *start, set: names.clone(), sum: *digest };
        let JobOutput::Applied(applied) = run(party, apply.clone()) else { panic!("not applied") };
        assert!(applied.accepted);
        // A crash before the record is there: another incarnation does it again, from the adapter
        // before.
        let again = party.restarted();
        let first_time = JobOutput::Applied(applied.clone());
        for (job, output) in
            [(add.clone(), JobOutput::Aggregated(sum)), (open, opened), (apply, first_time)]
        {
            let result = again.run(&job, &CancellationToken::new());
            assert_eq!(result.expect("the job succeeds again"), output);
        }
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
        before_settling(party);
        let fate = Some(fedshield_protocol::job::Fate::Spent);
        run(party, Job::Settle { round: start.round, fate });
        let names = party.secrets.names("wrapped-").expect("names can be listed");
        assert!(names.is_empty(), "the round's secrets are gone: {names:?}");
    }
    adapters[0]
}

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
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::{CommitmentBody, UpdateSet};
use fedshield_tests::{Party, carry, contribution, parties, run};
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
        let fate = Some(fedshield_protocol::job::Fate::Spent);
        run(party, Job::Settle { round: start.round, fate });
        let names = party.secrets.names("wrapped-").expect("names can be listed");
        assert!(names.is_empty(), "the round's secrets are gone: {names:?}");
    }
    adapters[0]
}

//! Lying contributors and lying members, against the daemon's own pipelines: complaints, answers, the set, wrong partial
//! decryptions, keys that belong to no ciphertext. Every honest member opens the true sum or none.

use fedshield_he::{SealingPublicKey, Update, commit_key, encrypt};
use fedshield_protocol::ids::{Digest, MemberIndex, Round};
use fedshield_protocol::job::{Combined, CommitmentBody, Included, Job, JobOutput, RoundStart};
use fedshield_protocol::object::ObjectRef;
use fedshield_tests::{Party, carry, parties, run};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const START: RoundStart = RoundStart { round: Round(0), applied: 0, beacon: Digest([3; 32]) };

fn sealing_keys(parties: &[Party]) -> Vec<Vec<u8>> {
    let key = |party| match run(party, Job::MakeSealingKey { round: START.round }) {
        JobOutput::SealingKey(key) => key,
        other => panic!("{other:?}"),
    };
    parties.iter().map(key).collect()
}

/// Everyone's honest contribution, ciphertexts carried to all.
fn contributions(parties: &[Party], keys: &[Vec<u8>]) -> Vec<Included> {
    let contribute = |(index, party): (usize, &Party)| {
        let job = Job::Contribute { start: START, sealing_keys: keys.to_vec() };
        let JobOutput::Contribution(body) = run(party, job) else { panic!("no contribution") };
        carry(parties, index, &body.ciphertext);
        let member = MemberIndex(index as u16);
        Included { member, commitment: Digest([index as u8; 32]), body }
    };
    parties.iter().enumerate().map(contribute).collect()
}

fn carry_boxes(parties: &[Party], dealer: &Included) {
    for sealed in &dealer.body.boxes {
        carry(parties, dealer.member.position(), sealed);
    }
}

/// Commits to bytes that are no box in place of the one for `victim`.
fn spoil_box(parties: &[Party], dealer: &mut Included, victim: usize) {
    let objects = &parties[dealer.member.position()].objects;
    let mut sealed = objects.read(&dealer.body.boxes[victim]).expect("the box is there");
    sealed[2000] ^= 1;
    dealer.body.boxes[victim] = objects.put(&sealed).expect("it can be kept");
}

fn share_is_valid(party: &Party, dealer: &Included) -> bool {
    let job = Job::CheckShare { round: START.round, dealer: dealer.clone() };
    let JobOutput::Checked { valid } = run(party, job) else { panic!("not checked") };
    valid
}

/// The dealer's true answer to a complaint of `member`.
fn reveal(parties: &[Party], dealer: &Included, member: usize) -> Vec<u8> {
    let member = MemberIndex(member as u16);
    let job = Job::RevealShare { round: START.round, member };
    let party = &parties[dealer.member.position()];
    let JobOutput::Preimage(preimage) = run(party, job) else { panic!("nothing revealed") };
    preimage
}

fn answer_is_valid(party: &Party, dealer: &Included, member: usize, preimage: &[u8]) -> bool {
    let (dealer, member) = (dealer.clone(), MemberIndex(member as u16));
    let job =
        Job::CheckPreimage { round: START.round, dealer, member, preimage: preimage.to_vec() };
    let JobOutput::Checked { valid } = run(party, job) else { panic!("not checked") };
    valid
}

fn aggregate(parties: &[Party], set: &[Included]) -> ObjectRef {
    let job = Job::Aggregate { start: START, set: set.to_vec() };
    let JobOutput::Aggregated(sum) = run(&parties[0], job) else { panic!("no aggregate") };
    carry(parties, 0, &sum);
    sum
}

/// Everyone's true answer, carried to all.
fn answers(parties: &[Party], set: &[Included]) -> Vec<(MemberIndex, ObjectRef)> {
    let answer = |(position, party): (usize, &Party)| {
        let job = Job::PartialDecrypt { round: START.round, set: set.to_vec() };
        let JobOutput::Partial(object) = run(party, job) else { panic!("no answer") };
        carry(parties, position, &object);
        (MemberIndex(position as u16), object)
    };
    parties.iter().enumerate().map(answer).collect()
}

/// Replaces a member's answer by a changed one that reads like an answer, or by one that does not.
fn lie(parties: &[Party], answer: &mut (MemberIndex, ObjectRef), readable: bool) {
    let position = answer.0.position();
    let objects = &parties[position].objects;
    let mut bytes = objects.read(&answer.1).expect("the answer is there");
    if readable {
        // The lower half of the value in the middle: at most 0x00ff, so it stays in the field.
        let at = (bytes.len() / 2) & !1;
        (bytes[at], bytes[at + 1]) = (bytes[at] ^ 1, 0);
    } else {
        bytes.pop();
    }
    answer.1 = objects.put(&bytes).expect("it can be kept");
    carry(parties, position, &answer.1);
}

fn combine(
    party: &Party,
    set: &[Included],
    aggregate: ObjectRef,
    partials: &[(MemberIndex, ObjectRef)],
) -> Combined {
    let job =
        Job::Combine { start: START, set: set.to_vec(), aggregate, partials: partials.to_vec() };
    let JobOutput::Combined(combined) = run(party, job) else { panic!("no combination") };
    combined
}

/// Seven members, two of them faulty. At once: dealer 6 seals rubbish to member 0 and owns up when asked; dealer 5 seals
/// rubbish to member 1 and answers the complaint with a lie; member 5 releases a wrong partial decryption.
#[test]
fn lies_of_contributors_and_members_at_once() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 7);
    let mut all = contributions(&parties, &sealing_keys(&parties));
    spoil_box(&parties, &mut all[6], 0);
    spoil_box(&parties, &mut all[5], 1);
    all.iter().for_each(|dealer| carry_boxes(&parties, dealer));

    for (position, party) in parties.iter().enumerate() {
        for (dealer, included) in all.iter().enumerate() {
            let spoiled = (dealer, position) == (6, 0) || (dealer, position) == (5, 1);
            assert_eq!(share_is_valid(party, included), !spoiled, "{dealer} to {position}");
        }
    }
    // Complaint and answer: the true preimage clears dealer 6 everywhere, a changed one clears nobody anywhere.
    let truth = reveal(&parties, &all[6], 0);
    let mut lies = reveal(&parties, &all[5], 1);
    let last = lies.len() - 40;
    lies[last] ^= 1;
    let other = reveal(&parties, &all[5], 2);
    for party in &parties {
        assert!(answer_is_valid(party, &all[6], 0, &truth));
        assert!(!answer_is_valid(party, &all[5], 1, &lies));
        assert!(!answer_is_valid(party, &all[5], 1, &other), "another member's share");
        assert!(!answer_is_valid(party, &all[5], 1, &[]), "no preimage");
    }
    assert!(share_is_valid(&parties[0], &all[6]), "the answer in clear is member 0's share now");
    assert!(!share_is_valid(&parties[1], &all[5]));

    // What every honest member can report: all but dealer 5.
    let set: Vec<Included> = all.iter().filter(|i| i.member.0 != 5).cloned().collect();
    let sum = aggregate(&parties, &set);
    let honest = answers(&parties, &set);
    let Combined::Opened { sum: truth, culprits, .. } = combine(&parties[0], &set, sum, &honest)
    else {
        panic!("honest answers open")
    };
    assert!(culprits.is_empty());
    let mut answers = honest.clone();
    lie(&parties, &mut answers[5], true);
    for party in &parties {
        // Five of seven are needed. Four true answers and a lie open nothing.
        let few = [&answers[..4], &answers[5..6]].concat();
        assert_eq!(combine(party, &set, sum, &few), Combined::NotYet);
        let Combined::Opened { sum: opened, culprits, .. } = combine(party, &set, sum, &answers)
        else {
            panic!("six true answers open")
        };
        assert_eq!(opened, truth, "the sum is the sum");
        assert_eq!(culprits, [MemberIndex(5)], "and the liar has a name");
    }
    // One more answer that is none: the sum opens still, but too few agree to prove who lied.
    lie(&parties, &mut answers[6], false);
    let combined = combine(&parties[2], &set, sum, &answers);
    assert!(
        matches!(&combined, Combined::Opened { sum, culprits, .. } if *sum == truth && culprits.is_empty()),
        "{combined:?}"
    );
}

/// Dealt well, but not the key of the ciphertext. No member can see it before the end: the sum never opens.
#[test]
fn a_key_that_does_not_match_its_ciphertext_voids_the_sum() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 4);
    let keys = sealing_keys(&parties);
    let mut all = contributions(&parties, &keys);
    all[2].body = with_another_key(&parties[2], &all[2].body, &keys);
    all.iter().for_each(|dealer| carry_boxes(&parties, dealer));
    for party in &parties {
        assert!(all.iter().all(|dealer| share_is_valid(party, dealer)));
    }
    let sum = aggregate(&parties, &all);
    let answers = answers(&parties, &all);
    for party in &parties {
        assert_eq!(combine(party, &all, sum, &answers), Combined::NotYet);
        party.pipeline.opened_sum(START.round).expect_err("nothing was opened");
    }
}

/// The same ciphertext, with a dealing of a key that encrypted something else.
fn with_another_key(party: &Party, body: &CommitmentBody, keys: &[Vec<u8>]) -> CommitmentBody {
    let terms = party.pipeline.terms();
    let context = terms.context(START.round);
    let sender = terms.me.share_index();
    let mut rng = ChaCha8Rng::from_seed([8; 32]);
    let update = Update { values: &[0.5; 10], scale: 1.0, weight: 1, nonce: &[1; 32] };
    let (key, _) =
        encrypt(&context, sender, &update, &mut rng, &mut Vec::new()).expect("the update is valid");
    let receivers: Vec<SealingPublicKey> = (1..)
        .zip(keys)
        .map(|(member, key)| SealingPublicKey::from_bytes(member, key).expect("a sealing key"))
        .collect();
    let (threshold, root) = (terms.rules.threshold, &body.ciphertext.root.0);
    let dealt = commit_key(&context, sender, threshold, &receivers, key, root, &mut rng)
        .expect("it can be dealt");
    let boxes = dealt.boxes.iter().map(|b| party.objects.put(b).expect("it can be kept"));
    CommitmentBody {
        boxes: boxes.collect(),
        shares: dealt.commitment.to_bytes(&context),
        ..body.clone()
    }
}

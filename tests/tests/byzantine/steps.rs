//! The jobs of a round as these tests run them, and the changes of a Byzantine member.

use fedshield_protocol::ids::{Beacon, CommitmentDigest, MemberIndex, Round, SumDigest};
use fedshield_protocol::job::{Combined, Included, Job, JobOutput, RoundStart};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::UpdateSet;
use fedshield_tests::{Party, carry, contribution, run};

pub(crate) const START: RoundStart =
    RoundStart { round: Round(0), applied: 0, beacon: Beacon([3; 32]), stopped: None };

pub(crate) fn sealing_keys(parties: &[Party]) -> Vec<Vec<u8>> {
    let key = |party| match run(party, Job::MakeSealingKey { round: START.round }) {
        JobOutput::SealingKey(key) => key,
        other => panic!("{other:?}"),
    };
    parties.iter().map(key).collect()
}

/// Everyone's honest contribution, ciphertexts carried to all.
pub(crate) fn contributions(parties: &[Party], keys: &[Vec<u8>]) -> Vec<Included> {
    let contribute = |(index, party): (usize, &Party)| {
        let body = contribution(party, &START, keys);
        carry(parties, index, &body.ciphertext);
        let member = MemberIndex(index as u16);
        Included { member, commitment: CommitmentDigest([index as u8; 32]), body }
    };
    parties.iter().enumerate().map(contribute).collect()
}

pub(crate) fn carry_sealed_shares(parties: &[Party], dealer: &Included) {
    for sealed in dealer.body.sealed_shares.iter().flatten() {
        carry(parties, dealer.member.position(), sealed);
    }
}

/// Commits to bytes that are no sealed share in place of the one for `victim`.
pub(crate) fn corrupt_sealed_share(parties: &[Party], dealer: &mut Included, victim: usize) {
    let objects = &parties[dealer.member.position()].objects;
    let whole = dealer.body.sealed_shares[victim].expect("there is a sealed share");
    let mut sealed = objects.read(&whole).expect("the sealed share is there");
    sealed[2000] ^= 1;
    dealer.body.sealed_shares[victim] = Some(objects.put(&sealed).expect("it can be kept"));
}

pub(crate) fn share_is_valid(party: &Party, dealer: &Included) -> bool {
    let job = Job::CheckShare { round: START.round, update: dealer.clone() };
    let JobOutput::Checked { valid } = run(party, job) else { panic!("not checked") };
    valid
}

/// The dealer's true answer to a complaint of `member`.
pub(crate) fn reveal(parties: &[Party], dealer: &Included, member: usize) -> Vec<u8> {
    let member = MemberIndex(member as u16);
    let job = Job::OpenShare { round: START.round, member };
    let party = &parties[dealer.member.position()];
    let JobOutput::ShareOpening(opening) = run(party, job) else { panic!("nothing revealed") };
    opening
}

pub(crate) fn answer_is_valid(
    party: &Party,
    dealer: &Included,
    member: usize,
    opening: &[u8],
) -> bool {
    let (dealer, member) = (dealer.clone(), MemberIndex(member as u16));
    let job = Job::CheckShareOpening {
        round: START.round,
        update: dealer,
        member,
        opening: opening.to_vec(),
    };
    let JobOutput::Checked { valid } = run(party, job) else { panic!("not checked") };
    valid
}

pub(crate) fn aggregate(parties: &[Party], set: &[Included]) -> ObjectRef {
    let job = Job::Aggregate { start: START, set: set.to_vec() };
    let JobOutput::Aggregated(sum) = run(&parties[0], job) else { panic!("no aggregate") };
    carry(parties, 0, &sum);
    sum
}

/// Everyone's true answer, carried to all.
pub(crate) fn answers(parties: &[Party], set: &[Included]) -> Vec<(MemberIndex, ObjectRef)> {
    let answer = |(position, party): (usize, &Party)| {
        let job = Job::PartialDecrypt { round: START.round, set: set.to_vec() };
        let JobOutput::Partial(object) = run(party, job) else { panic!("no answer") };
        carry(parties, position, &object);
        (MemberIndex(position as u16), object)
    };
    parties.iter().enumerate().map(answer).collect()
}

/// Replaces a member's answer by a changed one that still parses, or by one that does not.
pub(crate) fn corrupt_answer(
    parties: &[Party],
    answer: &mut (MemberIndex, ObjectRef),
    readable: bool,
) {
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

pub(crate) fn set_of(set: &[Included]) -> UpdateSet {
    set.iter().map(|it| (it.member, it.commitment)).collect()
}

/// The sum that a key opens at `party`, if any.
pub(crate) fn check_key(
    party: &Party,
    set: &[Included],
    aggregate: ObjectRef,
    key: ObjectRef,
) -> Option<SumDigest> {
    let job = Job::CheckKey { start: START, set: set_of(set), aggregate, key };
    let JobOutput::KeyChecked { sum } = run(party, job) else { panic!("not checked") };
    sum
}

pub(crate) fn combine(
    party: &Party,
    set: &[Included],
    aggregate: ObjectRef,
    partials: &[(MemberIndex, ObjectRef)],
) -> Combined {
    let (set, partials) = (set_of(set), partials.to_vec());
    let job = Job::Combine { start: START, set, aggregate, partials };
    let JobOutput::Combined(combined) = run(party, job) else { panic!("no combination") };
    combined
}

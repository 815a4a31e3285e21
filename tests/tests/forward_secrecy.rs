//! What is on the disks of all members after a round decrypts nothing of it, even for an attacker
//! that has recorded all traffic and gets every home with its identity when the round is over.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fedshield_he::{SealingKeyPair, ShareCommitment, open_share};
use fedshield_protocol::ids::{Beacon, CommitmentDigest, MemberIndex, Round};
use fedshield_protocol::job::{Combined, Fate, Included, Job, JobOutput, RoundStart};
use fedshield_protocol::wire::UpdateSet;
use fedshield_tests::{Party, carry, contribution, parties, run};
use fedshieldd::encryption::share_index;
use fedshieldd::identity::{Identity, SecretStore};

const MEMBERS: u16 = 4;
/// All rounds of the manifest of these tests.
const ROUNDS: u64 = 4;
/// Secrets under the store's own key that may stay: what this member has learned and not sent, and
/// the training that it sends with the next update.
const OWN_MEMORY: [&str; 2] = ["local-memory", "trained"];

/// What a network shows of a round: its commitments and sealed shares.
struct Traffic {
    round: Round,
    set: Vec<Included>,
    /// By dealer and receiver.
    sealed_shares: BTreeMap<(u16, u16), Vec<u8>>,
}

fn key_of(party: &Party, round: Round) -> Vec<u8> {
    match run(party, Job::MakeSealingKey { round }) {
        JobOutput::SealingKey(key) => key,
        other => panic!("{other:?}"),
    }
}

/// A whole round up to its record; the attack is made twice.
fn one_round(parties: &[Party], applied: u64, recorded: &mut Vec<Traffic>) {
    let (round, beacon) = (Round(applied), Beacon([applied as u8 + 3; 32]));
    let start = RoundStart { round, applied, beacon, stopped: None };
    let keys: Vec<Vec<u8>> = parties.iter().map(|party| key_of(party, round)).collect();
    let set: Vec<Included> = (0..MEMBERS)
        .zip(parties)
        .map(|(member, party)| Included {
            member: MemberIndex(member),
            commitment: CommitmentDigest([member as u8; 32]),
            body: contribution(party, &start, &keys),
        })
        .collect();
    let mut sealed_shares = BTreeMap::new();
    for dealer in &set {
        let from = dealer.member.position();
        carry(parties, from, &dealer.body.ciphertext);
        for (receiver, sealed) in (0..).zip(&dealer.body.sealed_shares) {
            let sealed = sealed.expect("every key is here");
            carry(parties, from, &sealed);
            let bytes = parties[from].objects.read(&sealed).expect("the sealed share is there");
            sealed_shares.insert((dealer.member.0, receiver), bytes);
        }
    }
    for party in parties {
        for dealer in &set {
            let job = Job::CheckShare { round, update: dealer.clone() };
            assert_eq!(run(party, job), JobOutput::Checked { valid: true });
        }
    }
    let add = Job::Aggregate { start, set: set.clone() };
    let JobOutput::Aggregated(sum) = run(&parties[0], add) else { panic!("no aggregate") };
    carry(parties, 0, &sum);
    let decided: UpdateSet = set.iter().map(|update| (update.member, update.commitment)).collect();
    let mut partials = Vec::new();
    for (position, party) in parties.iter().enumerate() {
        let job = Job::PartialDecrypt { round, set: set.clone() };
        let JobOutput::Partial(object) = run(party, job) else { panic!("no answer") };
        carry(parties, position, &object);
        partials.push((MemberIndex(position as u16), object));
    }
    recorded.push(Traffic { round, set: set.clone(), sealed_shares });
    let all = usize::from(MEMBERS * MEMBERS);
    assert_eq!(opened(parties, recorded), all, "while the round runs the attack opens all of it");
    let secrets = secrets_of(parties, round);

    for party in parties {
        let job = Job::Combine {
            start,
            set: decided.clone(),
            aggregate: sum,
            partials: partials.clone(),
        };
        let JobOutput::Combined(Combined::Opened { sum, .. }) = run(party, job) else {
            panic!("not opened")
        };
        run(party, Job::Apply { start, set: decided.clone(), sum });
        // The key of the next round is there before this one is settled.
        key_of(party, round.next());
        run(party, Job::Settle { round, fate: Some(Fate::Spent) });
    }
    assert_eq!(opened(parties, recorded), 0, "round {round} is over");
    nothing_is_left(parties, round, &secrets);
}

/// A copy of a member's secrets, opened with its identity.
fn stolen(party: &Party) -> (tempfile::TempDir, SecretStore) {
    let copy = tempfile::tempdir().expect("a folder can be made");
    let secrets = copy.path().join("secrets");
    fs::create_dir(&secrets).expect("a folder can be made");
    for file in files(&party.home().join("secrets")) {
        let name = file.file_name().expect("a file has a name");
        fs::copy(&file, secrets.join(name)).expect("it can be copied");
    }
    let identity = Identity::open(&party.home().join("identity.key"), None).expect("it opens");
    let store = SecretStore::open(&secrets, &identity).expect("it opens");
    (copy, store)
}

/// Every secret that opens, by name.
fn readable(store: &SecretStore) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in store.names("").expect("names can be listed") {
        let wrapped = name.strip_prefix("wrapped-").and_then(|rest| rest.split_once('-'));
        let secret = match wrapped {
            Some((round, rest)) => {
                store.get_in_round(Round(round.parse().expect("a number")), rest)
            }
            None => store.get(&name),
        };
        if let Ok(Some(secret)) = secret {
            found.insert(name, secret.to_vec());
        }
    }
    found
}

/// How many of the recorded sealed shares open with anything in the members' homes.
fn opened(parties: &[Party], recorded: &[Traffic]) -> usize {
    let mut opened = 0;
    for (receiver, party) in (0..).zip(parties) {
        let (_copy, store) = stolen(party);
        let keys: Vec<SealingKeyPair> = readable(&store)
            .values()
            .filter_map(|secret| secret.as_slice().try_into().ok())
            .map(SealingKeyPair::from_secret)
            .collect();
        let terms = party.pipeline.terms();
        for traffic in recorded {
            let context = terms.context(traffic.round);
            for dealer in &traffic.set {
                let from = share_index(dealer.member);
                let shares = &dealer.body.shares;
                let commitment =
                    ShareCommitment::from_bytes(&context, from, terms.sharing.sharing(), shares)
                        .expect("the commitment reads");
                let sealed = &traffic.sealed_shares[&(dealer.member.0, receiver)];
                let to = share_index(MemberIndex(receiver));
                let opens = |keys| open_share(&context, &commitment, to, keys, sealed).is_ok();
                opened += usize::from(keys.iter().any(opens));
            }
        }
    }
    opened
}

/// The secrets of a round, as its members have them while it runs.
fn secrets_of(parties: &[Party], round: Round) -> Vec<Vec<u8>> {
    let prefix = format!("wrapped-{round}-");
    let of_round = |party: &Party| {
        let (_copy, store) = stolen(party);
        let all = readable(&store).into_iter();
        all.filter(|(name, _)| name.starts_with(&prefix)).map(|(_, secret)| secret).collect()
    };
    let secrets: Vec<Vec<u8>> =
        parties.iter().flat_map(|party| -> Vec<Vec<u8>> { of_round(party) }).collect();
    // Sealing key, what was sent, what was dealt and to whom, what was released.
    assert_eq!(secrets.len(), usize::from(MEMBERS) * (usize::from(MEMBERS) + 4));
    secrets
}

/// No file of a home holds a secret of the round in the clear, and what opens is of later rounds,
/// or the member's own memory.
fn nothing_is_left(parties: &[Party], round: Round, secrets: &[Vec<u8>]) {
    for party in parties {
        let (_copy, store) = stolen(party);
        for name in readable(&store).into_keys() {
            let later = format!("wrapped-{}-sealing-key", round.next());
            assert!(name == later || OWN_MEMORY.contains(&name.as_str()), "{name}");
        }
        for file in files(party.home()) {
            let bytes = fs::read(&file).expect("it can be read");
            for secret in secrets {
                let part = &secret[secret.len().saturating_sub(24)..];
                let there = bytes.windows(part.len()).any(|window| window == part);
                assert!(!there, "{} holds a secret of round {round}", file.display());
            }
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("it can be read").map(|entry| entry.expect("an entry"));
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files(&path),
            path => vec![path],
        })
        .collect()
}

#[test]
fn the_leftovers_of_all_homes_open_no_round_that_is_over() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), MEMBERS);
    let mut recorded = Vec::new();
    for applied in 0..ROUNDS {
        one_round(&parties, applied, &mut recorded);
        recorded.drain(..recorded.len() - 1);
    }
    // The last round is over: the key that was made for a next one goes as well.
    for party in &parties {
        run(party, Job::EraseSecrets { is_done: false });
        let (_copy, store) = stolen(party);
        let left: Vec<String> = readable(&store).into_keys().collect();
        assert_eq!(left, ["local-memory"]);
        let slots = fs::read(party.home().join("secrets").join("wrapping-keys"));
        assert!(slots.expect("the file is there").iter().all(|byte| *byte == 0));
    }
    assert_eq!(opened(&parties, &recorded), 0);
}

/// Two of four have no usable key when the shares are sealed: one has none yet, the other's is
/// invalid. They get a sealed share later, to the key that they announce then, and keep it across
/// a restart.
#[test]
fn a_member_without_a_sealed_share_gets_one_later() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), MEMBERS);
    let start = RoundStart { round: Round(0), applied: 0, beacon: Beacon([3; 32]), stopped: None };
    let round = start.round;
    let keys: Vec<Vec<u8>> = parties.iter().map(|party| key_of(party, round)).collect();
    let dealer = &parties[0];
    assert_eq!(run(dealer, Job::Contribute { start }), JobOutput::Encrypted);
    let sealing_keys =
        vec![Some(keys[0].clone()), Some(keys[1].clone()), None, Some(vec![7; keys[3].len() - 1])];
    let seal = Job::SealShares { round, sealing_keys };
    let JobOutput::Contribution(body) = run(dealer, seal) else { panic!("no contribution") };
    let has_share: Vec<bool> = body.sealed_shares.iter().map(Option::is_some).collect();
    assert_eq!(has_share, [true, true, false, false]);
    let dealt = Included { member: MemberIndex(0), commitment: CommitmentDigest([0; 32]), body };
    let check = Job::CheckShare { round, update: dealt.clone() };
    for receiver in [2, 3] {
        let party = &parties[receiver];
        assert_eq!(run(party, check.clone()), JobOutput::Checked { valid: false });
        let again = |sealing_key: &[u8]| {
            let (member, sealing_key) = (MemberIndex(receiver as u16), sealing_key.to_vec());
            match run(dealer, Job::ResealShare { round, member, sealing_key }) {
                JobOutput::ResealedShare(sealed) => sealed,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(again(&[1, 2, 3]), None, "no key");
        let wrong = again(&keys[1]).expect("a sealed share");
        let right = again(&keys[receiver]).expect("a sealed share");
        for (sealed, valid) in [(wrong, false), (right, true)] {
            let check = Job::CheckResealedShare { round, update: dealt.clone(), sealed };
            assert_eq!(run(party, check), JobOutput::Checked { valid });
        }
        let never = tokio_util::sync::CancellationToken::default();
        let restarted = party.restarted().run(&check, &never).expect("it succeeds");
        assert_eq!(restarted, JobOutput::Checked { valid: true });

        // Earlier versions stored it under another name.
        let (name, earlier) = ("resealed-0", "box-0");
        let sealed = party.secrets.get_in_round(round, name).expect("readable").expect("stored");
        party.secrets.put_in_round(round, earlier, &sealed).expect("it can be stored");
        std::fs::remove_file(party.secrets.file_in_round(round, name)).expect("it is there");
        let upgraded = party.restarted().run(&check, &never).expect("it succeeds");
        assert_eq!(upgraded, JobOutput::Checked { valid: true });
    }
}

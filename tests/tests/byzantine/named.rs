//! A member that cannot open the sum from its answers opens it with the key that another member
//! found, and with no other key.

use fedshield_protocol::job::{Combined, Job, JobOutput};
use fedshield_tests::{carry, parties, run};

use crate::steps::*;

#[test]
fn a_named_key_opens_the_sum_without_any_answer() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let parties = parties(folder.path(), 4);
    let all = contributions(&parties, &sealing_keys(&parties));
    all.iter().for_each(|dealer| carry_sealed_shares(&parties, dealer));
    let sum = aggregate(&parties, &all);
    let answers = answers(&parties, &all);
    let Combined::Opened { key, sum: opened, .. } = combine(&parties[0], &all, sum, &answers)
    else {
        panic!("honest answers open")
    };
    carry(&parties, 0, &key);
    assert!(key.length <= fedshield_protocol::limits::MAX_KEY_BYTES);

    // One coefficient is off by one; the key of another set; no key at all.
    let bytes = parties[0].objects.read(&key).expect("the key is there");
    let mut near = bytes.clone();
    let last = near.len() - 2;
    near[last] ^= 1;
    for wrong in [near, bytes[..100].to_vec(), vec![7; 300]] {
        let wrong = parties[3].objects.put(&wrong).expect("it can be kept");
        assert_eq!(check_key(&parties[3], &all, sum, wrong), None);
    }
    let others = &all[..3];
    let of_others = aggregate(&parties, others);
    assert_eq!(check_key(&parties[3], others, of_others, key), None, "another set");
    parties[3].pipeline.opened_sum(START.round).expect_err("nothing was opened");

    assert_eq!(check_key(&parties[3], &all, sum, key), Some(opened));
    let apply = Job::Apply { start: START, set: set_of(&all), sum: opened };
    let [first, last] = [&parties[0], &parties[3]].map(|party| match run(party, apply.clone()) {
        JobOutput::Applied(applied) => applied,
        other => panic!("{other:?}"),
    });
    assert_eq!(first, last, "the same adapter, whoever found the key");
}

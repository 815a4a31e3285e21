//! A bounded sample of seeds; the command runs thousands.

use fedshield_netsim::l0::{Federation, Options, Plan, run_seed};

#[test]
fn a_hundred_seeds_keep_every_invariant() {
    let federations: Vec<Federation> = (4..=10).map(Federation::new).collect();
    for seed in 10_000..10_100 {
        let federation = &federations[(seed % 7) as usize];
        if let Err(failure) = run_seed(federation, seed, &Options::default()) {
            panic!("{failure}");
        }
    }
}

#[test]
fn quiet_rounds_are_all_opened() {
    for members in [3, 4, 7] {
        let federation = Federation::new(members);
        let options = Options { plan: Some(Plan::calm(members)), ..Options::default() };
        let outcome = run_seed(&federation, 5, &options).unwrap();
        let [applied, rejected, voided, skipped] = outcome.rounds;
        assert_eq!((applied + rejected, voided, skipped), (3, 0, 0), "{members} members");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let federation = Federation::new(5);
    let run = |seed| run_seed(&federation, seed, &Options::default()).unwrap();
    assert_eq!(run(12), run(12));
    assert_ne!(run(12).trace, run(13).trace);
}

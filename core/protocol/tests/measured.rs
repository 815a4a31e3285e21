//! What a mean over several members tells, alone and together with other rounds.

use fedshield_protocol::wire::Measured;

/// Losses over base losses of five members, round by round, as training makes them fall.
fn losses(round: u32) -> [f64; 5] {
    let fall = f64::from(round);
    [0.90 - 0.02 * fall, 0.85 - 0.015 * fall, 0.95 - 0.02 * fall, 0.80 - 0.01 * fall, 0.60]
}

fn number(loss: f64) -> u32 {
    (loss * f64::from(Measured::ONE)).round() as u32
}

/// The opened sum of those that are in the set.
fn opened(losses: &[f64], set: &[usize]) -> Measured {
    let numbers = set.iter().filter_map(|member| losses.get(*member)).map(|loss| number(*loss));
    Measured { count: set.len() as u16, sum: numbers.sum() }
}

/// Two sums whose sets differ by one member tell what that one measured: exactly if both are of one
/// adapter, as after a round that failed, and up to what the others' losses changed in between if
/// not. docs/SECURITY.md says so; `-- --nocapture` prints it.
#[test]
fn sets_that_differ_by_one_member_tell_its_number() {
    let (all, without) = ([0, 1, 2, 3, 4], [0, 1, 2, 3]);
    let told = |earlier: Measured, later: Measured| {
        f64::from(earlier.sum - later.sum) / f64::from(Measured::ONE)
    };
    eprintln!("rounds  mean of five  mean of four  told of the fifth  in truth");
    let mut errors = Vec::new();
    for round in 0..4 {
        // The round that failed and its repetition start from the same adapter.
        let same = losses(round);
        let (earlier, later) = (opened(&same, &all), opened(&same, &without));
        let exact = told(earlier, later);
        let next = opened(&losses(round + 1), &without);
        let near = told(earlier, next);
        for (rounds, later, told) in [("same", later, exact), ("next", next, near)] {
            eprintln!(
                "{round} {rounds}  {:.4}        {:.4}        {told:.4}             {:.4}",
                earlier.mean(),
                later.mean(),
                same[4]
            );
        }
        assert!((exact - same[4]).abs() < 1e-4, "one adapter: to the rounding");
        errors.push(near - same[4]);
    }
    // The others' falls, 0.065 together, are all that hides it.
    assert!(errors.iter().all(|error| (error - 0.065).abs() < 1e-3), "{errors:?}");
}

/// A single sum of n numbers with a known mean leaves each member any number that the others can
/// make up for: alone it tells no more of one than that.
#[test]
fn one_mean_leaves_a_member_any_number_that_the_others_can_make_up_for() {
    let set = [0, 1, 2, 3];
    let measured = opened(&losses(0), &set);
    let most = f64::from(Measured::LARGEST) / f64::from(Measured::ONE);
    for of_one in [0.0, 0.5, 1.0, most] {
        let of_others = measured.mean() * 4.0 - of_one;
        assert!((0.0..=3.0 * most).contains(&of_others), "{of_one}");
    }
}

/// What one contributor that lies can do with sum and count, whatever the others have measured: it
/// is not bounded by its own number, only by the range of the sum. So nothing is decided by a mean.
#[test]
fn one_faulty_member_moves_the_mean_anywhere_in_its_range_and_nowhere_else() {
    let honest = opened(&losses(0), &[0, 1, 2]);
    for sum in [0, 1, 4 * Measured::LARGEST] {
        let shifted = Measured { count: 4, sum };
        assert_eq!(shifted.admitted(4, 3), Some(shifted));
        assert!((0.0..2.0).contains(&shifted.mean()));
    }
    let beyond = Measured { count: 4, sum: 4 * Measured::LARGEST + 1 };
    assert_eq!(beyond.admitted(4, 3), None);
    // It can take its own number away, and no more: the least count is that of a sum.
    assert!(honest.admitted(4, 3).is_some());
    assert_eq!(Measured { count: 2, ..honest }.admitted(4, 3), None);
}

//! Limits for statistical tests. Each is crossed by what it describes with probability below e^-21
//! < 10^-9, so a test that fails has found something; the seeds are fixed, so it fails always or
//! never.

/// ln of one over the probability of a false alarm.
const NATS: f64 = 21.0;

/// Deviations that a normal variable exceeds on either side with probability below 2 e^(-d^2/2) =
/// e^-21.
pub(crate) fn deviations() -> f64 {
    (2.0 * (NATS + 2f64.ln())).sqrt()
}

/// Pearson's statistic, and its limit for independent counts of a distribution that is known: one
/// degree of freedom less than there are cells. The limit is that of Laurent and Massart (2000,
/// lemma 1): P(X > k + 2 sqrt(k x) + 2 x) < e^-x.
///
/// The expected count of a cell should be at least about 20, and the sum of the expected counts
/// must be that of the found ones.
pub(crate) fn chi_squared(found: &[u64], expected: &[f64]) -> (f64, f64) {
    assert_eq!(found.len(), expected.len());
    let total = (found.iter().sum::<u64>() as f64, expected.iter().sum::<f64>());
    assert!((total.0 - total.1).abs() < 1e-6 * total.0, "{total:?}");
    let parts = found.iter().zip(expected).map(|(&f, &e)| (f as f64 - e).powi(2) / e);
    let freedom = (found.len() - 1) as f64;
    (parts.sum(), freedom + 2.0 * (freedom * NATS).sqrt() + 2.0 * NATS)
}

/// Whether a count of rare events, `expected` on average, is believable: Chernoff's bound for
/// Poisson counts, on both sides.
pub(crate) fn is_poisson(found: u64, expected: f64) -> bool {
    let x = found as f64;
    let ln = if found == 0 { 0.0 } else { x * (x / expected).ln() };
    expected - x + ln < NATS
}

#[test]
fn the_limits_are_where_they_should_be() {
    // A normal variable exceeds 6 deviations with 2e-9, 6.6 with 4e-11.
    assert!((6.0..7.0).contains(&deviations()));
    let even = [1000, 1010, 990, 1000];
    let (statistic, limit) = chi_squared(&even, &[1000.0; 4]);
    assert!((statistic - 0.2).abs() < 1e-9 && limit > 40.0 && limit < 70.0, "{limit}");
    let (statistic, limit) = chi_squared(&[1300, 900, 900, 900], &[1000.0; 4]);
    assert!(statistic > limit);
    assert!(is_poisson(0, 20.0) && !is_poisson(0, 22.0));
    assert!(is_poisson(3, 0.1) && !is_poisson(9, 0.1));
}

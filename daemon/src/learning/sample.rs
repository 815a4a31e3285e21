//! The part of the held-out data that is measured on after each round: small, and the same as long
//! as the data is.

use fedshield_train::data::TokenizedExample;

/// Maximum number of examples in the sample.
const MAX_EXAMPLES: usize = 64;
/// Maximum number of tokens in it, prompts included: the cost of forward passes of a few optimiser
/// steps.
const MAX_TOKENS: usize = 16_384;

/// Least validation examples of a member whose losses go into the federation's mean.
pub(crate) const LEAST_MEASURED: usize = 16;
/// Training examples of a round for each example that is measured in it: a forward pass costs about
/// a third of a training step, so measuring takes about a fifteenth of the training.
const TRAINED_FOR_ONE: usize = 5;

/// The part of `sample` that is measured in each round that trains on `trained` examples, and never
/// fewer than [`LEAST_MEASURED`] of them: the mean of fewer says little. Chosen by content, and
/// sorted by length, as the sample is.
pub(super) fn joint(sample: &[TokenizedExample], trained: usize) -> Vec<TokenizedExample> {
    let count = (trained / TRAINED_FOR_ONE).max(LEAST_MEASURED);
    let mut chosen = sample.to_vec();
    chosen.sort_by_key(TokenizedExample::digest);
    chosen.truncate(count);
    chosen.sort_by_key(TokenizedExample::token_count);
    chosen
}

/// Digest of a sample: losses on samples with the same digest can be compared.
pub(crate) fn sample_digest(sample: &[TokenizedExample]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("fedshield v1 held-out sample");
    for example in sample {
        hasher.update(&example.digest());
    }
    *hasher.finalize().as_bytes()
}

/// As many of the held-out examples as fit the limits, sorted by length. Chosen by content, so that
/// adding or removing one line changes at most one example of the sample, and the losses stay
/// comparable.
pub(super) fn sample(held_out: &[TokenizedExample]) -> Vec<TokenizedExample> {
    let mut order: Vec<&TokenizedExample> = held_out.iter().collect();
    order.sort_by_key(|example| example.digest());
    let lengths: Vec<usize> = order.iter().map(|example| example.token_count()).collect();
    let mut chosen: Vec<TokenizedExample> = fitting(&lengths)
        .into_iter()
        .filter_map(|index| order.get(index).map(|example| (*example).clone()))
        .collect();
    chosen.sort_by_key(TokenizedExample::token_count);
    chosen
}

/// Indices of the examples with these lengths that make up the sample: the first ones that fit.
fn fitting(lengths: &[usize]) -> Vec<usize> {
    let mut tokens = 0;
    let fits = |length: usize| {
        // The first one is taken however long it is: a loss on one example is better than none.
        let fits = tokens == 0 || length <= MAX_TOKENS.saturating_sub(tokens);
        tokens += if fits { length } else { 0 };
        fits
    };
    let mut fits = fits;
    let all = lengths.iter().enumerate();
    all.filter(|(_, length)| fits(**length)).map(|(index, _)| index).take(MAX_EXAMPLES).collect()
}

#[cfg(test)]
mod tests {
    use fedshield_train::data::{Example, ShortDigest};
    use fedshield_train::model::TokenSequence;

    use super::*;

    #[test]
    fn a_sample_is_bounded() {
        assert_eq!(fitting(&[]), Vec::<usize>::new());
        assert_eq!(fitting(&[10, 20, 30]), [0, 1, 2]);
        assert_eq!(fitting(&vec![100; 1000]).len(), MAX_EXAMPLES);
        assert_eq!(fitting(&vec![1024; 1000]).len(), MAX_TOKENS / 1024);
        assert_eq!(fitting(&[1_000_000, 5]), [0]);
        assert_eq!(fitting(&[16_000, 1000, 5]), [0, 2]);
    }

    #[test]
    fn what_is_measured_together_is_a_fifth_of_what_is_trained_on_and_at_least_sixteen() {
        let example = |index: usize| {
            let length = 10 + index % 7;
            let sequence = TokenSequence { ids: vec![1; length], labels: vec![true; length] };
            TokenizedExample::whole(Example::instruction(index.to_string(), "", "x"), &sequence)
        };
        let sample: Vec<_> = (0..MAX_EXAMPLES).map(example).collect();
        assert_eq!(joint(&sample, 100).len(), 20);
        assert_eq!(joint(&sample, 10).len(), LEAST_MEASURED);
        assert_eq!(joint(&sample, 1_000_000).len(), MAX_EXAMPLES);
        assert_eq!(joint(&sample[..9], 1_000).len(), 9);
        let backwards: Vec<_> = sample.iter().rev().cloned().collect();
        let names = |sample: &[TokenizedExample]| -> std::collections::BTreeSet<ShortDigest> {
            joint(sample, 100).iter().map(TokenizedExample::digest).collect()
        };
        assert_eq!(names(&sample), names(&backwards), "chosen by content");
    }

    #[test]
    fn a_sample_stays_when_lines_are_added() {
        let example = |index: usize| {
            let sequence = TokenSequence { ids: vec![1; 10], labels: vec![true; 10] };
            TokenizedExample::whole(Example::instruction(index.to_string(), "", "x"), &sequence)
        };
        let before: Vec<_> = (0..500).map(example).collect();
        // Longer, in another order, and with a line in front.
        let after: Vec<_> = (0..501).rev().map(example).collect();
        let names = |held_out: &[TokenizedExample]| -> Vec<ShortDigest> {
            sample(held_out).iter().map(TokenizedExample::digest).collect()
        };
        let (before, after) = (names(&before), names(&after));
        let kept = before.iter().filter(|digest| after.contains(digest)).count();
        assert_eq!(before.len(), MAX_EXAMPLES);
        assert!(kept >= MAX_EXAMPLES - 1, "{kept}");
    }
}

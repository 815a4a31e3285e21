//! From random words to errors and to words below the modulus.

/// Compares with every entry of the table, whatever the word is: no branch and no address depends
/// on a sample. In runs of a fixed length, so that the compiler keeps the counts in vector
/// registers.
#[inline(always)]
pub(in crate::kernel) fn sample_gaussian(words: &mut [u64], table: &[u64]) {
    let (runs, rest) = words.as_chunks_mut::<16>();
    for run in runs {
        count_entries(run, table);
    }
    let mut last = [0; 16];
    last.iter_mut().zip(rest.iter()).for_each(|(l, &word)| *l = word);
    count_entries(&mut last, table);
    rest.iter_mut().zip(last).for_each(|(word, l)| *word = l);
}

#[inline(always)]
fn count_entries(run: &mut [u64; 16], table: &[u64]) {
    // Signed, because vector units below AVX-512 compare signed words only; both sides have 63
    // bits.
    let upper = run.map(|word| (word >> 1) as i64);
    let mut magnitudes = [0i64; 16];
    for &entry in table {
        for (magnitude, &word) in magnitudes.iter_mut().zip(&upper) {
            *magnitude += i64::from(word >= entry as i64);
        }
    }
    for (word, magnitude) in run.iter_mut().zip(magnitudes) {
        let sign = -((*word & 1) as i64);
        *word = ((magnitude ^ sign) - sign) as u64;
    }
}

/// Keeps the bits of `mask`; true when a word is then `modulus` or more.
#[inline(always)]
pub(in crate::kernel) fn mask_words(words: &mut [u64], mask: u64, modulus: u64) -> bool {
    let mut rejected = 0;
    for word in words {
        *word &= mask;
        rejected |= u64::from(*word >= modulus);
    }
    rejected != 0
}

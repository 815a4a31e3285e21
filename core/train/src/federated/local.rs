//! The paper's pruning rule: each member sets the smallest weights of each of its own factors to
//! zero. Zeros are encrypted like all other values, so this saves no bytes; it is implemented for
//! comparison.

use super::layout::{AdapterLayout, Factor};

/// Sets the fraction `rate` of `values` with the smallest magnitude to zero, tensor by tensor; of
/// equal magnitudes the lower index goes first. `values` are the given factors, one after the
/// other, in the layout's order.
pub(super) fn zero_smallest(
    layout: &AdapterLayout,
    factors: &[Factor],
    rate: f64,
    values: &mut [f32],
) {
    let mut rest = values;
    for factor in factors {
        for (_, range) in layout.ranges(*factor) {
            let (tensor, tail) = rest.split_at_mut(range.len());
            rest = tail;
            let count = ((rate * tensor.len() as f64).round() as usize).min(tensor.len());
            if count == 0 {
                continue;
            }
            let mut order: Vec<usize> = (0..tensor.len()).collect();
            // The bits of non-negative floats compare as the floats do, and every key is distinct.
            order.select_nth_unstable_by_key(count - 1, |i| (tensor[*i].abs().to_bits(), *i));
            for index in &order[..count] {
                tensor[*index] = 0.0;
            }
        }
    }
}

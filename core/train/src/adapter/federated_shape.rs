//! An adapter with several ranks, scales or sets of projections in the one shape that a federation
//! has, without any change of what it computes: lower ranks are filled up with rows of A and zero
//! columns of B, as a new adapter begins, and B takes up what the scales differ by.

use std::collections::BTreeMap;
use std::ops::Range;

use super::factors::AdaptedProjection;
use super::stored::StoredModule;
use crate::federated::{AdapterLayout, AdapterSpec, Factor, ModuleShape};
use crate::random::Stream;

/// A difference between two scales that stems from rounding.
const SAME: f64 = 1e-12;

/// Rank, alpha and projections of the shape: the largest rank; every projection that is adapted in
/// some layer; the scale that most modules have, so that most B stay as they are. Alpha is a whole
/// number, as in a manifest.
pub(super) fn spec(modules: &[StoredModule]) -> AdapterSpec {
    let rank = modules.iter().map(|one| one.rank).max().unwrap_or(1);
    let mut scales: Vec<(f64, usize)> = Vec::new();
    for scale in modules.iter().map(|one| one.alpha / one.rank as f64) {
        match scales.iter_mut().find(|(known, _)| *known == scale) {
            Some((_, count)) => *count += 1,
            None => scales.push((scale, 1)),
        }
    }
    let most = scales.into_iter().max_by(|x, y| x.1.cmp(&y.1).then(x.0.total_cmp(&y.0)));
    let alpha = most.map_or(1.0, |(scale, _)| scale * rank as f64);
    let near = alpha.round();
    let is_whole = (alpha - near).abs() <= SAME * alpha;
    let alpha = if is_whole { near } else { alpha.ceil() }.max(1.0);
    let mut target_modules: Vec<_> = modules.iter().map(|one| one.projection).collect();
    target_modules.sort();
    target_modules.dedup();
    AdapterSpec { rank, alpha, target_modules, rslora: false }
}

/// All A and all B of `projections` in the order of `layout`. The rows of A that are filled in are
/// drawn from `seed` as a new adapter's are, uniform in ±1/sqrt(inputs).
pub(super) fn fill(
    layout: &AdapterLayout,
    projections: &[AdaptedProjection<'_>],
    seed: [u8; 32],
) -> (Vec<f32>, Vec<f32>) {
    let found: BTreeMap<_, _> =
        projections.iter().map(|one| ((one.layer, one.projection), one)).collect();
    let mut stream = Stream::new(seed, "rows that fill up a first adapter");
    let mut all_a = Vec::with_capacity(layout.len(Factor::A));
    let mut all_b = Vec::with_capacity(layout.len(Factor::B));
    for module in layout.modules() {
        let one = found.get(&(module.layer, module.projection));
        put_a(&mut all_a, one.map_or(&[], |one| &one.a), layout.rank(), module, &mut stream);
        put_b(&mut all_b, one.copied(), layout, module.outputs);
    }
    (all_a, all_b)
}

fn put_a(all: &mut Vec<f32>, own: &[f32], rank: usize, module: &ModuleShape, stream: &mut Stream) {
    let bound = 1.0 / (module.inputs as f64).sqrt();
    all.extend_from_slice(own);
    let missing: Range<usize> = own.len()..rank * module.inputs;
    all.extend(missing.map(|_| ((2.0 * stream.unit() - 1.0) * bound) as f32));
}

fn put_b(
    all: &mut Vec<f32>,
    one: Option<&AdaptedProjection<'_>>,
    layout: &AdapterLayout,
    outputs: usize,
) {
    let Some(one) = one else {
        all.resize(all.len() + outputs * layout.rank(), 0.0);
        return;
    };
    let ratio = one.scale() * layout.rank() as f64 / layout.numerator();
    let ratio = if (ratio - 1.0).abs() <= SAME { 1.0 } else { ratio };
    for row in one.b.chunks(one.rank) {
        all.extend(row.iter().map(|value| (f64::from(*value) * ratio) as f32));
        all.resize(all.len() + layout.rank() - one.rank, 0.0);
    }
}

//! Sampling of the next token.

use super::Sampling;
use crate::random::Stream;

/// The index of the next token; `None` if no logit is a number.
pub(super) fn pick(logits: &[f32], sampling: &Sampling, stream: &mut Stream) -> Option<u32> {
    let mut order: Vec<usize> = (0..logits.len()).filter(|id| !logits[*id].is_nan()).collect();
    if sampling.temperature <= 0.0 {
        return order
            .into_iter()
            .max_by(|x, y| logits[*x].total_cmp(&logits[*y]))
            .map(|id| id as u32);
    }
    order.sort_by(|x, y| logits[*y].total_cmp(&logits[*x]));
    let top = f64::from(logits[*order.first()?]);
    let weight = |id: &usize| ((f64::from(logits[*id]) - top) / sampling.temperature).exp();
    let total: f64 = order.iter().map(weight).sum();
    let mut kept = 0.0;
    let mut count = 0;
    for id in &order {
        kept += weight(id);
        count += 1;
        if kept >= sampling.top_p * total {
            break;
        }
    }
    let mut rest = stream.unit() * kept;
    for id in &order[..count] {
        rest -= weight(id);
        if rest < 0.0 {
            return Some(*id as u32);
        }
    }
    order.get(count - 1).map(|id| *id as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_likeliest_and_top_p_leaves_out_the_tail() {
        let mut stream = Stream::new([0; 32], "test");
        let logits = [0.0, 3.0, 2.9, -50.0];
        assert_eq!(pick(&logits, &Sampling::default(), &mut stream), Some(1));
        let sampling = Sampling { temperature: 1.0, top_p: 0.5, ..Sampling::default() };
        for _ in 0..50 {
            assert_eq!(pick(&logits, &sampling, &mut stream), Some(1));
        }
        assert_eq!(pick(&[f32::NAN], &sampling, &mut stream), None);
    }
}

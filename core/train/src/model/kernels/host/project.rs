//! Projections that read the same input, with their adapters: y = x W^T + bias + s (x A^T) B^T, and backwards.

use burn::tensor::Tensor;

use super::gemm::{Job, Left, Right, Start, run};
use super::{HostTensor, for_rows, pool, tensor};
use crate::model::linear::{Linear, LinearGradients, LinearSaved, Wants};
use crate::model::lora::Lora;

/// A projection's weights on the host.
struct Part {
    weight: HostTensor,
    bias: Option<HostTensor>,
    lora: Option<PartLora>,
    inputs: usize,
    outputs: usize,
}

struct PartLora {
    a: HostTensor,
    b: HostTensor,
    rank: usize,
    scaling: f32,
}

impl Part {
    /// `None` on other devices.
    fn borrow(linear: &Linear, lora: Option<&Lora>) -> Option<Self> {
        let [outputs, inputs] = linear.weight.dims();
        let bias = match &linear.bias {
            Some(bias) => Some(HostTensor::borrow(bias)?),
            None => None,
        };
        let lora = match lora {
            None => None,
            Some(lora) => Some(PartLora {
                a: HostTensor::borrow(&lora.a)?,
                b: HostTensor::borrow(&lora.b)?,
                rank: lora.a.dims()[0],
                scaling: lora.scaling as f32,
            }),
        };
        Some(Self { weight: HostTensor::borrow(&linear.weight)?, bias, lora, inputs, outputs })
    }

    fn all(parts: &[(&Linear, Option<&Lora>)]) -> Option<Vec<Self>> {
        parts.iter().map(|(linear, lora)| Self::borrow(linear, *lora)).collect()
    }
}

/// `add` is added to the result of a single projection. `None` on other devices.
pub(crate) fn forward(
    linears: &[(&Linear, Option<&Lora>)],
    x: &Tensor<2>,
    add: Option<&Tensor<2>>,
    wants: Wants,
) -> Option<Vec<(Tensor<2>, LinearSaved)>> {
    let parts = Part::all(linears)?;
    let host_x = HostTensor::borrow(x)?;
    let add = match add {
        Some(add) => Some(HostTensor::borrow(add)?),
        None => None,
    };
    let rows = x.dims()[0];
    let mut lows = low_inputs(&parts, &host_x, rows);
    let mut outs: Vec<Vec<f32>> = parts.iter().map(|p| pool::buffer(rows * p.outputs)).collect();
    let mut jobs = Vec::with_capacity(parts.len());
    for ((part, out), low) in parts.iter().zip(&mut outs).zip(&lows) {
        let left = Left::new(host_x.values(), rows, part.inputs);
        let right = Right::transposed(part.weight.values(), part.inputs, part.outputs);
        let mut terms = vec![(left, right)];
        if let (Some(lora), Some(low)) = (&part.lora, low) {
            let left = Left::new(low, rows, lora.rank).scaled(lora.scaling);
            terms.push((left, Right::transposed(lora.b.values(), lora.rank, part.outputs)));
        }
        let start = match (&add, &part.bias) {
            (Some(add), _) => Start::Copy(add.values()),
            (None, Some(bias)) => Start::Rows(bias.values()),
            (None, None) => Start::Zero,
        };
        jobs.push(Job { out, columns: part.outputs, start, terms });
    }
    run(jobs);
    let mut results = Vec::with_capacity(parts.len());
    for ((part, mut out), low) in parts.iter().zip(outs).zip(lows.drain(..)) {
        if let (Some(_), Some(bias)) = (&add, &part.bias) {
            for_rows(&mut out, part.outputs, |_, run| {
                for row in run.chunks_exact_mut(part.outputs) {
                    row.iter_mut().zip(bias.values()).for_each(|(y, bias)| *y += bias);
                }
            });
        }
        let rank = part.lora.as_ref().map_or(0, |lora| lora.rank);
        let u = match low {
            Some(low) if wants.factor_b => Some(tensor(low, [rows, rank], x)),
            Some(low) => {
                pool::give(low);
                None
            }
            None => None,
        };
        let keep_x = wants.base || (wants.factor_a && part.lora.is_some());
        let saved = LinearSaved { x: keep_x.then(|| x.clone()), u };
        results.push((tensor(out, [rows, part.outputs], x), saved));
    }
    Some(results)
}

/// x A^T of every adapter.
fn low_inputs(parts: &[Part], x: &HostTensor, rows: usize) -> Vec<Option<Vec<f32>>> {
    let buffer = |part: &Part| part.lora.as_ref().map(|lora| pool::buffer(rows * lora.rank));
    let mut lows: Vec<Option<Vec<f32>>> = parts.iter().map(buffer).collect();
    let mut jobs = Vec::new();
    for (part, low) in parts.iter().zip(&mut lows) {
        if let (Some(lora), Some(out)) = (&part.lora, low) {
            let left = Left::new(x.values(), rows, part.inputs);
            let right = Right::transposed(lora.a.values(), part.inputs, lora.rank);
            let terms = vec![(left, right)];
            jobs.push(Job { out, columns: lora.rank, start: Start::Zero, terms });
        }
    }
    run(jobs);
    lows
}

/// `dys` are the gradients of the results, `saved` what the forward pass kept. Gives the gradient of the common
/// input and those of the parameters. `None` on other devices.
pub(crate) fn backward(
    linears: &[(&Linear, Option<&Lora>)],
    dys: &[Tensor<2>],
    saved: &[LinearSaved],
    wants: Wants,
) -> Option<(Tensor<2>, Vec<LinearGradients>)> {
    let parts = Part::all(linears)?;
    let host_dys: Vec<HostTensor> = dys.iter().map(HostTensor::borrow).collect::<Option<_>>()?;
    let rows = dys.first()?.dims()[0];
    let inputs = parts.first()?.inputs;
    let lows = low_gradients(&parts, &host_dys, rows);
    let kept = Kept::all(saved)?;
    let mut dx = pool::buffer(rows * inputs);
    let results = parts.iter().zip(&kept).map(|(part, kept)| Results::new(part, kept, wants));
    let mut results: Vec<Results> = results.collect();
    let mut terms = Vec::with_capacity(2 * parts.len());
    let mut jobs = Vec::new();
    let all = parts.iter().zip(&host_dys).zip(&lows).zip(&kept).zip(&mut results);
    for ((((part, dy), low), kept), result) in all {
        let dy = dy.values();
        let right = Right::new(part.weight.values(), part.outputs, inputs);
        terms.push((Left::new(dy, rows, part.outputs), right));
        let turned_dy = Left::transposed(dy, part.outputs, rows);
        if let (Some(lora), Some(low)) = (&part.lora, low) {
            terms.push((
                Left::new(low, rows, lora.rank),
                Right::new(lora.a.values(), lora.rank, inputs),
            ));
            if let (Some(out), Some(x)) = (&mut result.a, &kept.x) {
                let terms = vec![(
                    Left::transposed(low, lora.rank, rows),
                    Right::new(x.values(), rows, inputs),
                )];
                jobs.push(Job { out, columns: inputs, start: Start::Zero, terms });
            }
            if let (Some(out), Some(u)) = (&mut result.b, &kept.u) {
                let left = turned_dy.scaled(lora.scaling);
                let terms = vec![(left, Right::new(u.values(), rows, lora.rank))];
                jobs.push(Job { out, columns: lora.rank, start: Start::Zero, terms });
            }
        }
        if let (Some(out), Some(x)) = (&mut result.weight, &kept.x) {
            let terms = vec![(turned_dy, Right::new(x.values(), rows, inputs))];
            jobs.push(Job { out, columns: inputs, start: Start::Zero, terms });
        }
    }
    jobs.push(Job { out: &mut dx, columns: inputs, start: Start::Zero, terms });
    run(jobs);
    lows.into_iter().flatten().for_each(pool::give);
    let like = dys.first()?;
    let gradients = results.into_iter().zip(&parts).zip(dys).map(|((result, part), dy)| {
        let bias =
            (wants.base && part.bias.is_some()).then(|| dy.clone().sum_dim(0).squeeze_dim::<1>(0));
        result.tensors(part, bias, like)
    });
    Some((tensor(dx, [rows, inputs], like), gradients.collect()))
}

/// s dy B of every adapter: the gradient of its low-rank input.
fn low_gradients(parts: &[Part], dys: &[HostTensor], rows: usize) -> Vec<Option<Vec<f32>>> {
    let buffer = |part: &Part| part.lora.as_ref().map(|lora| pool::buffer(rows * lora.rank));
    let mut lows: Vec<Option<Vec<f32>>> = parts.iter().map(buffer).collect();
    let mut jobs = Vec::new();
    for ((part, dy), low) in parts.iter().zip(dys).zip(&mut lows) {
        if let (Some(lora), Some(out)) = (&part.lora, low) {
            let left = Left::new(dy.values(), rows, part.outputs).scaled(lora.scaling);
            let right = Right::new(lora.b.values(), part.outputs, lora.rank);
            let terms = vec![(left, right)];
            jobs.push(Job { out, columns: lora.rank, start: Start::Zero, terms });
        }
    }
    run(jobs);
    lows
}

/// Saved activations on the host.
struct Kept {
    x: Option<HostTensor>,
    u: Option<HostTensor>,
}

impl Kept {
    fn all(saved: &[LinearSaved]) -> Option<Vec<Self>> {
        let host = |tensor: &Option<Tensor<2>>| match tensor {
            None => Some(None),
            Some(tensor) => HostTensor::borrow(tensor).map(Some),
        };
        saved.iter().map(|saved| Some(Self { x: host(&saved.x)?, u: host(&saved.u)? })).collect()
    }
}

/// Room for the gradients asked for.
struct Results {
    weight: Option<Vec<f32>>,
    a: Option<Vec<f32>>,
    b: Option<Vec<f32>>,
}

impl Results {
    fn new(part: &Part, kept: &Kept, wants: Wants) -> Self {
        let (x, u) = (kept.x.is_some(), kept.u.is_some());
        let rank = part.lora.as_ref().map_or(0, |lora| lora.rank);
        let room = |wanted: bool, len: usize| (wanted && len > 0).then(|| pool::buffer(len));
        Self {
            weight: room(wants.base && x, part.outputs * part.inputs),
            a: room(wants.factor_a && x, rank * part.inputs),
            b: room(wants.factor_b && u, rank * part.outputs),
        }
    }

    fn tensors(self, part: &Part, bias: Option<Tensor<1>>, like: &Tensor<2>) -> LinearGradients {
        let rank = part.lora.as_ref().map_or(0, |lora| lora.rank);
        LinearGradients {
            weight: self.weight.map(|values| tensor(values, [part.outputs, part.inputs], like)),
            bias,
            a: self.a.map(|values| tensor(values, [rank, part.inputs], like)),
            b: self.b.map(|values| tensor(values, [part.outputs, rank], like)),
        }
    }
}

/// x W^T, `w` being `[outputs, inputs]`.
pub(crate) fn times_transposed(
    x: &HostTensor,
    w: &HostTensor,
    like_x: &Tensor<2>,
    like_w: &Tensor<2>,
) -> Tensor<2> {
    let ([rows, inputs], [outputs, _]) = (like_x.dims(), like_w.dims());
    let right = Right::transposed(w.values(), inputs, outputs);
    plain(Left::new(x.values(), rows, inputs), right, like_x)
}

/// x W, `w` being `[inputs, outputs]`.
pub(crate) fn times(
    x: &HostTensor,
    w: &HostTensor,
    like_x: &Tensor<2>,
    like_w: &Tensor<2>,
) -> Tensor<2> {
    let ([rows, inputs], [_, outputs]) = (like_x.dims(), like_w.dims());
    plain(Left::new(x.values(), rows, inputs), Right::new(w.values(), inputs, outputs), like_x)
}

fn plain(left: Left<'_>, right: Right<'_>, like: &Tensor<2>) -> Tensor<2> {
    let (rows, columns) = (left.rows, right.columns);
    let mut out = pool::buffer(rows * columns);
    let terms = vec![(left, right)];
    run(vec![Job { out: &mut out, columns, start: Start::Zero, terms }]);
    tensor(out, [rows, columns], like)
}

//! What the losses of both families need: row norms, pairwise similarity, masks, masked log-sum-exp.

use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use nearfar_kernels as kernels;
pub use nearfar_kernels::{is_host, row_products, weighted_rows, weighted_rows_transposed};
use std::collections::HashMap;

/// Added to squared norms before the root: the gradient of a norm at zero is infinite.
const EPSILON: f64 = 1e-12;

/// Every row divided by its Euclidean norm: `[n, d]` to `[n, d]`. A zero row stays zero and its gradient is finite.
pub fn normalize_rows(x: Tensor<2>) -> Tensor<2> {
    let norm = x.clone().powi_scalar(2).sum_dim(1).add_scalar(EPSILON).sqrt(); // [n, 1]
    x / norm
}

/// Dot products of all rows: `[n, d]`, `[m, d]` to `[n, m]`.
pub fn dot_products(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    a.matmul(b.transpose())
}

/// Squared Euclidean distances of all rows: `[n, d]`, `[m, d]` to `[n, m]`, never negative.
pub fn squared_distances(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let norms = |x: &Tensor<2>| x.clone().powi_scalar(2).sum_dim(1); // [n, 1]
    let (na, nb) = (norms(&a), norms(&b).transpose());
    (na + nb - dot_products(a, b).mul_scalar(2.0)).clamp_min(0.0)
}

/// Row-wise `log(sum(exp(x)))` over the entries where `mask` holds: `[n, m]` to `[n, 1]`. A row without any gives
/// `-1e30`, whose exponential is zero, and no gradient.
pub fn masked_logsumexp(x: Tensor<2>, mask: Tensor<2, Bool>) -> Tensor<2> {
    let off = mask.bool_not();
    let x = x.mask_fill(off.clone(), -1e30);
    let top = x.clone().detach().max_dim(1); // [n, 1]
    let sum = (x - top.clone()).exp().mask_fill(off, 0.0).sum_dim(1);
    sum.clamp_min(1e-37).log() + top
}

/// The cross-entropy that NT-Xent, the supervised contrastive loss and InfoNCE are made of: the mean over the rows `i`
/// of `a [n, d]` that have positives, of
///
/// ```text
/// log( sum over j of exp(a_i . b_j / temperature) ) - mean over positives p of a_i . b_p / temperature
/// ```
///
/// `positives[i]` are the rows of `b [m, d]` that are positives of `a_i`. Without `b`, rows are compared with one
/// another and `j` leaves out `i` itself. Without any positive it is zero and keeps the graph.
///
/// On a CPU backend value and derivatives come from one pass ([`kernels::cross_entropy`]); elsewhere it is a
/// composition of Burn's operations.
///
/// # Panics
/// When `positives` do not number the rows, or name a row that is not there.
pub fn cross_entropy(a: Tensor<2>, b: Option<Tensor<2>>, positives: &[Vec<u32>], temperature: f64) -> Tensor<1> {
    let [n, d] = a.dims();
    assert_eq!(n, positives.len(), "every row needs its list of positives");
    let device = a.device();
    let others = b.is_none();
    if let (true, DType::F32) = (is_host(&device), a.dtype()) {
        let read = |x: &Tensor<2>| x.clone().detach().try_into_vec_as::<f32>().expect("host memory is always readable");
        let values = read(&a);
        let other = b.as_ref().map(read);
        let all = other.as_deref().unwrap_or(&values);
        let found = kernels::cross_entropy(&values, all, d, temperature as f32, positives, others);
        return match b {
            Some(b) => with_gradient(a, found.a) + with_gradient(b, found.b),
            None => with_gradient(a, found.a.iter().zip(found.b).map(|(a, b)| a + b).collect()),
        }
        .add_scalar(found.value);
    }
    let b = b.unwrap_or_else(|| a.clone());
    let [m, _] = b.dims();
    let logits = dot_products(a, b).div_scalar(temperature); // [n, m]
    let allowed: Vec<bool> = (0..n * m).map(|i| !others || i / m != i % m).collect();
    let mut weights = vec![0.0f32; n * m];
    for (row, positives) in weights.chunks_exact_mut(m).zip(positives) {
        positives.iter().for_each(|p| row[*p as usize] = 1.0 / positives.len() as f32);
    }
    let anchors: Vec<f32> = positives.iter().map(|p| f32::from(u8::from(!p.is_empty()))).collect();
    let count = anchors.iter().sum::<f32>().max(1.0);
    let dtype = logits.dtype();
    let matrix = |v: Vec<f32>, cols: usize| Tensor::<2>::from_data(TensorData::new(v, [n, cols]), &device).cast(dtype);
    let all = masked_logsumexp(logits.clone(), Tensor::from_data(TensorData::new(allowed, [n, m]), &device)); // [n, 1]
    let positive = (logits * matrix(weights, m)).sum_dim(1); // [n, 1]
    ((all - positive) * matrix(anchors, 1)).sum().div_scalar(count)
}

/// For every row the other rows of the same label, in order: the positives of [`cross_entropy`] without references.
pub fn same_label_positives(labels: &[usize]) -> Vec<Vec<u32>> {
    let mut of: HashMap<usize, Vec<u32>> = HashMap::new();
    for (i, label) in labels.iter().enumerate() {
        of.entry(*label).or_default().push(i as u32);
    }
    labels.iter().enumerate().map(|(i, l)| of[l].iter().copied().filter(|j| *j as usize != i).collect()).collect()
}

/// Zero, `[1]`, whose derivative with respect to `x` is `gradient`, in row-major order: how a value that was computed
/// outside of Burn gets its derivative.
///
/// # Panics
/// When the lengths differ.
pub fn with_gradient<const D: usize>(x: Tensor<D>, gradient: Vec<f32>) -> Tensor<1> {
    let gradient = Tensor::<D>::from_data(TensorData::new(gradient, x.dims()), &x.device());
    let still = x.clone() - x.detach(); // zero, with the derivative of x
    (still * gradient).sum()
}

/// Class indices as a tensor `[n]`.
pub fn label_tensor(labels: &[usize], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = labels.iter().map(|l| *l as i32).collect();
    Tensor::from_data(TensorData::new(values, [labels.len()]), device)
}

/// Where rows of `a` and columns of `b` have the same label: `[n, m]`.
pub fn same_label(a: &[usize], b: &[usize], device: &Device) -> Tensor<2, Bool> {
    let mask: Vec<bool> = a.iter().flat_map(|x| b.iter().map(move |y| x == y)).collect();
    Tensor::from_data(TensorData::new(mask, [a.len(), b.len()]), device)
}

/// The diagonal: `[n, n]`.
pub fn diagonal(n: usize, device: &Device) -> Tensor<2, Bool> {
    let mask: Vec<bool> = (0..n * n).map(|i| i / n == i % n).collect();
    Tensor::from_data(TensorData::new(mask, [n, n]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(rows: &[[f32; 2]], device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), 2]), device)
    }

    #[test]
    fn zero_rows_normalise_to_zero_with_a_finite_gradient() {
        let device = Device::flex().autodiff();
        let x = tensor(&[[0.0, 0.0], [3.0, 4.0]], &device).require_grad();
        let y = normalize_rows(x.clone());
        assert_eq!(y.clone().try_into_vec_as::<f32>().unwrap(), [0.0, 0.0, 0.6, 0.8]);
        let grad = x.grad(&y.sum().backward()).unwrap().try_into_vec_as::<f32>().unwrap();
        assert!(grad.iter().all(|g| g.is_finite()), "{grad:?}");
    }

    #[test]
    fn distances_and_masked_sums_equal_their_definitions() {
        let device = Device::flex();
        let a = tensor(&[[1.0, 2.0], [3.0, -1.0], [-1.0, 1.0]], &device);
        let d = squared_distances(a.clone(), a.clone()).try_into_vec_as::<f32>().unwrap();
        assert_eq!(d, [0.0, 13.0, 5.0, 13.0, 0.0, 20.0, 5.0, 20.0, 0.0]);
        let mask = same_label(&[0, 1, 2], &[0, 0, 1], &device);
        let lse = masked_logsumexp(dot_products(a.clone(), a), mask).try_into_vec_as::<f32>().unwrap();
        assert!((lse[0] - (5f32.exp() + 1f32.exp()).ln()).abs() < 1e-5);
        assert!((lse[1] - (-4.0)).abs() < 1e-5);
        assert!(lse[2] < -1e29);
    }

    /// On doubles the plain composition runs; its gradient is Burn's own.
    #[test]
    fn cross_entropy_on_the_host_equals_its_composition() {
        let device = Device::flex().autodiff();
        let wave = |n: usize, f: f32| (0..n * 3).map(|i| (i as f32 * f).sin()).collect::<Vec<f32>>();
        let rows = |v: Vec<f32>, n: usize| Tensor::<2>::from_data(TensorData::new(v, [n, 3]), &device);
        let labels = [0, 1, 0, 2, 1, 0, 3];
        let references = [vec![0, 9], vec![3], vec![], vec![1], vec![2, 5, 6], vec![8], vec![0]];
        for (m, positives) in [(None, same_label_positives(&labels)), (Some(10), references.to_vec())] {
            let run = |dtype: DType| {
                let a = rows(wave(7, 0.7), 7).require_grad();
                let b = m.map(|m| rows(wave(m, 1.3), m).require_grad());
                let cast = |x: &Tensor<2>| x.clone().cast(dtype);
                let loss = cross_entropy(cast(&a), b.as_ref().map(cast), &positives, 0.5);
                let grads = loss.backward();
                let read = |x: Tensor<2>| x.try_into_vec_as::<f32>().unwrap();
                let mut out = vec![loss.into_scalar::<f32>()];
                out.extend(read(a.grad(&grads).unwrap()));
                out.extend(b.map_or_else(Vec::new, |b| read(b.grad(&grads).unwrap())));
                out
            };
            let (host, plain) = (run(DType::F32), run(DType::F64));
            assert_eq!(host.len(), plain.len());
            for (h, p) in host.iter().zip(&plain) {
                assert!((h - p).abs() < 1e-5, "{host:?} {plain:?}");
            }
        }
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let device = Device::flex();
        let x = tensor(&[[1e4, 1e4]], &device);
        let lse = masked_logsumexp(x, same_label(&[0], &[0, 0], &device)).into_scalar::<f32>();
        assert!((lse - (1e4 + 2f32.ln())).abs() < 1e-2, "{lse}");
    }
}

//! What the losses of both families need: row norms, pairwise similarity, masks, masked log-sum-exp.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

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

    #[test]
    fn large_logits_do_not_overflow() {
        let device = Device::flex();
        let x = tensor(&[[1e4, 1e4]], &device);
        let lse = masked_logsumexp(x, same_label(&[0], &[0, 0], &device)).into_scalar::<f32>();
        assert!((lse - (1e4 + 2f32.ln())).abs() < 1e-2, "{lse}");
    }
}

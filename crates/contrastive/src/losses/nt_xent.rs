use burn::tensor::Tensor;
use nearfar_core::similarity::{diagonal, dot_products, masked_logsumexp, normalize_rows};

/// The normalised-temperature cross entropy of SimCLR (Chen et al., 2020), equation 1: views `a`, `b` `[n, d]` of the
/// same `n` images, row by row.
///
/// Every one of the `2n` rows is an anchor with one positive and `2n - 2` negatives; the value is the mean over the
/// rows, as in the paper and in lightly. (The authors' code returns the sum of two per-view means: twice this.)
///
/// # Panics
/// When the shapes differ.
pub fn nt_xent(a: Tensor<2>, b: Tensor<2>, temperature: f64) -> Tensor<1> {
    assert_eq!(a.dims(), b.dims(), "both views must hold the same images in the same order");
    let [n, _] = a.dims();
    let device = a.device();
    let (a, b) = (normalize_rows(a), normalize_rows(b));
    let positive = (a.clone() * b.clone()).sum_dim(1).div_scalar(temperature); // [n, 1]
    let z = Tensor::cat(vec![a, b], 0); // [2n, d]
    let logits = dot_products(z.clone(), z).div_scalar(temperature); // [2n, 2n]
    let others = diagonal(2 * n, &device).bool_not();
    let all = masked_logsumexp(logits, others); // [2n, 1]
    // Both rows of an image have the same positive.
    all.mean() - positive.mean()
}

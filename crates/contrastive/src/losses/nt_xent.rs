use burn::tensor::Tensor;
use nearfar_core::similarity::{cross_entropy, normalize_rows};

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
    let z = Tensor::cat(vec![normalize_rows(a), normalize_rows(b)], 0); // [2n, d]
    let positives: Vec<Vec<u32>> = (0..2 * n).map(|row| vec![((row + n) % (2 * n)) as u32]).collect();
    cross_entropy(z, None, &positives, temperature)
}

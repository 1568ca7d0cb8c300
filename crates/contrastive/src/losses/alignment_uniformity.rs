use burn::tensor::Tensor;
use nearfar_core::similarity::{diagonal, normalize_rows, squared_distances};

/// Alignment (Wang and Isola, 2020): the mean squared distance of matching normalised rows `[n, d]`, in [0, 4].
///
/// # Panics
/// When the shapes differ.
pub fn alignment(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    assert_eq!(a.dims(), b.dims(), "both views must hold the same images in the same order");
    (normalize_rows(a) - normalize_rows(b)).square().sum_dim(1).mean()
}

/// Uniformity (Wang and Isola, 2020): `log` of the mean of `exp(-t |x - y|^2)` over distinct normalised rows `[n, d]`,
/// in [-4t, 0]. `t` is 2 in the paper.
///
/// # Panics
/// When there are fewer than two rows.
pub fn uniformity(x: Tensor<2>, t: f64) -> Tensor<1> {
    let [n, _] = x.dims();
    assert!(n >= 2, "one row has no other row");
    let device = x.device();
    let x = normalize_rows(x);
    let potential = squared_distances(x.clone(), x).mul_scalar(-t).exp(); // [n, n]
    let pairs = (n * (n - 1)) as f64;
    potential.mask_fill(diagonal(n, &device), 0.0).sum().div_scalar(pairs).log()
}

/// [`alignment`] plus `weight` times the mean [`uniformity`] of both views: the paper trains on it directly, with
/// weight 1 and `t` 2; lightly's `HypersphereLoss` has weight 1 and `t` 1.
///
/// # Panics
/// When the shapes differ or there are fewer than two rows.
pub fn align_uniform(a: Tensor<2>, b: Tensor<2>, weight: f64, t: f64) -> Tensor<1> {
    let spread = uniformity(a.clone(), t) + uniformity(b.clone(), t);
    alignment(a, b) + spread.mul_scalar(weight / 2.0)
}

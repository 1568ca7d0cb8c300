use burn::tensor::Tensor;
use nearfar_core::similarity::normalize_rows;

/// SimSiam's `D(p, z)` (Chen and He, 2021, equation 1): the negative cosine similarity of matching rows `[n, d]`, mean
/// over the rows, in [-1, 1].
///
/// ```text
/// D = - mean over rows of p . z / (|p| |z|)
/// ```
///
/// The stop-gradient is the caller's: pass a detached `z`.
///
/// # Panics
/// When the shapes differ.
pub fn negative_cosine(p: Tensor<2>, z: Tensor<2>) -> Tensor<1> {
    assert_eq!(p.dims(), z.dims(), "both sides must hold the same images in the same order");
    -(normalize_rows(p) * normalize_rows(z)).sum_dim(1).mean()
}

/// BYOL's regression of one direction (Grill et al., 2020, equation 2): the squared distance of the normalised rows,
/// which is `2 - 2 cos`, mean over the rows, in [0, 4].
///
/// # Panics
/// When the shapes differ.
pub fn byol_regression(prediction: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    negative_cosine(prediction, target).mul_scalar(2.0).add_scalar(2.0)
}

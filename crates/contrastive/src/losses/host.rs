//! Losses whose derivative Burn cannot take: valued and differentiated on the host, handed back to autodiff.

use burn::tensor::Tensor;
use nearfar_core::similarity;

/// The numbers of `x`, row after row, in `f64`.
///
/// # Panics
/// When the device is gone.
pub(super) fn read<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    let values = x.clone().detach().try_into_vec_as::<f32>().expect("embeddings are f32 and the device is alive");
    values.into_iter().map(f64::from).collect()
}

/// A loss `[1]` of value `value` whose derivative with respect to `x` is `gradient`, laid out as `x`.
pub(super) fn with_gradient<const D: usize>(x: Tensor<D>, value: f64, gradient: &[f64]) -> Tensor<1> {
    similarity::with_gradient(x, gradient.iter().map(|g| *g as f32).collect()).add_scalar(value)
}

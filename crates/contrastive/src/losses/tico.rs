use burn::tensor::Tensor;
use nearfar_core::similarity::normalize_rows;

/// TiCo (Zhu et al., 2022): views near each other, outputs kept out of the directions that the batch already fills.
///
/// ```text
/// loss = 1 - mean of z . z' + rho * mean of z^T C z
/// ```
///
/// `z` and the momentum network's `target` `[n, d]` are normalised here. `covariance [d, d]` is [`tico_covariance`] of
/// this step. Mean over the rows; `rho` is 8 in lightly.
///
/// # Panics
/// When the shapes differ.
pub fn tico(z: Tensor<2>, target: Tensor<2>, covariance: Tensor<2>, rho: f64) -> Tensor<1> {
    assert_eq!(z.dims(), target.dims(), "both views must hold the same images in the same order");
    let (z, target) = (normalize_rows(z), normalize_rows(target));
    let near = (z.clone() * target).sum_dim(1).mean();
    let filled = (z.clone().matmul(covariance) * z).sum_dim(1).mean();
    (filled.mul_scalar(rho) - near).add_scalar(1.0)
}

/// The moving second moment of the normalised rows, without a graph: `beta * previous + (1 - beta) z^T z / n`. `beta`
/// is 0.9 in lightly; the first `previous` is zero.
pub fn tico_covariance(previous: Tensor<2>, z: Tensor<2>, beta: f64) -> Tensor<2> {
    let [n, _] = z.dims();
    let z = normalize_rows(z.detach());
    let now = z.clone().transpose().matmul(z).div_scalar(n as f64); // [d, d]
    previous.detach().mul_scalar(beta) + now.mul_scalar(1.0 - beta)
}

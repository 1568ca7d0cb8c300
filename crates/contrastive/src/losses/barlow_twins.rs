use burn::tensor::Tensor;
use nearfar_core::similarity::diagonal;

/// Added to a variance before the root, as in PyTorch's batch norm, which the authors standardise with.
const EPSILON: f64 = 1e-5;

/// Barlow Twins (Zbontar et al., 2021), algorithm 1: the cross-correlation of two views' outputs must be the identity.
///
/// ```text
/// C    = standardise(a)^T standardise(b) / n                         [d, d]
/// loss = sum over i of (1 - C_ii)^2 + lambda sum over i != j of C_ij^2
/// ```
///
/// `a`, `b` `[n, d]`; columns, not rows, are standardised. `lambda` is 5e-3 in the paper. The value is a sum over the
/// outputs: solo-learn and the authors scale it (0.1 and 0.024), which matters to LARS and SGD.
///
/// # Panics
/// When the shapes differ.
pub fn barlow_twins(a: Tensor<2>, b: Tensor<2>, lambda: f64) -> Tensor<1> {
    assert_eq!(a.dims(), b.dims(), "both views must hold the same images in the same order");
    let [n, d] = a.dims();
    let on_diagonal = diagonal(d, &a.device()).float(); // [d, d]
    let c = standardize(a).transpose().matmul(standardize(b)).div_scalar(n as f64); // [d, d]
    let on = ((c.clone() - on_diagonal.clone()) * on_diagonal.clone()).square().sum();
    let off = (c * on_diagonal.mul_scalar(-1.0).add_scalar(1.0)).square().sum();
    on + off.mul_scalar(lambda)
}

/// Every column with mean zero and (biased) variance one.
fn standardize(x: Tensor<2>) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(0); // [n, d]
    let variance = centred.clone().square().mean_dim(0); // [1, d]
    centred / variance.add_scalar(EPSILON).sqrt()
}

use burn::tensor::{Tensor, activation::relu};
use nearfar_core::similarity::diagonal;
use serde::{Deserialize, Serialize};

/// Added to a variance before the root, as in the authors' code.
const EPSILON: f64 = 1e-4;

/// Weights of the three terms; the defaults are the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VicRegWeights {
    /// Of the distance between views, `lambda`, >= 0. Default 25.
    pub invariance: f64,
    /// Of the spread of each output, `mu`, >= 0. Default 25.
    pub variance: f64,
    /// Of the covariance between outputs, `nu`, >= 0. Default 1.
    pub covariance: f64,
}

impl Default for VicRegWeights {
    fn default() -> Self {
        Self { invariance: 25.0, variance: 25.0, covariance: 1.0 }
    }
}

/// VICReg (Bardes, Ponce and LeCun, 2022): views near each other (invariance), every output with a standard deviation
/// of at least one (variance), outputs uncorrelated (covariance).
///
/// ```text
/// invariance = mean over entries of (a - b)^2
/// variance   = mean over views and outputs of max(0, 1 - sqrt(var + 1e-4))
/// covariance = sum over views of sum over i != j of Cov_ij^2 / d
/// ```
///
/// `a`, `b` `[n, d]`, `n >= 2`, not normalised. Variances are unbiased. Values are the authors' code's and lightly's.
///
/// # Panics
/// When the shapes differ or there are fewer than two rows.
pub fn vicreg(a: Tensor<2>, b: Tensor<2>, weights: VicRegWeights) -> Tensor<1> {
    assert_eq!(a.dims(), b.dims(), "both views must hold the same images in the same order");
    assert!(a.dims()[0] >= 2, "one row has no variance");
    let invariance = (a.clone() - b.clone()).square().mean();
    let (variance_a, covariance_a) = spread(a);
    let (variance_b, covariance_b) = spread(b);
    invariance.mul_scalar(weights.invariance)
        + (variance_a + variance_b).mul_scalar(weights.variance / 2.0)
        + (covariance_a + covariance_b).mul_scalar(weights.covariance)
}

/// The variance and the covariance term of one view.
fn spread(x: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
    let [n, d] = x.dims();
    let centred = x.clone() - x.mean_dim(0); // [n, d]
    let degrees = (n - 1) as f64;
    let variance = centred.clone().square().sum_dim(0).div_scalar(degrees); // [1, d]
    let missing = relu(variance.add_scalar(EPSILON).sqrt().mul_scalar(-1.0).add_scalar(1.0)).mean();
    let off_diagonal = diagonal(d, &centred.device()).bool_not().float(); // [d, d]
    let covariance = centred.clone().transpose().matmul(centred).div_scalar(degrees); // [d, d]
    (missing, (covariance * off_diagonal).square().sum().div_scalar(d as f64))
}

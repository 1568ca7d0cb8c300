//! Penalties on embeddings or on class weights, to be added to a loss times a factor of one's choice.
//!
//! Each is one number `[1]` of a matrix `[n, d]`: of a batch of embeddings, or of the weights of a
//! [`crate::losses::class::ClassHead`]. Formulas and means are pytorch-metric-learning's.

use crate::MetricError;
use burn::tensor::{Tensor, TensorData};
use nearfar_core::similarity::{diagonal, dot_products, normalize_rows};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// Keeps roots differentiable at zero.
const EPSILON: f64 = 1e-12;

/// A penalty on the rows of a matrix.
pub trait Regularizer: Debug + Send + Sync {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    fn validate(&self) -> Result<(), MetricError> {
        Ok(())
    }

    /// The penalty `[1]` of `x [n, d]`.
    ///
    /// # Errors
    /// When a setting is out of range or does not fit the number of rows.
    fn forward(&self, x: Tensor<2>) -> Result<Tensor<1>, MetricError>;
}

/// Short embeddings: the mean over the rows of their `p` norm to the power `power`, at least 0.
///
/// ```text
/// mean over rows of (sum over entries of |x|^p)^(power / p)
/// ```
///
/// The gradient at a zero row is zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lp {
    /// Which norm, a finite number of at least 1. Default 2, as in pytorch-metric-learning.
    pub p: f64,
    /// Power of the norm, a finite number above 0. Default 1, as in pytorch-metric-learning.
    pub power: f64,
}

impl Default for Lp {
    fn default() -> Self {
        Self { p: 2.0, power: 1.0 }
    }
}

impl Regularizer for Lp {
    fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.p.is_finite() && self.p >= 1.0, "p", "a finite number of at least 1", self.p)?;
        let power = self.power;
        MetricError::check(power.is_finite() && power > 0.0, "power", "a finite number above 0", power)
    }

    fn forward(&self, x: Tensor<2>) -> Result<Tensor<1>, MetricError> {
        self.validate()?;
        let sum = x.abs().powf_scalar(self.p).sum_dim(1); // [n, 1]
        Ok(sum.add_scalar(EPSILON).powf_scalar(self.power / self.p).mean())
    }
}

/// Embeddings whose entries cancel: the mean over the rows of the size of their sum, `|sum over entries of x|`, at
/// least 0; pytorch-metric-learning's `ZeroMeanRegularizer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZeroMean;

impl Regularizer for ZeroMean {
    fn forward(&self, x: Tensor<2>) -> Result<Tensor<1>, MetricError> {
        Ok(x.sum_dim(1).abs().mean())
    }
}

/// Class weights of equal length (Wu et al., "Deep Face Recognition with Center Invariant Loss", 2017):
///
/// ```text
/// mean over classes of (|w|^2 - mean of |w|^2)^2 / 4
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CenterInvariant;

impl Regularizer for CenterInvariant {
    fn forward(&self, x: Tensor<2>) -> Result<Tensor<1>, MetricError> {
        let square = x.powi_scalar(2).sum_dim(1); // [n, 1]
        let mean = square.clone().mean_dim(0); // [1, 1]
        Ok((square - mean).powi_scalar(2).mean().div_scalar(4.0))
    }
}

/// Class weights far apart (Zhao et al., "RegularFace", 2019): the mean over classes of the largest cosine to another
/// class, in [-1, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegularFace;

impl Regularizer for RegularFace {
    fn forward(&self, x: Tensor<2>) -> Result<Tensor<1>, MetricError> {
        let [n, _] = x.dims();
        MetricError::check(n >= 2, "weights", "of at least 2 classes", n as f64)?;
        let own = diagonal(n, &x.device());
        let w = normalize_rows(x);
        let cosine = dot_products(w.clone(), w).mask_fill(own, -2.0); // [n, n], itself below all
        Ok(cosine.max_dim(1).mean())
    }
}

/// Few directions a class (Qian et al., "SoftTriple", 2019): half the mean distance between the normalised centres of a
/// class, so that centres that are not needed merge.
///
/// ```text
/// mean over pairs c < c' of centres of one class of sqrt(2 - 2 cos(c, c')) / 2
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SparseCenters {
    /// Centres of a class, at least 2, one below the other in the weights. Default 10, as
    /// [`crate::losses::class::SoftTriple`].
    pub centers: usize,
}

impl Default for SparseCenters {
    fn default() -> Self {
        Self { centers: 10 }
    }
}

impl Regularizer for SparseCenters {
    fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.centers >= 2, "centers", "at least 2", self.centers as f64)
    }

    fn forward(&self, x: Tensor<2>) -> Result<Tensor<1>, MetricError> {
        self.validate()?;
        let ([rows, d], k) = (x.dims(), self.centers);
        let whole = rows >= k && rows.is_multiple_of(k);
        MetricError::check(whole, "weights", "a whole number of centres for each class", rows as f64)?;
        let classes = rows / k;
        let upper: Vec<f32> = (0..k * k).map(|i| if i / k < i % k { 1.0 } else { 0.0 }).collect();
        let upper = Tensor::<3>::from_data(TensorData::new(upper, [1, k, k]), &x.device());
        let w: Tensor<3> = normalize_rows(x).reshape([classes, k, d]);
        let cosine = w.clone().matmul(w.transpose()); // [classes, k, k]
        // The constant keeps the gradient of merged centres finite.
        let distance = cosine.mul_scalar(-2.0).add_scalar(2.0).clamp_min(0.0).add_scalar(1e-7).sqrt();
        let pairs = classes * k * (k - 1) / 2;
        Ok((distance * upper).sum().div_scalar(2.0 * pairs as f64))
    }
}

use super::{
    ClassLoss, Part, Targets,
    targets::{cosines, row_norms},
};
use crate::{MetricError, Reducer};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Large-margin softmax (Liu et al., 2016): cross-entropy over dot products, the angle to the own class multiplied by
/// the margin `m`.
///
/// ```text
/// logit of the own class: s |w| |x| psi(angle)      of every other class: s |w| |x| cos(angle)
/// psi(angle) = (-1)^k cos(m angle) - 2k             where k pi / m <= angle <= (k + 1) pi / m
/// ```
///
/// `psi` is continuous and falls from 1 to `1 - 2m`. No angle is computed: `cos(m angle)` is a polynomial of the
/// cosine, and `k` counts the `cos(j pi / m)` above it. The paper mixes in the plain logit with a factor that it lowers
/// during training; like pytorch-metric-learning this loss does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LargeMarginSoftmax {
    /// Margin, a whole number, 1 to 16. Default 4, as in pytorch-metric-learning; 2 to 4 in the paper.
    pub margin: usize,
    /// Scale of the logits, > 0. Default 1, as in both.
    pub scale: f64,
    /// How the elements, one an embedding, become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for LargeMarginSoftmax {
    fn default() -> Self {
        Self { margin: 4, scale: 1.0, reducer: Reducer::Mean }
    }
}

impl ClassLoss for LargeMarginSoftmax {
    fn validate(&self) -> Result<(), MetricError> {
        check_settings(self.margin, self.scale)?;
        self.reducer.validate()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn logits(&self, embeddings: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
        let size = row_norms(embeddings.clone()) * row_norms(weights.clone()).transpose(); // [n, classes]
        cosines(embeddings, weights) * size.mul_scalar(self.scale)
    }

    fn parts(&self, embeddings: Tensor<2>, weights: Tensor<2>, targets: &Targets) -> Vec<Part> {
        let size = row_norms(embeddings.clone()) * row_norms(weights.clone()).transpose(); // [n, classes]
        let cosine = widened(cosines(embeddings, weights), targets, self.margin);
        targets.cross_entropy(cosine * size.mul_scalar(self.scale))
    }
}

/// Checks a factor of the angle and a scale.
pub(super) fn check_settings(margin: usize, scale: f64) -> Result<(), MetricError> {
    MetricError::check((1..=16).contains(&margin), "margin", "1 to 16", margin as f64)?;
    MetricError::check(scale.is_finite() && scale > 0.0, "scale", "a finite number above 0", scale)
}

/// The cosines `[n, classes]`, `psi` in place of that of the own class.
pub(super) fn widened(cosine: Tensor<2>, targets: &Targets, margin: usize) -> Tensor<2> {
    let own = targets.own(cosine.clone()); // [n, 1]
    let change = psi(own.clone(), margin) - own;
    targets.add_to_own(cosine, change)
}

/// `(-1)^k cos(m angle) - 2k` from `cosine [n, 1]`.
fn psi(cosine: Tensor<2>, margin: usize) -> Tensor<2> {
    // cos(j angle) = 2 cos(angle) cos((j - 1) angle) - cos((j - 2) angle)
    let (mut before, mut multiple) = (cosine.ones_like(), cosine.clone());
    for _ in 1..margin {
        let next = cosine.clone().mul_scalar(2.0) * multiple.clone() - before;
        (before, multiple) = (multiple, next);
    }
    // Both are constant between the kinks: no gradient.
    let (mut sign, mut twice_k) = (cosine.ones_like(), cosine.zeros_like());
    for j in 1..margin {
        let passed = cosine.clone().lower_equal_elem((PI * j as f64 / margin as f64).cos()).float();
        sign = sign * passed.clone().mul_scalar(-2.0).add_scalar(1.0);
        twice_k = twice_k + passed.mul_scalar(2.0);
    }
    sign * multiple - twice_k
}

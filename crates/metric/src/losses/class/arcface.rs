use super::{
    ClassLoss, Part, Targets,
    targets::{cosines, row_norms},
};
use crate::{MetricError, Reducer};
use burn::tensor::Tensor;
use nearfar_core::similarity::{dot_products, normalize_rows};
use serde::{Deserialize, Serialize};

/// ArcFace, the additive angular margin loss (Deng et al., 2019): cross-entropy over scaled cosines, the angle to the
/// own class widened by the margin `m`.
///
/// ```text
/// logit of the own class:  s cos(angle + m)           where angle <= pi - m
///                          s (cos(angle) - m sin(m))  beyond, so that it goes on falling
/// of every other class:    s cos(angle)
/// ```
///
/// No angle is computed: `cos(a + m) = cos a cos m - sin a sin m`, and the sine is the length of what remains of the
/// embedding without its part along the class direction, which stays exact and differentiable at 0 and 180 degrees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArcFace {
    /// Margin in degrees, 0 to 90. Default 28.6, as in pytorch-metric-learning; 0.5 rad (28.65) in the paper.
    pub margin: f64,
    /// Scale of the logits, > 0. Default 64, as in both.
    pub scale: f64,
    /// How the elements, one an embedding, become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for ArcFace {
    fn default() -> Self {
        Self { margin: 28.6, scale: 64.0, reducer: Reducer::Mean }
    }
}

impl ClassLoss for ArcFace {
    fn validate(&self) -> Result<(), MetricError> {
        check_settings(self.margin, self.scale)?;
        self.reducer.validate()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn logits(&self, embeddings: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
        cosines(embeddings, weights).mul_scalar(self.scale)
    }

    fn parts(&self, embeddings: Tensor<2>, weights: Tensor<2>, targets: &Targets) -> Vec<Part> {
        let (x, w) = (normalize_rows(embeddings), normalize_rows(weights));
        let cosine = dot_products(x.clone(), w.clone()); // [n, classes]
        let own = targets.own(cosine.clone()); // [n, 1]
        let moved = add_margin(x, w.select(0, targets.index()), own.clone(), self.margin.to_radians());
        targets.cross_entropy(targets.add_to_own(cosine, moved - own).mul_scalar(self.scale))
    }
}

/// Checks a margin in degrees and a scale.
pub(super) fn check_settings(margin: f64, scale: f64) -> Result<(), MetricError> {
    MetricError::check((0.0..=90.0).contains(&margin), "margin", "0 to 90 degrees", margin)?;
    MetricError::check(scale.is_finite() && scale > 0.0, "scale", "a finite number above 0", scale)
}

/// The cosine of the widened angle between rows of `x` and `w`, both `[n, d]` of length one, `cosine [n, 1]` apart.
pub(super) fn add_margin(x: Tensor<2>, w: Tensor<2>, cosine: Tensor<2>, margin: f64) -> Tensor<2> {
    let (sin, cos) = margin.sin_cos();
    let sine = row_norms(x - w * cosine.clone()); // [n, 1]
    let moved = cosine.clone().mul_scalar(cos) - sine.mul_scalar(sin);
    let beyond = cosine.clone().lower_elem(-cos); // angle > pi - m
    moved.mask_where(beyond, cosine.sub_scalar(margin * sin))
}

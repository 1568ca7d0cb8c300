use super::{ClassLoss, Part, Targets, targets::cosines};
use crate::{MetricError, Reducer};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// CosFace, the large margin cosine loss (Wang et al., 2018): cross-entropy over scaled cosines, that of the own class
/// lowered by the margin `m`.
///
/// ```text
/// logit of the own class: s (cos(angle) - m)      of every other class: s cos(angle)
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CosFace {
    /// Margin, 0 to 2. Default 0.35, as in the paper and in pytorch-metric-learning.
    pub margin: f64,
    /// Scale of the logits, > 0. Default 64, as in both.
    pub scale: f64,
    /// How the elements, one an embedding, become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for CosFace {
    fn default() -> Self {
        Self { margin: 0.35, scale: 64.0, reducer: Reducer::Mean }
    }
}

impl ClassLoss for CosFace {
    fn validate(&self) -> Result<(), MetricError> {
        let (m, s) = (self.margin, self.scale);
        MetricError::check((0.0..=2.0).contains(&m), "margin", "0 to 2", m)?;
        MetricError::check(s.is_finite() && s > 0.0, "scale", "a finite number above 0", s)?;
        self.reducer.validate()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn logits(&self, embeddings: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
        cosines(embeddings, weights).mul_scalar(self.scale)
    }

    fn parts(&self, embeddings: Tensor<2>, weights: Tensor<2>, targets: &Targets) -> Vec<Part> {
        let cosine = cosines(embeddings, weights); // [n, classes]
        targets.cross_entropy(targets.lower_own(cosine, self.margin).mul_scalar(self.scale))
    }
}

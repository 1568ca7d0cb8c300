use super::{ClassLoss, Part, Targets, targets::cosines};
use crate::{MetricError, Reducer};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Normalised softmax (Zhai and Wu, 2019): cross-entropy over cosines divided by the temperature `t`.
///
/// ```text
/// logit of every class: cos(angle) / t
/// ```
///
/// Embeddings are normalised too, as pytorch-metric-learning's default distance does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NormalizedSoftmax {
    /// Temperature, > 0. Default 0.05, as in the paper and in pytorch-metric-learning.
    pub temperature: f64,
    /// How the elements, one an embedding, become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for NormalizedSoftmax {
    fn default() -> Self {
        Self { temperature: 0.05, reducer: Reducer::Mean }
    }
}

impl ClassLoss for NormalizedSoftmax {
    fn validate(&self) -> Result<(), MetricError> {
        let t = self.temperature;
        MetricError::check(t.is_finite() && t > 0.0, "temperature", "a finite number above 0", t)?;
        self.reducer.validate()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn logits(&self, embeddings: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
        cosines(embeddings, weights).div_scalar(self.temperature)
    }

    fn parts(&self, embeddings: Tensor<2>, weights: Tensor<2>, targets: &Targets) -> Vec<Part> {
        targets.cross_entropy(self.logits(embeddings, weights))
    }
}

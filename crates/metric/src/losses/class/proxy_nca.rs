use super::{ClassLoss, Part, Targets, targets::cosines};
use crate::{MetricError, Reducer};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// ProxyNCA (Movshovitz-Attias et al., 2017): neighbourhood components analysis against one trained proxy a class, on
/// vectors of length one.
///
/// ```text
/// - log( exp(-s d(x, own proxy)^2) / sum over all proxies p of exp(-s d(x, p)^2) )
/// ```
///
/// As in pytorch-metric-learning, and unlike the paper, the own proxy is in the denominator. On unit vectors
/// `-d^2 = 2 cos - 2`, and a softmax does not see the constant: the logits are `2 s cos`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyNca {
    /// Factor of the squared distances, > 0. Default 1, as in the paper and in pytorch-metric-learning.
    pub scale: f64,
    /// How the elements, one an embedding, become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for ProxyNca {
    fn default() -> Self {
        Self { scale: 1.0, reducer: Reducer::Mean }
    }
}

impl ClassLoss for ProxyNca {
    fn validate(&self) -> Result<(), MetricError> {
        let s = self.scale;
        MetricError::check(s.is_finite() && s > 0.0, "scale", "a finite number above 0", s)?;
        self.reducer.validate()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn logits(&self, embeddings: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
        cosines(embeddings, weights).mul_scalar(2.0 * self.scale)
    }

    fn parts(&self, embeddings: Tensor<2>, weights: Tensor<2>, targets: &Targets) -> Vec<Part> {
        targets.cross_entropy(self.logits(embeddings, weights))
    }
}

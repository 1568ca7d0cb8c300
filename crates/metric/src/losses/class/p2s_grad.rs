use super::{ClassLoss, Part, Targets, targets::cosines};
use crate::{MetricError, Reducer};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// P2SGrad (Zhang et al., "P2SGrad: refined gradients for optimizing deep face models", 2019): the squared error of the
/// cosines to all classes, whose target is 1 for the own class and 0 for the others.
///
/// ```text
/// mean over classes j of (cos(angle_j) - [j is the own class])^2
/// ```
///
/// Its gradient is the paper's: that of a softmax loss with the probability replaced by the cosine, so that neither
/// scale nor margin has to be chosen. The mean over classes and embeddings is pytorch-metric-learning's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct P2sGrad {
    /// How the elements, one an embedding, become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for P2sGrad {
    fn default() -> Self {
        Self { reducer: Reducer::Mean }
    }
}

impl ClassLoss for P2sGrad {
    fn validate(&self) -> Result<(), MetricError> {
        self.reducer.validate()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn logits(&self, embeddings: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
        cosines(embeddings, weights)
    }

    fn parts(&self, embeddings: Tensor<2>, weights: Tensor<2>, targets: &Targets) -> Vec<Part> {
        let cosine = cosines(embeddings, weights); // [n, classes]
        let error = targets.lower_own(cosine, 1.0); // [n, classes]
        targets.items(error.powi_scalar(2).mean_dim(1))
    }
}

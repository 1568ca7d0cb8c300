use super::{
    ClassLoss, Part, Targets,
    large_margin_softmax::{check_settings, widened},
    targets::{cosines, row_norms},
};
use crate::{MetricError, Reducer};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// SphereFace, the angular softmax (Liu et al., 2017): [`super::LargeMarginSoftmax`] with class weights of length one,
/// so that only angles tell classes apart.
///
/// ```text
/// logit of the own class: s |x| psi(angle)      of every other class: s |x| cos(angle)
/// ```
///
/// The paper mixes in the plain logit with a factor that it lowers during training; like pytorch-metric-learning this
/// loss does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SphereFace {
    /// Margin, a whole number, 1 to 16. Default 4, as in the paper and in pytorch-metric-learning.
    pub margin: usize,
    /// Scale of the logits, > 0. Default 1, as in both.
    pub scale: f64,
    /// How the elements, one an embedding, become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for SphereFace {
    fn default() -> Self {
        Self { margin: 4, scale: 1.0, reducer: Reducer::Mean }
    }
}

impl ClassLoss for SphereFace {
    fn validate(&self) -> Result<(), MetricError> {
        check_settings(self.margin, self.scale)?;
        self.reducer.validate()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn logits(&self, embeddings: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
        let size = row_norms(embeddings.clone()).mul_scalar(self.scale); // [n, 1]
        cosines(embeddings, weights) * size
    }

    fn parts(&self, embeddings: Tensor<2>, weights: Tensor<2>, targets: &Targets) -> Vec<Part> {
        let size = row_norms(embeddings.clone()).mul_scalar(self.scale); // [n, 1]
        let cosine = widened(cosines(embeddings, weights), targets, self.margin); // [n, classes]
        targets.cross_entropy(cosine * size)
    }
}

use super::{ClassLoss, Draw, Part, Targets, targets::cosines};
use crate::{MetricError, Reducer};
use burn::tensor::{Tensor, activation::softmax};
use serde::{Deserialize, Serialize};

/// SoftTriple (Qian et al., 2019): several centres a class, an embedding's similarity to a class being their softmax
/// mean; cross-entropy over it, lowered by the margin for the own class.
///
/// ```text
/// S(x, class) = sum over its centres c of softmax_c(cos(x, c) / gamma) cos(x, c)
/// logit of the own class: lambda (S - margin)      of every other class: lambda S
/// ```
///
/// The paper's pull between the centres of a class is [`crate::regularizer::SparseCenters`] on the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SoftTriple {
    /// Centres of a class, at least 1. Default 10, as in the paper and in pytorch-metric-learning.
    pub centers: usize,
    /// Scale of the logits, > 0. Default 20, as in both.
    pub lambda: f64,
    /// Softness of the choice among centres, > 0. Default 0.1, as in both.
    pub gamma: f64,
    /// Margin, 0 to 2. Default 0.01, as in both.
    pub margin: f64,
    /// How the elements, one an embedding, become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for SoftTriple {
    fn default() -> Self {
        Self { centers: 10, lambda: 20.0, gamma: 0.1, margin: 0.01, reducer: Reducer::Mean }
    }
}

impl ClassLoss for SoftTriple {
    fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.centers >= 1, "centers", "at least 1", self.centers as f64)?;
        for (name, value) in [("lambda", self.lambda), ("gamma", self.gamma)] {
            MetricError::check(value.is_finite() && value > 0.0, name, "a finite number above 0", value)?;
        }
        MetricError::check((0.0..=2.0).contains(&self.margin), "margin", "0 to 2", self.margin)?;
        self.reducer.validate()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn centers(&self) -> usize {
        self.centers
    }

    /// The authors' `kaiming_uniform` with `a = sqrt(5)`, whose fan-in counts the centres.
    fn draw(&self, classes: usize) -> Draw {
        Draw::Uniform { bound: 1.0 / ((classes * self.centers).max(1) as f64).sqrt() }
    }

    fn logits(&self, embeddings: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
        self.similarity(embeddings, weights).mul_scalar(self.lambda)
    }

    fn parts(&self, embeddings: Tensor<2>, weights: Tensor<2>, targets: &Targets) -> Vec<Part> {
        let similarity = self.similarity(embeddings, weights); // [n, classes]
        targets.cross_entropy(targets.lower_own(similarity, self.margin).mul_scalar(self.lambda))
    }
}

impl SoftTriple {
    /// `S`, `[n, classes]`.
    fn similarity(&self, embeddings: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
        let cosine = cosines(embeddings, weights); // [n, classes * centers]
        let [n, all] = cosine.dims();
        let classes = all / self.centers;
        let cosine: Tensor<3> = cosine.reshape([n, classes, self.centers]);
        let share = softmax(cosine.clone().div_scalar(self.gamma), 2);
        (share * cosine).sum_dim(2).reshape([n, classes])
    }
}

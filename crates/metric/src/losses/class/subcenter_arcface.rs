use super::{
    ClassLoss, Part, Targets,
    arcface::{add_margin, check_settings},
    targets::cosines,
};
use crate::{MetricError, Reducer};
use burn::tensor::{Int, Tensor};
use nearfar_core::similarity::{dot_products, normalize_rows};
use serde::{Deserialize, Serialize};

/// Sub-centre ArcFace (Deng et al., 2020): [`super::ArcFace`] with several directions a class, the nearest of which
/// counts, so that mislabelled images gather at a sub-centre of their own.
///
/// ```text
/// cosine to a class = max over its centres c of cos(embedding, c)
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubCenterArcFace {
    /// Margin in degrees, 0 to 90. Default 28.6, as in pytorch-metric-learning; 0.5 rad (28.65) in the paper.
    pub margin: f64,
    /// Scale of the logits, > 0. Default 64, as in both.
    pub scale: f64,
    /// Directions of a class, at least 1. Default 3, as in both.
    pub centers: usize,
    /// How the elements, one an embedding, become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for SubCenterArcFace {
    fn default() -> Self {
        Self { margin: 28.6, scale: 64.0, centers: 3, reducer: Reducer::Mean }
    }
}

impl ClassLoss for SubCenterArcFace {
    fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.centers >= 1, "centers", "at least 1", self.centers as f64)?;
        check_settings(self.margin, self.scale)?;
        self.reducer.validate()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn centers(&self) -> usize {
        self.centers
    }

    fn logits(&self, embeddings: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
        self.nearest(cosines(embeddings, weights)).0.mul_scalar(self.scale)
    }

    fn parts(&self, embeddings: Tensor<2>, weights: Tensor<2>, targets: &Targets) -> Vec<Part> {
        let (x, w) = (normalize_rows(embeddings), normalize_rows(weights));
        let (cosine, center) = self.nearest(dot_products(x.clone(), w.clone())); // [n, classes] both
        let n = targets.labels().len();
        let class = targets.index();
        let center: Tensor<1, Int> = center.gather(1, class.clone().reshape([n, 1])).reshape([n]); // of the own class
        let row = class.mul_scalar(self.centers as i32) + center; // of the weights, [n]
        let own = targets.own(cosine.clone()); // [n, 1]
        let moved = add_margin(x, w.select(0, row), own.clone(), self.margin.to_radians());
        targets.cross_entropy(targets.add_to_own(cosine, moved - own).mul_scalar(self.scale))
    }
}

impl SubCenterArcFace {
    /// The largest cosine of each class and which centre has it: `[n, classes * centers]` to `[n, classes]`.
    fn nearest(&self, cosine: Tensor<2>) -> (Tensor<2>, Tensor<2, Int>) {
        let [n, all] = cosine.dims();
        let classes = all / self.centers;
        let cosine: Tensor<3> = cosine.reshape([n, classes, self.centers]);
        let (best, center) = cosine.max_dim_with_indices(2); // [n, classes, 1] both
        (best.reshape([n, classes]), center.reshape([n, classes]))
    }
}

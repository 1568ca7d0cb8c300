use super::{Evidence, PairLoss, Term, math::hinge};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples, tuples::pairs_or_all};
use serde::{Deserialize, Serialize};

/// The contrastive loss of Siamese networks (Hadsell, Chopra and LeCun, 2006), in pytorch-metric-learning's form:
///
/// ```text
/// positive pairs: [d - positive_margin]+        negative pairs: [negative_margin - d]+
/// ```
///
/// The hinge is not squared; the two kinds are reduced apart and added. For a similarity both hinges turn around.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contrastive {
    /// Positives nearer than this cost nothing, finite. Default 0, as there; take 1 for the cosine.
    pub positive_margin: f32,
    /// Negatives farther than this cost nothing, finite. Default 1, as there; take 0 for the cosine.
    pub negative_margin: f32,
    /// How pairs become one number. Default [`Reducer::AverageNonZero`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for Contrastive {
    fn default() -> Self {
        Self { positive_margin: 0.0, negative_margin: 1.0, reducer: Reducer::AverageNonZero }
    }
}

impl PairLoss for Contrastive {
    fn default_distance(&self) -> Distance {
        Distance::default()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::finite("positive_margin", self.positive_margin.into())?;
        MetricError::finite("negative_margin", self.negative_margin.into())?;
        self.reducer.validate_without_divisor()
    }

    fn evidence(&self) -> Evidence {
        Evidence::Pairs
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let [positive, negative] = pairs_or_all(on, tuples);
        let sign = on.sign();
        let too_far = move |d: f32| {
            let (cost, slope) = hinge(sign * (d - self.positive_margin));
            (cost, sign * slope)
        };
        let too_near = move |d: f32| {
            let (cost, slope) = hinge(sign * (self.negative_margin - d));
            (cost, -sign * slope)
        };
        Ok(vec![Term::pairs(on, positive, too_far), Term::pairs(on, negative, too_near)])
    }
}

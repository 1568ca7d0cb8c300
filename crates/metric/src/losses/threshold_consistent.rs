use super::{Evidence, PairLoss, Term, math::hinge};
use crate::{
    Distance, MetricError, Pairwise, Reducer, Tuples,
    distance::COSINE,
    tuples::{Pair, pairs_or_all},
};
use serde::{Deserialize, Serialize};

/// Each kind of pairs is divided by its own count of selected pairs already.
static SELECTED: Reducer = Reducer::Divisor;

/// The threshold-consistent margin loss (Zhang et al., "Learning for transductive threshold calibration in open-world
/// recognition", 2023): positives below one similarity and negatives above another, each the mean over those that are.
///
/// ```text
/// positive_weight mean over s_p <= positive_margin of (positive_margin - s_p)
///     + negative_weight mean over s_n >= negative_margin of (s_n - negative_margin)
/// ```
///
/// It makes one threshold fit all classes, beside another loss. Takes the cosine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThresholdConsistentMargin {
    /// Weight of positives, at least 0. Default 1, as in pytorch-metric-learning.
    pub positive_weight: f32,
    /// Weight of negatives, at least 0. Default 1, as in pytorch-metric-learning.
    pub negative_weight: f32,
    /// Positives should be as similar as this, finite. Default 0.9, as in pytorch-metric-learning.
    pub positive_margin: f32,
    /// Negatives should be less similar than this, finite. Default 0.5, as in pytorch-metric-learning.
    pub negative_margin: f32,
}

impl Default for ThresholdConsistentMargin {
    fn default() -> Self {
        Self { positive_weight: 1.0, negative_weight: 1.0, positive_margin: 0.9, negative_margin: 0.5 }
    }
}

impl PairLoss for ThresholdConsistentMargin {
    fn default_distance(&self) -> Distance {
        Distance::Cosine
    }

    fn reducer(&self) -> &Reducer {
        &SELECTED
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::not_negative("positive_weight", self.positive_weight.into())?;
        MetricError::not_negative("negative_weight", self.negative_weight.into())?;
        MetricError::finite("positive_margin", self.positive_margin.into())?;
        MetricError::finite("negative_margin", self.negative_margin.into())
    }

    fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        MetricError::defined(distance.is_cosine(), "the threshold-consistent margin loss", COSINE, distance)
    }

    fn evidence(&self) -> Evidence {
        Evidence::Pairs
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let [positive, negative] = pairs_or_all(on, tuples);
        let at = |pair: &Pair| on.values().row(pair.anchor as usize)[pair.other as usize];
        let low = positive.iter().filter(|pair| at(pair) <= self.positive_margin).count();
        let high = negative.iter().filter(|pair| at(pair) >= self.negative_margin).count();
        let too_low = move |s: f32| {
            let (cost, slope) = hinge(self.positive_margin - s);
            (self.positive_weight * cost, -self.positive_weight * slope)
        };
        let too_high = move |s: f32| {
            let (cost, slope) = hinge(s - self.negative_margin);
            (self.negative_weight * cost, self.negative_weight * slope)
        };
        Ok(vec![
            Term::pairs(on, positive, too_low).divided_by(low as f64),
            Term::pairs(on, negative, too_high).divided_by(high as f64),
        ])
    }
}

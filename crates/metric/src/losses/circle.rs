use super::{
    PairLoss, Sets, Term,
    math::{log_sum_exp, softplus},
};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples, distance::COSINE};
use serde::{Deserialize, Serialize};

/// The circle loss (Sun et al., 2020) with labels of pairs, for every anchor that has positives and negatives:
///
/// ```text
/// log(1 + sum over n of exp(gamma a_n (s_n - m)) sum over p of exp(-gamma a_p (s_p - (1 - m))))
/// a_p = [1 + m - s_p]+        a_n = [s_n + m]+
/// ```
///
/// `s` is the cosine similarity; other distances are refused. The weights `a` are constants for the gradient. The
/// paper has `m` 0.25 and `gamma` 256 for faces, 0.25 and 128 for persons, 0.4 and 80 for fine-grained retrieval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Circle {
    /// Radius of the decision boundary, in [0, 1]. Default 0.4, as in pytorch-metric-learning.
    pub margin: f32,
    /// Scale, > 0. Default 80, as there.
    pub gamma: f32,
    /// How anchors become one number; those without positives or negatives are zero. Default
    /// [`Reducer::AverageNonZero`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for Circle {
    fn default() -> Self {
        Self { margin: 0.4, gamma: 80.0, reducer: Reducer::AverageNonZero }
    }
}

impl PairLoss for Circle {
    fn default_distance(&self) -> Distance {
        Distance::Cosine
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::check((0.0..=1.0).contains(&self.margin), "margin", "in [0, 1]", self.margin.into())?;
        MetricError::positive("gamma", self.gamma.into())?;
        self.reducer.validate_without_divisor()
    }

    fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        MetricError::defined(distance.is_cosine(), "the circle loss", COSINE, distance)
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let [m, gamma] = [self.margin, self.gamma].map(f64::from);
        // Logit and slope of a pair. A NaN must reach the loss: `max` would drop it.
        let weight = move |x: f64| if x <= 0.0 { 0.0 } else { gamma * x };
        let positive = move |s: f32| {
            let weight = weight(1.0 + m - f64::from(s));
            (-weight * (f64::from(s) - 1.0 + m), -weight)
        };
        let negative = move |s: f32| {
            let weight = weight(f64::from(s) + m);
            (weight * (f64::from(s) - m), weight)
        };
        Ok(vec![Term::items(on, &Sets::distinct(on, tuples), |row, slopes| {
            if row.positive.is_empty() || row.negative.is_empty() {
                return Some(0.0);
            }
            let positives = log_sum_exp(row.positives().map(|s| positive(s).0));
            let negatives = log_sum_exp(row.negatives().map(|s| negative(s).0));
            let (value, share) = softplus(positives + negatives);
            for (&p, s) in row.positive.iter().zip(row.positives()) {
                let (logit, slope) = positive(s);
                slopes[p as usize] += (share * (logit - positives).exp() * slope) as f32;
            }
            for (&n, s) in row.negative.iter().zip(row.negatives()) {
                let (logit, slope) = negative(s);
                slopes[n as usize] += (share * (logit - negatives).exp() * slope) as f32;
            }
            Some(value)
        })])
    }
}

use super::{
    PairLoss, Sets, Term,
    math::{larger, log_sum_exp},
};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples};
use serde::{Deserialize, Serialize};

/// The lifted structure loss as generalised by Hermans, Beyer and Leibe (2017), for every anchor:
///
/// ```text
/// [log(sum over p of exp(d_p - positive_margin)) + log(sum over n of exp(negative_margin - d_n))]+
/// ```
///
/// For a similarity both exponents change their sign. A sum over nothing is left out, as in pytorch-metric-learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneralizedLiftedStructure {
    /// Taken off the distances of positives, finite. Default 0, as in pytorch-metric-learning.
    pub positive_margin: f32,
    /// Distances of negatives are taken off this, finite. Default 1, as in pytorch-metric-learning.
    pub negative_margin: f32,
    /// How anchors become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for GeneralizedLiftedStructure {
    fn default() -> Self {
        Self { positive_margin: 0.0, negative_margin: 1.0, reducer: Reducer::Mean }
    }
}

impl PairLoss for GeneralizedLiftedStructure {
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

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let [sign, near, far] = [on.sign(), self.positive_margin, self.negative_margin].map(f64::from);
        let pull = move |d: f32| sign * (f64::from(d) - near);
        let push = move |d: f32| sign * (far - f64::from(d));
        Ok(vec![Term::items(on, &Sets::distinct(on, tuples), |row, slopes| {
            let positive = log_sum_exp(row.positives().map(pull));
            let negative = log_sum_exp(row.negatives().map(push));
            let mut value = 0.0;
            value += if row.positive.is_empty() { 0.0 } else { positive };
            value += if row.negative.is_empty() { 0.0 } else { negative };
            let value = larger(value, 0.0);
            if value == 0.0 {
                return Some(0.0);
            }
            for (&p, d) in row.positive.iter().zip(row.positives()) {
                slopes[p as usize] += (sign * (pull(d) - positive).exp()) as f32;
            }
            for (&n, d) in row.negative.iter().zip(row.negatives()) {
                slopes[n as usize] -= (sign * (push(d) - negative).exp()) as f32;
            }
            Some(value)
        })])
    }
}

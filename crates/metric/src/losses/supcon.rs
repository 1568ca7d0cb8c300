use super::{PairLoss, Sets, Term, math::log_sum_exp};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples};
use serde::{Deserialize, Serialize};

/// The supervised contrastive loss (Khosla et al., 2020), its `L_out`: the mean over positives stands outside the log.
///
/// ```text
/// L_a = - mean over positives p of log( exp(s_ap / t) / sum over j != a of exp(s_aj / t) )
/// ```
///
/// `s` are cosine similarities, or negated distances. The value is the mean over anchors that have a positive, without
/// the factor `t / t_base` of the authors' code, which scales it by 1/0.07 times `t`. Other positives are in the
/// denominator. A batch of positives only is valued like any other; pytorch-metric-learning makes it zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SupCon {
    /// Temperature, > 0. Default 0.1, as in the paper and in pytorch-metric-learning.
    pub temperature: f64,
    /// How anchors become one number; those without a positive are zero. Default [`Reducer::AverageNonZero`], as in
    /// pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for SupCon {
    fn default() -> Self {
        Self { temperature: 0.1, reducer: Reducer::AverageNonZero }
    }
}

impl PairLoss for SupCon {
    fn default_distance(&self) -> Distance {
        Distance::Cosine
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::positive("temperature", self.temperature)?;
        self.reducer.validate_without_divisor()
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let scale = -f64::from(on.sign()) / self.temperature;
        let logit = move |d: f32| scale * f64::from(d);
        Ok(vec![Term::items(on, &Sets::distinct(on, tuples), |row, slopes| {
            if row.positive.is_empty() {
                return Some(0.0);
            }
            let all = log_sum_exp(row.positives().chain(row.negatives()).map(logit));
            let share = 1.0 / row.positive.len() as f64;
            for &j in row.positive.iter().chain(row.negative) {
                slopes[j as usize] += (scale * (logit(row.distances[j as usize]) - all).exp()) as f32;
            }
            for &p in row.positive {
                slopes[p as usize] -= (scale * share) as f32;
            }
            Some(all - share * row.positives().map(logit).sum::<f64>())
        })])
    }
}

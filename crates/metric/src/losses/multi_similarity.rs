use super::{Evidence, PairLoss, Sets, Term, math::log_one_plus_sum_exp};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples};
use serde::{Deserialize, Serialize};

/// The multi-similarity loss (Wang et al., "Multi-similarity loss with general pair weighting", 2019), for every
/// anchor:
///
/// ```text
/// 1/alpha log(1 + sum over p of exp(-alpha (s_p - base))) + 1/beta log(1 + sum over n of exp(beta (s_n - base)))
/// ```
///
/// `s` is the cosine similarity. For a distance both exponents change their sign. Settings are those of
/// pytorch-metric-learning and of the authors' code; the paper has `base` 1. Meant to be used with
/// [`crate::miner::MultiSimilarityMiner`], which is the other half of the paper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiSimilarity {
    /// Weight of positives, > 0. Default 2, as in the paper and in pytorch-metric-learning.
    pub alpha: f32,
    /// Weight of negatives, > 0. Default 50, as in the paper and in pytorch-metric-learning.
    pub beta: f32,
    /// Similarity at which a pair starts to count, finite. Default 0.5, as in pytorch-metric-learning; 1 in the paper.
    pub base: f32,
    /// How anchors become one number; those without pairs count. Default [`Reducer::Mean`], as in
    /// pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for MultiSimilarity {
    fn default() -> Self {
        Self { alpha: 2.0, beta: 50.0, base: 0.5, reducer: Reducer::Mean }
    }
}

impl PairLoss for MultiSimilarity {
    fn default_distance(&self) -> Distance {
        Distance::Cosine
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::positive("alpha", self.alpha.into())?;
        MetricError::positive("beta", self.beta.into())?;
        MetricError::finite("base", self.base.into())?;
        self.reducer.validate_without_divisor()
    }

    fn evidence(&self) -> Evidence {
        Evidence::Pairs
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let [sign, alpha, beta, base] = [on.sign(), self.alpha, self.beta, self.base].map(f64::from);
        let pull = move |d: f32| alpha * sign * (f64::from(d) - base);
        let push = move |d: f32| beta * sign * (base - f64::from(d));
        Ok(vec![Term::items(on, &Sets::distinct(on, tuples), |row, slopes| {
            let positive = log_one_plus_sum_exp(row.positives().map(pull));
            let negative = log_one_plus_sum_exp(row.negatives().map(push));
            for (&p, d) in row.positive.iter().zip(row.positives()) {
                slopes[p as usize] += (sign * (pull(d) - positive).exp()) as f32;
            }
            for (&n, d) in row.negative.iter().zip(row.negatives()) {
                slopes[n as usize] -= (sign * (push(d) - negative).exp()) as f32;
            }
            Some(positive / alpha + negative / beta)
        })])
    }
}

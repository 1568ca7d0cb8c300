use super::{Evidence, PairLoss, Sets, Term, math::log_sum_exp};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples};
use serde::{Deserialize, Serialize};

/// Neighbourhood components analysis as a loss (Goldberger et al., 2004): for every anchor that has a positive
///
/// ```text
/// -log( sum over positives p of exp(-scale d_p^2) / sum over j != a of exp(-scale d_j^2) )
/// ```
///
/// The sums run over the labels of the whole batch. Tuples only weigh anchors, by how often they occur
/// ([`Tuples::weights`]), as in pytorch-metric-learning. The linear learner of this name is
/// [`crate::mahalanobis::Nca`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NcaLoss {
    /// Sharpness of the softmax, > 0. Default 1, as in pytorch-metric-learning.
    pub scale: f32,
    /// How anchors become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for NcaLoss {
    fn default() -> Self {
        Self { scale: 1.0, reducer: Reducer::Mean }
    }
}

impl PairLoss for NcaLoss {
    fn default_distance(&self) -> Distance {
        Distance::Euclidean { normalized: true, squared: true }
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::positive("scale", self.scale.into())?;
        self.reducer.validate_without_divisor()
    }

    fn evidence(&self) -> Evidence {
        Evidence::Classes
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let weights = match tuples {
            Some(tuples) => tuples.weights(on.anchors(), !on.is_square())?,
            None => vec![1.0; on.anchors()],
        };
        let scale = f64::from(-on.sign() * self.scale);
        let logit = move |d: f32| scale * f64::from(d);
        Ok(vec![Term::items(on, &Sets::new(on, None), |row, slopes| {
            if row.positive.is_empty() {
                return None;
            }
            let weight = f64::from(weights[row.anchor]);
            let all = log_sum_exp(row.positives().chain(row.negatives()).map(logit));
            let same = log_sum_exp(row.positives().map(logit));
            for &j in row.positive.iter().chain(row.negative) {
                slopes[j as usize] += (weight * scale * (logit(row.distances[j as usize]) - all).exp()) as f32;
            }
            for (&p, d) in row.positive.iter().zip(row.positives()) {
                slopes[p as usize] -= (weight * scale * (logit(d) - same).exp()) as f32;
            }
            Some(weight * (all - same))
        })])
    }
}

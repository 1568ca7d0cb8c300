use super::{Evidence, PairLoss, Sets, Term, math::log_sum_exp};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples, distance::COSINE};
use serde::{Deserialize, Serialize};

/// The instance loss (Zheng et al., "Dual-path convolutional image-text embeddings with instance loss", 2020) within a
/// batch: every item is a class of its own.
///
/// ```text
/// -log( exp(gamma s_aa) / sum over j of exp(gamma s_aj) )
/// ```
///
/// `s` is the cosine similarity to every reference, the anchor's own column among them. With references that hold other
/// views of the items ([`Pairwise::in_memory`]) it is the loss across two encoders; with the batch alone it pushes all
/// items apart. Labels do not matter: pytorch-metric-learning takes the rank of a label as the number of a column,
/// which is this loss where labels count the items. Tuples are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Instance {
    /// Scale, > 0. Default 64, as in pytorch-metric-learning.
    pub gamma: f32,
    /// How items become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for Instance {
    fn default() -> Self {
        Self { gamma: 64.0, reducer: Reducer::Mean }
    }
}

impl PairLoss for Instance {
    fn default_distance(&self) -> Distance {
        Distance::Cosine
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::positive("gamma", self.gamma.into())?;
        self.reducer.validate_without_divisor()
    }

    fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        MetricError::defined(distance.is_cosine(), "the instance loss", COSINE, distance)
    }

    fn accepts_tuples(&self) -> Result<(), MetricError> {
        Err(MetricError::Settings("the instance loss compares whole rows and takes no tuples: leave the miner out"))
    }

    fn evidence(&self) -> Evidence {
        Evidence::Classes
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, _: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let own: Option<Vec<usize>> = (0..on.anchors()).map(|a| on.own_column(a)).collect();
        let own = own.ok_or(MetricError::Settings("the instance loss needs references that hold every item"))?;
        let gamma = f64::from(self.gamma);
        Ok(vec![Term::items(on, &Sets::new(on, None), |row, slopes| {
            let logit = |s: f32| gamma * f64::from(s);
            let all = log_sum_exp(row.distances.iter().map(|&s| logit(s)));
            for (slope, &s) in slopes.iter_mut().zip(row.distances) {
                *slope += (gamma * (logit(s) - all).exp()) as f32;
            }
            slopes[own[row.anchor]] -= self.gamma;
            Some(all - logit(row.distances[own[row.anchor]]))
        })])
    }
}

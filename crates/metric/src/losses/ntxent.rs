use super::{PairLoss, Sets, Term, math::softplus};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples};
use serde::{Deserialize, Serialize};

/// The normalised temperature-scaled cross-entropy (Sohn, 2016; van den Oord et al., 2018; Chen et al., 2020), for
/// every positive pair:
///
/// ```text
/// -log( exp(s_ap / t) / (exp(s_ap / t) + sum over negatives n of a of exp(s_an / t)) )
/// ```
///
/// Other positives of the anchor are not in the denominator, as in pytorch-metric-learning; in [`super::SupCon`] they
/// are. With two views an item and no labels both are SimCLR's loss. `s` is the cosine similarity, or a negated
/// distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NtXent {
    /// Temperature, > 0. Default 0.07, as in pytorch-metric-learning; 0.1 to 0.5 in SimCLR.
    pub temperature: f64,
    /// How positive pairs become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for NtXent {
    fn default() -> Self {
        Self { temperature: 0.07, reducer: Reducer::Mean }
    }
}

impl PairLoss for NtXent {
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
        // The ratio, divided by its numerator: log(1 + exp(d_ap / t) sum exp(-d_an / t)).
        let scale = f64::from(on.sign()) / self.temperature;
        let positive = move |d: f32| (scale * f64::from(d), scale);
        let negative = move |d: f32| (-scale * f64::from(d), -scale);
        Ok(vec![Term::ratios(on, Sets::new(on, tuples), positive, negative, softplus)])
    }
}

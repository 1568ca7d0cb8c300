use super::{PairLoss, Sets, Term, math::softplus};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples, distance::COSINE};
use serde::{Deserialize, Serialize};

/// The least sine of a positive's angle that the slope is divided by: at angle zero the slope has no limit.
const LEAST_SINE: f64 = 1e-4;

/// The tuplet margin loss (Yu and Tao, 2019), for every positive pair against all negatives of its anchor:
///
/// ```text
/// log(1 + sum over n of exp(scale (cos t_n - cos(t_p - margin))))
/// ```
///
/// `t` are angles between embeddings; other distances than the cosine are refused. The cosine of the difference comes
/// from the addition theorem, so that no arc cosine is taken and gradients are finite for equal rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TupletMargin {
    /// Slack of the positive's angle in degrees, in [0, 90]. Default 5.73, as in pytorch-metric-learning: a tenth of a
    /// radian.
    pub margin: f32,
    /// Scale, > 0. Default 64, as in pytorch-metric-learning.
    pub scale: f32,
    /// How positive pairs become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for TupletMargin {
    fn default() -> Self {
        Self { margin: 5.73, scale: 64.0, reducer: Reducer::Mean }
    }
}

impl PairLoss for TupletMargin {
    fn default_distance(&self) -> Distance {
        Distance::Cosine
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        let margin = self.margin;
        MetricError::check((0.0..=90.0).contains(&margin), "margin", "in [0, 90] degrees", margin.into())?;
        MetricError::positive("scale", self.scale.into())?;
        self.reducer.validate_without_divisor()
    }

    fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        MetricError::defined(distance.is_cosine(), "the tuplet margin loss", COSINE, distance)
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let scale = f64::from(self.scale);
        let (sin, cos) = f64::from(self.margin).to_radians().sin_cos();
        let positive = move |s: f32| {
            let s = f64::from(s).clamp(-1.0, 1.0);
            let sine = (1.0 - s * s).sqrt().max(LEAST_SINE); // of the angle
            (-scale * (s * cos + sine * sin), -scale * (cos - s / sine * sin))
        };
        let negative = move |s: f32| (scale * f64::from(s), scale);
        Ok(vec![Term::ratios(on, Sets::new(on, tuples), positive, negative, softplus)])
    }
}

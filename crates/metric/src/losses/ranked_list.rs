use super::{Evidence, PairLoss, Sets, Term};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples};
use serde::{Deserialize, Serialize};

/// Added to every weight of a row in the denominator, as in pytorch-metric-learning.
const EPSILON: f64 = 1e-5;

/// The ranked list loss (Wang et al., 2019): negatives belong beyond `alpha`, positives inside a ball that is smaller
/// by `margin`. For every anchor, with `x_p = d_p - (alpha - margin)` and `x_n = alpha - d_n` where they are positive:
///
/// ```text
/// (1 - imbalance) sum_p w_p x_p / sum_p w_p + imbalance sum_n w_n x_n / sum_n w_n        w = exp(temperature x)
/// ```
///
/// Rows are ranked as a whole, so tuples are refused. The gradient flows through the weights, as in
/// pytorch-metric-learning; that one also leaves out negatives at distance zero, the worst of all, which count here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RankedList {
    /// Width of the band between positives and negatives, finite. Default 0.4, as in the paper.
    pub margin: f32,
    /// Where negatives begin. Default none, which is `1 + margin / 2`, as in pytorch-metric-learning.
    pub alpha: Option<f32>,
    /// Weight of the negatives, in [0, 1]. Default 0.5, as in pytorch-metric-learning.
    pub imbalance: f32,
    /// Sharpness of the weights of positives, at least 0. Default 0, as in pytorch-metric-learning, which weighs them
    /// alike.
    pub positive_temperature: f32,
    /// Sharpness of the weights of negatives, at least 0. Default 10, as in the paper.
    pub negative_temperature: f32,
    /// How anchors become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for RankedList {
    fn default() -> Self {
        Self {
            margin: 0.4,
            alpha: None,
            imbalance: 0.5,
            positive_temperature: 0.0,
            negative_temperature: 10.0,
            reducer: Reducer::Mean,
        }
    }
}

/// The weighted mean of the violations `x` above zero, and its slope with respect to each; `columns` is the length of
/// the row.
fn weighted_mean(x: &[f64], temperature: f64, columns: usize) -> (f64, Vec<f64>) {
    let top = x.iter().fold(0.0, |top: f64, x| top.max(temperature * x));
    let weight = |x: f64| if x <= 0.0 { 0.0 } else { (temperature * x - top).exp() };
    let (mut sum, mut weights) = (0.0, EPSILON * columns as f64 * (-top).exp());
    for &x in x {
        sum += weight(x) * x;
        weights += weight(x);
    }
    let mean = sum / weights;
    (mean, x.iter().map(|&x| weight(x) * (1.0 + temperature * (x - mean)) / weights).collect())
}

impl PairLoss for RankedList {
    fn default_distance(&self) -> Distance {
        Distance::default()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::finite("margin", self.margin.into())?;
        self.alpha.map_or(Ok(()), |alpha| MetricError::finite("alpha", alpha.into()))?;
        let imbalance = self.imbalance;
        MetricError::check((0.0..=1.0).contains(&imbalance), "imbalance", "in [0, 1]", imbalance.into())?;
        MetricError::not_negative("positive_temperature", self.positive_temperature.into())?;
        MetricError::not_negative("negative_temperature", self.negative_temperature.into())?;
        self.reducer.validate_without_divisor()
    }

    fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        let needs = "distances, not similarities (such as `{ euclidean = { normalized = true, squared = false } }`)";
        MetricError::defined(!distance.is_inverted(), "the ranked list loss", needs, distance)
    }

    fn accepts_tuples(&self) -> Result<(), MetricError> {
        Err(MetricError::Settings("the ranked list loss ranks whole rows and takes no tuples: leave the miner out"))
    }

    fn evidence(&self) -> Evidence {
        Evidence::Classes
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, _: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let far = f64::from(self.alpha.unwrap_or(1.0 + self.margin / 2.0));
        let near = far - f64::from(self.margin);
        let [imbalance, positive, negative] =
            [self.imbalance, self.positive_temperature, self.negative_temperature].map(f64::from);
        Ok(vec![Term::items(on, &Sets::new(on, None), move |row, slopes| {
            let columns = row.distances.len();
            let too_far: Vec<f64> = row.positives().map(|d| f64::from(d) - near).collect();
            let too_near: Vec<f64> = row.negatives().map(|d| far - f64::from(d)).collect();
            let (pull, pulls) = weighted_mean(&too_far, positive, columns);
            let (push, pushes) = weighted_mean(&too_near, negative, columns);
            for (&p, slope) in row.positive.iter().zip(pulls) {
                slopes[p as usize] += ((1.0 - imbalance) * slope) as f32;
            }
            for (&n, slope) in row.negative.iter().zip(pushes) {
                slopes[n as usize] -= (imbalance * slope) as f32;
            }
            Some((1.0 - imbalance) * pull + imbalance * push)
        })])
    }
}

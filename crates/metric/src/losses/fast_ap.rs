use super::{Evidence, PairLoss, Sets, Term};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples};
use serde::{Deserialize, Serialize};

/// FastAP (Cakir et al., "Deep metric learning to rank", 2019): one minus the average precision of every anchor that
/// has a positive, from histograms of its distances.
///
/// ```text
/// 1 - 1/N+ sum over bins b of h+(b) H+(b) / H(b)
/// ```
///
/// `h+` counts positives in a bin and `H+`, `H` positives and all references up to it. A distance is shared between the
/// two nearest of `bins + 1` evenly spaced centres, linearly, so that the counts have a derivative. Takes powers of the
/// Euclidean distance of normalised rows, which end at `2^power`. The histograms are those of the whole batch; tuples
/// only weigh anchors ([`Tuples::weights`]), as in pytorch-metric-learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FastAp {
    /// Intervals between centres, at least 1. Default 10, as in pytorch-metric-learning.
    pub bins: usize,
    /// How anchors become one number. Default [`Reducer::Mean`], as in pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for FastAp {
    fn default() -> Self {
        Self { bins: 10, reducer: Reducer::Mean }
    }
}

/// The lower of the two centres that share a distance, and the share of the upper one.
fn place(d: f32, width: f64, bins: usize) -> (usize, f64) {
    let at = (f64::from(d) / width).clamp(0.0, bins as f64);
    let lower = (at as usize).min(bins - 1);
    (lower, at - lower as f64)
}

/// How many distances every centre has.
fn histogram(distances: impl Iterator<Item = f32>, width: f64, bins: usize) -> Vec<f64> {
    let mut counts = vec![0.0; bins + 1];
    for d in distances {
        let (lower, share) = place(d, width, bins);
        counts[lower] += 1.0 - share;
        counts[lower + 1] += share;
    }
    counts
}

/// The power of a distance of normalised rows.
fn power(distance: Distance) -> Result<f64, MetricError> {
    match distance.euclidean() {
        Some((true, power)) => Ok(f64::from(power)),
        _ => {
            let needs = "powers of the Euclidean distance of normalised rows (such as `{ euclidean = { normalized = \
                         true, squared = true } }`)";
            Err(MetricError::Distance { what: "FastAP", needs, got: format!("{distance:?}") })
        }
    }
}

impl PairLoss for FastAp {
    fn default_distance(&self) -> Distance {
        Distance::Euclidean { normalized: true, squared: true }
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.bins >= 1, "bins", "at least 1", self.bins as f64)?;
        self.reducer.validate_without_divisor()
    }

    fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        power(distance).map(|_| ())
    }

    fn evidence(&self) -> Evidence {
        Evidence::Classes
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let power = power(on.distance())?;
        let weights = match tuples {
            Some(tuples) => tuples.weights(on.anchors(), !on.is_square())?,
            None => vec![1.0; on.anchors()],
        };
        let bins = self.bins;
        let width = power.exp2() / bins as f64;
        Ok(vec![Term::items(on, &Sets::new(on, None), |row, slopes| {
            if row.positive.is_empty() {
                return None;
            }
            let positive = histogram(row.positives(), width, bins);
            let negative = histogram(row.negatives(), width, bins);
            // The precision, and its derivative with respect to the count of positives and of negatives of each centre:
            // through the centre's own count, and through the running sums of all centres from it on.
            let (mut above, mut all, mut precision) = (0.0, 0.0, 0.0);
            let [mut own, mut through_positives, mut through_negatives] = [(); 3].map(|()| vec![0.0f64; bins + 1]);
            for (b, (near, far)) in positive.iter().zip(&negative).enumerate() {
                above += near;
                all += near + far;
                if all > 0.0 {
                    precision += near * above / all;
                    own[b] = above / all;
                    through_positives[b] = near * (all - above) / (all * all);
                    through_negatives[b] = -near * above / (all * all);
                }
            }
            for b in (0..bins).rev() {
                through_positives[b] += through_positives[b + 1];
                through_negatives[b] += through_negatives[b + 1];
            }
            let (weight, count) = (f64::from(weights[row.anchor]), row.positive.len() as f64);
            let scale = -weight / (count * width);
            for (&p, d) in row.positive.iter().zip(row.positives()) {
                let (b, _) = place(d, width, bins);
                let slope = own[b + 1] + through_positives[b + 1] - own[b] - through_positives[b];
                slopes[p as usize] += (scale * slope) as f32;
            }
            for (&n, d) in row.negative.iter().zip(row.negatives()) {
                let (b, _) = place(d, width, bins);
                slopes[n as usize] += (scale * (through_negatives[b + 1] - through_negatives[b])) as f32;
            }
            Some(weight * (1.0 - precision / count))
        })])
    }
}

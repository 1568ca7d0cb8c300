use super::{Evidence, PairLoss, Sets, Term};
use crate::{Distance, MetricError, Pairwise, Reducer, Tuples, distance::COSINE};
use serde::{Deserialize, Serialize};

/// The loss is the mean over anchors already.
static MEAN: Reducer = Reducer::Mean;

/// Exponents are kept within this, as in pytorch-metric-learning.
const LARGEST: f64 = 50.0;

/// What a number of negatives before a positive costs; the letters are the paper's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Penalty {
    /// `R` (O).
    #[default]
    Linear,
    /// `(1 + R) log(1 + R)`: grows faster, without a bound on its slope (Iu).
    Increasing,
    /// `(b R - log(1 + b R)) / b^2`: a slope that grows to `1 / b` (Ib).
    BoundedIncreasing {
        /// The factor `b`, > 0; 2.
        b: f32,
    },
    /// `log(1 + R)`: far mistakes weigh less (Ds).
    Decreasing,
    /// `1 - (1 + R)^-alpha` (Dq).
    Quickly {
        /// The exponent, > 0; 1.
        alpha: f32,
    },
}

impl Penalty {
    /// Value and slope at `r >= 0`.
    fn of(self, r: f64) -> (f64, f64) {
        match self {
            Self::Linear => (r, 1.0),
            Self::Increasing => ((1.0 + r) * r.ln_1p(), 1.0 + r.ln_1p()),
            Self::BoundedIncreasing { b } => {
                let b = f64::from(b);
                ((b * r - (b * r).ln_1p()) / (b * b), r / (1.0 + b * r))
            }
            Self::Decreasing => (r.ln_1p(), 1.0 / (1.0 + r)),
            Self::Quickly { alpha } => {
                let alpha = f64::from(alpha);
                let share = (1.0 + r).powf(-alpha);
                (1.0 - share, alpha * share / (1.0 + r))
            }
        }
    }
}

/// The PNP loss (Li et al., "Rethinking the optimization of average precision: only penalizing negative instances
/// before positive ones is enough", 2022): for every anchor the mean over its positives, itself among them, of a
/// penalty of
///
/// ```text
/// R_p = sum over negatives n of sigmoid((s_n - s_p) / anneal)
/// ```
///
/// the number of negatives before the positive. Takes the cosine; rows are ranked as a whole, so tuples are refused.
/// With separate references the anchor is not among its positives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pnp {
    /// What negatives before a positive cost. Default [`Penalty::Linear`]: their number.
    pub penalty: Penalty,
    /// Width of the sigmoid, > 0. Default 0.01, as in pytorch-metric-learning.
    pub anneal: f32,
}

impl Default for Pnp {
    fn default() -> Self {
        Self { penalty: Penalty::Linear, anneal: 0.01 }
    }
}

impl PairLoss for Pnp {
    fn default_distance(&self) -> Distance {
        Distance::Cosine
    }

    fn reducer(&self) -> &Reducer {
        &MEAN
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::positive("anneal", self.anneal.into())?;
        match self.penalty {
            Penalty::BoundedIncreasing { b } => MetricError::positive("b", b.into()),
            Penalty::Quickly { alpha } => MetricError::positive("alpha", alpha.into()),
            Penalty::Linear | Penalty::Increasing | Penalty::Decreasing => Ok(()),
        }
    }

    fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        MetricError::defined(distance.is_cosine(), "the PNP loss", COSINE, distance)
    }

    fn accepts_tuples(&self) -> Result<(), MetricError> {
        Err(MetricError::Settings("the PNP loss ranks whole rows and takes no tuples: leave the miner out"))
    }

    fn evidence(&self) -> Evidence {
        Evidence::Classes
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, _: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let anneal = f64::from(self.anneal);
        let own: Vec<Option<u32>> = (0..on.anchors()).map(|a| on.own_column(a).map(|j| j as u32)).collect();
        Ok(vec![Term::items(on, &Sets::new(on, None), |row, slopes| {
            let own = own[row.anchor];
            let count = row.positive.len() + usize::from(own.is_some());
            if count == 0 {
                return None;
            }
            let share = 1.0 / count as f64;
            let mut value = 0.0;
            let mut before = vec![0.0; row.negative.len()];
            for &p in row.positive.iter().chain(&own) {
                let s = f64::from(row.distances[p as usize]);
                for (before, d) in before.iter_mut().zip(row.negatives()) {
                    let x = ((f64::from(d) - s) / anneal).clamp(-LARGEST, LARGEST);
                    *before = 1.0 / (1.0 + (-x).exp());
                }
                let (cost, slope) = self.penalty.of(before.iter().sum());
                value += share * cost;
                let mut total = 0.0;
                for (&n, before) in row.negative.iter().zip(&before) {
                    let pull = share * slope * before * (1.0 - before) / anneal;
                    slopes[n as usize] += pull as f32;
                    total += pull;
                }
                slopes[p as usize] -= total as f32;
            }
            Some(value)
        })])
    }
}

use crate::{
    MetricError, Pairwise, Reducer,
    miner::{Triplet, all_triplets},
};
use burn::tensor::Tensor;
use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

/// The triplet margin loss (Schroff, Kalenichenko and Philbin, 2015; Weinberger and Saul, 2009):
///
/// ```text
/// [d(anchor, positive) - d(anchor, negative) + margin]+
/// ```
///
/// or, with `smooth`, `log(1 + exp(...))` of the same (Hermans et al., 2017).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TripletMargin {
    /// How much nearer the positive must be, finite. 0.05 in pytorch-metric-learning, 0.2 in FaceNet.
    pub margin: f32,
    /// Softplus in place of the hinge.
    pub smooth: bool,
    /// How triplets become one number.
    pub reducer: Reducer,
}

impl Default for TripletMargin {
    fn default() -> Self {
        Self { margin: 0.05, smooth: false, reducer: Reducer::AverageNonZero }
    }
}

impl TripletMargin {
    /// Checks the margin.
    ///
    /// # Errors
    /// When it is not finite.
    pub fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.margin.is_finite(), "margin", "finite", self.margin.into())
    }

    /// The loss `[1]` over `triplets`, or over every triplet of the batch. No triplets give zero and keep the graph.
    pub fn forward(&self, pairwise: &Pairwise, triplets: Option<&[Triplet]>) -> Tensor<1> {
        let all;
        let triplets = match triplets {
            Some(triplets) => triplets,
            None => {
                all = all_triplets(pairwise);
                &all
            }
        };
        let sign = pairwise.sign();
        let values = pairwise.values();
        let mut gradient = Matrix::zeros(values.rows(), values.cols());
        let (mut sum, mut non_zero) = (0.0f64, 0);
        for t in triplets {
            let (a, p, n) = (t.anchor as usize, t.positive as usize, t.negative as usize);
            let row = values.row(a);
            let violation = sign * (row[p] - row[n]) + self.margin;
            let (cost, slope) = if self.smooth { softplus(violation) } else { hinge(violation) };
            if cost == 0.0 {
                continue;
            }
            sum += f64::from(cost);
            non_zero += 1;
            let slopes = gradient.row_mut(a);
            slopes[p] += sign * slope;
            slopes[n] -= sign * slope;
        }
        let scale = self.reducer.scale(triplets.len(), non_zero);
        let gradient = Matrix::from_fn(values.rows(), values.cols(), |i, j| gradient.row(i)[j] * scale);
        pairwise.objective((sum * f64::from(scale)) as f32, gradient)
    }
}

/// Value and slope of `[x]+`; NaN passes through.
fn hinge(x: f32) -> (f32, f32) {
    if x <= 0.0 { (0.0, 0.0) } else { (x, 1.0) }
}

/// Value and slope of `log(1 + exp(x))`.
fn softplus(x: f32) -> (f32, f32) {
    (x.max(0.0) + (-x.abs()).exp().ln_1p(), 1.0 / (1.0 + (-x).exp()))
}

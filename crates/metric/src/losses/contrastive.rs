use crate::{MetricError, Pairwise, Reducer};
use burn::tensor::Tensor;
use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

/// The contrastive loss of Siamese networks (Hadsell, Chopra and LeCun, 2006), in pytorch-metric-learning's form:
///
/// ```text
/// positive pairs: [d - positive_margin]+        negative pairs: [negative_margin - d]+
/// ```
///
/// The hinge is not squared; the two kinds are reduced apart and added. For a similarity both hinges turn around.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contrastive {
    /// Positives nearer than this cost nothing; 0 there (1 for cosine).
    pub positive_margin: f32,
    /// Negatives farther than this cost nothing; 1 there (0 for cosine).
    pub negative_margin: f32,
    /// How pairs become one number.
    pub reducer: Reducer,
}

impl Default for Contrastive {
    fn default() -> Self {
        Self { positive_margin: 0.0, negative_margin: 1.0, reducer: Reducer::AverageNonZero }
    }
}

impl Contrastive {
    /// Checks both margins.
    ///
    /// # Errors
    /// When one is not finite.
    pub fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.positive_margin.is_finite(), "positive_margin", "finite", self.positive_margin.into())?;
        MetricError::check(self.negative_margin.is_finite(), "negative_margin", "finite", self.negative_margin.into())
    }

    /// The loss `[1]` over every pair of the batch. A batch without pairs gives zero and keeps its graph.
    pub fn forward(&self, pairwise: &Pairwise) -> Tensor<1> {
        let sign = pairwise.sign();
        let values = pairwise.values();
        let mut gradient = Matrix::zeros(values.rows(), values.cols());
        let mut total = 0.0f64;
        for positive in [true, false] {
            let (mut sum, mut pairs, mut active) = (0.0f64, 0, Vec::new());
            for i in 0..values.rows() {
                let row = values.row(i);
                let mut visit = |j: usize| {
                    let cost = if positive {
                        sign * (row[j] - self.positive_margin)
                    } else {
                        sign * (self.negative_margin - row[j])
                    };
                    pairs += 1;
                    // A NaN must reach the loss.
                    if cost > 0.0 || cost.is_nan() {
                        sum += f64::from(cost);
                        active.push((i, j));
                    }
                };
                if positive {
                    pairwise.positives(i).for_each(&mut visit);
                } else {
                    pairwise.negatives(i).for_each(&mut visit);
                }
            }
            let scale = self.reducer.scale(pairs, active.len());
            let slope = if positive { sign * scale } else { -sign * scale };
            for (i, j) in active {
                gradient.row_mut(i)[j] = slope;
            }
            total += sum * f64::from(scale);
        }
        pairwise.objective(total as f32, gradient)
    }
}

//! Whether the embeddings still differ from one another.

use crate::matrix::Matrix;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Below this share of a healthy spread, embeddings count as collapsed. SimSiam's paper plots the same number: near 1
/// in training that works, 0 in training that does not.
const COLLAPSED_SPREAD: f64 = 0.1;

/// How near, relatively, the loss must come to its value at collapse to be named.
const FINGERPRINT: f64 = 2e-3;

/// State of a batch's embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Mean over dimensions of the standard deviation of the normalised embeddings, times the root of the dimension:
    /// about 1 for directions spread evenly, 0 when all are equal.
    pub spread: f64,
    /// Mean Euclidean norm before normalisation.
    pub norm: f64,
}

impl Health {
    /// Measures embeddings `[n, d]`.
    pub fn of(embeddings: &Matrix) -> Self {
        let (n, d) = (embeddings.rows() as f64, embeddings.cols());
        let norm =
            embeddings.iter_rows().map(|r| r.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()).sum::<f64>()
                / n;
        let unit = embeddings.normalized_rows();
        let (mut sum, mut squares) = (vec![0.0f64; d], vec![0.0f64; d]);
        for row in unit.iter_rows() {
            for (j, v) in row.iter().enumerate() {
                sum[j] += f64::from(*v);
                squares[j] += f64::from(*v).powi(2);
            }
        }
        let spread =
            sum.iter().zip(&squares).map(|(s, q)| (q / n - (s / n).powi(2)).max(0.0).sqrt()).sum::<f64>() / d as f64;
        Self { spread: spread * (d as f64).sqrt(), norm }
    }
}

/// Trouble worth telling a person about while a method trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Warning {
    /// All embeddings point the same way.
    Collapsed {
        /// [`Health::spread`].
        spread: f64,
        /// Step, from 1.
        step: usize,
    },
    /// The loss sits at the value that it has when all embeddings are equal.
    StuckAtCollapse {
        /// The loss.
        loss: f64,
        /// Step, from 1.
        step: usize,
    },
}

impl Warning {
    /// What the measured state means, if anything bad.
    pub(super) fn find(health: Health, loss: f64, collapsed_loss: Option<f64>, step: usize) -> Option<Self> {
        if health.spread < COLLAPSED_SPREAD {
            return Some(Self::Collapsed { spread: health.spread, step });
        }
        collapsed_loss
            .filter(|mark| (loss - mark).abs() <= FINGERPRINT * mark.abs().max(1.0))
            .map(|_| Self::StuckAtCollapse { loss, step })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collapsed { spread, step } => write!(
                f,
                "collapse at step {step}: the embeddings' spread is {spread:.3} (healthy: about 1); lower the learning rate, or check the predictor, the stop-gradient and the batch norms"
            ),
            Self::StuckAtCollapse { loss, step } => write!(
                f,
                "the loss is {loss:.4} at step {step}, its value when all embeddings are equal: lower the learning rate or use easier views"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_one_for_axes_and_zero_for_copies() {
        let axes = Matrix::from_fn(100, 10, |i, j| if i % 10 == j { 3.0 } else { 0.0 });
        let health = Health::of(&axes);
        assert!((health.spread - 0.9486832981).abs() < 1e-6 && (health.norm - 3.0).abs() < 1e-6, "{health:?}");
        let copies = Matrix::from_fn(50, 4, |_, j| j as f32);
        assert!(Health::of(&copies).spread < 1e-6);
    }

    #[test]
    fn fingerprints_are_named() {
        let fine = Health { spread: 0.9, norm: 1.0 };
        let mark = Some(511f64.ln());
        assert_eq!(Warning::find(fine, 3.0, mark, 5), None);
        assert!(matches!(Warning::find(fine, 511f64.ln(), mark, 5), Some(Warning::StuckAtCollapse { .. })));
        let flat = Health { spread: 0.01, norm: 1.0 };
        assert!(matches!(Warning::find(flat, 3.0, None, 5), Some(Warning::Collapsed { .. })));
    }
}

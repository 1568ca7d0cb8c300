//! The stochastic solver of SCML.
//!
//! Xiao, "Dual averaging methods for regularized stochastic learning and online optimization", JMLR 11 (2010), with the
//! diagonal scaling of Duchi, Hazan and Singer, "Adaptive subgradient methods", JMLR 12 (2011).

use super::linalg::{Dense, dot};

/// Keeps the step of a direction finite before its first gradient, as in metric-learn.
const SLACK: f64 = 1e-3;

/// Regularised dual averaging over the weights of the directions.
pub(super) struct DualAveraging {
    /// Rows along the directions, `[n, k]`.
    projected: Dense,
    beta: f64,
    gamma: f64,
    /// `w`, at least 0.
    pub(super) weights: Vec<f64>,
    /// Mean of all gradients so far.
    mean: Vec<f64>,
    /// Sum of their squares.
    squares: Vec<f64>,
    steps: f64,
}

impl DualAveraging {
    /// All weights 0; `projected` holds the rows along the directions, `[n, k]`.
    pub(super) fn new(projected: Dense, beta: f64, gamma: f64) -> Self {
        let zeros = vec![0.0; projected.cols];
        Self { projected, beta, gamma, weights: zeros.clone(), mean: zeros.clone(), squares: zeros, steps: 0.0 }
    }

    /// One step on the mean hinge of `size` triplets.
    pub(super) fn step(&mut self, batch: impl Iterator<Item = [usize; 3]>, size: usize) {
        let mut gradient = vec![0.0; self.weights.len()];
        for [a, b, c] in batch {
            let (a, b, c) = (self.projected.row(a), self.projected.row(b), self.projected.row(c));
            let gap: Vec<f64> =
                a.iter().zip(b).zip(c).map(|((a, b), c)| (a - b) * (a - b) - (a - c) * (a - c)).collect();
            if 1.0 + dot(&gap, &self.weights) > 0.0 {
                gradient.iter_mut().zip(&gap).for_each(|(g, v)| *g += v / size as f64);
            }
        }
        self.steps += 1.0;
        for (k, g) in gradient.into_iter().enumerate() {
            self.mean[k] += (g - self.mean[k]) / self.steps;
            self.squares[k] += g * g;
            // The penalty and the bound at 0 cut off every direction whose mean slope does not outweigh beta.
            let slope = (self.mean[k] + self.beta).min(0.0);
            self.weights[k] = -self.steps * slope / (self.gamma * (SLACK + self.squares[k].sqrt()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_dual_averaging_by_hand() {
        // One direction, one triplet: 0, 1, 3. Gap 1 - 9 = -8, gradient -8; w = 8 / (gamma (slack + 8)) without
        // penalty.
        let mut averaging = DualAveraging::new(Dense { data: vec![0.0, 1.0, 3.0], rows: 3, cols: 1 }, 0.0, 0.5);
        averaging.step([[0, 1, 2]].into_iter(), 1);
        assert!((averaging.weights[0] - 8.0 / (0.5 * 8.001)).abs() < 1e-12);
        // The triplet is now satisfied: the gradient is 0, its mean -4, and w = 2 x 4 / (...).
        averaging.step([[0, 1, 2]].into_iter(), 1);
        assert!((averaging.weights[0] - 8.0 / (0.5 * 8.001)).abs() < 1e-12);
        // A penalty above the slope leaves nothing.
        let mut penalised = DualAveraging::new(Dense { data: vec![0.0, 1.0, 3.0], rows: 3, cols: 1 }, 9.0, 0.5);
        penalised.step([[0, 1, 2]].into_iter(), 1);
        assert_eq!(penalised.weights, [0.0]);
    }
}

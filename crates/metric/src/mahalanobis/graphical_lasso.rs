//! The graphical lasso: a sparse inverse of a covariance.
//!
//! Friedman, Hastie and Tibshirani, "Sparse inverse covariance estimation with the graphical lasso", Biostatistics 9
//! (2008).

use super::linalg::{Dense, dot};

/// Passes of the lasso over one row at most; a few are usual.
const MAX_PASSES: usize = 1000;
/// A pass that moves no coefficient by more than this, relative to the right-hand side, ends the lasso.
const LASSO_TOLERANCE: f64 = 1e-12;

/// Friedman, Hastie and Tibshirani's descent on `W`, the inverse of the matrix sought.
pub(super) struct GraphicalLasso<'a> {
    /// `S`, positive definite.
    scatter: &'a Dense,
    /// `W`.
    pub(super) covariance: Dense,
    /// Coefficients of each row's lasso, 0 at the row itself, `[d, d]`.
    coefficients: Dense,
    penalty: f64,
}

impl<'a> GraphicalLasso<'a> {
    /// Starts from `W = S`; `penalty` weighs the entries off the diagonal.
    pub(super) fn new(scatter: &'a Dense, penalty: f64) -> Self {
        let d = scatter.rows;
        Self { scatter, covariance: scatter.clone(), coefficients: Dense::zeros(d, d), penalty }
    }

    /// Each row of `W` once: `w_i = W_ii b` with `b` the lasso of `s_i` on the other rows.
    pub(super) fn sweep(&mut self) {
        let d = self.scatter.rows;
        for i in 0..d {
            self.lasso(i);
            let row = &self.coefficients.data[i * d..(i + 1) * d];
            let fitted: Vec<f64> = (0..d).map(|k| dot(self.covariance.row(k), row)).collect();
            for k in (0..d).filter(|&k| k != i) {
                self.covariance.data[k * d + i] = fitted[k];
                self.covariance.data[i * d + k] = fitted[k];
            }
        }
    }

    /// Minimises `b^T W b / 2 - s_i^T b + penalty |b|_1` over `b` with `b_i = 0`, one coefficient at a time.
    fn lasso(&mut self, i: usize) {
        let d = self.scatter.rows;
        let wanted = self.scatter.row(i);
        let b = &mut self.coefficients.data[i * d..(i + 1) * d];
        let size = wanted.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        for _ in 0..MAX_PASSES {
            let mut moved = 0.0f64;
            for k in (0..d).filter(|&k| k != i) {
                let row = self.covariance.row(k);
                let residual = wanted[k] - dot(row, b) + row[k] * b[k];
                let next = residual.signum() * (residual.abs() - self.penalty).max(0.0) / row[k];
                moved = moved.max((next - b[k]).abs() * row[k]);
                b[k] = next;
            }
            if moved <= LASSO_TOLERANCE * size {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graphical_lasso_of_a_worked_example() {
        // Two variables: W_12 is S_12 drawn towards 0 by the penalty.
        let s = Dense { data: vec![2.0, 0.5, 0.5, 1.0], rows: 2, cols: 2 };
        for (penalty, off) in [(0.0, 0.5), (0.2, 0.3), (0.7, 0.0)] {
            let mut lasso = GraphicalLasso::new(&s, penalty);
            lasso.sweep();
            let expected = [2.0, off, off, 1.0];
            assert!(lasso.covariance.data.iter().zip(expected).all(|(w, e)| (w - e).abs() < 1e-12));
        }
    }
}

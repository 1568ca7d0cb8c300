//! Sparse distance metric learning (SDML).
//!
//! Qi, Tang, Zha, Chua and Zhang, "An efficient sparse metric learning in high-dimensional space via l1-penalized
//! log-determinant regularization", ICML 2009.

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

use super::constraints::pairs_from_labels;
use super::data::{check_length, check_pairs, check_rows, differences, distinct_rows};
use super::graphical_lasso::GraphicalLasso;
use super::linalg::{Dense, dot, positive_inverse, product, product_transposed, symmetric_eigen, transposed_product};
use super::lmnn::check_stop;
use super::prior::{Prior, PriorMatrices};
use super::{Fitted, Learner, Mahalanobis, MahalanobisError};
use crate::weak::Pairs;

/// Learns a Mahalanobis matrix close to a prior, with few entries off the diagonal, under which same pairs are near and
/// different pairs far:
///
/// ```text
/// min_M  tr(M S) - log det M + sparsity sum_{i /= j} |M_ij|
/// S = M_0^-1 + balance K        K = sum_pairs y (x_i - x_j)(x_i - x_j)^T        y = 1 for same, -1 for different pairs
/// ```
///
/// (Equation 8 of the paper.) The penalty leaves the diagonal alone, as in scikit-learn's graphical lasso, which
/// metric-learn calls.
///
/// **When `S` is not positive definite** the minimum is minus infinity: along a direction in which different pairs
/// outweigh same pairs, `M` grows without end. With the default balance this is the rule, and metric-learn then fails
/// or returns what its solver diverged to. Here the balance is lowered to the largest value that leaves every
/// eigenvalue of `S`, relative to `M_0^-1`, at least [`Sdml::floor`]: the problem stays the paper's, with the greatest
/// weight on the pairs for which it has a solution. [`Sdml::balance_used`] tells the value.
///
/// **Solver.** Block coordinate descent on the inverse `W` of `M`, one row at a time, each by a lasso. It starts from
/// `S`, where `W` is feasible and positive definite, and both stay true after every row. The duality gap ends it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sdml {
    /// Weight of the pairs, not negative. Default 0.5, as in metric-learn.
    pub balance: f64,
    /// Weight of the penalty, not negative. Default 0.01, as in metric-learn.
    pub sparsity: f64,
    /// Smallest eigenvalue that `S` may have relative to the inverse prior, greater than 0 and less than 1: the balance
    /// is lowered until it does. No direction then grows to more than one over it. Default 0.1.
    pub floor: f64,
    /// The matrix to stay close to. Default [`Prior::Identity`].
    pub prior: Prior,
    /// Sweeps over all rows of the matrix at most. Default 100, as in scikit-learn's graphical lasso.
    pub max_iterations: usize,
    /// Ends when the duality gap is at most this for each feature. Default 1e-6.
    pub tolerance: f64,
    /// Pairs of each kind that [`Learner::fit`] draws from labels, at least 1. Default `None`: `20 C^2` for `C`
    /// classes, as in metric-learn.
    pub constraints: Option<usize>,
    /// Seed of that draw. Default 0.
    pub seed: u64,
}

impl Default for Sdml {
    fn default() -> Self {
        Self {
            balance: 0.5,
            sparsity: 0.01,
            floor: 0.1,
            prior: Prior::Identity,
            max_iterations: 100,
            tolerance: 1e-6,
            constraints: None,
            seed: 0,
        }
    }
}

impl Learner for Sdml {
    /// Draws [`Sdml::constraints`] same and different pairs from the labels ([`pairs_from_labels`]) and learns from
    /// them.
    ///
    /// # Errors
    /// As [`Sdml::fit_pairs`], on a single class, and when no class has two rows.
    fn fit(&self, x: &Matrix, labels: &[usize]) -> Result<Fitted, MahalanobisError> {
        check_rows(x, 2)?;
        check_length("labels, one for each row", x.rows(), labels.len())?;
        self.fit_pairs(x, &pairs_from_labels(labels, self.constraints, self.seed)?)
    }
}

impl Sdml {
    /// Learns from pairs of rows of `x`, `[n, d]`. [`Fitted::objective`] is the objective after each sweep.
    ///
    /// # Errors
    /// On settings outside their ranges, values that are not finite, lengths that differ, no pairs, pairs that name
    /// rows that do not exist, pairs that all join identical rows, and a covariance without inverse as prior.
    pub fn fit_pairs(&self, x: &Matrix, pairs: &Pairs) -> Result<Fitted, MahalanobisError> {
        let Problem { prior, pull, balance, rows_used } = self.problem(x, pairs)?;
        let mut scatter = prior.inverse; // S
        scatter.data.iter_mut().zip(&pull.data).for_each(|(s, k)| *s += balance * k);
        let lost = || MahalanobisError::Overflow { what: "the inverse of SDML's matrix" };
        let mut lasso = GraphicalLasso::new(&scatter, self.sparsity);
        let (mut objective, mut converged) = (Vec::new(), false);
        let mut matrix = Dense::identity(x.cols(), x.cols());
        while objective.len() < self.max_iterations && !converged {
            lasso.sweep();
            let (inverse, log_determinant) = positive_inverse(&lasso.covariance).ok_or_else(lost)?;
            let penalty: f64 = (0..x.cols()).map(|i| off_diagonal(inverse.row(i), i)).sum::<f64>() * self.sparsity;
            let linear = dot(&scatter.data, &inverse.data) + penalty; // d at the minimum
            objective.push(linear + log_determinant);
            converged = (linear - x.cols() as f64).abs() <= self.tolerance * x.cols() as f64;
            matrix = inverse;
        }
        let model = Mahalanobis::from_matrix(&matrix.data, x.cols())?;
        Ok(Fitted { model, iterations: objective.len(), objective, converged, rows_used })
    }

    /// The balance that [`Sdml::fit_pairs`] learns these pairs with: [`Sdml::balance`], or less where that has no
    /// minimum.
    ///
    /// # Errors
    /// As [`Sdml::fit_pairs`].
    pub fn balance_used(&self, x: &Matrix, pairs: &Pairs) -> Result<f64, MahalanobisError> {
        Ok(self.problem(x, pairs)?.balance)
    }

    fn problem(&self, x: &Matrix, pairs: &Pairs) -> Result<Problem, MahalanobisError> {
        self.check()?;
        check_pairs(x, pairs)?;
        let rows = differences(x, pairs.pairs.iter().copied());
        if rows.data.iter().all(|&v| v == 0.0) {
            return Err(MahalanobisError::NoDistinctPairs);
        }
        let mut signed = rows.clone();
        for (row, &same) in signed.data.chunks_exact_mut(rows.cols).zip(&pairs.same) {
            row.iter_mut().for_each(|v| *v = if same { *v } else { -*v });
        }
        let pull = transposed_product(&signed, &rows); // K
        let distinct = distinct_rows(x, pairs.pairs.iter().flatten().copied());
        let prior = self.prior.matrices(&distinct)?;
        // In the coordinates of the prior S is I + balance K.
        let relative = product_transposed(&product(&prior.root, &pull), &prior.root);
        let smallest = symmetric_eigen(&relative)?.values[x.cols() - 1];
        let most = if smallest < 0.0 { (1.0 - self.floor) / -smallest } else { f64::INFINITY };
        Ok(Problem { prior, pull, balance: self.balance.min(most), rows_used: distinct.rows })
    }

    fn check(&self) -> Result<(), MahalanobisError> {
        check_stop(self.max_iterations, self.tolerance)?;
        for (name, value) in [("balance", self.balance), ("sparsity", self.sparsity)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(MahalanobisError::setting(name, value, "finite and not negative"));
            }
        }
        if !(self.floor > 0.0 && self.floor < 1.0) {
            return Err(MahalanobisError::setting("floor", self.floor, "greater than 0 and less than 1"));
        }
        Ok(())
    }
}

/// What the pairs ask for.
struct Problem {
    prior: PriorMatrices,
    /// `K`.
    pull: Dense,
    /// The balance for which there is a minimum.
    balance: f64,
    rows_used: usize,
}

/// Sum of the magnitudes of row `i` off the diagonal.
fn off_diagonal(row: &[f64], i: usize) -> f64 {
    row.iter().map(|v| v.abs()).sum::<f64>() - row[i].abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud() -> (Matrix, Pairs) {
        let labels: Vec<usize> = (0..40).map(|i| i % 2).collect();
        let x = Matrix::from_fn(40, 4, |i, j| {
            ((i * 31 + j * 17 + i * j * 7) as f32 * 0.713).sin() + if j == 1 { labels[i] as f32 } else { 0.0 }
        });
        let pairs = pairs_from_labels(&labels, Some(50), 3).unwrap();
        (x, pairs)
    }

    #[test]
    fn the_optimality_conditions_hold() {
        let (x, pairs) = cloud();
        let learner = Sdml { sparsity: 0.05, tolerance: 1e-12, ..Sdml::default() };
        let fitted = learner.fit_pairs(&x, &pairs).unwrap();
        assert!(fitted.converged, "{}", fitted.iterations);
        let Problem { prior, pull, balance, .. } = learner.problem(&x, &pairs).unwrap();
        let matrix = Dense { data: fitted.model.matrix(), rows: 4, cols: 4 };
        let (inverse, _) = positive_inverse(&matrix).unwrap();
        let mut zeros = 0;
        for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
            let s = prior.inverse.row(i)[j] + balance * pull.row(i)[j];
            let slack = inverse.row(i)[j] - s; // a subgradient of the penalty
            let entry = matrix.row(i)[j];
            if i == j {
                assert!(slack.abs() < 1e-7);
            } else if entry.abs() > 1e-4 {
                assert!((slack - 0.05 * entry.signum()).abs() < 1e-6, "{i} {j}: {slack} at {entry}");
            } else {
                zeros += 1;
                assert!(slack.abs() <= 0.05 + 1e-6);
            }
        }
        assert!(zeros < 12, "some entries must be left");
        let sparse = Sdml { sparsity: 1e3, ..learner }.fit_pairs(&x, &pairs).unwrap().model.matrix();
        assert!(sparse.iter().enumerate().all(|(at, v)| at % 5 == 0 || v.abs() < 1e-9), "{sparse:?}");
    }

    #[test]
    fn too_great_a_balance_is_lowered_to_the_floor_and_a_small_one_is_kept() {
        let (x, pairs) = cloud();
        let learner = Sdml { sparsity: 0.0, ..Sdml::default() };
        let used = learner.balance_used(&x, &pairs).unwrap();
        assert!(used > 0.0 && used < 0.5, "{used}");
        // Without a penalty M is the inverse of S, whose smallest eigenvalue is the floor.
        let matrix = Dense { data: learner.fit_pairs(&x, &pairs).unwrap().model.matrix(), rows: 4, cols: 4 };
        let largest = symmetric_eigen(&matrix).unwrap().values[0];
        assert!((largest - 10.0).abs() < 1e-6, "{largest}");
        let small = Sdml { balance: 1e-6, ..learner };
        assert_eq!(small.balance_used(&x, &pairs).unwrap(), 1e-6);
        let none = Sdml { balance: 0.0, ..learner }.fit_pairs(&x, &pairs).unwrap().model.matrix();
        assert!(none.iter().zip(&Dense::identity(4, 4).data).all(|(a, b)| (a - b).abs() < 1e-12), "{none:?}");
    }

    #[test]
    fn one_feature_and_wide_data_are_no_trouble() {
        let line = Matrix::from_fn(4, 1, |i, _| [0.0, 0.1, 3.0, 3.2][i]);
        let pairs = Pairs { pairs: vec![[0, 1], [2, 3], [0, 2]], same: vec![true, true, false] };
        // S = 1 + balance (0.01 + 0.04 - 9) at the floor.
        let matrix = Sdml::default().fit_pairs(&line, &pairs).unwrap().model.matrix();
        assert!((matrix[0] - 10.0).abs() < 1e-6, "{matrix:?}");
        let wide = Matrix::from_fn(4, 9, |i, j| ((i * 5 + j * 3 + i * j) as f32).sin());
        let fitted = Sdml::default().fit_pairs(&wide, &pairs).unwrap();
        assert!(fitted.model.components().iter().all(|v| v.is_finite()));
    }

    #[test]
    fn refuses_what_it_cannot_learn_from() {
        let (x, pairs) = cloud();
        let bad = [
            (Sdml { balance: -1.0, ..Sdml::default() }, "balance"),
            (Sdml { sparsity: f64::NAN, ..Sdml::default() }, "sparsity"),
            (Sdml { floor: 0.0, ..Sdml::default() }, "floor"),
            (Sdml { max_iterations: 0, ..Sdml::default() }, "max_iterations"),
        ];
        for (learner, name) in bad {
            let error = learner.fit_pairs(&x, &pairs).unwrap_err();
            assert!(matches!(error, MahalanobisError::InvalidSetting { setting, .. } if setting == name), "{error}");
        }
        let still = Pairs { pairs: vec![[1, 1]], same: vec![true] };
        assert_eq!(Sdml::default().fit_pairs(&x, &still).unwrap_err(), MahalanobisError::NoDistinctPairs);
    }
}

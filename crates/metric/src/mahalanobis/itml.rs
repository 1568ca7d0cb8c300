//! Information-theoretic metric learning (ITML).
//!
//! Davis, Kulis, Jain, Sra and Dhillon, "Information-theoretic metric learning", ICML 2007.

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

use super::bounds::{check_bounds, default_bounds};
use super::constraints::pairs_from_labels;
use super::data::{check_length, check_pairs, check_rows, differences, distinct_rows};
use super::linalg::{Dense, axpy, dot, vectorized};
use super::lmnn::check_stop;
use super::prior::Prior;
use super::{Fitted, Learner, Mahalanobis, MahalanobisError};
use crate::weak::Pairs;

/// Learns the Mahalanobis matrix `M` closest to a prior `M_0` that keeps same pairs within `u` and different pairs
/// beyond `l` of each other, in **squared** distance, with slack:
///
/// ```text
/// min  D_ld(M, M_0) + gamma D_ld(diag xi, diag xi_0)        D_ld(A, B) = tr(A B^-1) - log det(A B^-1) - d
/// s.t. (x_i - x_j)^T M (x_i - x_j) <= xi_ij  for same pairs,   >= xi_ij  for different pairs
/// ```
///
/// where `xi_0` is `u` or `l` (equation 5 of the paper). The solver is the paper's algorithm 1: it visits the pairs in
/// turn, same pairs first, and projects `M` onto each by a rank-one update. It needs no eigendecomposition and keeps
/// `M` positive definite. A sweep over `c` pairs costs O(c d^2).
///
/// **Bounds.** By default `u` and `l` are the 5th and 95th percentile of the squared Euclidean distances between
/// distinct rows that occur in the pairs (a seeded sample of 500,000 distances when there are more). The paper takes
/// percentiles of the distances that the constraints are compared with, which are squared. metric-learn takes those of
/// distances that are not squared, with the zeros of rows against themselves, so default results differ from it.
///
/// A pair of identical rows has no direction to learn from and is passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Itml {
    /// Weight of the slack, greater than 0: larger keeps closer to the bounds. Default 1, as in the paper's code and in
    /// metric-learn.
    pub gamma: f64,
    /// Sweeps over all pairs at most. Default 1000, as in metric-learn.
    pub max_iterations: usize,
    /// Ends when a sweep changes the multipliers by less than this share. Default 1e-3, as in metric-learn.
    pub tolerance: f64,
    /// The matrix to stay close to. Default [`Prior::Identity`].
    pub prior: Prior,
    /// Pairs of each kind that [`Learner::fit`] draws from labels, at least 1. Default `None`: `20 C^2` for `C`
    /// classes, as in the paper and in metric-learn. Set it when there are many classes.
    pub constraints: Option<usize>,
    /// Seed of the drawn pairs and of sampled bounds. Default 0.
    pub seed: u64,
}

impl Default for Itml {
    fn default() -> Self {
        Self { gamma: 1.0, max_iterations: 1000, tolerance: 1e-3, prior: Prior::Identity, constraints: None, seed: 0 }
    }
}

impl Learner for Itml {
    /// Draws [`Itml::constraints`] same and different pairs from the labels ([`pairs_from_labels`]) and learns from
    /// them with the default bounds.
    ///
    /// # Errors
    /// As [`Itml::fit_pairs`], on a single class, and when no class has two rows.
    fn fit(&self, x: &Matrix, labels: &[usize]) -> Result<Fitted, MahalanobisError> {
        check_rows(x, 2)?;
        check_length("labels, one for each row", x.rows(), labels.len())?;
        self.fit_pairs(x, &pairs_from_labels(labels, self.constraints, self.seed)?, None)
    }
}

impl Itml {
    /// Learns from pairs of rows of `x`, `[n, d]`. `bounds` are the squared distances `(u, l)` with `0 < u <= l`;
    /// `None` takes the default ones.
    ///
    /// [`Fitted::objective`] is the value of the paper's equation 5 after each sweep, which approaches its minimum
    /// from outside the constraints and need not fall; [`Fitted::rows_used`] counts the distinct rows in the pairs.
    ///
    /// # Errors
    /// On settings or bounds outside their ranges, values that are not finite, lengths that differ, pairs that name
    /// rows that do not exist, pairs that all join identical rows, or a covariance without inverse as prior.
    pub fn fit_pairs(&self, x: &Matrix, pairs: &Pairs, bounds: Option<(f64, f64)>) -> Result<Fitted, MahalanobisError> {
        self.check()?;
        check_pairs(x, pairs)?;
        let distinct = distinct_rows(x, pairs.pairs.iter().flatten().copied());
        let (upper, lower) = match bounds {
            Some(bounds) => check_bounds(bounds)?,
            None => default_bounds(&distinct, self.seed)?,
        };
        // The paper's order: all same pairs, then all different pairs.
        let mut order: Vec<usize> = (0..pairs.pairs.len()).collect();
        order.sort_by_key(|&i| !pairs.same[i]);
        let rows = differences(x, order.iter().map(|&i| pairs.pairs[i]));
        let constraints = order.iter().zip(rows.data.chunks_exact(rows.cols)).map(|(&i, difference)| {
            let same = pairs.same[i];
            Constraint::new(difference.to_vec(), if same { upper } else { lower }, same)
        });
        let mut constraints: Vec<Constraint> = constraints.filter(Constraint::has_direction).collect();
        if constraints.is_empty() {
            return Err(MahalanobisError::NoDistinctPairs);
        }
        let mut state = State::new(self.prior, &distinct)?;
        let (objective, converged) = self.sweep(&mut state, &mut constraints)?;
        let model = Mahalanobis::from_matrix(&state.matrix.data, x.cols())?;
        Ok(Fitted { model, iterations: objective.len(), objective, converged, rows_used: distinct.rows })
    }

    /// Sweeps until the multipliers rest; the objective after each sweep, and whether they came to rest.
    fn sweep(&self, state: &mut State, constraints: &mut [Constraint]) -> Result<(Vec<f64>, bool), MahalanobisError> {
        let mut objective = Vec::new();
        let mut before = vec![0.0; constraints.len()];
        while objective.len() < self.max_iterations {
            vectorized(
                #[inline(always)]
                || {
                    for c in constraints.iter_mut() {
                        c.project(state, self.gamma);
                    }
                },
            );
            let value = state.divergence() + self.gamma * constraints.iter().map(Constraint::slack).sum::<f64>();
            if !value.is_finite() {
                return Err(MahalanobisError::Overflow { what: "the Mahalanobis matrix of ITML" });
            }
            objective.push(value);
            let now: Vec<f64> = constraints.iter().map(|c| c.multiplier).collect();
            let size = dot(&now, &now).sqrt() + dot(&before, &before).sqrt();
            let change: f64 = now.iter().zip(&before).map(|(a, b)| (a - b).abs()).sum();
            // All multipliers 0: the prior meets every constraint.
            if size == 0.0 || change / size < self.tolerance {
                return Ok((objective, true));
            }
            before = now;
        }
        Ok((objective, false))
    }

    fn check(&self) -> Result<(), MahalanobisError> {
        check_stop(self.max_iterations, self.tolerance)?;
        if !(self.gamma > 0.0 && self.gamma.is_finite()) {
            return Err(MahalanobisError::setting("gamma", self.gamma, "finite and greater than 0"));
        }
        Ok(())
    }
}

/// One pair and its dual state.
struct Constraint {
    /// `x_i - x_j`.
    difference: Vec<f64>,
    /// `xi_0`: the bound asked for.
    bound: f64,
    /// `xi`: the bound with slack.
    slackened: f64,
    /// `lambda`, never negative.
    multiplier: f64,
    /// 1 for a same pair, -1 for a different one.
    sign: f64,
}

impl Constraint {
    fn new(difference: Vec<f64>, bound: f64, same: bool) -> Self {
        let sign = if same { 1.0 } else { -1.0 };
        Self { difference, bound, slackened: bound, multiplier: 0.0, sign }
    }

    fn has_direction(&self) -> bool {
        self.difference.iter().any(|&v| v != 0.0)
    }

    /// One turn of algorithm 1's loop: the Bregman projection of the matrix onto this constraint.
    #[inline(always)]
    fn project(&mut self, state: &mut State, gamma: f64) {
        let State { matrix, mapped, log_determinant, .. } = state;
        let d = self.difference.len();
        for (value, row) in mapped.iter_mut().zip(matrix.data.chunks_exact(d)) {
            *value = dot(row, &self.difference); // M v
        }
        let p = dot(&self.difference, mapped); // v^T M v
        if p <= 0.0 {
            return; // M has been flattened along this direction to rounding: nothing left to project
        }
        let wanted = self.sign * gamma / (gamma + 1.0) * (1.0 / p - 1.0 / self.slackened);
        let alpha = self.multiplier.min(wanted);
        if alpha == 0.0 {
            return; // satisfied, and not pressing
        }
        let beta = self.sign * alpha / (1.0 - self.sign * alpha * p);
        self.slackened = gamma * self.slackened / (gamma + self.sign * alpha * self.slackened);
        self.multiplier -= alpha;
        for (row, value) in matrix.data.chunks_exact_mut(d).zip(mapped.iter()) {
            axpy(row, beta * value, mapped); // M += beta M v v^T M
        }
        *log_determinant += (beta * p).ln_1p();
    }

    /// `xi / xi_0 - log(xi / xi_0) - 1`.
    fn slack(&self) -> f64 {
        let ratio = self.slackened / self.bound;
        ratio - ratio.ln() - 1.0
    }
}

/// The matrix being learned, and what its divergence from the prior needs.
struct State {
    matrix: Dense,
    /// `M_0^-1`.
    prior_inverse: Dense,
    /// `log det(M M_0^-1)`.
    log_determinant: f64,
    /// `M v` of the constraint at hand, `[d]`.
    mapped: Vec<f64>,
}

impl State {
    fn new(prior: Prior, distinct: &Dense) -> Result<Self, MahalanobisError> {
        let prior = prior.matrices(distinct)?;
        let mapped = vec![0.0; distinct.cols];
        Ok(Self { matrix: prior.matrix(), prior_inverse: prior.inverse, log_determinant: 0.0, mapped })
    }

    /// `D_ld(M, M_0)`.
    fn divergence(&self) -> f64 {
        dot(&self.matrix.data, &self.prior_inverse.data) - self.log_determinant - self.matrix.rows as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of metric-learn's docstring: rows 0 to 7, two a pair.
    fn docstring() -> (Matrix, Pairs) {
        let values = [1.2, 7.5, 1.3, 1.5, 6.4, 2.6, 6.2, 9.7, 1.3, 4.5, 3.2, 4.6, 6.2, 5.5, 5.4, 5.4];
        let x = Matrix::new(values.to_vec(), 8, 2).unwrap();
        (x, pairs(&[[0, 1], [2, 3], [4, 5], [6, 7]], &[true, true, false, false]))
    }

    fn pairs(pairs: &[[usize; 2]], same: &[bool]) -> Pairs {
        Pairs { pairs: pairs.to_vec(), same: same.to_vec() }
    }

    #[test]
    fn the_worked_value_of_metric_learn() {
        let (x, pairs) = docstring();
        let fitted = Itml::default().fit_pairs(&x, &pairs, Some((1.0, 10.0))).unwrap();
        let expected = [2.1009544446, 0.0554986662, 0.0554986662, 0.0357198036];
        // The rows are f32 here and f64 there.
        assert!(fitted.model.matrix().iter().zip(expected).all(|(m, e)| (m - e).abs() < 1e-6));
        assert_eq!((fitted.iterations, fitted.converged, fitted.rows_used), (7, true, 8));
        assert_eq!(fitted.objective.len(), 7);
        // The divergence tracked along the rank-one updates, against its definition at the end.
        let m = fitted.model.matrix();
        let divergence = m[0] + m[3] - (m[0] * m[3] - m[1] * m[2]).ln() - 2.0;
        let slack = fitted.objective[6] - divergence;
        assert!((0.0..fitted.objective[6]).contains(&slack), "{slack}");
    }

    #[test]
    fn the_order_of_same_and_different_pairs_does_not_matter() {
        let (x, ordered) = docstring();
        let mixed = pairs(&[[4, 5], [0, 1], [6, 7], [2, 3]], &[false, true, false, true]);
        let a = Itml::default().fit_pairs(&x, &ordered, None).unwrap();
        let b = Itml::default().fit_pairs(&x, &mixed, None).unwrap();
        assert_eq!(a.model, b.model);
    }

    #[test]
    fn identical_rows_are_passed_over() {
        let (x, plain) = docstring();
        let mut rows = x.as_slice().to_vec();
        rows.extend_from_slice(&x.as_slice()[..2]);
        let twice = Matrix::new(rows, 9, 2).unwrap();
        let mut more = plain.clone();
        more.pairs.extend([[0, 8], [0, 8], [3, 3]]);
        more.same.extend([true, false, false]);
        let plain = Itml::default().fit_pairs(&x, &plain, None).unwrap();
        let padded = Itml::default().fit_pairs(&twice, &more, None).unwrap();
        assert_eq!(plain.model, padded.model);
        let error = Itml::default().fit_pairs(&twice, &pairs(&[[0, 8]], &[true]), Some((1.0, 2.0))).unwrap_err();
        assert_eq!(error, MahalanobisError::NoDistinctPairs);
    }

    #[test]
    fn met_constraints_leave_the_prior_alone() {
        let x = Matrix::new(vec![0.0, 0.0, 0.1, 0.0, 9.0, 0.0, 0.0, 3.0], 4, 2).unwrap();
        let met = pairs(&[[0, 1], [0, 2]], &[true, false]);
        let fitted = Itml::default().fit_pairs(&x, &met, Some((1.0, 4.0))).unwrap();
        assert!(fitted.model.matrix().iter().zip([1.0, 0.0, 0.0, 1.0]).all(|(m, e)| (m - e).abs() < 1e-12));
        assert!(fitted.converged && fitted.iterations == 1 && fitted.objective[0].abs() < 1e-12);
        let learner = Itml { prior: Prior::InverseCovariance, ..Itml::default() };
        let met = pairs(&[[0, 1], [2, 3]], &[true, false]);
        let whitened = learner.fit_pairs(&x, &met, Some((1.0, 1.0))).unwrap().model.matrix();
        let expected = Prior::InverseCovariance.matrices(&distinct_rows(&x, 0..4)).unwrap().matrix().data;
        assert!(whitened.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{whitened:?} {expected:?}");
    }

    #[test]
    fn labels_give_pairs_and_classes_move_apart() {
        let labels: Vec<usize> = (0..60).map(|i| i % 2).collect();
        let x = Matrix::from_fn(60, 2, |i, j| match j {
            0 => ((i * 37) % 61) as f32 * 0.1,
            _ => labels[i] as f32 + ((i * 17) % 23) as f32 * 0.01,
        });
        let learner = Itml::default();
        let matrix = learner.fit(&x, &labels).unwrap().model.matrix();
        assert!(matrix[3] > 10.0 * matrix[0], "{matrix:?}");
    }

    #[test]
    fn refuses_what_it_cannot_learn_from() {
        let (x, docstring) = docstring();
        for bounds in [(0.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            let error = Itml::default().fit_pairs(&x, &docstring, Some(bounds)).unwrap_err();
            assert!(matches!(error, MahalanobisError::InvalidSetting { setting: "bounds", .. }), "{bounds:?}");
        }
        let gamma = Itml { gamma: 0.0, ..Itml::default() };
        let error = gamma.fit_pairs(&x, &docstring, None).unwrap_err();
        assert!(matches!(error, MahalanobisError::InvalidSetting { setting: "gamma", .. }));
        let error = Itml::default().fit_pairs(&x, &pairs(&[[0, 8]], &[true]), None).unwrap_err();
        assert_eq!(error, MahalanobisError::TupleOutOfRange { kind: "pair", tuple: 0, index: 8, rows: 8 });
        assert!(matches!(
            Itml::default().fit_pairs(&x, &Pairs::default(), None).unwrap_err(),
            MahalanobisError::MissingPairs { .. }
        ));
        // Two features that are equal: no inverse covariance.
        let line = Matrix::from_fn(4, 2, |i, _| i as f32);
        let prior = Itml { prior: Prior::InverseCovariance, ..Itml::default() };
        let error = prior.fit_pairs(&line, &pairs(&[[0, 1], [2, 3]], &[true, false]), Some((1.0, 2.0))).unwrap_err();
        assert_eq!(error, MahalanobisError::SingularCovariance { rank: 1, dim: 2 });
        let error = Itml { constraints: Some(0), ..Itml::default() }.fit(&x, &[0, 1, 0, 1, 0, 1, 0, 1]).unwrap_err();
        assert!(matches!(error, MahalanobisError::InvalidSetting { setting: "constraints", .. }));
    }
}

//! Metric learning for kernel regression (MLKR).
//!
//! Weinberger and Tesauro, "Metric learning for kernel regression", AISTATS 2007.

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

use super::data::{check_length, check_rows, to_dense};
use super::init::{Init, initial_components};
use super::lbfgs::{Stop, minimize};
use super::linalg::{Dense, dot};
use super::lmnn::check_stop;
use super::neighbourhood::evaluate;
use super::{Fitted, Learner, MahalanobisError};

/// Learns the distance under which a Gaussian kernel best predicts the target of each row from the other rows:
///
/// ```text
/// p_ij = exp(-|L(x_i - x_j)|^2) / sum_{k /= i} exp(-|L(x_i - x_k)|^2)        yhat_i = sum_j p_ij y_j
/// f(L) = sum_i |yhat_i - y_i|^2
/// ```
///
/// (Equations 2 to 4 of the paper, with the kernel's width taken into `L`.) `f` is minimised by limited-memory BFGS, as
/// in metric-learn. It is not convex: the result depends on the start.
///
/// Targets may have several columns. Class labels become one column a class, 1 for the row's own and 0 elsewhere, so
/// that the numbers of the classes mean nothing; metric-learn regresses on the numbers.
///
/// Cost of one evaluation: as [`Nca`](super::Nca), and `n^2` times the columns of the targets. Memory as there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mlkr {
    /// Output dimensions; `None` keeps all that [`Mlkr::init`] offers. Default `None`.
    pub dim: Option<usize>,
    /// Where the search starts. Default [`Init::Identity`].
    pub init: Init,
    /// Iterations at most. Default 1000, as in metric-learn.
    pub max_iterations: usize,
    /// Ends when five iterations lowered `f` by less than this share of `f` plus the sum of squares of the centred
    /// targets. A share of `f` alone would never be met where targets can be predicted without error. Default 1e-8.
    pub tolerance: f64,
}

impl Default for Mlkr {
    fn default() -> Self {
        Self { dim: None, init: Init::Identity, max_iterations: 1000, tolerance: 1e-8 }
    }
}

impl Learner for Mlkr {
    /// Learns to predict the class of each row, one column a class. With a single class the start is returned.
    ///
    /// # Errors
    /// As [`Mlkr::fit_targets`].
    fn fit(&self, x: &Matrix, labels: &[usize]) -> Result<Fitted, MahalanobisError> {
        check_rows(x, 2)?;
        check_length("labels, one for each row", x.rows(), labels.len())?;
        let mut classes = labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        let one_hot = Matrix::from_fn(x.rows(), classes.len(), |i, c| if labels[i] == classes[c] { 1.0 } else { 0.0 });
        self.fit_targets(x, &one_hot)
    }
}

impl Mlkr {
    /// Learns from rows `[n, d]` and their targets, `[n, m]`. [`Fitted::objective`] holds `f`, which falls.
    ///
    /// # Errors
    /// On settings outside their ranges, fewer than two rows, values that are not finite, no target column, or lengths
    /// that differ.
    pub fn fit_targets(&self, x: &Matrix, targets: &Matrix) -> Result<Fitted, MahalanobisError> {
        check_stop(self.max_iterations, self.tolerance)?;
        check_rows(x, 2)?;
        check_rows(targets, 2)?;
        check_length("targets, one row for each row", x.rows(), targets.rows())?;
        let (rows, targets) = (centred(x), centred(targets)); // neither moves f
        let start = initial_components(&rows, self.init, self.dim)?;
        let regression = Regression { rows: &rows, targets: &transposed(&targets) };
        let stop = Stop { min_iterations: 0, max_iterations: self.max_iterations, tolerance: self.tolerance };
        let scale = dot(&targets.data, &targets.data); // seen by the stopping rule only
        let mut found = minimize(start.data, stop, |components| {
            let (value, gradient) = regression.evaluate(components);
            (value + scale, gradient)
        });
        found.trace.iter_mut().for_each(|v| *v -= scale);
        Fitted::from_minimum(found, x.cols(), x.rows(), 1.0)
    }
}

fn centred(x: &Matrix) -> Dense {
    let mut rows = to_dense(x, &(0..x.rows()).collect::<Vec<usize>>());
    let mean = rows.column_means();
    rows.subtract_from_rows(&mean);
    rows
}

/// The objective of MLKR on fixed rows.
struct Regression<'a> {
    /// `[n, d]`.
    rows: &'a Dense,
    /// One column of the targets a row, `[m, n]`.
    targets: &'a Dense,
}

impl Regression<'_> {
    /// `f` and its gradient at `components`, row-major `[k, d]`.
    ///
    /// `df = sum_ij w_ij d|L(x_i - x_j)|^2` with `w_ij = -2 p_ij (yhat_i - y_i) . (y_j - yhat_i)`: equation 6 of the
    /// paper.
    fn evaluate(&self, components: &[f64]) -> (f64, Vec<f64>) {
        evaluate(self.rows, components, |i, row| {
            let mut loss = 0.0;
            let mut slopes = vec![0.0; row.len()]; // (yhat_i - y_i) . (y_j - yhat_i)
            for target in self.targets.data.chunks_exact(row.len()) {
                let predicted = dot(row, target);
                let residual = predicted - target[i];
                loss += residual * residual;
                slopes.iter_mut().zip(target).for_each(|(slope, y)| *slope += residual * (y - predicted));
            }
            row.iter_mut().zip(&slopes).for_each(|(p, slope)| *p *= -2.0 * slope);
            loss
        })
    }
}

fn transposed(x: &Dense) -> Dense {
    let data = (0..x.cols).flat_map(|j| (0..x.rows).map(move |i| x.data[i * x.cols + j])).collect();
    Dense { data, rows: x.cols, cols: x.rows }
}

#[cfg(test)]
mod tests {
    use super::super::linalg::squared_distance;
    use super::super::neighbourhood::BLOCK;
    use super::*;

    fn cloud(n: usize, m: usize) -> (Dense, Dense) {
        let value = |i: usize| ((i * 7 + i / 4 * 13) as f64 * 0.37).sin();
        let rows = Dense { data: (0..4 * n).map(value).collect(), rows: n, cols: 4 };
        let targets = Dense { data: (0..m * n).map(|i| (i as f64 * 0.9).cos()).collect(), rows: n, cols: m };
        (rows, targets)
    }

    /// Equations 2 to 4 of the paper, term by term.
    fn naive(rows: &Dense, targets: &Dense, components: &[f64]) -> f64 {
        let map = |i: usize| -> Vec<f64> { components.chunks_exact(4).map(|l| dot(l, rows.row(i))).collect() };
        let kernel = |i: usize, j: usize| if i == j { 0.0 } else { (-squared_distance(&map(i), &map(j))).exp() };
        (0..rows.rows)
            .map(|i| {
                let total: f64 = (0..rows.rows).map(|j| kernel(i, j)).sum();
                let error = |c: usize| {
                    let sum: f64 = (0..rows.rows).map(|j| kernel(i, j) * targets.row(j)[c]).sum();
                    (sum / total - targets.row(i)[c]).powi(2)
                };
                (0..targets.cols).map(error).sum::<f64>()
            })
            .sum()
    }

    #[test]
    fn the_value_agrees_with_the_paper_across_blocks() {
        let (rows, targets) = cloud(BLOCK + 7, 3);
        let components: Vec<f64> = (0..8_i32).map(|i| (f64::from(i) * 1.7).sin()).collect();
        let (value, _) = Regression { rows: &rows, targets: &transposed(&targets) }.evaluate(&components);
        let expected = naive(&rows, &targets, &components);
        assert!((value - expected).abs() < 1e-10 * expected, "{value} {expected}");
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        for columns in [1, 3] {
            let (rows, targets) = cloud(BLOCK + 9, columns);
            let targets = transposed(&targets);
            let objective = Regression { rows: &rows, targets: &targets };
            let components: Vec<f64> = (0..8_i32).map(|i| (f64::from(i) * 1.7).sin()).collect();
            for (at, expected) in objective.evaluate(&components).1.into_iter().enumerate() {
                let moved = |step: f64| {
                    let mut components = components.clone();
                    components[at] += step;
                    objective.evaluate(&components).0
                };
                let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((slope - expected).abs() < 1e-6, "{at}: {slope} against {expected}");
            }
        }
    }

    #[test]
    fn finds_the_feature_that_the_target_depends_on() {
        let x = Matrix::from_fn(80, 2, |i, j| ((i * [37, 53][j]) % 83) as f32 / 20.0);
        let targets = Matrix::from_fn(80, 1, |i, _| x.row(i)[1].sin());
        let fitted = Mlkr::default().fit_targets(&x, &targets).unwrap();
        let matrix = fitted.model.matrix();
        assert!(matrix[3] > 20.0 * matrix[0], "{matrix:?}");
        assert!(fitted.objective.windows(2).all(|w| w[1] <= w[0]));
        let one = Mlkr { dim: Some(1), init: Init::Pca, ..Mlkr::default() }.fit_targets(&x, &targets).unwrap();
        assert_eq!(one.model.output_dim(), 1);
    }

    #[test]
    fn the_numbers_of_the_classes_mean_nothing() {
        let x = Matrix::from_fn(30, 2, |i, j| ((i * 3 + j * 5 + i * j) as f32).sin() + (i % 3 * j) as f32);
        let fit = |names: [usize; 3]| Mlkr::default().fit(&x, &(0..30).map(|i| names[i % 3]).collect::<Vec<_>>());
        assert_eq!(fit([0, 1, 2]).unwrap(), fit([5, 70, 900]).unwrap());
        let constant = fit([4, 4, 4]).unwrap();
        assert_eq!((constant.model.components(), constant.iterations), (&[1.0, 0.0, 0.0, 1.0][..], 0));
    }

    #[test]
    fn refuses_what_it_cannot_learn_from() {
        let x = Matrix::zeros(3, 2);
        let learner = Mlkr::default();
        assert!(matches!(learner.fit(&x, &[0]), Err(MahalanobisError::LengthMismatch { .. })));
        assert_eq!(learner.fit_targets(&x, &Matrix::zeros(3, 0)).unwrap_err(), MahalanobisError::NoFeatures);
        let bad = Matrix::from_fn(3, 1, |i, _| if i == 2 { f32::NAN } else { 0.0 });
        assert_eq!(learner.fit_targets(&x, &bad).unwrap_err(), MahalanobisError::NonFinite { row: 2, column: 0 });
        let error = Mlkr { dim: Some(3), ..learner }.fit(&x, &[0, 1, 0]).unwrap_err();
        assert!(matches!(error, MahalanobisError::InvalidSetting { setting: "dim", .. }));
    }
}

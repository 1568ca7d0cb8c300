//! Large margin nearest neighbours (LMNN).
//!
//! Weinberger and Saul, "Distance metric learning for large margin nearest neighbor classification", JMLR 10 (2009),
//! 207-244.

use nearfar_core::matrix::Matrix;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::data::Training;
use super::hinge::Hinge;
use super::init::{Init, initial_components};
use super::knn::Nearest;
use super::lbfgs::{Stop, minimize};
use super::linalg::squared_distance;
use super::{Fitted, Learner, MahalanobisError};

/// Learns a distance under which the `neighbors` nearest rows of every row share its class, with a margin of 1.
///
/// Each row `i` is pulled towards its **target neighbours** `j`, the nearest rows of its own class in the input space,
/// and pushes away **impostors** `l`, rows of other classes closer than the target plus the margin:
///
/// ```text
/// F(L) = (1 - mu) sum_{i, j} |L(x_i - x_j)|^2 + mu sum_{i, j, l} [1 + |L(x_i - x_j)|^2 - |L(x_i - x_l)|^2]_+
/// ```
///
/// (JMLR 2009, equations 11 to 13.) The weights are the paper's: `mu` is the weight of the push.
///
/// The objective is minimised over `L` by limited-memory BFGS, whose steps adapt to the data: there is no learning
/// rate, and neither the number of rows nor the scale of the features calls for one. Every evaluation sums the hinge
/// over all impostors of all rows. No triple is sampled away and none is capped.
///
/// Cost: one evaluation takes `n^2 k` multiplications in single precision for the search of impostors, and work in
/// proportion to the impostors found. Memory is O(n d), a constant tile for each thread,
/// and at most 128 numbers for each row.
///
/// The order of the training rows does not matter: the result is the same to the last bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lmnn {
    /// Target neighbours of each row, at least 1; every class needs one row more. Default 3, as in metric-learn and in
    /// the paper's experiments.
    pub neighbors: usize,
    /// `mu`, the weight of the push, between 0 and 1, both excluded. Default 0.5, as in section 3.2 of the paper.
    pub push: f64,
    /// Output dimensions; `None` keeps all that [`Lmnn::init`] offers. Default `None`.
    pub dim: Option<usize>,
    /// Where the search starts. Default [`Init::Identity`]: the Euclidean distance.
    pub init: Init,
    /// Iterations at least, so that a slow start does not end the search. Default 10.
    pub min_iterations: usize,
    /// Iterations at most. Default 1000, as in metric-learn; a few dozen are usual.
    pub max_iterations: usize,
    /// Ends when the loss fell by less than this share over five iterations. Default 1e-3: on the Iris and Wine data
    /// the loss is then within 0.2 % of its minimum.
    pub tolerance: f64,
}

impl Default for Lmnn {
    fn default() -> Self {
        Self {
            neighbors: 3,
            push: 0.5,
            dim: None,
            init: Init::Identity,
            min_iterations: 10,
            max_iterations: 1000,
            tolerance: 1e-3,
        }
    }
}

impl Learner for Lmnn {
    /// Learns from rows `[n, d]` and one label a row.
    ///
    /// # Errors
    /// On settings outside their ranges, rows that are not finite, lengths that differ, a single class, or a class of
    /// at most [`Lmnn::neighbors`] rows.
    fn fit(&self, x: &Matrix, labels: &[usize]) -> Result<Fitted, MahalanobisError> {
        self.check()?;
        let data = Training::new(x, labels)?;
        self.check_classes(&data)?;
        let targets = target_neighbors(&data, self.neighbors);
        let start = initial_components(&data.rows, self.init, self.dim)?;
        let hinge = Hinge { data: &data, targets: &targets, neighbors: self.neighbors, push: self.push };
        let stop = Stop {
            min_iterations: self.min_iterations,
            max_iterations: self.max_iterations,
            tolerance: self.tolerance,
        };
        let found = minimize(start.data, stop, |components| hinge.evaluate(components));
        Fitted::from_minimum(found, data.dim(), data.len(), 1.0)
    }
}

impl Lmnn {
    fn check(&self) -> Result<(), MahalanobisError> {
        if self.neighbors == 0 {
            return Err(MahalanobisError::setting("neighbors", self.neighbors, "at least 1"));
        }
        if !(self.push > 0.0 && self.push < 1.0) {
            return Err(MahalanobisError::setting("push", self.push, "greater than 0 and less than 1"));
        }
        check_stop(self.max_iterations, self.tolerance)
    }

    fn check_classes(&self, data: &Training) -> Result<(), MahalanobisError> {
        if let [class] = data.labels[..] {
            return Err(MahalanobisError::OneClass { class });
        }
        for (class, &label) in data.labels.iter().enumerate() {
            let rows = data.members(class).len();
            if rows <= self.neighbors {
                return Err(MahalanobisError::ClassTooSmall { class: label, rows, neighbors: self.neighbors });
            }
        }
        Ok(())
    }
}

/// Settings that every iterative learner has.
pub(super) fn check_stop(max_iterations: usize, tolerance: f64) -> Result<(), MahalanobisError> {
    if max_iterations == 0 {
        return Err(MahalanobisError::setting("max_iterations", max_iterations, "at least 1"));
    }
    if !(tolerance >= 0.0 && tolerance.is_finite()) {
        return Err(MahalanobisError::setting("tolerance", tolerance, "finite and not negative"));
    }
    Ok(())
}

/// The `k` nearest rows of its own class for every row, by the Euclidean distance of the input space, nearest first;
/// `[n, k]`. A row is never its own target; ties go to the smaller index.
fn target_neighbors(data: &Training, k: usize) -> Vec<usize> {
    let nearest = |i: usize| {
        let mut nearest = Nearest::new(k);
        for j in data.members(data.class_of[i]).filter(|&j| j != i) {
            nearest.offer(squared_distance(data.rows.row(i), data.rows.row(j)), j);
        }
        nearest.indices().collect::<Vec<usize>>()
    };
    let rows: Vec<Vec<usize>> = (0..data.len()).into_par_iter().map(nearest).collect();
    rows.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: &[[f32; 2]]) -> Matrix {
        Matrix::from_fn(rows.len(), 2, |i, j| rows[i][j])
    }

    /// The classes differ in the second feature, and the first, larger one is noise.
    fn noisy() -> (Matrix, Vec<usize>) {
        let labels: Vec<usize> = (0..40).map(|i| i % 2).collect();
        let x = Matrix::from_fn(40, 2, |i, j| match j {
            0 => ((i * 37) % 41) as f32,
            _ => labels[i] as f32 + ((i * 17) % 23) as f32 * 0.01,
        });
        (x, labels)
    }

    #[test]
    fn targets_are_nearest_in_class_and_never_the_row_itself() {
        let x = matrix(&[[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [3.0, 0.0], [0.1, 0.0]]);
        let data = Training::new(&x, &[0, 0, 0, 0, 1]).unwrap();
        // Class 0 sorted: 0, 1, 3, 3. The last two are equal: each is the other's nearest.
        assert_eq!(target_neighbors(&data, 2)[..8], [1, 2, 0, 2, 3, 1, 2, 1]);
    }

    #[test]
    fn finds_the_feature_that_matters() {
        let (x, labels) = noisy();
        let fitted = Lmnn::default().fit(&x, &labels).unwrap();
        let matrix = fitted.model.matrix();
        assert!(fitted.converged);
        assert!(matrix[3] > 100.0 * matrix[0], "{matrix:?}");
        assert!(fitted.objective.windows(2).all(|w| w[1] <= w[0]));
        assert_eq!(fitted.iterations, fitted.objective.len() - 1);
        assert_eq!(fitted.rows_used, 40);
    }

    #[test]
    fn needs_no_learning_rate_whatever_the_number_of_rows() {
        // The objective of every row given five times has more and other triples, but the same kind of solution.
        let (x, labels) = noisy();
        let five: Vec<usize> = (0..200).map(|i| i % 40).collect();
        let many = Matrix::from_fn(200, 2, |i, j| x.row(five[i])[j] + (i / 40) as f32 * 1e-3);
        let many_labels: Vec<usize> = five.iter().map(|&i| labels[i]).collect();
        let fitted = Lmnn::default().fit(&many, &many_labels).unwrap();
        assert!(fitted.converged && fitted.iterations < 200, "{}", fitted.iterations);
        assert!(fitted.objective.last() < fitted.objective.first());
    }

    #[test]
    fn output_dimensions_can_be_fewer() {
        let (x, labels) = noisy();
        for init in [Init::Identity, Init::Pca] {
            let fitted = Lmnn { dim: Some(1), init, ..Lmnn::default() }.fit(&x, &labels).unwrap();
            assert_eq!((fitted.model.output_dim(), fitted.model.input_dim()), (1, 2));
        }
        let error = Lmnn { dim: Some(3), ..Lmnn::default() }.fit(&x, &labels).unwrap_err();
        assert!(matches!(error, MahalanobisError::InvalidSetting { setting: "dim", .. }), "{error}");
    }

    #[test]
    fn says_which_class_is_too_small() {
        let x = Matrix::from_fn(9, 2, |i, j| (i * (j + 1)) as f32);
        let labels = [5, 5, 5, 5, 5, 5, 9, 9, 9];
        let error = Lmnn::default().fit(&x, &labels).unwrap_err();
        assert_eq!(error, MahalanobisError::ClassTooSmall { class: 9, rows: 3, neighbors: 3 });
        assert!(error.to_string().contains("class 9 has 3 rows") && error.to_string().contains("at most 2"));
        assert_eq!(Lmnn::default().fit(&x, &[4; 9]).unwrap_err(), MahalanobisError::OneClass { class: 4 });
    }

    #[test]
    fn refuses_settings_outside_their_ranges() {
        let (x, labels) = noisy();
        let bad = [
            (Lmnn { neighbors: 0, ..Lmnn::default() }, "neighbors"),
            (Lmnn { push: 0.0, ..Lmnn::default() }, "push"),
            (Lmnn { push: f64::NAN, ..Lmnn::default() }, "push"),
            (Lmnn { max_iterations: 0, ..Lmnn::default() }, "max_iterations"),
            (Lmnn { tolerance: -1.0, ..Lmnn::default() }, "tolerance"),
            (Lmnn { dim: Some(0), ..Lmnn::default() }, "dim"),
        ];
        for (learner, name) in bad {
            match learner.fit(&x, &labels) {
                Err(MahalanobisError::InvalidSetting { setting, .. }) => assert_eq!(setting, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

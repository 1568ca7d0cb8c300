//! Sparse compositional metric learning (SCML).
//!
//! Shi, Bellet and Sha, "Sparse compositional metric learning", AAAI 2014.

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

use super::bases::{local_discriminants, triplet_discriminants};
use super::composition::Composition;
use super::data::{Training, check_rows, check_tuples, differences, distinct_rows, to_dense};
use super::knn::knn_triplets;
use super::lbfgs::{Stop, minimize};
use super::linalg::Dense;
use super::lmnn::check_stop;
use super::{Fitted, Learner, Mahalanobis, MahalanobisError};
use crate::weak::Triplets;

/// Learns a nonnegative, sparse combination of directions under which row `a` of each triplet is nearer to `b` than to
/// `c` by a margin of 1:
///
/// ```text
/// M = sum_k w_k b_k b_k^T,  w >= 0
/// min_w  mean_(a,b,c) [1 + |x_a - x_b|_M^2 - |x_a - x_c|_M^2]_+  +  beta sum_k w_k
/// ```
///
/// (Equation 2 of the paper.) The directions `b_k` are fixed beforehand: Fisher's discriminants of local regions when
/// there are classes, discriminants of drawn sets of triplets when there are only triplets. So there are as many
/// unknowns as directions, whatever the number of features.
///
/// **Solver.** Limited-memory BFGS over the roots of the weights, on all triplets, from equal weights at the best
/// scale. The problem is convex, and the search ends at its minimum. The paper, and metric-learn, take 10,000
/// stochastic steps of dual averaging whose first is 200 units long whatever the features' scale: on the Iris data
/// (triplets of [`knn_triplets`], 3 and 10 neighbours) metric-learn ends at a mean hinge of 0.23 to 0.44 over ten
/// seeds, the Euclidean distance has 0.19, and the minimum is 0.041. The settings of that solver (`gamma`, the size of
/// a batch, the looks at the objective) are gone with it.
///
/// metric-learn's directions from triplets take rows for columns of eigenvectors, and the sign that should tell good
/// directions from bad ones is lost in a square. None of this is here.
///
/// Cost of one iteration: O(d) for each triplet, O(d^2) for each row and each direction. Memory: O(n d), the triplets
/// and the directions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scml {
    /// Directions, at least 1. Default `None`: 20 for each feature with classes, 80 with triplets, as in metric-learn.
    pub bases: Option<usize>,
    /// Weight of the penalty, not negative. Default 1e-5, as in metric-learn.
    pub beta: f64,
    /// Iterations at most. Default 1000; a few dozen are usual.
    pub max_iterations: usize,
    /// Ends when the objective fell by less than this share over five iterations. Default 1e-3, as
    /// [`Lmnn`](super::Lmnn).
    pub tolerance: f64,
    /// Nearest rows of the own class in the triplets that [`Learner::fit`] makes. Default 3, as in metric-learn.
    pub genuine: usize,
    /// Nearest rows of other classes in them. Default 10, as in metric-learn.
    pub impostors: usize,
    /// Seed of the regions and of the drawn sets of triplets. Default 0.
    pub seed: u64,
}

impl Default for Scml {
    fn default() -> Self {
        Self { bases: None, beta: 1e-5, max_iterations: 1000, tolerance: 1e-3, genuine: 3, impostors: 10, seed: 0 }
    }
}

impl Learner for Scml {
    /// Learns from the triplets of nearest neighbours ([`knn_triplets`]), over discriminants of local regions.
    ///
    /// # Errors
    /// As [`Scml::fit_triplets`], on a single class, and when no class has two rows.
    fn fit(&self, x: &Matrix, labels: &[usize]) -> Result<Fitted, MahalanobisError> {
        self.check()?;
        let data = Training::new(x, labels)?;
        if let [class] = data.labels[..] {
            return Err(MahalanobisError::OneClass { class });
        }
        let bases = local_discriminants(&data, self.bases.unwrap_or(20 * x.cols()), self.seed)?;
        let known: Vec<Option<usize>> = labels.iter().copied().map(Some).collect();
        let Triplets(triplets) = knn_triplets(x, &known, self.genuine, self.impostors)?;
        self.compose(x, &triplets, &bases)
    }
}

impl Scml {
    /// Learns from triplets of rows of `x`, `[n, d]`, over discriminants of drawn sets of them.
    ///
    /// [`Fitted::objective`] holds the objective over all triplets, which falls.
    ///
    /// # Errors
    /// On settings outside their ranges, values that are not finite, triplets that name rows that do not exist, no
    /// triplets, triplets of equal rows only, and triplets that no direction agrees with.
    pub fn fit_triplets(&self, x: &Matrix, triplets: &Triplets) -> Result<Fitted, MahalanobisError> {
        self.check()?;
        check_rows(x, 2)?;
        let triplets = &triplets.0;
        if triplets.is_empty() {
            return Err(MahalanobisError::NoTuples { kind: "triplet" });
        }
        check_tuples("triplet", triplets, x.rows())?;
        let near = differences(x, triplets.iter().map(|&[a, b, _]| [a, b]));
        let far = differences(x, triplets.iter().map(|&[a, _, c]| [a, c]));
        let bases = triplet_discriminants(&near, &far, self.bases.unwrap_or(80 * x.cols()), self.seed)?;
        self.compose(x, triplets, &bases)
    }

    /// Learns from triplets over given directions, row-major `[k, d]`.
    ///
    /// # Errors
    /// As [`Scml::fit_triplets`], and when `bases` is empty, not finite or no multiple of the features.
    pub fn fit_bases(&self, x: &Matrix, triplets: &Triplets, bases: &[f64]) -> Result<Fitted, MahalanobisError> {
        self.check()?;
        check_rows(x, 2)?;
        if triplets.0.is_empty() {
            return Err(MahalanobisError::NoTuples { kind: "triplet" });
        }
        check_tuples("triplet", &triplets.0, x.rows())?;
        let bases = Mahalanobis::new(bases.to_vec(), x.cols())?; // checks the shape
        let bases = Dense { data: bases.components().to_vec(), rows: bases.output_dim(), cols: x.cols() };
        self.compose(x, &triplets.0, &bases)
    }

    fn compose(&self, x: &Matrix, triplets: &[[usize; 3]], bases: &Dense) -> Result<Fitted, MahalanobisError> {
        let order: Vec<usize> = (0..x.rows()).collect();
        let mut rows = to_dense(x, &order);
        let mean = rows.column_means();
        rows.subtract_from_rows(&mean);
        let composition = Composition::new(&rows, triplets, bases, self.beta);
        let stop = Stop { min_iterations: 0, max_iterations: self.max_iterations, tolerance: self.tolerance };
        let found = minimize(composition.start()?, stop, |roots| composition.evaluate(roots));
        if found.trace.iter().any(|v| !v.is_finite()) {
            return Err(MahalanobisError::Overflow { what: "the objective of SCML" });
        }
        let weights: Vec<f64> = found.point.iter().map(|u| u * u).collect();
        let model = if bases.rows <= x.cols() {
            Mahalanobis::new(components_of(bases, &weights).data, x.cols())?
        } else {
            Mahalanobis::from_matrix(&composition.matrix(&weights).data, x.cols())?
        };
        let (iterations, converged) = (found.trace.len() - 1, found.converged);
        let rows_used = distinct_rows(x, triplets.iter().flatten().copied()).rows;
        Ok(Fitted { model, iterations, objective: found.trace, converged, rows_used })
    }

    fn check(&self) -> Result<(), MahalanobisError> {
        check_stop(self.max_iterations, self.tolerance)?;
        if self.bases == Some(0) {
            return Err(MahalanobisError::setting("bases", 0, "at least 1"));
        }
        if !(self.beta >= 0.0 && self.beta.is_finite()) {
            return Err(MahalanobisError::setting("beta", self.beta, "finite and not negative"));
        }
        Ok(())
    }
}

/// The directions of positive weight, scaled by its root, `[active, d]`.
fn components_of(bases: &Dense, weights: &[f64]) -> Dense {
    let active = bases.data.chunks_exact(bases.cols).zip(weights).filter(|&(_, &w)| w > 0.0);
    let data: Vec<f64> = active.flat_map(|(basis, w)| basis.iter().map(move |b| b * w.sqrt())).collect();
    Dense { rows: data.len() / bases.cols, cols: bases.cols, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Classes differ in the second feature, and the first, larger one is noise.
    fn noisy() -> (Matrix, Vec<usize>) {
        let labels: Vec<usize> = (0..60).map(|i| i % 3).collect();
        let x = Matrix::from_fn(60, 3, |i, j| match j {
            0 => ((i * 37) % 41) as f32 * 0.1,
            1 => labels[i] as f32 * 0.5 + ((i * 17) % 23) as f32 * 0.005,
            _ => ((i * 29) % 31) as f32 * 0.1,
        });
        (x, labels)
    }

    #[test]
    fn directions_without_weight_are_left_out() {
        let bases = Dense { data: vec![1.0, 7.0], rows: 2, cols: 1 };
        assert_eq!(components_of(&bases, &[4.0, 0.0]).data, [2.0]);
    }

    #[test]
    fn classes_move_apart() {
        let (x, labels) = noisy();
        let fitted = Scml::default().fit(&x, &labels).unwrap();
        let matrix = fitted.model.matrix();
        assert!(matrix[4] > 5.0 * matrix[0].max(matrix[8]), "{matrix:?}");
        assert!(fitted.converged && fitted.iterations == fitted.objective.len() - 1);
        assert!(fitted.objective.windows(2).all(|w| w[1] <= w[0]), "{:?}", fitted.objective);
        // The mean hinge of the Euclidean distance is 0.68.
        assert!(fitted.objective.last().is_some_and(|&v| v < 0.1), "{:?}", fitted.objective);
        assert_eq!(fitted, Scml::default().fit(&x, &labels).unwrap());
    }

    #[test]
    fn triplets_alone_are_enough() {
        let (x, labels) = noisy();
        let known: Vec<Option<usize>> = labels.iter().copied().map(Some).collect();
        let triplets = knn_triplets(&x, &known, 2, 5).unwrap();
        let matrix = Scml::default().fit_triplets(&x, &triplets).unwrap().model.matrix();
        assert!(matrix[4] > 3.0 * matrix[0].max(matrix[8]), "{matrix:?}");
        // The one direction that matters, given.
        let given = Scml::default().fit_bases(&x, &triplets, &[0.0, 1.0, 0.0]).unwrap();
        assert_eq!(given.model.output_dim(), 1);
        assert!(given.model.components()[1] > 0.0);
    }

    /// One direction and two triplets of rows 0, 1, 3 and 0: hinges `[1 - 8 w]_+` and `[1 - 9 w]_+`, so the minimum is
    /// at `w = 1 / 8` for a small penalty, and at `1 / 9` where the penalty outweighs the slope behind it.
    #[test]
    fn the_minimum_of_a_worked_example() {
        let x = Matrix::new(vec![0.0, 1.0, 3.0, 0.0], 4, 1).unwrap();
        let triplets = Triplets(vec![[0, 1, 2], [0, 3, 2]]);
        for (beta, weight) in [(1e-3, 1.0 / 8.0), (5.0, 1.0 / 9.0)] {
            let fitted = Scml { beta, ..Scml::default() }.fit_bases(&x, &triplets, &[1.0]).unwrap();
            assert!((fitted.model.matrix()[0] - weight).abs() < 1e-4 * weight, "{:?}", fitted.model);
        }
    }

    #[test]
    fn refuses_what_it_cannot_learn_from() {
        let (x, labels) = noisy();
        let learner = Scml::default();
        let error = learner.fit_triplets(&x, &Triplets(vec![])).unwrap_err();
        assert_eq!(error, MahalanobisError::NoTuples { kind: "triplet" });
        let error = learner.fit_triplets(&x, &Triplets(vec![[0, 1, 60]])).unwrap_err();
        assert_eq!(error, MahalanobisError::TupleOutOfRange { kind: "triplet", tuple: 0, index: 60, rows: 60 });
        // The far row is the near one: no direction can part them.
        let error = learner.fit_triplets(&x, &Triplets(vec![[0, 1, 1]])).unwrap_err();
        assert_eq!(error, MahalanobisError::ContradictoryTriplets);
        let bad = [
            (Scml { bases: Some(0), ..learner }, "bases"),
            (Scml { max_iterations: 0, ..learner }, "max_iterations"),
            (Scml { tolerance: -1.0, ..learner }, "tolerance"),
            (Scml { beta: -1.0, ..learner }, "beta"),
        ];
        for (learner, name) in bad {
            let error = learner.fit(&x, &labels).unwrap_err();
            assert!(matches!(error, MahalanobisError::InvalidSetting { setting, .. } if setting == name), "{error}");
        }
        assert_eq!(learner.fit(&x, &[3; 60]).unwrap_err(), MahalanobisError::OneClass { class: 3 });
    }
}

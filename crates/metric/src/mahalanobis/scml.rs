//! Sparse compositional metric learning (SCML).
//!
//! Shi, Bellet and Sha, "Sparse compositional metric learning", AAAI 2014.

use nearfar_core::matrix::Matrix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::bases::{local_discriminants, triplet_discriminants};
use super::data::{Training, check_rows, check_tuples, differences, distinct_rows, to_dense};
use super::dual_averaging::DualAveraging;
use super::knn::knn_triplets;
use super::linalg::{Dense, product_transposed, squared_distance, transposed_product};
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
/// **Solver.** Stochastic dual averaging over small batches of triplets. The objective over all triplets is computed
/// every [`Scml::check_every`] iterations, and the best weights seen then are returned.
///
/// metric-learn ignores `gamma` in its form for classes, takes rows for columns of eigenvectors in its directions from
/// triplets, and squares the matrix whose sign should tell good directions from bad ones. None of this is here.
///
/// Memory: `n` times the directions, in double precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scml {
    /// Directions, at least 1. Default `None`: 20 for each feature with classes, 80 with triplets, as in metric-learn.
    pub bases: Option<usize>,
    /// Weight of the penalty, not negative. Default 1e-5, as in metric-learn.
    pub beta: f64,
    /// Divides the steps, greater than 0. Default 5e-3, as in metric-learn.
    pub gamma: f64,
    /// Iterations, at least [`Scml::check_every`]. Default 10,000, as in metric-learn.
    pub iterations: usize,
    /// Triplets of an iteration, at least 1. Default 10, as in metric-learn.
    pub batch: usize,
    /// Iterations from one look at the objective to the next, at least 1. Default 500, as in metric-learn.
    pub check_every: usize,
    /// Nearest rows of the own class in the triplets that [`Learner::fit`] makes. Default 3, as in metric-learn.
    pub genuine: usize,
    /// Nearest rows of other classes in them. Default 10, as in metric-learn.
    pub impostors: usize,
    /// Seed of regions and batches. Default 0.
    pub seed: u64,
}

impl Default for Scml {
    fn default() -> Self {
        Self {
            bases: None,
            beta: 1e-5,
            gamma: 5e-3,
            iterations: 10_000,
            batch: 10,
            check_every: 500,
            genuine: 3,
            impostors: 10,
            seed: 0,
        }
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
    /// [`Fitted::objective`] is the objective over all triplets at every look; it need not fall.
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
        let mut averaging = DualAveraging::new(product_transposed(&rows, bases), self.beta, self.gamma);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut objective = Vec::with_capacity(self.iterations / self.check_every);
        let mut best: Option<(f64, Dense)> = None;
        for iteration in 1..=self.iterations {
            let batch = (0..self.batch).map(|_| triplets[rng.random_range(0..triplets.len())]);
            averaging.step(batch, self.batch);
            if !iteration.is_multiple_of(self.check_every) {
                continue;
            }
            let components = components_of(bases, &averaging.weights);
            let value = mean_hinge(&rows, triplets, &components) + self.beta * averaging.weights.iter().sum::<f64>();
            if !value.is_finite() {
                return Err(MahalanobisError::Overflow { what: "the objective of SCML" });
            }
            objective.push(value);
            if components.rows > 0 && best.as_ref().is_none_or(|(least, _)| value < *least) {
                best = Some((value, components));
            }
        }
        let (_, components) = best.ok_or(MahalanobisError::ContradictoryTriplets)?;
        let rows_used = distinct_rows(x, triplets.iter().flatten().copied()).rows;
        let model = if components.rows <= x.cols() {
            Mahalanobis::new(components.data, x.cols())?
        } else {
            Mahalanobis::from_matrix(&transposed_product(&components, &components).data, x.cols())?
        };
        // All iterations are run: nothing says when a stochastic search has arrived.
        Ok(Fitted { model, iterations: self.iterations, objective, converged: true, rows_used })
    }

    fn check(&self) -> Result<(), MahalanobisError> {
        let counts = [("bases", self.bases.unwrap_or(1)), ("batch", self.batch), ("check_every", self.check_every)];
        for (name, value) in counts {
            if value == 0 {
                return Err(MahalanobisError::setting(name, value, "at least 1"));
            }
        }
        if self.iterations < self.check_every {
            return Err(MahalanobisError::setting("iterations", self.iterations, "at least `check_every`"));
        }
        if !(self.beta >= 0.0 && self.beta.is_finite()) {
            return Err(MahalanobisError::setting("beta", self.beta, "finite and not negative"));
        }
        if !(self.gamma > 0.0 && self.gamma.is_finite()) {
            return Err(MahalanobisError::setting("gamma", self.gamma, "finite and greater than 0"));
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

/// Mean over `triplets` of `[1 + |L(x_a - x_b)|^2 - |L(x_a - x_c)|^2]_+`.
fn mean_hinge(rows: &Dense, triplets: &[[usize; 3]], components: &Dense) -> f64 {
    if components.rows == 0 {
        return 1.0;
    }
    let z = product_transposed(rows, components);
    let hinge = |&[a, b, c]: &[usize; 3]| {
        (1.0 + squared_distance(z.row(a), z.row(b)) - squared_distance(z.row(a), z.row(c))).max(0.0)
    };
    triplets.iter().map(hinge).sum::<f64>() / triplets.len() as f64
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
    fn the_objective_of_a_worked_example() {
        // L = [[2]]: 1 + 4 - 36 < 0 and 1 + 36 - 4 = 33.
        let rows = Dense { data: vec![0.0, 1.0, 3.0], rows: 3, cols: 1 };
        let components = components_of(&Dense { data: vec![1.0, 7.0], rows: 2, cols: 1 }, &[4.0, 0.0]);
        assert_eq!(components.data, [2.0]);
        assert_eq!(mean_hinge(&rows, &[[0, 1, 2], [0, 2, 1]], &components), 16.5);
        assert_eq!(mean_hinge(&rows, &[[0, 1, 2]], &components_of(&components, &[0.0])), 1.0);
    }

    #[test]
    fn classes_move_apart_and_the_metric_is_sparse() {
        let (x, labels) = noisy();
        let fitted = Scml { iterations: 2000, ..Scml::default() }.fit(&x, &labels).unwrap();
        let matrix = fitted.model.matrix();
        assert!(matrix[4] > 5.0 * matrix[0].max(matrix[8]), "{matrix:?}");
        assert_eq!((fitted.objective.len(), fitted.iterations), (4, 2000));
        // The mean hinge of the Euclidean distance is 0.68.
        assert!(fitted.objective.iter().any(|&v| v < 0.2), "{:?}", fitted.objective);
        let repeated = Scml { iterations: 2000, ..Scml::default() }.fit(&x, &labels).unwrap();
        assert_eq!(fitted, repeated);
    }

    #[test]
    fn triplets_alone_are_enough() {
        let (x, labels) = noisy();
        let known: Vec<Option<usize>> = labels.iter().copied().map(Some).collect();
        let triplets = knn_triplets(&x, &known, 2, 5).unwrap();
        let fitted = Scml { iterations: 2000, ..Scml::default() }.fit_triplets(&x, &triplets).unwrap();
        let matrix = fitted.model.matrix();
        assert!(matrix[4] > 3.0 * matrix[0].max(matrix[8]), "{matrix:?}");
        // The one direction that matters, given.
        let given = Scml { iterations: 500, ..Scml::default() }.fit_bases(&x, &triplets, &[0.0, 1.0, 0.0]).unwrap();
        assert_eq!(given.model.output_dim(), 1);
        assert!(given.model.components()[1] > 0.0);
    }

    #[test]
    fn refuses_what_it_cannot_learn_from() {
        let (x, labels) = noisy();
        let learner = Scml { iterations: 500, ..Scml::default() };
        let error = learner.fit_triplets(&x, &Triplets(vec![])).unwrap_err();
        assert_eq!(error, MahalanobisError::NoTuples { kind: "triplet" });
        let error = learner.fit_triplets(&x, &Triplets(vec![[0, 1, 60]])).unwrap_err();
        assert_eq!(error, MahalanobisError::TupleOutOfRange { kind: "triplet", tuple: 0, index: 60, rows: 60 });
        // The far row is the near one: no direction can part them.
        let error = learner.fit_triplets(&x, &Triplets(vec![[0, 1, 1]])).unwrap_err();
        assert_eq!(error, MahalanobisError::ContradictoryTriplets);
        let bad = [
            (Scml { bases: Some(0), ..learner }, "bases"),
            (Scml { batch: 0, ..learner }, "batch"),
            (Scml { iterations: 10, ..learner }, "iterations"),
            (Scml { beta: -1.0, ..learner }, "beta"),
            (Scml { gamma: 0.0, ..learner }, "gamma"),
        ];
        for (learner, name) in bad {
            let error = learner.fit(&x, &labels).unwrap_err();
            assert!(matches!(error, MahalanobisError::InvalidSetting { setting, .. } if setting == name), "{error}");
        }
        assert_eq!(learner.fit(&x, &[3; 60]).unwrap_err(), MahalanobisError::OneClass { class: 3 });
    }
}

//! Least squared-residual metric learning (LSML).
//!
//! Liu, Guo, Tung and Wang, "Metric learning from relative comparisons by minimizing squared residual", ICDM 2012.

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

use super::constraints::quadruplets_from_labels;
use super::data::{check_length, check_rows, check_tuples, differences, distinct_rows};
use super::lbfgs::{Stop, minimize};
use super::linalg::{Dense, dot, positive_inverse, product, product_transposed, transposed_product};
use super::lmnn::check_stop;
use super::prior::Prior;
use super::{Fitted, Learner, MahalanobisError};
use crate::weak::Quadruplets;

/// Learns the Mahalanobis matrix closest to a prior under which rows `a` and `b` of every quadruplet are nearer to each
/// other than rows `c` and `d`:
///
/// ```text
/// min_M  D_ld(M, M_0) + sum_(a,b,c,d) w [|x_a - x_b|_M - |x_c - x_d|_M]_+^2
///
/// D_ld(A, B) = tr(A B^-1) - log det(A B^-1) - d
/// ```
///
/// (Equations 3 and 6 of the paper.) The weights add up to 1, as in metric-learn, so that the balance between prior and
/// comparisons does not follow the number of comparisons. The problem is convex in `M`.
///
/// **Solver.** Limited-memory BFGS on `L` with `M = L^T L`, from the prior; the log determinant keeps `L` away from
/// singular ones, so no projection is needed. The paper and metric-learn descend on `M` by step lengths from a list and
/// clip eigenvalues. metric-learn also leaves the weights out of its gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lsml {
    /// The matrix to stay close to. Default [`Prior::Identity`].
    pub prior: Prior,
    /// Iterations at most. Default 1000, as in metric-learn.
    pub max_iterations: usize,
    /// Ends when the objective fell by less than this share over five iterations. Default 1e-7.
    pub tolerance: f64,
    /// Quadruplets that [`Learner::fit`] draws from labels, at least 1. Default `None`: `20 C^2` for `C` classes, as in
    /// metric-learn.
    pub constraints: Option<usize>,
    /// Seed of that draw. Default 0.
    pub seed: u64,
}

impl Default for Lsml {
    fn default() -> Self {
        Self { prior: Prior::Identity, max_iterations: 1000, tolerance: 1e-7, constraints: None, seed: 0 }
    }
}

impl Learner for Lsml {
    /// Draws [`Lsml::constraints`] quadruplets from the labels ([`quadruplets_from_labels`]) and learns from them.
    ///
    /// # Errors
    /// As [`Lsml::fit_quadruplets`], on a single class, and when no class has two rows.
    fn fit(&self, x: &Matrix, labels: &[usize]) -> Result<Fitted, MahalanobisError> {
        check_rows(x, 2)?;
        check_length("labels, one for each row", x.rows(), labels.len())?;
        self.fit_quadruplets(x, &quadruplets_from_labels(labels, self.constraints, self.seed)?, None)
    }
}

impl Lsml {
    /// Learns from quadruplets of rows of `x`, `[n, d]`. `weights`, one for each, are divided by their sum; `None`
    /// weighs all alike.
    ///
    /// [`Fitted::objective`] is the objective at the prior and after each iteration; it falls.
    ///
    /// # Errors
    /// On settings outside their ranges, values that are not finite, lengths that differ, quadruplets that name rows
    /// that do not exist, no quadruplets, negative weights or weights that are all 0, and a covariance without inverse
    /// as prior.
    pub fn fit_quadruplets(
        &self,
        x: &Matrix,
        quadruplets: &Quadruplets,
        weights: Option<&[f64]>,
    ) -> Result<Fitted, MahalanobisError> {
        check_stop(self.max_iterations, self.tolerance)?;
        check_rows(x, 2)?;
        let tuples = &quadruplets.0;
        if tuples.is_empty() {
            return Err(MahalanobisError::NoTuples { kind: "quadruplet" });
        }
        check_tuples("quadruplet", tuples, x.rows())?;
        let weights = shares(weights, tuples.len())?;
        let distinct = distinct_rows(x, tuples.iter().flatten().copied());
        let prior = self.prior.matrices(&distinct)?;
        let comparisons = Comparisons {
            near: differences(x, tuples.iter().map(|&[a, b, _, _]| [a, b])),
            far: differences(x, tuples.iter().map(|&[_, _, c, d]| [c, d])),
            weights,
            prior_log_determinant: positive_inverse(&prior.inverse).map_or(0.0, |(_, log)| -log),
            prior_inverse: prior.inverse,
        };
        let stop = Stop { min_iterations: 0, max_iterations: self.max_iterations, tolerance: self.tolerance };
        let mut found = minimize(prior.root.data, stop, |components| comparisons.evaluate(components));
        // The search sees the objective plus d, which is never near 0: its stopping rule is relative.
        found.trace.iter_mut().for_each(|v| *v -= x.cols() as f64);
        Fitted::from_minimum(found, x.cols(), distinct.rows, 1.0)
    }
}

/// `weights` divided by their sum.
fn shares(weights: Option<&[f64]>, count: usize) -> Result<Vec<f64>, MahalanobisError> {
    let Some(weights) = weights else { return Ok(vec![1.0 / count as f64; count]) };
    check_length("weights, one for each quadruplet", count, weights.len())?;
    if let Some(&bad) = weights.iter().find(|w| !(**w >= 0.0 && w.is_finite())) {
        return Err(MahalanobisError::setting("weights", bad, "finite and not negative"));
    }
    let sum: f64 = weights.iter().sum();
    if !(sum > 0.0 && sum.is_finite()) {
        return Err(MahalanobisError::setting("weights", sum, "of a sum that is finite and greater than 0"));
    }
    Ok(weights.iter().map(|w| w / sum).collect())
}

/// The objective of LSML.
struct Comparisons {
    /// `x_a - x_b`, `[m, d]`.
    near: Dense,
    /// `x_c - x_d`, `[m, d]`.
    far: Dense,
    weights: Vec<f64>,
    /// `M_0^-1`.
    prior_inverse: Dense,
    /// `log det M_0`.
    prior_log_determinant: f64,
}

impl Comparisons {
    /// The objective plus `d`, and its gradient, at `components`, row-major `[d, d]`.
    ///
    /// With `r = |L near| - |L far| > 0`, `d(w r^2) = w (1 - |L far| / |L near|) d|L near|^2 + w (1 - |L near| / |L
    /// far|) d|L far|^2`; and `d D_ld = tr((M_0^-1 - M^-1) dM)`, `dM -> 2 L dM`.
    fn evaluate(&self, components: &[f64]) -> (f64, Vec<f64>) {
        let d = self.near.cols;
        let map = Dense { data: components.to_vec(), rows: d, cols: d };
        let matrix = transposed_product(&map, &map);
        let Some((inverse, log_determinant)) = positive_inverse(&matrix) else {
            return (f64::INFINITY, vec![0.0; components.len()]); // a wall for the line search
        };
        let lengths = |rows: &Dense| -> Vec<f64> {
            product_transposed(rows, &map).data.chunks_exact(d).map(|z| dot(z, z).sqrt()).collect()
        };
        let (near, far) = (lengths(&self.near), lengths(&self.far));
        let mut value = dot(&matrix.data, &self.prior_inverse.data) - log_determinant + self.prior_log_determinant;
        let (mut pulled, mut pushed) = (self.near.clone(), self.far.clone());
        let rows = pulled.data.chunks_exact_mut(d).zip(pushed.data.chunks_exact_mut(d));
        for ((pulled, pushed), ((&near, &far), &weight)) in rows.zip(near.iter().zip(&far).zip(&self.weights)) {
            let residual = (near - far).max(0.0);
            value += weight * residual * residual;
            // Two rows that the map does not tell apart have no direction to be pushed in.
            let pull = if residual > 0.0 { weight * (1.0 - far / near) } else { 0.0 };
            let push = if residual > 0.0 && far > 0.0 { weight * (1.0 - near / far) } else { 0.0 };
            pulled.iter_mut().for_each(|v| *v *= pull);
            pushed.iter_mut().for_each(|v| *v *= push);
        }
        let mut slope = transposed_product(&self.near, &pulled);
        let far = transposed_product(&self.far, &pushed);
        for (i, s) in slope.data.iter_mut().enumerate() {
            *s = 2.0 * (*s + far.data[i] + self.prior_inverse.data[i] - inverse.data[i]);
        }
        (value, product(&map, &slope).data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(n: usize) -> Matrix {
        Matrix::from_fn(n, 3, |i, j| ((i * 31 + j * 17 + i * j * 7) as f32 * 0.713).sin() * (j + 1) as f32)
    }

    fn quadruplets(n: usize) -> Quadruplets {
        Quadruplets((0..n).map(|i| [i, (i * 7 + 3) % n, (i * 5 + 1) % n, (i * 11 + 6) % n]).collect())
    }

    fn comparisons() -> Comparisons {
        let (x, Quadruplets(tuples)) = (cloud(30), quadruplets(30));
        Comparisons {
            near: differences(&x, tuples.iter().map(|&[a, b, _, _]| [a, b])),
            far: differences(&x, tuples.iter().map(|&[_, _, c, d]| [c, d])),
            weights: (0..30).map(|i| 0.01 * f64::from(i)).collect(),
            prior_inverse: Dense { data: vec![2.0, 0.3, 0.0, 0.3, 1.0, 0.1, 0.0, 0.1, 0.5], rows: 3, cols: 3 },
            prior_log_determinant: 0.25,
        }
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let objective = comparisons();
        let components: Vec<f64> =
            (0..9_i32).map(|i| f64::from(i % 4 == 0) + 0.3 * (f64::from(i) * 1.7).sin()).collect();
        for (at, expected) in objective.evaluate(&components).1.into_iter().enumerate() {
            let moved = |step: f64| {
                let mut components = components.clone();
                components[at] += step;
                objective.evaluate(&components).0
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((slope - expected).abs() < 1e-6 * expected.abs().max(1.0), "{at}: {slope} against {expected}");
        }
    }

    #[test]
    fn a_worked_example_on_a_line() {
        // One feature, near pair 2 apart, far pair 1: f(m) = m - log m - 1 + (2 - 1)^2 m, least at m = 1/2.
        let x = Matrix::new(vec![0.0, 2.0, 5.0, 6.0], 4, 1).unwrap();
        let fitted = Lsml::default().fit_quadruplets(&x, &Quadruplets(vec![[0, 1, 2, 3]]), None).unwrap();
        assert!((fitted.model.matrix()[0] - 0.5).abs() < 1e-4, "{:?}", fitted.model);
        let (first, last) = (fitted.objective[0], *fitted.objective.last().unwrap());
        assert!((first - 1.0).abs() < 1e-12 && (last - 2f64.ln()).abs() < 1e-7, "{first} {last}");
        // Met comparisons leave the prior alone.
        let met = Lsml::default().fit_quadruplets(&x, &Quadruplets(vec![[2, 3, 0, 1]]), None).unwrap();
        assert_eq!((met.model.matrix(), met.iterations), (vec![1.0], 0));
    }

    #[test]
    fn weights_count_and_their_scale_does_not() {
        let (x, tuples) = (cloud(30), quadruplets(30));
        let fit = |weights: &[f64]| Lsml::default().fit_quadruplets(&x, &tuples, Some(weights)).unwrap();
        let ramp: Vec<f64> = (0..30).map(f64::from).collect();
        let twice: Vec<f64> = ramp.iter().map(|w| 2.0 * w).collect();
        assert_eq!(fit(&ramp).model, fit(&twice).model);
        assert_ne!(fit(&ramp).model, fit(&[1.0; 30]).model);
        assert_eq!(fit(&[1.0; 30]).model, Lsml::default().fit_quadruplets(&x, &tuples, None).unwrap().model);
        // A comparison of weight 0 is as good as none.
        let mut first = vec![0.0; 30];
        first[3] = 1.0;
        let alone = Lsml::default().fit_quadruplets(&x, &Quadruplets(vec![tuples.0[3]]), None).unwrap();
        let (a, b) = (fit(&first).model.matrix(), alone.model.matrix());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} {b:?}");
    }

    #[test]
    fn repeated_rows_and_few_comparisons_of_wide_data_are_no_trouble() {
        let x = Matrix::from_fn(4, 9, |i, j| ((i % 3 * 5 + j * 3) as f32).sin());
        let fitted = Lsml::default().fit_quadruplets(&x, &Quadruplets(vec![[0, 3, 1, 2], [1, 2, 0, 3]]), None).unwrap();
        assert!(fitted.model.components().iter().all(|v| v.is_finite()));
        assert!(fitted.objective.last() <= fitted.objective.first());
    }

    #[test]
    fn refuses_what_it_cannot_learn_from() {
        let (x, tuples) = (cloud(30), quadruplets(30));
        let learner = Lsml::default();
        let error = learner.fit_quadruplets(&x, &Quadruplets(vec![]), None).unwrap_err();
        assert_eq!(error, MahalanobisError::NoTuples { kind: "quadruplet" });
        let error = learner.fit_quadruplets(&x, &Quadruplets(vec![[0, 1, 2, 30]]), None).unwrap_err();
        assert_eq!(error, MahalanobisError::TupleOutOfRange { kind: "quadruplet", tuple: 0, index: 30, rows: 30 });
        for weights in [vec![0.0; 30], vec![-1.0; 30], vec![f64::NAN; 30]] {
            let error = learner.fit_quadruplets(&x, &tuples, Some(&weights)).unwrap_err();
            assert!(matches!(error, MahalanobisError::InvalidSetting { setting: "weights", .. }));
        }
        assert!(learner.fit_quadruplets(&x, &tuples, Some(&[1.0])).is_err());
    }
}

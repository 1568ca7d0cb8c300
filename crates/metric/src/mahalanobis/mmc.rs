//! Mahalanobis metric for clustering (MMC).
//!
//! Xing, Ng, Jordan and Russell, "Distance metric learning with application to clustering with side-information", NIPS
//! 15 (2002).

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

use super::constraints::pairs_from_labels;
use super::data::{check_length, check_pairs, check_rows, differences, distinct_rows};
use super::discriminant::{directions, raise_zeros};
use super::linalg::{Dense, norm, product, product_transposed, transposed_product};
use super::lmnn::check_stop;
use super::pca::RANK_TOLERANCE;
use super::{Fitted, Learner, Mahalanobis, MahalanobisError};
use crate::weak::Pairs;

/// Distances below this share of the largest are zero to rounding.
const ZERO_DISTANCE: f64 = 1e-12;

/// Learns the distance that puts different pairs farthest apart while the squared distances of same pairs add up to a
/// constant:
///
/// ```text
/// max_M  sum_{different} |x_i - x_j|_M      s.t.  sum_{same} |x_i - x_j|_M^2 <= t,   M positive semidefinite
/// ```
///
/// (Equations 3 to 5 of the paper.) The diagonal form is the paper's equation 6, `min sum_same |.|^2 - c log
/// sum_different |.|`, over matrices that only scale the features. Up to scale the two are one problem.
///
/// **Solver.** In coordinates in which the same pairs have unit scatter, the constraint says that `L` has a fixed
/// length, and the sum of the norms `|L (x_i - x_j)|` is convex in `L`. Its maximum over a ball is found by the
/// generalised power method: `L` becomes the gradient, scaled to the ball. The sum grows with every step, no step
/// length is needed, and the maximum over full matrices is global, because the problem is convex in `M`. The paper, and
/// metric-learn, take gradient steps and project them by turns on the constraint and on the cone; they stop short of
/// the maximum.
///
/// The best `M` often has rank 1 or 2, and its diagonal form few features: the method wants distances of different
/// pairs to be large in sum, not each one large. [`Mmc::tolerance`] ends the search before the other directions vanish.
///
/// Where same pairs do not vary, the paper's maximum is infinite. Such a direction counts as the tightest of the
/// others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mmc {
    /// Learns a weight for each feature only. Default `false`.
    pub diagonal: bool,
    /// `c` of the diagonal form, greater than 0: same pairs have squared distances that add up to half of it. Default
    /// 1, as in metric-learn.
    pub diagonal_weight: f64,
    /// Iterations at most. Default 100, as in metric-learn.
    pub max_iterations: usize,
    /// Ends when the sum grew by less than this share. Default 1e-3, metric-learn's tolerance of its steps.
    pub tolerance: f64,
    /// Pairs of each kind that [`Learner::fit`] draws from labels, at least 1. Default `None`: `20 C^2` for `C`
    /// classes, as in metric-learn.
    pub constraints: Option<usize>,
    /// Seed of that draw. Default 0.
    pub seed: u64,
}

impl Default for Mmc {
    fn default() -> Self {
        Self { diagonal: false, diagonal_weight: 1.0, max_iterations: 100, tolerance: 1e-3, constraints: None, seed: 0 }
    }
}

impl Learner for Mmc {
    /// Draws [`Mmc::constraints`] same and different pairs from the labels ([`pairs_from_labels`]) and learns from
    /// them.
    ///
    /// # Errors
    /// As [`Mmc::fit_pairs`], on a single class, and when no class has two rows.
    fn fit(&self, x: &Matrix, labels: &[usize]) -> Result<Fitted, MahalanobisError> {
        check_rows(x, 2)?;
        check_length("labels, one for each row", x.rows(), labels.len())?;
        self.fit_pairs(x, &pairs_from_labels(labels, self.constraints, self.seed)?)
    }
}

impl Mmc {
    /// Learns from pairs of rows of `x`, `[n, d]`, some of each kind.
    ///
    /// The full matrix is scaled as in the paper's code: same pairs have squared distances that add up to a hundredth
    /// of their Euclidean ones. [`Fitted::objective`] is the sum of the distances of different pairs when the squared
    /// distances of same pairs add up to 1, at the start and after each iteration; it rises.
    ///
    /// # Errors
    /// On settings outside their ranges, values that are not finite, lengths that differ, pairs that name rows that do
    /// not exist, pairs of one kind only, and different pairs that all join identical rows.
    pub fn fit_pairs(&self, x: &Matrix, pairs: &Pairs) -> Result<Fitted, MahalanobisError> {
        self.check()?;
        check_pairs(x, pairs)?;
        let of_kind = |kind: bool| {
            let some = pairs.pairs.iter().zip(&pairs.same).filter(|&(_, &same)| same == kind).map(|(&pair, _)| pair);
            differences(x, some)
        };
        let (same, different) = (of_kind(true), of_kind(false));
        if let Some((kind, _)) = [("same", same.rows), ("different", different.rows)].into_iter().find(|k| k.1 == 0) {
            return Err(MahalanobisError::MissingPairs { kind });
        }
        if different.data.iter().all(|&v| v == 0.0) {
            return Err(MahalanobisError::NoDistinctPairs);
        }
        let rows_used = distinct_rows(x, pairs.pairs.iter().flatten().copied()).rows;
        let (components, Ascent { objective, converged, .. }) =
            if self.diagonal { self.diagonal(&same, &different) } else { self.full(&same, &different)? };
        let model = Mahalanobis::new(components.data, components.cols)?;
        Ok(Fitted { model, iterations: objective.len() - 1, objective, converged, rows_used })
    }

    fn full(&self, same: &Dense, different: &Dense) -> Result<(Dense, Ascent), MahalanobisError> {
        let inside = transposed_product(same, same);
        let mut whole = transposed_product(different, different);
        whole.data.iter_mut().zip(&inside.data).for_each(|(w, i)| *w += i);
        let unit = directions(&inside, &whole)?.normalized(); // H inside H^T = I, [k, d]
        let mapped = product_transposed(different, &unit); // [m, k]
        let k = unit.rows;
        let ascent = self.ascend(Dense::identity(k, k).data, |map| {
            let map = Dense { data: map.to_vec(), rows: k, cols: k };
            let mut moved = product_transposed(&mapped, &map); // L (x_i - x_j)
            let lengths: Vec<f64> = moved.data.chunks_exact(k).map(norm).collect();
            let inverse = inverses(&lengths);
            for (row, scale) in moved.data.chunks_exact_mut(k).zip(inverse) {
                row.iter_mut().for_each(|v| *v *= scale);
            }
            (lengths.iter().sum(), transposed_product(&moved, &mapped).data)
        });
        let euclidean: f64 = (0..same.cols).map(|i| inside.row(i)[i]).sum();
        let scale = if euclidean > 0.0 { (euclidean / 100.0).sqrt() } else { 1.0 };
        let map = Dense { data: ascent.point.iter().map(|v| v * scale).collect(), rows: k, cols: k };
        Ok((product(&map, &unit), ascent))
    }

    fn diagonal(&self, same: &Dense, different: &Dense) -> (Dense, Ascent) {
        let d = same.cols;
        let squared: Vec<f64> = different.data.iter().map(|v| v * v).collect();
        let inside = sums_of_squares(same);
        let whole: Vec<f64> = inside.iter().zip(sums_of_squares(different)).map(|(i, b)| i + b).collect();
        let floor = RANK_TOLERANCE * whole.iter().fold(0.0, |m: f64, &w| m.max(w));
        let mut shares: Vec<f64> =
            inside.iter().zip(&whole).map(|(i, &w)| if w > floor { i / w } else { 1.0 }).collect();
        raise_zeros(&mut shares);
        // The squared unit of each feature: its sum of squares over same pairs is 1. A feature that never varies has
        // none.
        let unit: Vec<f64> =
            shares.iter().zip(&whole).map(|(s, &w)| if w > floor { 1.0 / (s * w) } else { 0.0 }).collect();
        let mapped: Vec<f64> = squared.iter().zip(unit.iter().cycle()).map(|(v, u)| v * u).collect();
        let ascent = self.ascend(vec![1.0; d], |weights| {
            let squares: Vec<f64> = weights.iter().map(|w| w * w).collect();
            let length = |row: &[f64]| row.iter().zip(&squares).map(|(v, s)| v * s).sum::<f64>().sqrt();
            let lengths: Vec<f64> = mapped.chunks_exact(d).map(length).collect();
            let mut next = vec![0.0; d];
            for (row, scale) in mapped.chunks_exact(d).zip(inverses(&lengths)) {
                next.iter_mut().zip(row).for_each(|(n, v)| *n += scale * v);
            }
            next.iter_mut().zip(weights).for_each(|(n, w)| *n *= w);
            (lengths.iter().sum(), next)
        });
        let scale = (0.5 * self.diagonal_weight).sqrt();
        let mut components = Dense::zeros(d, d);
        for (j, (w, u)) in ascent.point.iter().zip(&unit).enumerate() {
            components.data[j * d + j] = w * u.sqrt() * scale;
        }
        (components, ascent)
    }

    /// The generalised power method from `start`: `step` gives the sum of distances at a point and its gradient there.
    fn ascend(&self, mut point: Vec<f64>, step: impl Fn(&[f64]) -> (f64, Vec<f64>)) -> Ascent {
        normalize(&mut point);
        let (mut value, mut next) = step(&point);
        let mut objective = vec![value];
        let mut converged = false;
        while objective.len() <= self.max_iterations && !converged {
            normalize(&mut next);
            point = next;
            let before = value;
            (value, next) = step(&point);
            objective.push(value);
            converged = value - before <= self.tolerance * value;
        }
        Ascent { point, objective, converged }
    }

    fn check(&self) -> Result<(), MahalanobisError> {
        check_stop(self.max_iterations, self.tolerance)?;
        if !(self.diagonal_weight > 0.0 && self.diagonal_weight.is_finite()) {
            let allowed = "finite and greater than 0";
            return Err(MahalanobisError::setting("diagonal_weight", self.diagonal_weight, allowed));
        }
        Ok(())
    }
}

/// Where the power method ended.
struct Ascent {
    point: Vec<f64>, // of unit length
    objective: Vec<f64>,
    converged: bool,
}

fn normalize(point: &mut [f64]) {
    let length = norm(point);
    point.iter_mut().for_each(|v| *v /= length);
}

/// One over each length; 0 for lengths that are zero to rounding, whose norm has no gradient.
fn inverses(lengths: &[f64]) -> Vec<f64> {
    let floor = ZERO_DISTANCE * lengths.iter().fold(0.0, |m: f64, &l| m.max(l));
    lengths.iter().map(|&l| if l > floor { 1.0 / l } else { 0.0 }).collect()
}

/// Sum of the squares of every column.
fn sums_of_squares(rows: &Dense) -> Vec<f64> {
    let mut out = vec![0.0; rows.cols];
    for row in rows.data.chunks_exact(rows.cols) {
        out.iter_mut().zip(row).for_each(|(o, v)| *o += v * v);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Same pairs differ by 1 in one feature each, different pairs by 3 in the first and 1 in the second.
    fn crossed() -> (Matrix, Pairs) {
        let x = Matrix::new(vec![0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 3.0, 1.0, 3.0, -1.0], 5, 2).unwrap();
        let pairs = vec![[0, 1], [0, 2], [0, 3], [0, 4]];
        (x, Pairs { pairs, same: vec![true, true, false, false] })
    }

    #[test]
    fn the_maximum_of_a_worked_example() {
        // Same pairs: the identity scatter. Different pairs (3, 1) and (3, -1): with M = diag(a, b), a + b = t, the sum
        // is 2 sqrt(9 a + b), greatest at b = 0.
        let (x, pairs) = crossed();
        let exact = Mmc { tolerance: 0.0, max_iterations: 2000, ..Mmc::default() };
        let fitted = exact.fit_pairs(&x, &pairs).unwrap();
        let matrix = fitted.model.matrix();
        let t = 2.0 / 100.0;
        assert!((matrix[0] - t).abs() < 1e-9 && matrix[1..].iter().all(|v| v.abs() < 1e-9), "{matrix:?}");
        assert!(fitted.objective.windows(2).all(|w| w[1] >= w[0] - 1e-12));
        assert!(fitted.objective.last().is_some_and(|&v| (v - 6.0).abs() < 1e-9), "{:?}", fitted.objective.last());
        let diagonal = Mmc { diagonal: true, diagonal_weight: 3.0, ..exact }.fit_pairs(&x, &pairs).unwrap();
        let matrix = diagonal.model.matrix();
        assert!((matrix[0] - 1.5).abs() < 1e-9 && matrix[1..].iter().all(|v| v.abs() < 1e-9), "{matrix:?}");
    }

    #[test]
    fn no_direction_near_the_maximum_is_better() {
        let value =
            |i: usize, j: usize| ((i * 31 + j * 17 + i * j * 7) as f32 * 0.713).sin() + (i % 2 * j) as f32 * 0.3;
        let x = Matrix::from_fn(40, 3, value);
        let labels: Vec<usize> = (0..40).map(|i| i % 2).collect();
        let pairs = pairs_from_labels(&labels, Some(60), 1).unwrap();
        let fitted = Mmc { tolerance: 0.0, max_iterations: 5000, ..Mmc::default() }.fit_pairs(&x, &pairs).unwrap();
        let score = |components: &[f64]| {
            let model = Mahalanobis::new(components.to_vec(), 3).unwrap();
            let distances = model.pair_distances(&x, &pairs.pairs).unwrap();
            let of = |kind: bool| distances.iter().zip(&pairs.same).filter(move |(_, s)| **s == kind).map(|(d, _)| *d);
            of(false).sum::<f64>() / of(true).map(|d| d * d).sum::<f64>().sqrt()
        };
        let best = score(fitted.model.components());
        assert!((best - fitted.objective.last().unwrap()).abs() < 1e-9 * best);
        for seed in 0..40_i32 {
            let moved = fitted.model.components().iter().enumerate();
            let noise = |i: usize| (f64::from(seed) * 12.9898 + i as f64 * 78.233).sin();
            let moved: Vec<f64> = moved.map(|(i, v)| v + noise(i) * 0.01).collect();
            assert!(score(&moved) <= best * (1.0 + 1e-9), "{seed}");
        }
    }

    #[test]
    fn features_that_same_pairs_do_not_vary_in_are_no_trouble() {
        let (x, pairs) = crossed();
        // The third feature differs in different pairs only, the fourth never.
        let third = [0.0, 0.0, 0.0, 2.0, 2.0];
        let wide = Matrix::from_fn(5, 4, |i, j| if j < 2 { x.row(i)[j] } else { [third[i], 5.0][j - 2] });
        for diagonal in [false, true] {
            let matrix = Mmc { diagonal, ..Mmc::default() }.fit_pairs(&wide, &pairs).unwrap().model.matrix();
            assert!(matrix.iter().all(|v| v.is_finite()));
            assert!(matrix[10] > 0.0 && matrix[15].abs() < 1e-12, "{matrix:?}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_learn_from() {
        let (x, pairs) = crossed();
        let only = Pairs { same: vec![true; 4], ..pairs.clone() };
        let error = Mmc::default().fit_pairs(&x, &only).unwrap_err();
        assert_eq!(error, MahalanobisError::MissingPairs { kind: "different" });
        let still = Pairs { pairs: vec![[0, 1], [2, 2]], same: vec![true, false] };
        assert_eq!(Mmc::default().fit_pairs(&x, &still).unwrap_err(), MahalanobisError::NoDistinctPairs);
        let bad = [
            (Mmc { tolerance: f64::NAN, ..Mmc::default() }, "tolerance"),
            (Mmc { max_iterations: 0, ..Mmc::default() }, "max_iterations"),
            (Mmc { diagonal_weight: 0.0, ..Mmc::default() }, "diagonal_weight"),
        ];
        for (learner, name) in bad {
            let error = learner.fit_pairs(&x, &pairs).unwrap_err();
            assert!(matches!(error, MahalanobisError::InvalidSetting { setting, .. } if setting == name), "{error}");
        }
    }
}

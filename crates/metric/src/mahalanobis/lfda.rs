//! Local Fisher discriminant analysis (LFDA).
//!
//! Sugiyama, "Dimensionality reduction of multimodal labeled data by local Fisher discriminant analysis", JMLR 8
//! (2007), 1027-1061.

use nearfar_core::matrix::Matrix;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::data::Training;
use super::discriminant::{Directions, directions, keep_rows};
use super::knn::Nearest;
use super::linalg::{Dense, axpy, dot, norm, squared_distance, transposed_product};
use super::{Fitted, Learner, Mahalanobis, MahalanobisError};

/// Rows of one task.
const BLOCK: usize = 128;

/// Fisher's discriminant for classes of several clusters: rows of one class are held together only where they are near
/// each other.
///
/// ```text
/// S_w = 1/2 sum_{y_i = y_j} A_ij / n_c (x_i - x_j)(x_i - x_j)^T        A_ij = exp(-|x_i - x_j|^2 / (s_i s_j))
/// S_b = 1/2 sum_{y_i = y_j} A_ij (1/n - 1/n_c) (..)(..)^T + 1/2 sum_{y_i /= y_j} 1/n (..)(..)^T
/// S_b v = lambda S_w v
/// ```
///
/// (Equations 7 to 11 of the paper.) `s_i` is the distance of row `i` to its [`Lfda::neighbors`]th neighbour in its
/// class of `n_c` rows. `S_w + S_b` is a sum of squares over all pairs, so the problem is solved in the directions in
/// which rows vary at all. A direction without local variation counts as the tightest of the others: repeated rows,
/// constant features and more features than rows are no trouble.
///
/// Cost: `sum_c n_c^2 d` multiplications; memory O(n d).
///
/// metric-learn 0.7 differs in three places. It takes the `k`th column of a partitioned distance matrix for the
/// distances to the `k`th neighbours; it computes `S_b + 2 S_w` in place of `S_b`, which adds 2 to every `lambda`; and
/// it limits the neighbours by the number of features. With all three put in, the formulas here give its matrices. The
/// first makes the scales larger; more [`Lfda::neighbors`] do so by intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lfda {
    /// Output dimensions, at least 1; `None` keeps all directions in which the rows vary. Default `None`.
    pub dim: Option<usize>,
    /// The neighbour that sets the local scale, at least 1; a class with fewer others takes its farthest. Default 7, as
    /// in the paper.
    pub neighbors: usize,
    /// How the directions are scaled. Default [`Embedding::Weighted`].
    pub embedding: Embedding,
}

/// How [`Lfda`] scales its directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Embedding {
    /// Unit local variance in the class, times the root of `lambda`: the paper's choice, and metric-learn's.
    #[default]
    Weighted,
    /// Orthonormal directions that span the same spaces.
    Orthonormalized,
    /// Unit local variance in the class.
    Plain,
}

impl Default for Lfda {
    fn default() -> Self {
        Self { dim: None, neighbors: 7, embedding: Embedding::Weighted }
    }
}

impl Learner for Lfda {
    /// Learns from rows `[n, d]` and one label a row.
    ///
    /// # Errors
    /// On settings outside their ranges, rows that are not finite, lengths that differ, a single class, more dimensions
    /// than directions in which the rows vary, and when all rows are equal.
    fn fit(&self, x: &Matrix, labels: &[usize]) -> Result<Fitted, MahalanobisError> {
        if self.neighbors == 0 {
            return Err(MahalanobisError::setting("neighbors", self.neighbors, "at least 1"));
        }
        let data = Training::new(x, labels)?;
        if let [class] = data.labels[..] {
            return Err(MahalanobisError::OneClass { class });
        }
        let (within, mixture) = local_scatters(&data, self.neighbors);
        let components = keep_rows(self.scaled(directions(&within, &mixture)?), self.dim)?;
        Ok(Fitted::closed_form(Mahalanobis::from_dense(components), data.len()))
    }
}

impl Lfda {
    fn scaled(&self, found: Directions) -> Dense {
        // The share is that of S_w in S_w + S_b: lambda is what is left, relative to it. Rounding may leave nothing.
        let roots: Vec<f64> = found.shares.iter().map(|s| ((1.0 - s) / s).max(0.0).sqrt()).collect();
        let mut components = found.normalized();
        match self.embedding {
            Embedding::Plain => {}
            Embedding::Weighted => {
                for (row, root) in components.data.chunks_exact_mut(components.cols).zip(roots) {
                    row.iter_mut().for_each(|v| *v *= root);
                }
            }
            Embedding::Orthonormalized => orthonormalize(&mut components),
        }
        components
    }
}

/// Gram-Schmidt on independent rows, the first first.
fn orthonormalize(components: &mut Dense) {
    let d = components.cols;
    for i in 0..components.rows {
        let (before, rest) = components.data.split_at_mut(i * d);
        let row = &mut rest[..d];
        for _ in 0..2 {
            // The second pass removes what rounding left of the first.
            for earlier in before.chunks_exact(d) {
                let overlap = dot(row, earlier);
                axpy(row, -overlap, earlier);
            }
            let length = norm(row);
            row.iter_mut().for_each(|v| *v /= length);
        }
    }
}

/// `S_w` and `S_w + S_b`, the local scatter of all rows, `[d, d]` each.
fn local_scatters(data: &Training, neighbors: usize) -> (Dense, Dense) {
    let (n, d) = (data.len() as f64, data.dim());
    let mut within = Dense::zeros(d, d);
    // Pairs of different classes weigh 1/n: all pairs, whose scatter is X^T X, less those of one class.
    let mut mixture = transposed_product(&data.rows, &data.rows);
    for class in 0..data.labels.len() {
        let members = data.members(class);
        let size = members.len() as f64;
        let rows = data.subset(&members.collect::<Vec<usize>>()).rows;
        let local = local_scatter(&rows, neighbors);
        axpy(&mut within.data, 1.0 / size, &local.data);
        axpy(&mut mixture.data, 1.0 / n, &local.data);
        let mut centred = rows;
        let mean = centred.column_means();
        centred.subtract_from_rows(&mean);
        axpy(&mut mixture.data, -size / n, &transposed_product(&centred, &centred).data);
    }
    (within, mixture)
}

/// `1/2 sum_ij A_ij (x_i - x_j)(x_i - x_j)^T` over the rows of one class: `X^T (D X - A X)` with `D` the row sums of
/// `A`.
fn local_scatter(rows: &Dense, neighbors: usize) -> Dense {
    let (n, d) = (rows.rows, rows.cols);
    let scales: Vec<f64> = (0..n).into_par_iter().map(|i| local_scale(rows, i, neighbors)).collect();
    let mut laplacian = Dense::zeros(n, d); // D X - A X
    laplacian.data.par_chunks_mut(BLOCK * d).enumerate().for_each(|(block, out)| {
        for (r, out) in out.chunks_exact_mut(d).enumerate() {
            let i = block * BLOCK + r;
            let mut degree = 0.0;
            for j in (0..n).filter(|&j| j != i) {
                let affinity = affinity(squared_distance(rows.row(i), rows.row(j)), scales[i] * scales[j]);
                degree += affinity;
                axpy(out, -affinity, rows.row(j));
            }
            axpy(out, degree, rows.row(i));
        }
    });
    let half = transposed_product(rows, &laplacian);
    let mut out = Dense::zeros(d, d);
    for (i, j) in (0..d).flat_map(|i| (0..d).map(move |j| (i, j))) {
        out.data[i * d + j] = 0.5 * (half.data[i * d + j] + half.data[j * d + i]);
    }
    out
}

/// Distance of row `i` to its `neighbors`th neighbour; 0 when it is alone.
fn local_scale(rows: &Dense, i: usize, neighbors: usize) -> f64 {
    let mut nearest = Nearest::new(neighbors);
    for j in (0..rows.rows).filter(|&j| j != i) {
        nearest.offer(squared_distance(rows.row(i), rows.row(j)), j);
    }
    nearest.reach().sqrt()
}

/// `exp(-distance / scale)`; no affinity where a scale is 0, as in the paper's code. Pairs of equal rows add nothing to
/// a scatter, whatever their affinity.
fn affinity(distance: f64, scale: f64) -> f64 {
    if scale > 0.0 { (-distance / scale).exp() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mahalanobis::linalg::{product, product_transposed};

    fn cloud(n: usize, d: usize) -> (Matrix, Vec<usize>) {
        let x = Matrix::from_fn(n, d, |i, j| {
            ((i * 31 + j * 17 + i * j * 7) as f32 * 0.713).sin() * (j + 1) as f32 + (i % 3) as f32 * 0.5
        });
        (x, (0..n).map(|i| i % 3).collect())
    }

    /// Equations 7 to 11 of the paper, pair by pair.
    fn naive(data: &Training, neighbors: usize) -> (Dense, Dense) {
        let (n, d) = (data.len(), data.dim());
        let distance = |i: usize, j: usize| squared_distance(data.rows.row(i), data.rows.row(j));
        let scale = |i: usize| {
            let others = data.members(data.class_of[i]).filter(|&j| j != i);
            let mut distances: Vec<f64> = others.map(|j| distance(i, j)).collect();
            distances.sort_by(f64::total_cmp);
            distances[neighbors.min(distances.len()) - 1].sqrt()
        };
        let (mut within, mut between) = (Dense::zeros(d, d), Dense::zeros(d, d));
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let size = data.members(data.class_of[i]).len() as f64;
            let (w, b) = if data.class_of[i] == data.class_of[j] {
                let affinity = (-distance(i, j) / (scale(i) * scale(j))).exp();
                (affinity / size, affinity * (1.0 / n as f64 - 1.0 / size))
            } else {
                (0.0, 1.0 / n as f64)
            };
            let difference: Vec<f64> = data.rows.row(i).iter().zip(data.rows.row(j)).map(|(a, b)| a - b).collect();
            for (a, c) in (0..d).flat_map(|a| (0..d).map(move |c| (a, c))) {
                within.data[a * d + c] += 0.5 * w * difference[a] * difference[c];
                between.data[a * d + c] += 0.5 * b * difference[a] * difference[c];
            }
        }
        (within, between)
    }

    #[test]
    fn the_scatters_agree_with_the_paper_across_blocks() {
        for (n, neighbors) in [(3 * BLOCK + 30, 7), (12, 3), (12, 99)] {
            let (x, labels) = cloud(n, 3);
            let data = Training::new(&x, &labels).unwrap();
            let (within, mixture) = local_scatters(&data, neighbors);
            let (expected, between) = naive(&data, neighbors);
            for at in 0..9 {
                assert!((within.data[at] - expected.data[at]).abs() < 1e-9 * expected.data[0].abs());
                let sum = expected.data[at] + between.data[at];
                assert!((mixture.data[at] - sum).abs() < 1e-9 * mixture.data[0].abs(), "{n} {at}");
            }
        }
    }

    #[test]
    fn components_solve_the_generalised_eigenproblem() {
        let (x, labels) = cloud(60, 4);
        let (within, between) = naive(&Training::new(&x, &labels).unwrap(), 7);
        let fit = |embedding| {
            let model = Lfda { embedding, ..Lfda::default() }.fit(&x, &labels).unwrap().model;
            Dense { data: model.components().to_vec(), rows: 4, cols: 4 }
        };
        let (plain, weighted) = (fit(Embedding::Plain), fit(Embedding::Weighted));
        let unit = product_transposed(&product(&plain, &within), &plain);
        let lambda = product_transposed(&product(&plain, &between), &plain);
        for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
            assert!((unit.row(i)[j] - if i == j { 1.0 } else { 0.0 }).abs() < 1e-9);
            assert!(i == j || lambda.row(i)[j].abs() < 1e-8);
            let root = lambda.row(i)[i].max(0.0).sqrt();
            assert!((weighted.row(i)[j] - root * plain.row(i)[j]).abs() < 1e-8);
        }
        assert!((1..4).all(|i| lambda.row(i - 1)[i - 1] >= lambda.row(i)[i]));
        let unit = fit(Embedding::Orthonormalized);
        let unit = product_transposed(&unit, &unit);
        assert!(unit.data.iter().zip(&Dense::identity(4, 4).data).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn a_class_of_two_clusters_keeps_them_apart() {
        // Class 1 lies between the two clusters of class 0 along the first feature; the second is noise.
        let x = Matrix::from_fn(60, 2, |i, j| match j {
            0 => [-4.0, 0.0, 4.0, 0.0][i % 4] + ((i * 17) % 23) as f32 * 0.02,
            _ => ((i * 37) % 61) as f32 * 0.1,
        });
        let labels: Vec<usize> = (0..60).map(|i| i % 2).collect();
        let model = Lfda { dim: Some(1), ..Lfda::default() }.fit(&x, &labels).unwrap().model;
        assert!(model.components()[0].abs() > 10.0 * model.components()[1].abs(), "{model:?}");
    }

    #[test]
    fn repeated_rows_and_wide_data_give_finite_matrices() {
        let (x, labels) = cloud(12, 20);
        let twice = x.select(&(0..24).map(|i| i % 12).collect::<Vec<usize>>());
        for neighbors in [1, 7] {
            let learner = Lfda { neighbors, ..Lfda::default() };
            for (x, labels) in [(&x, labels.clone()), (&twice, labels.repeat(2))] {
                let model = learner.fit(x, &labels).unwrap().model;
                assert_eq!(model.output_dim(), 11);
                assert!(model.components().iter().all(|v| v.is_finite()));
            }
        }
        let singles = Lfda::default().fit(&x, &(0..12).collect::<Vec<usize>>()).unwrap().model;
        assert!(singles.components().iter().all(|v| v.is_finite()));
    }

    #[test]
    fn refuses_what_it_cannot_learn_from() {
        let (x, labels) = cloud(12, 3);
        let error = Lfda { neighbors: 0, ..Lfda::default() }.fit(&x, &labels).unwrap_err();
        assert!(matches!(error, MahalanobisError::InvalidSetting { setting: "neighbors", .. }));
        assert_eq!(Lfda::default().fit(&x, &[5; 12]).unwrap_err(), MahalanobisError::OneClass { class: 5 });
        let error = Lfda { dim: Some(4), ..Lfda::default() }.fit(&x, &labels).unwrap_err();
        assert_eq!(error, MahalanobisError::RankTooLow { asked: 4, rank: 3 });
    }
}

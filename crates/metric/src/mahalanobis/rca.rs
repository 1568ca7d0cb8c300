//! Relevant component analysis (RCA).
//!
//! Shental, Hertz, Weinshall and Pavel, "Adjustment learning and relevant component analysis", ECCV 2002; Bar-Hillel,
//! Hertz, Shental and Weinshall, "Learning a Mahalanobis metric from equivalence constraints", JMLR 6 (2005), 937-965.

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

use super::constraints::chunks_from_labels;
use super::data::{check_length, check_rows, to_dense};
use super::discriminant::{directions, keep_rows};
use super::linalg::{Dense, transposed_product};
use super::{Fitted, Learner, Mahalanobis, MahalanobisError};
use crate::weak::Chunks;

/// Learns from chunks of rows that belong together: variation inside chunks is irrelevant, so it is scaled down.
///
/// ```text
/// M = W^-1        W = sum_chunks sum_{i in chunk} (x_i - m_chunk)(x_i - m_chunk)^T / n
/// ```
///
/// with `n` the rows in chunks (section 2 of the JMLR paper). With fewer output dimensions, `L` keeps those in which
/// chunks vary least compared with all their rows: Fisher's linear discriminant, then whitening (section 3.2 there).
///
/// Where chunks do not vary, `W` has no inverse. A direction in which rows of different chunks do differ then counts as
/// the tightest of the others; a direction in which no rows differ counts nothing. metric-learn returns NaN there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rca {
    /// Output dimensions, at least 1; `None` keeps all directions in which the rows vary. Default `None`.
    pub dim: Option<usize>,
    /// Chunks that [`Learner::fit`] draws from labels, at least 1; all there are when there are fewer. Default 100, as
    /// in metric-learn, which refuses when there are fewer.
    pub chunks: usize,
    /// Rows of each of them, at least 2. Default 2, as in metric-learn.
    pub chunk_size: usize,
    /// Seed of that draw. Default 0.
    pub seed: u64,
}

impl Default for Rca {
    fn default() -> Self {
        Self { dim: None, chunks: 100, chunk_size: 2, seed: 0 }
    }
}

impl Learner for Rca {
    /// Draws chunks from the labels ([`chunks_from_labels`]) and learns from them.
    ///
    /// # Errors
    /// As [`Rca::fit_chunks`], on settings outside their ranges, and when no class has as many rows as a chunk.
    fn fit(&self, x: &Matrix, labels: &[usize]) -> Result<Fitted, MahalanobisError> {
        check_rows(x, 2)?;
        check_length("labels, one for each row", x.rows(), labels.len())?;
        self.fit_chunks(x, &chunks_from_labels(labels, self.chunks, self.chunk_size, self.seed)?)
    }
}

impl Rca {
    /// Learns from rows `[n, d]` and the chunk of each. Rows without a chunk are ignored; a chunk of one row says
    /// nothing but counts as a row.
    ///
    /// # Errors
    /// When `dim` is 0 or more than the directions in which the rows vary, on values that are not finite, lengths that
    /// differ, chunks of which none has two rows, and when all rows are equal.
    pub fn fit_chunks(&self, x: &Matrix, chunks: &Chunks) -> Result<Fitted, MahalanobisError> {
        check_rows(x, 2)?;
        check_length("chunks, one for each row", x.rows(), chunks.0.len())?;
        let mut members: Vec<(usize, usize)> =
            chunks.0.iter().enumerate().filter_map(|(row, chunk)| chunk.map(|c| (c, row))).collect();
        members.sort_unstable();
        let mut groups = members.chunk_by(|a, b| a.0 == b.0);
        if !groups.any(|group| group.len() > 1) {
            return Err(MahalanobisError::NoTuples { kind: "chunk of two rows" });
        }
        let order: Vec<usize> = members.iter().map(|&(_, row)| row).collect();
        let all = centred(to_dense(x, &order));
        let mut inside = Vec::with_capacity(all.data.len());
        let mut start = 0;
        for group in members.chunk_by(|a, b| a.0 == b.0) {
            let data = all.data[start * all.cols..(start + group.len()) * all.cols].to_vec();
            inside.extend(centred(Dense { data, rows: group.len(), cols: all.cols }).data);
            start += group.len();
        }
        let inside = Dense { data: inside, ..all };
        let found = directions(&covariance(&inside), &covariance(&all))?;
        let components = keep_rows(found.normalized(), self.dim)?;
        Ok(Fitted::closed_form(Mahalanobis::from_dense(components), all.rows))
    }
}

fn centred(mut rows: Dense) -> Dense {
    let mean = rows.column_means();
    rows.subtract_from_rows(&mean);
    rows
}

/// Of centred rows, dividing by `n`.
fn covariance(rows: &Dense) -> Dense {
    let mut out = transposed_product(rows, rows);
    out.data.iter_mut().for_each(|v| *v /= rows.rows as f64);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docstring() -> (Matrix, Chunks) {
        let values = [
            [-0.05, 3.0],
            [0.05, -3.0],
            [0.1, -3.55],
            [-0.1, 3.55],
            [-0.95, -0.05],
            [0.95, 0.05],
            [0.4, 0.05],
            [-0.4, -0.05],
        ];
        (Matrix::from_fn(8, 2, |i, j| values[i][j]), Chunks((0..8).map(|i| Some(i / 2)).collect()))
    }

    #[test]
    fn the_worked_value_of_metric_learn() {
        let (x, chunks) = docstring();
        let matrix = Rca::default().fit_chunks(&x, &chunks).unwrap().model.matrix();
        // metric-learn's symmetric L; ours differs by a rotation, M does not.
        let (a, b, c) = (1.9367026235, 0.0320862851, 0.4308474257);
        let expected = [a * a + b * b, b * (a + c), b * (a + c), b * b + c * c];
        assert!(matrix.iter().zip(expected).all(|(m, e)| (m - e).abs() < 1e-6), "{matrix:?} {expected:?}");
    }

    #[test]
    fn names_and_order_of_chunks_do_not_matter_and_rows_without_one_are_ignored() {
        let (x, chunks) = docstring();
        let fit = |x: &Matrix, chunks: Vec<Option<usize>>| Rca::default().fit_chunks(x, &Chunks(chunks)).unwrap();
        let plain = fit(&x, chunks.0);
        let more = Matrix::from_fn(9, 2, |i, j| if i < 8 { x.row(i)[j] } else { 1e4 });
        let named = [Some(9), Some(9), Some(4), Some(4), Some(70), Some(70), Some(5), Some(5), None].to_vec();
        let other = fit(&more, named);
        assert_eq!((plain.rows_used, other.rows_used), (8, 8));
        let (a, b) = (plain.model.matrix(), other.model.matrix());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} {b:?}");
    }

    #[test]
    fn a_feature_that_no_chunk_varies_in_counts_as_the_tightest_other() {
        // Chunks differ in the third feature only, which is constant inside; the fourth is constant.
        let (x, chunks) = docstring();
        let wide = Matrix::from_fn(8, 4, |i, j| match j {
            0 | 1 => x.row(i)[j],
            2 => (i / 2) as f32,
            _ => 3.0,
        });
        let fitted = Rca::default().fit_chunks(&wide, &chunks).unwrap();
        assert_eq!(fitted.model.output_dim(), 3);
        let matrix = fitted.model.matrix();
        assert!(matrix.iter().all(|v| v.is_finite()));
        assert!(matrix[10] > 0.01 && matrix[15].abs() < 1e-12, "{matrix:?}");
    }

    #[test]
    fn labels_give_chunks_and_classes_move_apart() {
        let labels: Vec<usize> = (0..60).map(|i| i % 2).collect();
        let x = Matrix::from_fn(60, 2, |i, j| match j {
            0 => ((i * 37) % 61) as f32 * 0.1,
            _ => labels[i] as f32 + ((i * 17) % 23) as f32 * 0.01,
        });
        let fitted = Rca::default().fit(&x, &labels).unwrap();
        assert_eq!(fitted.rows_used, 60); // 30 chunks of 2 are all there are
        let matrix = fitted.model.matrix();
        assert!(matrix[3] > 100.0 * matrix[0], "{matrix:?}");
        assert_eq!(Rca { dim: Some(1), ..Rca::default() }.fit(&x, &labels).unwrap().model.output_dim(), 1);
    }

    #[test]
    fn refuses_what_it_cannot_learn_from() {
        let (x, chunks) = docstring();
        let singles = Chunks((0..8).map(Some).collect());
        let error = Rca::default().fit_chunks(&x, &singles).unwrap_err();
        assert_eq!(error, MahalanobisError::NoTuples { kind: "chunk of two rows" });
        let error = Rca::default().fit_chunks(&x, &Chunks(vec![None; 3])).unwrap_err();
        assert!(matches!(error, MahalanobisError::LengthMismatch { expected: 8, got: 3, .. }));
        let error = Rca { dim: Some(3), ..Rca::default() }.fit_chunks(&x, &chunks).unwrap_err();
        assert_eq!(error, MahalanobisError::RankTooLow { asked: 3, rank: 2 });
        let error = Rca { chunk_size: 1, ..Rca::default() }.fit(&x, &[0; 8]).unwrap_err();
        assert!(matches!(error, MahalanobisError::InvalidSetting { setting: "chunk_size", .. }));
    }
}

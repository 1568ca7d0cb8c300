//! Checked training rows in one canonical order.

use std::cmp::Ordering;

use nearfar_core::matrix::Matrix;

use super::MahalanobisError;
use super::linalg::Dense;
use crate::weak::Pairs;

/// Centred rows with their classes, sorted by label, then by value.
///
/// The order is a function of the set of labelled rows, so shuffling the training data changes nothing, not even the
/// last bit of a learned matrix. Every class is one contiguous range. Centring leaves all differences, and so every
/// distance, as they are; it keeps products small and therefore exact.
#[derive(Debug, Clone)]
pub(crate) struct Training {
    /// Centred rows, `[n, d]`.
    pub(crate) rows: Dense,
    /// Class of each row, `0..classes`, never decreasing.
    pub(crate) class_of: Vec<usize>,
    /// The caller's label of each class.
    pub(crate) labels: Vec<usize>,
    /// First row of each class, then `n`.
    pub(crate) starts: Vec<usize>,
}

impl Training {
    /// Checks and sorts `x`, `[n, d]`, with one label a row.
    pub(crate) fn new(x: &Matrix, labels: &[usize]) -> Result<Self, MahalanobisError> {
        check_rows(x, 2)?;
        check_length("labels, one for each row", x.rows(), labels.len())?;
        let mut order: Vec<usize> = (0..x.rows()).collect();
        order.sort_by(|&a, &b| labels[a].cmp(&labels[b]).then_with(|| compare_rows(x.row(a), x.row(b))));
        let sorted: Vec<usize> = order.iter().map(|&i| labels[i]).collect();
        let mut rows = to_dense(x, &order);
        let mean = rows.column_means();
        rows.subtract_from_rows(&mean);
        Ok(Self::from_sorted(rows, &sorted))
    }

    fn from_sorted(rows: Dense, sorted: &[usize]) -> Self {
        let mut labels: Vec<usize> = Vec::new();
        let (mut class_of, mut starts) = (Vec::with_capacity(sorted.len()), Vec::new());
        for (i, &label) in sorted.iter().enumerate() {
            if labels.last() != Some(&label) {
                labels.push(label);
                starts.push(i);
            }
            class_of.push(labels.len() - 1);
        }
        starts.push(sorted.len());
        Self { rows, class_of, labels, starts }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.rows
    }

    /// Number of features.
    pub(crate) fn dim(&self) -> usize {
        self.rows.cols
    }

    /// Rows of class `class`.
    pub(crate) fn members(&self, class: usize) -> std::ops::Range<usize> {
        self.starts[class]..self.starts[class + 1]
    }

    /// The rows `keep`, which must be increasing.
    pub(crate) fn subset(&self, keep: &[usize]) -> Self {
        let data = keep.iter().flat_map(|&i| self.rows.row(i).iter().copied()).collect();
        let rows = Dense { data, rows: keep.len(), cols: self.dim() };
        let sorted: Vec<usize> = keep.iter().map(|&i| self.labels[self.class_of[i]]).collect();
        Self::from_sorted(rows, &sorted)
    }
}

/// Lexicographic order of two finite rows.
pub(crate) fn compare_rows(a: &[f32], b: &[f32]) -> Ordering {
    a.iter().zip(b).map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

/// The rows `order` of `x` in double precision.
pub(crate) fn to_dense(x: &Matrix, order: &[usize]) -> Dense {
    let data = order.iter().flat_map(|&i| x.row(i).iter().map(|&v| f64::from(v))).collect();
    Dense { data, rows: order.len(), cols: x.cols() }
}

/// At least `needed` rows, at least one feature, no NaN, no infinity.
pub(crate) fn check_rows(x: &Matrix, needed: usize) -> Result<(), MahalanobisError> {
    if x.cols() == 0 {
        return Err(MahalanobisError::NoFeatures);
    }
    if x.rows() < needed {
        return Err(MahalanobisError::TooFewRows { got: x.rows(), needed });
    }
    match x.as_slice().iter().position(|v| !v.is_finite()) {
        Some(at) => Err(MahalanobisError::NonFinite { row: at / x.cols(), column: at % x.cols() }),
        None => Ok(()),
    }
}

/// `got` must be `expected`.
pub(crate) fn check_length(what: &'static str, expected: usize, got: usize) -> Result<(), MahalanobisError> {
    if expected == got { Ok(()) } else { Err(MahalanobisError::LengthMismatch { what, expected, got }) }
}

/// Every tuple must name rows below `rows`.
pub(crate) fn check_tuples<const N: usize>(
    kind: &'static str,
    tuples: &[[usize; N]],
    rows: usize,
) -> Result<(), MahalanobisError> {
    for (tuple, members) in tuples.iter().enumerate() {
        if let Some(&index) = members.iter().find(|&&index| index >= rows) {
            return Err(MahalanobisError::TupleOutOfRange { kind, tuple, index, rows });
        }
    }
    Ok(())
}

/// Rows that are finite, one `same` for each pair, and pairs of rows that exist; at least one pair.
pub(crate) fn check_pairs(x: &Matrix, pairs: &Pairs) -> Result<(), MahalanobisError> {
    check_rows(x, 2)?;
    check_length("`same`, one for each pair", pairs.pairs.len(), pairs.same.len())?;
    if pairs.pairs.is_empty() {
        return Err(MahalanobisError::MissingPairs { kind: "same or different" });
    }
    check_tuples("pair", &pairs.pairs, x.rows())
}

/// The rows that occur among `indices`, each value once, in lexicographic order.
pub(super) fn distinct_rows(x: &Matrix, indices: impl Iterator<Item = usize>) -> Dense {
    let mut rows: Vec<usize> = indices.collect();
    rows.sort_unstable();
    rows.dedup();
    rows.sort_by(|&a, &b| compare_rows(x.row(a), x.row(b)));
    rows.dedup_by(|a, b| x.row(*a) == x.row(*b));
    to_dense(x, &rows)
}

/// `x_a - x_b` for every pair, `[pairs, d]`; `x` has columns.
pub(crate) fn differences(x: &Matrix, pairs: impl Iterator<Item = [usize; 2]>) -> Dense {
    let difference = |[a, b]: [usize; 2]| x.row(a).iter().zip(x.row(b)).map(|(&a, &b)| f64::from(a) - f64::from(b));
    let data: Vec<f64> = pairs.flat_map(difference).collect();
    Dense { rows: data.len() / x.cols(), cols: x.cols(), data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: &[[f32; 2]]) -> Matrix {
        Matrix::from_fn(rows.len(), 2, |i, j| rows[i][j])
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter() {
        let a = Training::new(&matrix(&[[1.0, 5.0], [1.0, 2.0], [0.0, 9.0]]), &[7, 7, 3]).unwrap();
        let b = Training::new(&matrix(&[[0.0, 9.0], [1.0, 2.0], [1.0, 5.0]]), &[3, 7, 7]).unwrap();
        assert_eq!(a.rows, b.rows);
        assert_eq!((a.class_of, a.labels, a.starts), (vec![0, 1, 1], vec![3, 7], vec![0, 1, 3]));
    }

    #[test]
    fn rows_are_centred() {
        let training = Training::new(&matrix(&[[1.0, 5.0], [3.0, 1.0]]), &[0, 1]).unwrap();
        assert_eq!(training.rows.data, [-1.0, 2.0, 1.0, -2.0]);
    }

    #[test]
    fn a_subset_renumbers_its_classes() {
        let training = Training::new(&matrix(&[[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]), &[4, 5, 6]).unwrap();
        let subset = training.subset(&[0, 2]);
        assert_eq!((subset.labels, subset.class_of, subset.starts), (vec![4, 6], vec![0, 1], vec![0, 1, 2]));
    }

    #[test]
    fn bad_rows_are_named() {
        let x = matrix(&[[0.0, 0.0], [1.0, f32::NAN]]);
        assert_eq!(check_rows(&x, 2), Err(MahalanobisError::NonFinite { row: 1, column: 1 }));
        assert_eq!(check_rows(&matrix(&[[0.0; 2]]), 2), Err(MahalanobisError::TooFewRows { got: 1, needed: 2 }));
        assert_eq!(check_rows(&Matrix::zeros(3, 0), 2), Err(MahalanobisError::NoFeatures));
        let error = check_tuples("pair", &[[0, 1], [2, 0]], 2).unwrap_err();
        assert_eq!(error, MahalanobisError::TupleOutOfRange { kind: "pair", tuple: 1, index: 2, rows: 2 });
    }

    #[test]
    fn equal_rows_count_once() {
        let x = Matrix::new(vec![2.0, 1.0, 2.0, 1.0], 4, 1).unwrap();
        assert_eq!(distinct_rows(&x, [0, 2, 2, 1, 3, 3].into_iter()).data, [1.0, 2.0]);
    }

    #[test]
    fn differences_are_exact() {
        let x = matrix(&[[1.0, 5.0], [3.0, 1.0]]);
        let out = differences(&x, [[1, 0], [0, 0]].into_iter());
        assert_eq!((out.data, out.rows, out.cols), (vec![2.0, -4.0, 0.0, 0.0], 2, 2));
    }
}

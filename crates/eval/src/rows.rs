//! Checks of feature matrices, and row arithmetic that several scores share.

use nearfar_core::matrix::Matrix;

use crate::error::EvalError;

/// Rows and columns exist, row indices fit 32 bits, and every feature is finite.
pub(crate) fn check_features(what: &'static str, features: &Matrix) -> Result<(), EvalError> {
    let rows = features.rows();
    if rows == 0 {
        return Err(EvalError::NoRows { what });
    }
    if features.cols() == 0 {
        return Err(EvalError::NoColumns { what, rows });
    }
    if rows >= u32::MAX as usize {
        return Err(EvalError::TooManyRows { what, rows });
    }
    match features.as_slice().iter().position(|value| !value.is_finite()) {
        Some(at) => Err(EvalError::NonFinite { what, row: at / features.cols(), column: at % features.cols() }),
        None => Ok(()),
    }
}

/// The features are sound and there is one label for each row.
pub(crate) fn check_labelled(what: &'static str, features: &Matrix, labels: &[usize]) -> Result<(), EvalError> {
    if features.rows() != labels.len() {
        return Err(EvalError::LabelCount { what, rows: features.rows(), labels: labels.len() });
    }
    check_features(what, features)
}

/// Two matrices have the same number of columns.
pub(crate) fn check_width(
    left: &'static str,
    left_cols: usize,
    right: &'static str,
    right_cols: usize,
) -> Result<(), EvalError> {
    if left_cols == right_cols { Ok(()) } else { Err(EvalError::Width { left, left_cols, right, right_cols }) }
}

/// Every row divided by its Euclidean norm; a zero row stays zero.
///
/// Norms are taken in `f64`: squares of very small or very large `f32` features neither vanish nor overflow there, so
/// every row but the zero row really comes out at length 1.
pub(crate) fn unit_rows(features: &Matrix) -> Matrix {
    let mut out = features.clone();
    for i in 0..out.rows() {
        let row = out.row_mut(i);
        let norm = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        if norm > 0.0 {
            row.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
        }
    }
    out
}

/// Squared Euclidean distance between two rows of equal length.
pub(crate) fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    // Independent partial sums let the compiler use vector registers; their order is fixed, so the value is too.
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(x, y)| (x - y) * (x - y)).sum();
    for (x, y) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            let difference = x[lane] - y[lane];
            lanes[lane] += difference * difference;
        }
    }
    lanes.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_bad_row() {
        let mut features = Matrix::zeros(4, 3);
        features.row_mut(2)[1] = f32::NAN;
        features.row_mut(3)[0] = f32::INFINITY;
        assert_eq!(
            check_features("points", &features),
            Err(EvalError::NonFinite { what: "points", row: 2, column: 1 })
        );
        assert_eq!(check_features("points", &Matrix::zeros(0, 3)), Err(EvalError::NoRows { what: "points" }));
        assert_eq!(
            check_features("points", &Matrix::zeros(2, 0)),
            Err(EvalError::NoColumns { what: "points", rows: 2 })
        );
        assert_eq!(
            check_labelled("points", &Matrix::zeros(2, 1), &[0]),
            Err(EvalError::LabelCount { what: "points", rows: 2, labels: 1 })
        );
    }

    #[test]
    fn unit_rows_survive_extreme_scales() {
        let features = Matrix::from_fn(4, 2, |i, j| [[3.0, 4.0], [3e-30, 4e-30], [3e30, 4e30], [0.0, 0.0]][i][j]);
        let unit = unit_rows(&features);
        for i in 0..3 {
            assert!((unit.row(i)[0] - 0.6).abs() < 1e-6 && (unit.row(i)[1] - 0.8).abs() < 1e-6, "row {i}");
        }
        assert_eq!(unit.row(3), [0.0, 0.0]);
    }

    #[test]
    fn squared_distance_is_the_sum_of_squares() {
        let a: Vec<f32> = (0..19).map(|i| i as f32).collect();
        let b: Vec<f32> = (0..19).map(|i| (i % 3) as f32).collect();
        let expected: f32 = a.iter().zip(&b).map(|(x, y)| (x - y) * (x - y)).sum();
        assert_eq!(squared_distance(&a, &b), expected);
    }
}

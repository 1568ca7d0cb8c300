//! Classification by the nearest class mean: what do a few labels give without any fitting?
//!
//! A class's prototype is the mean of its labelled rows; a query goes to the nearest prototype by squared Euclidean
//! distance (Snell et al. 2017). Rows are divided by their norm first. [`few_shot`](mod@crate::few_shot) does the same
//! on random episodes with as many labels of each class; here all labels that are given count, and all classes.

use nearfar_core::matrix::Matrix;
use serde::Serialize;

use crate::error::EvalError;
use crate::few_shot::{closest, prototype};
use crate::labels::Classes;
use crate::rows::{check_labelled, check_width, unit_rows};

/// Accuracy of the nearest class mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prototypes {
    /// Share of queries whose nearest prototype is their class's, in `[0, 1]`.
    pub accuracy: f64,
    /// Classes, one prototype each.
    pub classes: usize,
    /// Labelled rows of the class that has fewest.
    pub fewest: usize,
    /// Queries classified.
    pub queries: usize,
}

/// Top-1 accuracy on `queries` (`[q, d]` and classes) of the class means of `training` (`[n, d]` and classes).
///
/// Distances that tie go to the smaller class index.
///
/// # Errors
/// When features are empty or not finite, shapes do not fit, or a query has a class that no training row has.
///
/// ```
/// use nearfar_core::matrix::Matrix;
/// use nearfar_eval::prototypes;
///
/// let training = Matrix::new(vec![1.0, 0.0, 0.0, 1.0], 2, 2).unwrap();
/// let queries = Matrix::new(vec![0.9, 0.2, 0.1, 0.3], 2, 2).unwrap();
/// assert_eq!(prototypes((&training, &[3, 8]), (&queries, &[3, 3])).unwrap().accuracy, 0.5);
/// ```
pub fn prototypes(training: (&Matrix, &[usize]), queries: (&Matrix, &[usize])) -> Result<Prototypes, EvalError> {
    check_labelled("queries", queries.0, queries.1)?;
    check_labelled("training rows", training.0, training.1)?;
    check_width("queries", queries.0.cols(), "training rows", training.0.cols())?;
    let classes = Classes::new(training.1);
    if let Some(row) = queries.1.iter().position(|&label| classes.position(label).is_none()) {
        return Err(EvalError::UnknownClass { what: "queries", row, class: queries.1[row] });
    }
    let unit = unit_rows(training.0);
    let means: Vec<Vec<f64>> = classes.rows.iter().map(|rows| prototype(&unit, rows)).collect();
    let unit = unit_rows(queries.0);
    let hits = (0..unit.rows()).filter(|&row| classes.labels[closest(&means, unit.row(row))] == queries.1[row]).count();
    Ok(Prototypes {
        accuracy: hits as f64 / unit.rows() as f64,
        classes: classes.count(),
        fewest: classes.rows.iter().map(Vec::len).min().unwrap_or(0),
        queries: unit.rows(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{blobs, from_rows, noise};
    use proptest::prelude::*;

    #[test]
    fn separated_classes_are_solved_by_one_label_each() {
        let (features, labels) = blobs(20, 6, 0.2);
        let first = Matrix::from_fn(3, 6, |i, j| features.row(i)[j]);
        let found = prototypes((&first, &labels[..3]), (&features, &labels)).unwrap();
        assert_eq!(found, Prototypes { accuracy: 1.0, classes: 3, fewest: 1, queries: 60 });
    }

    /// By hand: unit rows (1, 0), (0, 1) and (0, -1); means (0.5, 0.5) and (0, -1). A row of zeros is nearer to the
    /// shorter mean.
    #[test]
    fn means_are_taken_of_unit_rows() {
        let training = from_rows(&[[5.0, 0.0], [0.0, 0.1], [0.0, -2.0]]);
        let queries = from_rows(&[[3.0, 1.0], [0.1, -4.0], [0.0, 0.0]]);
        let accuracy = |labels: &[usize]| prototypes((&training, &[2, 2, 7]), (&queries, labels)).unwrap().accuracy;
        assert_eq!(accuracy(&[2, 7, 2]), 1.0);
        assert!((accuracy(&[7, 7, 2]) - 2.0 / 3.0).abs() < 1e-12);
    }

    /// Long rows of a class must not outweigh its short ones: without unit rows the mean would lie at (99, 1).
    #[test]
    fn length_does_not_count() {
        let training = from_rows(&[[198.0, 0.0], [0.0, 2.0], [1.0, 0.2]]);
        let found = prototypes((&training, &[0, 0, 1]), (&from_rows(&[[1.0, 1.0]]), &[0])).unwrap();
        assert_eq!(found.accuracy, 1.0);
    }

    proptest! {
        #[test]
        fn neither_order_nor_scale_matters(shift in 1usize..20, scale in 0.01f32..100.0) {
            let n = 30;
            let features = Matrix::from_fn(n, 5, |i, j| noise(i * 5 + j));
            let labels: Vec<usize> = (0..n).map(|i| i % 3).collect();
            let turned = Matrix::from_fn(n, 5, |i, j| scale * features.row((i + shift) % n)[j]);
            let turned_labels: Vec<usize> = (0..n).map(|i| labels[(i + shift) % n]).collect();
            let a = prototypes((&features, &labels), (&features, &labels)).unwrap();
            let b = prototypes((&turned, &turned_labels), (&turned, &turned_labels)).unwrap();
            // A query may sit within rounding of the middle of two means.
            prop_assert!((a.accuracy - b.accuracy).abs() <= 1.0 / n as f64 + 1e-12, "{a:?} {b:?}");
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let (features, labels) = blobs(4, 3, 0.1);
        let other = vec![1; labels.len()];
        assert_eq!(
            prototypes((&features, &labels), (&features, &other)),
            Err(EvalError::UnknownClass { what: "queries", row: 0, class: 1 })
        );
        let narrow = Matrix::zeros(1, 2);
        assert!(matches!(prototypes((&features, &labels), (&narrow, &[4])), Err(EvalError::Width { .. })));
        assert!(matches!(
            prototypes((&features, &labels[1..]), (&features, &labels)),
            Err(EvalError::LabelCount { .. })
        ));
    }
}

//! The learned distance.

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

use super::MahalanobisError;
use super::data::{check_length, check_rows, check_tuples, to_dense};
use super::linalg::{Dense, dot, norm, product_transposed, symmetric_eigen, transposed_product};
use super::threshold::{ThresholdStrategy, choose_threshold};
use crate::weak::Pairs;

/// Rows embedded at a time, so that the double-precision copy stays small.
const BLOCK: usize = 4096;
/// Eigenvalues above minus this share of the largest count as rounding of 0.
const NEGATIVE_TOLERANCE: f64 = 1e-9;

/// A Mahalanobis distance `d(a, b) = |L (a - b)| = sqrt((a - b)^T M (a - b))` with `M = L^T L`.
///
/// `L` has shape `[output_dim, input_dim]` and is held in double precision. With a threshold the model also says
/// whether two rows belong together: yes if and only if their distance is at most the threshold.
///
/// Serialised as `{ components, input_dim, threshold }`; a deserialised model has been checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Mahalanobis {
    components: Dense,
    threshold: Option<f64>,
}

/// What is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Parts {
    components: Vec<f64>,
    input_dim: usize,
    threshold: Option<f64>,
}

impl Mahalanobis {
    /// The distance of the map `components`, row-major `[output_dim, input_dim]`.
    ///
    /// # Errors
    /// When `input_dim` is 0, `components` is empty or no multiple of it, or a value is not finite.
    pub fn new(components: Vec<f64>, input_dim: usize) -> Result<Self, MahalanobisError> {
        if input_dim == 0 || components.is_empty() {
            return Err(MahalanobisError::NoFeatures);
        }
        let rows = components.len() / input_dim;
        check_length("components, a multiple of input_dim", rows * input_dim, components.len())?;
        if components.iter().any(|v| !v.is_finite()) {
            return Err(MahalanobisError::Overflow { what: "a component of the distance" });
        }
        Ok(Self::from_dense(Dense { data: components, rows, cols: input_dim }))
    }

    /// The distance of the symmetric positive semidefinite `matrix`, row-major `[dim, dim]`, of which the lower
    /// triangle is read. Components are its eigenvectors scaled by the roots of their eigenvalues, largest first.
    ///
    /// # Errors
    /// When the shape is wrong, a value is not finite, or an eigenvalue is negative beyond rounding.
    pub fn from_matrix(matrix: &[f64], dim: usize) -> Result<Self, MahalanobisError> {
        if dim == 0 {
            return Err(MahalanobisError::NoFeatures);
        }
        check_length("values of the matrix, dim * dim of them", dim * dim, matrix.len())?;
        let eigen = symmetric_eigen(&Dense { data: matrix.to_vec(), rows: dim, cols: dim })?;
        let (largest, smallest) = (eigen.values[0], eigen.values[dim - 1]);
        if smallest < -NEGATIVE_TOLERANCE * largest.abs() {
            return Err(MahalanobisError::NotPositiveSemidefinite { eigenvalue: smallest });
        }
        let mut components = eigen.vectors;
        for (row, value) in components.data.chunks_exact_mut(dim).zip(&eigen.values) {
            row.iter_mut().for_each(|v| *v *= value.max(0.0).sqrt());
        }
        Ok(Self::from_dense(components))
    }

    /// The Euclidean distance of `dim` features, at least 1.
    ///
    /// # Errors
    /// When `dim` is 0.
    pub fn euclidean(dim: usize) -> Result<Self, MahalanobisError> {
        Self::new(Dense::identity(dim, dim).data, dim)
    }

    /// A map known to be finite and not empty.
    pub(super) fn from_dense(components: Dense) -> Self {
        Self { components, threshold: None }
    }

    /// `L`, row-major `[output_dim, input_dim]`.
    pub fn components(&self) -> &[f64] {
        &self.components.data
    }

    /// `M = L^T L`, row-major `[input_dim, input_dim]`, positive semidefinite.
    pub fn matrix(&self) -> Vec<f64> {
        transposed_product(&self.components, &self.components).data
    }

    /// Number of features of a row.
    pub fn input_dim(&self) -> usize {
        self.components.cols
    }

    /// Number of dimensions after [`Mahalanobis::transform`].
    pub fn output_dim(&self) -> usize {
        self.components.rows
    }

    /// Rows `x`, `[n, input_dim]`, mapped by `L` to `[n, output_dim]`, where the Euclidean distance is this distance.
    ///
    /// # Errors
    /// When the width differs, a value is not finite, or an output leaves the range of `f32`.
    pub fn transform(&self, x: &Matrix) -> Result<Matrix, MahalanobisError> {
        check_rows(x, 0)?;
        self.check_width(x.cols())?;
        let mut out = Vec::with_capacity(x.rows() * self.output_dim());
        for first in (0..x.rows()).step_by(BLOCK) {
            let rows: Vec<usize> = (first..x.rows().min(first + BLOCK)).collect();
            let block = product_transposed(&to_dense(x, &rows), &self.components);
            out.extend(block.data.iter().map(|&v| v as f32));
        }
        if out.iter().any(|v| !v.is_finite()) {
            return Err(MahalanobisError::Overflow { what: "a transformed row" });
        }
        Ok(Matrix::new(out, x.rows(), self.output_dim())?)
    }

    /// Distance of two rows of [`Mahalanobis::input_dim`] values, at least 0, in double precision.
    ///
    /// # Errors
    /// When a length differs or a value is not finite.
    pub fn distance(&self, a: &[f32], b: &[f32]) -> Result<f64, MahalanobisError> {
        for (row, values) in [a, b].into_iter().enumerate() {
            self.check_width(values.len())?;
            if let Some(column) = values.iter().position(|v| !v.is_finite()) {
                return Err(MahalanobisError::NonFinite { row, column });
            }
        }
        Ok(self.distance_of(a, b))
    }

    /// Distance of every pair of rows of `x`, `[n, input_dim]`, in the order of `pairs`.
    ///
    /// # Errors
    /// When the width differs, a value is not finite, or a pair names a row that does not exist.
    pub fn pair_distances(&self, x: &Matrix, pairs: &[[usize; 2]]) -> Result<Vec<f64>, MahalanobisError> {
        check_rows(x, 0)?;
        self.check_width(x.cols())?;
        check_tuples("pair", pairs, x.rows())?;
        Ok(pairs.iter().map(|&[a, b]| self.distance_of(x.row(a), x.row(b))).collect())
    }

    /// Largest distance at which two rows are predicted to belong together; `None` before it is chosen.
    pub fn threshold(&self) -> Option<f64> {
        self.threshold
    }

    /// Sets the threshold by hand. A negative one lets nothing pass.
    ///
    /// # Errors
    /// When it is not finite.
    pub fn set_threshold(&mut self, threshold: f64) -> Result<(), MahalanobisError> {
        if !threshold.is_finite() {
            return Err(MahalanobisError::setting("threshold", threshold, "finite"));
        }
        self.threshold = Some(threshold);
        Ok(())
    }

    /// Chooses, stores and returns the threshold that is best on `pairs` of rows of `x`. Use pairs that the learner has
    /// not seen: it has fitted the others.
    ///
    /// # Errors
    /// As [`Mahalanobis::pair_distances`] and [`choose_threshold`].
    pub fn calibrate(
        &mut self,
        x: &Matrix,
        pairs: &Pairs,
        strategy: ThresholdStrategy,
    ) -> Result<f64, MahalanobisError> {
        let threshold = choose_threshold(&self.pair_distances(x, &pairs.pairs)?, &pairs.same, strategy)?;
        self.threshold = Some(threshold);
        Ok(threshold)
    }

    /// Whether the rows of each pair belong together: their distance is at most the threshold.
    ///
    /// # Errors
    /// As [`Mahalanobis::pair_distances`], and when no threshold has been chosen.
    pub fn predict(&self, x: &Matrix, pairs: &[[usize; 2]]) -> Result<Vec<bool>, MahalanobisError> {
        let threshold = self.threshold.ok_or(MahalanobisError::NotCalibrated)?;
        Ok(self.pair_distances(x, pairs)?.into_iter().map(|d| d <= threshold).collect())
    }

    fn check_width(&self, got: usize) -> Result<(), MahalanobisError> {
        check_length("features, as many as the model was fitted on", self.input_dim(), got)
    }

    fn distance_of(&self, a: &[f32], b: &[f32]) -> f64 {
        let difference: Vec<f64> = a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b)).collect();
        let mapped: Vec<f64> =
            self.components.data.chunks_exact(difference.len()).map(|l| dot(l, &difference)).collect();
        norm(&mapped)
    }
}

impl From<Mahalanobis> for Parts {
    fn from(model: Mahalanobis) -> Self {
        let input_dim = model.input_dim();
        Self { components: model.components.data, input_dim, threshold: model.threshold }
    }
}

impl TryFrom<Parts> for Mahalanobis {
    type Error = MahalanobisError;

    fn try_from(parts: Parts) -> Result<Self, Self::Error> {
        let mut model = Self::new(parts.components, parts.input_dim)?;
        if let Some(threshold) = parts.threshold {
            model.set_threshold(threshold)?;
        }
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_matrix_and_transform_of_a_worked_example() {
        // L = [[2, 0], [1, 1]], difference (3, -1): (6, 2), length sqrt 40.
        let model = Mahalanobis::new(vec![2.0, 0.0, 1.0, 1.0], 2).unwrap();
        assert!((model.distance(&[3.0, 0.0], &[0.0, 1.0]).unwrap() - 40f64.sqrt()).abs() < 1e-12);
        assert_eq!(model.matrix(), [5.0, 1.0, 1.0, 1.0]);
        let out = model.transform(&Matrix::new(vec![3.0, -1.0], 1, 2).unwrap()).unwrap();
        assert_eq!(out.as_slice(), [6.0, 2.0]);
    }

    #[test]
    fn a_matrix_comes_back_from_its_components() {
        let matrix = [4.0, 1.0, 0.5, 1.0, 3.0, 0.2, 0.5, 0.2, 1.0];
        let back = Mahalanobis::from_matrix(&matrix, 3).unwrap().matrix();
        assert!(matrix.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-12), "{back:?}");
        let singular = [1.0, 1.0, 1.0, 1.0];
        let back = Mahalanobis::from_matrix(&singular, 2).unwrap().matrix();
        assert!(singular.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-12), "{back:?}");
        let error = Mahalanobis::from_matrix(&[1.0, 2.0, 2.0, 1.0], 2).unwrap_err();
        assert!(matches!(error, MahalanobisError::NotPositiveSemidefinite { .. }));
    }

    #[test]
    fn calibration_follows_the_rule_of_metric_learn() {
        let x = Matrix::from_fn(5, 1, |i, _| i as f32);
        let pairs = vec![[0, 1], [0, 2], [0, 3], [0, 4]];
        let pairs = Pairs { pairs, same: vec![true, true, false, false] };
        let mut model = Mahalanobis::euclidean(1).unwrap();
        assert_eq!(model.predict(&x, &pairs.pairs), Err(MahalanobisError::NotCalibrated));
        let threshold = model.calibrate(&x, &pairs, ThresholdStrategy::Accuracy).unwrap();
        assert_eq!((threshold, model.threshold()), (2.0, Some(2.0)));
        assert_eq!(model.predict(&x, &pairs.pairs).unwrap(), [true, true, false, false]);
    }

    #[test]
    fn refuses_bad_shapes_and_values() {
        assert_eq!(Mahalanobis::new(vec![], 2), Err(MahalanobisError::NoFeatures));
        assert!(matches!(Mahalanobis::new(vec![1.0; 3], 2), Err(MahalanobisError::LengthMismatch { .. })));
        assert!(matches!(Mahalanobis::new(vec![f64::NAN; 2], 2), Err(MahalanobisError::Overflow { .. })));
        let mut model = Mahalanobis::euclidean(2).unwrap();
        assert!(matches!(model.distance(&[0.0; 2], &[0.0; 3]), Err(MahalanobisError::LengthMismatch { .. })));
        let error = model.distance(&[0.0; 2], &[0.0, f32::NAN]).unwrap_err();
        assert_eq!(error, MahalanobisError::NonFinite { row: 1, column: 1 });
        assert!(matches!(model.transform(&Matrix::zeros(2, 3)), Err(MahalanobisError::LengthMismatch { .. })));
        let error = model.pair_distances(&Matrix::zeros(2, 2), &[[0, 2]]).unwrap_err();
        assert_eq!(error, MahalanobisError::TupleOutOfRange { kind: "pair", tuple: 0, index: 2, rows: 2 });
        assert!(model.set_threshold(f64::INFINITY).is_err());
        let huge = Mahalanobis::new(vec![1e39], 1).unwrap();
        let x = Matrix::from_fn(1, 1, |_, _| 1.0);
        assert_eq!(huge.transform(&x), Err(MahalanobisError::Overflow { what: "a transformed row" }));
        assert_eq!(Mahalanobis::euclidean(2).unwrap().transform(&Matrix::zeros(0, 2)).unwrap().rows(), 0);
    }
}

//! The inverse covariance of the rows.
//!
//! Mahalanobis, "On the generalised distance in statistics", Proceedings of the National Institute of Sciences of India
//! 2 (1936), 49-55.

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

use super::data::check_length;
use super::pca::{Keep, Pca};
use super::{Fitted, Learner, Mahalanobis, MahalanobisError};

/// The distance that gave the family its name: `M` is the (pseudo-)inverse of the covariance of all rows.
///
/// ```text
/// M = C^+        C = sum_i (x_i - m)(x_i - m)^T / (n - 1)
/// ```
///
/// It uses no labels: every direction is scaled to unit variance. The baseline of linear metric learning.
///
/// Where the rows do not vary, `M` is zero: constant or repeated features and more features than rows are no trouble.
/// `L` has one row for each direction of variation, the directions of greatest variance first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Covariance {
    /// Keeps this many directions of greatest variance. Default `None`: all, as in metric-learn.
    pub dim: Option<usize>,
}

impl Covariance {
    /// Learns from rows `[n, d]`, at least two of them.
    ///
    /// # Errors
    /// When `dim` is 0 or more than the directions in which the rows vary, on fewer than two rows, on values that are
    /// not finite, and when all rows are equal.
    pub fn fit_rows(&self, x: &Matrix) -> Result<Mahalanobis, MahalanobisError> {
        let keep = match self.dim {
            Some(0) => return Err(MahalanobisError::setting("dim", 0, "at least 1")),
            Some(dim) => Keep::Count(dim),
            None => Keep::All,
        };
        Ok(Pca::fit(x, keep)?.whitened().to_mahalanobis())
    }
}

impl Learner for Covariance {
    /// As [`Covariance::fit_rows`]: the labels are counted and then ignored.
    ///
    /// # Errors
    /// As [`Covariance::fit_rows`], and when the lengths differ.
    fn fit(&self, x: &Matrix, labels: &[usize]) -> Result<Fitted, MahalanobisError> {
        check_length("labels, one for each row", x.rows(), labels.len())?;
        Ok(Fitted::closed_form(self.fit_rows(x)?, x.rows()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_feature_is_scaled_to_unit_variance() {
        // 1, 2, 3: variance 1. Doubled: variance 4.
        let model = Covariance::default().fit_rows(&Matrix::from_fn(3, 1, |i, _| 2.0 * i as f32)).unwrap();
        assert!((model.matrix()[0] - 0.25).abs() < 1e-12);
    }

    #[test]
    fn repeated_and_constant_features_and_few_rows_give_the_pseudo_inverse() {
        // Two equal features of variance 1 and a constant: C^+ is a quarter on the block of both.
        let x = Matrix::from_fn(3, 3, |i, j| if j < 2 { i as f32 } else { 7.0 });
        let matrix = Covariance::default().fit_rows(&x).unwrap().matrix();
        let expected = [0.25, 0.25, 0.0, 0.25, 0.25, 0.0, 0.0, 0.0, 0.0];
        assert!(matrix.iter().zip(expected).all(|(m, e)| (m - e).abs() < 1e-12), "{matrix:?}");
        let wide = Matrix::from_fn(4, 9, |i, j| ((i * 5 + j * 3 + i * j) as f32).sin());
        assert_eq!(Covariance::default().fit_rows(&wide).unwrap().output_dim(), 3);
    }

    #[test]
    fn refuses_what_has_no_covariance() {
        let x = Matrix::from_fn(4, 2, |i, j| ((i * 5 + j * 3) as f32).sin());
        let fit = |dim| Covariance { dim: Some(dim) }.fit_rows(&x);
        assert!(matches!(fit(0), Err(MahalanobisError::InvalidSetting { setting: "dim", .. })));
        assert_eq!(fit(3).unwrap_err(), MahalanobisError::RankTooLow { asked: 3, rank: 2 });
        assert_eq!(fit(1).unwrap().output_dim(), 1);
        let equal = Matrix::zeros(3, 2);
        assert!(matches!(Covariance::default().fit_rows(&equal), Err(MahalanobisError::RankTooLow { .. })));
        assert!(matches!(Covariance::default().fit(&x, &[0]), Err(MahalanobisError::LengthMismatch { .. })));
    }
}

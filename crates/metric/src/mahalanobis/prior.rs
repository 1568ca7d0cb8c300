//! The matrix that a learner stays close to.

use serde::{Deserialize, Serialize};

use super::MahalanobisError;
use super::linalg::{Dense, symmetric_eigen, transposed_product};
use super::pca::RANK_TOLERANCE;

/// The matrix `M_0` that [`Itml`](super::Itml), [`Lsml`](super::Lsml) and [`Sdml`](super::Sdml) stay close to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prior {
    /// The identity: stay close to the Euclidean distance.
    #[default]
    Identity,
    /// The inverse covariance of the distinct rows that occur in the supervision.
    InverseCovariance,
}

/// A prior worked out for some rows.
pub(super) struct PriorMatrices {
    /// `R` with `R^T R = M_0`.
    pub(super) root: Dense,
    /// `M_0^-1`.
    pub(super) inverse: Dense,
}

impl PriorMatrices {
    /// `M_0`.
    pub(super) fn matrix(&self) -> Dense {
        transposed_product(&self.root, &self.root)
    }
}

impl Prior {
    /// The prior for the distinct rows `rows`, `[n, d]`.
    pub(super) fn matrices(self, rows: &Dense) -> Result<PriorMatrices, MahalanobisError> {
        let dim = rows.cols;
        match self {
            Self::Identity => Ok(PriorMatrices { root: Dense::identity(dim, dim), inverse: Dense::identity(dim, dim) }),
            Self::InverseCovariance => {
                let inverse = covariance(rows);
                Ok(PriorMatrices { root: inverse_root(&inverse)?, inverse })
            }
        }
    }
}

/// Covariance of `rows`, dividing by `n - 1`.
fn covariance(rows: &Dense) -> Dense {
    let mut centred = rows.clone();
    centred.subtract_from_rows(&rows.column_means());
    let mut out = transposed_product(&centred, &centred);
    let scale = (rows.rows.max(2) - 1) as f64;
    out.data.iter_mut().for_each(|v| *v /= scale);
    out
}

/// `R` with `R^T R` the inverse of a covariance.
fn inverse_root(covariance: &Dense) -> Result<Dense, MahalanobisError> {
    let dim = covariance.rows;
    let eigen = symmetric_eigen(covariance)?;
    let floor = RANK_TOLERANCE * eigen.values[0];
    let rank = eigen.values.iter().filter(|&&v| v > floor && v > 0.0).count();
    if rank < dim {
        return Err(MahalanobisError::SingularCovariance { rank, dim });
    }
    let mut root = eigen.vectors;
    for (row, value) in root.data.chunks_exact_mut(dim).zip(&eigen.values) {
        row.iter_mut().for_each(|v| *v /= value.sqrt());
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mahalanobis::linalg::product;

    #[test]
    fn the_inverse_covariance_undoes_the_covariance() {
        let rows = Dense { data: (0..36).map(|i| (f64::from(i * i) * 1.7).sin() * 3.0).collect(), rows: 12, cols: 3 };
        let prior = Prior::InverseCovariance.matrices(&rows).unwrap();
        let unit = product(&prior.matrix(), &prior.inverse);
        let expected = Dense::identity(3, 3);
        assert!(unit.data.iter().zip(&expected.data).all(|(a, b)| (a - b).abs() < 1e-10), "{unit:?}");
        assert_eq!(Prior::Identity.matrices(&rows).unwrap().matrix(), expected);
    }

    #[test]
    fn equal_features_have_no_inverse() {
        let rows = Dense { data: vec![0.0, 0.0, 1.0, 1.0, 2.0, 2.0], rows: 3, cols: 2 };
        let error = Prior::InverseCovariance.matrices(&rows).err();
        assert_eq!(error, Some(MahalanobisError::SingularCovariance { rank: 1, dim: 2 }));
    }
}

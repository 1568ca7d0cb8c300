//! Where an iterative learner starts.

use serde::{Deserialize, Serialize};

use super::MahalanobisError;
use super::linalg::Dense;
use super::pca::{Keep, principal_directions};

/// The map `L` from which [`Lmnn`](super::Lmnn), [`Nca`](super::Nca) and [`Mlkr`](super::Mlkr) start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// The identity, or its first `dim` rows: with fewer output dimensions than features this starts from the first
    /// features, so prefer [`Init::Pca`] there.
    #[default]
    Identity,
    /// The first `dim` principal directions, not whitened: all directions in which the data vary when `dim` is `None`.
    Pca,
}

/// Start of shape `[dim, d]` for centred `rows` `[n, d]`.
pub(super) fn initial_components(rows: &Dense, init: Init, dim: Option<usize>) -> Result<Dense, MahalanobisError> {
    let d = rows.cols;
    if dim.is_some_and(|dim| dim == 0 || dim > d) {
        let dim = dim.unwrap_or_default();
        return Err(MahalanobisError::setting("dim", dim, "at least 1 and at most the number of features"));
    }
    match init {
        Init::Identity => Ok(Dense::identity(dim.unwrap_or(d), d)),
        Init::Pca => Ok(principal_directions(rows, dim.map_or(Keep::All, Keep::Count))?.directions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pca_starts_along_the_longest_direction() {
        let data = (0..10_i32).flat_map(|i| [0.1 * f64::from(i % 2) - 0.05, f64::from(i) - 4.5, 0.0]).collect();
        let rows = Dense { data, rows: 10, cols: 3 };
        let one = initial_components(&rows, Init::Pca, Some(1)).unwrap();
        assert!(one.data[1] > 0.99, "{one:?}");
        // The third feature is constant: two directions remain.
        assert_eq!(initial_components(&rows, Init::Pca, None).unwrap().rows, 2);
        let error = initial_components(&rows, Init::Pca, Some(3)).unwrap_err();
        assert_eq!(error, MahalanobisError::RankTooLow { asked: 3, rank: 2 });
        assert_eq!(initial_components(&rows, Init::Identity, Some(2)).unwrap(), Dense::identity(2, 3));
    }
}

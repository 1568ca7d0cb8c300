//! From distances to comparisons: which of two rows is nearer, which of two pairs is tighter.

use nearfar_core::matrix::Matrix;

use super::data::check_tuples;
use super::{Mahalanobis, MahalanobisError};
use crate::weak::{Quadruplets, Triplets};

impl Mahalanobis {
    /// Whether the first row of each triplet is nearer to the second than to the third; no at equal distance.
    ///
    /// # Errors
    /// When the width differs, a value is not finite, or a triplet names a row that does not exist.
    pub fn predict_triplets(&self, x: &Matrix, triplets: &Triplets) -> Result<Vec<bool>, MahalanobisError> {
        check_tuples("triplet", &triplets.0, x.rows())?;
        let near = triplets.0.iter().map(|&[a, b, _]| [a, b]);
        let far = triplets.0.iter().map(|&[a, _, c]| [a, c]);
        self.compare(x, near.collect(), far.collect())
    }

    /// Whether the first two rows of each quadruplet are nearer to each other than the last two; no at equal distance.
    ///
    /// # Errors
    /// When the width differs, a value is not finite, or a quadruplet names a row that does not exist.
    pub fn predict_quadruplets(&self, x: &Matrix, quadruplets: &Quadruplets) -> Result<Vec<bool>, MahalanobisError> {
        check_tuples("quadruplet", &quadruplets.0, x.rows())?;
        let near = quadruplets.0.iter().map(|&[a, b, _, _]| [a, b]);
        let far = quadruplets.0.iter().map(|&[_, _, c, d]| [c, d]);
        self.compare(x, near.collect(), far.collect())
    }

    fn compare(&self, x: &Matrix, near: Vec<[usize; 2]>, far: Vec<[usize; 2]>) -> Result<Vec<bool>, MahalanobisError> {
        let (near, far) = (self.pair_distances(x, &near)?, self.pair_distances(x, &far)?);
        Ok(near.iter().zip(&far).map(|(near, far)| near < far).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_follow_the_learnt_distance() {
        // Rows at (0, 0), (3, 0) and (0, 2): the second feature counts double, so (0, 2) is farther.
        let x = Matrix::new(vec![0.0, 0.0, 3.0, 0.0, 0.0, 2.0], 3, 2).unwrap();
        let model = Mahalanobis::new(vec![1.0, 0.0, 0.0, 2.0], 2).unwrap();
        let triplets = Triplets(vec![[0, 1, 2], [0, 2, 1], [0, 1, 1]]);
        assert_eq!(model.predict_triplets(&x, &triplets).unwrap(), [true, false, false]);
        let plain = Mahalanobis::euclidean(2).unwrap();
        assert_eq!(plain.predict_triplets(&x, &triplets).unwrap(), [false, true, false]);
        let quadruplets = Quadruplets(vec![[0, 1, 1, 2], [1, 2, 0, 1]]);
        assert_eq!(model.predict_quadruplets(&x, &quadruplets).unwrap(), [true, false]);
    }

    #[test]
    fn tuples_of_rows_that_do_not_exist_are_named() {
        let (x, model) = (Matrix::zeros(2, 2), Mahalanobis::euclidean(2).unwrap());
        let error = model.predict_triplets(&x, &Triplets(vec![[0, 1, 2]])).unwrap_err();
        assert_eq!(error, MahalanobisError::TupleOutOfRange { kind: "triplet", tuple: 0, index: 2, rows: 2 });
        let error = model.predict_quadruplets(&x, &Quadruplets(vec![[0, 1, 0, 7]])).unwrap_err();
        assert_eq!(error, MahalanobisError::TupleOutOfRange { kind: "quadruplet", tuple: 0, index: 7, rows: 2 });
        assert_eq!(model.predict_triplets(&x, &Triplets(vec![])).unwrap(), [false; 0]);
    }
}

//! Directions ordered by how little a part of the scatter varies along them.
//!
//! Learners that weigh a scatter to be small (rows of one chunk, of one class, of same pairs) against the scatter of
//! all solve one generalised eigenproblem, `part v = share whole v`. Metric learners usually invert `part`, which fails
//! when there are more features than rows, or a feature is constant, or rows are repeated. Here the problem is solved
//! in the directions in which the rows vary at all, and a direction in which `part` does not vary gets the smallest
//! share that is not zero: it counts as much as the best of the others, not infinitely much.

use super::MahalanobisError;
use super::linalg::{Dense, product, product_transposed, symmetric_eigen};
use super::pca::RANK_TOLERANCE;

/// Shares below this are zero to the rounding of features that come as `f32`.
const SHARE_TOLERANCE: f64 = 1e-9;

/// Directions `v` with `part v = share whole v`.
#[derive(Debug)]
pub(super) struct Directions {
    /// Share of the part in the whole along each direction, greater than 0, increasing.
    pub(super) shares: Vec<f64>,
    /// One direction a row, `[rank, d]`, orthonormal with respect to the whole: `V whole V^T = I`, and so
    /// `V part V^T = diag(shares)`.
    pub(super) vectors: Dense,
}

/// Solves `part v = share whole v` for symmetric positive semidefinite `part` and `whole`, `[d, d]`, in the range of
/// `whole`; what varies in `part` must vary in `whole` too.
pub(super) fn directions(part: &Dense, whole: &Dense) -> Result<Directions, MahalanobisError> {
    let d = whole.rows;
    let outer = symmetric_eigen(whole)?;
    let floor = RANK_TOLERANCE * outer.values[0];
    let rank = outer.values.iter().take_while(|&&v| v > floor && v > 0.0).count();
    if rank == 0 {
        return Err(MahalanobisError::RankTooLow { asked: 1, rank });
    }
    let mut whitening = outer.vectors; // H whole H^T = I
    whitening.data.truncate(rank * d);
    whitening.rows = rank;
    for (row, value) in whitening.data.chunks_exact_mut(d).zip(&outer.values) {
        row.iter_mut().for_each(|v| *v /= value.sqrt());
    }
    let mut inner = symmetric_eigen(&product_transposed(&product(&whitening, part), &whitening))?;
    let mut shares: Vec<f64> = inner.values.iter().rev().copied().collect();
    raise_zeros(&mut shares);
    inner.vectors.data = inner.vectors.data.chunks_exact(rank).rev().flatten().copied().collect();
    Ok(Directions { shares, vectors: product(&inner.vectors, &whitening) })
}

/// Shares that are zero to rounding become the smallest of the others; a half where there are no others.
pub(super) fn raise_zeros(shares: &mut [f64]) {
    let positive = shares.iter().copied().filter(|&s| s > SHARE_TOLERANCE);
    let smallest = positive.reduce(f64::min).unwrap_or(0.5);
    shares.iter_mut().for_each(|s| *s = s.max(smallest));
}

impl Directions {
    /// The directions scaled to unit variance in the part: `V part V^T = I`.
    pub(super) fn normalized(mut self) -> Dense {
        for (row, share) in self.vectors.data.chunks_exact_mut(self.vectors.cols).zip(&self.shares) {
            row.iter_mut().for_each(|v| *v /= share.sqrt());
        }
        self.vectors
    }
}

/// The first `dim` rows of `components`, all of them when `dim` is `None`.
pub(super) fn keep_rows(mut components: Dense, dim: Option<usize>) -> Result<Dense, MahalanobisError> {
    let rank = components.rows;
    match dim {
        Some(0) => return Err(MahalanobisError::setting("dim", 0, "at least 1")),
        Some(asked) if asked > rank => return Err(MahalanobisError::RankTooLow { asked, rank }),
        Some(dim) => {
            components.data.truncate(dim * components.cols);
            components.rows = dim;
        }
        None => {}
    }
    Ok(components)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mahalanobis::linalg::transposed_product;

    fn scatter(rows: usize, cols: usize, scale: &[f64]) -> Dense {
        let value = |i: usize| ((i * i) as f64 * 0.37 + i as f64).sin() * scale[i % cols];
        let x = Dense { data: (0..rows * cols).map(value).collect(), rows, cols };
        transposed_product(&x, &x)
    }

    fn sum(a: &Dense, b: &Dense) -> Dense {
        Dense { data: a.data.iter().zip(&b.data).map(|(a, b)| a + b).collect(), ..*a }
    }

    #[test]
    fn both_scatters_become_diagonal() {
        let part = scatter(9, 4, &[1.0, 0.1, 2.0, 0.7]);
        let whole = sum(&part, &scatter(11, 4, &[0.3, 1.0, 2.0, 1.5]));
        let found = directions(&part, &whole).unwrap();
        assert!(found.shares.windows(2).all(|w| w[0] <= w[1]));
        assert!(found.shares.iter().all(|s| (0.0..1.0).contains(s)), "{:?}", found.shares);
        let v = &found.vectors;
        let inside = product_transposed(&product(v, &part), v);
        let all = product_transposed(&product(v, &whole), v);
        for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
            let unit = if i == j { 1.0 } else { 0.0 };
            assert!((all.row(i)[j] - unit).abs() < 1e-10);
            assert!((inside.row(i)[j] - unit * found.shares[i]).abs() < 1e-10);
        }
    }

    #[test]
    fn directions_without_variation_in_the_part_count_as_the_tightest_that_varies() {
        let part = Dense { data: vec![0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0], rows: 3, cols: 3 };
        // The third feature is constant everywhere: no direction.
        let whole = Dense { data: vec![1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0], rows: 3, cols: 3 };
        let found = directions(&part, &whole).unwrap();
        assert_eq!((found.vectors.rows, found.vectors.cols), (2, 3));
        assert!(found.shares.iter().all(|s| (s - 0.25).abs() < 1e-12), "{:?}", found.shares);
        let nothing = Dense::zeros(3, 3);
        assert_eq!(directions(&nothing, &whole).unwrap().shares, [0.5, 0.5]);
        let error = directions(&nothing, &nothing).unwrap_err();
        assert_eq!(error, MahalanobisError::RankTooLow { asked: 1, rank: 0 });
    }

    #[test]
    fn keeps_as_many_rows_as_there_are() {
        assert_eq!(keep_rows(Dense::identity(3, 3), Some(2)).unwrap(), Dense::identity(2, 3));
        assert_eq!(keep_rows(Dense::identity(3, 3), None).unwrap(), Dense::identity(3, 3));
        let error = keep_rows(Dense::identity(3, 3), Some(4)).unwrap_err();
        assert_eq!(error, MahalanobisError::RankTooLow { asked: 4, rank: 3 });
        assert!(matches!(keep_rows(Dense::identity(3, 3), Some(0)), Err(MahalanobisError::InvalidSetting { .. })));
    }
}

//! The distances that ITML asks of same and of different pairs.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::MahalanobisError;
use super::constraints::triangular_pair;
use super::linalg::{Dense, squared_distance};

/// Distances that the default bounds are taken from; with more pairs of rows than this, a seeded sample of them.
const BOUND_SAMPLES: usize = 500_000;

/// `0 < u <= l < infinity`.
pub(super) fn check_bounds((upper, lower): (f64, f64)) -> Result<(f64, f64), MahalanobisError> {
    if upper > 0.0 && upper <= lower && lower.is_finite() {
        return Ok((upper, lower));
    }
    Err(MahalanobisError::setting("bounds", format!("({upper}, {lower})"), "two squared distances with 0 < u <= l"))
}

/// The 5th and 95th percentile of the squared distances between distinct rows.
pub(super) fn default_bounds(rows: &Dense, seed: u64) -> Result<(f64, f64), MahalanobisError> {
    if rows.rows < 2 {
        return Err(MahalanobisError::NoDistinctPairs);
    }
    let total = rows.rows * (rows.rows - 1) / 2;
    let distance = |pair: usize| {
        let (a, b) = triangular_pair(pair);
        squared_distance(rows.row(a), rows.row(b))
    };
    let mut distances: Vec<f64> = if total <= BOUND_SAMPLES {
        (0..total).into_par_iter().map(distance).collect()
    } else {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let drawn: Vec<usize> = (0..BOUND_SAMPLES).map(|_| rng.random_range(0..total)).collect();
        drawn.into_par_iter().map(distance).collect()
    };
    distances.retain(|&d| d > 0.0); // 0 and -0 make rows that differ and do not
    if distances.is_empty() {
        return Err(MahalanobisError::NoDistinctPairs);
    }
    Ok((percentile(&mut distances, 0.05), percentile(&mut distances, 0.95)))
}

/// Linear interpolation between the two nearest of the sorted values, as numpy does, without sorting them all.
fn percentile(values: &mut [f64], share: f64) -> f64 {
    let place = share * (values.len() - 1) as f64;
    let (_, &mut below, rest) = values.select_nth_unstable_by(place.floor() as usize, f64::total_cmp);
    let above = rest.iter().copied().fold(f64::INFINITY, f64::min);
    if place.fract() > 0.0 { below + place.fract() * (above - below) } else { below }
}

#[cfg(test)]
mod tests {
    use super::super::data::distinct_rows;
    use super::*;
    use nearfar_core::matrix::Matrix;

    #[test]
    fn default_bounds_are_percentiles_of_squared_distances() {
        // Rows 0, 1, 3: squared distances 1, 4, 9.
        let x = Matrix::new(vec![0.0, 1.0, 3.0, 3.0], 4, 1).unwrap();
        let (upper, lower) = default_bounds(&distinct_rows(&x, 0..4), 0).unwrap();
        assert!((upper - 1.3).abs() < 1e-12 && (lower - 8.5).abs() < 1e-12, "{upper} {lower}");
    }

    #[test]
    fn many_rows_are_sampled_and_repeat_with_the_seed() {
        // 1,200 rows have 719,400 pairs; on a line of unit steps the gaps are known.
        let x = Matrix::from_fn(1200, 1, |i, _| i as f32);
        let rows = distinct_rows(&x, 0..1200);
        let (upper, lower) = default_bounds(&rows, 1).unwrap();
        // The share of gaps up to g is 1 - (1 - g / 1200)^2: 0.05 at g = 30.4, 0.95 at g = 931.7.
        assert!((upper.sqrt() - 30.4).abs() < 1.5, "{upper}");
        assert!((lower.sqrt() - 931.7).abs() < 5.0, "{lower}");
        assert_eq!(default_bounds(&rows, 1).unwrap(), (upper, lower));
    }

    #[test]
    fn equal_rows_have_no_bounds() {
        let x = Matrix::new(vec![2.0, 1.0, 2.0, 1.0], 4, 1).unwrap();
        let equal = distinct_rows(&x, [0, 2].into_iter());
        assert_eq!(default_bounds(&equal, 0), Err(MahalanobisError::NoDistinctPairs));
    }
}

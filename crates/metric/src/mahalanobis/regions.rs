//! Regions of the input space: k-means.
//!
//! Lloyd, "Least squares quantization in PCM" (1982), from the seeding of Arthur and Vassilvitskii, "k-means++: the
//! advantages of careful seeding" (2007).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::linalg::{Dense, axpy, squared_distance};

/// Rounds at most: the centres only have to lie where rows are.
const MAX_ROUNDS: usize = 50;

/// Centres of `count` regions of `rows`, `[count, d]`; fewer when there are fewer distinct rows.
pub(super) fn centres(rows: &Dense, count: usize, seed: u64) -> Dense {
    let mut centres = seeds(rows, count, seed);
    let mut assigned = vec![usize::MAX; rows.rows];
    for _ in 0..MAX_ROUNDS {
        let nearest: Vec<usize> = (0..rows.rows).into_par_iter().map(|i| nearest(rows.row(i), &centres)).collect();
        if nearest == assigned {
            break;
        }
        assigned = nearest;
        let mut sums = Dense::zeros(centres.rows, centres.cols);
        let mut sizes = vec![0.0f64; centres.rows];
        for (i, &region) in assigned.iter().enumerate() {
            axpy(&mut sums.data[region * rows.cols..(region + 1) * rows.cols], 1.0, rows.row(i));
            sizes[region] += 1.0;
        }
        for (region, size) in sizes.into_iter().enumerate().filter(|&(_, size)| size > 0.0) {
            let at = region * rows.cols..(region + 1) * rows.cols;
            centres.data[at.clone()].iter_mut().zip(&sums.data[at]).for_each(|(c, s)| *c = s / size);
        }
    }
    centres
}

/// Rows drawn in proportion to their squared distance from those drawn before.
fn seeds(rows: &Dense, count: usize, seed: u64) -> Dense {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut chosen = rows.row(rng.random_range(0..rows.rows)).to_vec();
    let mut distances: Vec<f64> = (0..rows.rows).map(|i| squared_distance(rows.row(i), &chosen)).collect();
    while chosen.len() < count * rows.cols {
        let total: f64 = distances.iter().sum();
        if total <= 0.0 {
            break; // every distinct row is a centre
        }
        let mut left: f64 = rng.random_range(0.0..total);
        let drawn = distances.iter().position(|&d| {
            left -= d;
            left < 0.0
        });
        // Rounding may leave a rest behind the last row: the farthest row is as good.
        let farthest = || (0..rows.rows).fold(0, |best, i| if distances[i] > distances[best] { i } else { best });
        let row = rows.row(drawn.unwrap_or_else(farthest));
        chosen.extend_from_slice(row);
        for (i, distance) in distances.iter_mut().enumerate() {
            *distance = distance.min(squared_distance(rows.row(i), row));
        }
    }
    Dense { rows: chosen.len() / rows.cols, cols: rows.cols, data: chosen }
}

/// The centre nearest to `row`; ties go to the smaller index.
fn nearest(row: &[f64], centres: &Dense) -> usize {
    let mut best = (f64::INFINITY, 0);
    for region in 0..centres.rows {
        let distance = squared_distance(row, centres.row(region));
        if distance < best.0 {
            best = (distance, region);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_clusters() {
        // Three clusters of four rows around 0, 10 and 20.
        let value = |i: usize| (i % 3 * 10) as f64 + [0.1, -0.1, 0.2, -0.2][i / 3];
        let rows = Dense { data: (0..12).map(value).collect(), rows: 12, cols: 1 };
        for seed in 0..5 {
            let mut found = centres(&rows, 3, seed).data;
            found.sort_by(f64::total_cmp);
            assert!(found.iter().zip([0.0, 10.0, 20.0]).all(|(c, e)| (c - e).abs() < 1e-9), "{seed}: {found:?}");
        }
    }

    #[test]
    fn repeats_with_the_seed_and_gives_fewer_centres_than_asked_for_when_rows_are_equal() {
        let rows = Dense { data: vec![1.0, 1.0, 1.0, 4.0], rows: 4, cols: 1 };
        assert_eq!(centres(&rows, 4, 0).rows, 2);
        let spread = Dense { data: (0..40).map(|i| (i as f64).sin()).collect(), rows: 20, cols: 2 };
        assert_eq!(centres(&spread, 5, 1), centres(&spread, 5, 1));
    }
}

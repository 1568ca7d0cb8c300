//! k-means: Lloyd's algorithm from k-means++ seeds, several restarts.

use nearfar_core::matrix::Matrix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::neighbors::select;
use crate::ranking::{Distance, Pair, Prepared};
use crate::rows::squared_distance;

/// Settings of k-means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KMeansConfig {
    /// Restarts, at least 1; the one with the least inertia wins, the first of equals. Default 5: scikit-learn ran 10
    /// until version 1.3 and 1 since, faiss (and so pytorch-metric-learning) runs 1.
    pub restarts: usize,
    /// Most Lloyd iterations of a restart, at least 1. Default 100 (scikit-learn 300, pytorch-metric-learning 20); most
    /// data settles earlier.
    pub iterations: usize,
    /// Seed of the k-means++ draws; each restart has its own stream. Default 0.
    pub seed: u64,
}

impl Default for KMeansConfig {
    fn default() -> Self {
        Self { restarts: 5, iterations: 100, seed: 0 }
    }
}

/// The best clustering found.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeans {
    /// Cluster centres `[k, d]`: means of rows, or of unit rows for [`Distance::Cosine`].
    pub centroids: Matrix,
    /// Cluster of each row.
    pub assignment: Vec<u32>,
    /// Sum of squared distances to the nearest centre.
    pub inertia: f64,
    /// Lloyd iterations of the winning restart.
    pub iterations: usize,
}

/// Clusters the rows of `features` `[n, d]` into `k` groups, `1 <= k <= n`.
///
/// [`Distance::Cosine`] divides rows by their norm first and then uses Euclidean distances. Seeds are drawn by
/// k-means++ (Arthur and Vassilvitskii 2007); a cluster that loses all rows restarts at the row farthest from its
/// centre; equal distances go to the smaller cluster. The result depends on the seed alone, not on threads.
///
/// # Errors
/// When the features are empty, not finite or too large for squared distances in `f32`, or a setting is out of range.
pub fn kmeans(features: &Matrix, k: usize, distance: Distance, config: &KMeansConfig) -> Result<KMeans, EvalError> {
    let points = match distance {
        Distance::Euclidean => Prepared::new("features", features, Distance::Euclidean)?,
        Distance::Cosine => Prepared::on_sphere("features", features)?,
    };
    if k == 0 || k > points.len() {
        return Err(EvalError::setting("k", k, "between 1 and the number of rows"));
    }
    if config.restarts == 0 {
        return Err(EvalError::setting("restarts", config.restarts, "at least 1"));
    }
    if config.iterations == 0 {
        return Err(EvalError::setting("iterations", config.iterations, "at least 1"));
    }
    let mut best = restart(&points, k, config, 0)?;
    for stream in 1..config.restarts {
        let other = restart(&points, k, config, stream as u64)?;
        if other.inertia < best.inertia {
            best = other;
        }
    }
    Ok(best)
}

/// The nearest centre of each row and the squared distance to it.
struct Assignment {
    clusters: Vec<u32>,
    squares: Vec<f32>,
}

impl Assignment {
    fn new(points: &Prepared<'_>, centroids: &Matrix) -> Result<Self, EvalError> {
        let centers = Prepared::new("centroids", centroids, Distance::Euclidean)?;
        let nearest = select(&Pair::new(points, &centers, Distance::Euclidean, false)?, 1)?;
        Ok(Self { clusters: nearest.indices, squares: nearest.scores })
    }
}

fn restart(points: &Prepared<'_>, k: usize, config: &KMeansConfig, stream: u64) -> Result<KMeans, EvalError> {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    rng.set_stream(stream);
    let mut centroids = plus_plus(points.rows(), k, &mut rng);
    let mut current = Assignment::new(points, &centroids)?;
    let mut iterations = 0;
    for _ in 0..config.iterations {
        let mut clusters = current.clusters.clone();
        fill_empty(&mut clusters, &current.squares, k);
        move_centroids(points.rows(), &clusters, &mut centroids);
        let next = Assignment::new(points, &centroids)?;
        let settled = next.clusters == current.clusters;
        current = next;
        iterations += 1;
        if settled {
            break;
        }
    }
    let inertia = current.squares.iter().map(|&square| f64::from(square)).sum();
    Ok(KMeans { centroids, assignment: current.clusters, inertia, iterations })
}

/// k-means++ seeds: each next one is a row drawn in proportion to its squared distance to the nearest seed so far.
fn plus_plus(rows: &Matrix, k: usize, rng: &mut ChaCha8Rng) -> Matrix {
    let count = rows.rows();
    let mut chosen = vec![rng.random_range(0..count as u64) as usize];
    let mut squares = vec![f32::INFINITY; count];
    while chosen.len() < k {
        let seed = rows.row(chosen[chosen.len() - 1]);
        squares
            .par_iter_mut()
            .enumerate()
            .for_each(|(row, square)| *square = square.min(squared_distance(rows.row(row), seed)));
        let total: f64 = squares.iter().map(|&square| f64::from(square)).sum();
        chosen.push(if total > 0.0 {
            let target = rng.random::<f64>() * total;
            draw_at(&squares, target)
        } else {
            // Every row is a copy of a seed: any of them is as good.
            rng.random_range(0..count as u64) as usize
        });
    }
    rows.select(&chosen)
}

/// The first row at which the running sum of the weights exceeds `target`; weights must not all be zero.
fn draw_at(weights: &[f32], target: f64) -> usize {
    let mut sum = 0.0;
    let mut last = 0;
    for (row, &weight) in weights.iter().enumerate() {
        if weight > 0.0 {
            sum += f64::from(weight);
            last = row;
            if sum > target {
                return row;
            }
        }
    }
    // Rounding can leave the target at the very end of the sum.
    last
}

/// Gives each empty cluster the row farthest from its centre, taken from a cluster that keeps at least one row.
fn fill_empty(clusters: &mut [u32], squares: &[f32], k: usize) {
    let mut sizes = vec![0usize; k];
    clusters.iter().for_each(|&cluster| sizes[cluster as usize] += 1);
    let empty: Vec<usize> = (0..k).filter(|&cluster| sizes[cluster] == 0).collect();
    if empty.is_empty() {
        return;
    }
    let mut farthest: Vec<usize> = (0..clusters.len()).filter(|&row| squares[row] > 0.0).collect();
    farthest.sort_unstable_by(|&a, &b| squares[b].total_cmp(&squares[a]).then(a.cmp(&b)));
    let mut farthest = farthest.into_iter();
    for cluster in empty {
        // Without a row off its centre there are fewer distinct rows than clusters, and the rest stays empty.
        let Some(row) = farthest.find(|&row| sizes[clusters[row] as usize] > 1) else {
            return;
        };
        sizes[clusters[row] as usize] -= 1;
        sizes[cluster] += 1;
        clusters[row] = cluster as u32;
    }
}

/// Moves each centre to the mean of its rows, summed in `f64` in row order; a centre without rows stays.
fn move_centroids(rows: &Matrix, clusters: &[u32], centroids: &mut Matrix) {
    let cols = rows.cols();
    let mut sums = vec![0.0f64; centroids.rows() * cols];
    let mut sizes = vec![0usize; centroids.rows()];
    for (row, &cluster) in rows.iter_rows().zip(clusters) {
        let cluster = cluster as usize;
        sizes[cluster] += 1;
        let sum = &mut sums[cluster * cols..(cluster + 1) * cols];
        sum.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    for (cluster, sum) in sums.chunks_exact(cols).enumerate() {
        if sizes[cluster] > 0 {
            let size = sizes[cluster] as f64;
            centroids.row_mut(cluster).iter_mut().zip(sum).for_each(|(center, sum)| *center = (sum / size) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::{blobs, noise};

    #[test]
    fn finds_separated_groups() {
        let (features, labels) = blobs(30, 4, 0.2);
        let found = kmeans(&features, 3, Distance::Euclidean, &KMeansConfig::default()).unwrap();
        let cluster_of = |label: usize| found.assignment[labels.iter().position(|&l| l == label).unwrap()];
        for (&label, &cluster) in labels.iter().zip(&found.assignment) {
            assert_eq!(cluster, cluster_of(label));
        }
        assert_ne!(cluster_of(4), cluster_of(5));
        assert_ne!(cluster_of(5), cluster_of(9));
    }

    #[test]
    fn as_many_clusters_as_distinct_rows_leave_no_inertia() {
        let features = Matrix::from_fn(12, 2, |i, j| ((i % 4) * 10 + j) as f32);
        for k in [4, 5, 12] {
            let found = kmeans(&features, k, Distance::Euclidean, &KMeansConfig::default()).unwrap();
            assert_eq!(found.inertia, 0.0, "{k} clusters");
        }
        let one = kmeans(&features, 1, Distance::Euclidean, &KMeansConfig::default()).unwrap();
        assert_eq!(one.centroids.row(0), [15.0, 16.0]);
        assert!((one.inertia - 12.0 * 2.0 * 125.0).abs() < 1e-3);
    }

    #[test]
    fn empty_clusters_take_the_farthest_rows() {
        let mut clusters = [0, 0, 0, 1];
        fill_empty(&mut clusters, &[1.0, 9.0, 4.0, 25.0], 4);
        // Row 3 is the farthest, but alone in its cluster: rows 1 and 2 move.
        assert_eq!(clusters, [0, 2, 3, 1]);
        let mut copies = [0, 0];
        fill_empty(&mut copies, &[0.0, 0.0], 2);
        assert_eq!(copies, [0, 0]);
    }

    #[test]
    fn draws_in_proportion() {
        let weights = [0.0, 1.0, 0.0, 3.0];
        assert_eq!(draw_at(&weights, 0.0), 1);
        assert_eq!(draw_at(&weights, 0.99), 1);
        assert_eq!(draw_at(&weights, 1.0), 3);
        assert_eq!(draw_at(&weights, 4.0), 3);
    }

    #[test]
    fn cosine_ignores_length() {
        let features = Matrix::from_fn(20, 2, |i, j| if j == i % 2 { (i + 1) as f32 } else { 0.0 });
        let found = kmeans(&features, 2, Distance::Cosine, &KMeansConfig::default()).unwrap();
        assert_eq!(found.inertia, 0.0);
        assert!((0..20).all(|i| found.assignment[i] == found.assignment[i % 2]));
    }

    #[test]
    fn rejects_bad_settings() {
        let features = Matrix::from_fn(3, 2, |i, j| (i + j) as f32);
        let run = |k, config| kmeans(&features, k, Distance::Euclidean, &config);
        assert!(matches!(run(4, KMeansConfig::default()), Err(EvalError::Setting { name: "k", .. })));
        assert!(matches!(run(0, KMeansConfig::default()), Err(EvalError::Setting { name: "k", .. })));
        let bad = KMeansConfig { restarts: 0, ..KMeansConfig::default() };
        assert!(matches!(run(2, bad), Err(EvalError::Setting { name: "restarts", .. })));
        let bad = KMeansConfig { iterations: 0, ..KMeansConfig::default() };
        assert!(matches!(run(2, bad), Err(EvalError::Setting { name: "iterations", .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Rows sit at their nearest centre, more iterations never cost inertia, and a seed repeats.
        #[test]
        fn lloyd_laws(rows in 2usize..80, k in 1usize..6, seed in 0u64..100) {
            let features = Matrix::from_fn(rows, 3, |i, j| noise(seed as usize * 1000 + i * 3 + j));
            let k = k.min(rows);
            let config = KMeansConfig { restarts: 1, iterations: 1, seed };
            let short = kmeans(&features, k, Distance::Euclidean, &config).unwrap();
            let long = kmeans(&features, k, Distance::Euclidean, &KMeansConfig { iterations: 100, ..config }).unwrap();
            prop_assert!(long.inertia <= short.inertia * (1.0 + 1e-5) + 1e-6);
            let again = kmeans(&features, k, Distance::Euclidean, &KMeansConfig { iterations: 100, ..config }).unwrap();
            prop_assert_eq!(&again, &long);
            for (i, &cluster) in long.assignment.iter().enumerate() {
                let own = squared_distance(features.row(i), long.centroids.row(cluster as usize));
                for other in long.centroids.iter_rows() {
                    prop_assert!(own <= squared_distance(features.row(i), other) + 1e-5);
                }
            }
        }
    }
}

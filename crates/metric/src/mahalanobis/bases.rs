//! The directions that SCML composes its metric of.

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::MahalanobisError;
use super::data::Training;
use super::discriminant::{Directions, directions};
use super::knn::Nearest;
use super::linalg::{Dense, norm, squared_distance, transposed_product};
use super::regions::centres;

/// Rows of each class in a region, at two scales: few features, many features. metric-learn has the same.
const SCALES: [[usize; 2]; 2] = [[10, 20], [20, 50]];
/// Features from which the second line counts.
const MANY_FEATURES: usize = 51;

/// `count` unit directions, `[count, d]`, fewer where the data give fewer: Fisher's discriminants of local regions.
///
/// Regions are the centres of k-means, as many as needed. In each, at each of two scales, the nearest rows of every
/// class give `min(classes - 1, d)` directions in which classes vary least compared with all rows (section 3.2 of the
/// paper).
pub(super) fn local_discriminants(data: &Training, count: usize, seed: u64) -> Result<Dense, MahalanobisError> {
    let classes = data.labels.len();
    let each = (classes - 1).min(data.dim());
    let regions = centres(&data.rows, count.div_ceil(2 * each), seed);
    let scales = SCALES[usize::from(data.dim() >= MANY_FEATURES)];
    let places: Vec<(usize, usize)> = scales.iter().flat_map(|&k| (0..regions.rows).map(move |r| (k, r))).collect();
    let local = |&(k, region): &(usize, usize)| -> Result<Vec<f64>, MahalanobisError> {
        let (mut near, mut inside) = (Vec::new(), Vec::new());
        for class in 0..classes {
            let mut nearest = Nearest::new(k);
            for i in data.members(class) {
                nearest.offer(squared_distance(data.rows.row(i), regions.row(region)), i);
            }
            let values: Vec<f64> = nearest.indices().flat_map(|i| data.rows.row(i).iter().copied()).collect();
            near.extend_from_slice(&values);
            inside.extend(centred(values, data.dim()).data);
        }
        let near = centred(near, data.dim());
        let inside = Dense { data: inside, ..near };
        match directions(&transposed_product(&inside, &inside), &transposed_product(&near, &near)) {
            Ok(found) => Ok(unit_rows(&found, each)),
            Err(MahalanobisError::RankTooLow { .. }) => Ok(Vec::new()), // equal rows only: no direction here
            Err(other) => Err(other),
        }
    };
    let found: Vec<Vec<f64>> = places.par_iter().map(local).collect::<Result<_, _>>()?;
    some_rows(found.concat(), data.dim(), count)
}

/// `count` unit directions, `[count, d]`, in which near pairs of triplets vary less than far pairs: the discriminants
/// of drawn sets of `2 d` triplets (all of them when there are fewer) whose share is below a half, at least one of each
/// set. `near` and `far` hold one difference a triplet, `[m, d]`.
pub(super) fn triplet_discriminants(
    near: &Dense,
    far: &Dense,
    count: usize,
    seed: u64,
) -> Result<Dense, MahalanobisError> {
    let d = near.cols;
    let size = near.rows.min(2 * d);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut found = Vec::with_capacity(count * d);
    let mut empty = 0;
    while found.len() < count * d && empty < count {
        let drawn = sample(&mut rng, near.rows, size).into_vec();
        let scatter = |rows: &Dense| {
            let data: Vec<f64> = drawn.iter().flat_map(|&t| rows.row(t).iter().copied()).collect();
            let rows = Dense { data, rows: size, cols: d };
            transposed_product(&rows, &rows)
        };
        let inside = scatter(near);
        let mut whole = scatter(far);
        whole.data.iter_mut().zip(&inside.data).for_each(|(w, i)| *w += i);
        match directions(&inside, &whole) {
            Ok(directions) => {
                let good = directions.shares.iter().filter(|&&s| s < 0.5).count();
                found.extend(unit_rows(&directions, good.max(1)));
            }
            Err(MahalanobisError::RankTooLow { .. }) => empty += 1,
            Err(other) => return Err(other),
        }
    }
    some_rows(found, d, count)
}

/// The first `count` of them, as many as there are, each of length 1.
fn unit_rows(found: &Directions, count: usize) -> Vec<f64> {
    let rows = found.vectors.data.chunks_exact(found.vectors.cols).take(count);
    rows.flat_map(|row| {
        let length = norm(row);
        row.iter().map(move |v| v / length)
    })
    .collect()
}

fn centred(data: Vec<f64>, cols: usize) -> Dense {
    let mut rows = Dense { rows: data.len() / cols, cols, data };
    let mean = rows.column_means();
    rows.subtract_from_rows(&mean);
    rows
}

/// At most `count` rows of `data`, at least one.
fn some_rows(mut data: Vec<f64>, cols: usize, count: usize) -> Result<Dense, MahalanobisError> {
    data.truncate(count * cols);
    if data.is_empty() {
        return Err(MahalanobisError::RankTooLow { asked: 1, rank: 0 });
    }
    Ok(Dense { rows: data.len() / cols, cols, data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfar_core::matrix::Matrix;

    #[test]
    fn rows_on_a_line_give_its_direction_only() {
        // metric-learn's worked example.
        let x = Matrix::from_fn(4, 2, |i, _| i as f32);
        let bases = local_discriminants(&Training::new(&x, &[1, 2, 1, 2]).unwrap(), 7, 0).unwrap();
        assert!(bases.rows > 0 && bases.cols == 2);
        let half = 0.5f64.sqrt();
        assert!(bases.data.iter().all(|v| (v.abs() - half).abs() < 1e-9), "{bases:?}");
        assert!(bases.data.chunks_exact(2).all(|b| b[0] * b[1] > 0.0), "{bases:?}");
    }

    #[test]
    fn regions_give_as_many_directions_as_asked_for() {
        let x = Matrix::from_fn(90, 4, |i, j| ((i * 31 + j * 17 + i * j * 7) as f32 * 0.713).sin() + (i % 3) as f32);
        let data = Training::new(&x, &(0..90).map(|i| i % 3).collect::<Vec<usize>>()).unwrap();
        let bases = local_discriminants(&data, 25, 0).unwrap();
        assert_eq!((bases.rows, bases.cols), (25, 4));
        assert!(bases.data.chunks_exact(4).all(|b| (norm(b) - 1.0).abs() < 1e-12));
        assert_eq!(bases, local_discriminants(&data, 25, 0).unwrap());
    }

    #[test]
    fn triplets_give_directions_in_which_far_rows_differ() {
        // Near rows differ in the first feature, far rows in the second.
        let near = Dense { data: vec![1.0, 0.1, -1.0, 0.0, 2.0, -0.1], rows: 3, cols: 2 };
        let far = Dense { data: vec![0.1, 1.0, 0.0, 2.0, -0.1, 1.5], rows: 3, cols: 2 };
        let bases = triplet_discriminants(&near, &far, 5, 0).unwrap();
        assert_eq!(bases.rows, 5);
        assert!(bases.data.chunks_exact(2).all(|b| b[1].abs() > 0.9), "{bases:?}");
        let still = Dense::zeros(3, 2);
        assert!(matches!(triplet_discriminants(&still, &still, 5, 0), Err(MahalanobisError::RankTooLow { .. })));
    }
}

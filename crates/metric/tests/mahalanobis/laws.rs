//! What holds for every distance and every learner, whatever the rows.

use crate::distance;
use metric::mahalanobis::{Fitted, Itml, Learner, Lfda, Lmnn, Lsml, Mahalanobis, Mlkr, Mmc, Nca, Rca, Scml, Sdml};
use nearfar_core::matrix::Matrix;
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Three overlapping classes; no two rows are equal.
fn clouds(n: usize, dim: usize, seed: u64) -> (Matrix, Vec<usize>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let labels: Vec<usize> = (0..n).map(|i| i % 3).collect();
    let noise: Vec<f32> = (0..n * dim).map(|_| rng.random_range(-2.0..2.0)).collect();
    let x = Matrix::from_fn(n, dim, |i, j| noise[i * dim + j] + if j % 3 == labels[i] { 0.8 } else { 0.0 });
    (x, labels)
}

fn permuted(x: &Matrix, labels: &[usize], seed: u64) -> (Matrix, Vec<usize>) {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    (x.select(&order), order.iter().map(|&i| labels[i]).collect())
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let (x, labels) = clouds(600, 6, 5);
    let lmnn = Lmnn { max_iterations: 6, ..Lmnn::default() };
    let nca = Nca { max_iterations: 4, ..Nca::default() };
    let mlkr = Mlkr { max_iterations: 4, ..Mlkr::default() };
    let learners: [&(dyn Learner + Sync); 10] = [
        &lmnn,
        &nca,
        &mlkr,
        &Scml::default(),
        &Itml::default(),
        &Mmc::default(),
        &Lsml::default(),
        &Sdml::default(),
        &Rca::default(),
        &Lfda::default(),
    ];
    for learner in learners {
        let fit = |threads: usize| -> Fitted {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| learner.fit(&x, &labels).unwrap())
        };
        assert_eq!(fit(1), fit(3));
    }
}

/// A map of 1 to 5 dimensions to as many, and three rows whose values are multiples of 1/8.
fn map_and_rows() -> impl Strategy<Value = (Mahalanobis, Matrix)> {
    (1usize..6, 1usize..6).prop_flat_map(|(k, d)| {
        let components = prop::collection::vec(-3.0f64..3.0, k * d);
        let rows = prop::collection::vec(-800i32..800, 3 * d);
        (components, rows).prop_map(move |(components, rows)| {
            let values = rows.into_iter().map(|v| v as f32 / 8.0).collect();
            (Mahalanobis::new(components, d).unwrap(), Matrix::new(values, 3, d).unwrap())
        })
    })
}

proptest! {
    #[test]
    fn a_distance_is_symmetric_and_obeys_the_triangle_inequality((model, x) in map_and_rows()) {
        let d = |a: usize, b: usize| model.distance(x.row(a), x.row(b)).unwrap();
        prop_assert_eq!(d(0, 1), d(1, 0));
        prop_assert_eq!(d(2, 2), 0.0);
        prop_assert!(d(0, 2) <= d(0, 1) + d(1, 2) + 1e-9);
    }

    #[test]
    fn transformed_rows_are_as_far_apart_as_the_distance_says((model, x) in map_and_rows()) {
        let z = model.transform(&x).unwrap();
        prop_assert_eq!((z.rows(), z.cols()), (3, model.output_dim()));
        let size = z.as_slice().iter().fold(1.0, |m: f64, &v| m.max(f64::from(v).abs()));
        let pairs = [[0, 1], [1, 2], [0, 2]];
        for (&[a, b], d) in pairs.iter().zip(model.pair_distances(&x, &pairs).unwrap()) {
            prop_assert!((distance(z.row(a), z.row(b)) - d).abs() <= 1e-6 * size);
        }
    }

    #[test]
    fn translation_changes_no_distance((model, x) in map_and_rows(), shift in -8000i32..8000) {
        // Multiples of 1/8 of this size are exact in f32, so the differences are the very same numbers.
        let moved = Matrix::from_fn(3, x.cols(), |i, j| x.row(i)[j] + shift as f32 / 8.0);
        let pairs = [[0, 1], [1, 2], [0, 2]];
        prop_assert_eq!(model.pair_distances(&x, &pairs), model.pair_distances(&moved, &pairs));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn shuffled_rows_teach_the_same_matrix(seed in any::<u64>(), order in any::<u64>()) {
        let (x, labels) = clouds(45, 4, seed);
        let (shuffled, shuffled_labels) = permuted(&x, &labels, order);
        let nca = Nca { max_rows: Some(30), max_iterations: 10, ..Nca::default() };
        let learners: [&dyn Learner; 3] = [&Lmnn::default(), &nca, &Lfda::default()];
        for learner in learners {
            let (a, b) = (learner.fit(&x, &labels).unwrap(), learner.fit(&shuffled, &shuffled_labels).unwrap());
            prop_assert_eq!(a, b); // to the last bit
        }
    }

    #[test]
    fn translated_rows_teach_lmnn_the_same_matrix(seed in any::<u64>(), shift in -64i32..64) {
        let (x, labels) = clouds(45, 4, seed);
        // Rounding to multiples of 2^-12 keeps the shifted values exact.
        let grid = |v: f32| (v * 4096.0).round() / 4096.0;
        let still = Matrix::from_fn(45, 4, |i, j| grid(x.row(i)[j]));
        let moved = Matrix::from_fn(45, 4, |i, j| grid(x.row(i)[j]) + shift as f32);
        let (a, b) = (Lmnn::default().fit(&still, &labels).unwrap(), Lmnn::default().fit(&moved, &labels).unwrap());
        let (first, last) = (a.objective[0], *a.objective.last().unwrap());
        prop_assert!((first - b.objective[0]).abs() <= 1e-9 * first);
        prop_assert!((last - b.objective.last().unwrap()).abs() <= 1e-2 * last);
    }
}

//! Mahalanobis learners against metric-learn's results on Iris and Wine, and the laws of a distance.
//!
//! Reference values were computed by metric-learn 0.7 and stored as JSON. Data are `f64` there and `f32` here.

mod closed_forms;
mod laws;
mod neighbours;
mod pairs;
mod references;
mod robust;
mod verification;
mod weak;

use std::collections::HashMap;
use std::path::PathBuf;

use metric::mahalanobis::Mahalanobis;
use metric::weak::{Chunks, Pairs};
use nearfar_core::matrix::Matrix;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Golden {
    iris: Set,
    wine_standardized: Set,
}

#[derive(Deserialize)]
struct Set {
    x: Vec<Vec<f64>>,
    y: Vec<usize>,
    pairs: Vec<[usize; 2]>,
    pair_labels: Vec<i32>,
    quadruplets: Vec<[usize; 4]>,
    chunks: Vec<i64>,
    learners: HashMap<String, Reference>,
}

/// What metric-learn found.
#[derive(Deserialize)]
struct Reference {
    matrix: Vec<Vec<f64>>,
    class_separation: f64,
    leave_one_out_1nn: f64,
}

const OWN_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden");

/// The folder `GOLDEN_DIR`, or the one in this repository.
fn folder() -> PathBuf {
    std::env::var_os("GOLDEN_DIR").map_or_else(|| PathBuf::from(OWN_FOLDER), PathBuf::from)
}

fn read<T: DeserializeOwned>(path: PathBuf) -> T {
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn golden() -> Golden {
    read(folder().join("mahalanobis.json"))
}

impl Golden {
    fn sets(&self) -> [(&'static str, &Set); 2] {
        [("iris", &self.iris), ("wine", &self.wine_standardized)]
    }
}

impl Set {
    fn rows(&self) -> Matrix {
        Matrix::from_fn(self.x.len(), self.x[0].len(), |i, j| self.x[i][j] as f32)
    }

    fn pairs(&self) -> Pairs {
        Pairs { pairs: self.pairs.clone(), same: self.pair_labels.iter().map(|&l| l == 1).collect() }
    }

    /// metric-learn writes -1 for a row without a chunk.
    fn chunks(&self) -> Chunks {
        Chunks(self.chunks.iter().map(|&c| usize::try_from(c).ok()).collect())
    }

    fn reference(&self, algorithm: &str) -> Mahalanobis {
        let matrix = &self.learners[algorithm].matrix;
        Mahalanobis::from_matrix(&matrix.concat(), matrix.len()).unwrap()
    }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
}

/// metric-learn's measure: for each class the mean distance inside (the zeros of rows against themselves included)
/// over the mean distance to other classes, averaged over classes. Lower is better.
fn class_separation(z: &Matrix, y: &[usize]) -> f64 {
    let classes = y.iter().max().unwrap() + 1;
    let mean = |class: usize, inside: bool| {
        let (mut sum, mut count) = (0.0, 0.0);
        for i in (0..y.len()).filter(|&i| y[i] == class) {
            for j in (0..y.len()).filter(|&j| (y[j] == class) == inside) {
                sum += distance(z.row(i), z.row(j));
                count += 1.0;
            }
        }
        sum / count
    };
    (0..classes).map(|c| mean(c, true) / mean(c, false)).sum::<f64>() / classes as f64
}

/// Share of rows whose nearest other row has their class.
fn leave_one_out_1nn(z: &Matrix, y: &[usize]) -> f64 {
    let right = |&i: &usize| {
        let others = (0..y.len()).filter(|&j| j != i);
        let to = |j: usize| distance(z.row(i), z.row(j));
        others.min_by(|&a, &b| to(a).total_cmp(&to(b))).is_some_and(|j| y[j] == y[i])
    };
    (0..y.len()).filter(right).count() as f64 / y.len() as f64
}

/// At least as good as metric-learn on its own measures, up to the differences between local solutions.
fn assert_as_good(name: &str, algorithm: &str, set: &Set, model: &Mahalanobis) {
    let reference = &set.learners[algorithm];
    let z = model.transform(&set.rows()).unwrap();
    let (separation, nearest) = (class_separation(&z, &set.y), leave_one_out_1nn(&z, &set.y));
    let (theirs, their_nearest) = (reference.class_separation, reference.leave_one_out_1nn);
    assert!(separation <= theirs + 0.02, "{name} {algorithm}: class separation {separation} against {theirs}");
    assert!(nearest >= their_nearest - 0.01, "{name} {algorithm}: 1-NN {nearest} against {their_nearest}");
}

fn assert_close(name: &str, ours: &[f64], theirs: &[Vec<f64>], tolerance: f64) {
    let theirs = theirs.concat();
    let scale = theirs.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let error = ours.iter().zip(&theirs).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
    assert_eq!(ours.len(), theirs.len(), "{name}");
    assert!(error <= tolerance * scale, "{name}: off by {error} of {scale}");
}

#[test]
fn a_stored_matrix_scores_as_metric_learn_says() {
    for (name, set) in golden().sets() {
        for (algorithm, reference) in &set.learners {
            let z = set.reference(algorithm).transform(&set.rows()).unwrap();
            let (separation, nearest) = (class_separation(&z, &set.y), leave_one_out_1nn(&z, &set.y));
            assert!((separation - reference.class_separation).abs() < 1e-4, "{name} {algorithm}: {separation}");
            // One row in 150 may tie.
            assert!((nearest - reference.leave_one_out_1nn).abs() < 0.007, "{name} {algorithm}: {nearest}");
        }
    }
}

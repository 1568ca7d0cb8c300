//! The weighted nearest-neighbour classifier that contrastive methods are monitored with.
//!
//! The score of class `c` is the sum over the `k` most similar training rows of `exp(cos / T)` for rows of class `c`
//! (Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination").

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::labels::Classes;
use crate::neighbors::nearest;
use crate::ranking::Distance;
use crate::rows::check_labelled;

/// Settings of the classifier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KnnConfig {
    /// Neighbours that vote, at least 1; capped at the number of training rows. Default 200, as in instance
    /// discrimination, MoCo's CIFAR-10 notebook and lightly.
    pub k: usize,
    /// Temperature `T` of the votes, positive. Default 0.1, as in MoCo's CIFAR-10 notebook and lightly (instance
    /// discrimination: 0.07).
    pub temperature: f64,
}

impl Default for KnnConfig {
    fn default() -> Self {
        Self { k: 200, temperature: 0.1 }
    }
}

/// Accuracy of the weighted nearest-neighbour classifier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Knn {
    /// Share of queries whose best class is theirs, in `[0, 1]`.
    pub accuracy: f64,
    /// Neighbours that voted: the setting, or the number of training rows if that is smaller.
    pub k: usize,
    /// Temperature of the votes.
    pub temperature: f64,
    /// Queries classified.
    pub queries: usize,
}

/// Top-1 accuracy on `queries` (`[q, d]` and classes) of the votes of `training` (`[n, d]` and classes).
///
/// # Errors
/// When features are empty or not finite, shapes do not fit, a setting is out of range, or a query has a class that no
/// training row has.
pub fn knn(training: (&Matrix, &[usize]), queries: (&Matrix, &[usize]), config: &KnnConfig) -> Result<Knn, EvalError> {
    let hits = knn_hits(training, queries, config)?;
    Ok(Knn {
        accuracy: hits.iter().filter(|hit| **hit).count() as f64 / hits.len() as f64,
        k: config.k.min(training.0.rows()),
        temperature: config.temperature,
        queries: hits.len(),
    })
}

/// Whether the class with the most votes is its own, for each of the `queries`: the values behind [`knn`].
///
/// # Errors
/// As [`knn`].
pub fn knn_hits(
    training: (&Matrix, &[usize]),
    queries: (&Matrix, &[usize]),
    config: &KnnConfig,
) -> Result<Vec<bool>, EvalError> {
    check_labelled("queries", queries.0, queries.1)?;
    check_labelled("training rows", training.0, training.1)?;
    let classes = Classes::new(training.1);
    if let Some(row) = queries.1.iter().position(|&label| classes.position(label).is_none()) {
        return Err(EvalError::UnknownClass { what: "queries", row, class: queries.1[row] });
    }
    let predicted = knn_predict(training, queries.0, config)?;
    Ok(predicted.iter().zip(queries.1).map(|(found, expected)| found == expected).collect())
}

/// The class with the most votes for each row of `queries` `[q, d]`; ties go to the smaller class index.
///
/// # Errors
/// As [`knn`], but for the classes of the queries.
///
/// ```
/// use nearfar_core::matrix::Matrix;
/// use nearfar_eval::{KnnConfig, knn_predict};
///
/// let training = Matrix::new(vec![1.0, 0.0, 0.0, 1.0], 2, 2).unwrap();
/// let queries = Matrix::new(vec![0.9, 0.2], 1, 2).unwrap();
/// assert_eq!(knn_predict((&training, &[3, 8]), &queries, &KnnConfig::default()).unwrap(), [3]);
/// ```
pub fn knn_predict(
    training: (&Matrix, &[usize]),
    queries: &Matrix,
    config: &KnnConfig,
) -> Result<Vec<usize>, EvalError> {
    let (rows, labels) = training;
    check_labelled("training rows", rows, labels)?;
    if config.k == 0 {
        return Err(EvalError::setting("k", config.k, "at least 1"));
    }
    if !config.temperature.is_finite() || config.temperature <= 0.0 {
        return Err(EvalError::setting("temperature", config.temperature, "positive and finite"));
    }
    let classes = Classes::new(labels);
    let neighbors = nearest(queries, rows, config.k.min(rows.rows()), Distance::Cosine, false)?;
    let mut votes = vec![0.0; classes.count()];
    let predicted = (0..queries.rows()).map(|query| {
        let (indices, cosines) = (neighbors.indices_of(query), neighbors.scores_of(query));
        cast_votes(indices, cosines, &classes.of_row, config.temperature, &mut votes);
        let mut best = 0;
        for (class, &vote) in votes.iter().enumerate() {
            if vote > votes[best] {
                best = class;
            }
        }
        classes.labels[best]
    });
    Ok(predicted.collect())
}

/// Sums `exp(cos / T)` by class, divided by that of the nearest neighbour: a factor common to all classes, which keeps
/// small temperatures from overflowing.
fn cast_votes(indices: &[u32], cosines: &[f32], class_of_row: &[u32], temperature: f64, votes: &mut [f64]) {
    votes.fill(0.0);
    let nearest = f64::from(cosines[0]);
    for (&index, &cosine) in indices.iter().zip(cosines) {
        votes[class_of_row[index as usize] as usize] += ((f64::from(cosine) - nearest) / temperature).exp();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{blobs, from_rows};

    /// lightly, tests/utils/benchmarking/test_knn.py: four rows, one query.
    #[test]
    fn votes_match_lightly() {
        let bank = from_rows(&[[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0], [-1.0, -1.0, 1.0], [-1.0, -1.0, -1.0]]);
        let query = from_rows(&[[-1.0, 1.1, -1.0]]);
        let neighbors = nearest(&query, &bank, 4, Distance::Cosine, false).unwrap();
        assert_eq!(neighbors.indices_of(0), [1, 3, 0, 2]);
        let mut votes = [0.0; 4];
        cast_votes(neighbors.indices_of(0), neighbors.scores_of(0), &[0, 1, 2, 3], 0.1, &mut votes);
        let expected = [0.055_012, 34.629_311, 0.028_877, 18.177_953];
        for (vote, weight) in votes.iter().zip(expected) {
            assert!((vote * 34.629_311 - weight).abs() < 1e-4, "{vote} {weight}");
        }
        assert_eq!(knn_predict((&bank, &[0, 1, 2, 3]), &query, &KnnConfig::default()).unwrap(), [1]);
    }

    /// The same file: three queries, top-1 is a third.
    #[test]
    fn accuracy_matches_lightly() {
        let bank = from_rows(&[[0.0, -1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]);
        let queries = from_rows(&[[0.0, -0.4], [0.6, 0.7], [0.6, 0.3]]);
        let config = KnnConfig { k: 3, ..KnnConfig::default() };
        let found = knn((&bank, &[0, 1, 2, 3]), (&queries, &[0, 0, 1]), &config).unwrap();
        assert!((found.accuracy - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!((found.k, found.queries), (3, 3));
        let hits = knn_hits((&bank, &[0, 1, 2, 3]), (&queries, &[0, 0, 1]), &config).unwrap();
        assert_eq!(hits, [true, false, false]);
    }

    #[test]
    fn says_how_many_neighbors_voted() {
        let (features, labels) = blobs(10, 6, 0.1);
        let found = knn((&features, &labels), (&features, &labels), &KnnConfig::default()).unwrap();
        assert_eq!((found.accuracy, found.k), (1.0, 30));
    }

    #[test]
    fn ties_go_to_the_smaller_class_and_small_temperatures_do_not_overflow() {
        let bank = from_rows(&[[1.0, 0.0], [1.0, 0.0]]);
        let query = from_rows(&[[2.0, 0.0]]);
        let config = KnnConfig { k: 2, temperature: 1e-4 };
        assert_eq!(knn_predict((&bank, &[7, 2]), &query, &config).unwrap(), [2]);
    }

    #[test]
    fn rejects_bad_settings_and_unknown_classes() {
        let (features, labels) = blobs(4, 3, 0.1);
        let run = |config: KnnConfig| knn_predict((&features, &labels), &features, &config);
        for temperature in [0.0, -1.0, f64::NAN] {
            let error = run(KnnConfig { temperature, ..KnnConfig::default() });
            assert!(matches!(error, Err(EvalError::Setting { name: "temperature", .. })));
        }
        assert!(matches!(run(KnnConfig { k: 0, ..KnnConfig::default() }), Err(EvalError::Setting { name: "k", .. })));
        let unseen = vec![1; labels.len()];
        assert_eq!(
            knn((&features, &labels), (&features, &unseen), &KnnConfig::default()),
            Err(EvalError::UnknownClass { what: "queries", row: 0, class: 1 })
        );
    }
}

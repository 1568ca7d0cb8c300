//! Clustering scores: does k-means find the classes again?

use nearfar_core::matrix::Matrix;
use serde::Serialize;

use crate::agreement::{adjusted_mutual_information, normalized_mutual_information};
use crate::error::EvalError;
use crate::kmeans::{KMeansConfig, kmeans};
use crate::labels::Classes;
use crate::ranking::Distance;
use crate::rows::check_labelled;

/// Agreement of k-means clusters with the classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Clustering {
    /// Normalised mutual information, arithmetic mean, in `[0, 1]`.
    pub nmi: f64,
    /// Adjusted mutual information, arithmetic mean: 0 is chance, 1 is full agreement.
    pub ami: f64,
    /// Clusters: the number of classes.
    pub clusters: usize,
    /// Sum of squared distances to the nearest centre.
    pub inertia: f64,
    /// Lloyd iterations of the winning restart.
    pub iterations: usize,
    /// Restarts run.
    pub restarts: usize,
}

/// Clusters `features` `[n, d]` into as many groups as there are classes and compares them with the classes, as
/// pytorch-metric-learning's `AccuracyCalculator` does.
///
/// # Errors
/// When the features are empty or not finite, labels do not fit, there are fewer than two classes, or a setting is
/// out of range.
pub fn clustering(
    features: &Matrix,
    labels: &[usize],
    distance: Distance,
    config: &KMeansConfig,
) -> Result<Clustering, EvalError> {
    check_labelled("features", features, labels)?;
    let clusters = Classes::new(labels).count();
    if clusters < 2 {
        return Err(EvalError::TooFewClasses { what: "clustering", needed: 2, got: clusters });
    }
    let found = kmeans(features, clusters, distance, config)?;
    let assignment: Vec<usize> = found.assignment.iter().map(|&cluster| cluster as usize).collect();
    Ok(Clustering {
        nmi: normalized_mutual_information(labels, &assignment)?,
        ami: adjusted_mutual_information(labels, &assignment)?,
        clusters,
        inertia: found.inertia,
        iterations: found.iterations,
        restarts: config.restarts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{blobs, noise};

    #[test]
    fn separated_classes_are_found_again() {
        let (features, labels) = blobs(40, 5, 0.3);
        for distance in [Distance::Euclidean, Distance::Cosine] {
            let found = clustering(&features, &labels, distance, &KMeansConfig::default()).unwrap();
            assert!((found.nmi - 1.0).abs() < 1e-12 && (found.ami - 1.0).abs() < 1e-12, "{found:?}");
            assert_eq!((found.clusters, found.restarts), (3, 5));
        }
    }

    #[test]
    fn noise_scores_near_zero_once_adjusted() {
        let features = Matrix::from_fn(300, 6, |i, j| noise(i * 6 + j));
        let labels: Vec<usize> = (0..300).map(|i| i % 5).collect();
        let found = clustering(&features, &labels, Distance::Cosine, &KMeansConfig::default()).unwrap();
        assert!(found.ami.abs() < 0.05 && found.nmi >= 0.0, "{found:?}");
    }

    #[test]
    fn one_class_is_an_error() {
        let (features, labels) = blobs(4, 3, 0.1);
        assert_eq!(
            clustering(&features, &vec![1; labels.len()], Distance::Cosine, &KMeansConfig::default()),
            Err(EvalError::TooFewClasses { what: "clustering", needed: 2, got: 1 })
        );
    }
}

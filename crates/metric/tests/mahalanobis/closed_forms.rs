//! Covariance, PCA, RCA and LFDA: equal to metric-learn's where it follows the paper.

use crate::{assert_as_good, assert_close, class_separation, golden};
use metric::mahalanobis::{Covariance, Keep, Learner, Lfda, Pca, Rca};

#[test]
fn whitening_is_the_covariance_learner() {
    for (name, set) in golden().sets() {
        let whitened = Pca::fit(&set.rows(), Keep::All).unwrap().whitened().to_mahalanobis();
        let fitted = Covariance::default().fit(&set.rows(), &set.y).unwrap();
        assert_eq!(fitted.model, whitened);
        assert_close(name, &whitened.matrix(), &set.learners["covariance"].matrix, 1e-6);
    }
}

#[test]
fn iris_has_the_published_principal_components() {
    let pca = Pca::fit(&golden().iris.rows(), Keep::Variance(0.97)).unwrap();
    assert_eq!(pca.output_dim(), 2);
    for (ours, published) in pca.explained_variance_ratio().iter().zip([0.92461872, 0.05306648]) {
        assert!((ours - published).abs() < 1e-6, "{ours}");
    }
}

/// Closed form: the same matrix, up to the rounding of `f32` rows.
#[test]
fn rca_gives_the_matrix_of_metric_learn() {
    for (name, set) in golden().sets() {
        let fitted = Rca::default().fit_chunks(&set.rows(), &set.chunks()).unwrap();
        assert_close(name, &fitted.model.matrix(), &set.learners["rca"].matrix, 1e-6);
    }
    // The project's own bound on Iris: two dimensions, 30 chunks of 2.
    let iris = golden().iris;
    let rca = Rca { dim: Some(2), chunks: 30, ..Rca::default() };
    let z = rca.fit(&iris.rows(), &iris.y).unwrap().model.transform(&iris.rows()).unwrap();
    assert!(class_separation(&z, &iris.y) < 0.29);
}

/// metric-learn's matrices follow from three slips in its scatters (see [`Lfda`]), so they are not ours; ours are those
/// of the paper's formulas (see `references.rs`).
#[test]
fn lfda_separates_as_well_as_metric_learn() {
    for (name, set) in golden().sets() {
        assert_as_good(name, "lfda", set, &Lfda::default().fit(&set.rows(), &set.y).unwrap().model);
        // With the wide scales that the first of the slips amounts to, without its slack.
        let wide = Lfda { neighbors: 25, ..Lfda::default() }.fit(&set.rows(), &set.y).unwrap().model;
        let separation = class_separation(&wide.transform(&set.rows()).unwrap(), &set.y);
        assert!(separation <= set.learners["lfda"].class_separation, "{name}: {separation}");
        assert_as_good(name, "lfda", set, &wide);
    }
}

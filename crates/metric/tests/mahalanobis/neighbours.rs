//! LMNN, NCA, MLKR and SCML: iterative learners from classes, at least as good as metric-learn's; and its own bounds.

use crate::{assert_as_good, class_separation, distance, golden, leave_one_out_1nn};
use metric::mahalanobis::{Covariance, Init, Itml, Learner, Lfda, Lmnn, Lsml, Mahalanobis, Mlkr, Nca, Scml, Sdml};
use nearfar_core::matrix::Matrix;

#[test]
fn lmnn_separates_as_well_as_metric_learn() {
    for (name, set) in golden().sets() {
        let fitted = Lmnn::default().fit(&set.rows(), &set.y).unwrap();
        assert!(fitted.converged, "{name}");
        assert_as_good(name, "lmnn", set, &fitted.model);
    }
}

#[test]
fn nca_separates_as_well_as_metric_learn() {
    for (name, set) in golden().sets() {
        let fitted = Nca::default().fit(&set.rows(), &set.y).unwrap();
        assert!(fitted.converged, "{name}");
        assert_as_good(name, "nca", set, &fitted.model);
    }
}

#[test]
fn mlkr_predicts_as_well_as_metric_learn() {
    for (name, set) in golden().sets() {
        let x = set.rows();
        let numbers = Matrix::from_fn(x.rows(), 1, |i, _| set.y[i] as f32);
        let fitted = Mlkr::default().fit_targets(&x, &numbers).unwrap();
        assert!(fitted.converged, "{name}");
        assert_as_good(name, "mlkr", set, &fitted.model);
        let (ours, theirs) = (*fitted.objective.last().unwrap(), regression_error(&set.reference("mlkr"), &x, &set.y));
        // Wine is predicted without error by both: 4e-5 and 2e-6 of 178 rows.
        assert!(ours <= theirs * 1.001 + 1e-3, "{name}: {ours} against {theirs}");
        let by_class = Mlkr::default().fit(&x, &set.y).unwrap();
        assert_as_good(name, "mlkr", set, &by_class.model);
    }
}

/// The objective of MLKR, term by term.
fn regression_error(model: &Mahalanobis, x: &Matrix, y: &[usize]) -> f64 {
    let z = model.transform(x).unwrap();
    let error = |i: usize| {
        let squared: Vec<f64> = (0..y.len()).map(|j| distance(z.row(i), z.row(j)).powi(2)).collect();
        let nearest = (0..y.len()).filter(|&j| j != i).map(|j| squared[j]).fold(f64::INFINITY, f64::min);
        let kernel = |j: usize| if j == i { 0.0 } else { (nearest - squared[j]).exp() };
        let total: f64 = (0..y.len()).map(kernel).sum();
        let predicted = (0..y.len()).map(|j| kernel(j) * y[j] as f64).sum::<f64>() / total;
        (predicted - y[i] as f64).powi(2)
    };
    (0..y.len()).map(error).sum()
}

/// As good as metric-learn 0.7 with seed 0, which scored 0.3228 and 0.96 on Iris, 0.4104 and 0.9888 on Wine; what both
/// minimise is compared in `references.rs`.
#[test]
fn scml_separates_as_well_as_metric_learn() {
    for ((name, set), (separation, nearest)) in golden().sets().into_iter().zip([(0.3228, 0.96), (0.4104, 0.9888)]) {
        let x = set.rows();
        let fitted = Scml::default().fit(&x, &set.y).unwrap();
        assert!(fitted.converged, "{name}");
        let z = fitted.model.transform(&x).unwrap();
        let ours = class_separation(&z, &set.y);
        // 0.28 to 0.30 and 0.40 to 0.42 over draws of the regions.
        assert!(ours <= separation + 0.01, "{name}: {ours} against {separation}");
        assert!(leave_one_out_1nn(&z, &set.y) >= nearest - 0.01, "{name}");
    }
}

/// metric-learn's own bounds for Iris, with its settings where it has any.
#[test]
fn iris_is_separated_within_the_bounds_of_metric_learn() {
    let iris = golden().iris;
    let x = iris.rows();
    let raw = class_separation(&x, &iris.y);
    let lmnn = Lmnn { neighbors: 5, ..Lmnn::default() };
    let sdml = Sdml { constraints: Some(1500), ..Sdml::default() };
    let flat = Nca { dim: Some(2), init: Init::Pca, ..Nca::default() };
    let wide = Lfda { dim: Some(2), neighbors: 25, ..Lfda::default() };
    let cases: [(&str, &dyn Learner, f64); 9] = [
        ("lsml", &Lsml::default(), 0.8),
        ("itml", &Itml::default(), 0.2),
        ("lmnn", &lmnn, 0.25),
        ("sdml", &sdml, 0.22),
        ("nca", &Nca::default(), 0.15),
        ("nca in two dimensions", &flat, 0.2),
        ("lfda in two dimensions, wide scales", &wide, 0.15),
        ("mlkr", &Mlkr::default(), 0.25),
        // What SCML minimises is a hinge over neighbours: metric-learn's seeds lie between 0.24 and 0.36, raw is 0.298.
        ("scml", &Scml::default(), raw + 0.01),
    ];
    for (name, learner, bound) in cases {
        let z = learner.fit(&x, &iris.y).unwrap().model.transform(&x).unwrap();
        let separation = class_separation(&z, &iris.y);
        assert!(separation < bound, "{name}: {separation} against {bound}");
    }
    let covariance = Covariance::default().fit_rows(&x).unwrap().transform(&x).unwrap();
    assert!((class_separation(&covariance, &iris.y) - 0.72981476).abs() < 1e-6);
}

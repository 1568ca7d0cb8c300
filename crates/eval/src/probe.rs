//! The linear probe: how much of the classes can a linear classifier read from frozen features?
//!
//! Multinomial logistic regression with an L2 penalty, fitted by L-BFGS. The penalty is swept and chosen on
//! validation rows, as the best one differs between methods by orders of magnitude: a fixed one would bias the
//! comparison (Ericsson et al. 2021). The chosen classifier is scored once on the test rows.
//!
//! Features are standardised by the training rows; constant ones drop out. The objective is
//! `mean cross-entropy + lambda / 2 * |weights|^2`, biases free, so `lambda = 1 / (C n)` for scikit-learn's `C`.

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::labels::Classes;
use crate::rows::{check_features, check_labelled, check_width};

mod lbfgs;
mod objective;

use objective::{Objective, Scaler};

/// Settings of the probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeConfig {
    /// Penalties to try, each positive, at least one. Default: the eight powers of ten from 1e-6 to 10, a coarse form of
    /// the 45 values of Ericsson et al. (1e-6 to 1e5 for the sum over rows), which keeps a sweep at seconds.
    pub lambdas: Vec<f64>,
    /// A fit stops when the norm of its gradient is at most this share of the norm at zero weights; positive.
    /// Default 1e-4: the accuracy is settled long before.
    pub tolerance: f64,
    /// Most L-BFGS iterations of one fit, at least 1. Default 200. Fits run from the largest penalty down, each from
    /// the weights before it.
    pub iterations: usize,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self { lambdas: (-6..=1).map(|power| 10f64.powi(power)).collect(), tolerance: 1e-4, iterations: 200 }
    }
}

/// One fit of the sweep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ProbeFit {
    /// Penalty.
    pub lambda: f64,
    /// Accuracy on the validation rows, in `[0, 1]`.
    pub validation_accuracy: f64,
    /// Objective on the training rows.
    pub objective: f64,
    /// L-BFGS iterations.
    pub iterations: usize,
    /// Whether the gradient reached the tolerance.
    pub converged: bool,
}

/// The chosen classifier and its scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinearProbe {
    /// Accuracy on the test rows, in `[0, 1]`.
    pub accuracy: f64,
    /// Penalty with the best accuracy on the validation rows, the largest of equals.
    pub lambda: f64,
    /// That accuracy, in `[0, 1]`.
    pub validation_accuracy: f64,
    /// Every fit, from the largest penalty down.
    pub sweep: Vec<ProbeFit>,
    #[serde(skip)]
    model: LinearModel,
}

impl LinearProbe {
    /// Classes of the rows of `features` `[n, d]`; equal scores go to the smaller class index.
    ///
    /// # Errors
    /// When the features are empty, not finite, or not as wide as the training rows.
    pub fn predict(&self, features: &Matrix) -> Result<Vec<usize>, EvalError> {
        check_features("features", features)?;
        check_width("training rows", self.model.scaler.width() - 1, "features", features.cols())?;
        Ok(self.model.predict(features))
    }
}

/// A linear classifier on standardised features.
#[derive(Debug, Clone, PartialEq)]
struct LinearModel {
    scaler: Scaler,
    /// Class indices, increasing.
    labels: Vec<usize>,
    /// `[classes, features + 1]`, the last column holding the biases.
    weights: Vec<f64>,
}

impl LinearModel {
    fn predict(&self, features: &Matrix) -> Vec<usize> {
        let classes = objective::predict(&self.scaler, &self.weights, self.labels.len(), features);
        classes.into_iter().map(|class| self.labels[class]).collect()
    }

    fn accuracy(&self, rows: (&Matrix, &[usize])) -> f64 {
        let predicted = self.predict(rows.0);
        let hits = predicted.iter().zip(rows.1).filter(|(found, expected)| found == expected).count();
        hits as f64 / predicted.len() as f64
    }
}

/// Fits on `training`, chooses the penalty on `validation` and scores on `test`; each is `[n, d]` with its classes.
///
/// # Errors
/// When features are empty or not finite, shapes do not fit, there are fewer than two training classes, validation or
/// test rows have a class that no training row has, or a setting is out of range.
///
/// ```
/// use nearfar_core::matrix::Matrix;
/// use nearfar_eval::{ProbeConfig, linear_probe};
///
/// let rows = Matrix::new(vec![0.0, 0.1, 0.9, 1.0], 4, 1).unwrap();
/// let labelled = (&rows, &[0, 0, 1, 1][..]);
/// let probe = linear_probe(labelled, labelled, labelled, &ProbeConfig::default()).unwrap();
/// assert_eq!(probe.accuracy, 1.0);
/// ```
pub fn linear_probe(
    training: (&Matrix, &[usize]),
    validation: (&Matrix, &[usize]),
    test: (&Matrix, &[usize]),
    config: &ProbeConfig,
) -> Result<LinearProbe, EvalError> {
    check_labelled("training rows", training.0, training.1)?;
    let classes = Classes::new(training.1);
    if classes.count() < 2 {
        return Err(EvalError::TooFewClasses { what: "linear probe", needed: 2, got: classes.count() });
    }
    for (what, rows) in [("validation rows", validation), ("test rows", test)] {
        check_labelled(what, rows.0, rows.1)?;
        check_width("training rows", training.0.cols(), what, rows.0.cols())?;
        if let Some(row) = rows.1.iter().position(|&label| classes.position(label).is_none()) {
            return Err(EvalError::UnknownClass { what, row, class: rows.1[row] });
        }
    }
    let lambdas = checked_lambdas(config)?;

    let (model, sweep, chosen) = sweep(training.0, &classes, validation, &lambdas, config);
    let best = sweep[chosen];
    Ok(LinearProbe {
        accuracy: model.accuracy(test),
        lambda: best.lambda,
        validation_accuracy: best.validation_accuracy,
        sweep,
        model,
    })
}

/// The penalties from the largest down.
fn checked_lambdas(config: &ProbeConfig) -> Result<Vec<f64>, EvalError> {
    if config.lambdas.is_empty() {
        return Err(EvalError::setting("lambdas", "empty", "at least one positive penalty"));
    }
    if let Some(&lambda) = config.lambdas.iter().find(|lambda| !lambda.is_finite() || **lambda <= 0.0) {
        return Err(EvalError::setting("lambdas", lambda, "positive and finite penalties"));
    }
    if !config.tolerance.is_finite() || config.tolerance <= 0.0 {
        return Err(EvalError::setting("tolerance", config.tolerance, "positive and finite"));
    }
    if config.iterations == 0 {
        return Err(EvalError::setting("iterations", config.iterations, "at least 1"));
    }
    let mut lambdas = config.lambdas.clone();
    lambdas.sort_unstable_by(|a, b| b.total_cmp(a));
    Ok(lambdas)
}

/// Fits every penalty, and returns the best model, all fits and which of them is best.
fn sweep(
    features: &Matrix,
    classes: &Classes,
    validation: (&Matrix, &[usize]),
    lambdas: &[f64],
    config: &ProbeConfig,
) -> (LinearModel, Vec<ProbeFit>, usize) {
    let scaler = Scaler::fit(features);
    let objective = |lambda: f64| Objective {
        features,
        scaler: &scaler,
        targets: &classes.of_row,
        classes: classes.count(),
        lambda,
    };
    let size = objective(lambdas[0]).size();
    // At zero weights the penalty has no gradient, so every fit shares this reference.
    let mut gradient = vec![0.0; size];
    objective(lambdas[0]).evaluate(&vec![0.0; size], &mut gradient);
    let tolerance = config.tolerance * lbfgs::norm(&gradient);

    let mut model = LinearModel { scaler: scaler.clone(), labels: classes.labels.clone(), weights: vec![0.0; size] };
    let mut best_weights = model.weights.clone();
    let mut fits: Vec<ProbeFit> = Vec::with_capacity(lambdas.len());
    let mut chosen = 0;
    for &lambda in lambdas {
        let objective = objective(lambda);
        let outcome = lbfgs::minimize(&mut model.weights, tolerance, config.iterations, |weights, gradient| {
            objective.evaluate(weights, gradient)
        });
        fits.push(ProbeFit {
            lambda,
            validation_accuracy: model.accuracy(validation),
            objective: outcome.value,
            iterations: outcome.iterations,
            converged: outcome.converged,
        });
        // Penalties fall, so a tie keeps the larger one.
        let last = fits.len() - 1;
        if last == 0 || fits[last].validation_accuracy > fits[chosen].validation_accuracy {
            chosen = last;
            best_weights.copy_from_slice(&model.weights);
        }
    }
    model.weights = best_weights;
    (model, fits, chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{blobs, noise};

    /// Overlapping classes: label noise on top of blobs.
    fn overlapping(rows: usize) -> (Matrix, Vec<usize>) {
        let (features, mut labels) = blobs(rows, 4, 2.5);
        for (i, label) in labels.iter_mut().enumerate() {
            if noise(i + 10_000_000) > 0.8 {
                *label = [4, 5, 9][(i + 1) % 3];
            }
        }
        (features, labels)
    }

    #[test]
    fn separable_classes_are_read_exactly() {
        let (features, labels) = blobs(60, 6, 0.4);
        let rows = (&features, labels.as_slice());
        let probe = linear_probe(rows, rows, rows, &ProbeConfig::default()).unwrap();
        assert_eq!((probe.accuracy, probe.validation_accuracy), (1.0, 1.0));
        // All penalties reach it: the largest wins the tie.
        assert_eq!(probe.lambda, 10.0);
        assert_eq!(probe.sweep.len(), 8);
        assert_eq!(probe.predict(&features).unwrap(), labels);
    }

    #[test]
    fn agrees_with_long_gradient_descent() {
        let (features, labels) = overlapping(50);
        let classes = Classes::new(&labels);
        let scaler = Scaler::fit(&features);
        let objective =
            Objective { features: &features, scaler: &scaler, targets: &classes.of_row, classes: 3, lambda: 0.05 };
        let mut weights = vec![0.0; objective.size()];
        let mut gradient = vec![0.0; objective.size()];
        for _ in 0..4000 {
            objective.evaluate(&weights, &mut gradient);
            weights.iter_mut().zip(&gradient).for_each(|(weight, g)| *weight -= 0.3 * g);
        }
        let mut found = vec![0.0; objective.size()];
        let outcome = lbfgs::minimize(&mut found, 1e-7, 500, |w, g| objective.evaluate(w, g));
        assert!(outcome.converged, "{outcome:?}");
        for (at, (a, b)) in found.iter().zip(&weights).enumerate() {
            assert!((a - b).abs() < 1e-5, "parameter {at}: {a} and {b}");
        }
        assert!((outcome.value - objective.evaluate(&weights, &mut gradient)).abs() < 1e-9);
    }

    #[test]
    fn fits_converge_and_objectives_fall_with_the_penalty() {
        let (features, labels) = overlapping(80);
        let rows = (&features, labels.as_slice());
        let probe = linear_probe(rows, rows, rows, &ProbeConfig::default()).unwrap();
        assert!(probe.sweep.iter().all(|fit| fit.converged), "{:?}", probe.sweep);
        assert!(probe.sweep.windows(2).all(|pair| pair[0].lambda > pair[1].lambda));
        assert!(probe.sweep.windows(2).all(|pair| pair[0].objective > pair[1].objective));
        assert!(probe.accuracy > 0.5, "{}", probe.accuracy);
    }

    #[test]
    fn renaming_classes_changes_only_names() {
        let (features, labels) = overlapping(40);
        let rename = |label: usize| [(4, 70), (5, 1), (9, 30)].iter().find(|(from, _)| *from == label).unwrap().1;
        let renamed: Vec<usize> = labels.iter().map(|&label| rename(label)).collect();
        let (rows, others) = ((&features, labels.as_slice()), (&features, renamed.as_slice()));
        let probe = linear_probe(rows, rows, rows, &ProbeConfig::default()).unwrap();
        let other = linear_probe(others, others, others, &ProbeConfig::default()).unwrap();
        assert_eq!((probe.accuracy, probe.lambda), (other.accuracy, other.lambda));
        let predicted: Vec<usize> = probe.predict(&features).unwrap().into_iter().map(rename).collect();
        assert_eq!(predicted, other.predict(&features).unwrap());
    }

    #[test]
    fn the_scale_of_features_does_not_matter() {
        let (features, labels) = overlapping(40);
        let scaled = Matrix::from_fn(features.rows(), 4, |i, j| features.row(i)[j] * [1.0, 1e-4, 1e4, 8.0][j]);
        let run = |features: &Matrix| {
            let rows = (features, labels.as_slice());
            linear_probe(rows, rows, rows, &ProbeConfig::default()).unwrap()
        };
        assert!((run(&features).accuracy - run(&scaled).accuracy).abs() < 0.02);
    }

    #[test]
    fn rejects_what_cannot_be_probed() {
        let (features, labels) = blobs(4, 3, 0.1);
        let rows = (&features, labels.as_slice());
        let run = |training, test, config: &ProbeConfig| linear_probe(training, rows, test, config);
        let one = vec![4; labels.len()];
        assert_eq!(
            run((&features, one.as_slice()), rows, &ProbeConfig::default()),
            Err(EvalError::TooFewClasses { what: "linear probe", needed: 2, got: 1 })
        );
        let mut unseen = labels.clone();
        unseen[5] = 77;
        assert_eq!(
            run(rows, (&features, unseen.as_slice()), &ProbeConfig::default()),
            Err(EvalError::UnknownClass { what: "test rows", row: 5, class: 77 })
        );
        let narrow = Matrix::zeros(labels.len(), 2);
        assert!(matches!(
            run(rows, (&narrow, labels.as_slice()), &ProbeConfig::default()),
            Err(EvalError::Width { .. })
        ));
        for lambdas in [vec![], vec![0.0], vec![1.0, f64::NAN]] {
            let config = ProbeConfig { lambdas, ..ProbeConfig::default() };
            assert!(matches!(run(rows, rows, &config), Err(EvalError::Setting { name: "lambdas", .. })));
        }
        let config = ProbeConfig { tolerance: 0.0, ..ProbeConfig::default() };
        assert!(matches!(run(rows, rows, &config), Err(EvalError::Setting { name: "tolerance", .. })));
        let probe = linear_probe(rows, rows, rows, &ProbeConfig::default()).unwrap();
        assert!(matches!(probe.predict(&narrow), Err(EvalError::Width { .. })));
    }
}

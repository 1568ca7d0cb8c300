//! The regularised softmax loss of a linear classifier on standardised features, with its gradient.

use nearfar_core::matrix::Matrix;
use rayon::prelude::*;

use crate::product::{View, multiply};

/// Pieces of the rows that are summed apart and then added in order: the same for every number of threads.
const STRIPES: usize = 16;

/// Rows that are standardised and multiplied at once.
const BLOCK: usize = 256;

/// A spread below this share of the mean is rounding.
const LEAST_SPREAD: f64 = 1e-9;

/// Mean and spread of each training feature.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scaler {
    means: Vec<f64>,
    /// `1 / standard deviation`, or 0 for a constant feature, which thereby drops out.
    inverses: Vec<f64>,
}

impl Scaler {
    /// Means and population deviations of the columns.
    pub(super) fn fit(features: &Matrix) -> Self {
        let rows = features.rows() as f64;
        let mut means = vec![0.0f64; features.cols()];
        for row in features.iter_rows() {
            means.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value));
        }
        means.iter_mut().for_each(|mean| *mean /= rows);
        let mut squares = vec![0.0f64; features.cols()];
        for row in features.iter_rows() {
            for ((square, &value), mean) in squares.iter_mut().zip(row).zip(&means) {
                *square += (f64::from(value) - mean) * (f64::from(value) - mean);
            }
        }
        let inverse = |(square, mean): (&f64, &f64)| {
            let deviation = (square / rows).sqrt();
            if deviation > LEAST_SPREAD * mean.abs() { 1.0 / deviation } else { 0.0 }
        };
        let inverses = squares.iter().zip(&means).map(inverse).collect();
        Self { means, inverses }
    }

    /// Columns of a standardised row: the features and a one for the bias.
    pub(super) fn width(&self) -> usize {
        self.means.len() + 1
    }

    /// Standardises whole rows into `out`, each followed by a one.
    fn apply(&self, rows: &[f32], out: &mut Vec<f64>) {
        out.clear();
        for row in rows.chunks_exact(self.means.len()) {
            let scaled = row.iter().zip(&self.means).zip(&self.inverses);
            out.extend(scaled.map(|((&value, mean), inverse)| (f64::from(value) - mean) * inverse));
            out.push(1.0);
        }
    }
}

/// `f(W) = mean cross-entropy + lambda / 2 * |W without biases|^2`.
pub(super) struct Objective<'a> {
    pub(super) features: &'a Matrix,
    pub(super) scaler: &'a Scaler,
    /// Class position of each row.
    pub(super) targets: &'a [u32],
    pub(super) classes: usize,
    pub(super) lambda: f64,
}

/// Buffers for one block of rows.
#[derive(Default)]
struct Buffers {
    rows: Vec<f64>,
    logits: Vec<f64>,
}

impl Objective<'_> {
    /// Number of parameters: weights `[classes, features + 1]`, the last column holding the biases.
    pub(super) fn size(&self) -> usize {
        self.classes * self.scaler.width()
    }

    /// Writes the gradient and returns the value.
    pub(super) fn evaluate(&self, weights: &[f64], gradient: &mut [f64]) -> f64 {
        let count = self.features.rows();
        let stripes: Vec<(f64, Vec<f64>)> = (0..STRIPES.min(count))
            .into_par_iter()
            .map(|stripe| {
                let stripes = STRIPES.min(count);
                self.evaluate_rows(weights, count * stripe / stripes, count * (stripe + 1) / stripes)
            })
            .collect();
        let share = 1.0 / count as f64;
        let mut loss = 0.0;
        gradient.fill(0.0);
        for (stripe_loss, stripe_gradient) in stripes {
            loss += stripe_loss;
            gradient.iter_mut().zip(stripe_gradient).for_each(|(sum, value)| *sum += value);
        }
        let width = self.scaler.width();
        let mut square = 0.0;
        for (gradient, weights) in gradient.chunks_exact_mut(width).zip(weights.chunks_exact(width)) {
            for (column, (gradient, &weight)) in gradient.iter_mut().zip(weights).enumerate() {
                *gradient *= share;
                if column + 1 < width {
                    *gradient += self.lambda * weight;
                    square += weight * weight;
                }
            }
        }
        loss * share + 0.5 * self.lambda * square
    }

    /// Sum of the cross-entropies of rows `start..end`, and its gradient.
    fn evaluate_rows(&self, weights: &[f64], start: usize, end: usize) -> (f64, Vec<f64>) {
        let (cols, width) = (self.features.cols(), self.scaler.width());
        let mut buffers = Buffers::default();
        let mut gradient = vec![0.0; self.size()];
        let mut loss = 0.0;
        for first in (start..end).step_by(BLOCK) {
            let stop = end.min(first + BLOCK);
            let rows = stop - first;
            let block = &self.features.as_slice()[first * cols..stop * cols];
            logits(self.scaler, weights, self.classes, block, &mut buffers);
            for (logits, &target) in buffers.logits.chunks_exact_mut(self.classes).zip(&self.targets[first..stop]) {
                loss += softmax_error(logits, target as usize);
            }
            let errors = View::new(&buffers.logits, rows, self.classes).transposed(); // [classes, rows]
            let inputs = View::new(&buffers.rows, rows, width); // [rows, features + 1]
            multiply(errors, inputs, 1.0, true, &mut gradient);
        }
        (loss, gradient)
    }
}

/// Standardises a block of rows into `buffers.rows` and writes its logits `[rows, classes]`.
fn logits(scaler: &Scaler, weights: &[f64], classes: usize, block: &[f32], buffers: &mut Buffers) {
    scaler.apply(block, &mut buffers.rows);
    let width = scaler.width();
    let rows = buffers.rows.len() / width;
    buffers.logits.resize(rows * classes, 0.0);
    let inputs = View::new(&buffers.rows, rows, width);
    multiply(inputs, View::new(weights, classes, width).transposed(), 1.0, false, &mut buffers.logits);
}

/// Cross-entropy of a row of logits, which become the gradient: softmax less the one-hot target.
fn softmax_error(logits: &mut [f64], target: usize) -> f64 {
    let largest = logits.iter().fold(f64::NEG_INFINITY, |largest, &logit| largest.max(logit));
    let target_logit = logits[target];
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - largest).exp();
        sum += *logit;
    }
    logits.iter_mut().for_each(|value| *value /= sum);
    logits[target] -= 1.0;
    sum.ln() + largest - target_logit
}

/// Position of the class with the largest logit for each row, the first of equals.
pub(super) fn predict(scaler: &Scaler, weights: &[f64], classes: usize, features: &Matrix) -> Vec<usize> {
    let blocks: Vec<Vec<usize>> = features
        .as_slice()
        .par_chunks(BLOCK * features.cols())
        .map_init(Buffers::default, |buffers, block| {
            logits(scaler, weights, classes, block, buffers);
            buffers.logits.chunks_exact(classes).map(first_largest).collect()
        })
        .collect();
    blocks.concat()
}

fn first_largest(values: &[f64]) -> usize {
    let mut best = 0;
    for (at, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = at;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::noise;

    #[test]
    fn standardised_features_have_zero_mean_and_unit_spread() {
        let features = Matrix::from_fn(500, 3, |i, j| if j == 2 { 7.7 } else { noise(i * 3 + j) * 5.0 + 40.0 });
        let scaler = Scaler::fit(&features);
        let mut rows = Vec::new();
        scaler.apply(features.as_slice(), &mut rows);
        assert_eq!(rows.len(), 500 * 4);
        for column in 0..2 {
            let values = || rows.iter().skip(column).step_by(4);
            let mean = values().sum::<f64>() / 500.0;
            let square = values().map(|value| value * value).sum::<f64>() / 500.0;
            assert!(mean.abs() < 1e-9 && (square - 1.0).abs() < 1e-9, "column {column}: {mean} {square}");
        }
        assert!(rows.iter().skip(2).step_by(4).all(|&value| value == 0.0), "a constant feature drops out");
        assert!(rows.iter().skip(3).step_by(4).all(|&value| value == 1.0), "the bias column is one");
    }

    #[test]
    fn gradient_matches_finite_differences() {
        // More rows than a block and than stripes, so that all of the bookkeeping takes part.
        let features = Matrix::from_fn(700, 5, |i, j| noise(i * 5 + j));
        let targets: Vec<u32> = (0..700u32).map(|i| i * 7 / 3 % 4).collect();
        let scaler = Scaler::fit(&features);
        let objective = Objective { features: &features, scaler: &scaler, targets: &targets, classes: 4, lambda: 0.3 };
        let mut weights: Vec<f64> = (0..objective.size()).map(|i| f64::from(noise(i + 90_000))).collect();
        let mut gradient = vec![0.0; weights.len()];
        objective.evaluate(&weights, &mut gradient);
        let mut scratch = vec![0.0; weights.len()];
        for at in 0..weights.len() {
            let (middle, step) = (weights[at], 1e-5);
            weights[at] = middle + step;
            let above = objective.evaluate(&weights, &mut scratch);
            weights[at] = middle - step;
            let below = objective.evaluate(&weights, &mut scratch);
            weights[at] = middle;
            let expected = (above - below) / (2.0 * step);
            assert!((gradient[at] - expected).abs() < 1e-8, "parameter {at}: {} and {expected}", gradient[at]);
        }
    }

    #[test]
    fn value_at_zero_is_the_logarithm_of_the_classes() {
        let features = Matrix::from_fn(20, 2, |i, j| noise(i * 2 + j));
        let targets: Vec<u32> = (0..20).map(|i| i % 4).collect();
        let scaler = Scaler::fit(&features);
        let objective = Objective { features: &features, scaler: &scaler, targets: &targets, classes: 4, lambda: 1.0 };
        let weights = vec![0.0; objective.size()];
        let value = objective.evaluate(&weights, &mut vec![0.0; weights.len()]);
        assert!((value - 4.0f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn large_logits_stay_finite() {
        let mut logits = [1000.0, -1000.0];
        assert_eq!(softmax_error(&mut logits, 1), 2000.0);
        assert_eq!(logits, [1.0, -1.0]);
    }
}

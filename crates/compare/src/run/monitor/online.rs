//! A linear classifier that learns from one batch after the other.

use nearfar_core::matrix::Matrix;
use serde::{Deserialize, Serialize};

/// Learning rate; ours. Adam moves every weight by about this much a step, whatever the features' scale.
const RATE: f64 = 1e-2;
/// Adam's other constants (Kingma and Ba, 2015).
const BETAS: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-8;

/// Softmax regression by Adam, from zero weights, in host memory and `f64`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Online {
    features: usize,
    classes: usize,
    steps: i32,
    /// `[classes, features + 1]`, the bias last.
    #[serde(with = "bits")]
    weights: Vec<f64>,
    /// Adam's running means of the gradient and of its square.
    #[serde(with = "bits")]
    mean: Vec<f64>,
    #[serde(with = "bits")]
    square: Vec<f64>,
}

impl Online {
    pub(super) fn new(features: usize, classes: usize) -> Self {
        let zeros = vec![0.0; classes * (features + 1)];
        Self { features, classes, steps: 0, weights: zeros.clone(), mean: zeros.clone(), square: zeros }
    }

    /// Whether it is made for the same features and classes as `other`, and whole.
    pub(super) fn fits(&self, other: &Self) -> bool {
        let shape = |o: &Self| (o.features, o.classes, o.weights.len(), o.mean.len(), o.square.len());
        shape(self) == shape(other)
    }

    /// One step of cross-entropy on `rows` `[n, features]`. Returns how many it had right before.
    pub(super) fn learn(&mut self, rows: &Matrix, labels: &[usize]) -> usize {
        let width = self.features + 1;
        let share = 1.0 / labels.len().max(1) as f64;
        let mut gradient = vec![0.0; self.weights.len()];
        let mut hits = 0;
        for (row, &label) in rows.iter_rows().zip(labels) {
            let logits = self.logits(row);
            hits += usize::from(largest(&logits) == label);
            let top = logits.iter().fold(f64::NEG_INFINITY, |m, v| m.max(*v));
            let sum: f64 = logits.iter().map(|v| (v - top).exp()).sum();
            for (class, logit) in logits.iter().enumerate() {
                // d(cross-entropy)/d(logit) = softmax - 1 at the label
                let slope = share * ((logit - top).exp() / sum - f64::from(u8::from(class == label)));
                let of_class = &mut gradient[class * width..(class + 1) * width];
                of_class.iter_mut().zip(row).for_each(|(g, x)| *g += slope * f64::from(*x));
                of_class[self.features] += slope;
            }
        }
        self.adam(&gradient);
        hits
    }

    /// How many of `rows` it has right.
    pub(super) fn hits(&self, rows: &Matrix, labels: &[usize]) -> usize {
        rows.iter_rows().zip(labels).filter(|(row, label)| largest(&self.logits(row)) == **label).count()
    }

    fn logits(&self, row: &[f32]) -> Vec<f64> {
        let of_class = |weights: &[f64]| {
            weights[self.features] + weights.iter().zip(row).map(|(w, x)| w * f64::from(*x)).sum::<f64>()
        };
        self.weights.chunks_exact(self.features + 1).map(of_class).collect()
    }

    fn adam(&mut self, gradient: &[f64]) {
        self.steps += 1;
        let (of_mean, of_square) = (1.0 - BETAS.0.powi(self.steps), 1.0 - BETAS.1.powi(self.steps));
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for ((weight, (mean, square)), g) in self.weights.iter_mut().zip(moments).zip(gradient) {
            *mean = BETAS.0 * *mean + (1.0 - BETAS.0) * g;
            *square = BETAS.1 * *square + (1.0 - BETAS.1) * g * g;
            *weight -= RATE * (*mean / of_mean) / ((*square / of_square).sqrt() + EPSILON);
        }
    }
}

/// The place of the largest value; the first of equal ones.
fn largest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// Numbers to the last bit, shorter than as text: base64 of their bytes.
mod bits {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let bytes = STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        let (values, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(D::Error::custom("the last number is cut off"));
        }
        Ok(values.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs(shift: usize) -> (Matrix, Vec<usize>) {
        let labels: Vec<usize> = (0..30).map(|i| (i + shift) % 3).collect();
        let noise = |i: usize, j: usize| 0.3 * ((7 * i + 3 * j + shift) as f32).sin();
        (Matrix::from_fn(30, 4, |i, j| f32::from(u8::from(labels[i] == j)) + noise(i, j)), labels)
    }

    #[test]
    fn learns_what_is_separable() {
        let mut online = Online::new(4, 3);
        let (rows, labels) = blobs(0);
        assert_eq!(online.learn(&rows, &labels), 10, "zero weights name the first class");
        for step in 1..100 {
            let (rows, labels) = blobs(step);
            online.learn(&rows, &labels);
        }
        let (rows, labels) = blobs(1000);
        assert_eq!(online.hits(&rows, &labels), 30);
    }

    #[test]
    fn the_first_step_is_adams_on_the_gradient() {
        // One row (2, -1) of class 1 among two: softmax is 1/2 each, the gradient is +-(2, -1, 1) / 2; Adam's first
        // step is the rate times the gradient's sign.
        let mut online = Online::new(2, 2);
        online.learn(&Matrix::new(vec![2.0, -1.0], 1, 2).unwrap(), &[1]);
        let wanted = [-RATE, RATE, -RATE, RATE, -RATE, RATE];
        assert!(online.weights.iter().zip(wanted).all(|(w, wanted)| (w - wanted).abs() < 1e-7), "{online:?}");
    }

    #[test]
    fn comes_back_to_the_last_bit() {
        let mut online = Online::new(4, 3);
        let (rows, labels) = blobs(0);
        for _ in 0..7 {
            online.learn(&rows, &labels);
        }
        let back: Online = serde_json::from_value(serde_json::to_value(&online).unwrap()).unwrap();
        assert!(back.fits(&Online::new(4, 3)) && !back.fits(&Online::new(5, 3)));
        assert_eq!(back, online);
    }
}

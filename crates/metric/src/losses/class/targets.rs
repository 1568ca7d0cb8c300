//! What the formulas of all class losses share: the entry of a row's own class, norms, cosines, cross-entropy.

use crate::MetricError;
use burn::tensor::{Device, Int, Tensor, TensorData, activation::log_softmax};
use nearfar_core::similarity::{dot_products, label_tensor, normalize_rows, same_label};

/// Keeps roots of sums of squares differentiable at zero.
const EPSILON: f64 = 1e-12;

/// Elements of a loss that are reduced together.
#[derive(Clone, Debug)]
pub struct Part {
    /// The elements, `[k]`.
    pub values: Tensor<1>,
    /// Class of each element.
    pub labels: Vec<usize>,
    /// What [`crate::Reducer::Divisor`] divides their sum by.
    pub divisor: Option<f64>,
}

/// The classes of a batch on its device.
#[derive(Clone, Debug)]
pub struct Targets {
    labels: Vec<usize>,
    classes: usize,
    /// 1 at the class of each row, 0 elsewhere, `[n, classes]`.
    own: Tensor<2>,
    /// How much each row counts, `[n]`; all the same without it.
    weights: Option<Tensor<1>>,
}

impl Targets {
    pub(super) fn new(
        labels: &[usize],
        classes: usize,
        weights: Option<&[f32]>,
        device: &Device,
    ) -> Result<Self, MetricError> {
        if let Some(&label) = labels.iter().find(|label| **label >= classes) {
            return Err(MetricError::ClassLabel { label, classes });
        }
        if let Some(got) = weights.map(<[f32]>::len).filter(|got| *got != labels.len()) {
            return Err(MetricError::Weights { rows: labels.len(), weights: got });
        }
        let all: Vec<usize> = (0..classes).collect();
        let weights = weights.map(|w| Tensor::from_data(TensorData::new(w.to_vec(), [w.len()]), device));
        Ok(Self { labels: labels.to_vec(), classes, own: same_label(labels, &all, device).float(), weights })
    }

    /// Class of each row.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How much each row counts, `[n]`.
    pub fn weights(&self) -> Option<Tensor<1>> {
        self.weights.clone()
    }

    /// Class of each row, `[n]`.
    pub(super) fn index(&self) -> Tensor<1, Int> {
        label_tensor(&self.labels, &self.own.device())
    }

    /// The entry of each row's own class: `[n, classes]` to `[n, 1]`.
    pub(super) fn own(&self, x: Tensor<2>) -> Tensor<2> {
        (x * self.own.clone()).sum_dim(1)
    }

    /// `x [n, classes]` with `change [n, 1]` added to the entry of each row's own class.
    pub(super) fn add_to_own(&self, x: Tensor<2>, change: Tensor<2>) -> Tensor<2> {
        x + self.own.clone() * change
    }

    /// `x [n, classes]` with the entry of each row's own class lowered by `margin`.
    pub(super) fn lower_own(&self, x: Tensor<2>, margin: f64) -> Tensor<2> {
        x - self.own.clone().mul_scalar(margin)
    }

    /// Cross-entropy of every row of the logits `[n, classes]` with its class, times the row's weight.
    pub(super) fn cross_entropy(&self, logits: Tensor<2>) -> Vec<Part> {
        self.items(self.own(log_softmax(logits, 1)).neg())
    }

    /// One element a row, from its values `[n, 1]`, times the row's weight.
    pub(super) fn items(&self, values: Tensor<2>) -> Vec<Part> {
        let values: Tensor<1> = values.reshape([self.labels.len()]);
        let values = match self.weights() {
            Some(weights) => values * weights,
            None => values,
        };
        vec![Part { values, labels: self.labels.clone(), divisor: None }]
    }
}

/// Cosines of all rows: `[n, d]`, `[m, d]` to `[n, m]`.
pub(super) fn cosines(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    dot_products(normalize_rows(a), normalize_rows(b))
}

/// Euclidean norm of every row, `[n, 1]`; the gradient at a zero row is finite.
pub(super) fn row_norms(x: Tensor<2>) -> Tensor<2> {
    x.powi_scalar(2).sum_dim(1).add_scalar(EPSILON).sqrt()
}

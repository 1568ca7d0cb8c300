use super::{ClassLoss, Draw, Part, Targets, targets::cosines};
use crate::{MetricError, Reducer};
use burn::tensor::{Bool, Tensor, TensorData};
use nearfar_core::similarity::masked_logsumexp;
use serde::{Deserialize, Serialize};

/// Proxy-Anchor (Kim et al., 2020): every class proxy is an anchor that weighs all embeddings of the batch at once.
///
/// ```text
/// for each proxy:  log(1 + sum over its embeddings of exp(-alpha (cos - margin)))
///                  log(1 + sum over all others     of exp( alpha (cos + margin)))
/// ```
///
/// The first kind is averaged over the proxies that have an embedding in the batch, the second over all proxies, and
/// both are added. The weight `w` of an embedding that a miner gives adds `w - 1` to its exponent, as in
/// pytorch-metric-learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyAnchor {
    /// Margin, -2 to 2. Default 0.1, as in the paper and in pytorch-metric-learning.
    pub margin: f64,
    /// Sharpness, > 0. Default 32, as in both.
    pub alpha: f64,
    /// How the elements, one a proxy of each kind, become one number. Default [`Reducer::Divisor`], as in
    /// pytorch-metric-learning.
    pub reducer: Reducer,
}

impl Default for ProxyAnchor {
    fn default() -> Self {
        Self { margin: 0.1, alpha: 32.0, reducer: Reducer::Divisor }
    }
}

impl ClassLoss for ProxyAnchor {
    fn validate(&self) -> Result<(), MetricError> {
        let (m, a) = (self.margin, self.alpha);
        MetricError::check((-2.0..=2.0).contains(&m), "margin", "-2 to 2", m)?;
        MetricError::check(a.is_finite() && a > 0.0, "alpha", "a finite number above 0", a)?;
        self.reducer.validate()
    }

    fn reducer(&self) -> &Reducer {
        &self.reducer
    }

    fn gives_divisor(&self) -> bool {
        true
    }

    /// The authors' `kaiming_normal` with `fan_out`.
    fn draw(&self, classes: usize) -> Draw {
        Draw::Normal { deviation: (2.0 / classes.max(1) as f64).sqrt() }
    }

    fn logits(&self, embeddings: Tensor<2>, weights: Tensor<2>) -> Tensor<2> {
        cosines(embeddings, weights)
    }

    fn parts(&self, embeddings: Tensor<2>, weights: Tensor<2>, targets: &Targets) -> Vec<Part> {
        let (classes, n) = (targets.classes(), targets.labels().len());
        let cosine = cosines(weights, embeddings); // [classes, n]
        let near = cosine.clone().sub_scalar(self.margin).mul_scalar(-self.alpha);
        let far = cosine.add_scalar(self.margin).mul_scalar(self.alpha);
        let mut present = vec![false; classes];
        targets.labels().iter().for_each(|label| present[*label] = true);
        let with_positives = present.into_iter().filter(|p| *p).count();
        [(near, true, with_positives), (far, false, classes)]
            .map(|(exponents, own, divisor)| {
                let exponents = match targets.weights() {
                    Some(weights) => exponents + weights.sub_scalar(1.0).reshape([1, n]),
                    None => exponents,
                };
                Part {
                    values: log_one_plus_sum(exponents, targets, own),
                    labels: (0..classes).collect(),
                    divisor: Some(divisor as f64),
                }
            })
            .into()
    }
}

/// `log(1 + sum exp)` of every row of `[classes, n]` over the embeddings of its class, or over all others: `[classes]`.
fn log_one_plus_sum(exponents: Tensor<2>, targets: &Targets, own: bool) -> Tensor<1> {
    let [classes, n] = exponents.dims();
    let device = exponents.device();
    // The one is the exponential of a column of zeros.
    let row = |class: usize| std::iter::once(true).chain(targets.labels().iter().map(move |l| (*l == class) == own));
    let mask: Vec<bool> = (0..classes).flat_map(row).collect();
    let mask = Tensor::<2, Bool>::from_data(TensorData::new(mask, [classes, n + 1]), &device);
    let with_zero = Tensor::cat(vec![Tensor::zeros([classes, 1], &device), exponents], 1); // [classes, n + 1]
    masked_logsumexp(with_zero, mask).reshape([classes])
}

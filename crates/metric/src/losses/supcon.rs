use crate::MetricError;
use burn::tensor::Tensor;
use nearfar_core::similarity::{cross_entropy, normalize_rows, same_label_positives};
use serde::{Deserialize, Serialize};

/// The supervised contrastive loss (Khosla et al., 2020), its `L_out`: the mean over positives stands outside the log.
///
/// ```text
/// L_a = - mean over positives p of log( exp(s_ap / t) / sum over j != a of exp(s_aj / t) )
/// ```
///
/// `s` are cosine similarities. The value is the mean over anchors that have a positive, without the factor
/// `t / t_base` of the authors' code, which scales it by 1/0.07 times `t`. Other positives are in the denominator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SupCon {
    /// Temperature, > 0; 0.1 in the paper and in pytorch-metric-learning.
    pub temperature: f64,
}

impl Default for SupCon {
    fn default() -> Self {
        Self { temperature: 0.1 }
    }
}

impl SupCon {
    /// Checks the temperature.
    ///
    /// # Errors
    /// When it is not above zero.
    pub fn validate(&self) -> Result<(), MetricError> {
        let t = self.temperature;
        MetricError::check(t.is_finite() && t > 0.0, "temperature", "a finite number above 0", t)
    }

    /// The loss `[1]` of embeddings `[n, d]`. Anchors without a positive are left out; without any anchor it is zero
    /// and keeps the graph.
    ///
    /// # Errors
    /// When labels do not number the rows.
    pub fn forward(&self, embeddings: Tensor<2>, labels: &[usize]) -> Result<Tensor<1>, MetricError> {
        let [n, _] = embeddings.dims();
        if n != labels.len() {
            return Err(MetricError::Labels { what: "embeddings", rows: n, labels: labels.len() });
        }
        Ok(cross_entropy(normalize_rows(embeddings), None, &same_label_positives(labels), self.temperature))
    }
}

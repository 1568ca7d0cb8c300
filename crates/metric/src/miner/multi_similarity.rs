use super::Miner;
use crate::{MetricError, Pair, Pairwise, Tuples};
use serde::{Deserialize, Serialize};

/// Pairs that are informative against the other kind (Wang et al., 2019, the mining of the multi-similarity loss), for
/// every anchor:
///
/// ```text
/// positives p with s_p < max over n of s_n + epsilon        negatives n with s_n > min over p of s_p - epsilon
/// ```
///
/// `s` is a similarity; for a distance everything turns around. An anchor without positives or without negatives gives
/// no pairs. pytorch-metric-learning's default distance is the cosine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MultiSimilarityMiner {
    /// Slack, finite. Default 0.1, as in pytorch-metric-learning.
    pub epsilon: f32,
}

impl Default for MultiSimilarityMiner {
    fn default() -> Self {
        Self { epsilon: 0.1 }
    }
}

impl Miner for MultiSimilarityMiner {
    fn validate(&self) -> Result<(), MetricError> {
        MetricError::finite("epsilon", self.epsilon.into())
    }

    fn mine(&self, on: &Pairwise) -> Result<Tuples, MetricError> {
        self.validate()?;
        let sign = on.sign();
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        for anchor in 0..on.anchors() {
            let row = on.values().row(anchor);
            let far = |column: &usize| sign * row[*column];
            let farthest = on.positives(anchor).map(|p| far(&p)).reduce(f32::max);
            let nearest = on.negatives(anchor).map(|n| far(&n)).reduce(f32::min);
            if let (Some(farthest), Some(nearest)) = (farthest, nearest) {
                let kept = on.positives(anchor).filter(|p| far(p) + self.epsilon > nearest);
                positive.extend(kept.map(|p| Pair::new(anchor, p)));
                let kept = on.negatives(anchor).filter(|n| far(n) - self.epsilon < farthest);
                negative.extend(kept.map(|n| Pair::new(anchor, n)));
            }
        }
        Ok(Tuples::Pairs { positive, negative })
    }
}

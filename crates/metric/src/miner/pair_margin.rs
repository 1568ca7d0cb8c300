use super::Miner;
use crate::{MetricError, Pair, Pairwise, Tuples};
use serde::{Deserialize, Serialize};

/// Positives farther than one margin and negatives nearer than another: the pairs that a contrastive loss with these
/// margins pays for (pytorch-metric-learning's miner of this name). For a similarity both conditions turn around.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PairMarginMiner {
    /// Positives must be farther than this, finite. Default 0.2, as in pytorch-metric-learning.
    pub positive_margin: f32,
    /// Negatives must be nearer than this, finite. Default 0.8, as in pytorch-metric-learning.
    pub negative_margin: f32,
}

impl Default for PairMarginMiner {
    fn default() -> Self {
        Self { positive_margin: 0.2, negative_margin: 0.8 }
    }
}

impl Miner for PairMarginMiner {
    fn validate(&self) -> Result<(), MetricError> {
        MetricError::finite("positive_margin", self.positive_margin.into())?;
        MetricError::finite("negative_margin", self.negative_margin.into())
    }

    fn mine(&self, on: &Pairwise) -> Result<Tuples, MetricError> {
        self.validate()?;
        let sign = on.sign();
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        for anchor in 0..on.anchors() {
            let row = on.values().row(anchor);
            let kept = on.positives(anchor).filter(|p| sign * (row[*p] - self.positive_margin) > 0.0);
            positive.extend(kept.map(|p| Pair::new(anchor, p)));
            let kept = on.negatives(anchor).filter(|n| sign * (row[*n] - self.negative_margin) < 0.0);
            negative.extend(kept.map(|n| Pair::new(anchor, n)));
        }
        Ok(Tuples::Pairs { positive, negative })
    }
}

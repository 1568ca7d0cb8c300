use super::Miner;
use crate::{MetricError, Pair, Pairwise, Tuples, tuples::pairs_or_all};
use serde::{Deserialize, Serialize};

/// The hardest share of all positive pairs of a batch and of all negative ones (Yuan et al., "Hard-aware deeply
/// cascaded embedding", 2017): the farthest positives, the nearest negatives.
///
/// [`HdcMiner::harder`] takes the share of given tuples, for the next level of a cascade.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HdcMiner {
    /// Share that is kept, rounded up, in (0, 1]. Default 0.5, as in pytorch-metric-learning.
    pub share: f32,
}

impl Default for HdcMiner {
    fn default() -> Self {
        Self { share: 0.5 }
    }
}

impl HdcMiner {
    /// The hardest share of the given tuples, as pairs ordered by anchor.
    ///
    /// # Errors
    /// When the share is out of range, or a tuple lies outside the batch.
    pub fn harder(&self, on: &Pairwise, tuples: &Tuples) -> Result<Tuples, MetricError> {
        tuples.check(on)?;
        self.of(on, Some(tuples))
    }

    fn of(&self, on: &Pairwise, tuples: Option<&Tuples>) -> Result<Tuples, MetricError> {
        self.validate()?;
        let [positive, negative] = pairs_or_all(on, tuples);
        let far = |pair: &Pair| on.sign() * on.values().row(pair.anchor as usize)[pair.other as usize];
        let hardest = |pairs: &[Pair], ease: &dyn Fn(&Pair) -> f32| {
            let kept = (f64::from(self.share) * pairs.len() as f64).ceil() as usize;
            let mut order: Vec<usize> = (0..pairs.len()).collect();
            order.sort_by(|&a, &b| ease(&pairs[a]).total_cmp(&ease(&pairs[b])).then(a.cmp(&b)));
            order.truncate(kept);
            order.sort_unstable();
            order.into_iter().map(|k| pairs[k]).collect::<Vec<_>>()
        };
        Ok(Tuples::Pairs {
            positive: hardest(&positive, &|pair: &Pair| -far(pair)),
            negative: hardest(&negative, &far),
        })
    }
}

impl Miner for HdcMiner {
    fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.share > 0.0 && self.share <= 1.0, "share", "in (0, 1]", self.share.into())
    }

    fn mine(&self, on: &Pairwise) -> Result<Tuples, MetricError> {
        self.of(on, None)
    }
}

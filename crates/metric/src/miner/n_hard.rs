use super::Miner;
use crate::{MetricError, Pairwise, Triplet, Tuples};
use serde::{Deserialize, Serialize};

/// Ranks by difficulty, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranks {
    /// The first rank, at least 1. Default 1.
    pub from: usize,
    /// The last rank, not below the first; none for all that follow. Default 1.
    pub to: Option<usize>,
}

impl Default for Ranks {
    fn default() -> Self {
        Self { from: 1, to: Some(1) }
    }
}

impl Ranks {
    fn validate(self, name: &'static str) -> Result<(), MetricError> {
        MetricError::check(self.from >= 1, name, "ranks from 1 on", self.from as f64)?;
        let last = self.to.unwrap_or(usize::MAX);
        MetricError::check(last >= self.from, name, "ranks in increasing order", last as f64)
    }

    /// Those of `columns` that have these ranks, hardest first.
    fn choose(self, columns: &mut Vec<usize>, ease: impl Fn(usize) -> f32) {
        columns.sort_by(|&a, &b| ease(a).total_cmp(&ease(b)).then(a.cmp(&b)));
        columns.truncate(self.to.unwrap_or(usize::MAX));
        columns.drain(..(self.from - 1).min(columns.len()));
    }
}

/// For every anchor its `n` farthest positives with its `n` nearest negatives (open-metric-learning's `NHardTriplets`).
///
/// Ranks that do not start at 1 leave the very hardest out: where labels are wrong, those are wrong most often. The
/// first rank of both kinds is [`super::BatchHardMiner`]; all ranks are all triplets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NHardMiner {
    /// Which positives; the farthest.
    pub positives: Ranks,
    /// Which negatives; the nearest.
    pub negatives: Ranks,
}

impl Miner for NHardMiner {
    fn validate(&self) -> Result<(), MetricError> {
        self.positives.validate("positives")?;
        self.negatives.validate("negatives")
    }

    fn mine(&self, on: &Pairwise) -> Result<Tuples, MetricError> {
        self.validate()?;
        let sign = on.sign();
        let (mut positives, mut negatives, mut triplets) = (Vec::new(), Vec::new(), Vec::new());
        for anchor in 0..on.anchors() {
            let row = on.values().row(anchor);
            positives.clear();
            positives.extend(on.positives(anchor));
            self.positives.choose(&mut positives, |p| -sign * row[p]);
            negatives.clear();
            negatives.extend(on.negatives(anchor));
            self.negatives.choose(&mut negatives, |n| sign * row[n]);
            for &positive in &positives {
                triplets.extend(negatives.iter().map(|&negative| Triplet::new(anchor, positive, negative)));
            }
        }
        Ok(Tuples::Triplets(triplets))
    }
}

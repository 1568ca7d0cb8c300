use super::Miner;
use crate::{MetricError, Pairwise, Triplet, Tuples};
use serde::{Deserialize, Serialize};

/// Which triplets [`TripletMarginMiner`] keeps, by `gap = d(anchor, negative) - d(anchor, positive)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TripletKind {
    /// `gap <= margin`.
    #[default]
    All,
    /// `gap <= 0`: the negative is nearer than the positive.
    Hard,
    /// `0 < gap <= margin` (Schroff et al., 2015).
    SemiHard,
    /// `gap > margin`.
    Easy,
}

/// Every triplet of the batch whose gap is of one kind, as pytorch-metric-learning's miner of that name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TripletMarginMiner {
    /// The margin, finite; 0.2 there.
    pub margin: f32,
    /// Which triplets; all there.
    pub kind: TripletKind,
}

impl Default for TripletMarginMiner {
    fn default() -> Self {
        Self { margin: 0.2, kind: TripletKind::All }
    }
}

impl Miner for TripletMarginMiner {
    fn validate(&self) -> Result<(), MetricError> {
        MetricError::finite("margin", self.margin.into())
    }

    fn mine(&self, on: &Pairwise) -> Result<Tuples, MetricError> {
        self.validate()?;
        // Hard triplets are among those within the margin, whatever its sign.
        let (above, to) = match self.kind {
            TripletKind::All => (f32::NEG_INFINITY, self.margin),
            TripletKind::Hard => (f32::NEG_INFINITY, self.margin.min(0.0)),
            TripletKind::SemiHard => (0.0, self.margin),
            TripletKind::Easy => (self.margin, f32::INFINITY),
        };
        let sign = on.sign();
        let (mut triplets, mut negatives) = (Vec::new(), Vec::new());
        for anchor in 0..on.anchors() {
            let row = on.values().row(anchor);
            negatives.clear();
            negatives.extend(on.negatives(anchor));
            for positive in on.positives(anchor) {
                let near = row[positive];
                let gap = |negative: usize| sign * (row[negative] - near);
                let kept = negatives.iter().filter(|negative| gap(**negative) > above && gap(**negative) <= to);
                triplets.extend(kept.map(|&negative| Triplet::new(anchor, positive, negative)));
            }
        }
        Ok(Tuples::Triplets(triplets))
    }
}

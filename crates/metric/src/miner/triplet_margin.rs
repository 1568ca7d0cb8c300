use super::Miner;
use crate::{MetricError, Pairwise, Triplet, Tuples};
use rayon::prelude::*;
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
    /// The margin, finite. Default 0.2, as there.
    pub margin: f32,
    /// Which triplets. Default [`TripletKind::All`], as there.
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
        let (sign, kinds, distances) = (on.sign(), on.kinds(), on.values());
        let of_anchor = |anchor: usize| {
            let row = distances.row(anchor);
            let negatives: Vec<u32> = kinds.negatives(anchor).map(|n| n as u32).collect();
            let far: Vec<f32> = negatives.iter().map(|n| row[*n as usize]).collect();
            let (mut kept, mut triplets) = (vec![0u32; negatives.len() + 1], Vec::new());
            for positive in kinds.positives(anchor) {
                // Without a branch: about every second triplet is kept, and no processor guesses which.
                let (near, mut count) = (row[positive], 0);
                for (negative, far) in negatives.iter().zip(&far) {
                    let gap = sign * (far - near);
                    kept[count] = *negative;
                    count += usize::from((gap > above) & (gap <= to));
                }
                let (anchor, positive) = (anchor as u32, positive as u32);
                triplets.extend(kept[..count].iter().map(|&negative| Triplet { anchor, positive, negative }));
            }
            triplets
        };
        let triplets = (0..on.anchors()).into_par_iter().flat_map_iter(of_anchor).collect();
        Ok(Tuples::Triplets(triplets))
    }
}

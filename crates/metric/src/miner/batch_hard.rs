use super::Miner;
use crate::{MetricError, Pairwise, Triplet, Tuples};
use serde::{Deserialize, Serialize};

/// For every anchor its farthest positive and its nearest negative (Hermans et al., 2017). Anchors without either are
/// left out; ties go to the smaller index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchHardMiner;

impl Miner for BatchHardMiner {
    fn validate(&self) -> Result<(), MetricError> {
        Ok(())
    }

    fn mine(&self, on: &Pairwise) -> Result<Tuples, MetricError> {
        let sign = on.sign();
        let mut triplets = Vec::with_capacity(on.anchors());
        for anchor in 0..on.anchors() {
            let row = on.values().row(anchor);
            let farther = |a: usize, b: usize| if sign * row[b] > sign * row[a] { b } else { a };
            let nearer = |a: usize, b: usize| if sign * row[b] < sign * row[a] { b } else { a };
            let positive = on.positives(anchor).reduce(farther);
            let negative = on.negatives(anchor).reduce(nearer);
            if let (Some(positive), Some(negative)) = (positive, negative) {
                triplets.push(Triplet::new(anchor, positive, negative));
            }
        }
        Ok(Tuples::Triplets(triplets))
    }
}

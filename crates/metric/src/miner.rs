//! Miners choose the tuples of a batch that are worth learning from.

use crate::{MetricError, Pairwise};
use serde::{Deserialize, Serialize};

/// A triplet as indices: anchor among the embeddings, positive and negative among the references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Triplet {
    /// Row of the anchor.
    pub anchor: u32,
    /// Column with the anchor's label.
    pub positive: u32,
    /// Column with another label.
    pub negative: u32,
}

impl Triplet {
    fn new(anchor: usize, positive: usize, negative: usize) -> Self {
        Self { anchor: anchor as u32, positive: positive as u32, negative: negative as u32 }
    }
}

/// Chooses triplets.
pub trait Miner {
    /// The triplets, ordered by anchor.
    fn mine(&self, pairwise: &Pairwise) -> Vec<Triplet>;
}

/// For every anchor its farthest positive and its nearest negative (Hermans et al., 2017). Anchors without either are
/// left out; ties go to the smaller index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchHardMiner;

impl Miner for BatchHardMiner {
    fn mine(&self, pairwise: &Pairwise) -> Vec<Triplet> {
        let sign = pairwise.sign();
        let mut triplets = Vec::with_capacity(pairwise.anchors());
        for anchor in 0..pairwise.anchors() {
            let row = pairwise.values().row(anchor);
            let farther = |a: usize, b: usize| if sign * row[b] > sign * row[a] { b } else { a };
            let nearer = |a: usize, b: usize| if sign * row[b] < sign * row[a] { b } else { a };
            let positive = pairwise.positives(anchor).reduce(farther);
            let negative = pairwise.negatives(anchor).reduce(nearer);
            if let (Some(positive), Some(negative)) = (positive, negative) {
                triplets.push(Triplet::new(anchor, positive, negative));
            }
        }
        triplets
    }
}

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

impl TripletMarginMiner {
    /// Checks the margin.
    ///
    /// # Errors
    /// When it is not finite.
    pub fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.margin.is_finite(), "margin", "finite", self.margin.into())
    }

    fn keeps(&self, gap: f32) -> bool {
        match self.kind {
            TripletKind::All => gap <= self.margin,
            TripletKind::Hard => gap <= 0.0,
            TripletKind::SemiHard => gap > 0.0 && gap <= self.margin,
            TripletKind::Easy => gap > self.margin,
        }
    }
}

impl Miner for TripletMarginMiner {
    fn mine(&self, pairwise: &Pairwise) -> Vec<Triplet> {
        let sign = pairwise.sign();
        let mut triplets = Vec::new();
        for anchor in 0..pairwise.anchors() {
            let row = pairwise.values().row(anchor);
            let negatives: Vec<usize> = pairwise.negatives(anchor).collect();
            for positive in pairwise.positives(anchor) {
                for &negative in &negatives {
                    if self.keeps(sign * (row[negative] - row[positive])) {
                        triplets.push(Triplet::new(anchor, positive, negative));
                    }
                }
            }
        }
        triplets
    }
}

/// Every triplet of the batch, in order.
pub fn all_triplets(pairwise: &Pairwise) -> Vec<Triplet> {
    let kind = TripletKind::All;
    TripletMarginMiner { margin: f32::INFINITY, kind }.mine(pairwise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Distance;
    use burn::tensor::{Device, Tensor, TensorData};

    /// Unit vectors at 0, 25, 40, 70, 80 degrees.
    fn fan(labels: &[usize]) -> Pairwise {
        let values: Vec<f32> =
            [0f32, 25.0, 40.0, 70.0, 80.0].iter().flat_map(|a| [a.to_radians().cos(), a.to_radians().sin()]).collect();
        let e = Tensor::<2>::from_data(TensorData::new(values, [5, 2]), &Device::flex());
        Pairwise::new(Distance::default(), e, labels, None).unwrap()
    }

    fn triples(triplets: &[Triplet]) -> Vec<(u32, u32, u32)> {
        triplets.iter().map(|t| (t.anchor, t.positive, t.negative)).collect()
    }

    #[test]
    fn worked_example() {
        let p = fan(&[0, 0, 1, 1, 2]);
        let mine = |kind| triples(&TripletMarginMiner { margin: 0.2, kind }.mine(&p));
        assert_eq!(mine(TripletKind::All), [(1, 0, 2), (2, 3, 0), (2, 3, 1), (2, 3, 4), (3, 2, 4)]);
        assert_eq!(mine(TripletKind::Hard), [(1, 0, 2), (2, 3, 1), (3, 2, 4)]);
        assert_eq!(mine(TripletKind::SemiHard), [(2, 3, 0), (2, 3, 4)]);
        assert_eq!(mine(TripletKind::Easy).len(), 12 - 5);
        assert_eq!(all_triplets(&p).len(), 12);
    }

    #[test]
    fn batch_hard_takes_the_extremes_and_drops_lone_anchors() {
        let values: Vec<f32> = (0..9).map(|i| i as f32).collect();
        let e = Tensor::<2>::from_data(TensorData::new(values, [9, 1]), &Device::flex());
        let distance = Distance::Euclidean { normalized: false, squared: false };
        let p = Pairwise::new(distance, e, &[0, 0, 1, 1, 0, 2, 1, 1, 1], None).unwrap();
        let mined = triples(&BatchHardMiner.mine(&p));
        let expected = [(0, 4, 2), (1, 4, 2), (2, 8, 1), (3, 8, 4), (4, 0, 3), (6, 2, 5), (7, 2, 5), (8, 2, 5)];
        assert_eq!(mined, expected);
    }

    #[test]
    fn unique_labels_give_nothing() {
        let p = fan(&[0, 1, 2, 3, 4]);
        assert!(BatchHardMiner.mine(&p).is_empty());
        assert!(TripletMarginMiner::default().mine(&p).is_empty());
    }
}

//! Tuples of a batch as indices: what miners give and losses take.

use crate::{MetricError, Pairwise, grouped::Grouped};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A pair: anchor among the embeddings, the other among the references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// Row of the anchor.
    pub anchor: u32,
    /// Column of the other.
    pub other: u32,
}

impl Pair {
    pub(crate) fn new(anchor: usize, other: usize) -> Self {
        Self { anchor: anchor as u32, other: other as u32 }
    }
}

/// A triplet: anchor among the embeddings, positive and negative among the references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Triplet {
    /// Row of the anchor.
    pub anchor: u32,
    /// Column with the anchor's label.
    pub positive: u32,
    /// Column with another label.
    pub negative: u32,
}

impl Triplet {
    pub(crate) fn new(anchor: usize, positive: usize, negative: usize) -> Self {
        Self { anchor: anchor as u32, positive: positive as u32, negative: negative as u32 }
    }
}

/// Pairs or triplets; which of the two is a type, not the length of a tuple. An entry may come more than once, and
/// counts so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tuples {
    /// Pairs of two kinds.
    Pairs {
        /// Those that should be close.
        positive: Vec<Pair>,
        /// Those that should be far.
        negative: Vec<Pair>,
    },
    /// Triplets.
    Triplets(Vec<Triplet>),
}

impl Tuples {
    /// Every pair of the batch, ordered by anchor.
    pub fn all_pairs(on: &Pairwise) -> Self {
        let [positive, negative] = every_pair(on);
        Self::Pairs { positive, negative }
    }

    /// Every triplet of the batch, ordered by anchor, then positive, then negative.
    pub fn all_triplets(on: &Pairwise) -> Self {
        Self::Triplets(every_triplet(on))
    }

    /// Pairs or triplets counted.
    pub fn len(&self) -> usize {
        match self {
            Self::Pairs { positive, negative } => positive.len() + negative.len(),
            Self::Triplets(triplets) => triplets.len(),
        }
    }

    /// Whether there is no tuple.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Positive and negative pairs: every triplet is split in two, in order. As in pytorch-metric-learning, a pair of
    /// several triplets comes several times.
    pub fn pairs(&self) -> [Cow<'_, [Pair]>; 2] {
        match self {
            Self::Pairs { positive, negative } => [positive.as_slice().into(), negative.as_slice().into()],
            Self::Triplets(triplets) => {
                let positive: Vec<Pair> =
                    triplets.iter().map(|t| Pair { anchor: t.anchor, other: t.positive }).collect();
                let negative: Vec<Pair> =
                    triplets.iter().map(|t| Pair { anchor: t.anchor, other: t.negative }).collect();
                [positive.into(), negative.into()]
            }
        }
    }

    /// Triplets: pairs are joined where their anchors agree, in the order of the positive pairs.
    pub fn triplets(&self) -> Cow<'_, [Triplet]> {
        match self {
            Self::Triplets(triplets) => triplets.as_slice().into(),
            Self::Pairs { positive, negative } => {
                let rows = negative.iter().map(|pair| pair.anchor as usize + 1).max().unwrap_or(0);
                let by_anchor = Grouped::new(negative, rows);
                let joined = positive.iter().flat_map(|pair| {
                    let negatives = by_anchor.get(pair.anchor as usize).iter();
                    negatives.map(move |&negative| Triplet { anchor: pair.anchor, positive: pair.other, negative })
                });
                joined.collect::<Vec<_>>().into()
            }
        }
    }

    /// How often each of `rows` embeddings occurs, divided by the largest such count: pytorch-metric-learning's weights
    /// of the elements of losses that know no tuples. Without a tuple every weight is 1. With separate references only
    /// anchors are embeddings.
    ///
    /// # Errors
    /// When an index is not below `rows`.
    pub fn weights(&self, rows: usize, references: bool) -> Result<Vec<f32>, MetricError> {
        if self.is_empty() {
            return Ok(vec![1.0; rows]);
        }
        let mut counts = vec![0usize; rows];
        let mut count = |index: u32| -> Result<(), MetricError> {
            let row = counts.get_mut(index as usize);
            *row.ok_or(MetricError::Tuple { what: "embedding", index: index as usize, rows })? += 1;
            Ok(())
        };
        match self {
            Self::Pairs { positive, negative } => {
                for pair in positive.iter().chain(negative) {
                    count(pair.anchor)?;
                    if !references {
                        count(pair.other)?;
                    }
                }
            }
            Self::Triplets(triplets) => {
                for t in triplets {
                    count(t.anchor)?;
                    if !references {
                        count(t.positive)?;
                        count(t.negative)?;
                    }
                }
            }
        }
        let most = counts.iter().max().copied().unwrap_or(1) as f32;
        Ok(counts.into_iter().map(|c| c as f32 / most).collect())
    }

    /// Checks that every index lies inside the matrix.
    ///
    /// # Errors
    /// Names the first index that does not.
    pub fn check(&self, on: &Pairwise) -> Result<(), MetricError> {
        let [anchors, references] = [on.anchors(), on.references()];
        let inside = |what: &'static str, index: u32, rows: usize| {
            let index = index as usize;
            if index < rows { Ok(()) } else { Err(MetricError::Tuple { what, index, rows }) }
        };
        let pair = |pair: &Pair| {
            inside("anchor", pair.anchor, anchors)?;
            inside("reference", pair.other, references)
        };
        let triplet = |t: &Triplet| {
            inside("anchor", t.anchor, anchors)?;
            inside("reference", t.positive, references)?;
            inside("reference", t.negative, references)
        };
        match self {
            Self::Pairs { positive, negative } => {
                first_error(positive, pair).and_then(|()| first_error(negative, pair))
            }
            Self::Triplets(triplets) => first_error(triplets, triplet),
        }
    }
}

/// The error of the first tuple that has one; threads look whether any has.
fn first_error<T: Sync>(tuples: &[T], check: impl Fn(&T) -> Result<(), MetricError> + Sync) -> Result<(), MetricError> {
    if tuples.par_iter().all(|t| check(t).is_ok()) { Ok(()) } else { tuples.iter().try_for_each(check) }
}

fn every_pair(on: &Pairwise) -> [Vec<Pair>; 2] {
    let (kinds, anchors) = (on.kinds(), 0..on.anchors());
    let positive = |anchor| kinds.positives(anchor).map(move |p| Pair::new(anchor, p));
    let negative = |anchor| kinds.negatives(anchor).map(move |n| Pair::new(anchor, n));
    [
        anchors.clone().into_par_iter().flat_map_iter(positive).collect(),
        anchors.into_par_iter().flat_map_iter(negative).collect(),
    ]
}

fn every_triplet(on: &Pairwise) -> Vec<Triplet> {
    let kinds = on.kinds();
    let of_anchor = |anchor| {
        let negatives: Vec<usize> = kinds.negatives(anchor).collect();
        kinds.positives(anchor).flat_map(move |positive| {
            negatives.clone().into_iter().map(move |negative| Triplet::new(anchor, positive, negative))
        })
    };
    (0..on.anchors()).into_par_iter().flat_map_iter(of_anchor).collect()
}

/// The given tuples as pairs, or every pair of the batch.
pub(crate) fn pairs_or_all<'a>(on: &Pairwise, tuples: Option<&'a Tuples>) -> [Cow<'a, [Pair]>; 2] {
    tuples.map_or_else(|| every_pair(on).map(Cow::Owned), Tuples::pairs)
}

/// The given tuples as triplets, or every triplet of the batch.
pub(crate) fn triplets_or_all<'a>(on: &Pairwise, tuples: Option<&'a Tuples>) -> Cow<'a, [Triplet]> {
    tuples.map_or_else(|| Cow::Owned(every_triplet(on)), Tuples::triplets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(anchors: &[u32], others: &[u32]) -> Vec<Pair> {
        anchors.iter().zip(others).map(|(&anchor, &other)| Pair { anchor, other }).collect()
    }

    #[test]
    fn pairs_join_where_their_anchors_agree() {
        let positive = pairs(&[0, 1, 0, 2], &[5, 6, 7, 8]);
        let negative = pairs(&[0, 1, 2, 0], &[9, 10, 11, 12]);
        let tuples = Tuples::Pairs { positive, negative };
        let joined: Vec<_> = tuples.triplets().iter().map(|t| (t.anchor, t.positive, t.negative)).collect();
        assert_eq!(joined, [(0, 5, 9), (0, 5, 12), (1, 6, 10), (0, 7, 9), (0, 7, 12), (2, 8, 11)]);
    }

    #[test]
    fn triplets_split_into_pairs_and_keep_repetitions() {
        let tuples = Tuples::Triplets(vec![Triplet::new(0, 1, 2), Triplet::new(0, 1, 3)]);
        let [positive, negative] = tuples.pairs();
        assert_eq!(positive[..], pairs(&[0, 0], &[1, 1]));
        assert_eq!(negative[..], pairs(&[0, 0], &[2, 3]));
    }

    #[test]
    fn weights_are_counts_over_the_largest() {
        let triplets = [(0, 5), (1, 5), (2, 6), (3, 6)].map(|(a, n)| Triplet::new(a, 4, n));
        let tuples = Tuples::Triplets(triplets.to_vec());
        assert_eq!(tuples.weights(7, false).unwrap(), [0.25, 0.25, 0.25, 0.25, 1.0, 0.5, 0.5]);
        assert_eq!(tuples.weights(4, true).unwrap(), [1.0; 4]);
        assert_eq!(Tuples::Triplets(Vec::new()).weights(3, false).unwrap(), [1.0; 3]);
        assert!(matches!(tuples.weights(6, false), Err(MetricError::Tuple { index: 6, rows: 6, .. })));
    }
}

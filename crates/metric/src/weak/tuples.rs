//! Weak supervision as tuples, so that it trains the losses over tuples.
//!
//! Indices become rows of the batch: restrict what is given to the rows of a batch first ([`Pairs::within`]).

use super::{Chunks, Pairs, Quadruplets, Triplets};
use crate::{Pair, Triplet, Tuples};

/// A pair in both directions, as it stands in the list of all pairs of a batch.
fn both([a, b]: [usize; 2]) -> [Pair; 2] {
    [Pair::new(a, b), Pair::new(b, a)]
}

impl From<&Pairs> for Tuples {
    fn from(pairs: &Pairs) -> Self {
        let of = |wanted: bool| {
            let kept = pairs.pairs.iter().zip(&pairs.same).filter(move |(_, same)| **same == wanted);
            kept.flat_map(|(pair, _)| both(*pair)).collect()
        };
        Self::Pairs { positive: of(true), negative: of(false) }
    }
}

impl From<&Triplets> for Tuples {
    fn from(triplets: &Triplets) -> Self {
        Self::Triplets(triplets.0.iter().map(|[a, p, n]| Triplet::new(*a, *p, *n)).collect())
    }
}

/// The near pair of each quadruplet as a positive and the far one as a negative; which pair is compared with which is
/// lost.
impl From<&Quadruplets> for Tuples {
    fn from(quadruplets: &Quadruplets) -> Self {
        Self::Pairs {
            positive: quadruplets.0.iter().flat_map(|[a, b, _, _]| both([*a, *b])).collect(),
            negative: quadruplets.0.iter().flat_map(|[_, _, c, d]| both([*c, *d])).collect(),
        }
    }
}

/// Every pair within a chunk as a positive. Chunks say nothing about what should be far: losses that need negatives do
/// not learn from them alone.
impl From<&Chunks> for Tuples {
    fn from(chunks: &Chunks) -> Self {
        Self::from(&chunks.pairs())
    }
}

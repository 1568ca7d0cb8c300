use super::{Gradient, PairLoss, Term};
use crate::{
    Distance, MetricError, Pairwise, Reducer, Tuples,
    distance::COSINE,
    tuples::{Pair, Triplet, triplets_or_all},
};
use serde::{Deserialize, Serialize};

/// The loss is one number already.
static WHOLE: Reducer = Reducer::Sum;

/// The histogram loss (Ustinova and Lempitsky, 2016): the probability that a random negative pair is more similar than
/// a random positive one.
///
/// ```text
/// sum over nodes r of h-(r) sum over q <= r of h+(q)
/// ```
///
/// `h` are the shares of positive and negative similarities at the nodes of a grid on [-1, 1]; a similarity is shared
/// linearly between the two nodes around it. Every pair that takes part in a triplet counts once, in one direction
/// where embeddings are compared with themselves. Takes similarities in [-1, 1]: the cosine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Histogram {
    /// Intervals of the grid, at least 1. Default 100, as in pytorch-metric-learning.
    pub bins: usize,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: 100 }
    }
}

impl Histogram {
    /// The lower of the two nodes around a similarity, and the share of the upper one.
    fn place(self, s: f32) -> (usize, f64) {
        let at = ((f64::from(s) + 1.0) / 2.0 * self.bins as f64).clamp(0.0, self.bins as f64);
        let lower = (at as usize).min(self.bins - 1);
        (lower, at - lower as f64)
    }

    /// The share of the pairs at every node.
    fn density(self, on: &Pairwise, pairs: &[Pair]) -> Vec<f64> {
        let mut density = vec![0.0; self.bins + 1];
        let one = 1.0 / pairs.len() as f64;
        for pair in pairs {
            let (lower, share) = self.place(on.values().row(pair.anchor as usize)[pair.other as usize]);
            density[lower] += one * (1.0 - share);
            density[lower + 1] += one * share;
        }
        density
    }
}

/// Every pair once, without its direction if rows and columns are the same items.
fn distinct(on: &Pairwise, triplets: &[Triplet], other: impl Fn(&Triplet) -> u32) -> Vec<Pair> {
    let turn = |t: &Triplet| {
        let (a, b) = (t.anchor, other(t));
        if on.is_square() { Pair { anchor: a.min(b), other: a.max(b) } } else { Pair { anchor: a, other: b } }
    };
    let mut pairs: Vec<Pair> = triplets.iter().map(turn).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

impl PairLoss for Histogram {
    fn default_distance(&self) -> Distance {
        Distance::Cosine
    }

    fn reducer(&self) -> &Reducer {
        &WHOLE
    }

    fn validate(&self) -> Result<(), MetricError> {
        MetricError::check(self.bins >= 1, "bins", "at least 1", self.bins as f64)
    }

    fn accepts(&self, distance: Distance) -> Result<(), MetricError> {
        MetricError::defined(distance.is_cosine(), "the histogram loss", COSINE, distance)
    }

    fn terms<'a>(&'a self, on: &'a Pairwise, tuples: Option<&'a Tuples>) -> Result<Vec<Term<'a>>, MetricError> {
        let triplets = triplets_or_all(on, tuples);
        if triplets.is_empty() {
            return Ok(Vec::new());
        }
        let positive = distinct(on, &triplets, |t| t.positive);
        let negative = distinct(on, &triplets, |t| t.negative);
        let [near, far] = [&positive, &negative].map(|pairs| self.density(on, pairs));
        // Positives up to a node, and negatives from a node on: each is the derivative by the other's density.
        let (mut below, mut beyond) = (near, far.clone());
        (1..=self.bins).for_each(|r| below[r] += below[r - 1]);
        (0..self.bins).rev().for_each(|r| beyond[r] += beyond[r + 1]);
        let value = far.iter().zip(&below).map(|(share, below)| share * below).sum();
        let pullback = move |weight: f32, gradient: &mut Gradient| {
            for (pairs, cost) in [(&positive, &beyond), (&negative, &below)] {
                let scale = f64::from(weight) * self.bins as f64 / 2.0 / pairs.len() as f64;
                for pair in pairs {
                    let (row, column) = (pair.anchor as usize, pair.other as usize);
                    let (lower, _) = self.place(on.values().row(row)[column]);
                    gradient.row_mut(row)[column] += (scale * (cost[lower + 1] - cost[lower])) as f32;
                }
            }
        };
        Ok(vec![Term::whole(value, pullback)])
    }
}

use super::Miner;
use crate::{MetricError, Pair, Pairwise, Tuples};
use serde::{Deserialize, Serialize};

/// Which positive, or which negative, of an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The nearest positive, the farthest negative.
    Easy,
    /// The farthest positive that is nearer than the chosen negative; the nearest negative that is farther than the
    /// chosen positive.
    SemiHard,
    /// The farthest positive, the nearest negative.
    Hard,
    /// All of them.
    All,
}

/// For every anchor one positive and one negative of a chosen difficulty, or all of one kind (Xuan et al., "Improved
/// embeddings with easy positive triplet mining", 2020; the parts and names are pytorch-metric-learning's).
///
/// Where both are chosen, anchors that lack either are left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchEasyHardMiner {
    /// Which positives. Default [`Strategy::Easy`], as in pytorch-metric-learning. Not semi-hard together with
    /// semi-hard or with all negatives.
    pub positive: Strategy,
    /// Which negatives. Default [`Strategy::SemiHard`], as in pytorch-metric-learning. Not semi-hard together with all
    /// positives.
    pub negative: Strategy,
    /// Chosen positives lie between these distances, both included. Default none: no bound.
    pub positive_range: Option<[f32; 2]>,
    /// Chosen negatives lie between these distances, both included. Default none: no bound.
    pub negative_range: Option<[f32; 2]>,
}

impl Default for BatchEasyHardMiner {
    fn default() -> Self {
        Self { positive: Strategy::Easy, negative: Strategy::SemiHard, positive_range: None, negative_range: None }
    }
}

/// The column of the largest or of the smallest dissimilarity among those that `keep` holds for.
fn extreme(
    columns: impl Iterator<Item = usize>,
    largest: bool,
    of: impl Fn(usize) -> f32,
    keep: impl Fn(f32, usize) -> bool,
) -> Option<usize> {
    let better = |a: usize, b: usize| {
        let wins = if largest { of(b) > of(a) } else { of(b) < of(a) };
        if wins { b } else { a }
    };
    columns.filter(|&column| keep(of(column), column)).reduce(better)
}

impl BatchEasyHardMiner {
    /// The chosen positive and negative of an anchor; `None` for a strategy that takes all, or where nothing fits.
    fn choose(&self, on: &Pairwise, anchor: usize) -> [Option<usize>; 2] {
        let sign = on.sign();
        let row = on.values().row(anchor);
        let of = |column: usize| sign * row[column];
        let inside = |range: Option<[f32; 2]>, column: usize| {
            range.is_none_or(|[from, to]| row[column] >= from && row[column] <= to)
        };
        let positive = |below: Option<f32>| {
            let keep = |d: f32, column: usize| below.is_none_or(|b| d < b) && inside(self.positive_range, column);
            extreme(on.positives(anchor), self.positive != Strategy::Easy, of, keep)
        };
        let negative = |above: Option<f32>| {
            let keep = |d: f32, column: usize| above.is_none_or(|a| d > a) && inside(self.negative_range, column);
            extreme(on.negatives(anchor), self.negative == Strategy::Easy, of, keep)
        };
        match (self.positive, self.negative) {
            (Strategy::All, Strategy::All) => [None, None],
            (Strategy::All, _) => [None, negative(None)],
            (_, Strategy::All) => [positive(None), None],
            (Strategy::SemiHard, _) => {
                let negative = negative(None);
                [negative.and_then(|n| positive(Some(of(n)))), negative]
            }
            (_, Strategy::SemiHard) => {
                let positive = positive(None);
                [positive, positive.and_then(|p| negative(Some(of(p))))]
            }
            _ => [positive(None), negative(None)],
        }
    }
}

impl Miner for BatchEasyHardMiner {
    fn validate(&self) -> Result<(), MetricError> {
        use Strategy::{All, SemiHard};
        if matches!((self.positive, self.negative), (SemiHard, SemiHard | All) | (All, SemiHard)) {
            return Err(MetricError::Settings(
                "`semi_hard` needs one chosen tuple of the other kind: take `easy` or `hard` there",
            ));
        }
        for (name, range) in [("positive_range", self.positive_range), ("negative_range", self.negative_range)] {
            if let Some([from, to]) = range {
                MetricError::check(from <= to, name, "two numbers in increasing order", from.into())?;
            }
        }
        Ok(())
    }

    fn mine(&self, on: &Pairwise) -> Result<Tuples, MetricError> {
        self.validate()?;
        let [all_positives, all_negatives] = [self.positive, self.negative].map(|s| s == Strategy::All);
        let (mut positive, mut negative) = (Vec::new(), Vec::new());
        for anchor in 0..on.anchors() {
            let [p, n] = self.choose(on, anchor);
            let complete = all_positives || all_negatives || (p.is_some() && n.is_some());
            if all_positives {
                positive.extend(on.positives(anchor).map(|p| Pair::new(anchor, p)));
            } else if complete {
                positive.extend(p.map(|p| Pair::new(anchor, p)));
            }
            if all_negatives {
                negative.extend(on.negatives(anchor).map(|n| Pair::new(anchor, n)));
            } else if complete {
                negative.extend(n.map(|n| Pair::new(anchor, n)));
            }
        }
        Ok(Tuples::Pairs { positive, negative })
    }
}

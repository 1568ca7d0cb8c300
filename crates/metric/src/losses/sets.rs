use crate::{Pairwise, Tuples, grouped::Grouped};
use nearfar_core::matrix::Matrix;

/// Positives and negatives of every anchor.
#[derive(Debug)]
pub struct Sets {
    positive: Grouped,
    negative: Grouped,
}

impl Sets {
    /// Of the given tuples, or by label. A pair that comes several times counts several times.
    pub fn new(on: &Pairwise, tuples: Option<&Tuples>) -> Self {
        let rows = on.anchors();
        let [positive, negative] = match tuples {
            Some(tuples) => tuples.pairs().map(|pairs| Grouped::new(&pairs, rows)),
            None => [Grouped::collect(rows, |a| on.positives(a)), Grouped::collect(rows, |a| on.negatives(a))],
        };
        Self { positive, negative }
    }

    /// The same, every pair once.
    pub fn distinct(on: &Pairwise, tuples: Option<&Tuples>) -> Self {
        let Self { positive, negative } = Self::new(on, tuples);
        match tuples {
            Some(_) => Self { positive: positive.distinct(), negative: negative.distinct() },
            None => Self { positive, negative },
        }
    }

    /// The anchor of every positive pair, in increasing order.
    pub fn positive_anchors(&self) -> Vec<u32> {
        self.positive.anchors()
    }

    /// Where the positive pairs of an anchor start among all.
    pub fn first_positive(&self, anchor: usize) -> usize {
        self.positive.start(anchor)
    }

    /// An anchor with its distances.
    pub fn row<'r>(&'r self, distances: &'r Matrix, anchor: usize) -> Row<'r> {
        let distances = distances.row(anchor);
        Row { anchor, distances, positive: self.positive.get(anchor), negative: self.negative.get(anchor) }
    }
}

/// An anchor, its distances, and the columns of its positives and negatives.
#[derive(Clone, Copy, Debug)]
pub struct Row<'r> {
    /// Row of the anchor.
    pub anchor: usize,
    /// Its distance to every reference.
    pub distances: &'r [f32],
    /// Columns of its positives.
    pub positive: &'r [u32],
    /// Columns of its negatives.
    pub negative: &'r [u32],
}

impl<'r> Row<'r> {
    /// Distances of these columns.
    pub fn at(self, columns: &'r [u32]) -> impl Iterator<Item = f32> + Clone + 'r {
        let distances = self.distances;
        columns.iter().map(move |&column| distances[column as usize])
    }

    /// Distances of the positives.
    pub fn positives(self) -> impl Iterator<Item = f32> + Clone + 'r {
        self.at(self.positive)
    }

    /// Distances of the negatives.
    pub fn negatives(self) -> impl Iterator<Item = f32> + Clone + 'r {
        self.at(self.negative)
    }
}

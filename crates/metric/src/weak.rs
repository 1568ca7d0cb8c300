//! Weak supervision: what a person can say about rows without naming classes.
//!
//! Indices are rows of the data that come with them. Everything is checked by `validate` before it is used; rows whose
//! class is unknown (`None`) take part in nothing that is drawn from class labels.
//!
//! [`Weak`] is any of the kinds, and puts one in the form of another where it says as much: so an encoder
//! ([`crate::methods::WeakTraining`]) and a linear learner ([`crate::mahalanobis::WeakLearner`]) learn from every kind
//! that tells them enough, and refuse the others with the reason.

mod draw;
mod error;
mod implied;
mod kind;
mod table;
mod tuples;

pub use error::WeakError;
pub use kind::{Weak, WeakKind};

use serde::{Deserialize, Serialize};
use std::{collections::HashMap, hash::Hash};

/// Pairs of rows with the answer to "do they belong together?".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    /// The two rows of each pair.
    pub pairs: Vec<[usize; 2]>,
    /// Whether they belong together; as long as `pairs`.
    pub same: Vec<bool>,
}

impl Pairs {
    /// Checks the pairs against data of `rows` rows.
    ///
    /// # Errors
    /// When there are none, answers are missing, a row does not exist or is paired with itself, or a pair is said to be
    /// same and different.
    pub fn validate(&self, rows: usize) -> Result<(), WeakError> {
        if self.pairs.len() != self.same.len() {
            return Err(WeakError::Answers { pairs: self.pairs.len(), same: self.same.len() });
        }
        check(&self.pairs, "pair", "pairs", rows, &[[0, 1]])?;
        let mut answers: HashMap<[usize; 2], (bool, usize)> = HashMap::with_capacity(self.pairs.len());
        for (place, (&pair, &same)) in self.pairs.iter().zip(&self.same).enumerate() {
            let (other, first) = *answers.entry(ordered(pair)).or_insert((same, place));
            if other != same {
                return Err(WeakError::Contradiction { what: "pairs", first, second: place });
            }
        }
        Ok(())
    }

    /// `count` different pairs of one class and as many of two classes, each equally likely, all there are where there
    /// are fewer; the pairs of one class come first.
    ///
    /// # Errors
    /// When the labels hold no pair of one of the two kinds.
    pub fn from_labels(labels: &[Option<usize>], count: usize, seed: u64) -> Result<Self, WeakError> {
        draw::pairs(labels, count, seed)
    }

    /// The pairs whose rows are both among `rows`, as places in `rows`: what a batch of these rows can use.
    #[must_use]
    pub fn within(&self, rows: &[usize]) -> Self {
        let places = places(rows);
        let kept = self.pairs.iter().zip(&self.same).filter_map(|(pair, same)| Some((moved(pair, &places)?, *same)));
        let (pairs, same) = kept.unzip();
        Self { pairs, same }
    }
}

/// Triplets (anchor, positive, negative): the anchor is nearer to the positive than to the negative.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triplets(pub Vec<[usize; 3]>);

impl Triplets {
    /// Checks the triplets against data of `rows` rows.
    ///
    /// # Errors
    /// When there are none, a row does not exist or is twice in a triplet, or two triplets contradict each other.
    pub fn validate(&self, rows: usize) -> Result<(), WeakError> {
        check(&self.0, "triplet", "triplets", rows, &[[0, 1], [0, 2], [1, 2]])?;
        contradictions(&self.0, "triplets", |[a, p, n]| ([*a, *p, *n], [*a, *n, *p]))
    }

    /// `count` different triplets, each equally likely, all there are where there are fewer.
    ///
    /// # Errors
    /// When the labels hold none.
    pub fn from_labels(labels: &[Option<usize>], count: usize, seed: u64) -> Result<Self, WeakError> {
        draw::triplets(labels, count, seed)
    }

    /// The triplets whose rows are all among `rows`, as places in `rows`.
    #[must_use]
    pub fn within(&self, rows: &[usize]) -> Self {
        let places = places(rows);
        Self(self.0.iter().filter_map(|triplet| moved(triplet, &places)).collect())
    }
}

/// Quadruplets (a, b, c, d): a and b are nearer to each other than c and d.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quadruplets(pub Vec<[usize; 4]>);

impl Quadruplets {
    /// Checks the quadruplets against data of `rows` rows.
    ///
    /// # Errors
    /// When there are none, a row does not exist or is paired with itself, a quadruplet compares a pair with itself, or
    /// two quadruplets contradict each other.
    pub fn validate(&self, rows: usize) -> Result<(), WeakError> {
        check(&self.0, "quadruplet", "quadruplets", rows, &[[0, 1], [2, 3]])?;
        contradictions(&self.0, "quadruplets", |&[a, b, c, d]| {
            let (near, far) = (ordered([a, b]), ordered([c, d]));
            ([near, far], [far, near])
        })
    }

    /// `count` quadruplets of a pair of one class and a pair of two classes, drawn apart, no pair twice; fewer where
    /// one of the two kinds has fewer pairs.
    ///
    /// # Errors
    /// When the labels hold no pair of one of the two kinds.
    pub fn from_labels(labels: &[Option<usize>], count: usize, seed: u64) -> Result<Self, WeakError> {
        draw::quadruplets(labels, count, seed)
    }

    /// The quadruplets whose rows are all among `rows`, as places in `rows`.
    #[must_use]
    pub fn within(&self, rows: &[usize]) -> Self {
        let places = places(rows);
        Self(self.0.iter().filter_map(|quadruplet| moved(quadruplet, &places)).collect())
    }
}

/// The chunk (small group known to belong together) of every row; `None` where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunks(pub Vec<Option<usize>>);

impl Chunks {
    /// Checks the chunks against data of `rows` rows.
    ///
    /// # Errors
    /// When they do not number the rows or no chunk has two rows.
    pub fn validate(&self, rows: usize) -> Result<(), WeakError> {
        if self.0.len() != rows {
            return Err(WeakError::ChunkCount { got: self.0.len(), rows });
        }
        if self.0.iter().all(Option::is_none) {
            return Err(WeakError::Empty { what: "chunks" });
        }
        let mut known: Vec<usize> = self.0.iter().flatten().copied().collect();
        known.sort_unstable();
        if known.windows(2).all(|pair| pair[0] != pair[1]) { Err(WeakError::SingleChunks) } else { Ok(()) }
    }

    /// `count` chunks of `size` rows of one class, no row in two of them, as metric-learn draws them for RCA.
    ///
    /// # Errors
    /// When `count` is 0, `size` below 2, or the classes are too small for so many.
    pub fn from_labels(labels: &[Option<usize>], count: usize, size: usize, seed: u64) -> Result<Self, WeakError> {
        draw::chunks(labels, count, size, seed)
    }

    /// The chunks of the rows `rows`, in that order; none for a row that is not there.
    #[must_use]
    pub fn within(&self, rows: &[usize]) -> Self {
        Self(rows.iter().map(|row| self.0.get(*row).copied().flatten()).collect())
    }

    /// Every pair of rows of one chunk as a pair that belongs together.
    #[must_use]
    pub fn pairs(&self) -> Pairs {
        let pairs = draw::Known::new(&self.0).all_pairs();
        Pairs { same: vec![true; pairs.len()], pairs }
    }
}

/// Checks that rows exist and that the places `apart` of each entry hold different rows.
fn check<const N: usize>(
    entries: &[[usize; N]],
    one: &'static str,
    all: &'static str,
    rows: usize,
    apart: &[[usize; 2]],
) -> Result<(), WeakError> {
    if entries.is_empty() {
        return Err(WeakError::Empty { what: all });
    }
    for (place, entry) in entries.iter().enumerate() {
        if let Some(&row) = entry.iter().find(|row| **row >= rows) {
            return Err(WeakError::Row { what: one, place, row, rows });
        }
        if let Some([i, _]) = apart.iter().find(|[i, j]| entry[*i] == entry[*j]) {
            return Err(WeakError::Itself { what: one, place, row: entry[*i] });
        }
    }
    Ok(())
}

/// Checks that no entry's opposite is in the list; `keys` gives an entry and its opposite in a normal form.
fn contradictions<T, K: Hash + Eq>(
    entries: &[T],
    what: &'static str,
    keys: impl Fn(&T) -> (K, K),
) -> Result<(), WeakError> {
    let mut seen = HashMap::with_capacity(entries.len());
    for (place, entry) in entries.iter().enumerate() {
        let (key, opposite) = keys(entry);
        seen.entry(key).or_insert(place);
        if let Some(&first) = seen.get(&opposite) {
            return Err(WeakError::Contradiction { what, first, second: place });
        }
    }
    Ok(())
}

/// A pair with its smaller row first.
pub(crate) fn ordered([a, b]: [usize; 2]) -> [usize; 2] {
    [a.min(b), a.max(b)]
}

/// Place of each row in `rows`; of a row that is there twice, the first.
pub(crate) fn places(rows: &[usize]) -> HashMap<usize, usize> {
    let mut places = HashMap::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        places.entry(*row).or_insert(place);
    }
    places
}

fn moved<const N: usize>(entry: &[usize; N], places: &HashMap<usize, usize>) -> Option<[usize; N]> {
    let mut out = [0; N];
    for (to, row) in out.iter_mut().zip(entry) {
        *to = *places.get(row)?;
    }
    Some(out)
}

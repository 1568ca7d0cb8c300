//! Ranking keys of references for queries: what exact neighbours and retrieval scores sort by.
//!
//! A key is an `f32` that is smaller for a nearer reference: `|r|^2 - 2 q.r` for the Euclidean distance (the query's
//! own norm shifts all keys of a query alike), `-cos(q, r)` for the cosine similarity. Equal keys are ordered by
//! index.

use std::borrow::Cow;

use nearfar_core::matrix::Matrix;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::product::{row_products, squared_norms};
use crate::rows::{check_features, check_width, unit_rows};

/// Largest squared norm that leaves room for `|q|^2 + |r|^2 - 2 q.r`.
const MAX_SQUARED_NORM: f32 = f32::MAX / 16.0;

/// Rows in one parallel piece of the norms: a multiple of the block that they are computed in.
const NORM_PIECE: usize = 24 * 64;

/// How two rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// Euclidean distance of the rows as they are. Scores are *squared* distances: smaller is nearer.
    Euclidean,
    /// Cosine similarity: rows are divided by their norm first (a zero row has similarity 0 to everything).
    /// Scores are similarities in `[-1, 1]`: larger is nearer. The default, as most losses train on unit rows.
    #[default]
    Cosine,
}

/// Rows made ready for ranking.
pub(crate) struct Prepared<'a> {
    what: &'static str,
    rows: Cow<'a, Matrix>,
    /// Squared norm of each row for the Euclidean distance, zeros for the cosine similarity.
    squares: Vec<f32>,
}

impl<'a> Prepared<'a> {
    /// Checks the features and prepares them.
    pub(crate) fn new(what: &'static str, features: &'a Matrix, distance: Distance) -> Result<Self, EvalError> {
        check_features(what, features)?;
        match distance {
            Distance::Cosine => {
                Ok(Self { what, rows: Cow::Owned(unit_rows(features)), squares: vec![0.0; features.rows()] })
            }
            Distance::Euclidean => Self::euclidean(what, Cow::Borrowed(features)),
        }
    }

    /// Unit rows, compared by the Euclidean distance.
    pub(crate) fn on_sphere(what: &'static str, features: &Matrix) -> Result<Self, EvalError> {
        check_features(what, features)?;
        Self::euclidean(what, Cow::Owned(unit_rows(features)))
    }

    fn euclidean(what: &'static str, rows: Cow<'a, Matrix>) -> Result<Self, EvalError> {
        let cols = rows.cols();
        let pieces: Vec<Vec<f32>> =
            rows.as_slice().par_chunks(NORM_PIECE * cols).map(|piece| squared_norms(piece, cols)).collect();
        let squares = pieces.concat();
        match squares.iter().position(|&square| !square.is_finite() || square > MAX_SQUARED_NORM) {
            Some(row) => Err(EvalError::Overflow { what, row }),
            None => Ok(Self { what, rows, squares }),
        }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.rows()
    }

    /// The rows as they are compared.
    pub(crate) fn rows(&self) -> &Matrix {
        &self.rows
    }

    /// Squared norms, or zeros for the cosine similarity.
    pub(crate) fn squares(&self) -> &[f32] {
        &self.squares
    }

    /// Rows `start..end` as one slice.
    pub(crate) fn block(&self, start: usize, end: usize) -> &[f32] {
        let cols = self.rows.cols();
        &self.rows.as_slice()[start * cols..end * cols]
    }
}

/// Queries and the references that are ranked for them.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'p> {
    pub(crate) queries: &'p Prepared<'p>,
    pub(crate) references: &'p Prepared<'p>,
    pub(crate) distance: Distance,
    /// Query `i` is reference `i`, and is left out of its own ranking.
    pub(crate) exclude_self: bool,
}

impl<'p> Pair<'p> {
    /// Checks that both sides fit. They must have been prepared for `distance`.
    pub(crate) fn new(
        queries: &'p Prepared<'p>,
        references: &'p Prepared<'p>,
        distance: Distance,
        exclude_self: bool,
    ) -> Result<Self, EvalError> {
        check_width(queries.what, queries.rows().cols(), references.what, references.rows().cols())?;
        if exclude_self && references.len() < queries.len() {
            return Err(EvalError::SelfExclusion { queries: queries.len(), references: references.len() });
        }
        Ok(Self { queries, references, distance, exclude_self })
    }

    /// References that each query can have.
    pub(crate) fn available(&self) -> usize {
        self.references.len() - usize::from(self.exclude_self)
    }

    /// Scaled products `[queries, references]` of two blocks; adding [`Pair::bias`] makes keys of them.
    pub(crate) fn products(&self, queries: (usize, usize), references: (usize, usize), out: &mut [f32]) {
        let scale = match self.distance {
            Distance::Euclidean => -2.0,
            Distance::Cosine => -1.0,
        };
        let (left, right) =
            (self.queries.block(queries.0, queries.1), self.references.block(references.0, references.1));
        row_products(left, right, self.references.rows().cols(), scale, out);
    }

    /// What to add to each reference's product. For the cosine similarity this is zero, which still matters: it turns a
    /// negative zero into a positive one, so that equal keys have equal bits.
    pub(crate) fn bias(&self, start: usize, end: usize) -> &'p [f32] {
        &self.references.squares()[start..end]
    }

    /// The reported score of a key of query `i`.
    pub(crate) fn score(&self, query: usize, key: f32) -> f32 {
        match self.distance {
            Distance::Euclidean => (key + self.queries.squares()[query]).max(0.0),
            Distance::Cosine => (0.0 - key).clamp(-1.0, 1.0),
        }
    }
}

/// A key and an index in one integer that orders by key, then by index. `key` must not be NaN or negative zero.
#[inline]
pub(crate) fn pack(key: f32, index: u32) -> u64 {
    let bits = key.to_bits();
    // Negative floats order backwards by their bits, positive ones forwards and after them.
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 0x8000_0000 };
    (u64::from(ordered) << 32) | u64::from(index)
}

/// The key and the index of [`pack`].
#[inline]
pub(crate) fn unpack(packed: u64) -> (f32, u32) {
    let ordered = (packed >> 32) as u32;
    let bits = if ordered >> 31 == 1 { ordered & 0x7fff_ffff } else { !ordered };
    (f32::from_bits(bits), packed as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn huge_rows_are_an_error() {
        let features = Matrix::from_fn(3, 2, |i, _| if i == 1 { 1e19 } else { 1.0 });
        let error = Prepared::new("points", &features, Distance::Euclidean).err();
        assert_eq!(error, Some(EvalError::Overflow { what: "points", row: 1 }));
        assert!(Prepared::new("points", &features, Distance::Cosine).is_ok());
    }

    #[test]
    fn self_exclusion_needs_the_queries_among_the_references() {
        let (four, three) = (Matrix::from_fn(4, 1, |i, _| i as f32), Matrix::from_fn(3, 1, |i, _| i as f32));
        let four = Prepared::new("queries", &four, Distance::Euclidean).unwrap();
        let three = Prepared::new("references", &three, Distance::Euclidean).unwrap();
        let error = Pair::new(&four, &three, Distance::Euclidean, true).err();
        assert_eq!(error, Some(EvalError::SelfExclusion { queries: 4, references: 3 }));
        assert!(Pair::new(&three, &four, Distance::Euclidean, true).is_ok());
    }

    proptest! {
        #[test]
        fn packed_order_is_key_then_index(a in -1e30f32..1e30, b in -1e30f32..1e30, i in 0u32..9, j in 0u32..9) {
            let (a, b) = (a + 0.0, b + 0.0);
            let expected = a.partial_cmp(&b).unwrap().then(i.cmp(&j));
            prop_assert_eq!(pack(a, i).cmp(&pack(b, j)), expected);
            prop_assert_eq!(pack(a, i).cmp(&pack(a, j)), i.cmp(&j));
            prop_assert_eq!(unpack(pack(a, i)), (a, i));
        }
    }
}

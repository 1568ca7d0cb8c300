//! Weak supervision: what a learner is told about some rows when they have no classes. Rows are named by their index.

use serde::{Deserialize, Serialize};

/// Pairs of rows, and which of them belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairs {
    /// The two rows of each pair.
    pub pairs: Vec<[usize; 2]>,
    /// Whether the rows of each pair belong together; as long as [`Pairs::pairs`].
    pub same: Vec<bool>,
}

/// Triplets `[a, b, c]`: row `a` is nearer to row `b` than to row `c`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triplets(pub Vec<[usize; 3]>);

/// Quadruplets `[a, b, c, d]`: rows `a` and `b` are nearer to each other than rows `c` and `d`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quadruplets(pub Vec<[usize; 4]>);

/// The chunk of each row: rows of one chunk are known to belong together, rows of different chunks may or may not.
/// `None` is a row of which nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunks(pub Vec<Option<usize>>);

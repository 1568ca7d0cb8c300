//! Statements of any kind as one type.

use super::{Chunks, Pairs, Quadruplets, Triplets, WeakError};
use crate::Tuples;
use serde::{Deserialize, Serialize};

/// What can be said about rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeakKind {
    /// Pairs that belong together or not.
    Pairs,
    /// Anchors that are nearer to one row than to another.
    Triplets,
    /// Pairs that are nearer than other pairs.
    Quadruplets,
    /// Small groups that belong together.
    Chunks,
}

impl WeakKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Pairs, Self::Triplets, Self::Quadruplets, Self::Chunks];

    /// Its name, in the plural.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Triplets => "triplets",
            Self::Quadruplets => "quadruplets",
            Self::Chunks => "chunks",
        }
    }

    /// Checks that statements of this kind can be put as statements of the kind `form` ([`Weak::pairs`],
    /// [`Weak::triplets`], [`Weak::quadruplets`], [`Weak::chunks`]).
    ///
    /// # Errors
    /// Names what they do not say.
    pub fn gives(self, form: Self) -> Result<(), WeakError> {
        match (self, form) {
            (Self::Triplets | Self::Quadruplets, Self::Chunks)
            | (Self::Quadruplets, Self::Triplets)
            | (Self::Chunks, Self::Triplets | Self::Quadruplets) => Err(self.silent(form)),
            _ => Ok(()),
        }
    }

    /// Why statements of this kind make none of the kind `form`.
    pub(super) fn silent(self, form: Self) -> WeakError {
        let missing = match (self, form) {
            (Self::Chunks, _) => "what is far",
            (_, Self::Chunks) => "which rows belong together",
            _ => "which of two rows is nearer to a third",
        };
        WeakError::Silent { given: self.name(), missing }
    }
}

/// What was said about the rows of the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weak {
    /// Pairs that belong together or not.
    Pairs(Pairs),
    /// Anchors that are nearer to one row than to another.
    Triplets(Triplets),
    /// Pairs that are nearer than other pairs.
    Quadruplets(Quadruplets),
    /// Small groups that belong together.
    Chunks(Chunks),
}

impl Weak {
    /// Which kind it is.
    pub fn kind(&self) -> WeakKind {
        match self {
            Self::Pairs(_) => WeakKind::Pairs,
            Self::Triplets(_) => WeakKind::Triplets,
            Self::Quadruplets(_) => WeakKind::Quadruplets,
            Self::Chunks(_) => WeakKind::Chunks,
        }
    }

    /// Checks it against data of `rows` rows.
    ///
    /// # Errors
    /// As the `validate` of what it is.
    pub fn validate(&self, rows: usize) -> Result<(), WeakError> {
        match self {
            Self::Pairs(pairs) => pairs.validate(rows),
            Self::Triplets(triplets) => triplets.validate(rows),
            Self::Quadruplets(quadruplets) => quadruplets.validate(rows),
            Self::Chunks(chunks) => chunks.validate(rows),
        }
    }

    /// What it says about a batch of these rows, as tuples of the batch.
    pub fn tuples(&self, rows: &[usize]) -> Tuples {
        match self {
            Self::Pairs(pairs) => Tuples::from(&pairs.within(rows)),
            Self::Triplets(triplets) => Tuples::from(&triplets.within(rows)),
            Self::Quadruplets(quadruplets) => Tuples::from(&quadruplets.within(rows)),
            Self::Chunks(chunks) => Tuples::from(&chunks.within(rows)),
        }
    }
}

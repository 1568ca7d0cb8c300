//! What can be wrong with the data or the settings of a score.

use thiserror::Error;

/// Why a score could not be computed. Every message says what is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A matrix or a list without items.
    #[error("{what}: no rows; pass at least one item")]
    NoRows {
        /// Name of the input.
        what: &'static str,
    },
    /// A matrix whose rows hold no features.
    #[error("{what}: {rows} rows of zero columns; pass features of at least one column")]
    NoColumns {
        /// Name of the input.
        what: &'static str,
        /// Rows it has.
        rows: usize,
    },
    /// More rows than a 32-bit index can name.
    #[error("{what}: {rows} rows, but indices are 32 bits wide; split the set below 4294967295 rows")]
    TooManyRows {
        /// Name of the input.
        what: &'static str,
        /// Rows it has.
        rows: usize,
    },
    /// A feature matrix and a label list of different lengths.
    #[error("{what}: {rows} rows but {labels} labels; pass one class index for each row")]
    LabelCount {
        /// Name of the input.
        what: &'static str,
        /// Rows of the matrix.
        rows: usize,
        /// Labels given.
        labels: usize,
    },
    /// Two matrices of different widths.
    #[error("{left} has {left_cols} columns but {right} has {right_cols}; embed both with the same encoder")]
    Width {
        /// Name of the first input.
        left: &'static str,
        /// Its columns.
        left_cols: usize,
        /// Name of the second input.
        right: &'static str,
        /// Its columns.
        right_cols: usize,
    },
    /// Two inputs that must pair row by row.
    #[error("{left} has {left_rows} items but {right} has {right_rows}; item i of one must match item i of the other")]
    Paired {
        /// Name of the first input.
        left: &'static str,
        /// Its items.
        left_rows: usize,
        /// Name of the second input.
        right: &'static str,
        /// Its items.
        right_rows: usize,
    },
    /// A feature that is NaN or infinite; the first one is named.
    #[error("{what}: row {row}, column {column} is NaN or infinite; drop the row or find the layer that produced it")]
    NonFinite {
        /// Name of the input.
        what: &'static str,
        /// First bad row.
        row: usize,
        /// First bad column of that row.
        column: usize,
    },
    /// A row so long that a squared distance to it overflows 32-bit floats.
    #[error("{what}: row {row} is so long that squared distances overflow f32; scale the features down")]
    Overflow {
        /// Name of the input.
        what: &'static str,
        /// First bad row.
        row: usize,
    },
    /// Self-exclusion by index was asked for, but the queries cannot be the first references.
    #[error(
        "self-exclusion needs query i to be reference i, but there are {queries} queries and {references} references; \
         pass references that begin with the queries or switch it off"
    )]
    SelfExclusion {
        /// Query rows.
        queries: usize,
        /// Reference rows.
        references: usize,
    },
    /// More neighbours asked for than there are references.
    #[error("{k} neighbours asked for, but each query has {available} references; ask for at most {available}")]
    TooManyNeighbors {
        /// Neighbours asked for.
        k: usize,
        /// References that a query can have.
        available: usize,
    },
    /// No query has a reference of its own class.
    #[error("none of the {queries} queries has a reference of its class; check that both use the same class indices")]
    NoRelevant {
        /// Queries given, all of them lone.
        queries: usize,
    },
    /// Fewer classes than the score needs.
    #[error("{what}: {needed} classes needed, got {got}; pass items of more classes")]
    TooFewClasses {
        /// The score.
        what: &'static str,
        /// Classes it needs.
        needed: usize,
        /// Classes given.
        got: usize,
    },
    /// Fewer items than the score needs.
    #[error("{what}: {needed} items needed, got {got}; pass more items")]
    TooFewItems {
        /// The score or the input.
        what: &'static str,
        /// Items it needs.
        needed: usize,
        /// Items given.
        got: usize,
    },
    /// A class with fewer rows than the score needs of each class.
    #[error(
        "{what}: class {class} has {got} rows, {needed} are needed of each; leave its rows out, or lower the settings \
         that add up to them"
    )]
    TooFewRows {
        /// The score.
        what: &'static str,
        /// The class.
        class: usize,
        /// Rows it needs of each class.
        needed: usize,
        /// Rows that the class has.
        got: usize,
    },
    /// Pairs of one kind only: no curve can be drawn.
    #[error("verification: there is no {missing} pair; pass at least two classes and two rows of one class")]
    OneKindOfPair {
        /// `"positive"` or `"negative"`.
        missing: &'static str,
    },
    /// A class that the training rows do not hold.
    #[error(
        "{what}: row {row} has class {class}, which the training rows do not hold; split the rows stratified by class"
    )]
    UnknownClass {
        /// Name of the input.
        what: &'static str,
        /// First bad row.
        row: usize,
        /// Its class.
        class: usize,
    },
    /// A setting outside its range.
    #[error("setting `{name}` is {value}, but must be {expected}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// Value given.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The eigenvalue solver gave up.
    #[error(
        "the eigenvalues of a {size} x {size} Gram matrix did not converge; scale the features near 1 and try again"
    )]
    Eigenvalues {
        /// Side of the matrix.
        size: usize,
    },
    /// All rows, or all class centres, point the same way.
    #[error(
        "{what}: everything points the same way, so there is no distance to divide by; the embedding has collapsed"
    )]
    Collapsed {
        /// The score.
        what: &'static str,
    },
    /// Every singular value is zero: the features are all zero.
    #[error("{what}: every feature is zero, so the spectrum has no shape; check the encoder")]
    ZeroSpectrum {
        /// Name of the input.
        what: &'static str,
    },
}

impl EvalError {
    /// A setting outside its range.
    pub(crate) fn setting(name: &'static str, value: impl ToString, expected: &'static str) -> Self {
        Self::Setting { name, value: value.to_string(), expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_where_and_what_to_do() {
        let error = EvalError::NonFinite { what: "queries", row: 7, column: 3 };
        assert_eq!(
            error.to_string(),
            "queries: row 7, column 3 is NaN or infinite; drop the row or find the layer that produced it"
        );
        let error = EvalError::setting("temperature", -0.5, "positive and finite");
        assert_eq!(error.to_string(), "setting `temperature` is -0.5, but must be positive and finite");
        let error = EvalError::TooFewRows { what: "few-shot episodes", class: 4, needed: 20, got: 8 };
        assert!(error.to_string().starts_with("few-shot episodes: class 4 has 8 rows, 20 are needed of each;"));
    }
}

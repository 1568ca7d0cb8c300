use std::path::PathBuf;
use thiserror::Error;

/// Why weak supervision cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeakError {
    /// A list without entries.
    #[error("there are no {what}: give at least one")]
    Empty {
        /// Pairs, triplets, quadruplets or chunks.
        what: &'static str,
    },
    /// Pairs and their answers are not equally many.
    #[error("{pairs} pairs came with {same} answers: every pair needs one")]
    Answers {
        /// Number of pairs.
        pairs: usize,
        /// Number of answers.
        same: usize,
    },
    /// An index beyond the data.
    #[error("{what} {place} (from 0) names row {row}, but the data have {rows} rows, counted from 0")]
    Row {
        /// Pair, triplet or quadruplet.
        what: &'static str,
        /// Its place in the list.
        place: usize,
        /// The index.
        row: usize,
        /// Rows of the data.
        rows: usize,
    },
    /// A row compared with itself.
    #[error("{what} {place} (from 0) compares row {row} with itself: give two different rows")]
    Itself {
        /// Pair, triplet or quadruplet.
        what: &'static str,
        /// Its place in the list.
        place: usize,
        /// The row.
        row: usize,
    },
    /// Two entries say the opposite of each other.
    #[error("{what} {first} and {second} (from 0) say the opposite of each other: keep one of them")]
    Contradiction {
        /// Pairs, triplets or quadruplets.
        what: &'static str,
        /// Place of the first.
        first: usize,
        /// Place of the second.
        second: usize,
    },
    /// Not one chunk a row.
    #[error("{got} chunks for {rows} rows: give one for each row, none where it is unknown")]
    ChunkCount {
        /// Entries.
        got: usize,
        /// Rows of the data.
        rows: usize,
    },
    /// No chunk says anything.
    #[error("no chunk has two rows: a chunk of one row says nothing")]
    SingleChunks,
    /// Statements of a kind that does not say what a learner needs.
    #[error("{given} do not say {missing}{}", way_out(given))]
    Silent {
        /// Pairs, triplets, quadruplets or chunks.
        given: &'static str,
        /// What is needed.
        missing: &'static str,
    },
    /// Statements of a kind that could say it, but do not.
    #[error("the {given} hold no {what}")]
    Lacks {
        /// Pairs, triplets, quadruplets or chunks.
        given: &'static str,
        /// What is needed.
        what: &'static str,
    },
    /// A pair of different rows that a chain of same pairs joins.
    #[error(
        "pair {place} (from 0) says that the rows {a} and {b} do not belong together, but a chain of other pairs says \
         that they do: correct one of them"
    )]
    Chain {
        /// Its place in the list.
        place: usize,
        /// Its first row.
        a: usize,
        /// Its second row.
        b: usize,
    },
    /// The labels do not hold what was to be drawn.
    #[error("the labels hold no {what}: give two rows of one class, and rows of another class")]
    Missing {
        /// What cannot be drawn.
        what: &'static str,
    },
    /// More chunks than the classes are large enough for.
    #[error("{asked} chunks of {size} rows were asked for, the classes are large enough for {most}")]
    TooManyChunks {
        /// Chunks asked for.
        asked: usize,
        /// Rows of each.
        size: usize,
        /// Chunks that there are.
        most: usize,
    },
    /// A setting out of its range.
    #[error("`{name}` must be {range}, got {value}")]
    Setting {
        /// The argument.
        name: &'static str,
        /// What it may be.
        range: &'static str,
        /// What it is.
        value: usize,
    },
    /// A cell of a table has a value that means nothing there.
    #[error("{path}, line {line}, column `{column}`: `{value}` must be {range}")]
    Cell {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1, the header included.
        line: u64,
        /// Name of the column.
        column: &'static str,
        /// The cell.
        value: String,
        /// What it may be.
        range: &'static str,
    },
    /// A loss or its settings do not suit it.
    #[error(transparent)]
    Metric(#[from] crate::MetricError),
    /// A Mahalanobis learner cannot learn from what it was given.
    #[error(transparent)]
    Mahalanobis(#[from] crate::mahalanobis::MahalanobisError),
    /// A table could not be read.
    #[error(transparent)]
    Data(#[from] nearfar_core::data::DataError),
}

/// Behind a refusal: what else can be done with this kind.
fn way_out(given: &str) -> &'static str {
    if given == "chunks" { "; where no two chunks belong together, learn from them as classes" } else { "" }
}

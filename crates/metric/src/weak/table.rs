//! Weak supervision from CSV tables with named columns.

use super::{Chunks, Pairs, Quadruplets, Triplets, WeakError};
use nearfar_core::data::named_columns;
use std::path::Path;

const INDEX: &str = "the number of a row, from 0";

impl Pairs {
    /// From a table with the columns `a`, `b` and `same`: two rows, and 1 or `true` where they belong together, 0, -1
    /// or `false` where they do not.
    ///
    /// # Errors
    /// When the table cannot be read or a cell has another value. Rows are checked by [`Pairs::validate`].
    pub fn from_csv(path: &Path) -> Result<Self, WeakError> {
        let mut pairs = Self::default();
        for (line, [a, b, same]) in named_columns(path, ["a", "b", "same"])? {
            let cell = Cell { path, line };
            pairs.pairs.push([cell.index("a", &a)?, cell.index("b", &b)?]);
            pairs.same.push(match same.to_lowercase().as_str() {
                "1" | "+1" | "true" => true,
                "0" | "-1" | "false" => false,
                _ => return Err(cell.error("same", same, "1 or true, or 0, -1 or false")),
            });
        }
        Ok(pairs)
    }
}

impl Triplets {
    /// From a table with the columns `anchor`, `positive` and `negative`.
    ///
    /// # Errors
    /// When the table cannot be read or a cell is no index. Rows are checked by [`Triplets::validate`].
    pub fn from_csv(path: &Path) -> Result<Self, WeakError> {
        Ok(Self(indices(path, ["anchor", "positive", "negative"])?))
    }
}

impl Quadruplets {
    /// From a table with the columns `a`, `b`, `c` and `d`: a and b are nearer to each other than c and d.
    ///
    /// # Errors
    /// When the table cannot be read or a cell is no index. Rows are checked by [`Quadruplets::validate`].
    pub fn from_csv(path: &Path) -> Result<Self, WeakError> {
        Ok(Self(indices(path, ["a", "b", "c", "d"])?))
    }
}

impl Chunks {
    /// From a table with the columns `row` and `chunk`, for data of `rows` rows; rows that it does not name are in no
    /// chunk.
    ///
    /// # Errors
    /// When the table cannot be read, a cell is no number of that range, or a row is named twice.
    pub fn from_csv(path: &Path, rows: usize) -> Result<Self, WeakError> {
        let mut chunks: Vec<Option<usize>> = vec![None; rows];
        for (line, [row, chunk]) in named_columns(path, ["row", "chunk"])? {
            let cell = Cell { path, line };
            let place = chunks.get_mut(cell.index("row", &row)?);
            let place = place.ok_or_else(|| cell.error("row", row.clone(), "below the number of rows"))?;
            if place.is_some() {
                return Err(cell.error("row", row, "in one chunk only"));
            }
            let number = chunk.parse().map_err(|_| cell.error("chunk", chunk, "a whole number of 0 or more"))?;
            *place = Some(number);
        }
        Ok(Self(chunks))
    }
}

/// Rows of indices.
fn indices<const N: usize>(path: &Path, columns: [&'static str; N]) -> Result<Vec<[usize; N]>, WeakError> {
    let mut entries = Vec::new();
    for (line, cells) in named_columns(path, columns)? {
        let cell = Cell { path, line };
        let mut entry = [0; N];
        for ((index, column), text) in entry.iter_mut().zip(columns).zip(&cells) {
            *index = cell.index(column, text)?;
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Where a cell stands.
struct Cell<'a> {
    path: &'a Path,
    line: u64,
}

impl Cell<'_> {
    fn index(&self, column: &'static str, text: &str) -> Result<usize, WeakError> {
        text.parse().map_err(|_| self.error(column, text.to_owned(), INDEX))
    }

    fn error(&self, column: &'static str, value: String, range: &'static str) -> WeakError {
        WeakError::Cell { path: self.path.to_owned(), line: self.line, column, value, range }
    }
}

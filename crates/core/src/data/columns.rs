//! Tables that are no data set: the text of named columns, for pairs, groups and other lists about items.

use super::{DataError, bytes::read_unpacked, csv::reader};
use ::csv::Position;
use std::path::Path;

/// The cells of these columns of a CSV file, plain or gzip, row after row with the line of each row. Other columns may
/// be there and are not read.
///
/// # Errors
/// When the file cannot be read, is no CSV, lacks a column or has it twice, has a row that is longer or shorter than
/// the header, or no rows.
pub fn named_columns<const N: usize>(path: &Path, columns: [&str; N]) -> Result<Vec<(u64, [String; N])>, DataError> {
    let bytes = read_unpacked(path)?;
    let mut reader = reader(&bytes);
    let invalid = |e: ::csv::Error| DataError::Csv { path: path.to_owned(), reason: e.to_string() };
    let header = reader.headers().map_err(invalid)?.clone();
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        let mut found = header.iter().enumerate().filter(|(_, name)| *name == column).map(|(i, _)| i);
        *place = found.next().ok_or_else(|| DataError::NoColumn {
            path: path.to_owned(),
            column: column.to_owned(),
            columns: header.iter().collect::<Vec<_>>().join(", "),
        })?;
        if found.next().is_some() {
            return Err(DataError::RepeatedColumn { path: path.to_owned(), column: column.to_owned() });
        }
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(invalid)?;
        let line = record.position().map_or(0, Position::line);
        let (expected, got) = (header.len(), record.len());
        if got != expected {
            return Err(DataError::Ragged { path: path.to_owned(), line, expected, got });
        }
        rows.push((line, places.map(|place| record[place].to_owned())));
    }
    if rows.is_empty() { Err(DataError::NoRows { path: path.to_owned() }) } else { Ok(rows) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(u64, [String; 2])>, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        named_columns(&path, ["b", "a"])
    }

    #[test]
    fn columns_are_found_by_name() {
        let rows = read("a, note ,b\n1,x,2\n 3 ,\"y, z\",4\n").unwrap();
        let cells = |b: &str, a: &str| [b.to_owned(), a.to_owned()];
        assert_eq!(rows, [(2, cells("2", "1")), (3, cells("4", "3"))]);
        assert_eq!(read("a;b\n1;2\n").unwrap(), [(2, cells("2", "1"))]);
    }

    #[test]
    fn damage_is_named() {
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert!(error("a,c\n1,2\n").contains("no column `b`; its columns are: a, c"));
        assert!(error("a,b,a\n1,2,3\n").contains("two columns `a`"));
        assert!(error("a,b\n1,2\n3\n").contains("line 3: 1 cells under 2 columns"));
        assert!(error("a,b\n").contains("no rows"));
        assert!(named_columns(Path::new("/nonexistent/t.csv"), ["a"]).unwrap_err().to_string().contains("t.csv"));
    }
}

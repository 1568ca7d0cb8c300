//! Tables: a header, one label column, every other column a number.

use super::{DataError, Dataset, Inputs, bytes::read_unpacked};
use crate::matrix::Matrix;
use ::csv::{Position, Reader, ReaderBuilder, StringRecord, Trim};
use std::{collections::HashMap, path::Path};

const IMAGE: &str = "give the folder that holds a folder of images for each class";
const OTHER: &str = "save the table as CSV";

/// How files begin that are no text, with what they are and what to do.
const BINARY: [(&[u8], &str, &str); 8] = [
    (b"\x89PNG", "a PNG image", IMAGE),
    (b"\xff\xd8\xff", "a JPEG image", IMAGE),
    (b"GIF8", "a GIF image", IMAGE),
    (b"RIFF", "a WebP image or another RIFF file", IMAGE),
    (b"%PDF", "a PDF document", OTHER),
    (b"PAR1", "a Parquet file", OTHER),
    (b"\x93NUMPY", "a NumPy array", OTHER),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", OTHER),
];

/// What may stand between cells; of equals the first is taken.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// Cells, in lower case, that say that there is no value.
const MISSING: [&str; 7] = ["", "nan", "na", "n/a", "null", "none", "?"];

/// Reads a table, plain or gzip. `label` names the label column, which is the last one if left out; `group` names a
/// column of groups. Labels and groups that are all integers are numbered in numeric order, others in alphabetic.
pub(super) fn open(path: &Path, name: &str, label: Option<&str>, group: Option<&str>) -> Result<Dataset, DataError> {
    let data = read(path, name, label.map_or(Label::Last, Label::Named), group)?;
    match data.class_names.as_slice() {
        [class] => Err(DataError::OneClass { path: path.to_owned(), class: class.clone() }),
        _ => Ok(data),
    }
}

/// Reads a table of which rows of `width` numbers are wanted: one class will do, and where `label` names no column and
/// there are just `width` of them, none holds labels.
pub(super) fn open_rows(path: &Path, name: &str, label: Option<&str>, width: usize) -> Result<Dataset, DataError> {
    read(path, name, label.map_or(Label::Beyond(width), Label::Named), None)
}

/// Which column holds labels.
#[derive(Clone, Copy)]
enum Label<'a> {
    Named(&'a str),
    Last,
    /// The last one, unless there are just so many columns.
    Beyond(usize),
}

fn read(path: &Path, name: &str, label: Label<'_>, group: Option<&str>) -> Result<Dataset, DataError> {
    let bytes = read_unpacked(path)?;
    if let Some(&(_, what, way_out)) = BINARY.iter().find(|(start, ..)| bytes.starts_with(start)) {
        return Err(DataError::NoTable { path: path.to_owned(), what, way_out });
    }
    let mut reader = reader(&bytes);
    let invalid = |e: ::csv::Error| DataError::Csv { path: path.to_owned(), reason: e.to_string() };
    let header = reader.headers().map_err(invalid)?.clone();
    let table = Table::new(path, &header, label, group)?;

    let (mut values, mut labels, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(invalid)?;
        table.check_length(&record)?;
        for &column in &table.features {
            values.push(table.number(&record, column)?);
        }
        if let Some(label) = table.label {
            labels.push(table.class(&record, label)?);
        }
        if let Some(group) = table.group {
            groups.push(table.class(&record, group)?);
        }
    }
    let rows = values.len() / table.features.len();
    if rows == 0 {
        return Err(DataError::NoRows { path: path.to_owned() });
    }
    let (class_names, labels) = numbered(labels);
    Ok(Dataset {
        name: name.to_owned(),
        inputs: Inputs::Rows(Matrix::new(values, rows, table.features.len())?),
        labels: table.label.map(|_| labels),
        class_names,
        groups: table.group.map(|_| numbered(groups).1),
    })
}

/// Reads cells with the separator that the header has most often outside quotes.
pub(super) fn reader(bytes: &[u8]) -> Reader<&[u8]> {
    let ends_line = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let header = bytes.iter().skip_while(|byte| ends_line(byte)).take_while(|byte| !ends_line(byte));
    let (mut counts, mut quoted) = ([0usize; SEPARATORS.len()], false);
    for byte in header {
        if *byte == b'"' {
            quoted = !quoted;
        } else if !quoted && let Some(which) = SEPARATORS.iter().position(|separator| separator == byte) {
            counts[which] += 1;
        }
    }
    let most = (0..SEPARATORS.len()).rev().max_by_key(|&which| counts[which]).unwrap_or(0);
    ReaderBuilder::new().delimiter(SEPARATORS[most]).trim(Trim::All).flexible(true).from_reader(bytes)
}

/// Whether the first row holds values: all cells but one, which would be the label, are numbers. Numbers in even steps
/// are names (0, 1, 2 or wavelengths).
fn holds_values(header: &StringRecord) -> bool {
    let number = |cell: &str| cell.parse::<f64>().ok().filter(|value| value.is_finite());
    let numbers: Vec<f64> = header.iter().filter_map(number).collect();
    let steps: Vec<f64> = numbers.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let even = |step: &f64| *step > 0.0 && (step - steps[0]).abs() <= 1e-6 * steps[0];
    !numbers.is_empty() && numbers.len() + 1 >= header.len() && !(steps.len() > 1 && steps.iter().all(even))
}

/// What the columns mean.
struct Table<'a> {
    path: &'a Path,
    header: &'a StringRecord,
    label: Option<usize>,
    /// The label column was not asked for: it is the last one.
    label_assumed: bool,
    group: Option<usize>,
    features: Vec<usize>,
}

impl<'a> Table<'a> {
    fn new(path: &'a Path, header: &'a StringRecord, label: Label<'_>, group: Option<&str>) -> Result<Self, DataError> {
        if holds_values(header) {
            let first = header.iter().take(5).collect::<Vec<_>>().join(", ");
            return Err(DataError::NoHeader { path: path.to_owned(), first });
        }
        if let Some((_, column)) = header.iter().enumerate().find(|(i, h)| header.iter().take(*i).any(|g| g == *h)) {
            return Err(DataError::RepeatedColumn { path: path.to_owned(), column: column.to_owned() });
        }
        if header.is_empty() {
            return Err(DataError::NoRows { path: path.to_owned() });
        }
        let column = |wanted: &str| {
            header.iter().position(|h| h == wanted).ok_or_else(|| DataError::NoColumn {
                path: path.to_owned(),
                column: wanted.to_owned(),
                columns: header.iter().collect::<Vec<_>>().join(", "),
            })
        };
        let group = group.map(column).transpose()?;
        let (label, label_assumed) = match label {
            Label::Named(name) => (Some(column(name)?), false),
            Label::Beyond(width) if width == header.len() => (None, false),
            Label::Last | Label::Beyond(_) => (Some(header.len() - 1), true),
        };
        let features: Vec<usize> = (0..header.len()).filter(|c| Some(*c) != label && Some(*c) != group).collect();
        if features.is_empty() {
            let column = label.or(group).map_or_else(String::new, |c| header[c].to_owned());
            return Err(DataError::NoFeatures { path: path.to_owned(), column });
        }
        Ok(Self { path, header, label, label_assumed, group, features })
    }

    fn check_length(&self, record: &StringRecord) -> Result<(), DataError> {
        let (expected, got) = (self.header.len(), record.len());
        if got == expected {
            return Ok(());
        }
        Err(DataError::Ragged { path: self.path.to_owned(), line: line(record), expected, got })
    }

    fn number(&self, record: &StringRecord, column: usize) -> Result<f32, DataError> {
        let cell = &record[column];
        cell.parse().ok().filter(|v: &f32| v.is_finite()).ok_or_else(|| DataError::Number {
            path: self.path.to_owned(),
            line: line(record),
            column: self.header[column].to_owned(),
            value: cell.to_owned(),
            problem: self.problem(cell, column),
        })
    }

    /// Why a cell is no feature, and what to do.
    fn problem(&self, cell: &str, column: usize) -> String {
        let is_number = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
        if MISSING.contains(&cell.to_lowercase().as_str()) {
            return "a missing value: fill it in or drop the row".to_owned();
        }
        if is_number(cell) {
            return "too large for a 32-bit number: divide the column".to_owned();
        }
        if is_number(&cell.replacen(',', ".", 1)) {
            return "not a finite number: write decimals with a point".to_owned();
        }
        let ways_out = match self.label.filter(|_| self.label_assumed) {
            Some(label) => format!(
                "the labels are taken from the last column, `{}`; if they are here, say --label-column {}, else remove \
                 the column",
                &self.header[label], &self.header[column]
            ),
            None => "only the label column may hold text; remove this one".to_owned(),
        };
        format!("not a finite number: {ways_out}")
    }

    /// A cell that tells classes or groups apart.
    fn class(&self, record: &StringRecord, column: usize) -> Result<String, DataError> {
        let cell = &record[column];
        let measured = || cell.parse::<i64>().is_err() && cell.parse::<f64>().is_ok();
        let reason = if cell.is_empty() {
            "the cell is empty; fill it or remove the row"
        } else if self.label_assumed && Some(column) == self.label && measured() {
            "it looks like a measurement in the last column; name the label column with --label-column"
        } else {
            return Ok(cell.to_owned());
        };
        Err(DataError::Class {
            path: self.path.to_owned(),
            line: line(record),
            column: self.header[column].to_owned(),
            value: cell.to_owned(),
            reason,
        })
    }
}

fn line(record: &StringRecord) -> u64 {
    record.position().map_or(0, Position::line)
}

/// The distinct values in order, and the place of each value among them. If all are integers, they are read as such:
/// 2 comes before 10, and 02 is 2.
fn numbered(values: Vec<String>) -> (Vec<String>, Vec<usize>) {
    match values.iter().map(|v| v.parse()).collect::<Result<Vec<i64>, _>>() {
        Ok(integers) => {
            let (names, places) = places(&integers);
            (names.iter().map(i64::to_string).collect(), places)
        }
        Err(_) => places(&values),
    }
}

fn places<T: Ord + Clone + std::hash::Hash>(values: &[T]) -> (Vec<T>, Vec<usize>) {
    let mut distinct = values.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let place: HashMap<&T, usize> = distinct.iter().zip(0..).collect();
    let places = values.iter().map(|value| place[value]).collect();
    drop(place);
    (distinct, places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read_with(text: &[u8], label: Option<&str>, group: Option<&str>) -> Result<Dataset, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        open(&path, "t", label, group)
    }

    fn read(text: &str, label: Option<&str>) -> Result<Dataset, DataError> {
        read_with(text.as_bytes(), label, None)
    }

    #[test]
    fn labels_by_name_or_last_and_integers_in_order() {
        let data = read("a,b,label\n1,2,10\n3,4,9\n", None).unwrap();
        assert_eq!(data.class_names, ["9", "10"]);
        assert_eq!(data.labels.as_deref(), Some(&[1, 0][..]));
        assert_eq!(data.features().as_slice(), [1.0, 2.0, 3.0, 4.0]);
        let data = read("kind,a\nx,1e-1\ny,-2\nx,3\n", Some("kind")).unwrap();
        assert_eq!(data.class_names, ["x", "y"]);
        assert_eq!(data.features().as_slice(), [0.1, -2.0, 3.0]);
        data.validate().unwrap();
    }

    #[test]
    fn mixed_labels_are_text_and_equal_integers_one_class() {
        let data = read("a,y\n0,2\n0,10\n0,1a\n0,2\n", None).unwrap();
        assert_eq!(data.class_names, ["10", "1a", "2"]);
        assert_eq!(data.labels, Some(vec![2, 0, 1, 2]));
        let data = read("a,y\n0,02\n0,2\n0,-1\n", None).unwrap();
        assert_eq!((data.class_names, data.labels), (vec!["-1".into(), "2".into()], Some(vec![1, 1, 0])));
    }

    #[test]
    fn groups_packed_files_quotes_and_spaces_are_read() {
        let text = b"\xef\xbb\xbfcamera, a ,kind\r\nnorth,1,\"x, old\"\r\n south , 2,y\r\nnorth,3,y\r\n";
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(text).unwrap();
        let data = read_with(&gz.finish().unwrap(), Some("kind"), Some("camera")).unwrap();
        assert_eq!((data.len(), data.shape().channels), (3, 1));
        assert_eq!(data.groups, Some(vec![0, 1, 0]));
        assert_eq!(data.class_names, ["x, old", "y"]);
    }

    #[test]
    fn rows_of_a_width_need_no_labels() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, "a,b\n1,2.5\n3,4.5\n").unwrap();
        let data = open_rows(&path, "t", None, 2).unwrap();
        assert_eq!((data.len(), data.labels, data.inputs), (2, None, Inputs::Rows(rows(&[1.0, 2.5, 3.0, 4.5]))));
        // One column more than wanted holds the labels, and one class will do.
        std::fs::write(&path, "a,b,y\n1,2.5,x\n3,4.5,x\n").unwrap();
        let data = open_rows(&path, "t", None, 2).unwrap();
        assert_eq!((data.labels, data.class_names), (Some(vec![0, 0]), vec!["x".to_owned()]));
        assert!(open_rows(&path, "t", None, 3).unwrap_err().to_string().contains("`x` is not a finite number"));
        std::fs::write(&path, "y,a,b\n7,1,2.5\n8,3,4.5\n").unwrap();
        assert_eq!(open_rows(&path, "t", Some("y"), 2).unwrap().labels, Some(vec![0, 1]));
        std::fs::write(&path, "a,b\n").unwrap();
        assert!(matches!(open_rows(&path, "t", None, 2), Err(DataError::NoRows { .. })));
    }

    #[test]
    fn the_separator_is_that_of_the_header() {
        let expected = read("a,\"b;c\",y\n1,2.5,x\n3,4.5,z\n", None).unwrap();
        for separator in [";", "\t"] {
            let text = "\na,\"b;c\",y\n1,2.5,x\n3,4.5,z\n".replace(',', separator);
            assert_eq!(read(&text, None).unwrap(), expected, "{separator:?}");
        }
        let decimals = read("a;b;y\n1,5;2;x\n3;4;z\n", None).unwrap_err().to_string();
        assert!(decimals.contains("`1,5` is not a finite number: write decimals with a point"), "{decimals}");
    }

    #[test]
    fn a_first_row_of_values_is_no_header() {
        for text in ["5.1,3.5,1.4,0.2,setosa\n4.9,3,1.4,0.2,virginica\n", "1,2.5,0\n2,1,1\n", "7,x\n8,y\n"] {
            for label in [None, Some("label")] {
                let message = read(text, label).unwrap_err().to_string();
                let first = text.lines().next().unwrap().replace(',', ", ");
                assert!(message.contains(&format!("begins with the values {first}, where the names")), "{message}");
            }
        }
        // What pandas writes for columns without names, and wavelengths.
        for header in ["0,1,2,3", ",0,1,2,3,label", "400.1,400.2,400.3,kind"] {
            let columns = header.split(',').count();
            let row = |class: &str| format!("{}{class}\n", "0.5,".repeat(columns - 1));
            let data = read(&format!("{header}\n{}{}", row("1"), row("2")), None).unwrap();
            assert_eq!((data.len(), data.shape().channels), (2, columns - 1), "{header}");
        }
    }

    #[test]
    fn files_of_other_kinds_are_known_by_their_first_bytes() {
        let jpeg = read_with(b"\xff\xd8\xff\xe0\0\x10JFIF", None, None).unwrap_err().to_string();
        assert!(jpeg.contains("is a JPEG image, not a CSV file: give the folder"), "{jpeg}");
        let parquet = read_with(b"PAR1\x15\x04", None, None).unwrap_err().to_string();
        assert!(parquet.contains("is a Parquet file, not a CSV file: save the table as CSV"), "{parquet}");
    }

    fn rows(values: &[f32]) -> Matrix {
        Matrix::new(values.to_vec(), values.len() / 2, 2).unwrap()
    }

    #[test]
    fn damage_is_named() {
        let error = |text: &str, label| read(text, label).unwrap_err().to_string();
        assert!(error("a,b\n1,2\n", Some("label")).contains("its columns are: a, b"));
        let message = error("a,b,y\n1,2,x\n1,oops,x\n", None);
        assert!(message.contains("line 3") && message.contains("`b`") && message.contains("`oops`"), "{message}");
        for missing in ["NaN", "", "NA", "null"] {
            let message = error(&format!("a,y\n{missing},x\n1,y\n"), None);
            assert!(
                message.contains("line 2, column `a`") && message.contains("a missing value: fill it"),
                "{message}"
            );
        }
        for large in ["1e60", "1e39"] {
            assert!(error(&format!("a,y\n{large},x\n1,y\n"), None).contains("too large for a 32-bit number"));
        }
        assert!(error("a,y\ninf,x\n1,y\n", None).contains("`inf` is not a finite number"));
        assert!(error("kind,a\nx,1\ny,2\n", None).contains("column, `a`; if they are here, say --label-column kind"));
        assert!(error("id,a,kind\nx,1,k\n", Some("kind")).contains("only the label column may hold text"));
        assert!(error("a,y\n1,\n", None).contains("the cell is empty"));
        assert!(error("a,b\n1,0.5\n1,0.7\n", None).contains("name the label column"));
        assert!(read("a,b\n1,0.5\n1,0.7\n", Some("b")).is_ok());
        assert!(error("a,b\n", None).contains("no rows"));
        assert!(error("", None).contains("no rows"));
        assert!(error("y\nx\nz\n", None).contains("nothing to learn from"));
        assert!(error("a,a,y\n1,2,x\n", None).contains("two columns `a`"));
        assert!(error("a,y\n1,x\n2,x\n", None).contains("one class only, `x`"));
        assert!(error("a,b,y\n1,2,x\n1,y\n", None).contains("line 3: 2 cells under 3 columns"));
        let text = read_with(b"a,y\n1,\xff\n", None, None).unwrap_err().to_string();
        assert!(text.contains("not valid CSV") && text.contains("UTF-8"), "{text}");
    }
}

//! Files of embeddings: NumPy's array with a table beside it, or one Parquet file.

mod npy;
mod parquet;
mod thrift;

use crate::report;
use nearfar_core::matrix::Matrix;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// How embeddings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.npy`, and names and labels in a CSV file beside it.
    Npy,
    /// `.parquet`, with names and labels.
    Parquet,
}

/// Another ending than those of the formats.
#[derive(Debug, Error)]
#[error("cannot tell the format of {path}: end its name in .npy (NumPy, with a CSV file beside it) or in .parquet")]
pub struct UnknownFormat {
    path: PathBuf,
}

/// Embeddings with what they are of. All three have one entry an item.
#[derive(Clone, Copy)]
pub struct Vectors<'a> {
    /// Where each item came from.
    pub names: &'a [String],
    /// Class of each item, where it is known.
    pub labels: &'a [Option<String>],
    /// `[n, d]`.
    pub features: &'a Matrix,
}

impl Format {
    /// By the ending of a name.
    pub fn of(path: &Path) -> Result<Self, UnknownFormat> {
        match path.extension().map(|e| e.to_string_lossy().to_lowercase()).as_deref() {
            Some("npy") => Ok(Self::Npy),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(UnknownFormat { path: path.to_owned() }),
        }
    }
}

/// Writes the files, each whole or not at all, and names them: the one at `path`, and the table beside it if there is
/// one. `about` is a description in JSON that Parquet keeps.
pub fn write(vectors: Vectors<'_>, about: &str, path: &Path, format: Format) -> anyhow::Result<Vec<PathBuf>> {
    match format {
        Format::Npy => {
            let table = beside(path);
            // The array last: whoever finds it finds the table that belongs to it.
            report::replace(&table, &names_and_labels(vectors)?)?;
            report::replace(path, &npy::encode(vectors.features))?;
            Ok(vec![path.to_owned(), table])
        }
        Format::Parquet => {
            report::replace(path, &parquet::encode(vectors, about))?;
            Ok(vec![path.to_owned()])
        }
    }
}

/// `FILE.npy.csv`. Not `FILE.csv`, which may be the table that was embedded.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".csv");
    PathBuf::from(name)
}

/// A header `path,label` and a line an item, in the order of the array's rows; an unknown label is empty.
fn names_and_labels(vectors: Vectors<'_>) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["path", "label"])?;
    for (name, label) in vectors.names.iter().zip(vectors.labels) {
        writer.write_record([name.as_str(), label.as_deref().unwrap_or_default()])?;
    }
    Ok(writer.into_inner().map_err(|error| error.into_error())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn formats_are_known_by_their_endings() {
        assert_eq!(Format::of(Path::new("a/b.npy")).unwrap(), Format::Npy);
        assert_eq!(Format::of(Path::new("b.PARQUET")).unwrap(), Format::Parquet);
        for name in ["b.csv", "npy", "b"] {
            assert!(Format::of(Path::new(name)).unwrap_err().to_string().contains(".parquet"), "{name}");
        }
    }

    #[test]
    fn the_table_lies_beside_the_array_and_fits_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.npy");
        let (names, labels) = (["a,b.png".to_owned(), "c.png".to_owned()], [Some("x".to_owned()), None]);
        let features = Matrix::from_fn(2, 3, |i, j| (3 * i + j) as f32);
        let vectors = Vectors { names: &names, labels: &labels, features: &features };
        let written = write(vectors, "{}", &path, Format::Npy).unwrap();
        assert_eq!(written, [path.clone(), dir.path().join("e.npy.csv")]);
        assert_eq!(fs::read_to_string(&written[1]).unwrap(), "path,label\n\"a,b.png\",x\nc.png,\n");
        assert!(fs::read(&path).unwrap().starts_with(b"\x93NUMPY"));
        write(vectors, "{}", &dir.path().join("e.parquet"), Format::Parquet).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}

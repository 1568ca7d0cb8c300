use std::{io, path::PathBuf};
use thiserror::Error;

/// Why a report cannot be written, read or joined.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The file system refused to write.
    #[error("cannot {action} {path}: {source}; check space and permissions, or choose another folder with --out")]
    Write {
        /// What was being done.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file has the name of the folder.
    #[error("cannot make the folder {path}: a file has that name; choose another with --out")]
    IsFile {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused to read.
    #[error(
        "cannot read the report {path}: {source}; pass a folder that `compare run --out` wrote, or its report.json"
    )]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not JSON, or a field is missing or of the wrong kind.
    #[error("the report {path} is damaged: {source}; restore it, or repeat the run that wrote it")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// A layout that this version does not know.
    #[error("{origin} has schema {found}, this version reads schema {expected}: use the version that wrote it")]
    Schema {
        /// File or run.
        origin: String,
        /// Its schema.
        found: String,
        /// The schema that can be read.
        expected: u32,
    },
    /// The same run twice.
    #[error("the run `{run}` is given twice: its rows are the same; name each folder once")]
    Repeated {
        /// Its label.
        run: String,
    },
    /// An empty list of reports.
    #[error("no report to join: pass at least one folder that `compare run --out` wrote")]
    NothingToJoin,
    /// A writer failed before anything was written.
    #[error("cannot render {file}: {reason}; this is a defect of compare, the other files hold the same numbers")]
    Render {
        /// Which file.
        file: &'static str,
        /// What its writer said.
        reason: String,
    },
}

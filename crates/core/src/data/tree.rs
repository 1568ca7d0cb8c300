//! Folders of image files, on disk or in an archive.

use super::{DataError, archive::Archive, bytes};
use fast_image_resize::Resizer;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Whether a file or folder of this name is none of the data: it begins with a dot, or it is the folder in which macOS
/// packs its notes about the others.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name == "__MACOSX"
}

/// Visible entries of a folder on disk in the order of their names.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let read = |source| DataError::Read { path: dir.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(read)? {
        let entry = entry.map_err(read)?;
        if !is_hidden(&entry.file_name().to_string_lossy()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Where files are read from. Paths in an archive begin with the archive's.
#[derive(Debug)]
pub(super) enum Tree {
    /// Files on disk, in this folder.
    Disk(PathBuf),
    /// A zip or tar archive.
    Archive(Archive),
}

impl Tree {
    /// The folder that holds all others.
    pub(super) fn root(&self) -> PathBuf {
        match self {
            Self::Disk(path) => path.clone(),
            Self::Archive(archive) => archive.root(),
        }
    }

    /// Visible folders, then visible files, each in the order of their names.
    pub(super) fn folders_and_files(&self, dir: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
        match self {
            Self::Disk(_) => Ok(entries(dir)?.into_iter().partition(|p| p.is_dir())),
            Self::Archive(archive) => archive.folders_and_files(dir),
        }
    }

    /// The bytes of a file.
    pub(super) fn read(&self, file: &Path) -> Result<Vec<u8>, DataError> {
        match self {
            Self::Disk(_) => bytes::read(file),
            Self::Archive(archive) => archive.read(file),
        }
    }

    /// What `f` makes of the path and the bytes of every file, on all threads, in the order of `files`. Files that
    /// are no images are named in one error; any other error is that of the first file that has one.
    pub(super) fn map<T: Send>(
        &self,
        files: &[&Path],
        f: impl Fn(&Path, &[u8], &mut Resizer) -> Result<T, DataError> + Sync,
    ) -> Result<Vec<T>, DataError> {
        let results: Vec<Result<T, DataError>> = match self {
            Self::Disk(_) => {
                let one = |resizer: &mut Resizer, path: &&Path| f(path, &bytes::read(path)?, resizer);
                files.par_iter().map_init(Resizer::new, one).collect()
            }
            Self::Archive(archive) => archive.map(files, &f)?,
        };
        all(results)
    }
}

/// All values, or what is wrong.
fn all<T>(results: Vec<Result<T, DataError>>) -> Result<Vec<T>, DataError> {
    let mut values = Vec::with_capacity(results.len());
    let mut damaged = Vec::new();
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(DataError::Image { path, reason }) => damaged.push((path, reason)),
            Err(error) => return Err(error),
        }
    }
    if damaged.len() > 1 {
        return Err(DataError::images(&damaged));
    }
    match damaged.pop() {
        Some((path, reason)) => Err(DataError::Image { path, reason }),
        None => Ok(values),
    }
}

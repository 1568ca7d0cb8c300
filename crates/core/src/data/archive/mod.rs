//! Folders of images in a zip or tar archive, read where they lie: nothing is written to disk, and at most [`HELD`]
//! bytes of unpacked files, or one file, are in memory at a time.

mod error;
mod listing;
mod tar;
#[cfg(test)]
mod tests;
mod zip;

use super::DataError;
pub use error::ArchiveError;
use fast_image_resize::Resizer;
use listing::{Folder, Kind, Listed};
use rayon::prelude::*;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Bytes of unpacked files that wait for being decoded together; few in tests, so that these come to several rounds.
const HELD: usize = if cfg!(test) { 300 } else { 16 << 20 };

/// Where an error is, if not in one entry.
const WHOLE: &str = "the archive";

/// Other archives and packed files by the bytes that they have at an offset.
const FOREIGN: [(usize, &[u8], &str); 5] = [
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "RAR"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard"),
    (4, b"1AY&SY", "bzip2"),
];

/// The most bytes that are unpacked.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Of one file.
    file: u64,
    /// In one pass over the archive.
    total: u64,
}

impl Limits {
    /// Images are packed already: they hardly shrink, drawings without compression of their own to about a fiftieth.
    fn new(archive: u64) -> Self {
        Self { file: 512 << 20, total: archive.saturating_mul(100).max(1 << 30) }
    }
}

/// Inside an [`io::Error`]: there is more than may be unpacked.
#[derive(Debug, thiserror::Error)]
#[error("more than {limit} bytes")]
struct Excess {
    limit: u64,
    whole: bool,
}

impl Excess {
    fn of_all(limits: Limits) -> io::Error {
        io::Error::other(Self { limit: limits.total, whole: true })
    }
}

fn damaged(path: &Path, place: &str, reason: impl ToString) -> DataError {
    ArchiveError::Damaged { path: path.to_owned(), place: place.to_owned(), reason: reason.to_string() }.into()
}

fn failed(path: &Path, place: &str, e: &io::Error) -> DataError {
    match e.get_ref().and_then(|inner| inner.downcast_ref::<Excess>()) {
        Some(Excess { limit, whole }) => {
            let place = if *whole { WHOLE } else { place }.to_owned();
            ArchiveError::TooLarge { path: path.to_owned(), place, limit: *limit }.into()
        }
        None => damaged(path, place, e),
    }
}

fn place_of(entry: &str) -> String {
    format!("the entry `{entry}`")
}

/// All bytes of one file.
fn read_entry(file: impl Read, limits: Limits) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limits.file.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limits.file {
        return Err(io::Error::other(Excess { limit: limits.file, whole: false }));
    }
    Ok(bytes)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Zip,
    Tar,
}

impl Format {
    /// The format of a file by its bytes, else by the ending of its name; none if it is no archive.
    fn of(path: &Path, limits: Limits) -> Result<Option<Self>, DataError> {
        let read = |source| DataError::Read { path: path.to_owned(), source };
        let start = first(File::open(path).map_err(read)?, 16).map_err(read)?;
        let has = |offset: usize, magic: &[u8]| start.get(offset..).is_some_and(|bytes| bytes.starts_with(magic));
        if let Some(&(_, _, format)) = FOREIGN.iter().find(|(offset, magic, _)| has(*offset, magic)) {
            return Err(ArchiveError::Format { path: path.to_owned(), format }.into());
        }
        if has(0, b"PK\x03\x04") || has(0, b"PK\x05\x06") {
            return Ok(Some(Self::Zip));
        }
        // A stream that cannot be unpacked is no tar for all that is known here; whoever reads it says what it lacks.
        let block = first(tar::Stream::open(path, limits)?, 512).unwrap_or_default();
        if block.get(257..262) == Some(&b"ustar"[..]) {
            return Ok(Some(Self::Tar));
        }
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().to_lowercase());
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends(&[".zip"]) {
            return Ok(Some(Self::Zip));
        }
        Ok(ends(&[".tar", ".tar.gz", ".tgz"]).then_some(Self::Tar))
    }

    fn list(self, path: &Path, limits: Limits) -> Result<Vec<Listed>, DataError> {
        match self {
            Self::Zip => zip::list(path),
            Self::Tar => tar::list(path, limits),
        }
    }

    fn visit(
        self,
        path: &Path,
        places: &[usize],
        limits: Limits,
        take: &mut dyn FnMut(usize, Vec<u8>),
    ) -> Result<(), DataError> {
        match self {
            Self::Zip => zip::visit(path, places, limits, take),
            Self::Tar => tar::visit(path, places, limits, take),
        }
    }
}

/// The first bytes of a stream, at most `most`.
fn first(stream: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An archive with the tree of its visible entries. Paths of what is in it begin with its own.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    format: Format,
    limits: Limits,
    tree: Folder,
}

impl Archive {
    /// The archive at `path`, known by its bytes or, damaged, by the ending of its name; none if it is none.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, DataError> {
        let metadata = std::fs::metadata(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        Self::open_within(path, Limits::new(metadata.len()))
    }

    fn open_within(path: &Path, limits: Limits) -> Result<Option<Self>, DataError> {
        let Some(format) = Format::of(path, limits)? else { return Ok(None) };
        let tree = Folder::tree(path, format.list(path, limits)?)?;
        Ok(Some(Self { path: path.to_owned(), format, limits, tree }))
    }

    /// The folder that was packed: the one at the top where that is all there is, else the archive itself.
    pub(super) fn root(&self) -> PathBuf {
        self.tree.wrapped().map_or_else(|| self.path.clone(), |name| self.path.join(name))
    }

    fn folder(&self, dir: &Path) -> Option<&Folder> {
        let inner = dir.strip_prefix(&self.path).ok()?;
        inner.components().try_fold(&self.tree, |here, part| here.folders.get(part.as_os_str().to_str()?))
    }

    fn place(&self, file: &Path) -> Option<usize> {
        let name = file.file_name()?.to_str()?;
        self.folder(file.parent()?)?.files.get(name).copied()
    }

    fn places(&self, files: &[&Path]) -> Result<Vec<usize>, DataError> {
        let place = |file: &&Path| self.place(file).ok_or_else(|| DataError::Missing { path: (*file).to_owned() });
        files.iter().map(place).collect()
    }

    /// Folders and files in a folder of the archive, each in the order of names.
    pub(super) fn folders_and_files(&self, dir: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
        let folder = self.folder(dir).ok_or_else(|| DataError::Missing { path: dir.to_owned() })?;
        let folders = folder.folders.keys().map(|name| dir.join(name)).collect();
        let files = folder.files.keys().map(|name| dir.join(name)).collect();
        Ok((folders, files))
    }

    /// The bytes of one file.
    pub(super) fn read(&self, file: &Path) -> Result<Vec<u8>, DataError> {
        let mut found = Vec::new();
        self.format.visit(&self.path, &self.places(&[file])?, self.limits, &mut |_, bytes| found = bytes)?;
        Ok(found)
    }

    /// What `f` makes of every file, on all threads, in the order of `files`.
    pub(super) fn map<T: Send>(
        &self,
        files: &[&Path],
        f: &(impl Fn(&Path, &[u8], &mut Resizer) -> Result<T, DataError> + Sync),
    ) -> Result<Vec<Result<T, DataError>>, DataError> {
        let mut results: Vec<Option<Result<T, DataError>>> = files.iter().map(|_| None).collect();
        let mut work = |held: Vec<(usize, Vec<u8>)>| {
            let done: Vec<(usize, Result<T, DataError>)> = held
                .into_par_iter()
                .map_init(Resizer::new, |resizer, (index, bytes)| (index, f(files[index], &bytes, resizer)))
                .collect();
            for (index, result) in done {
                results[index] = Some(result);
            }
        };
        let (mut held, mut size) = (Vec::new(), 0);
        self.format.visit(&self.path, &self.places(files)?, self.limits, &mut |index, bytes| {
            size += bytes.len();
            held.push((index, bytes));
            if size >= HELD {
                size = 0;
                work(std::mem::take(&mut held));
            }
        })?;
        work(held);
        let missing = |index: usize| DataError::Missing { path: files[index].to_owned() };
        results.into_iter().enumerate().map(|(index, result)| result.ok_or_else(|| missing(index))).collect()
    }
}

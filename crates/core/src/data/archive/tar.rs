//! Entries of tar archives, plain or gzip. Such an archive has no table of contents: it is read from its start, to list
//! it and again to take files out.

use super::{Excess, Kind, Limits, Listed, WHOLE, damaged, failed, place_of, read_entry};
use crate::data::DataError;
use ::tar::{Archive, Entry, EntryType};
use flate2::bufread::MultiGzDecoder;
use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// The unpacked stream of an archive, which ends with an error after as many bytes as it may have.
pub(super) struct Stream {
    inner: Box<dyn Read>,
    left: u64,
    limits: Limits,
    ended: bool,
}

impl Stream {
    pub(super) fn open(path: &Path, limits: Limits) -> Result<Self, DataError> {
        let read = |source| DataError::Read { path: path.to_owned(), source };
        let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(read)?);
        let packed = file.fill_buf().map_err(read)?.starts_with(&[0x1f, 0x8b]);
        let inner: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Self { inner, left: limits.total, limits, ended: false })
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.ended |= bytes == 0 && !buffer.is_empty();
        self.left = self.left.checked_sub(bytes as u64).ok_or_else(|| Excess::of_all(self.limits))?;
        Ok(bytes)
    }
}

fn name<R: Read>(entry: &Entry<'_, R>) -> String {
    String::from_utf8_lossy(&entry.path_bytes()).into_owned()
}

pub(super) fn list(path: &Path, limits: Limits) -> Result<Vec<Listed>, DataError> {
    let failed = |e: io::Error| failed(path, WHOLE, &e);
    let mut archive = Archive::new(Stream::open(path, limits)?);
    let mut listed = Vec::new();
    for (place, entry) in archive.entries().map_err(failed)?.enumerate() {
        let entry = entry.map_err(failed)?;
        let name = name(&entry);
        let kind = match entry.header().entry_type() {
            // Not an entry but words about the others.
            EntryType::XGlobalHeader => continue,
            EntryType::Directory => Kind::Folder,
            // The oldest programs have no type for folders.
            EntryType::Regular | EntryType::Continuous if name.ends_with('/') => Kind::Folder,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Link | EntryType::Symlink => Kind::Other("a link"),
            EntryType::GNUSparse => Kind::Other("a sparse file"),
            _ => Kind::Other("a device or another special entry"),
        };
        listed.push(Listed { place, name, kind });
    }
    let mut rest = archive.into_inner();
    if rest.ended {
        return Err(damaged(path, WHOLE, "it has no end mark"));
    }
    // What follows the end mark holds gzip's checksum.
    io::copy(&mut rest, &mut io::sink()).map_err(failed)?;
    Ok(listed)
}

/// Gives `take` the bytes of the entries `places`, each with its index in `places`, in the order of the archive.
pub(super) fn visit(
    path: &Path,
    places: &[usize],
    limits: Limits,
    take: &mut dyn FnMut(usize, Vec<u8>),
) -> Result<(), DataError> {
    let whole = |e: io::Error| failed(path, WHOLE, &e);
    let mut wanted: HashMap<usize, usize> = places.iter().enumerate().map(|(index, place)| (*place, index)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut archive = Archive::new(Stream::open(path, limits)?);
    for (place, entry) in archive.entries().map_err(whole)?.enumerate() {
        let mut entry = entry.map_err(whole)?;
        let Some(index) = wanted.remove(&place) else { continue };
        let (at, size) = (place_of(&name(&entry)), entry.size());
        let bytes = read_entry(&mut entry, limits).map_err(|e| failed(path, &at, &e))?;
        if bytes.len() as u64 != size {
            return Err(damaged(path, &at, "it ends early"));
        }
        take(index, bytes);
        if wanted.is_empty() {
            return Ok(());
        }
    }
    Err(damaged(path, WHOLE, "it changed while it was read"))
}

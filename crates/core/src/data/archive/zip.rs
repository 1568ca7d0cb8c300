//! Entries of zip archives, by the archive's own table of contents.

use super::{Excess, Kind, Limits, Listed, WHOLE, failed, place_of, read_entry};
use crate::data::{ArchiveError, DataError};
use ::zip::{
    CompressionMethod, ZipArchive,
    read::ZipFile,
    result::{ZipError, ZipResult},
};
use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

type Zip = ZipArchive<BufReader<File>>;

fn open(path: &Path) -> Result<Zip, DataError> {
    let file = File::open(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    checked(ZipArchive::new(BufReader::new(file)), path, WHOLE)
}

fn checked<T>(result: ZipResult<T>, path: &Path, place: &str) -> Result<T, DataError> {
    result.map_err(|e| failed(path, place, &io::Error::from(e)))
}

/// UTF-8 where the bytes are (many programs write it without saying so), else the code page of the format's time.
fn name(file: &ZipFile<'_>) -> String {
    let name = str::from_utf8(file.name_raw()).unwrap_or(file.name());
    // Some programs for Windows write its separators, against the format.
    if name.contains('/') { name.to_owned() } else { name.replace('\\', "/") }
}

pub(super) fn list(path: &Path) -> Result<Vec<Listed>, DataError> {
    let mut zip = open(path)?;
    let mut listed = Vec::with_capacity(zip.len());
    for place in 0..zip.len() {
        let file = checked(zip.by_index_raw(place), path, WHOLE)?;
        let (name, mode) = (name(&file), file.unix_mode().unwrap_or(0));
        let kind = match mode & 0o170_000 {
            0o120_000 => Kind::Other("a link"),
            _ if name.ends_with('/') => Kind::Folder,
            _ => Kind::File,
        };
        listed.push(Listed { place, name, kind });
    }
    Ok(listed)
}

/// Gives `take` the bytes of the entries `places`, each with its index in `places`.
pub(super) fn visit(
    path: &Path,
    places: &[usize],
    limits: Limits,
    take: &mut dyn FnMut(usize, Vec<u8>),
) -> Result<(), DataError> {
    let mut zip = open(path)?;
    let mut left = limits.total;
    for (index, &place) in places.iter().enumerate() {
        let bytes = read(&mut zip, place, path, limits)?;
        left = left.checked_sub(bytes.len() as u64).ok_or_else(|| failed(path, WHOLE, &Excess::of_all(limits)))?;
        take(index, bytes);
    }
    Ok(())
}

fn read(zip: &mut Zip, place: usize, path: &Path, limits: Limits) -> Result<Vec<u8>, DataError> {
    let (entry, method) = {
        let file = checked(zip.by_index_raw(place), path, WHOLE)?;
        (name(&file), file.compression())
    };
    if method != CompressionMethod::STORE && method != CompressionMethod::DEFLATE {
        let (path, method) = (path.to_owned(), method_name(method));
        return Err(ArchiveError::Method { path, entry, method }.into());
    }
    let at = place_of(&entry);
    let encrypted = || DataError::from(ArchiveError::Encrypted { path: path.to_owned(), entry: entry.clone() });
    // Asked with a password, `zip` reports an entry that is encrypted by AES but not marked so; asked without, it
    // panics at such a one. What is left to be unsupported here is AES.
    match zip.by_index_decrypt(place, b"") {
        Ok(Ok(_)) => {}
        Ok(Err(_)) | Err(ZipError::UnsupportedArchive(_)) => return Err(encrypted()),
        Err(e) => return checked(Err(e), path, &at),
    }
    // Of the older encryption one password in 256 passes for right: asked without, the mark decides.
    let file = match zip.by_index(place) {
        Err(ZipError::UnsupportedArchive(_)) => return Err(encrypted()),
        file => checked(file, path, &at)?,
    };
    // The reader checks the checksum at the end.
    read_entry(file, limits).map_err(|e| failed(path, &at, &e))
}

/// Names of the methods that programs offer, from the format's specification (APPNOTE 6.3.10, section 4.4.5).
fn method_name(method: CompressionMethod) -> String {
    match method {
        CompressionMethod::SHRINK => "shrink".to_owned(),
        CompressionMethod::IMPLODE => "implode".to_owned(),
        CompressionMethod::DEFLATE64 => "Deflate64".to_owned(),
        CompressionMethod::BZIP2 => "bzip2".to_owned(),
        CompressionMethod::LZMA => "LZMA".to_owned(),
        CompressionMethod::ZSTD => "Zstandard".to_owned(),
        CompressionMethod::XZ => "XZ".to_owned(),
        CompressionMethod::PPMD => "PPMd".to_owned(),
        other => format!("a method without a common name ({other})"),
    }
}

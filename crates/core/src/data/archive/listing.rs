//! What an archive lists, as a tree of folders.

use crate::data::{ArchiveError, DataError, folder::is_named_as_image, tree::is_hidden};
use std::{collections::BTreeMap, path::Path};

/// Bytes of a longer name are more than a file system would take.
const LONGEST_NAME: usize = 4_096;

/// An entry as its archive has it.
pub(super) struct Listed {
    /// Its number, by which a pass over the archive finds it again.
    pub(super) place: usize,
    pub(super) name: String,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Folder,
    File,
    /// Neither, with what it is.
    Other(&'static str),
}

/// The parts of an entry's path, or nothing if that leads anywhere but into the archive.
fn parts(name: &str) -> Option<Vec<&str>> {
    let has_drive = name.as_bytes().get(1) == Some(&b':');
    if name.starts_with('/') || has_drive || name.len() > LONGEST_NAME {
        return None;
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (!parts.contains(&"..")).then_some(parts)
}

/// A folder of an archive, in the order of names. Files have their places in the archive.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) folders: BTreeMap<String, Self>,
    pub(super) files: BTreeMap<String, usize>,
}

impl Folder {
    /// The tree of all visible entries.
    pub(super) fn tree(path: &Path, listed: Vec<Listed>) -> Result<Self, DataError> {
        let mut root = Self::default();
        for Listed { place, name, kind } in listed {
            let entry = || (path.to_owned(), name.clone());
            let Some(parts) = parts(&name) else {
                let (path, entry) = entry();
                return Err(ArchiveError::Outside { path, entry }.into());
            };
            if parts.iter().any(|part| is_hidden(part)) {
                continue;
            }
            let added = match kind {
                Kind::Folder => root.descend(&parts).is_some(),
                Kind::File => root.add(&parts, place),
                Kind::Other(what) => {
                    let (path, entry) = entry();
                    return Err(ArchiveError::NotAFile { path, entry, what }.into());
                }
            };
            if !added {
                let (path, entry) = entry();
                return Err(ArchiveError::Repeated { path, entry }.into());
            }
        }
        Ok(root)
    }

    /// The folder at `parts`, made if need be; nothing if a file stands in the way.
    fn descend(&mut self, parts: &[&str]) -> Option<&mut Self> {
        let mut here = self;
        for part in parts {
            if here.files.contains_key(*part) {
                return None;
            }
            here = here.folders.entry((*part).to_owned()).or_default();
        }
        Some(here)
    }

    /// Whether there was room for the file.
    fn add(&mut self, parts: &[&str], place: usize) -> bool {
        let Some((name, above)) = parts.split_last() else { return false };
        let Some(folder) = self.descend(above) else { return false };
        !folder.folders.contains_key(*name) && folder.files.insert((*name).to_owned(), place).is_none()
    }

    /// The name of the one folder that this one wraps, if it holds no other and no image.
    pub(super) fn wrapped(&self) -> Option<&str> {
        let mut names = self.folders.keys();
        let name = names.next()?;
        let alone = names.next().is_none() && !self.files.keys().any(|file| is_named_as_image(Path::new(file)));
        alone.then_some(name.as_str())
    }
}

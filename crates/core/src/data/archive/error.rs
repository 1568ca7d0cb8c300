use std::path::PathBuf;
use thiserror::Error;

/// Why an archive cannot be read as a folder: what, where, and the way out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// An archive of a kind that is not read.
    #[error("{path} is a {format} archive, which is not read: pack the folder again as .zip, .tar or .tar.gz")]
    Format {
        /// The archive.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },
    /// The archive ends early, fails its checksums or has no sense.
    #[error("{path} is damaged or cut short ({place}: {reason}); fetch or pack it again")]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// The entry, or the archive as a whole.
        place: String,
        /// What is wrong there.
        reason: String,
    },
    /// An entry has an absolute path, one with `..`, none at all, or one that no folder could hold.
    #[error(
        "{path} has the entry `{entry}`, which names no place inside the archive: pack it again with relative paths"
    )]
    Outside {
        /// The archive.
        path: PathBuf,
        /// Name of the entry.
        entry: String,
    },
    /// Two entries have one name, or a name is that of a file and of a folder.
    #[error("{path} has more than one entry `{entry}`, and which counts is unclear: pack it again with one")]
    Repeated {
        /// The archive.
        path: PathBuf,
        /// Name of the entry.
        entry: String,
    },
    /// An entry is a link, a device or the like.
    #[error(
        "{path} has the entry `{entry}`, which is {what}, neither file nor folder: pack what it stands for (zip \
         follows links by itself, tar with --dereference --hard-dereference)"
    )]
    NotAFile {
        /// The archive.
        path: PathBuf,
        /// Name of the entry.
        entry: String,
        /// What it is.
        what: &'static str,
    },
    /// An entry needs a password.
    #[error(
        "{path} has the encrypted entry `{entry}`: pack it again without a password, or extract it and give the folder"
    )]
    Encrypted {
        /// The archive.
        path: PathBuf,
        /// Name of the entry.
        entry: String,
    },
    /// An entry is compressed in a way that is not read.
    #[error(
        "{path} has the entry `{entry}` compressed by {method}; only stored and deflate are read: pack it again \
         (zip -r), or extract it and give the folder"
    )]
    Method {
        /// The archive.
        path: PathBuf,
        /// Name of the entry.
        entry: String,
        /// Name of the method, or its number in the format.
        method: String,
    },
    /// There is far more in it than an archive of images holds.
    #[error(
        "{path} is too large: {place} unpacks to more than {limit} bytes; if it is sound, extract it and give the \
         folder"
    )]
    TooLarge {
        /// The archive.
        path: PathBuf,
        /// The entry, or the archive as a whole.
        place: String,
        /// Bytes that it may have.
        limit: u64,
    },
}

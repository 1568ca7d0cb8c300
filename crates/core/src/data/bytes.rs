//! Files as bytes: read, unpacked, verified.

use super::DataError;
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::{io::ErrorKind, io::Read, path::Path};

/// The bytes of a file as they lie there.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => DataError::Missing { path: path.to_owned() },
        _ => DataError::Read { path: path.to_owned(), source },
    })
}

/// The bytes of a file, unpacked if they are gzip, whatever the file's name.
pub(super) fn read_unpacked(path: &Path) -> Result<Vec<u8>, DataError> {
    let bytes = read(path)?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut out = Vec::new();
    MultiGzDecoder::new(&bytes[..])
        .read_to_end(&mut out)
        .map_err(|e| DataError::Gzip { path: path.to_owned(), reason: e.to_string() })?;
    Ok(out)
}

/// Checks the SHA-256 of a file.
pub(super) fn verify(path: &Path, expected: &'static str) -> Result<(), DataError> {
    let got: String = Sha256::digest(read(path)?).iter().map(|byte| format!("{byte:02x}")).collect();
    if got == expected { Ok(()) } else { Err(DataError::Checksum { path: path.to_owned(), expected, got }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write};

    #[test]
    fn gzip_is_known_by_its_bytes_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no-ending");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(b"some bytes").unwrap();
        let packed = gz.finish().unwrap();
        fs::write(&path, &packed).unwrap();
        assert_eq!(read_unpacked(&path).unwrap(), b"some bytes");
        for damaged in [&packed[..packed.len() - 5], &packed[..12]] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(read_unpacked(&path), Err(DataError::Gzip { .. })));
        }
        let mut altered = packed.clone();
        altered[packed.len() - 8] ^= 1;
        fs::write(&path, altered).unwrap();
        assert!(matches!(read_unpacked(&path), Err(DataError::Gzip { .. })));
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        assert!(matches!(verify(&path, ""), Err(DataError::Missing { .. })));
        fs::write(&path, "abc").unwrap();
        verify(&path, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap();
        let message = verify(&path, "00").unwrap_err().to_string();
        assert!(message.contains("was altered") && message.contains("ba7816bf") && message.contains("expected 00"));
        assert!(matches!(read(dir.path()), Err(DataError::Read { .. })));
    }
}

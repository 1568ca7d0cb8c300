//! One process at a time in the folder of a run: two would overwrite each other's checkpoints and rows.

use crate::failure::{Failure, failed, usage};
use anyhow::{Context, anyhow};
use std::{
    fs::{File, TryLockError},
    path::Path,
};

/// Name of the file that is locked. It stays: whether a process holds it is known to the system, and ends with the process.
const FILE: &str = ".lock";

/// Keeps other processes out of a folder for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: Option<File>,
}

impl Lock {
    /// Takes the folder, which must be there.
    ///
    /// # Errors
    /// When another process has it.
    pub fn take(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join(FILE);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display())).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(usage(anyhow!(
                "another process is at work in {}: wait for it, stop it, or choose another --out",
                dir.display()
            ))),
            Err(TryLockError::Error(error)) => {
                tell!("note: {} cannot be locked ({error}): start no second run in it", dir.display());
                Ok(Self { _file: None })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take(dir.path()).unwrap();
        let refused = Lock::take(dir.path()).unwrap_err();
        assert!(refused.code == 2 && refused.error.to_string().contains("another process is at work in"));
        drop(held);
        Lock::take(dir.path()).unwrap();
        assert!(Lock::take(&dir.path().join("none")).is_err());
    }
}

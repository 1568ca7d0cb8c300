//! The binary version of CIFAR-10 and CIFAR-100: label bytes, then 3x32x32 pixels, image after image.

use super::{DataError, Dataset, Inputs, Source, bytes::read_unpacked};
use std::path::{Path, PathBuf};

const PIXELS: usize = 3 * 32 * 32;

/// What distinguishes the two sets.
struct Layout {
    train: Vec<PathBuf>,
    test: PathBuf,
    /// Label bytes of an image; the last counts (CIFAR-100's fine label, after the coarse one).
    label_bytes: usize,
    class_names: Vec<String>,
}

impl Layout {
    fn find(dir: &Path) -> Result<Self, DataError> {
        if dir.join("train.bin").is_file() {
            return Ok(Self {
                train: vec![dir.join("train.bin")],
                test: dir.join("test.bin"),
                label_bytes: 2,
                class_names: class_names(&dir.join("fine_label_names.txt"), 100)?,
            });
        }
        Ok(Self {
            train: batches(dir)?,
            test: dir.join("test_batch.bin"),
            label_bytes: 1,
            class_names: class_names(&dir.join("batches.meta.txt"), 10)?,
        })
    }
}

fn batch(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("data_batch_{number}.bin"))
}

/// The training batches 1, 2, ... to the last one there; one or more, with no gap.
fn batches(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let last = (1..=5).rev().find(|number| batch(dir, *number).is_file()).unwrap_or(1);
    let paths: Vec<PathBuf> = (1..=last).map(|number| batch(dir, number)).collect();
    match paths.iter().find(|path| !path.is_file()) {
        Some(missing) => Err(DataError::Missing { path: missing.clone() }),
        None => Ok(paths),
    }
}

/// One name a line; numbers if there is no such file.
fn class_names(path: &Path, classes: usize) -> Result<Vec<String>, DataError> {
    if !path.is_file() {
        return Ok((0..classes).map(|class| class.to_string()).collect());
    }
    let text = String::from_utf8_lossy(&read_unpacked(path)?).into_owned();
    let names: Vec<String> = text.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect();
    if names.len() != classes {
        return Err(DataError::ClassNames { path: path.to_owned(), expected: classes, got: names.len() });
    }
    Ok(names)
}

fn read(paths: &[PathBuf], name: &str, layout: &Layout) -> Result<Dataset, DataError> {
    let (label_bytes, classes) = (layout.label_bytes, layout.class_names.len());
    let record = label_bytes + PIXELS;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        let bytes = read_unpacked(path)?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            let promised = (bytes.len().div_ceil(record).max(1) * record) as u64;
            let (problem, got) = ("cut short", bytes.len() as u64);
            return Err(DataError::Length { path: path.clone(), problem, promised, got });
        }
        for image in bytes.chunks_exact(record) {
            let label = usize::from(image[label_bytes - 1]);
            if label >= classes {
                return Err(DataError::Label { path: path.clone(), label, classes });
            }
            labels.push(label);
            pixels.extend_from_slice(&image[label_bytes..]);
        }
    }
    Ok(Dataset {
        name: name.to_owned(),
        inputs: Inputs::Images { pixels, channels: 3, height: 32, width: 32 },
        labels: Some(labels),
        class_names: layout.class_names.clone(),
        groups: None,
    })
}

/// Whether a folder holds such files.
pub(super) fn is_here(dir: &Path) -> bool {
    dir.join("train.bin").is_file() || (1..=5).any(|number| batch(dir, number).is_file())
}

/// The training part of such a folder and, where there is one, the test part. CIFAR-10 may have fewer than five
/// batches, from the first on.
pub(super) fn open(dir: &Path, name: &str) -> Result<Source, DataError> {
    let layout = Layout::find(dir)?;
    let train = read(&layout.train, name, &layout)?;
    let test =
        if layout.test.is_file() { Some(read(std::slice::from_ref(&layout.test), name, &layout)?) } else { None };
    Ok(Source { test, ..Source::of(train) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn image(labels: &[u8], value: u8) -> Vec<u8> {
        [labels, &[value; PIXELS]].concat()
    }

    #[test]
    fn cifar_10_is_read_in_the_order_of_its_batches() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, bytes: &[u8]| fs::write(dir.path().join(file), bytes).unwrap();
        assert!(!is_here(dir.path()));
        write("data_batch_1.bin", &[image(&[3], 9), image(&[4], 8)].concat());
        write("data_batch_2.bin", &image(&[0], 7));
        write("test_batch.bin", &image(&[9], 1));
        assert!(is_here(dir.path()));
        let source = open(dir.path(), "t").unwrap();
        assert_eq!(source.train.labels, Some(vec![3, 4, 0]));
        assert_eq!(source.train.features().row(2)[PIXELS - 1], 7.0 / 255.0);
        assert_eq!(source.test.unwrap().labels, Some(vec![9]));
        assert_eq!(source.train.class_names[9], "9");
        write("batches.meta.txt", b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
        assert_eq!(open(dir.path(), "t").unwrap().train.class_names[9], "truck");
    }

    #[test]
    fn cifar_100_has_its_fine_labels() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("train.bin"), image(&[1, 42], 0)).unwrap();
        let source = open(dir.path(), "t").unwrap();
        assert_eq!((source.train.labels, source.test.is_none()), (Some(vec![42]), true));
        assert_eq!(source.train.class_names.len(), 100);
    }

    #[test]
    fn damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, bytes: &[u8]| fs::write(dir.path().join(file), bytes).unwrap();
        let error = || open(dir.path(), "t").unwrap_err().to_string();
        write("data_batch_2.bin", &image(&[3], 9));
        assert!(error().contains("data_batch_1.bin is missing"));
        write("data_batch_1.bin", &image(&[3], 9)[..100]);
        assert!(error().contains("cut short") && error().contains("3073 bytes, it holds 100"));
        write("data_batch_1.bin", &[]);
        assert!(error().contains("cut short"));
        write("data_batch_1.bin", &image(&[10], 9));
        assert!(error().contains("label 10, but there are only 10 classes"));
        write("batches.meta.txt", b"airplane\nautomobile\n");
        assert!(error().contains("names 2 classes, expected 10"));
    }
}

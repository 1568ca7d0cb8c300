//! The IDX files of MNIST and its kin, plain or gzip.

use super::{DataError, Dataset, Inputs, Source, bytes::read_unpacked, tree::entries};
use std::path::{Path, PathBuf};

const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;

/// Sizes and values of an IDX file of bytes, whose length must fit its header exactly.
fn parse(path: &Path, magic: u32, what: &'static str) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let mut bytes = read_unpacked(path)?;
    let word = |i: usize| {
        let byte = |j: usize| bytes.get(4 * i + j).copied().unwrap_or(0);
        u32::from_be_bytes([byte(0), byte(1), byte(2), byte(3)])
    };
    let got = word(0);
    if got != magic {
        return Err(DataError::Magic { path: path.to_owned(), what, expected: magic, got });
    }
    let dims = (magic & 0xff) as usize;
    let header = 4 * (dims + 1);
    // Bytes of the header that are not there count as zeros; then the length is too small for the header itself.
    let sizes: Vec<u64> = (1..=dims).map(|i| u64::from(word(i))).collect();
    let values = sizes.iter().try_fold(1u64, |a, b| a.checked_mul(*b)).unwrap_or(u64::MAX);
    let (promised, got) = (values.saturating_add(header as u64), bytes.len() as u64);
    if got != promised {
        let problem = if got < promised { "cut short" } else { "too long" };
        return Err(DataError::Length { path: path.to_owned(), problem, promised, got });
    }
    Ok((sizes.iter().map(|s| *s as usize).collect(), bytes.split_off(header)))
}

/// Images and labels of one part, as they are in the files.
struct Part {
    inputs: Inputs,
    labels: Vec<usize>,
    labels_path: PathBuf,
}

impl Part {
    fn read(files: &Files) -> Result<Self, DataError> {
        let (sizes, pixels) = parse(&files.images, IMAGES, "images")?;
        let (counts, values) = parse(&files.labels, LABELS, "labels")?;
        if pixels.is_empty() {
            return Err(DataError::NoImages { path: files.images.clone() });
        }
        if sizes[0] != counts[0] {
            return Err(DataError::Counts { path: files.images.clone(), images: sizes[0], labels: counts[0] });
        }
        Ok(Self {
            inputs: Inputs::Images { pixels, channels: 1, height: sizes[1], width: sizes[2] },
            labels: values.into_iter().map(usize::from).collect(),
            labels_path: files.labels.clone(),
        })
    }

    /// The part as a data set whose classes are `values`, the numbers in the file, with `class_names`.
    fn named(self, name: &str, values: &[usize], class_names: &[String]) -> Result<Dataset, DataError> {
        let mut unknown: Vec<usize> = self.labels.iter().copied().filter(|l| !values.contains(l)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            let only_here = unknown.iter().map(usize::to_string).collect();
            return Err(DataError::ClassesDiffer { path: self.labels_path, only_here, only_train: Vec::new() });
        }
        let place = |label: &usize| values.binary_search(label).ok();
        Ok(Dataset {
            name: name.to_owned(),
            inputs: self.inputs,
            labels: Some(self.labels.iter().filter_map(place).collect()),
            class_names: class_names.to_vec(),
            groups: None,
        })
    }
}

/// The two files of a part. `prefix` is what stands before `images`.
#[derive(Clone)]
struct Files {
    prefix: String,
    images: PathBuf,
    labels: PathBuf,
}

/// Every file of images in a folder, `PREFIX-images-idx3-ubyte` or `PREFIX-images.idx3-ubyte`, plain or with `.gz`, and
/// the labels' name beside it. Where a file lies there plain and packed, the plain one counts.
fn list(dir: &Path) -> Result<Vec<Files>, DataError> {
    let mut found: Vec<Files> = Vec::new();
    for images in entries(dir)? {
        let name = images.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        for (end, labels) in [("images-idx3-ubyte", "labels-idx1-ubyte"), ("images.idx3-ubyte", "labels.idx1-ubyte")] {
            let Some(prefix) = plain.strip_suffix(end) else { continue };
            if found.iter().all(|f| f.prefix != prefix) {
                let beside = |ending: &str| dir.join(format!("{prefix}{labels}{ending}"));
                let labels = Some(beside(".gz")).filter(|p| p.is_file() && !beside("").is_file());
                let labels = labels.unwrap_or_else(|| beside(""));
                found.push(Files { prefix: prefix.to_owned(), images: images.clone(), labels });
            }
        }
    }
    Ok(found)
}

fn is_train(files: &&Files) -> bool {
    files.prefix.contains("train")
}

fn is_test(files: &&Files) -> bool {
    !is_train(files) && (files.prefix.contains("t10k") || files.prefix.contains("test"))
}

/// The one part of that kind, if there is one.
fn part(dir: &Path, found: &[Files], is_kind: fn(&&Files) -> bool) -> Result<Option<Files>, DataError> {
    let mut fitting = found.iter().filter(is_kind);
    match (fitting.next(), fitting.next()) {
        (Some(a), Some(b)) => {
            let problem = format!("{} and {} hold the same part; keep one", a.images.display(), b.images.display());
            Err(DataError::Inconsistent { name: dir.display().to_string(), problem })
        }
        (first, _) => Ok(first.cloned()),
    }
}

/// Whether a folder holds IDX files of images.
pub(super) fn is_here(dir: &Path) -> Result<bool, DataError> {
    Ok(!list(dir)?.is_empty())
}

/// The training part of such a folder (a prefix with `train`) and, where there is one, the test part (`t10k` or
/// `test`). The classes are the numbers of the training labels; `class_names` names the classes from 0.
pub(super) fn open(dir: &Path, name: &str, class_names: &[&str]) -> Result<Source, DataError> {
    let found = list(dir)?;
    if let Some(stray) = found.iter().find(|files| !is_train(files) && !is_test(files)) {
        let problem = format!("{} is no part: its name needs train, t10k or test", stray.images.display());
        return Err(DataError::Inconsistent { name: dir.display().to_string(), problem });
    }
    let train =
        part(dir, &found, is_train)?.ok_or_else(|| DataError::Missing { path: dir.join("train-images-idx3-ubyte") })?;
    let test = part(dir, &found, is_test)?;
    let train = Part::read(&train)?;
    let (values, names): (Vec<usize>, Vec<String>) = if class_names.is_empty() {
        let mut values = train.labels.clone();
        values.sort_unstable();
        values.dedup();
        values.into_iter().map(|v| (v, v.to_string())).unzip()
    } else {
        class_names.iter().enumerate().map(|(i, n)| (i, (*n).to_owned())).unzip()
    };
    if let Some(&label) = train.labels.iter().find(|l| !values.contains(l)) {
        return Err(DataError::Label { path: train.labels_path, label, classes: values.len() });
    }
    let train = train.named(name, &values, &names)?;
    let test = match test {
        None => None,
        Some(files) => Some(Part::read(&files)?.named(name, &values, &names)?),
    };
    if let Some(test) = test.as_ref().filter(|test| test.shape() != train.shape()) {
        let problem = format!("training images are {:?}, test images {:?}", train.inputs, test.inputs);
        return Err(DataError::Inconsistent { name: dir.display().to_string(), problem });
    }
    Ok(Source { test, ..Source::of(train) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write};

    fn file(magic: u32, sizes: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_be_bytes().to_vec();
        sizes.iter().for_each(|s| bytes.extend(s.to_be_bytes()));
        bytes.extend(values);
        bytes
    }

    fn folder(images: &[u8], labels: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("train-images-idx3-ubyte"), images).unwrap();
        let packed = fs::File::create(dir.path().join("train-labels-idx1-ubyte.gz")).unwrap();
        let mut gz = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        gz.write_all(labels).unwrap();
        gz.finish().unwrap();
        dir
    }

    #[test]
    fn plain_and_packed_files_are_read() {
        let dir = folder(&file(IMAGES, &[2, 1, 3], &[1, 2, 3, 4, 5, 6]), &file(LABELS, &[2], &[1, 0]));
        assert!(is_here(dir.path()).unwrap());
        let data = open(dir.path(), "t", &[]).unwrap().train;
        assert_eq!(data.len(), 2);
        assert_eq!(data.labels.as_deref(), Some(&[1, 0][..]));
        assert_eq!(data.class_names, ["0", "1"]);
        data.validate().unwrap();
    }

    #[test]
    fn parts_share_classes_and_shape() {
        let dir = folder(&file(IMAGES, &[3, 1, 1], &[1, 2, 3]), &file(LABELS, &[3], &[7, 2, 7]));
        let write = |name: &str, bytes: Vec<u8>| fs::write(dir.path().join(name), bytes).unwrap();
        write("t10k-images-idx3-ubyte", file(IMAGES, &[1, 1, 1], &[9]));
        write("t10k-labels-idx1-ubyte", file(LABELS, &[1], &[7]));
        let source = open(dir.path(), "t", &[]).unwrap();
        assert_eq!(source.train.class_names, ["2", "7"]);
        assert_eq!(source.train.labels, Some(vec![1, 0, 1]));
        assert_eq!(source.test.unwrap().labels, Some(vec![1]));
        write("t10k-labels-idx1-ubyte", file(LABELS, &[1], &[3]));
        assert!(open(dir.path(), "t", &[]).unwrap_err().to_string().contains("only here [\"3\"]"));
        write("t10k-labels-idx1-ubyte", file(LABELS, &[1], &[2]));
        write("t10k-images-idx3-ubyte", file(IMAGES, &[1, 1, 2], &[9, 9]));
        assert!(open(dir.path(), "t", &[]).unwrap_err().to_string().contains("Images[1, 1, 1, 2]"));
        write("other-train-images-idx3-ubyte", Vec::new());
        assert!(open(dir.path(), "t", &[]).unwrap_err().to_string().contains("keep one"));
        write("more-images-idx3-ubyte", Vec::new());
        assert!(open(dir.path(), "t", &[]).unwrap_err().to_string().contains("is no part"));
    }

    #[test]
    fn damage_is_named() {
        let good = file(LABELS, &[2], &[1, 0]);
        let error = |images: &[u8]| open(folder(images, &good).path(), "t", &[]).unwrap_err().to_string();
        assert!(error(&file(IMAGES, &[2, 1, 3], &[1, 2, 3])).contains("cut short"));
        assert!(error(&file(IMAGES, &[2, 1, 1], &[1, 2, 3])).contains("too long"));
        assert!(error(&file(IMAGES, &[2], &[])).contains("cut short"));
        assert!(error(&file(IMAGES, &[u32::MAX; 3], &[1])).contains("cut short"));
        assert!(error(&file(IMAGES, &[0, 1, 1], &[])).contains("holds no images"));
        assert!(error(&file(LABELS, &[2], &[1, 2])).contains("not an IDX file of images"));
        assert!(error(&file(IMAGES, &[1, 1, 1], &[1])).contains("1 images"));
        assert!(error(&[]).contains("begins with 0x00000000, expected 0x00000803"));
        let images = file(IMAGES, &[2, 1, 1], &[1, 2]);
        let dir = folder(&images, &file(LABELS, &[2], &[0, 2]));
        assert!(open(dir.path(), "t", &["a", "b"]).unwrap_err().to_string().contains("label 2"));
        fs::remove_file(dir.path().join("train-labels-idx1-ubyte.gz")).unwrap();
        assert!(open(dir.path(), "t", &[]).unwrap_err().to_string().contains("train-labels-idx1-ubyte is missing"));
        fs::remove_file(dir.path().join("train-images-idx3-ubyte")).unwrap();
        assert!(open(dir.path(), "t", &[]).unwrap_err().to_string().contains("train-images-idx3-ubyte is missing"));
    }
}

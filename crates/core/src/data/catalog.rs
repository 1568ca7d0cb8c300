//! Data sets by name or path.

use super::{
    DataError, Dataset, Inputs, Shape, Source, archive::Archive, bytes, cifar, csv, folder, idx, notes, resize,
    tree::Tree,
};
use crate::backend::did_you_mean;
use std::{iter, path::Path};

/// How to read a data set given by its path.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Label column of a CSV file; the last one if left out.
    pub label_column: Option<String>,
    /// Column of a CSV file that tells groups (cameras, sessions) apart; it is then no feature.
    pub group_column: Option<String>,
    /// Shape that the images of a folder are decoded to. Left out, it is the first image's, with at most 64 pixels on
    /// the longer side, in colour if any image is.
    pub shape: Option<Shape>,
    /// Longer side in pixels, 1 to 8192, that images are scaled to with their ratio kept: those of a folder from their
    /// own size, others from the size that they are stored in. Rows are refused. Not used where there is a `shape`.
    pub side: Option<usize>,
}

struct Entry {
    name: &'static str,
    describe: &'static str,
    files: &'static [(&'static str, &'static str)],
}

/// The data that ship, each file with its SHA-256.
const ENTRIES: [Entry; 4] = [
    Entry {
        name: "fashion_mnist",
        describe: "70,000 grey 28x28 images of 10 kinds of clothing",
        files: &[
            (
                "fashion-mnist/train-images-idx3-ubyte.gz",
                "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
            ),
            (
                "fashion-mnist/train-labels-idx1-ubyte.gz",
                "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
            ),
            (
                "fashion-mnist/t10k-images-idx3-ubyte.gz",
                "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
            ),
            (
                "fashion-mnist/t10k-labels-idx1-ubyte.gz",
                "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
            ),
        ],
    },
    Entry {
        name: "digits",
        describe: "1,797 grey 8x8 images of the ten digits",
        files: &[("digits/digits.csv.gz", "ad8bdbd5ae0e92f68033108f331b6fae4be0990d250e01d6b959a6bb81e7832c")],
    },
    Entry {
        name: "iris",
        describe: "150 rows of 4 measures, 3 kinds of flower",
        files: &[("iris/iris.csv", "e2e59531f2c1e97d2b1c7c20fe969d19a3c92c231c3e34176a40d92f45541167")],
    },
    Entry {
        name: "wine",
        describe: "178 rows of 13 measures, 3 kinds of wine",
        files: &[("wine/wine.csv", "5235ec9e296ebb703cfe2bb70646e2fe1766a3f7c98df190d60c287d199c0c7c")],
    },
];

/// Class names of Fashion-MNIST, from its authors.
const FASHION: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// Names of the data that ship.
pub fn names() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().map(|e| e.name)
}

/// One line about a data set that ships.
pub fn describe(name: &str) -> Option<&'static str> {
    find(name).map(|e| e.describe)
}

fn find(name: &str) -> Option<&'static Entry> {
    let plain = name.to_lowercase().replace('-', "_");
    ENTRIES.iter().find(|e| e.name == plain)
}

/// Opens a data set that ships, from the folder `root`, or one at a path: a folder of IDX files, of CIFAR batches or
/// of class folders with images, a zip or tar of the last, or a CSV file. A name that ships goes before a path of the
/// same name, which `./NAME` gives; upper case and `-` for `_` make no difference in names.
///
/// The parts are those that the source has; [`complete`](super::split::complete) makes the others.
///
/// # Errors
/// When there is none of that name or path, or its files are missing, damaged or altered.
pub fn open(name_or_path: &str, root: &Path, options: &Options) -> Result<Source, DataError> {
    let mut source = read(name_or_path, root, options)?;
    let lone = notes::lone_classes(&source);
    source.notes.extend(lone);
    Ok(source)
}

fn read(name_or_path: &str, root: &Path, options: &Options) -> Result<Source, DataError> {
    for (option, column) in [("--label-column", &options.label_column), ("--group-column", &options.group_column)] {
        refuse_column(name_or_path, option, column.as_deref())?;
    }
    if let Some(entry) = find(name_or_path) {
        for (file, sum) in entry.files {
            bytes::verify(&root.join(file), sum)?;
        }
        return scaled(shipped(entry.name, root)?, options);
    }
    let path = Path::new(name_or_path);
    if path.is_dir() {
        open_folder(path, options)
    } else if path.is_file()
        && let Some(archive) = Archive::open(path)?
    {
        folder::open(&Tree::Archive(archive), &stem(path), options)
    } else if path.is_file() {
        scaled(Source::of(open_table(path, &stem(path), options)?), options)
    } else {
        Err(DataError::Unknown {
            name: name_or_path.to_owned(),
            hint: did_you_mean(name_or_path, names()),
            known: names().collect::<Vec<_>>().join(", "),
        })
    }
}

/// Only a CSV file has columns to choose from. What is not there at all is left to others to say.
pub(super) fn refuse_column(name_or_path: &str, option: &'static str, column: Option<&str>) -> Result<(), DataError> {
    let Some(column) = column else { return Ok(()) };
    let (path, ships) = (Path::new(name_or_path), find(name_or_path).is_some());
    let table = !ships && path.is_file() && !folder::is_named_as_image(path) && Archive::open(path)?.is_none();
    if table || !(ships || path.exists()) {
        return Ok(());
    }
    Err(DataError::NoColumns { name: name_or_path.to_owned(), column: column.to_owned(), option })
}

fn open_folder(path: &Path, options: &Options) -> Result<Source, DataError> {
    // `.` and `..` have no name of their own.
    let real = path.canonicalize().map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let name = real.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    if idx::is_here(path)? {
        scaled(idx::open(path, &name, &[])?, options)
    } else if cifar::is_here(path) {
        scaled(cifar::open(path, &name)?, options)
    } else {
        folder::open(&Tree::Disk(path.to_owned()), &name, options)
    }
}

/// The images of a source with the longer side that `options` ask for, if they do.
fn scaled(source: Source, options: &Options) -> Result<Source, DataError> {
    let (None, Some(side)) = (options.shape, options.side) else { return Ok(source) };
    let Source { train, validation, test, mut notes } = source;
    let Shape { channels, height, width } = train.shape();
    let failed = |reason| DataError::Resize { name: train.name.clone(), reason };
    let after = resize::with_longer_side((height, width), side).map_err(failed)?;
    let items = [Some(&train), validation.as_ref(), test.as_ref()].into_iter().flatten().map(Dataset::len).sum();
    notes.extend(notes::scaled(iter::repeat_n((height, width), items), after, true));
    let part = |data: Dataset| data.resized(Shape { channels, height: after.0, width: after.1 });
    Ok(Source {
        train: part(train)?,
        validation: validation.map(part).transpose()?,
        test: test.map(part).transpose()?,
        notes,
    })
}

fn open_table(path: &Path, name: &str, options: &Options) -> Result<Dataset, DataError> {
    csv::open(path, name, options.label_column.as_deref(), options.group_column.as_deref())
}

/// The file's name without the endings of tables and archives.
fn stem(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let bare = [".csv", ".zip", ".tar", ".tgz"].iter().find_map(|ending| plain.strip_suffix(ending));
    bare.unwrap_or(plain).to_owned()
}

fn shipped(name: &str, root: &Path) -> Result<Source, DataError> {
    let table = |file: &str| csv::open(&root.join(file), name, Some("label"), None);
    match name {
        "fashion_mnist" => idx::open(&root.join("fashion-mnist"), name, &FASHION),
        "digits" => Ok(Source::of(eight_by_eight(table("digits/digits.csv.gz")?))),
        other => Ok(Source::of(table(&format!("{other}/{other}.csv"))?)),
    }
}

/// The digits' 64 columns of 0 to 16 as images of 0 to 255.
fn eight_by_eight(rows: Dataset) -> Dataset {
    let pixels = rows.features().as_slice().iter().map(|v| (v * 255.0 / 16.0).round() as u8).collect();
    Dataset { inputs: Inputs::Images { pixels, channels: 1, height: 8, width: 8 }, ..rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::PathBuf};

    fn root() -> PathBuf {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets").into()
    }

    fn shipped_source(name: &str) -> Source {
        open(name, &root(), &Options::default()).unwrap()
    }

    #[test]
    fn everything_that_ships_opens() {
        let sizes = [("Fashion-MNIST", 60_000, 10), ("digits", 1_797, 10), ("Iris", 150, 3), ("wine", 178, 3)];
        for (name, n, classes) in sizes {
            let source = shipped_source(name);
            source.train.validate().unwrap();
            assert_eq!((source.train.len(), source.train.class_names.len()), (n, classes), "{name}");
            assert!(describe(name).is_some() && source.notes.is_empty(), "{:?}", source.notes);
        }
        assert_eq!(names().collect::<Vec<_>>(), ["fashion_mnist", "digits", "iris", "wine"]);
    }

    #[test]
    fn contents_are_those_of_the_sources() {
        let test = shipped_source("fashion_mnist").test.unwrap();
        assert_eq!((test.len(), &test.class_names[9][..]), (10_000, "Ankle boot"));
        assert_eq!(test.class_counts().unwrap(), [1_000; 10]);
        assert_eq!(test.labels.as_ref().unwrap()[..8], [9, 2, 1, 1, 6, 1, 4, 6]);

        let digits = shipped_source("digits").train;
        assert_eq!(digits.shape(), Shape { channels: 1, height: 8, width: 8 });
        assert_eq!(digits.class_counts().unwrap(), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        // The first row of the first image: 0 0 5 13 9 1 0 0 of 16.
        let Inputs::Images { pixels, .. } = &digits.inputs else { panic!("images") };
        assert_eq!(pixels[..8], [0, 0, 80, 207, 143, 16, 0, 0]);

        let iris = shipped_source("iris").train;
        assert_eq!(
            (iris.class_names.join(" "), iris.class_counts().unwrap()),
            ("setosa versicolor virginica".into(), vec![50; 3])
        );
        assert_eq!(iris.features().row(0), [5.1, 3.5, 1.4, 0.2]);
        let wine = shipped_source("wine").train;
        assert_eq!((wine.shape().channels, wine.class_counts().unwrap()), (13, vec![59, 71, 48]));
    }

    #[test]
    fn columns_of_what_is_no_table_are_refused() {
        let of = |options: &Options| open("iris", &root(), options).map(|_| ()).unwrap_err().to_string();
        let label = Options { label_column: Some("kind".into()), ..Options::default() };
        assert_eq!(of(&label), "`iris` is no CSV file and has no column `kind`: leave --label-column out");
        let group = Options { group_column: Some("camera".into()), ..Options::default() };
        assert!(of(&group).ends_with("leave --group-column out"));
        let folder = root().join("fashion-mnist");
        assert!(matches!(open(&folder.to_string_lossy(), &root(), &label), Err(DataError::NoColumns { .. })));
    }

    #[test]
    fn images_are_scaled_and_rows_are_not() {
        let of = |name: &str, side| open(name, &root(), &Options { side: Some(side), ..Options::default() });
        let Source { train: digits, notes, .. } = of("digits", 12).unwrap();
        assert_eq!(notes, ["1797 of 1797 images were scaled to 12x12 pixels (width x height) from 8x8"]);
        assert_eq!((digits.shape(), digits.len()), (Shape { channels: 1, height: 12, width: 12 }, 1_797));
        assert_eq!(of("digits", 8).unwrap().train.inputs, shipped_source("digits").train.inputs);
        assert!(of("iris", 12).unwrap_err().to_string().contains("rows cannot be resized"));
        for side in [0, 9_000] {
            let message = of("digits", side).unwrap_err().to_string();
            assert!(message.contains("`digits`") && message.contains("1 to 8192"), "{message}");
        }
    }

    #[test]
    fn unknown_missing_and_altered_are_told_apart() {
        let message = open("fashion_mnits", &root(), &Options::default()).unwrap_err().to_string();
        assert!(message.contains("did you mean `fashion_mnist`?"), "{message}");
        let dir = tempfile::tempdir().unwrap();
        let error = || open("iris", dir.path(), &Options::default()).unwrap_err().to_string();
        assert!(error().contains("is missing"));
        fs::create_dir(dir.path().join("iris")).unwrap();
        fs::write(dir.path().join("iris/iris.csv"), "a,label\n1,x\n").unwrap();
        assert!(error().contains("was altered"));
    }

    #[test]
    fn paths_are_known_by_what_lies_there() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let open = |name: &str, options: &Options| open(at(name).to_str().unwrap(), &root(), options);
        fs::write(at("my.csv"), "camera,kind,x\n1,b,2\n2,a,3\n").unwrap();
        let options =
            Options { label_column: Some("kind".into()), group_column: Some("camera".into()), ..Options::default() };
        let table = open("my.csv", &options).unwrap().train;
        assert_eq!((&table.name[..], table.labels, table.groups), ("my", Some(vec![1, 0]), Some(vec![0, 1])));
        let message = open("my.csv", &Options { label_column: Some("sort".into()), ..Options::default() });
        assert!(message.unwrap_err().to_string().contains("its columns are: camera, kind, x"));

        for file in ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"] {
            fs::create_dir_all(at("idx")).unwrap();
            let shipped = file.replace("train", "t10k");
            fs::copy(root().join("fashion-mnist").join(shipped), at("idx").join(file)).unwrap();
        }
        let idx = open("idx", &Options::default()).unwrap();
        assert_eq!((&idx.train.name[..], idx.train.len(), idx.test.is_none()), ("idx", 10_000, true));

        fs::create_dir(at("cifar")).unwrap();
        fs::write(at("cifar/data_batch_1.bin"), [1u8; 3_073]).unwrap();
        assert_eq!(open("cifar", &Options::default()).unwrap().train.shape().width, 32);

        for class in ["a", "b"] {
            fs::create_dir_all(at("images").join(class)).unwrap();
            image::GrayImage::new(4, 4).save(at("images").join(class).join("1.png")).unwrap();
        }
        let shape = Shape { channels: 3, height: 2, width: 5 };
        let images = open("images", &Options { shape: Some(shape), ..Options::default() }).unwrap().train;
        assert_eq!((&images.name[..], images.shape(), images.len()), ("images", shape, 2));
        let notes = open("images", &Options::default()).unwrap().notes;
        assert_eq!(notes, ["classes with one item, which cannot be both trained on and tested: 2 (a, b)"]);
        assert!(open("nothing", &Options::default()).unwrap_err().to_string().contains("no data set or path"));
    }
}

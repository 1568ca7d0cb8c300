mod refusals;

use super::*;
use crate::data::{ItemKind, Items, Source, catalog, folder, tree::Tree};
use ::tar::{Builder, EntryType, Header};
use ::zip::{CompressionMethod, ZipWriter, write::FileOptions};
use flate2::{Compression, write::GzEncoder};
use std::{
    fs,
    io::{Cursor, Write},
};

type Entry = (String, Vec<u8>);

/// A small image, another one for each number; every third is in colour.
fn png(number: u8) -> Vec<u8> {
    let (width, height) = (4 + u32::from(number) % 3, 5);
    let value = |x: u32, y: u32| (x * 7 + y * 29) as u8 ^ number.wrapping_mul(37);
    let mut out = Cursor::new(Vec::new());
    let format = image::ImageFormat::Png;
    if number % 3 == 2 {
        let pixel = |x, y| image::Rgb([value(x, y), number, value(y, x)]);
        image::RgbImage::from_fn(width, height, pixel).write_to(&mut out, format).unwrap();
    } else {
        image::GrayImage::from_fn(width, height, |x, y| image::Luma([value(x, y)])).write_to(&mut out, format).unwrap();
    }
    out.into_inner()
}

/// An image for every name; names that end with `/` are folders.
fn images(names: &[&str]) -> Vec<Entry> {
    let bytes = |i: usize, name: &str| if name.ends_with('/') { Vec::new() } else { png(i as u8) };
    names.iter().enumerate().map(|(i, name)| ((*name).to_owned(), bytes(i, name))).collect()
}

fn options(method: CompressionMethod) -> FileOptions {
    FileOptions::default().compression_method(method)
}

/// Every second file stored, the others deflated.
fn zipped(entries: &[Entry]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (i, (name, bytes)) in entries.iter().enumerate() {
        let method = if i % 2 == 0 { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        if name.ends_with('/') {
            writer.add_directory(name.as_str(), options(method)).unwrap();
        } else {
            writer.start_file(name.as_str(), options(method)).unwrap();
            writer.write_all(bytes).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

/// By hand: the writer refuses names that a reader must refuse too.
fn header(name: &str, kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size as u64);
    header.set_cksum();
    header
}

fn tarred(entries: &[Entry]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, bytes) in entries {
        let kind = if name.ends_with('/') { EntryType::Directory } else { EntryType::Regular };
        if name.len() > 100 {
            builder.append_data(&mut header("", kind, bytes.len()), name, &bytes[..]).unwrap();
        } else {
            builder.append(&header(name, kind, bytes.len()), &bytes[..]).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// The entries in every format, with an ending for the name of a file of it.
fn packed(entries: &[Entry]) -> [(&'static str, Vec<u8>); 3] {
    [("zip", zipped(entries)), ("tar", tarred(entries)), ("tar.gz", gzip(&tarred(entries)))]
}

/// A folder for archives.
struct Shelf(tempfile::TempDir);

impl Shelf {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn source(&self, name: &str, bytes: &[u8]) -> Result<Source, DataError> {
        let archive = Archive::open(&self.put(name, bytes))?.expect("an archive");
        folder::open(&Tree::Archive(archive), "t", &catalog::Options::default())
    }

    fn error(&self, name: &str, bytes: &[u8]) -> ArchiveError {
        match self.source(name, bytes).unwrap_err() {
            DataError::Archive(e) => {
                assert!(e.to_string().contains(name), "{e}");
                e
            }
            other => panic!("{name}: {other}"),
        }
    }
}

/// Parts and classes in no order, with names that sort one way as paths and another way as text.
const NAMES: [&str; 12] = [
    "train/b/10.png",
    "train/b/9.png",
    "test/ä/1.png",
    "train/a-b/1.png",
    "train/a/2.png",
    "train/C/1.png",
    "train/a/1.png",
    "test/b/1.jpg",
    "test/C/x.png",
    "train/ä/1.png",
    "test/a-b/1.png",
    "test/a/1.png",
];

#[test]
fn an_archive_is_the_folder_that_was_packed() {
    let shelf = Shelf::new();
    let entries = images(&NAMES);
    let dir = shelf.0.path().join("photos");
    for (name, bytes) in &entries {
        fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        fs::write(dir.join(name), bytes).unwrap();
    }
    let expected = folder::open(&Tree::Disk(dir), "t", &catalog::Options::default()).unwrap();
    assert_eq!(expected.train.class_names, ["C", "a", "a-b", "b", "ä"]);
    assert_eq!((expected.train.shape().channels, expected.test.as_ref().unwrap().len()), (3, 5));

    let under =
        |folder: &str| -> Vec<Entry> { entries.iter().map(|(n, b)| (format!("{folder}{n}"), b.clone())).collect() };
    let notes = |name: &str| (name.to_owned(), b"notes".to_vec());
    let mut wrapped = under("photos/");
    wrapped.insert(0, ("photos/".to_owned(), Vec::new()));
    wrapped.extend(["README.txt", "photos/.DS_Store", "photos/train/a/._1.png", "__MACOSX/photos/._train"].map(notes));
    let mut dotted = under("./");
    dotted.insert(0, ("./".to_owned(), Vec::new()));
    let long = under(&format!("{}/", "long".repeat(30)));
    for (i, entries) in [&entries, &wrapped, &dotted, &long].into_iter().enumerate() {
        for (ending, bytes) in packed(entries) {
            let source = shelf.source(&format!("photos-{i}.{ending}"), &bytes).unwrap();
            assert_eq!(source, expected, "{i} {ending}");
            // Known by its bytes, under any name.
            assert_eq!(shelf.source(&i.to_string(), &bytes).unwrap(), expected, "{i} {ending} without an ending");
        }
    }
}

#[test]
fn the_catalog_and_items_take_archives() {
    let shelf = Shelf::new();
    let entries = images(&["pets/dog/1.png", "pets/cat/2.png", "pets/cat/1.png"]);
    for (ending, bytes) in packed(&entries) {
        let path = shelf.put(&format!("pets.{ending}"), &bytes);
        let name = path.to_str().unwrap();
        let data = catalog::open(name, Path::new("none"), &catalog::Options::default()).unwrap().train;
        assert_eq!((&data.name[..], &data.class_names.join(" ")[..]), ("pets", "cat dog"));
        assert_eq!((data.labels.as_deref(), data.groups.as_deref()), (Some(&[0, 0, 1][..]), None));
        let kind = ItemKind::of(&data);
        let items = Items::open(name, Path::new("none"), kind, None).unwrap();
        assert_eq!(items.labels, ["cat", "cat", "dog"].map(|class| Some(class.to_owned())));
        assert_eq!(items.names[1], path.join("pets/cat/2.png").display().to_string());
        assert_eq!((items.data.len(), items.data.shape()), (3, data.shape()));
    }
}

#[test]
fn folders_of_class_folders_are_groups() {
    let shelf = Shelf::new();
    let names = ["set/Latin/c01/1.png", "set/Greek/c02/1.png", "set/Greek/c01/2.png", "set/Greek/c01/1.png"];
    for (ending, bytes) in packed(&images(&names)) {
        let data = shelf.source(&format!("set.{ending}"), &bytes).unwrap().train;
        assert_eq!(data.class_names, ["Greek/c01", "Greek/c02", "Latin/c01"]);
        data.validate().unwrap();
        assert_eq!((data.labels, data.groups), (Some(vec![0, 0, 1, 2]), Some(vec![0, 0, 0, 1])));
    }
}

#[test]
fn the_one_folder_at_the_top_is_the_folder() {
    let shelf = Shelf::new();
    for (ending, bytes) in packed(&images(&["test/a/1.png", "test/b/1.png"])) {
        assert_eq!(shelf.source(&format!("test.{ending}"), &bytes).unwrap().train.class_names, ["a", "b"]);
    }
    for (ending, bytes) in packed(&images(&["loose/1.png", "loose/2.png"])) {
        assert_eq!(shelf.source(&format!("loose.{ending}"), &bytes).unwrap().train.labels, None);
    }
    let error = |names: &[&str]| shelf.source("t.zip", &zipped(&images(names))).unwrap_err().to_string();
    assert!(error(&["train/only/1.png"]).contains("t.zip/train has one class only, `only`"));
    assert!(error(&["a/1.png", "top.png"]).contains("t.zip holds the image `top.png` beside class folders"));
    assert!(error(&["a/1.png", "b/"]).contains("t.zip/b holds no images"));
    assert!(error(&[".hidden/1.png"]).contains("t.zip holds no images"));
    assert!(error(&[]).contains("t.zip holds no images"));
    let mut entries = images(&["a/1.png", "b/1.png"]);
    entries.push(("a/notes.txt".to_owned(), b"no image".to_vec()));
    for (ending, bytes) in packed(&entries) {
        let name = format!("notes.{ending}");
        let source = shelf.source(&name, &bytes).unwrap();
        assert_eq!(source.train.len(), 2);
        assert!(source.notes.iter().any(|note| note.ends_with("not named as images: 1 .txt")), "{:?}", source.notes);
    }
    entries.push(("a/0.png".to_owned(), b"no image".to_vec()));
    for (ending, bytes) in packed(&entries) {
        let name = format!("damaged.{ending}");
        let message = shelf.source(&name, &bytes).unwrap_err().to_string();
        assert!(message.contains("cannot decode") && message.contains(&format!("{name}/a/0.png")), "{message}");
    }
}

//! Items for an encoder that was trained before: whatever the catalog opens, and also single images, folders of one
//! class and tables without labels. Each item keeps a name that says where it came from.

use super::{
    DataError, Dataset, Inputs, Shape, Source, archive::Archive, catalog, cifar, csv, decode, folder, idx, tree::Tree,
};
use crate::matrix::Matrix;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// What an encoder takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum ItemKind {
    /// Images of one size.
    Images {
        /// 1 (grey) or 3 (red, green, blue).
        channels: usize,
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },
    /// Rows of numbers.
    Rows {
        /// Numbers in a row.
        columns: usize,
    },
}

impl ItemKind {
    /// The kind of the items of `data`.
    pub fn of(data: &Dataset) -> Self {
        let Shape { channels, height, width } = data.shape();
        match data.inputs {
            Inputs::Images { .. } => Self::Images { channels, height, width },
            Inputs::Rows(_) => Self::Rows { columns: channels },
        }
    }

    /// Sizes of an item; see [`Shape`] for rows.
    pub fn shape(self) -> Shape {
        match self {
            Self::Images { channels, height, width } => Shape { channels, height, width },
            Self::Rows { columns } => Shape { channels: columns, height: 1, width: 1 },
        }
    }
}

impl fmt::Display for ItemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Images { channels, height, width } => {
                let colour = if *channels == 1 { "grey" } else { "colour" };
                write!(f, "{colour} images of {height} x {width} pixels")
            }
            Self::Rows { columns } => write!(f, "rows of {columns} numbers"),
        }
    }
}

/// Items in the shape that an encoder takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Items {
    /// The items, without labels.
    pub data: Dataset,
    /// Where each came from: the path of an image file; `TABLE#ROW` with rows from 1; else `NAME/PART/INDEX` with
    /// indices from 0, without the part where there is one only.
    pub names: Vec<String>,
    /// Class of each item, where it is known.
    pub labels: Vec<Option<String>>,
    /// Images that had another size or other channels before.
    pub resized: usize,
    /// Files of a folder that were left out, as they are not named as images.
    pub left_out: usize,
}

impl Items {
    /// Opens what [`catalog::open`] opens, all parts one after the other, and also an image file, a folder of one class
    /// and a table without labels. Images take the size and the channels of `kind`.
    ///
    /// `label_column` names the label column of a CSV file. Without it, the last column holds labels, unless the table
    /// has just as many columns as `kind` asks for.
    ///
    /// # Errors
    /// Those of [`catalog::open`], and when images are wanted and rows found, rows wanted and images found, or rows have
    /// another width.
    pub fn open(
        name_or_path: &str,
        root: &Path,
        kind: ItemKind,
        label_column: Option<&str>,
    ) -> Result<Self, DataError> {
        let mut gathered = Gathered::new(name_or_path, kind);
        let path = Path::new(name_or_path);
        let ships = catalog::describe(name_or_path).is_some();
        catalog::refuse_column(name_or_path, "--label-column", label_column)?;
        if !ships && path.is_file() && folder::is_named_as_image(path) {
            gathered.files(&Tree::Disk(path.to_owned()), &[(path.to_owned(), None)])?;
        } else if !ships && path.is_dir() && !idx::is_here(path)? && !cifar::is_here(path) {
            gathered.folder(&Tree::Disk(path.to_owned()))?;
        } else if !ships
            && path.is_file()
            && let Some(archive) = Archive::open(path)?
        {
            gathered.folder(&Tree::Archive(archive))?;
        } else if !ships && path.is_file() {
            let ItemKind::Rows { columns } = kind else { return Err(gathered.unfit("a table of rows".to_owned())) };
            let table = csv::open_rows(path, name_or_path, label_column, columns)?;
            gathered.part(table, |i| format!("{name_or_path}#{}", i + 1))?;
        } else {
            let Source { train, validation, test, .. } =
                catalog::open(name_or_path, root, &catalog::Options::default())?;
            let parts = [("train", Some(train)), ("validation", validation), ("test", test)];
            let parts: Vec<(&str, Dataset)> =
                parts.into_iter().filter_map(|(name, part)| Some((name, part?))).collect();
            let divided = parts.len() > 1;
            for (name, part) in parts {
                let place = if divided { format!("{name_or_path}/{name}") } else { name_or_path.to_owned() };
                gathered.part(part, |i| format!("{place}/{i}"))?;
            }
        }
        gathered.finish()
    }
}

/// Items so far.
struct Gathered<'a> {
    name: &'a str,
    kind: ItemKind,
    pixels: Vec<u8>,
    values: Vec<f32>,
    names: Vec<String>,
    labels: Vec<Option<String>>,
    resized: usize,
    left_out: usize,
}

impl<'a> Gathered<'a> {
    fn new(name: &'a str, kind: ItemKind) -> Self {
        let (pixels, values, names, labels) = Default::default();
        Self { name, kind, pixels, values, names, labels, resized: 0, left_out: 0 }
    }

    fn unfit(&self, found: String) -> DataError {
        DataError::Unfit { name: self.name.to_owned(), expected: self.kind.to_string(), found }
    }

    /// Adds a folder of images.
    fn folder(&mut self, tree: &Tree) -> Result<(), DataError> {
        let (files, left_out) = folder::files(tree)?;
        self.left_out += left_out;
        self.files(tree, &files)
    }

    /// Adds image files, each with its class.
    fn files(&mut self, tree: &Tree, files: &[(PathBuf, Option<String>)]) -> Result<(), DataError> {
        let ItemKind::Images { .. } = self.kind else { return Err(self.unfit("images".to_owned())) };
        let to = self.kind.shape();
        let paths: Vec<&Path> = files.iter().map(|(path, _)| path.as_path()).collect();
        let decoded = tree.map(&paths, |path, bytes, resizer| decode::decode_as(path, bytes, to, resizer))?;
        for ((path, class), (image, changed)) in files.iter().zip(decoded) {
            self.pixels.extend(image.pixels);
            self.resized += usize::from(changed);
            self.names.push(path.display().to_string());
            self.labels.push(class.clone());
        }
        Ok(())
    }

    /// Adds the items of `part`, named by their indices.
    fn part(&mut self, part: Dataset, name: impl Fn(usize) -> String) -> Result<(), DataError> {
        let (found, items) = (ItemKind::of(&part), part.len());
        match (self.kind, found) {
            (ItemKind::Images { .. }, ItemKind::Images { .. }) => {
                self.resized += if found == self.kind { 0 } else { items };
                if let Inputs::Images { pixels, .. } = part.resized(self.kind.shape())?.inputs {
                    self.pixels.extend(pixels);
                }
            }
            _ if found != self.kind => return Err(self.unfit(found.to_string())),
            _ => self.values.extend(part.features().into_vec()),
        }
        self.names.extend((0..items).map(name));
        let class = |i: usize| part.labels.as_ref().map(|labels| part.class_names[labels[i]].clone());
        self.labels.extend((0..items).map(class));
        Ok(())
    }

    fn finish(self) -> Result<Items, DataError> {
        let inputs = match self.kind {
            ItemKind::Images { channels, height, width } => {
                Inputs::Images { pixels: self.pixels, channels, height, width }
            }
            ItemKind::Rows { columns } => Inputs::Rows(Matrix::new(self.values, self.names.len(), columns)?),
        };
        let name = self.name.to_owned();
        let data = Dataset { name, inputs, labels: None, class_names: Vec::new(), groups: None };
        Ok(Items { data, names: self.names, labels: self.labels, resized: self.resized, left_out: self.left_out })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const GREY: ItemKind = ItemKind::Images { channels: 1, height: 4, width: 6 };

    fn root() -> PathBuf {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets").into()
    }

    fn open(path: &Path, kind: ItemKind) -> Result<Items, DataError> {
        Items::open(path.to_str().unwrap(), &root(), kind, None)
    }

    fn save(path: PathBuf, width: u32, bright: u8) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::from_pixel(width, 4, image::Luma([bright])).save(&path).unwrap();
        path
    }

    #[test]
    fn a_single_image_and_folders_of_any_kind() {
        let dir = tempfile::tempdir().unwrap();
        let one = save(dir.path().join("loose/b.png"), 6, 20);
        let labelled = Items::open(one.to_str().unwrap(), &root(), GREY, Some("kind"));
        assert!(matches!(labelled, Err(DataError::NoColumns { option: "--label-column", .. })));
        let items = open(&one, GREY).unwrap();
        assert_eq!((items.names, items.labels, items.resized), (vec![one.display().to_string()], vec![None], 0));
        save(dir.path().join("loose/a.png"), 12, 10);
        let items = open(&dir.path().join("loose"), GREY).unwrap();
        let Inputs::Images { pixels, .. } = &items.data.inputs else { panic!("images") };
        assert_eq!((items.resized, &items.labels[..], pixels[0], pixels[24]), (1, &[None, None][..], 10, 20));
        assert_eq!(items.left_out, 0);
        fs::write(dir.path().join("loose/notes.txt"), "no image").unwrap();
        let noted = open(&dir.path().join("loose"), GREY).unwrap();
        assert_eq!((noted.left_out, noted.data), (1, items.data.clone()));
        assert!(items.names[0].ends_with("a.png") && items.data.labels.is_none());

        save(dir.path().join("one/cat/1.png"), 6, 1);
        let items = open(&dir.path().join("one"), GREY).unwrap();
        assert_eq!(items.labels, [Some("cat".to_owned())]);
        for part in ["train", "test"] {
            save(dir.path().join("parts").join(part).join("x/1.png"), 6, 1);
        }
        let items = open(&dir.path().join("parts"), GREY).unwrap();
        assert_eq!(items.labels, [Some("x".to_owned()), Some("x".to_owned())]);
        assert!(items.names[0].contains("train") && items.names[1].contains("test"));

        let colour = ItemKind::Images { channels: 3, height: 2, width: 2 };
        let items = open(&one, colour).unwrap();
        assert_eq!((ItemKind::of(&items.data), items.resized), (colour, 1));
        items.data.validate().unwrap();
    }

    #[test]
    fn data_that_ship_keep_their_parts() {
        let digits = ItemKind::Images { channels: 1, height: 8, width: 8 };
        let items = Items::open("digits", &root(), digits, None).unwrap();
        assert_eq!((items.data.len(), items.resized, &items.names[17][..]), (1_797, 0, "digits/17"));
        assert_eq!(items.labels[0].as_deref(), Some("0"));
        let items = Items::open("fashion_mnist", &root(), digits, None).unwrap();
        assert_eq!((items.data.len(), items.resized), (70_000, 70_000));
        assert_eq!(
            (&items.names[60_000][..], items.labels[60_000].as_deref()),
            ("fashion_mnist/test/0", Some("Ankle boot"))
        );
    }

    #[test]
    fn tables_with_and_without_labels() {
        let rows = ItemKind::Rows { columns: 4 };
        assert_eq!(Items::open("iris", &root(), rows, None).unwrap().labels[149].as_deref(), Some("virginica"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        fs::write(&path, "a,b\n1,2\n3,4\n").unwrap();
        let items = open(&path, ItemKind::Rows { columns: 2 }).unwrap();
        assert_eq!(
            (items.data.features().as_slice(), &items.labels[..]),
            (&[1.0, 2.0, 3.0, 4.0][..], &[None, None][..])
        );
        assert!(items.names[1].ends_with("t.csv#2"), "{}", items.names[1]);
    }

    #[test]
    fn what_does_not_fit_says_expected_and_found() {
        let dir = tempfile::tempdir().unwrap();
        let image = save(dir.path().join("a.png"), 6, 0);
        let error = |name: &str, kind| Items::open(name, &root(), kind, None).unwrap_err().to_string();
        let rows = ItemKind::Rows { columns: 3 };
        assert!(error("iris", rows).contains("holds rows of 4 numbers, but the encoder takes rows of 3 numbers"));
        assert!(error("iris", GREY).contains("takes grey images of 4 x 6 pixels"));
        assert!(error("digits", rows).contains("holds grey images of 8 x 8 pixels"));
        assert!(error(image.to_str().unwrap(), rows).contains("holds images, but the encoder takes rows"));
        let table = dir.path().join("t.csv");
        fs::write(&table, "a,b,y\n1,2,x\n").unwrap();
        assert!(error(table.to_str().unwrap(), rows).contains("`x` is not a finite number"));
        assert!(error(table.to_str().unwrap(), ItemKind::Rows { columns: 5 }).contains("rows of 2 numbers"));
        assert!(error(table.to_str().unwrap(), GREY).contains("a table of rows"));
        assert!(error("fashion_mnits", GREY).contains("did you mean"));
    }
}

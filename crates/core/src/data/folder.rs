//! Image folders, on disk or in an archive: a class a folder, or folders `train`, `val`, `test` of such.

use super::{
    DataError, Dataset, Inputs, Shape, Source,
    catalog::Options,
    decode::{self, Decoded},
    notes, resize,
    tree::Tree,
};
use fast_image_resize::Resizer;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// File name endings, in lower case, that tell images from other files beside folders.
pub const IMAGE_EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "pgm", "ppm", "pbm", "pnm"];

/// The same of pictures that cannot be decoded: as part of the data they are named with the others that cannot be,
/// where files with other endings are left out.
const UNREAD_EXTENSIONS: [&str; 9] = ["webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif", "jxl"];

/// Longest side of the common size when none is asked for: more would fill memory and time without helping the small
/// encoders that are the default. 10,000 colour images of 64 x 64 take 123 MB.
const LARGEST_SIDE: usize = 64;

const TRAIN: &[&str] = &["train"];
const VALIDATION: &[&str] = &["val", "valid", "validation"];
const TEST: &[&str] = &["test"];

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

fn ends_with_one_of(endings: &[&str], path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    ending.is_some_and(|e| endings.contains(&e.as_str()))
}

pub(super) fn is_named_as_image(path: &Path) -> bool {
    ends_with_one_of(&IMAGE_EXTENSIONS, path)
}

/// Pictures, and files that are none by their names.
fn pictures(files: Vec<PathBuf>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    files.into_iter().partition(|file| is_named_as_image(file) || ends_with_one_of(&UNREAD_EXTENSIONS, file))
}

/// No image may lie beside class folders: its class would be unclear.
fn check_not_mixed(dir: &Path, files: &[PathBuf]) -> Result<(), DataError> {
    match files.iter().find(|file| is_named_as_image(file)) {
        Some(image) => Err(DataError::Mixed { path: dir.to_owned(), image: file_name(image) }),
        None => Ok(()),
    }
}

/// The folders of the parts; if the folder is not divided, it is the training part itself.
struct Parts {
    train: PathBuf,
    validation: Option<PathBuf>,
    test: Option<PathBuf>,
}

impl Parts {
    fn find(tree: &Tree) -> Result<Self, DataError> {
        let dir = tree.root();
        let (folders, files) = tree.folders_and_files(&dir)?;
        let is_part =
            |p: &PathBuf| [TRAIN, VALIDATION, TEST].iter().any(|names| names.contains(&file_name(p).as_str()));
        let undivided = || Self { train: dir.clone(), validation: None, test: None };
        let Some(first) = folders.iter().find(|p| is_part(p)) else { return Ok(undivided()) };
        if let Some(stray) = folders.iter().find(|p| !is_part(p)) {
            // A class may be called `train`; but a folder of folders is a part.
            if tree.folders_and_files(first)?.0.is_empty() {
                return Ok(undivided());
            }
            let (part, stray) = (file_name(first), file_name(stray));
            return Err(DataError::StrayFolder { path: dir, part, stray });
        }
        check_not_mixed(&dir, &files)?;
        let part = |names: &[&str]| -> Result<Option<PathBuf>, DataError> {
            let mut found = folders.iter().filter(|p| names.contains(&file_name(p).as_str()));
            match (found.next(), found.next()) {
                (Some(a), Some(b)) => Err(DataError::Inconsistent {
                    name: dir.display().to_string(),
                    problem: format!("{} and {} are the same part; keep one", a.display(), b.display()),
                }),
                (found, _) => Ok(found.cloned()),
            }
        };
        let no_train = || DataError::NoTrain { path: dir.clone(), part: file_name(first) };
        Ok(Self { train: part(TRAIN)?.ok_or_else(no_train)?, validation: part(VALIDATION)?, test: part(TEST)? })
    }
}

/// The files of one part with their classes.
struct Listing {
    files: Vec<PathBuf>,
    labels: Option<Vec<usize>>,
    class_names: Vec<String>,
    /// Files beside them that are not named as images.
    left_out: Vec<PathBuf>,
}

impl Listing {
    fn new(tree: &Tree, dir: &Path) -> Result<Self, DataError> {
        let (folders, files) = tree.folders_and_files(dir)?;
        if folders.is_empty() {
            let (files, left_out) = pictures(files);
            if files.is_empty() {
                return Err(DataError::NoImages { path: dir.to_owned() });
            }
            return Ok(Self { files, labels: None, class_names: Vec::new(), left_out });
        }
        check_not_mixed(dir, &files)?;
        let mut listing =
            Self { files: Vec::new(), labels: Some(Vec::new()), class_names: Vec::new(), left_out: Vec::new() };
        for folder in folders {
            listing.add_classes(tree, &folder, &file_name(&folder))?;
        }
        Ok(listing)
    }

    /// Adds the class `class` that `dir` holds the images of, or the classes of the folders in it.
    fn add_classes(&mut self, tree: &Tree, dir: &Path, class: &str) -> Result<(), DataError> {
        let (folders, files) = tree.folders_and_files(dir)?;
        if folders.is_empty() {
            let (files, left_out) = pictures(files);
            if files.is_empty() {
                return Err(DataError::EmptyClass { path: dir.to_owned() });
            }
            let label = self.class_names.len();
            self.labels.get_or_insert_default().extend(std::iter::repeat_n(label, files.len()));
            self.class_names.push(class.to_owned());
            self.files.extend(files);
            self.left_out.extend(left_out);
            return Ok(());
        }
        check_not_mixed(dir, &files)?;
        let name = |folder: &Path| format!("{class}/{}", file_name(folder));
        folders.iter().try_for_each(|folder| self.add_classes(tree, folder, &name(folder)))
    }

    /// Group of each file: the folder that its class folder lies in. None where all lie in one.
    fn groups(&self) -> Option<Vec<usize>> {
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut groups = Vec::with_capacity(self.class_names.len());
        for class in &self.class_names {
            let above = class.rsplit_once('/').map_or("", |(above, _)| above);
            let next = numbers.len();
            groups.push(*numbers.entry(above).or_insert(next));
        }
        let of_files = self.labels.as_ref()?.iter().map(|&label| groups[label]).collect();
        (numbers.len() > 1).then_some(of_files)
    }

    /// An error if both parts have classes, but not the same.
    fn check_classes(&self, dir: &Path, train: &Self) -> Result<(), DataError> {
        let lacking = |here: &Self, there: &Self| -> Vec<String> {
            here.class_names.iter().filter(|name| !there.class_names.contains(name)).cloned().collect()
        };
        let (only_here, only_train) = (lacking(self, train), lacking(train, self));
        let labelled = self.labels.is_some() && train.labels.is_some();
        if labelled && !(only_here.is_empty() && only_train.is_empty()) {
            return Err(DataError::ClassesDiffer { path: dir.to_owned(), only_here, only_train });
        }
        Ok(())
    }
}

/// Reads a folder of images.
///
/// A class is a folder that holds images, named by its path below the folder of its part; files that are not named as
/// images are left out. Classes that lie in different folders of the part (alphabets of characters, say) have these as their groups.
/// With folders `train` and, perhaps, `val` (or `valid`, `validation`) and `test` and no others, these are the parts.
/// Images directly in the folder of a part make an unlabelled set. All images get one shape: the one asked for, or that
/// of the first training image, scaled so that its longer side is the one asked for, else at most 64, with 1 channel if all
/// are grey, else 3. The source's notes say what was left out and scaled.
pub(super) fn open(tree: &Tree, name: &str, options: &Options) -> Result<Source, DataError> {
    let Options { shape, side, .. } = *options;
    let parts = Parts::find(tree)?;
    let train = Listing::new(tree, &parts.train)?;
    if let [class] = train.class_names.as_slice() {
        return Err(DataError::OneClass { path: parts.train, class: class.clone() });
    }
    let other = |dir: Option<&PathBuf>| -> Result<Option<Listing>, DataError> {
        let Some(dir) = dir else { return Ok(None) };
        let listing = Listing::new(tree, dir)?;
        listing.check_classes(dir, &train)?;
        Ok(Some(listing))
    };
    let (validation, test) = (other(parts.validation.as_ref())?, other(parts.test.as_ref())?);
    let first = &train.files[0];
    let own = match shape {
        Some(shape) => Ok((shape.height, shape.width)),
        None => decode::size(first, &tree.read(first)?),
    };
    let size = match (&own, shape) {
        (Ok(asked), Some(_)) => *asked,
        (Ok(own), None) => {
            let side = side.unwrap_or(own.0.max(own.1).min(LARGEST_SIDE));
            resize::with_longer_side(*own, side)
                .map_err(|reason| DataError::Resize { name: name.to_owned(), reason })?
        }
        // It is no image: to decode it fails too, and names all files that are none.
        (Err(_), _) => (1, 1),
    };
    let listings = [Some(&train), validation.as_ref(), test.as_ref()];
    let files: Vec<&Path> =
        listings.iter().flatten().flat_map(|listing| &listing.files).map(PathBuf::as_path).collect();
    let decoded = tree.map(&files, |path, bytes, resizer| decode::decode(path, bytes, size, resizer))?;
    own?;
    let left_out: Vec<&Path> =
        listings.iter().flatten().flat_map(|listing| &listing.left_out).map(PathBuf::as_path).collect();
    let asked = shape.is_some() || side.is_some();
    let scaled = notes::scaled(decoded.iter().map(|image| image.stored), size, asked);
    let notes = scaled.into_iter().chain(notes::left_out(&left_out)).collect();
    let most = decoded.iter().map(|image| image.shape.channels).max().unwrap_or(1);
    let shape = Shape { channels: shape.map_or(most, |s| s.channels), height: size.0, width: size.1 };
    let mut decoded = decoded.into_iter();
    let mut assemble = |listing: Listing| assemble(listing, name, shape, &mut decoded);
    Ok(Source {
        train: assemble(train)?,
        validation: validation.map(&mut assemble).transpose()?,
        test: test.map(&mut assemble).transpose()?,
        notes,
    })
}

/// An image file with its class, where it has one.
type Classed = (PathBuf, Option<String>);

/// Every image of a folder in the order of [`open`], part after part, and how many files beside them were left out. One
/// class will do.
pub(super) fn files(tree: &Tree) -> Result<(Vec<Classed>, usize), DataError> {
    let parts = Parts::find(tree)?;
    let (mut files, mut passed_over) = (Vec::new(), 0);
    for part in [Some(parts.train), parts.validation, parts.test].into_iter().flatten() {
        let Listing { files: found, labels, class_names, left_out } = Listing::new(tree, &part)?;
        passed_over += left_out.len();
        let class = |i: usize| labels.as_ref().map(|labels| class_names[labels[i]].clone());
        files.extend(found.into_iter().enumerate().map(|(i, file)| (file, class(i))));
    }
    Ok((files, passed_over))
}

fn assemble(
    listing: Listing,
    name: &str,
    shape: Shape,
    decoded: &mut impl Iterator<Item = Decoded>,
) -> Result<Dataset, DataError> {
    let mut resizer = Resizer::new();
    let mut pixels = Vec::with_capacity(listing.files.len() * shape.size());
    for image in decoded.take(listing.files.len()) {
        let image = image.resized(shape, &mut resizer);
        pixels.extend(image.map_err(|reason| DataError::Resize { name: name.to_owned(), reason })?.pixels);
    }
    let groups = listing.groups();
    Ok(Dataset {
        name: name.to_owned(),
        inputs: Inputs::Images { pixels, channels: shape.channels, height: shape.height, width: shape.width },
        labels: listing.labels,
        class_names: listing.class_names,
        groups,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn open(dir: &Path, name: &str, shape: Option<Shape>) -> Result<Source, DataError> {
        super::open(&Tree::Disk(dir.to_owned()), name, &Options { shape, ..Options::default() })
    }

    fn save(dir: &Path, name: &str, (width, height): (u32, u32), colour: bool) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if colour {
            image::RgbImage::from_pixel(width, height, image::Rgb([10, 20, 30])).save(path).unwrap();
        } else {
            image::GrayImage::from_pixel(width, height, image::Luma([40])).save(path).unwrap();
        }
    }

    fn error(dir: &Path) -> String {
        open(dir, "t", None).unwrap_err().to_string()
    }

    #[test]
    fn classes_sizes_and_colours_are_brought_together() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), "b/2.png", (9, 9), false);
        save(dir.path(), "a/1.png", (6, 4), true);
        save(dir.path(), "a/3.pgm", (5, 5), false);
        fs::write(dir.path().join("a/.hidden.png"), "x").unwrap();
        fs::write(dir.path().join("README.txt"), "notes beside class folders").unwrap();
        let data = open(dir.path(), "t", None).unwrap().train;
        assert_eq!(data.class_names, ["a", "b"]);
        assert_eq!(data.labels.as_deref(), Some(&[0, 0, 1][..]));
        assert_eq!(data.shape(), Shape { channels: 3, height: 4, width: 6 });
        let Inputs::Images { pixels, .. } = &data.inputs else { panic!("images") };
        assert_eq!((pixels[0], pixels[24], pixels[48], pixels[72], pixels[3 * 72 - 1]), (10, 20, 30, 40, 40));
        data.validate().unwrap();

        let asked = Shape { channels: 1, height: 3, width: 2 };
        let data = open(dir.path(), "t", Some(asked)).unwrap().train;
        assert_eq!(data.shape(), asked);
        // 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
        assert_eq!(data.features().row(0), [18.0 / 255.0; 6]);
        let error = open(dir.path(), "t", Some(Shape { channels: 1, height: 0, width: 2 })).unwrap_err().to_string();
        assert!(error.contains("no size"), "{error}");
    }

    #[test]
    fn large_images_are_capped() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), "a/1.png", (128, 32), false);
        save(dir.path(), "b/1.png", (8, 8), false);
        assert_eq!(open(dir.path(), "t", None).unwrap().train.shape(), Shape { channels: 1, height: 16, width: 64 });
        let asked = |side| super::open(&Tree::Disk(dir.path().into()), "t", &Options { side, ..Options::default() });
        let shape = |side| asked(Some(side)).unwrap().train.shape();
        assert_eq!(shape(100), Shape { channels: 1, height: 25, width: 100 });
        assert_eq!(shape(2), Shape { channels: 1, height: 1, width: 2 });
        assert!(asked(Some(0)).unwrap_err().to_string().contains("1 to 8192"));
    }

    #[test]
    fn a_class_is_a_folder_that_holds_images_however_deep() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["greek/alpha/1.png", "greek/beta/1.png", "greek/beta/2.png", "latin/1.png"] {
            save(dir.path(), name, (4, 4), false);
        }
        let data = open(dir.path(), "t", None).unwrap().train;
        assert_eq!(data.class_names, ["greek/alpha", "greek/beta", "latin"]);
        assert_eq!(data.class_counts().unwrap(), [1, 2, 1]);
        // The folder that a class folder lies in is its super class: `greek`, and the data's own for `latin`.
        assert_eq!(data.groups.as_deref(), Some(&[0, 0, 0, 1][..]));
        fs::remove_dir_all(dir.path().join("latin")).unwrap();
        assert_eq!(open(dir.path(), "t", None).unwrap().train.groups, None);
        save(dir.path(), "greek/3.png", (4, 4), false);
        assert!(error(dir.path()).contains("holds the image `3.png` beside class folders"));
    }

    #[test]
    fn parts_share_shape_and_classes() {
        let dir = tempfile::tempdir().unwrap();
        for part in ["train", "val", "test"] {
            save(&dir.path().join(part), "x/1.png", (8, 8), false);
            save(&dir.path().join(part), "y/1.jpg", (8, 6), part == "test");
        }
        let source = open(dir.path(), "t", None).unwrap();
        let (validation, test) = (source.validation.unwrap(), source.test.unwrap());
        // One colour image in any part makes every part colour.
        for part in [&source.train, &validation, &test] {
            assert_eq!(part.shape(), Shape { channels: 3, height: 8, width: 8 });
            assert_eq!(part.labels, Some(vec![0, 1]));
            part.validate().unwrap();
        }
        save(&dir.path().join("test"), "z/1.png", (8, 8), false);
        assert!(error(dir.path()).contains("only here [\"z\"], only in training []"));
        fs::remove_dir_all(dir.path().join("test/z")).unwrap();
        fs::remove_dir_all(dir.path().join("test/x")).unwrap();
        assert!(error(dir.path()).contains("only here [], only in training [\"x\"]"));
    }

    #[test]
    fn unclear_parts_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["test/x/1.png", "test/y/1.png"] {
            save(dir.path(), name, (4, 4), false);
        }
        assert!(error(dir.path()).contains("no `train`"));
        for name in ["train/x/1.png", "train/y/1.png", "val/x/1.png", "val/y/1.png", "valid/x/1.png"] {
            save(dir.path(), name, (4, 4), false);
        }
        assert!(error(dir.path()).contains("are the same part; keep one"));
        fs::remove_dir_all(dir.path().join("valid")).unwrap();
        assert!(open(dir.path(), "t", None).is_ok());
        save(dir.path(), "extra/1.png", (4, 4), false);
        assert!(error(dir.path()).contains("and also `extra`, which is no part"));
    }

    #[test]
    fn classes_may_be_called_like_parts() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["bus/1.png", "car/1.png", "train/1.png"] {
            save(dir.path(), name, (4, 4), false);
        }
        assert_eq!(open(dir.path(), "t", None).unwrap().train.class_names, ["bus", "car", "train"]);
    }

    #[test]
    fn trouble_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(error(dir.path()).contains("holds no images"));
        save(dir.path(), "only/1.png", (8, 8), false);
        assert!(error(dir.path()).contains("one class only, `only`"));
        fs::create_dir(dir.path().join("empty")).unwrap();
        assert!(error(dir.path()).contains("empty holds no images"));
        save(dir.path(), "empty/1.png", (8, 8), false);
        fs::write(dir.path().join("empty/2.png"), "no image").unwrap();
        fs::write(dir.path().join("only/notes.txt"), "no image either").unwrap();
        let message = error(dir.path());
        assert!(message.contains("2.png") && message.contains("cannot decode the image"), "{message}");
        fs::remove_file(dir.path().join("empty/2.png")).unwrap();
        let notes = open(dir.path(), "t", None).unwrap().notes;
        assert_eq!(notes, ["files left out, as they are not named as images: 1 .txt"]);
        fs::create_dir(dir.path().join("words")).unwrap();
        fs::rename(dir.path().join("only/notes.txt"), dir.path().join("words/notes.txt")).unwrap();
        assert!(error(dir.path()).contains("words holds no images"));
        assert!(error(&dir.path().join("nowhere")).contains("cannot read"));
    }

    #[test]
    fn all_files_that_cannot_be_decoded_are_named_at_once() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), "a/good.png", (8, 8), false);
        save(dir.path(), "b/good.png", (8, 8), false);
        // The first image of all is among them, and a format that is not read.
        for name in ["a/0.png", "a/9.webp", "b/1.jpg"] {
            fs::write(dir.path().join(name), "no image").unwrap();
        }
        let message = error(dir.path());
        assert!(message.contains("cannot decode 3 images"), "{message}");
        assert!(["0.png", "9.webp", "1.jpg"].iter().all(|name| message.contains(name)), "{message}");
        for i in 10..20 {
            fs::write(dir.path().join(format!("b/{i}.png")), "no image").unwrap();
        }
        let message = error(dir.path());
        assert!(message.contains("cannot decode 13 images") && message.contains("and 3 more"), "{message}");
        assert!(message.contains("16.png") && !message.contains("17.png"), "{message}");
    }

    #[test]
    fn scaling_and_distortion_are_noted() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), "a/1.png", (120, 90), false);
        save(dir.path(), "a/2.png", (90, 120), false);
        save(dir.path(), "b/1.png", (64, 48), false);
        let source = open(dir.path(), "t", None).unwrap();
        assert_eq!(source.train.shape(), Shape { channels: 1, height: 48, width: 64 });
        let note = "2 of 3 images were scaled to 64x48 pixels (width x height) from 2 sizes, the largest 90x120; 1 had \
                    another ratio of the sides and is distorted; --image-size asks for another size";
        assert_eq!(source.notes, [note]);
    }

    #[test]
    fn images_without_folders_have_no_labels() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), "1.png", (8, 8), false);
        let data = open(dir.path(), "t", None).unwrap().train;
        assert!(data.labels.is_none());
        assert!(data.labels_for("triplet").unwrap_err().to_string().contains("triplet"));
    }
}

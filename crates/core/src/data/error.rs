use super::ArchiveError;
use crate::matrix::MatrixShapeError;
use std::{io, path::PathBuf};
use thiserror::Error;

/// Why data cannot be read or used: what, where, and the way out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// Neither the name of a data set that ships nor a path.
    #[error(
        "no data set or path `{name}`{hint}; known names: {known}, or give the path of a folder, of a zip or \
         tar of one, or of a CSV file"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest name as a question, or nothing.
        hint: String,
        /// All names.
        known: String,
    },
    /// The system refused to read.
    #[error("cannot read {path}: {source}; check the path and its permissions")]
    Read {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that belongs to the data is not there.
    #[error("{path} is missing: put the file back (datasets/README.md names the source of what ships)")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is not the one that ships.
    #[error(
        "{path} was altered: its SHA-256 is {got}, expected {expected}; restore the file (datasets/README.md names its \
         source)"
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// SHA-256 of the file that ships.
        expected: &'static str,
        /// SHA-256 of the file that is there.
        got: String,
    },
    /// The gzip stream ends early or fails its own checksum.
    #[error("{path} is damaged or cut short, its gzip stream says: {reason}; fetch the file again")]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What is wrong with the stream.
        reason: String,
    },
    /// The file does not begin as an IDX file of that kind must.
    #[error("{path} is not an IDX file of {what}: it begins with {got:#010x}, expected {expected:#010x}")]
    Magic {
        /// The file.
        path: PathBuf,
        /// Images or labels.
        what: &'static str,
        /// The first four bytes that such a file has.
        expected: u32,
        /// The first four bytes of this file, zeros for bytes that are not there.
        got: u32,
    },
    /// The file does not have the length that its header or its record size demands.
    #[error("{path} is {problem}: its header or record size asks for {promised} bytes, it holds {got}; fetch it again")]
    Length {
        /// The file.
        path: PathBuf,
        /// Cut short or too long.
        problem: &'static str,
        /// Bytes, unpacked, that it should have.
        promised: u64,
        /// Bytes, unpacked, that it has.
        got: u64,
    },
    /// Images and labels are not equally many.
    #[error("{images} images in {path} but {labels} labels beside them: the files do not belong together")]
    Counts {
        /// The file of images.
        path: PathBuf,
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label has no class.
    #[error("{path} has label {label}, but there are only {classes} classes, counted from 0; fetch the file again")]
    Label {
        /// The file of labels.
        path: PathBuf,
        /// The label.
        label: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A file of class names has too few or too many.
    #[error("{path} names {got} classes, expected {expected}: one name a line; mend it, or remove it to use numbers")]
    ClassNames {
        /// The file of names.
        path: PathBuf,
        /// Classes that the data have.
        expected: usize,
        /// Names in the file.
        got: usize,
    },
    /// A file is no image that can be decoded.
    #[error("cannot decode the image {path}: {reason}; save it again as PNG, JPEG, PBM, PGM or PPM, or remove it")]
    Image {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Several files are no images that can be decoded.
    #[error("cannot decode {count} images:{list}\nsave them again as PNG, JPEG, PBM, PGM or PPM, or remove them")]
    Images {
        /// How many.
        count: usize,
        /// The first of them, each in a line of its own with the reason.
        list: String,
    },
    /// A folder holds nothing to read.
    #[error("{path} holds no images (PNG, JPEG, PBM, PGM, PPM) and no class folders with images")]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
    /// A folder holds images and folders, so that the class of the images is unclear.
    #[error("{path} holds the image `{image}` beside class folders: move every image into the folder of its class")]
    Mixed {
        /// The folder.
        path: PathBuf,
        /// The first such image.
        image: String,
    },
    /// A folder is neither a part nor inside one.
    #[error("{path} holds the part `{part}` and also `{stray}`, which is no part: allowed are train, val and test")]
    StrayFolder {
        /// The folder.
        path: PathBuf,
        /// A part that it holds.
        part: String,
        /// The folder that does not belong.
        stray: String,
    },
    /// A set in parts has no part to train on.
    #[error("{path} holds the part `{part}` but no `train`: add it, or give the path of `{part}` itself")]
    NoTrain {
        /// The folder.
        path: PathBuf,
        /// A part that it holds.
        part: String,
    },
    /// There is nothing to tell apart.
    #[error("{path} has one class only, `{class}`: comparing needs at least two classes")]
    OneClass {
        /// Folder or file.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// A class has no items.
    #[error("the class folder {path} holds no images: fill it or remove it")]
    EmptyClass {
        /// The folder.
        path: PathBuf,
    },
    /// A part has other classes than the training part.
    #[error(
        "{path} and the training part differ in classes: only here {only_here:?}, only in training {only_train:?}; \
         give both the same classes (those that are never trained on are chosen by --unseen-classes)"
    )]
    ClassesDiffer {
        /// The folder of the part.
        path: PathBuf,
        /// Classes that the training part lacks.
        only_here: Vec<String>,
        /// Classes that this part lacks.
        only_train: Vec<String>,
    },
    /// A table lacks a column that was asked for.
    #[error("{path} has no column `{column}`; its columns are: {columns}")]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// All columns.
        columns: String,
    },
    /// Two columns of a table have the same name.
    #[error("{path} has two columns `{column}`: rename one in the header")]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
    },
    /// A table has labels and nothing else.
    #[error("{path} has no column of numbers beside `{column}`: nothing to learn from")]
    NoFeatures {
        /// The file.
        path: PathBuf,
        /// The label column.
        column: String,
    },
    /// A cell is no number.
    #[error("{path}, line {line}, column `{column}`: `{value}` is {problem}")]
    Number {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1, the header included.
        line: u64,
        /// Name of the column.
        column: String,
        /// The cell.
        value: String,
        /// What it is instead, and what to do.
        problem: String,
    },
    /// A cell of labels or groups is no class.
    #[error("{path}, line {line}, column `{column}`: `{value}` is no class, {reason}")]
    Class {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1, the header included.
        line: u64,
        /// Name of the column.
        column: String,
        /// The cell.
        value: String,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// A row is longer or shorter than the header.
    #[error("{path}, line {line}: {got} cells under {expected} columns; mend the row")]
    Ragged {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1, the header included.
        line: u64,
        /// Columns of the header.
        expected: usize,
        /// Cells of the row.
        got: usize,
    },
    /// The table is not text of the right form.
    #[error("{path} is not valid CSV: {reason}; save it again as CSV in UTF-8")]
    Csv {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The file is no text at all.
    #[error("{path} is {what}, not a CSV file: {way_out}")]
    NoTable {
        /// The file.
        path: PathBuf,
        /// What its first bytes say.
        what: &'static str,
        /// What to do.
        way_out: &'static str,
    },
    /// The first row of a table holds values.
    #[error(
        "{path} begins with the values {first}, where the names of the columns belong: put a line of names before them, \
         and let no name be a bare number"
    )]
    NoHeader {
        /// The file.
        path: PathBuf,
        /// The first cells.
        first: String,
    },
    /// A table has a header and nothing else.
    #[error("{path} holds no rows")]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// A column was asked for of data that are no table of one's own.
    #[error("`{name}` is no CSV file and has no column `{column}`: leave {option} out")]
    NoColumns {
        /// Path or name of the data.
        name: String,
        /// The column.
        column: String,
        /// The option that named it.
        option: &'static str,
    },
    /// Labels are needed and there are none.
    #[error("the data set `{name}` has no labels, but {needed_by} needs them: give class folders or a label column")]
    NoLabels {
        /// The data set.
        name: String,
        /// What needs them.
        needed_by: String,
    },
    /// Groups are needed and there are none.
    #[error(
        "the data set `{name}` has no groups (cameras, sessions, super classes), but the sampling `{needed_by}` needs \
         them: name the column of a CSV file that holds them (--group-column), lay class folders into folders of their \
         super classes, or take another sampling"
    )]
    NoGroups {
        /// The data set.
        name: String,
        /// The sampling.
        needed_by: &'static str,
    },
    /// There is no class of that name.
    #[error("`{name}` has no class `{class}`{hint}; its classes are: {classes}")]
    NoClass {
        /// The data set.
        name: String,
        /// The class asked for.
        class: String,
        /// The nearest name as a question, or nothing.
        hint: String,
        /// All classes.
        classes: String,
    },
    /// A class was asked for twice.
    #[error("class `{class}` is chosen twice: name each class once")]
    RepeatedClass {
        /// The class.
        class: String,
    },
    /// Too few classes to train on.
    #[error("{left} of {classes} classes would be left for training: keep at least 2 (--unseen-classes)")]
    TooFewSeen {
        /// Classes left.
        left: usize,
        /// Classes in all.
        classes: usize,
    },
    /// One batch would need more items than there are.
    #[error("a batch of {batch} is larger than the {images} images to train on: lower --batch or give more images")]
    BatchTooLarge {
        /// Items of a batch.
        batch: usize,
        /// Items of the data.
        images: usize,
    },
    /// One batch would need more classes than there are.
    #[error("a batch needs {needed} classes, the data have {classes}: lower the classes or raise the images of each")]
    TooFewClasses {
        /// Classes of a batch.
        needed: usize,
        /// Classes of the data.
        classes: usize,
    },
    /// A setting is out of its range.
    #[error("{what} must be {range}, got {value}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What it may be.
        range: &'static str,
        /// What it is.
        value: f64,
    },
    /// The parts of a data set do not fit each other.
    #[error("the data set `{name}` is inconsistent: {problem}")]
    Inconsistent {
        /// The data set.
        name: String,
        /// What does not fit, and where.
        problem: String,
    },
    /// Rows were to be treated as images.
    #[error("rows cannot be resized to images: `{name}` holds feature rows")]
    RowsNotImages {
        /// The data set.
        name: String,
    },
    /// Items of another kind or size than an encoder was trained on.
    #[error("`{name}` holds {found}, but the encoder takes {expected}: give data like those that it was trained on")]
    Unfit {
        /// Path or name of the data.
        name: String,
        /// What the encoder takes.
        expected: String,
        /// What the data are.
        found: String,
    },
    /// Images cannot take the shape asked for.
    #[error("cannot resize the images of `{name}`: {reason}")]
    Resize {
        /// The data set.
        name: String,
        /// Why not.
        reason: String,
    },
    /// An archive cannot be read as a folder.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Values and shape of a matrix do not fit.
    #[error(transparent)]
    Shape(#[from] MatrixShapeError),
}

/// Most files that one error names.
const LISTED: usize = 10;

impl DataError {
    /// Several files that cannot be decoded, each with the reason.
    pub(super) fn images(damaged: &[(PathBuf, String)]) -> Self {
        let line = |(path, reason): &(PathBuf, String)| format!("\n  {}: {reason}", path.display());
        let mut list: String = damaged.iter().take(LISTED).map(line).collect();
        if damaged.len() > LISTED {
            list += &format!("\n  and {} more", damaged.len() - LISTED);
        }
        Self::Images { count: damaged.len(), list }
    }
}

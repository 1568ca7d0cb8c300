//! Items, their classes and their groups.

use super::{DataError, resize};
use crate::{backend::did_you_mean, matrix::Matrix};
use std::fmt;

/// Sizes of one item. Rows of `d` numbers are `d` channels of 1x1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels, or features of a row.
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

impl Shape {
    /// Numbers in one item.
    pub fn size(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// What the items are.
#[derive(Clone, PartialEq)]
pub enum Inputs {
    /// 8-bit images `[n, c, h, w]`.
    Images {
        /// Values, image after image.
        pixels: Vec<u8>,
        /// Channels: 1 (grey) or 3 (red, green, blue).
        channels: usize,
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },
    /// Feature rows `[n, d]`.
    Rows(Matrix),
}

impl Inputs {
    fn shape(&self) -> Shape {
        match self {
            Self::Images { channels, height, width, .. } => {
                Shape { channels: *channels, height: *height, width: *width }
            }
            Self::Rows(rows) => Shape { channels: rows.cols(), height: 1, width: 1 },
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Images { pixels, .. } => pixels.len().checked_div(self.shape().size()).unwrap_or(0),
            Self::Rows(rows) => rows.rows(),
        }
    }
}

/// Sizes only: nobody reads the pixels of 60,000 images.
impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { channels, height, width } = self.shape();
        match self {
            Self::Images { .. } => write!(f, "Images[{}, {channels}, {height}, {width}]", self.len()),
            Self::Rows(_) => write!(f, "Rows[{}, {channels}]", self.len()),
        }
    }
}

/// Items with, perhaps, their classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// A name for reports.
    pub name: String,
    /// The items.
    pub inputs: Inputs,
    /// Class of each item, an index into `class_names`.
    pub labels: Option<Vec<usize>>,
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// Camera, session, super class or the like of each item, numbered from 0.
    pub groups: Option<Vec<usize>>,
}

impl Dataset {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sizes of an item.
    pub fn shape(&self) -> Shape {
        self.inputs.shape()
    }

    /// The labels.
    ///
    /// # Errors
    /// When the data have none.
    pub fn labels(&self) -> Result<&[usize], DataError> {
        self.labels_for("this method")
    }

    /// The labels, with the name of what needs them for the error.
    ///
    /// # Errors
    /// When the data have none.
    pub fn labels_for(&self, needed_by: &str) -> Result<&[usize], DataError> {
        self.labels
            .as_deref()
            .ok_or_else(|| DataError::NoLabels { name: self.name.clone(), needed_by: needed_by.to_owned() })
    }

    /// Number of items of each class, in the order of `class_names`.
    ///
    /// # Errors
    /// When the data have no labels.
    pub fn class_counts(&self) -> Result<Vec<usize>, DataError> {
        let mut counts = vec![0; self.class_names.len()];
        for &label in self.labels_for("counting classes")? {
            *counts.get_mut(label).ok_or_else(|| self.label_out_of_range(label))? += 1;
        }
        Ok(counts)
    }

    /// The items as rows `[n, c * h * w]`: pixels divided by 255, features as they are.
    pub fn features(&self) -> Matrix {
        match &self.inputs {
            Inputs::Rows(rows) => rows.clone(),
            Inputs::Images { pixels, .. } => {
                let cols = self.shape().size();
                Matrix::from_fn(self.len(), cols, |i, j| f32::from(pixels[i * cols + j]) / 255.0)
            }
        }
    }

    /// The items `indices`, in that order.
    ///
    /// # Panics
    /// When an index is not an item.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let inputs = match &self.inputs {
            Inputs::Rows(rows) => Inputs::Rows(rows.select(indices)),
            Inputs::Images { pixels, channels, height, width } => {
                let size = self.shape().size();
                let mut out = Vec::with_capacity(indices.len() * size);
                for &i in indices {
                    out.extend_from_slice(&pixels[i * size..(i + 1) * size]);
                }
                Inputs::Images { pixels: out, channels: *channels, height: *height, width: *width }
            }
        };
        let pick = |v: &Vec<usize>| indices.iter().map(|&i| v[i]).collect();
        Self {
            name: self.name.clone(),
            inputs,
            labels: self.labels.as_ref().map(pick),
            class_names: self.class_names.clone(),
            groups: self.groups.as_ref().map(pick),
        }
    }

    /// Items of the classes `keep` only, relabelled 0, 1, ... in that order, with the names of those classes.
    ///
    /// # Errors
    /// When the data have no labels, or a class does not exist or is named twice.
    pub fn keep_classes(&self, keep: &[usize]) -> Result<Self, DataError> {
        let labels = self.labels_for("a choice of classes")?;
        let mut new_label = vec![None; self.class_names.len()];
        for (new, &class) in keep.iter().enumerate() {
            let place = new_label.get_mut(class).ok_or_else(|| self.no_class(&class.to_string(), String::new()))?;
            if place.replace(new).is_some() {
                return Err(DataError::RepeatedClass { class: self.class_names[class].clone() });
            }
        }
        let new_of = |i: usize| new_label.get(labels[i]).copied().flatten();
        let (indices, new_labels): (Vec<usize>, Vec<usize>) =
            (0..self.len()).filter_map(|i| new_of(i).map(|new| (i, new))).unzip();
        let mut kept = self.select(&indices);
        kept.labels = Some(new_labels);
        kept.class_names = keep.iter().map(|&class| self.class_names[class].clone()).collect();
        Ok(kept)
    }

    /// Index of a class by its name, which may also be given as lower case with underscores for spaces.
    ///
    /// # Errors
    /// When there is none of that name; the message has the nearest.
    pub fn class_index(&self, class: &str) -> Result<usize, DataError> {
        let plain = |s: &str| s.to_lowercase().replace(' ', "_");
        let same = |name: &String| plain(name) == plain(class);
        let hint = || did_you_mean(class, self.class_names.iter().map(String::as_str));
        self.class_names.iter().position(same).ok_or_else(|| self.no_class(class, hint()))
    }

    /// The same images in another shape: bilinear, the whole image, so that another ratio of the sides distorts it.
    /// Grey is copied to three channels, colour is weighed to grey (ITU-R BT.601).
    ///
    /// # Errors
    /// When the data are rows, a side is 0 or above 8192, or channels other than 1 and 3 should change.
    pub fn resized(&self, shape: Shape) -> Result<Self, DataError> {
        resize::dataset(self, shape)
    }

    /// Checks that the parts fit each other: whole images, one label and one group for each item, a name for every
    /// label, finite features. Readers give data that pass; call it on data made by hand.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn validate(&self) -> Result<(), DataError> {
        if let Inputs::Images { pixels, .. } = &self.inputs {
            let size = self.shape().size();
            if size == 0 || !pixels.len().is_multiple_of(size) {
                let Shape { channels, height, width } = self.shape();
                return Err(self.inconsistent(format!(
                    "{} pixel values are no whole number of {channels} x {height} x {width} images",
                    pixels.len()
                )));
            }
        }
        for (what, values) in [("labels", &self.labels), ("groups", &self.groups)] {
            if let Some(got) = values.as_ref().map(Vec::len).filter(|got| *got != self.len()) {
                return Err(self.inconsistent(format!("{got} {what} for {} items", self.len())));
            }
        }
        if let Some(&label) = self.labels.iter().flatten().find(|label| **label >= self.class_names.len()) {
            return Err(self.label_out_of_range(label));
        }
        if let Inputs::Rows(rows) = &self.inputs
            && let Some(place) = rows.as_slice().iter().position(|value| !value.is_finite())
        {
            let (row, column) = (place / rows.cols(), place % rows.cols());
            return Err(self.inconsistent(format!("row {row}, column {column} (from 0) is not a finite number")));
        }
        Ok(())
    }

    fn inconsistent(&self, problem: String) -> DataError {
        DataError::Inconsistent { name: self.name.clone(), problem }
    }

    fn label_out_of_range(&self, label: usize) -> DataError {
        self.inconsistent(format!("label {label} has no name among {} classes", self.class_names.len()))
    }

    fn no_class(&self, class: &str, hint: String) -> DataError {
        DataError::NoClass {
            name: self.name.clone(),
            class: class.to_owned(),
            hint,
            classes: self.class_names.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> Dataset {
        Dataset {
            name: "t".into(),
            inputs: Inputs::Images { pixels: (0..24).collect(), channels: 3, height: 1, width: 2 },
            labels: Some(vec![2, 0, 2, 1]),
            class_names: vec!["T-shirt/top".into(), "Ankle boot".into(), "Bag".into()],
            groups: Some(vec![0, 1, 1, 0]),
        }
    }

    fn rows(values: Vec<f32>) -> Dataset {
        let n = values.len() / 2;
        Dataset { inputs: Inputs::Rows(Matrix::new(values, n, 2).unwrap()), labels: None, groups: None, ..images() }
    }

    #[test]
    fn items_are_counted_selected_and_flattened() {
        let data = images();
        assert_eq!((data.len(), data.is_empty(), data.shape().size()), (4, false, 6));
        assert_eq!(data.class_counts().unwrap(), [1, 1, 2]);
        let picked = data.select(&[3, 0, 3]);
        assert_eq!((picked.labels.as_deref(), picked.groups.as_deref()), (Some(&[1, 2, 1][..]), Some(&[0, 0, 0][..])));
        assert_eq!(picked.features().row(1), [0.0, 1.0 / 255.0, 2.0 / 255.0, 3.0 / 255.0, 4.0 / 255.0, 5.0 / 255.0]);
        assert_eq!(picked.features().row(0)[0], 18.0 / 255.0);
        let data = rows(vec![1.0, -2.0, 0.5, 3.0]);
        assert_eq!((data.len(), data.shape()), (2, Shape { channels: 2, height: 1, width: 1 }));
        assert_eq!(data.features().as_slice(), [1.0, -2.0, 0.5, 3.0]);
        assert_eq!(format!("{:?} {:?}", data.inputs, images().inputs), "Rows[2, 2] Images[4, 3, 1, 2]");
    }

    #[test]
    fn classes_are_kept_in_the_order_given() {
        let kept = images().keep_classes(&[2, 1]).unwrap();
        assert_eq!(kept.labels.as_deref(), Some(&[0, 0, 1][..]));
        assert_eq!(kept.class_names, ["Bag", "Ankle boot"]);
        assert_eq!(kept.groups.as_deref(), Some(&[0, 1, 0][..]));
        assert_eq!(kept.features().row(1)[0], 12.0 / 255.0);
        assert!(matches!(images().keep_classes(&[3]), Err(DataError::NoClass { .. })));
        assert!(matches!(images().keep_classes(&[1, 1]), Err(DataError::RepeatedClass { .. })));
    }

    #[test]
    fn classes_are_found_by_name() {
        assert_eq!(images().class_index("ankle_boot").unwrap(), 1);
        let message = images().class_index("ankle bot").unwrap_err().to_string();
        assert!(message.contains("did you mean `Ankle boot`?") && message.contains("T-shirt/top, "), "{message}");
    }

    #[test]
    fn missing_labels_name_who_needs_them() {
        let data = rows(vec![1.0, 2.0]);
        assert!(data.labels_for("triplet").unwrap_err().to_string().contains("`t` has no labels, but triplet needs"));
        assert!(data.labels().is_err() && data.keep_classes(&[0]).is_err() && data.class_counts().is_err());
    }

    #[test]
    fn whatever_does_not_fit_is_named() {
        images().validate().unwrap();
        rows(vec![1.0, 2.0]).validate().unwrap();
        let error = |data: Dataset| data.validate().unwrap_err().to_string();
        assert!(error(Dataset { labels: Some(vec![0; 3]), ..images() }).contains("3 labels for 4 items"));
        assert!(error(Dataset { groups: Some(vec![0; 5]), ..images() }).contains("5 groups for 4 items"));
        assert!(error(Dataset { labels: Some(vec![0, 1, 3, 0]), ..images() }).contains("label 3 has no name among 3"));
        let inputs = Inputs::Images { pixels: vec![0; 7], channels: 1, height: 2, width: 2 };
        assert!(error(Dataset { inputs, ..images() }).contains("no whole number of 1 x 2 x 2 images"));
        assert!(error(rows(vec![1.0, 2.0, f32::NAN, 0.0])).contains("row 1, column 0"));
    }
}

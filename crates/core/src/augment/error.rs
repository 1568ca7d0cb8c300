//! What can be wrong with a recipe, with the statistics that normalise, or with data that a recipe does not fit.

use thiserror::Error;

/// Why an augmentation cannot be built or cannot work on the data.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AugmentError {
    /// A setting is outside its range.
    #[error("recipe field `{field}` is {value}; allowed: {allowed}")]
    Setting {
        /// Path of the field inside the recipe.
        field: &'static str,
        /// The value found there.
        value: String,
        /// The range that the field accepts.
        allowed: &'static str,
    },
    /// Two fields that both cut the image are set.
    #[error("recipe sets both `crop` and `pad_crop`; each of them cuts the image, keep one")]
    TwoCrops,
    /// A size of the view without the crop that is resized to it.
    #[error("recipe sets `size` without `crop`; a view of another size is a resized window, set `crop` too")]
    SizeWithoutCrop,
    /// Not the name of a pair of recipes.
    #[error("unknown views `{name}`{hint}; known: {known}")]
    UnknownViews {
        /// What was asked for.
        name: String,
        /// The nearest known name, as a sentence part.
        hint: String,
        /// Every name.
        known: String,
    },
    /// Means and standard deviations do not pair up.
    #[error("normalisation has {means} means and {stds} standard deviations; give one of each per channel or column")]
    StatisticsLength {
        /// Number of means.
        means: usize,
        /// Number of standard deviations.
        stds: usize,
    },
    /// A mean or a standard deviation that nothing can be normalised with.
    #[error(
        "normalisation's {statistic} of channel or column {channel} is {value}; allowed: {allowed}; \
         look for values that are not finite in the training data"
    )]
    Statistic {
        /// `mean` or `std`.
        statistic: &'static str,
        /// Channel of an image or column of a row, from 0.
        channel: usize,
        /// The value found there.
        value: String,
        /// The range that the statistic accepts.
        allowed: &'static str,
    },
    /// The statistics were taken from data of another shape.
    #[error(
        "normalisation covers {expected} channels or columns, the data has {got}; \
         compute it from the training part of the same data"
    )]
    Channels {
        /// Channels or columns of the statistics.
        expected: usize,
        /// Channels or columns of the data.
        got: usize,
    },
    /// The pixel buffer does not hold whole images.
    #[error("{values} pixel values are no whole number of {channels} x {height} x {width} images")]
    Pixels {
        /// Length of the buffer.
        values: usize,
        /// Channels of an image.
        channels: usize,
        /// Rows of an image.
        height: usize,
        /// Columns of an image.
        width: usize,
    },
    /// A recipe for images met rows of features.
    #[error("recipe field `{field}` works on images and the data is rows of features; use a recipe of `rows` alone")]
    NeedsImages {
        /// The first such field.
        field: &'static str,
    },
    /// A recipe for rows of features met images.
    #[error("recipe field `rows` works on rows of features and the data is images; leave it out")]
    NeedsRows,
    /// A recipe for grey or red-green-blue images met another number of channels.
    #[error(
        "recipe field `{field}` needs images of 1 or 3 channels and these have {channels}; \
         leave it out or convert the images"
    )]
    ColorChannels {
        /// The first such field.
        field: &'static str,
        /// Channels of the images.
        channels: usize,
    },
    /// The padding could push the whole image out of the crop.
    #[error(
        "recipe field `pad_crop` is {pad} and the images are {height} x {width}; \
         allowed: less than the shorter side, or a crop could hold nothing of its image"
    )]
    Pad {
        /// Pixels of padding on each side.
        pad: usize,
        /// Rows of an image.
        height: usize,
        /// Columns of an image.
        width: usize,
    },
    /// There is no other row to take a feature from.
    #[error(
        "recipe field `rows` takes features from another training row; that needs 2 rows or more, there are {rows}"
    )]
    TooFewDonors {
        /// Rows that features may be taken from.
        rows: usize,
    },
    /// A row that features should be taken from does not exist.
    #[error("features should be taken from row {row}, but the data has {rows} rows; give indices of this data set")]
    NoSuchDonor {
        /// The largest index given.
        row: usize,
        /// Rows of the data.
        rows: usize,
    },
}

//! Random views of images and rows, made on the host.
//!
//! A view is a pure function of (seed, epoch, index of the image in its data set, number of the view). Each owns a
//! ChaCha8 generator whose 256-bit key is these four 64-bit words side by side, so its bits are the same in every
//! batch, in every order, on every number of threads and for every backend.
//!
//! ```text
//! u8 [n, c, h, w] -> crop, resize, flip -> jitter -> grey -> blur -> solarize -> (x - mean) / std -> f32 [b, c, h', w']
//! f32 [n, f]      -> features of other rows                                   -> (x - mean) / std -> f32 [b, f]
//! ```
//!
//! [`Recipe`] says what may happen, [`Normalization`] holds the statistics of the training data, [`Augmenter`] makes
//! batches. The semantics are those of `torchvision.transforms.v2` on float tensors; its 8-bit path also rounds after
//! each operation, which this one does not.

mod blur;
mod color;
mod draws;
mod error;
mod geometry;
mod named;
mod normalization;
mod plan;
mod presets;
mod recipe;
mod resample;
mod rows;
mod small_crops;

use rayon::prelude::*;

pub use error::AugmentError;
pub use named::NamedViews;
pub use normalization::Normalization;
pub use recipe::{ColorJitter, GaussianBlur, RandomResizedCrop, Recipe, RowCorruption, Solarize};
pub use small_crops::SmallCrops;

use crate::data::{self, Inputs};
use crate::matrix::Matrix;
use draws::Draws;
use geometry::Shape;
use normalization::Scaling;
use plan::{Plan, Scratch};
use rows::Donors;

/// Makes the views of a batch, in parallel, from a data set in host memory.
///
/// ```
/// use nearfar_core::augment::{Augmenter, Normalization, Recipe};
/// use nearfar_core::data::Inputs;
///
/// # fn main() -> Result<(), nearfar_core::augment::AugmentError> {
/// let images = Inputs::Images { pixels: vec![127; 10 * 28 * 28], channels: 1, height: 28, width: 28 };
/// let augmenter = Augmenter::new(&[Recipe::peers(), Recipe::peers()], Normalization::of(&images), 7)?;
/// augmenter.check(&images)?;
/// let views = augmenter.views(&images, &[3, 1, 4], 0);
/// assert_eq!(views.len(), 2);
/// assert_eq!(views[0].len(), 3 * 28 * 28);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Augmenter {
    recipes: Vec<Recipe>,
    normalization: Normalization,
    scaling: Scaling,
    donors: Option<Vec<usize>>,
    seed: u64,
}

impl Augmenter {
    /// An augmenter that makes one view per recipe; none at all serves [`Augmenter::plain`] alone.
    ///
    /// # Errors
    /// When a recipe has a field outside its range or the statistics cannot normalise.
    pub fn new(recipes: &[Recipe], normalization: Normalization, seed: u64) -> Result<Self, AugmentError> {
        recipes.iter().try_for_each(Recipe::validate)?;
        normalization.validate()?;
        let scaling = Scaling::new(&normalization);
        Ok(Self { recipes: recipes.to_vec(), normalization, scaling, donors: None, seed })
    }

    /// Restricts the rows that [`RowCorruption`] takes features from to `donors`, indices into the data set. Without
    /// this, every row may give. Use it when the data set holds more than the training part.
    #[must_use]
    pub fn with_donors(mut self, mut donors: Vec<usize>) -> Self {
        donors.sort_unstable();
        donors.dedup();
        self.donors = Some(donors);
        self
    }

    /// The same for `views` views, which take the recipes in turn: a third view has the first recipe again, and draws of
    /// its own.
    #[must_use]
    pub fn with_views(&self, views: usize) -> Self {
        Self { recipes: self.recipes.iter().cycle().take(views).cloned().collect(), ..self.clone() }
    }

    /// The same with small crops behind the views; see [`SmallCrops::recipe`].
    ///
    /// # Errors
    /// When a setting of the crops is outside its range.
    pub fn with_small_crops(&self, crops: &SmallCrops) -> Result<Self, AugmentError> {
        let small = crops.recipe(&self.recipes.first().cloned().unwrap_or_default());
        small.validate()?;
        let recipes = self.recipes.iter().cloned().chain(std::iter::repeat_n(small, crops.count)).collect();
        Ok(Self { recipes, ..self.clone() })
    }

    /// Number of views made of each item.
    pub fn view_count(&self) -> usize {
        self.recipes.len()
    }

    /// The recipes, one a view.
    pub fn recipes(&self) -> &[Recipe] {
        &self.recipes
    }

    /// The shapes of the views of items of `shape`, one a recipe.
    pub fn view_shapes(&self, shape: data::Shape) -> Vec<data::Shape> {
        let sized = |recipe: &Recipe| data::Shape {
            height: recipe.side(shape.height),
            width: recipe.side(shape.width),
            ..shape
        };
        self.recipes.iter().map(sized).collect()
    }

    /// The statistics that every view is normalised with.
    pub fn normalization(&self) -> &Normalization {
        &self.normalization
    }

    /// Checks that the recipes and the statistics fit the data. Call it once, before the first batch.
    ///
    /// # Errors
    /// When the statistics cover another number of channels or columns, the pixel buffer holds no whole images, a
    /// recipe for images meets rows or one for rows meets images, a colour change meets images of neither 1 nor 3
    /// channels, a padding is not less than the shorter side, or features are to be taken from rows that do not exist.
    pub fn check(&self, inputs: &Inputs) -> Result<(), AugmentError> {
        match inputs {
            Inputs::Images { pixels, channels, height, width } => {
                let shape = Shape { channels: *channels, height: *height, width: *width };
                self.check_channels(shape.channels)?;
                check_pixels(pixels.len(), shape)?;
                self.recipes.iter().try_for_each(|recipe| check_image_recipe(recipe, shape))
            }
            Inputs::Rows(rows) => {
                self.check_channels(rows.cols())?;
                self.recipes.iter().try_for_each(|recipe| self.check_row_recipe(recipe, rows.rows()))
            }
        }
    }

    /// The views of the items `indices` in the given epoch: one buffer per recipe, each `[b, c, h', w']` of images, with
    /// the sizes of [`Augmenter::view_shapes`], or `[b, f]` of rows, normalised.
    ///
    /// # Panics
    /// When [`Augmenter::check`] refuses `inputs`, with its message, or an index is not an item.
    pub fn views(&self, inputs: &Inputs, indices: &[usize], epoch: u64) -> Vec<Vec<f32>> {
        self.require(inputs);
        let recipes = self.recipes.iter().zip(0u64..);
        match inputs {
            Inputs::Images { pixels, channels, height, width } => {
                let shape = Shape { channels: *channels, height: *height, width: *width };
                recipes.map(|(recipe, view)| self.image_view(pixels, shape, indices, (recipe, epoch, view))).collect()
            }
            Inputs::Rows(rows) => {
                recipes.map(|(recipe, view)| self.row_view(rows, indices, (recipe, epoch, view))).collect()
            }
        }
    }

    /// The items `indices` without augmentation, normalised: what evaluation sees, `[b, c, h, w]` or `[b, f]`.
    ///
    /// # Panics
    /// As [`Augmenter::views`].
    pub fn plain(&self, inputs: &Inputs, indices: &[usize]) -> Vec<f32> {
        self.require(inputs);
        match inputs {
            Inputs::Images { pixels, channels, height, width } => {
                let plane = height * width;
                let length = channels * plane;
                fill_items(indices, length, |_: &mut (), index, out| {
                    let source = &pixels[index * length..(index + 1) * length];
                    let planes = source.chunks_exact(plane).zip(out.chunks_exact_mut(plane));
                    for ((bytes, out), &affine) in planes.zip(&self.scaling.byte_to_normal) {
                        geometry::copy(bytes, affine, out);
                    }
                })
            }
            Inputs::Rows(rows) => fill_items(indices, rows.cols(), |_: &mut (), index, out| {
                out.copy_from_slice(rows.row(index));
                self.normalize_row(out);
            }),
        }
    }

    fn image_view(
        &self,
        pixels: &[u8],
        shape: Shape,
        indices: &[usize],
        (recipe, epoch, view): (&Recipe, u64, u64),
    ) -> Vec<f32> {
        let (length, sized) = (shape.len(), shape.of_view(recipe));
        fill_items(indices, sized.len(), |scratch: &mut Scratch, index, out| {
            let mut draws = Draws::new(self.seed, epoch, index as u64, view);
            let plan = Plan::draw(recipe, shape, &mut draws);
            let source = &pixels[index * length..(index + 1) * length];
            plan.render(source, (shape, sized), &self.scaling, scratch, out);
        })
    }

    fn row_view(&self, rows: &Matrix, indices: &[usize], (recipe, epoch, view): (&Recipe, u64, u64)) -> Vec<f32> {
        fill_items(indices, rows.cols(), |_: &mut (), index, out| {
            match recipe.rows {
                Some(corruption) => {
                    let donors = Donors::of(index, rows.rows(), self.donors.as_deref());
                    let mut draws = Draws::new(self.seed, epoch, index as u64, view);
                    rows::corrupt(rows, index, donors, corruption.rate, &mut draws, out);
                }
                None => out.copy_from_slice(rows.row(index)),
            }
            self.normalize_row(out);
        })
    }

    /// Subtracts before it divides: a column whose mean is far from zero would lose digits to one fused map.
    fn normalize_row(&self, row: &mut [f32]) {
        let statistics = self.normalization.mean.iter().zip(&self.normalization.std);
        for (value, (mean, std)) in row.iter_mut().zip(statistics) {
            *value = (*value - mean) / std;
        }
    }

    fn require(&self, inputs: &Inputs) {
        if let Err(error) = self.check(inputs) {
            panic!("the augmenter does not fit the data: {error}");
        }
    }

    fn check_channels(&self, got: usize) -> Result<(), AugmentError> {
        let expected = self.normalization.mean.len();
        if got == expected { Ok(()) } else { Err(AugmentError::Channels { expected, got }) }
    }

    fn check_row_recipe(&self, recipe: &Recipe, rows: usize) -> Result<(), AugmentError> {
        if let Some(field) = recipe.image_field() {
            return Err(AugmentError::NeedsImages { field });
        }
        if recipe.rows.is_none() {
            return Ok(());
        }
        let donors = self.donors.as_deref();
        if let Some(&row) = donors.and_then(<[usize]>::last).filter(|&&row| row >= rows) {
            return Err(AugmentError::NoSuchDonor { row, rows });
        }
        let count = donors.map_or(rows, <[usize]>::len);
        if count < 2 { Err(AugmentError::TooFewDonors { rows: count }) } else { Ok(()) }
    }
}

fn check_pixels(values: usize, shape: Shape) -> Result<(), AugmentError> {
    let Shape { channels, height, width } = shape;
    if shape.len() > 0 && values.is_multiple_of(shape.len()) {
        return Ok(());
    }
    Err(AugmentError::Pixels { values, channels, height, width })
}

fn check_image_recipe(recipe: &Recipe, shape: Shape) -> Result<(), AugmentError> {
    let Shape { channels, height, width } = shape;
    if recipe.rows.is_some() {
        return Err(AugmentError::NeedsRows);
    }
    if let Some(field) = recipe.color_field().filter(|_| channels != 1 && channels != 3) {
        return Err(AugmentError::ColorChannels { field, channels });
    }
    match recipe.pad_crop {
        Some(pad) if pad >= height.min(width) => Err(AugmentError::Pad { pad, height, width }),
        _ => Ok(()),
    }
}

/// One buffer of `length` values per index, each filled by `fill` with the buffers `S` of its thread. Items do not
/// depend on each other, so the split over threads cannot show.
fn fill_items<S: Default>(
    indices: &[usize],
    length: usize,
    fill: impl Fn(&mut S, usize, &mut [f32]) + Sync + Send,
) -> Vec<f32> {
    let mut out = vec![0.0; indices.len() * length];
    out.par_chunks_mut(length.max(1))
        .zip(indices)
        .for_each_init(S::default, |scratch, (out, &index)| fill(scratch, index, out));
    out
}

#[cfg(test)]
mod tests;

//! What a view may look like: the settings of every augmentation, each checked against its range.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use super::AugmentError;

/// The random changes that turn an image, or a row of features, into one view of it.
///
/// Operations apply in the order of the fields; each draws anew for every image, epoch and view. Everything is off by
/// default. Semantics are those of `torchvision.transforms.v2` on float tensors in `[0, 1]`, so a recipe from a paper's
/// PyTorch code can be copied number by number.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Cut a random window and resize it to the size of the view. Excludes `pad_crop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<RandomResizedCrop>,
    /// Sides of the view as a share of the image's, in `(0, 1]`, each rounded to whole pixels. Needs `crop`. Left out:
    /// the image's own size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<f32>,
    /// Pad every side by this many black pixels, then cut the image's own size at a random place: `RandomCrop(size,
    /// padding = n)`. Pixels, less than the shorter side. Excludes `crop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pad_crop: Option<usize>,
    /// Probability of mirroring left and right, in `[0, 1]`.
    pub flip: f32,
    /// Change brightness, contrast, saturation and hue in a random order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<ColorJitter>,
    /// Probability of replacing all three channels by the luminance, in `[0, 1]`. One channel is left as it is.
    pub grayscale: f32,
    /// Blur with a Gaussian of random width.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blur: Option<GaussianBlur>,
    /// Invert bright pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solarize: Option<Solarize>,
    /// For rows of features instead of images: replace features by those of other rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowCorruption>,
}

/// A window of random area and shape, resized to the size of the view by antialiased bilinear interpolation.
///
/// Ten tries of an area `scale * height * width` and a width-to-height ratio that is uniform in its logarithm; if none
/// fits, the largest central window whose ratio is allowed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Smallest and largest area as a share of the image's, `0 < low <= high <= 1`. Default (0.08, 1): torchvision's,
    /// from Szegedy et al. 2015 (Inception).
    pub scale: (f32, f32),
    /// Smallest and largest width over height, `0 < low <= high`. Default (3/4, 4/3): torchvision's, the same source.
    pub ratio: (f32, f32),
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self { scale: (0.08, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0) }
    }
}

/// Brightness, contrast, saturation and hue changed in a random order, every result clamped to `[0, 1]`.
///
/// A value `x` draws a factor from `[max(0, 1 - x), 1 + x]`; 0, the default, leaves that property as it is. Contrast
/// blends with the mean luminance of the image, saturation with each pixel's luminance, hue turns the colour circle.
/// On one-channel images saturation and hue have no effect.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// Range of the brightness factor, at least 0.
    pub brightness: f32,
    /// Range of the contrast factor, at least 0.
    pub contrast: f32,
    /// Range of the saturation factor, at least 0.
    pub saturation: f32,
    /// Largest turn of the hue in either direction, in turns of the colour circle, `[0, 0.5]`.
    pub hue: f32,
    /// Probability of changing the image at all, in `[0, 1]`. Default 1: torchvision's `ColorJitter` always applies.
    pub probability: f32,
}

impl Default for ColorJitter {
    fn default() -> Self {
        Self { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0, probability: 1.0 }
    }
}

/// A separable Gaussian blur with reflected borders.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianBlur {
    /// Smallest and largest standard deviation in pixels, drawn uniformly, `0 < low <= high`. Default (0.1, 2): Chen et
    /// al. 2020 (SimCLR, appendix A).
    pub sigma: (f32, f32),
    /// Side of the kernel as a share of the view's shorter side, in `(0, 1]`; rounded down, then up to the next odd
    /// number. Default 0.1: SimCLR, appendix A.
    pub kernel_fraction: f32,
    /// Probability of blurring, in `[0, 1]`. Default 0.5: SimCLR, appendix A.
    pub probability: f32,
}

impl Default for GaussianBlur {
    fn default() -> Self {
        Self { sigma: (0.1, 2.0), kernel_fraction: 0.1, probability: 0.5 }
    }
}

impl GaussianBlur {
    /// Side of the kernel, odd, for a view whose shorter side has `shorter` pixels. Half of it always lies inside the
    /// view, as reflection needs.
    pub(super) fn kernel_size(&self, shorter: usize) -> usize {
        (self.kernel_fraction * shorter as f32) as usize | 1
    }
}

/// Every value at or above a threshold inverted: `x` becomes `1 - x`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Solarize {
    /// First value that is inverted, in `[0, 1]`. Default 0.5: Grill et al. 2020 (BYOL, appendix B).
    pub threshold: f32,
    /// Probability of solarizing, in `[0, 1]`. Default 0.2: BYOL's second view.
    pub probability: f32,
}

impl Default for Solarize {
    fn default() -> Self {
        Self { threshold: 0.5, probability: 0.2 }
    }
}

/// Features replaced by the same features of other random rows (Bahri et al. 2022, SCARF).
///
/// Each replaced feature comes from its own random row, so it is a draw from that feature's empirical marginal. The
/// paper replaces exactly the share `rate` of the features; here every feature is replaced independently with that
/// probability, as the public implementations do.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RowCorruption {
    /// Probability that a feature is replaced, in `[0, 1]`. Default 0.6: the paper's corruption rate.
    pub rate: f32,
}

impl Default for RowCorruption {
    fn default() -> Self {
        Self { rate: 0.6 }
    }
}

const PROBABILITY: &str = "0 to 1";
const STRENGTH: &str = "a finite number of 0 or more";

impl Recipe {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`AugmentError::Setting`] for the first field outside its range, [`AugmentError::TwoCrops`] when both crops are
    /// set, [`AugmentError::SizeWithoutCrop`] when `size` has no `crop` to resize. What depends on the data is checked by [`Augmenter::check`](super::Augmenter::check).
    pub fn validate(&self) -> Result<(), AugmentError> {
        if self.crop.is_some() && self.pad_crop.is_some() {
            return Err(AugmentError::TwoCrops);
        }
        if let Some(crop) = &self.crop {
            crop.validate()?;
        }
        if let Some(size) = self.size {
            require(size > 0.0 && size <= 1.0, "size", size, "above 0, at most 1")?;
            if self.crop.is_none() {
                return Err(AugmentError::SizeWithoutCrop);
            }
        }
        probability("flip", self.flip)?;
        if let Some(jitter) = &self.jitter {
            jitter.validate()?;
        }
        probability("grayscale", self.grayscale)?;
        if let Some(blur) = &self.blur {
            blur.validate()?;
        }
        if let Some(solarize) = &self.solarize {
            probability("solarize.threshold", solarize.threshold)?;
            probability("solarize.probability", solarize.probability)?;
        }
        self.rows.iter().try_for_each(|rows| probability("rows.rate", rows.rate))
    }

    /// The side of a view whose image has a side of `pixels`.
    pub(super) fn side(&self, pixels: usize) -> usize {
        self.size.map_or(pixels, |share| ((share * pixels as f32).round() as usize).max(1))
    }

    /// The first field that can change an image, whatever its number of channels.
    pub(super) fn image_field(&self) -> Option<&'static str> {
        first_set([
            ("crop", self.crop.is_some()),
            ("pad_crop", self.pad_crop.is_some()),
            ("flip", self.flip > 0.0),
            ("jitter", self.jitter.is_some()),
            ("grayscale", self.grayscale > 0.0),
            ("blur", self.blur.is_some()),
            ("solarize", self.solarize.is_some()),
        ])
    }

    /// The first field that is defined for grey and red-green-blue images only.
    pub(super) fn color_field(&self) -> Option<&'static str> {
        let jitter = self.jitter.unwrap_or_default();
        first_set([
            ("jitter.contrast", jitter.contrast > 0.0),
            ("jitter.saturation", jitter.saturation > 0.0),
            ("jitter.hue", jitter.hue > 0.0),
            ("grayscale", self.grayscale > 0.0),
        ])
    }
}

impl RandomResizedCrop {
    fn validate(&self) -> Result<(), AugmentError> {
        let (low, high) = self.scale;
        require(low > 0.0 && low <= high && high <= 1.0, "crop.scale", self.scale, "0 < low <= high <= 1")?;
        let (low, high) = self.ratio;
        require(low > 0.0 && low <= high && high.is_finite(), "crop.ratio", self.ratio, "0 < low <= high, finite")
    }
}

impl ColorJitter {
    fn validate(&self) -> Result<(), AugmentError> {
        strength("jitter.brightness", self.brightness)?;
        strength("jitter.contrast", self.contrast)?;
        strength("jitter.saturation", self.saturation)?;
        require((0.0..=0.5).contains(&self.hue), "jitter.hue", self.hue, "0 to 0.5")?;
        probability("jitter.probability", self.probability)
    }
}

impl GaussianBlur {
    fn validate(&self) -> Result<(), AugmentError> {
        let (low, high) = self.sigma;
        require(low > 0.0 && low <= high && high.is_finite(), "blur.sigma", self.sigma, "0 < low <= high, finite")?;
        let fraction = self.kernel_fraction;
        require(fraction > 0.0 && fraction <= 1.0, "blur.kernel_fraction", fraction, "above 0, at most 1")?;
        probability("blur.probability", self.probability)
    }
}

fn first_set<const N: usize>(fields: [(&'static str, bool); N]) -> Option<&'static str> {
    fields.into_iter().find(|(_, set)| *set).map(|(field, _)| field)
}

fn probability(field: &'static str, value: f32) -> Result<(), AugmentError> {
    require((0.0..=1.0).contains(&value), field, value, PROBABILITY)
}

fn strength(field: &'static str, value: f32) -> Result<(), AugmentError> {
    require(value >= 0.0 && value.is_finite(), field, value, STRENGTH)
}

/// A comparison with NaN is false, so NaN is outside every range.
fn require(ok: bool, field: &'static str, value: impl Debug, allowed: &'static str) -> Result<(), AugmentError> {
    if ok { Ok(()) } else { Err(AugmentError::Setting { field, value: format!("{value:?}"), allowed }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(recipe: Recipe) -> &'static str {
        match recipe.validate() {
            Err(AugmentError::Setting { field, .. }) => field,
            other => panic!("expected a setting error, got {other:?}"),
        }
    }

    #[test]
    fn each_field_is_checked_by_name() {
        let crop = |scale, ratio| Recipe { crop: Some(RandomResizedCrop { scale, ratio }), ..Recipe::default() };
        for scale in [(0.0, 1.0), (0.5, 0.4), (0.5, 1.1), (f32::NAN, 1.0), (0.5, f32::NAN)] {
            assert_eq!(field_of(crop(scale, (1.0, 1.0))), "crop.scale");
        }
        for ratio in [(0.0, 1.0), (2.0, 1.0), (1.0, f32::INFINITY), (1.0, f32::NAN)] {
            assert_eq!(field_of(crop((0.5, 1.0), ratio)), "crop.ratio");
        }
        for flip in [-0.1, 1.1, f32::NAN] {
            assert_eq!(field_of(Recipe { flip, ..Recipe::default() }), "flip");
            assert_eq!(field_of(Recipe { grayscale: flip, ..Recipe::default() }), "grayscale");
            let rows = Some(RowCorruption { rate: flip });
            assert_eq!(field_of(Recipe { rows, ..Recipe::default() }), "rows.rate");
        }
        let jitter = |jitter| field_of(Recipe { jitter: Some(jitter), ..Recipe::default() });
        let base = ColorJitter::default();
        assert_eq!(jitter(ColorJitter { brightness: -1.0, ..base }), "jitter.brightness");
        assert_eq!(jitter(ColorJitter { contrast: f32::NAN, ..base }), "jitter.contrast");
        assert_eq!(jitter(ColorJitter { saturation: f32::INFINITY, ..base }), "jitter.saturation");
        assert_eq!(jitter(ColorJitter { hue: 0.6, ..base }), "jitter.hue");
        assert_eq!(jitter(ColorJitter { probability: 2.0, ..base }), "jitter.probability");
        let blur = |blur| field_of(Recipe { blur: Some(blur), ..Recipe::default() });
        let base = GaussianBlur::default();
        assert_eq!(blur(GaussianBlur { sigma: (0.0, 1.0), ..base }), "blur.sigma");
        assert_eq!(blur(GaussianBlur { kernel_fraction: 0.0, ..base }), "blur.kernel_fraction");
        assert_eq!(blur(GaussianBlur { probability: -0.5, ..base }), "blur.probability");
        let solarize = |solarize| field_of(Recipe { solarize: Some(solarize), ..Recipe::default() });
        let base = Solarize::default();
        assert_eq!(solarize(Solarize { threshold: 1.5, ..base }), "solarize.threshold");
        assert_eq!(solarize(Solarize { probability: 1.5, ..base }), "solarize.probability");
    }

    #[test]
    fn messages_say_field_value_and_range() {
        let recipe = Recipe { flip: 1.5, ..Recipe::default() };
        assert_eq!(
            recipe.validate().map_err(|error| error.to_string()),
            Err("recipe field `flip` is 1.5; allowed: 0 to 1".to_owned())
        );
    }

    #[test]
    fn two_crops_are_refused() {
        let recipe = Recipe { crop: Some(RandomResizedCrop::default()), pad_crop: Some(2), ..Recipe::default() };
        assert_eq!(recipe.validate(), Err(AugmentError::TwoCrops));
    }

    #[test]
    fn a_size_is_a_share_of_the_sides_and_needs_a_crop() {
        let sized = |size| Recipe { crop: Some(RandomResizedCrop::default()), size: Some(size), ..Recipe::default() };
        for size in [0.0, -0.5, 1.5, f32::NAN] {
            assert_eq!(field_of(sized(size)), "size");
        }
        assert_eq!(Recipe { size: Some(0.5), ..Recipe::default() }.validate(), Err(AugmentError::SizeWithoutCrop));
        // 96 of 224 pixels, as in SwAV and DINO.
        assert_eq!([224, 32, 28, 1].map(|pixels| sized(0.43).side(pixels)), [96, 14, 12, 1]);
        assert_eq!(Recipe::default().side(28), 28);
    }

    #[test]
    fn a_kernel_is_odd_and_reflects_inside_the_image() {
        let blur = |kernel_fraction| GaussianBlur { kernel_fraction, ..GaussianBlur::default() };
        assert_eq!(blur(0.1).kernel_size(28), 3); // 2.8 -> 2 -> 3
        assert_eq!(blur(0.1).kernel_size(224), 23); // 22.4 -> 22 -> 23
        assert_eq!(blur(0.1).kernel_size(5), 1);
        for shorter in 1..40 {
            let size = blur(1.0).kernel_size(shorter);
            assert!(size % 2 == 1 && size / 2 < shorter, "{shorter} gives {size}");
        }
    }

    #[test]
    fn settings_read_with_defaults_and_refuse_unknown_names() -> Result<(), serde_json::Error> {
        let recipe: Recipe = serde_json::from_str(r#"{"crop": {"scale": [0.3, 1.0]}, "flip": 0.5}"#)?;
        let crop = RandomResizedCrop { scale: (0.3, 1.0), ..RandomResizedCrop::default() };
        assert_eq!(recipe, Recipe { crop: Some(crop), flip: 0.5, ..Recipe::default() });
        assert!(serde_json::from_str::<Recipe>(r#"{"flipp": 0.5}"#).is_err());
        assert!(serde_json::from_str::<Recipe>(r#"{"crop": {"size": 3}}"#).is_err());
        let written = serde_json::to_string(&recipe)?;
        assert_eq!(serde_json::from_str::<Recipe>(&written)?, recipe);
        Ok(())
    }
}

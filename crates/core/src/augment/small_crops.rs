//! Multi-crop: small views that a method adds to the views that all methods share.

use serde::{Deserialize, Serialize};

use super::{GaussianBlur, RandomResizedCrop, Recipe};

/// Small crops of each image (Caron et al. 2020, SwAV): a little of the image at a low resolution, so that a view more
/// costs a fraction of a whole one. A network must be able to take views of several sizes.
///
/// Not a recipe of its own: the first shared view says how colours change, these settings say what differs.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SmallCrops {
    /// Crops of each image; 0 for none.
    pub count: usize,
    /// Smallest and largest area as a share of the image's, `0 < low <= high <= 1`.
    pub scale: (f32, f32),
    /// Sides of a crop as a share of the image's, in `(0, 1]`.
    pub size: f32,
    /// Probability of blurring a crop, in `[0, 1]`, where the shared views may be blurred; left out: theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blur: Option<f32>,
}

impl SmallCrops {
    /// The recipe of a small crop beside views of the recipe `shared`: its flip, its ratios and its colours, but another
    /// window, another size and perhaps another probability of blur.
    pub fn recipe(&self, shared: &Recipe) -> Recipe {
        let crop = RandomResizedCrop { scale: self.scale, ..shared.crop.unwrap_or_default() };
        let blur = shared.blur.map(|blur| match self.blur {
            Some(probability) => GaussianBlur { probability, ..blur },
            None => blur,
        });
        Recipe { crop: Some(crop), size: Some(self.size), pad_crop: None, blur, ..shared.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROPS: SmallCrops = SmallCrops { count: 8, scale: (0.05, 0.4), size: 0.43, blur: Some(0.5) };

    #[test]
    fn crops_change_window_size_and_blur_alone() {
        let ratio = (0.9, 1.1);
        let crop = Some(RandomResizedCrop { scale: (0.4, 1.0), ratio });
        let blur = Some(GaussianBlur { probability: 1.0, ..GaussianBlur::default() });
        let shared = Recipe { crop, blur, ..Recipe::simclr_small(1.0) };
        let small = CROPS.recipe(&shared);
        assert_eq!(small.validate(), Ok(()));
        assert_eq!(small.crop, Some(RandomResizedCrop { scale: (0.05, 0.4), ratio }));
        assert_eq!((small.size, small.blur.map(|blur| blur.probability)), (Some(0.43), Some(0.5)));
        assert_eq!(Recipe { crop, blur, size: None, ..small }, shared);
        assert_eq!(SmallCrops { blur: None, ..CROPS }.recipe(&shared).blur, blur);
    }

    #[test]
    fn crops_bring_no_blur_where_the_shared_views_have_none() {
        assert_eq!(CROPS.recipe(&Recipe::peers()).blur, None);
        let padded = Recipe { pad_crop: Some(2), ..Recipe::none() };
        assert_eq!(CROPS.recipe(&padded).validate(), Ok(()), "the padding gives way to the window");
    }

    #[test]
    fn bad_crops_have_no_valid_recipe() {
        for crops in [SmallCrops { size: 0.0, ..CROPS }, SmallCrops { scale: (0.5, 0.4), ..CROPS }] {
            assert!(crops.recipe(&Recipe::peers()).validate().is_err(), "{crops:?}");
        }
    }
}

//! Recipes of the papers and of the public code that this workspace is compared with.

use super::{ColorJitter, RandomResizedCrop, Recipe, RowCorruption, Solarize};

impl Recipe {
    /// No augmentation: the view is the normalised image.
    pub fn none() -> Self {
        Self::default()
    }

    /// The recipe of the head-to-head comparison and of the same work in the Python peers, for small grey or colour
    /// images: random resized crop (0.3 to 1, 3/4 to 4/3), flip 0.5, and torchvision's `ColorJitter(0.4, 0.4)`, which
    /// always applies. The crop is milder than SimCLR's 0.08, since a twelfth of a 28 x 28 image is hardly anything.
    pub fn peers() -> Self {
        Self {
            crop: Some(RandomResizedCrop { scale: (0.3, 1.0), ..RandomResizedCrop::default() }),
            flip: 0.5,
            jitter: Some(ColorJitter { brightness: 0.4, contrast: 0.4, ..ColorJitter::default() }),
            ..Self::default()
        }
    }

    /// SimCLR on CIFAR-10 (Chen et al. 2020, appendix B.9): the ImageNet recipe without blur.
    ///
    /// `strength` is the paper's `s`, the strength of the colour jitter: 1 in appendix A, 0.5 in the CIFAR-10 runs. A
    /// negative strength, or one above 2.5 (a hue turn above one half), is reported by [`Recipe::validate`].
    pub fn simclr_small(strength: f32) -> Self {
        Self::small(ColorJitter {
            brightness: 0.8 * strength,
            contrast: 0.8 * strength,
            saturation: 0.8 * strength,
            hue: 0.2 * strength,
            probability: 0.8,
        })
    }

    /// MoCo v2's jitter (Chen et al. 2020, "Improved Baselines with Momentum Contrastive Learning") on small images, as
    /// in the authors' CIFAR-10 demo: torchvision's default crop, flip, jitter (0.4, 0.4, 0.4, 0.1) with probability
    /// 0.8, grey 0.2, no blur.
    pub fn moco_v2_small() -> Self {
        Self::small(ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1, probability: 0.8 })
    }

    /// One of BYOL's two different views (Grill et al. 2020, appendix B), without blur, as is usual for small images.
    ///
    /// View 0 is not solarized; view 1 (and any later one) is, with probability 0.2. Both jitter by (0.4, 0.4, 0.2,
    /// 0.1) with probability 0.8 and turn grey with probability 0.2.
    pub fn byol(view: usize) -> Self {
        let jitter = ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1, probability: 0.8 };
        Self { solarize: (view > 0).then(Solarize::default), ..Self::small(jitter) }
    }

    /// SCARF's corrupted view of a row (Bahri et al. 2022): each feature replaced with probability 0.6. The paper pairs
    /// it with the row as it is, [`Recipe::none`].
    pub fn rows() -> Self {
        Self { rows: Some(RowCorruption::default()), ..Self::default() }
    }

    /// What SimCLR, MoCo v2 and BYOL share on small images.
    fn small(jitter: ColorJitter) -> Self {
        Self {
            crop: Some(RandomResizedCrop::default()),
            flip: 0.5,
            jitter: Some(jitter),
            grayscale: 0.2,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid() {
        let presets = [
            Recipe::none(),
            Recipe::peers(),
            Recipe::simclr_small(0.5),
            Recipe::simclr_small(1.0),
            Recipe::moco_v2_small(),
            Recipe::byol(0),
            Recipe::byol(1),
            Recipe::rows(),
        ];
        for preset in presets {
            assert_eq!(preset.validate(), Ok(()), "{preset:?}");
        }
        assert!(Recipe::simclr_small(-1.0).validate().is_err());
        assert!(Recipe::simclr_small(3.0).validate().is_err());
    }

    #[test]
    fn only_the_second_view_of_byol_is_solarized() {
        assert_eq!(Recipe::byol(0).solarize, None);
        assert_eq!(Recipe::byol(1).solarize, Some(Solarize { threshold: 0.5, probability: 0.2 }));
        assert_eq!(Recipe { solarize: None, ..Recipe::byol(1) }, Recipe::byol(0));
    }
}

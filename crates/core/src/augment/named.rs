//! Pairs of views by name: the recipes of the papers, for images of ImageNet's size and of CIFAR's.
//!
//! Sources were read as numbers; what remains different is the same for all. Windows are resized bilinearly where the
//! authors of BYOL, Barlow Twins, VICReg and DINO do so bicubically. Colours change before an image turns grey, where
//! MoCo v1 turns it grey first. The blur has SimCLR's kernel, a tenth of the side (23 pixels of 224), also where authors
//! call Pillow's, which takes the same standard deviations and approximates the kernel.

use super::{AugmentError, ColorJitter, GaussianBlur, RandomResizedCrop, Recipe, Solarize};
use crate::backend::did_you_mean;

/// Two recipes, one a view, under the name that settings call them by.
#[derive(Clone, Copy, Debug)]
pub struct NamedViews {
    /// The name.
    pub name: &'static str,
    /// One line for a listing: what they do and where they come from.
    pub line: &'static str,
    recipes: fn() -> [Recipe; 2],
}

impl NamedViews {
    /// Every pair.
    pub const ALL: [Self; 16] = [
        Self {
            name: "peers",
            line: "crop 0.3, brightness and contrast 0.4; the head-to-head comparison's own",
            recipes: || twice(Recipe::peers()),
        },
        Self {
            name: "simclr_imagenet",
            line: "crop 0.08, jitter 0.8, blur 0.5; SimCLR, appendix A",
            recipes: || twice(blurred(Recipe::simclr_small(1.0), 0.5)),
        },
        Self {
            name: "simclr_cifar",
            line: "crop 0.08, jitter 0.4, no blur; SimCLR, appendix B.9",
            recipes: || twice(Recipe::simclr_small(0.5)),
        },
        Self {
            name: "moco_v1_imagenet",
            line: "crop 0.2, jitter 0.4 always, no blur; MoCo's main_moco.py",
            recipes: || twice(Recipe { jitter: Some(MOCO_V1), ..cropped(Recipe::moco_v2_small(), 0.2) }),
        },
        Self {
            name: "moco_v2_imagenet",
            line: "crop 0.2, jitter 0.4, blur 0.5; MoCo's main_moco.py with --aug-plus",
            recipes: || twice(blurred(cropped(Recipe::moco_v2_small(), 0.2), 0.5)),
        },
        Self {
            name: "moco_cifar",
            line: "crop 0.08, jitter 0.4, no blur; the CIFAR-10 demonstration of MoCo's authors, for both versions",
            recipes: || twice(Recipe::moco_v2_small()),
        },
        Self {
            name: "byol_imagenet",
            line: "crop 0.08, blur 1 and 0.1, solarize 0 and 0.2; BYOL, appendix B",
            recipes: byol_imagenet,
        },
        Self {
            name: "byol_cifar",
            line: "crop 0.08, no blur, solarize 0 and 0.2; solo-learn's cifar/byol.yaml",
            recipes: byol_cifar,
        },
        Self {
            name: "swav_imagenet",
            line: "crop 0.14, jitter 0.8, blur 0.5; SwAV's multicropdataset.py",
            recipes: || twice(cropped(blurred(Recipe::simclr_small(1.0), 0.5), 0.14)),
        },
        Self {
            name: "swav_cifar",
            line: "crop 0.14, jitter 0.4, no blur; lightly's CIFAR-10 benchmark",
            recipes: || twice(cropped(Recipe::simclr_small(0.5), 0.14)),
        },
        Self {
            name: "dino_imagenet",
            line: "crop 0.4, blur 1 and 0.1, solarize 0 and 0.2; DINO's main_dino.py, to go with its small crops",
            recipes: || byol_imagenet().map(|view| cropped(view, 0.4)),
        },
        Self {
            name: "dino_cifar",
            line: "crop 0.4, no blur, solarize 0 and 0.2; lightly's CIFAR-10 benchmark",
            recipes: || byol_cifar().map(|view| cropped(view, 0.4)),
        },
        Self { name: "barlow_twins_imagenet", line: "BYOL's; Barlow Twins' main.py", recipes: byol_imagenet },
        Self {
            name: "barlow_twins_cifar",
            line: "BYOL's without blur; solo-learn's cifar/barlow.yaml",
            recipes: byol_cifar,
        },
        Self {
            name: "vicreg_imagenet",
            line: "crop 0.08, blur 0.5, solarize 0.1; VICReg, appendix C.1 (its code has BYOL's pair)",
            recipes: || twice(solarized(blurred(Recipe::byol(0), 0.5), 0.1)),
        },
        Self {
            name: "vicreg_cifar",
            line: "crop 0.2, no blur, solarize 0.1; solo-learn's cifar/vicreg.yaml",
            recipes: || twice(solarized(cropped(Recipe::byol(0), 0.2), 0.1)),
        },
    ];

    /// The pair called `name`.
    ///
    /// # Errors
    /// [`AugmentError::UnknownViews`], with the nearest name.
    pub fn find(name: &str) -> Result<Self, AugmentError> {
        let names = Self::ALL.map(|views| views.name);
        Self::ALL.into_iter().find(|views| views.name == name).ok_or_else(|| AugmentError::UnknownViews {
            name: name.to_owned(),
            hint: did_you_mean(name, names),
            known: names.join(", "),
        })
    }

    /// The recipe of each view.
    pub fn recipes(&self) -> [Recipe; 2] {
        (self.recipes)()
    }
}

/// MoCo v1 changes the colours of every image.
const MOCO_V1: ColorJitter =
    ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.4, probability: 1.0 };

fn byol_imagenet() -> [Recipe; 2] {
    [blurred(Recipe::byol(0), 1.0), blurred(Recipe::byol(1), 0.1)]
}

fn byol_cifar() -> [Recipe; 2] {
    [Recipe::byol(0), Recipe::byol(1)]
}

fn twice(recipe: Recipe) -> [Recipe; 2] {
    [recipe.clone(), recipe]
}

fn cropped(recipe: Recipe, smallest: f32) -> Recipe {
    Recipe { crop: Some(RandomResizedCrop { scale: (smallest, 1.0), ..RandomResizedCrop::default() }), ..recipe }
}

fn blurred(recipe: Recipe, probability: f32) -> Recipe {
    Recipe { blur: Some(GaussianBlur { probability, ..GaussianBlur::default() }), ..recipe }
}

fn solarized(recipe: Recipe, probability: f32) -> Recipe {
    Recipe { solarize: Some(Solarize { probability, ..Solarize::default() }), ..recipe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_their_recipes_valid() {
        for (place, views) in NamedViews::ALL.iter().enumerate() {
            assert!(NamedViews::ALL[place + 1..].iter().all(|other| other.name != views.name), "{}", views.name);
            assert_eq!(NamedViews::find(views.name).map(|found| found.recipes()), Ok(views.recipes()));
            for recipe in views.recipes() {
                assert_eq!(recipe.validate(), Ok(()), "{}", views.name);
            }
        }
    }

    #[test]
    fn a_typo_gets_the_nearest_name() {
        let message = NamedViews::find("byol_cifra").map(|_| ()).map_err(|error| error.to_string());
        let message = message.expect_err("no such views");
        assert!(message.contains("`byol_cifra`") && message.contains("did you mean `byol_cifar`?"), "{message}");
        assert!(message.contains("vicreg_imagenet"), "{message}");
    }

    /// What the sources say, number by number: smallest crop, (brightness, contrast, saturation, hue, probability), grey,
    /// blur and solarization of each view.
    #[test]
    fn recipes_have_the_numbers_of_their_sources() {
        const STRONG: [f32; 5] = [0.8, 0.8, 0.8, 0.2, 0.8];
        const HALF: [f32; 5] = [0.4, 0.4, 0.4, 0.1, 0.8];
        const BYOL: [f32; 5] = [0.4, 0.4, 0.2, 0.1, 0.8];
        const ALWAYS: [f32; 5] = [0.4, 0.4, 0.4, 0.4, 1.0];
        let sources = [
            ("simclr_imagenet", 0.08, STRONG, [0.5, 0.5], [0.0, 0.0]),
            ("simclr_cifar", 0.08, HALF, [0.0, 0.0], [0.0, 0.0]),
            ("moco_v1_imagenet", 0.2, ALWAYS, [0.0, 0.0], [0.0, 0.0]),
            ("moco_v2_imagenet", 0.2, HALF, [0.5, 0.5], [0.0, 0.0]),
            ("moco_cifar", 0.08, HALF, [0.0, 0.0], [0.0, 0.0]),
            ("byol_imagenet", 0.08, BYOL, [1.0, 0.1], [0.0, 0.2]),
            ("byol_cifar", 0.08, BYOL, [0.0, 0.0], [0.0, 0.2]),
            ("swav_imagenet", 0.14, STRONG, [0.5, 0.5], [0.0, 0.0]),
            ("swav_cifar", 0.14, HALF, [0.0, 0.0], [0.0, 0.0]),
            ("dino_imagenet", 0.4, BYOL, [1.0, 0.1], [0.0, 0.2]),
            ("dino_cifar", 0.4, BYOL, [0.0, 0.0], [0.0, 0.2]),
            ("barlow_twins_imagenet", 0.08, BYOL, [1.0, 0.1], [0.0, 0.2]),
            ("barlow_twins_cifar", 0.08, BYOL, [0.0, 0.0], [0.0, 0.2]),
            ("vicreg_imagenet", 0.08, BYOL, [0.5, 0.5], [0.1, 0.1]),
            ("vicreg_cifar", 0.2, BYOL, [0.0, 0.0], [0.1, 0.1]),
        ];
        assert_eq!(sources.len() + 1, NamedViews::ALL.len(), "all but the comparison's own");
        for (name, smallest, jitter, blur, solarize) in sources {
            for (view, recipe) in NamedViews::find(name).expect(name).recipes().iter().enumerate() {
                let crop = recipe.crop.expect(name);
                assert_eq!((crop.scale, crop.ratio), ((smallest, 1.0), (3.0 / 4.0, 4.0 / 3.0)), "{name}");
                let j = recipe.jitter.expect(name);
                assert_eq!([j.brightness, j.contrast, j.saturation, j.hue, j.probability], jitter, "{name}");
                assert_eq!((recipe.flip, recipe.grayscale), (0.5, 0.2), "{name}");
                let blurring = recipe.blur.map_or(0.0, |blur| blur.probability);
                let solarizing = recipe.solarize.map_or(0.0, |solarize| solarize.probability);
                assert_eq!((blurring, solarizing), (blur[view], solarize[view]), "{name}, view {view}");
                assert!(
                    recipe.blur.is_none_or(|blur| blur.sigma == (0.1, 2.0) && blur.kernel_fraction == 0.1),
                    "{name}"
                );
                assert!(recipe.solarize.is_none_or(|solarize| solarize.threshold == 0.5), "{name}");
            }
        }
    }
}

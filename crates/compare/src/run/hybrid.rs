//! Hybrids of two methods that train one encoder: their names, and how they share the budget.

use super::{
    config::Config,
    method::{Deep, MethodName, NameError},
};
use anyhow::ensure;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How two methods share an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// The first trains it, then the second goes on.
    Then,
    /// Both train it at once.
    With,
}

impl Combination {
    /// Between the names of the methods. No method's name holds a hyphen.
    fn word(self) -> &'static str {
        match self {
            Self::Then => "-then-",
            Self::With => "-with-",
        }
    }
}

/// A contrastive method and one that uses labels, on one encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hybrid {
    /// The contrastive one.
    pub first: Deep,
    /// How they share the encoder.
    pub combination: Combination,
    /// The one that uses labels.
    pub second: Deep,
}

impl Hybrid {
    /// Forms of the names with a line each, for the listing.
    pub const LISTING: [(&'static str, &'static str); 2] = [
        ("A-then-B", "hybrid: the contrastive A, then B goes on with its encoder, for example simclr-then-triplet"),
        ("A-with-B", "hybrid: the contrastive A and B train one encoder at once, for example simclr-with-triplet"),
    ];

    /// The hybrid of that name; `None` if the name has no such form.
    pub fn parse(name: &str) -> Option<Result<Self, NameError>> {
        let mut forms = [Combination::Then, Combination::With].into_iter();
        let (combination, (first, second)) = forms.find_map(|c| Some((c, name.split_once(c.word())?)))?;
        let part = |part: &str| match Deep::find(part) {
            Some(deep) => Ok(deep),
            // It exists, but has no encoder to train.
            None if MethodName::listing().any(|(known, _)| known == part) => {
                Err(NameError::Hybrid { name: name.to_owned() })
            }
            None => Err(NameError::unknown(part)),
        };
        Some(part(first).and_then(|first| Self { first, combination, second: part(second)? }.checked()))
    }

    /// Two methods of one family would be neither pre-training nor a combination of both kinds of supervision.
    fn checked(self) -> Result<Self, NameError> {
        let fit = self.first.family() == "contrastive" && self.second.needs_labels();
        if fit { Ok(self) } else { Err(NameError::Hybrid { name: self.to_string() }) }
    }
}

impl fmt::Display for Hybrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.first.name(), self.combination.word(), self.second.name())
    }
}

/// How hybrids of two methods train.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HybridSettings {
    /// Share of the images of `A-then-B` that A sees, in (0, 1); B sees the others. Default a half, ours: nothing is
    /// known of either method's needs.
    pub pretrain_share: f64,
    /// Weight of B's loss in `A-with-B`, above 0; A's has 1. Default 1, the plain sum, as in S4L (Zhai et al. 2019).
    pub weight: f64,
}

impl Default for HybridSettings {
    fn default() -> Self {
        Self { pretrain_share: 0.5, weight: 1.0 }
    }
}

/// What one training run may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Images seen.
    pub images: usize,
    /// Parts of the run that are reported, checked and saved together.
    pub epochs: usize,
}

impl Stage {
    /// What every method may spend on so many training images: whole batches, in all epochs.
    pub fn whole(config: &Config, images: usize) -> Self {
        let (batch, epochs) = (config.batch().min(images).max(1), config.epochs);
        Self { images: images / batch * batch * epochs, epochs }
    }
}

impl HybridSettings {
    /// Checks both ranges.
    pub fn validate(&self) -> anyhow::Result<()> {
        let Self { pretrain_share: share, weight } = *self;
        ensure!(share > 0.0 && share < 1.0, "hybrid.pretrain_share must be in (0, 1), got {share}");
        ensure!(weight > 0.0 && weight.is_finite(), "hybrid.weight must be finite and above 0, got {weight}");
        Ok(())
    }

    /// The budgets of A and of B: together `whole`, in steps of `batch` images, at least one step each.
    pub fn stages(&self, whole: Stage, batch: usize) -> [Stage; 2] {
        let part = |whole: usize| ((whole as f64 * self.pretrain_share).round() as usize).clamp(1, (whole - 1).max(1));
        let steps = (whole.images / batch).max(1);
        let first = Stage { images: part(steps) * batch, epochs: part(whole.epochs.max(1)) };
        // What is left of a single step or epoch is nothing; training rounds it up to one.
        let second = Stage {
            images: whole.images.saturating_sub(first.images),
            epochs: whole.epochs.saturating_sub(first.epochs).max(1),
        };
        [first, second]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::method::{Base, Linear};

    #[test]
    fn names_round_trip() {
        let parsed: MethodName = "simclr-then-triplet".parse().unwrap();
        let hybrid = Hybrid { first: Deep::SimClr, combination: Combination::Then, second: Deep::Triplet };
        assert_eq!(parsed, MethodName { base: Base::Hybrid(hybrid), metric: None });
        for name in [
            "simclr-then-triplet",
            "moco_v3-then-deep_mahalanobis",
            "byol-with-multi_similarity",
            "vicreg-with-supervised",
            "simclr-then-triplet+lmnn",
        ] {
            let method: MethodName = name.parse().unwrap();
            assert_eq!(method.to_string(), name);
            assert_eq!(method.paradigm(), "hybrid");
            assert!(method.needs_labels());
        }
        let parsed: MethodName = "simclr-then-triplet+lmnn".parse().unwrap();
        assert_eq!(parsed, MethodName { base: Base::Hybrid(hybrid), metric: Some(Linear::Lmnn) });
    }

    #[test]
    fn names_that_cannot_be_are_refused_with_the_way_out() {
        let message = |name: &str| name.parse::<MethodName>().unwrap_err().to_string();
        assert!(message("simclr-then-tripplet").contains("did you mean `triplet`?"));
        assert!(message("simclrr-with-triplet").contains("did you mean `simclr`?"));
        for name in ["triplet-then-simclr", "simclr-with-moco", "triplet-with-siamese"] {
            let message = message(name);
            assert!(message.contains(name) && message.contains("simclr-then-triplet"), "{message}");
        }
        // What stands on principal components has no encoder to go on with.
        assert!(message("simclr-then-lmnn").contains("simclr+lmnn"), "{}", message("simclr-then-lmnn"));
        assert!("simclr-then-triplet-then-siamese".parse::<MethodName>().is_err());
        assert!("-then-".parse::<MethodName>().is_err());
    }

    #[test]
    fn stages_add_up_to_the_whole_budget() {
        for (share, images, epochs, first) in [(0.5, 2560, 10, 1280), (0.25, 2560, 10, 768), (0.99, 512, 2, 256)] {
            let settings = HybridSettings { pretrain_share: share, ..HybridSettings::default() };
            let [a, b] = settings.stages(Stage { images, epochs }, 256);
            assert_eq!(a.images, first, "{share}");
            assert_eq!((a.images + b.images, a.epochs + b.epochs), (images, epochs), "{share}");
            assert!(b.images > 0 && b.epochs > 0);
        }
        let [a, b] = HybridSettings::default().stages(Stage { images: 64, epochs: 1 }, 64);
        assert_eq!((a, b), (Stage { images: 64, epochs: 1 }, Stage { images: 0, epochs: 1 }));
    }

    #[test]
    fn bad_settings_are_named() {
        for share in [0.0, 1.0, -0.5, f64::NAN] {
            let bad = HybridSettings { pretrain_share: share, ..HybridSettings::default() };
            assert!(bad.validate().unwrap_err().to_string().contains("hybrid.pretrain_share"));
        }
        for weight in [0.0, f64::INFINITY, f64::NAN] {
            let bad = HybridSettings { weight, ..HybridSettings::default() };
            assert!(bad.validate().unwrap_err().to_string().contains("hybrid.weight"));
        }
        HybridSettings::default().validate().unwrap();
    }
}

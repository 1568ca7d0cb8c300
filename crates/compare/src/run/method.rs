//! The table of methods, and how each is trained.

mod name;

pub use name::{Base, MethodName, NameError};

use super::{any_method::any_method, baseline::Supervised};
use anyhow::{Context, ensure};
use contrastive::{
    BarlowTwins, Byol, Dcl, Dclw, Dino, FastSiam, Mmcr, Moco, MocoV3, Nnclr, ReSsl, SimClr, SimSiam, SwAv, TiCo,
    VicReg, WMse,
};
use metric::{
    mahalanobis::{Covariance, Itml, Learner, Lfda, Lmnn, Lsml, Mlkr, Mmc, Nca, Rca, Scml, Sdml},
    methods::{DeepMahalanobis, LossMethod, LossSettings, LossTraining, Siamese, SupConMethod, TripletMethod},
};
use nearfar_core::{optim::OptimizerConfig, train::Method};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Declares everything that is said once a method: its variant of [`Deep`], its name in lists and in `config.toml`, its
/// settings, its learning rate, its line in the listing, which begins with its family; and below the same of the learners
/// of Mahalanobis metrics, whose settings are called as their variant of [`Linear`].
macro_rules! method_table {
    (
        deep { $($variant:ident $name:ident: $settings:ty, $rate:expr, $line:literal;)* }
        linear { $($kind:ident $learner:ident, $about:literal;)* }
    ) => {
        /// A method trained by gradient descent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Deep {
            $(#[doc = $line] $variant,)*
            /// The loss of that place in [`LossSettings::LISTING`].
            Loss(usize),
        }

        /// Name, method and line of every method trained by gradient descent.
        const DEEP: &[(&str, Deep, &str)] = &[$((stringify!($name), Deep::$variant, $line),)*];

        /// A learner of a Mahalanobis metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Linear {
            /// The default one: LMNN.
            Mahalanobis,
            $(#[doc = $about] $kind,)*
        }

        /// Name, learner and line of every Mahalanobis metric. Alone they stand on principal components.
        const LINEAR: &[(&str, Linear, &str)] = &[
            ("mahalanobis", Linear::Mahalanobis, "metric: LMNN on principal components"),
            $((stringify!($learner), Linear::$kind, $about),)*
        ];

        /// Settings of every method, by name.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[allow(missing_docs)]
        pub struct MethodSettings {
            $(pub $name: Tuned<$settings>,)*
            $(pub $learner: $kind,)*
            /// Every other loss of `metric`, by its name.
            pub losses: BTreeMap<String, Tuned<LossTraining>>,
            /// Classes of the data, filled in from them.
            #[serde(skip)]
            pub classes: usize,
        }

        impl Default for MethodSettings {
            fn default() -> Self {
                Self {
                    $($name: Tuned::at($rate),)*
                    $($learner: $kind::default(),)*
                    losses: losses(),
                    classes: 0,
                }
            }
        }

        impl MethodSettings {
            /// Hands the method `deep` and its optimiser's settings to `visitor`, as the one type for all: what the visitor
            /// does is compiled once, not once for each method.
            pub fn visit<V: DeepVisitor>(&self, deep: Deep, visitor: V) -> anyhow::Result<V::Output> {
                let (method, optimizer) = self.any(deep)?;
                Ok(visitor.visit(&method, optimizer))
            }

            /// The method `deep` as a value of the one type for all, and its optimiser's settings.
            pub fn any(&self, deep: Deep) -> anyhow::Result<(AnyMethod, &OptimizerConfig)> {
                let (mut method, optimizer) = match deep {
                    $(Deep::$variant => {
                        (AnyMethod::$variant(Clone::clone(&self.$name.settings)), &self.$name.optimizer)
                    })*
                    Deep::Loss(place) => {
                        let tuned = self.loss(place)?;
                        (AnyMethod::Loss(tuned.settings.clone().method(self.classes)?), &tuned.optimizer)
                    }
                };
                if let AnyMethod::Supervised(supervised) = &mut method {
                    supervised.classes = self.classes;
                }
                Ok((method, optimizer))
            }

            /// The learner of a Mahalanobis metric.
            pub fn learner(&self, metric: Linear) -> &dyn Learner {
                match metric {
                    Linear::Mahalanobis => &self.lmnn,
                    $(Linear::$kind => &self.$learner,)*
                }
            }

            fn validate_deep(&self, deep: Deep) -> anyhow::Result<()> {
                match deep {
                    $(Deep::$variant => {
                        self.$name.settings.validate()?;
                        self.$name.optimizer.validate()?;
                    })*
                    Deep::Loss(place) => {
                        let tuned = self.loss(place)?;
                        tuned.settings.validate()?;
                        tuned.optimizer.validate()?;
                    }
                }
                Ok(())
            }
        }

        any_method! { $($variant: $settings,)* Loss: LossMethod, }
    };
}

method_table! {
    deep {
        Supervised supervised: Supervised, METRIC_RATE, "baseline: cross-entropy on the labels";
        Siamese siamese: Siamese, METRIC_RATE, "metric: contrastive loss on pairs";
        Triplet triplet: TripletMethod, METRIC_RATE, "metric: triplet loss on mined triplets";
        Mahalanobis deep_mahalanobis: DeepMahalanobis, METRIC_RATE, "metric: triplet loss under a learnt linear distance";
        SupCon supcon: SupConMethod, METRIC_RATE, "metric: supervised contrastive loss";
        SimClr simclr: SimClr, CONTRASTIVE_RATE, "contrastive: NT-Xent on two views";
        Dcl dcl: Dcl, CONTRASTIVE_RATE, "contrastive: NT-Xent without the positive in the denominator";
        Dclw dclw: Dclw, CONTRASTIVE_RATE, "contrastive: dcl with more weight on far pairs";
        Moco moco: Moco, CONTRASTIVE_RATE, "contrastive: InfoNCE against a queue of keys";
        MocoV3 moco_v3: MocoV3, CONTRASTIVE_RATE, "contrastive: InfoNCE against the batch, momentum network and predictor";
        Nnclr nnclr: Nnclr, CONTRASTIVE_RATE, "contrastive: positives are nearest neighbours in a queue";
        ReSsl ressl: ReSsl, CONTRASTIVE_RATE, "contrastive: keeps a teacher's similarities to a queue";
        Byol byol: Byol, CONTRASTIVE_RATE, "contrastive: predicts a momentum network, no negatives";
        SimSiam simsiam: SimSiam, CONTRASTIVE_RATE, "contrastive: predictor and stop-gradient, no negatives";
        FastSiam fast_siam: FastSiam, CONTRASTIVE_RATE, "contrastive: simsiam with the mean of several views as target";
        BarlowTwins barlow_twins: BarlowTwins, CONTRASTIVE_RATE, "contrastive: cross-correlation of the views to the identity";
        VicReg vicreg: VicReg, CONTRASTIVE_RATE, "contrastive: invariance, variance and covariance terms";
        WMse w_mse: WMse, CONTRASTIVE_RATE, "contrastive: distance of whitened views";
        TiCo tico: TiCo, CONTRASTIVE_RATE, "contrastive: invariance against a running covariance";
        Mmcr mmcr: Mmcr, CONTRASTIVE_RATE, "contrastive: nuclear norm of the views' centroids";
        SwAv swav: SwAv, CONTRASTIVE_RATE, "contrastive: swapped assignments to prototypes";
        Dino dino: Dino, CONTRASTIVE_RATE, "contrastive: distillation from a centred, sharpened momentum teacher";
    }
    linear {
        Lmnn lmnn, "metric: large-margin nearest neighbours on principal components";
        Nca nca, "metric: neighbourhood components analysis on principal components";
        Itml itml, "metric: information-theoretic metric learning on principal components";
        Covariance covariance, "metric: the inverse covariance on principal components, without labels";
        Rca rca, "metric: relevant component analysis on principal components";
        Lfda lfda, "metric: local Fisher discriminant analysis on principal components";
        Mlkr mlkr, "metric: metric learning for kernel regression on principal components";
        Mmc mmc, "metric: Mahalanobis metric for clustering on principal components";
        Lsml lsml, "metric: least squared-residual metric learning on principal components";
        Sdml sdml, "metric: sparse distance metric learning on principal components";
        Scml scml, "metric: sparse compositional metric learning on principal components";
    }
}

impl Deep {
    /// Its name in lists and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss(place) => LossSettings::LISTING[place].0,
            deep => DEEP.iter().find(|(_, other, _)| *other == deep).map_or("", |(name, ..)| name),
        }
    }

    /// Whether training uses labels: all methods do but the contrastive ones, by the family that their line begins
    /// with, and losses without labels.
    pub fn needs_labels(self) -> bool {
        match self {
            Self::Loss(place) => LossSettings::parse(LossSettings::LISTING[place].0).is_ok_and(|l| l.uses_labels()),
            deep => DEEP.iter().any(|(_, other, line)| *other == deep && !line.starts_with("contrastive:")),
        }
    }
}

/// Does something with the settings of one method trained by gradient descent.
pub trait DeepVisitor {
    /// What comes of it.
    type Output;

    /// Called once, with the method asked for.
    fn visit<M: Method>(self, method: &M, optimizer: &OptimizerConfig) -> Self::Output;
}

/// A method's own settings beside its optimiser's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuned<S: Default> {
    /// Optimiser and schedule.
    pub optimizer: OptimizerConfig,
    /// The method's settings.
    pub settings: S,
}

impl<S: Default> Tuned<S> {
    /// The method's default settings at a learning rate.
    fn at(learning_rate: f64) -> Self {
        let optimizer = OptimizerConfig { learning_rate, ..OptimizerConfig::default() };
        Self { optimizer, settings: S::default() }
    }
}

/// Learning rates chosen on validation images of Fashion-MNIST among two for each family, the peers' 1e-3 and these
/// (docs/results/peers.md).
const METRIC_RATE: f64 = 3e-3;
const CONTRASTIVE_RATE: f64 = 4e-3;

/// Losses of the table in `metric`, each with its default settings.
fn losses() -> BTreeMap<String, Tuned<LossTraining>> {
    let tuned = |name: &str| {
        let settings = LossTraining::new(LossSettings::parse(name).expect("the name stands in the listing"));
        (name.to_owned(), Tuned { settings, ..Tuned::at(METRIC_RATE) })
    };
    LossSettings::names().map(tuned).collect()
}

impl MethodSettings {
    /// The same for data of so many classes.
    pub fn for_classes(&self, classes: usize) -> Self {
        Self { classes, ..self.clone() }
    }

    /// The settings of a loss of the table; a file may name others under its name.
    pub fn loss(&self, place: usize) -> anyhow::Result<&Tuned<LossTraining>> {
        let (name, _) = LossSettings::LISTING[place];
        let tuned = self.losses.get(name).with_context(|| format!("no settings under method.losses.{name}"))?;
        let found = tuned.settings.loss.name();
        ensure!(found == name, "method.losses.{name} holds the settings of `{found}`: its loss must be `{name}`");
        Ok(tuned)
    }

    /// Checks the reducers of methods that have their own settings against data of so many classes; losses of the table
    /// are checked when they are built.
    pub fn check_classes(&self, deep: Deep, classes: usize) -> anyhow::Result<()> {
        let reducer = match deep {
            Deep::Siamese => &self.siamese.settings.loss.reducer,
            Deep::Triplet => &self.triplet.settings.loss.reducer,
            Deep::Mahalanobis => &self.deep_mahalanobis.settings.loss.reducer,
            Deep::SupCon => &self.supcon.settings.loss.reducer,
            _ => return Ok(()),
        };
        Ok(reducer.validate_for(classes)?)
    }

    /// Checks every setting of the methods that will run.
    pub fn validate(&self, methods: &[MethodName]) -> anyhow::Result<()> {
        for method in methods {
            for deep in method.base.trained() {
                self.validate_deep(deep).with_context(|| format!("settings of {}", deep.name()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_valid_defaults_its_own_name_and_a_family() {
        struct Name;
        impl DeepVisitor for Name {
            type Output = &'static str;
            fn visit<M: Method>(self, method: &M, _: &OptimizerConfig) -> &'static str {
                method.name()
            }
        }
        let settings = MethodSettings { classes: 3, ..MethodSettings::default() };
        for (place, (name, _)) in LossSettings::LISTING.iter().enumerate() {
            settings.validate_deep(Deep::Loss(place)).unwrap();
            assert_eq!(settings.visit(Deep::Loss(place), Name).unwrap(), *name);
            let method = name.parse::<MethodName>().unwrap();
            assert_eq!(method.paradigm() == "metric", *name != "instance", "{name}");
            assert_eq!(method.needs_labels(), *name != "instance", "{name}");
        }
        for (name, deep, line) in DEEP {
            settings.validate_deep(*deep).unwrap();
            assert_eq!(settings.visit(*deep, Name).unwrap(), *name);
            let family = line.split_once(':').expect("a line begins with a family").0;
            assert_eq!((deep.name(), deep.needs_labels()), (*name, family != "contrastive"));
            assert!(["baseline", "metric", "contrastive"].contains(&family), "{line}");
        }
    }
}

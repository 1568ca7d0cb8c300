//! The table of methods: names, families, and how each is trained.

use anyhow::{Context, ensure};
use contrastive::{
    BarlowTwins, Byol, Dcl, Dclw, Dino, FastSiam, Mmcr, Moco, MocoV3, Nnclr, ReSsl, SimClr, SimSiam, SwAv, TiCo,
    VicReg, WMse,
};
use metric::{
    mahalanobis::{Covariance, Itml, Learner, Lfda, Lmnn, Lsml, Mlkr, Mmc, Nca, Rca, Scml, Sdml},
    methods::{DeepMahalanobis, LossMethod, LossSettings, LossTraining, Siamese, SupConMethod, TripletMethod},
};
use nearfar_core::{backend::did_you_mean, optim::OptimizerConfig, train::Method};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

use super::{any_method::any_method, baseline::Supervised, hybrid::Hybrid};

/// Declares everything that is said once a method: its variant of [`Deep`], its name in lists and in `config.toml`, its
/// settings, its learning rate, its line in the listing, which begins with its family; and below, the learners of
/// Mahalanobis metrics by their names in `config.toml`.
macro_rules! method_table {
    (
        deep { $($variant:ident $name:ident: $settings:ty, $rate:expr, $line:literal;)* }
        linear { $($learner:ident: $learner_settings:ty;)* }
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

        /// Settings of every method, by name.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[allow(missing_docs)]
        pub struct MethodSettings {
            $(pub $name: Tuned<$settings>,)*
            $(pub $learner: $learner_settings,)*
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
                    $($learner: <$learner_settings>::default(),)*
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
                Ok(match deep {
                    $(Deep::$variant => {
                        (AnyMethod::$variant(Clone::clone(&self.$name.settings)), &self.$name.optimizer)
                    })*
                    Deep::Loss(place) => {
                        let tuned = self.loss(place)?;
                        (AnyMethod::Loss(tuned.settings.clone().method(self.classes)?), &tuned.optimizer)
                    }
                })
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
        lmnn: Lmnn;
        nca: Nca;
        itml: Itml;
        covariance: Covariance;
        rca: Rca;
        lfda: Lfda;
        mlkr: Mlkr;
        mmc: Mmc;
        lsml: Lsml;
        sdml: Sdml;
        scml: Scml;
    }
}

impl Deep {
    /// The method of that name.
    pub fn find(name: &str) -> Option<Self> {
        bases().find_map(|(known, base, _)| match base {
            Base::Deep(deep) if known == name => Some(deep),
            _ => None,
        })
    }

    /// metric, contrastive or baseline.
    pub fn family(self) -> &'static str {
        MethodName { base: Base::Deep(self), metric: None }.paradigm()
    }

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

/// A Mahalanobis learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linear {
    /// The default one: LMNN.
    Mahalanobis,
    /// Large-margin nearest neighbours.
    Lmnn,
    /// Neighbourhood components analysis.
    Nca,
    /// Information-theoretic metric learning.
    Itml,
    /// The inverse covariance.
    Covariance,
    /// Relevant component analysis.
    Rca,
    /// Local Fisher discriminant analysis.
    Lfda,
    /// Metric learning for kernel regression.
    Mlkr,
    /// Mahalanobis metric for clustering.
    Mmc,
    /// Least squared-residual metric learning.
    Lsml,
    /// Sparse distance metric learning.
    Sdml,
    /// Sparse compositional metric learning.
    Scml,
}

/// What features come from before any Mahalanobis metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The data as they are.
    Pixels,
    /// Principal components of the data.
    Pca,
    /// The encoder with its initial weights.
    Untrained,
    /// A trained encoder.
    Deep(Deep),
    /// An encoder that two methods trained.
    Hybrid(Hybrid),
}

impl Base {
    /// The methods that train.
    pub fn trained(self) -> impl Iterator<Item = Deep> {
        let (first, second) = match self {
            Self::Pixels | Self::Pca | Self::Untrained => (None, None),
            Self::Deep(deep) => (Some(deep), None),
            Self::Hybrid(hybrid) => (Some(hybrid.first), Some(hybrid.second)),
        };
        first.into_iter().chain(second)
    }
}

/// A row of the table: features, and perhaps a Mahalanobis metric learnt on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodName {
    /// Where features come from.
    pub base: Base,
    /// The metric on top.
    pub metric: Option<Linear>,
}

/// Features without training.
const BASES: [(&str, Base, &str); 3] = [
    ("pixels", Base::Pixels, "baseline: the data themselves"),
    ("pca", Base::Pca, "baseline: 64 principal components of the data"),
    ("untrained", Base::Untrained, "baseline: the encoder with its initial weights"),
];

/// Name, features and line of everything that a Mahalanobis metric may stand on.
fn bases() -> impl Iterator<Item = (&'static str, Base, &'static str)> {
    let losses = LossSettings::LISTING.iter().enumerate();
    BASES
        .into_iter()
        .chain(DEEP.iter().map(|&(name, deep, line)| (name, Base::Deep(deep), line)))
        .chain(losses.map(|(place, &(name, line))| (name, Base::Deep(Deep::Loss(place)), line)))
}

/// Mahalanobis learners: alone they stand on principal components.
const METRICS: [(&str, Linear, &str); 12] = [
    ("mahalanobis", Linear::Mahalanobis, "metric: LMNN on principal components"),
    ("lmnn", Linear::Lmnn, "metric: large-margin nearest neighbours on principal components"),
    ("nca", Linear::Nca, "metric: neighbourhood components analysis on principal components"),
    ("itml", Linear::Itml, "metric: information-theoretic metric learning on principal components"),
    ("covariance", Linear::Covariance, "metric: the inverse covariance on principal components, without labels"),
    ("rca", Linear::Rca, "metric: relevant component analysis on principal components"),
    ("lfda", Linear::Lfda, "metric: local Fisher discriminant analysis on principal components"),
    ("mlkr", Linear::Mlkr, "metric: metric learning for kernel regression on principal components"),
    ("mmc", Linear::Mmc, "metric: Mahalanobis metric for clustering on principal components"),
    ("lsml", Linear::Lsml, "metric: least squared-residual metric learning on principal components"),
    ("sdml", Linear::Sdml, "metric: sparse distance metric learning on principal components"),
    ("scml", Linear::Scml, "metric: sparse compositional metric learning on principal components"),
];

impl MethodName {
    /// What `all` means: the baselines, both families, and a hybrid, right behind the method whose features it takes, so
    /// that they are computed once.
    pub const ALL: &'static str =
        "pixels,pca,untrained,supervised,mahalanobis,siamese,triplet,supcon,simclr,simclr+lmnn,moco,byol,simsiam";

    /// Name and one line of every row that can be asked for, hybrids aside.
    pub fn listing() -> impl Iterator<Item = (&'static str, &'static str)> {
        bases().map(|(name, _, line)| (name, line)).chain(METRICS.iter().map(|(name, _, line)| (*name, *line)))
    }

    /// metric, contrastive, baseline or hybrid.
    pub fn paradigm(self) -> &'static str {
        match (self.base, self.metric) {
            (Base::Pca, Some(_)) => "metric",
            (_, Some(_)) | (Base::Hybrid(_), None) => "hybrid",
            (Base::Deep(Deep::Loss(_)), None) => {
                if self.needs_labels() {
                    "metric"
                } else {
                    "contrastive"
                }
            }
            // The line of a method begins with its family.
            (base, None) => bases()
                .find(|(_, b, _)| *b == base)
                .and_then(|(.., line)| line.split_once(':'))
                .map_or("baseline", |(family, _)| family),
        }
    }

    /// Whether training uses labels.
    pub fn needs_labels(self) -> bool {
        let base = self.base.trained().any(Deep::needs_labels);
        base || self.metric.is_some_and(|metric| metric != Linear::Covariance)
    }

    /// A list as on the command line: names separated by commas, `all` for the standard set.
    pub fn parse_list(list: &str) -> Result<Vec<Self>, NameError> {
        let mut methods: Vec<Self> = Vec::new();
        for name in list.split(',').map(str::trim).filter(|n| !n.is_empty()) {
            let names = if name == "all" { Self::ALL } else { name };
            for name in names.split(',') {
                let method = name.parse()?;
                if !methods.contains(&method) {
                    methods.push(method);
                }
            }
        }
        if methods.is_empty() {
            Err(NameError::Unknown { name: list.to_owned(), hint: String::new() })
        } else {
            Ok(methods)
        }
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = match self.base {
            Base::Hybrid(hybrid) => hybrid.to_string(),
            _ => bases().find(|(_, base, _)| *base == self.base).map_or("", |(name, ..)| name).to_owned(),
        };
        match self.metric {
            None => f.write_str(&base),
            Some(metric) => {
                let metric = METRICS.iter().find(|(_, m, _)| *m == metric).map_or("", |(name, ..)| name);
                if self.base == Base::Pca { f.write_str(metric) } else { write!(f, "{base}+{metric}") }
            }
        }
    }
}

/// A name that stands for no method.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// There is none of that name.
    #[error("unknown method `{name}`{hint}; `compare list` names them all")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest known name, as a sentence part.
        hint: String,
    },
    /// Two methods that do not go together.
    #[error(
        "`{name}` is no hybrid: the first method must be contrastive and the second train an encoder with labels, for \
         example simclr-then-triplet or simclr-with-supervised; a Mahalanobis learner stands on frozen features: \
         simclr+lmnn"
    )]
    Hybrid {
        /// What was asked for.
        name: String,
    },
}

impl NameError {
    /// With the nearest name that there is.
    pub fn unknown(name: &str) -> Self {
        let hint = did_you_mean(name, MethodName::listing().map(|(name, _)| name));
        Self::Unknown { name: name.to_owned(), hint }
    }
}

impl FromStr for MethodName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let metric = |part: &str| METRICS.iter().find(|(n, ..)| *n == part).map(|(_, m, _)| *m);
        let base = |part: &str| match bases().find(|(n, ..)| *n == part) {
            Some((_, base, _)) => Ok(Some(base)),
            None => Hybrid::parse(part).transpose().map(|hybrid| hybrid.map(Base::Hybrid)),
        };
        let unknown = NameError::unknown;
        match name.split_once('+') {
            Some((left, right)) => Ok(Self {
                base: base(left)?.ok_or_else(|| unknown(left))?,
                metric: Some(metric(right).ok_or_else(|| unknown(right))?),
            }),
            None => match (base(name)?, metric(name)) {
                (Some(base), _) => Ok(Self { base, metric: None }),
                (None, Some(metric)) => Ok(Self { base: Base::Pca, metric: Some(metric) }),
                (None, None) => Err(unknown(name)),
            },
        }
    }
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
        let loss = LossSettings::parse(name).expect("the name stands in the listing");
        let optimizer = OptimizerConfig { learning_rate: METRIC_RATE, ..OptimizerConfig::default() };
        (name.to_owned(), Tuned { optimizer, settings: LossTraining::new(loss) })
    };
    LossSettings::names().map(tuned).collect()
}

impl MethodSettings {
    /// The settings of a loss of the table; a file may name others under its name.
    pub fn loss(&self, place: usize) -> anyhow::Result<&Tuned<LossTraining>> {
        let (name, _) = LossSettings::LISTING[place];
        let tuned = self.losses.get(name).with_context(|| format!("no settings under method.losses.{name}"))?;
        let found = tuned.settings.loss.name();
        ensure!(found == name, "method.losses.{name} holds the settings of `{found}`: its loss must be `{name}`");
        Ok(tuned)
    }

    /// The learner of a Mahalanobis metric.
    pub fn learner(&self, metric: Linear) -> &dyn Learner {
        match metric {
            Linear::Mahalanobis | Linear::Lmnn => &self.lmnn,
            Linear::Nca => &self.nca,
            Linear::Itml => &self.itml,
            Linear::Covariance => &self.covariance,
            Linear::Rca => &self.rca,
            Linear::Lfda => &self.lfda,
            Linear::Mlkr => &self.mlkr,
            Linear::Mmc => &self.mmc,
            Linear::Lsml => &self.lsml,
            Linear::Sdml => &self.sdml,
            Linear::Scml => &self.scml,
        }
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
    fn names_round_trip() {
        for name in MethodName::parse_list("all,nca,itml,rca,deep_mahalanobis,untrained+scml").unwrap() {
            assert_eq!(name.to_string().parse::<MethodName>().unwrap(), name);
        }
    }

    #[test]
    fn typos_get_the_nearest_name() {
        let message = MethodName::parse_list("simclr,tripplet").unwrap_err().to_string();
        assert!(message.contains("`tripplet`") && message.contains("did you mean `triplet`?"), "{message}");
    }

    #[test]
    fn families() {
        let paradigm = |name: &str| name.parse::<MethodName>().unwrap().paradigm();
        assert_eq!(paradigm("lmnn"), "metric");
        assert_eq!(paradigm("deep_mahalanobis"), "metric");
        assert_eq!(paradigm("simclr+lmnn"), "hybrid");
        assert_eq!(paradigm("moco"), "contrastive");
        assert_eq!(paradigm("supervised"), "baseline");
        assert_eq!(paradigm("pca"), "baseline");
        assert_eq!(paradigm("supcon"), "metric");
        assert_eq!(paradigm("barlow_twins"), "contrastive");
    }

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

//! The table of methods: names, families, and how each is trained.

use contrastive::{Byol, Moco, SimClr, SimSiam};
use metric::{
    mahalanobis::{Covariance, Itml, Learner, Lfda, Lmnn, Lsml, Mlkr, Mmc, Nca, Rca, Scml, Sdml},
    methods::{DeepMahalanobis, Siamese, SupConMethod, TripletMethod},
};
use nearfar_core::{backend::did_you_mean, optim::OptimizerConfig};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

use super::baseline::Supervised;

/// A method trained by gradient descent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deep {
    /// Cross-entropy on the labels: the ceiling.
    Supervised,
    /// Contrastive loss on pairs.
    Siamese,
    /// Triplet margin loss on mined triplets.
    Triplet,
    /// Triplet loss under a linear distance learnt with the encoder.
    DeepMahalanobis,
    /// Supervised contrastive loss.
    SupCon,
    /// See [`SimClr`].
    SimClr,
    /// See [`Moco`].
    Moco,
    /// See [`Byol`].
    Byol,
    /// See [`SimSiam`].
    SimSiam,
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
}

/// A row of the table: features, and perhaps a Mahalanobis metric learnt on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodName {
    /// Where features come from.
    pub base: Base,
    /// The metric on top.
    pub metric: Option<Linear>,
}

const BASES: [(&str, Base, &str); 12] = [
    ("pixels", Base::Pixels, "baseline: the data themselves"),
    ("pca", Base::Pca, "baseline: 64 principal components of the data"),
    ("untrained", Base::Untrained, "baseline: the encoder with its initial weights"),
    ("supervised", Base::Deep(Deep::Supervised), "baseline: cross-entropy on the labels"),
    ("siamese", Base::Deep(Deep::Siamese), "metric: contrastive loss on pairs"),
    ("triplet", Base::Deep(Deep::Triplet), "metric: triplet loss on mined triplets"),
    ("deep_mahalanobis", Base::Deep(Deep::DeepMahalanobis), "metric: triplet loss under a learnt linear distance"),
    ("supcon", Base::Deep(Deep::SupCon), "metric: supervised contrastive loss"),
    ("simclr", Base::Deep(Deep::SimClr), "contrastive: NT-Xent on two views"),
    ("moco", Base::Deep(Deep::Moco), "contrastive: InfoNCE against a queue of keys"),
    ("byol", Base::Deep(Deep::Byol), "contrastive: predicts a momentum network, no negatives"),
    ("simsiam", Base::Deep(Deep::SimSiam), "contrastive: predictor and stop-gradient, no negatives"),
];

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
    /// What `all` means: the baselines, both families, and one hybrid of each kind of contrastive method with LMNN.
    pub const ALL: &'static str =
        "pixels,pca,untrained,supervised,mahalanobis,siamese,triplet,supcon,simclr,moco,byol,simsiam,simclr+lmnn";

    /// Name and one line of every row that can be asked for, hybrids aside.
    pub fn listing() -> impl Iterator<Item = (&'static str, &'static str)> {
        BASES.iter().map(|(name, _, line)| (*name, *line)).chain(METRICS.iter().map(|(name, _, line)| (*name, *line)))
    }

    /// metric, contrastive, baseline or hybrid.
    pub fn paradigm(self) -> &'static str {
        match (self.base, self.metric) {
            (Base::Pca, Some(_)) => "metric",
            (_, Some(_)) => "hybrid",
            (Base::Deep(Deep::Siamese | Deep::Triplet | Deep::DeepMahalanobis | Deep::SupCon), None) => "metric",
            (Base::Deep(Deep::SimClr | Deep::Moco | Deep::Byol | Deep::SimSiam), None) => "contrastive",
            _ => "baseline",
        }
    }

    /// Whether training uses labels.
    pub fn needs_labels(self) -> bool {
        let deep = Base::Deep(Deep::Supervised) == self.base;
        self.metric.is_some() || deep || self.paradigm() == "metric"
    }

    /// A list as on the command line: names separated by commas, `all` for the standard set.
    pub fn parse_list(list: &str) -> Result<Vec<Self>, UnknownMethod> {
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
        if methods.is_empty() { Err(UnknownMethod { name: list.to_owned(), hint: String::new() }) } else { Ok(methods) }
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = BASES.iter().find(|(_, base, _)| *base == self.base).map_or("", |(name, ..)| name);
        match self.metric {
            None => f.write_str(base),
            Some(metric) => {
                let metric = METRICS.iter().find(|(_, m, _)| *m == metric).map_or("", |(name, ..)| name);
                if self.base == Base::Pca { f.write_str(metric) } else { write!(f, "{base}+{metric}") }
            }
        }
    }
}

/// A method that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("unknown method `{name}`{hint}; `compare list` names them all")]
pub struct UnknownMethod {
    name: String,
    hint: String,
}

impl FromStr for MethodName {
    type Err = UnknownMethod;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let metric = |part: &str| METRICS.iter().find(|(n, ..)| *n == part).map(|(_, m, _)| *m);
        let base = |part: &str| BASES.iter().find(|(n, ..)| *n == part).map(|(_, b, _)| *b);
        let unknown = |part: &str| UnknownMethod {
            name: part.to_owned(),
            hint: did_you_mean(part, Self::listing().map(|(name, _)| name)),
        };
        match name.split_once('+') {
            Some((left, right)) => Ok(Self {
                base: base(left).ok_or_else(|| unknown(left))?,
                metric: Some(metric(right).ok_or_else(|| unknown(right))?),
            }),
            None => match (base(name), metric(name)) {
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

/// Settings of every method, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)]
pub struct MethodSettings {
    pub supervised: Tuned<Supervised>,
    pub siamese: Tuned<Siamese>,
    pub triplet: Tuned<TripletMethod>,
    pub deep_mahalanobis: Tuned<DeepMahalanobis>,
    pub supcon: Tuned<SupConMethod>,
    pub simclr: Tuned<SimClr>,
    pub moco: Tuned<Moco>,
    pub byol: Tuned<Byol>,
    pub simsiam: Tuned<SimSiam>,
    pub lmnn: Lmnn,
    pub nca: Nca,
    pub itml: Itml,
    pub covariance: Covariance,
    pub rca: Rca,
    pub lfda: Lfda,
    pub mlkr: Mlkr,
    pub mmc: Mmc,
    pub lsml: Lsml,
    pub sdml: Sdml,
    pub scml: Scml,
}

/// Learning rates chosen on validation images of Fashion-MNIST among two for each family, the peers' 1e-3 and these
/// (docs/results/peers.md).
const METRIC_RATE: f64 = 3e-3;
const CONTRASTIVE_RATE: f64 = 4e-3;

impl Default for MethodSettings {
    fn default() -> Self {
        fn at<S: Default>(learning_rate: f64) -> Tuned<S> {
            let optimizer = OptimizerConfig { learning_rate, ..OptimizerConfig::default() };
            Tuned { optimizer, settings: S::default() }
        }
        Self {
            supervised: at(METRIC_RATE),
            siamese: at(METRIC_RATE),
            triplet: at(METRIC_RATE),
            deep_mahalanobis: at(METRIC_RATE),
            supcon: at(METRIC_RATE),
            simclr: at(CONTRASTIVE_RATE),
            moco: at(CONTRASTIVE_RATE),
            byol: at(CONTRASTIVE_RATE),
            simsiam: at(CONTRASTIVE_RATE),
            lmnn: Lmnn::default(),
            nca: Nca::default(),
            itml: Itml::default(),
            covariance: Covariance::default(),
            rca: Rca::default(),
            lfda: Lfda::default(),
            mlkr: Mlkr::default(),
            mmc: Mmc::default(),
            lsml: Lsml::default(),
            sdml: Sdml::default(),
            scml: Scml::default(),
        }
    }
}

impl MethodSettings {
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

    /// Checks every setting of the methods that will run.
    pub fn validate(&self, methods: &[MethodName]) -> anyhow::Result<()> {
        use anyhow::Context;
        for method in methods {
            let Base::Deep(deep) = method.base else { continue };
            let optimizer = match deep {
                Deep::Supervised => &self.supervised.optimizer,
                Deep::Siamese => &self.siamese.optimizer,
                Deep::Triplet => &self.triplet.optimizer,
                Deep::DeepMahalanobis => &self.deep_mahalanobis.optimizer,
                Deep::SupCon => &self.supcon.optimizer,
                Deep::SimClr => &self.simclr.optimizer,
                Deep::Moco => &self.moco.optimizer,
                Deep::Byol => &self.byol.optimizer,
                Deep::SimSiam => &self.simsiam.optimizer,
            };
            let settings: anyhow::Result<()> = match deep {
                Deep::Supervised => Ok(()),
                Deep::Siamese => self.siamese.settings.validate().map_err(Into::into),
                Deep::Triplet => self.triplet.settings.validate().map_err(Into::into),
                Deep::DeepMahalanobis => self.deep_mahalanobis.settings.validate().map_err(Into::into),
                Deep::SupCon => self.supcon.settings.validate().map_err(Into::into),
                Deep::SimClr => self.simclr.settings.validate().map_err(Into::into),
                Deep::Moco => self.moco.settings.validate().map_err(Into::into),
                Deep::Byol => self.byol.settings.validate().map_err(Into::into),
                Deep::SimSiam => self.simsiam.settings.validate().map_err(Into::into),
            };
            let optimizer = optimizer.validate().map_err(anyhow::Error::from);
            settings.and(optimizer).with_context(|| format!("settings of {method}"))?;
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
    }
}

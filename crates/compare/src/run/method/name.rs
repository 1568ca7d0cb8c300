//! What rows of the table are called: the grammar of `A`, `A+B`, `A-then-B` and `A-with-B`.

use super::{DEEP, Deep, LINEAR, Linear};
use crate::run::hybrid::Hybrid;
use metric::methods::LossSettings;
use nearfar_core::backend::did_you_mean;
use std::{fmt, str::FromStr};

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
pub(super) fn bases() -> impl Iterator<Item = (&'static str, Base, &'static str)> {
    let losses = LossSettings::LISTING.iter().enumerate();
    BASES
        .into_iter()
        .chain(DEEP.iter().map(|&(name, deep, line)| (name, Base::Deep(deep), line)))
        .chain(losses.map(|(place, &(name, line))| (name, Base::Deep(Deep::Loss(place)), line)))
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
}

impl MethodName {
    /// What `all` means: the baselines, both families, and a hybrid, right behind the method whose features it takes, so
    /// that they are computed once.
    pub const ALL: &'static str =
        "pixels,pca,untrained,supervised,mahalanobis,siamese,triplet,supcon,simclr,simclr+lmnn,moco,byol,simsiam";

    /// Name and one line of every row that can be asked for, hybrids aside.
    pub fn listing() -> impl Iterator<Item = (&'static str, &'static str)> {
        bases().map(|(name, _, line)| (name, line)).chain(LINEAR.iter().map(|(name, _, line)| (*name, *line)))
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

    /// What it consists of that is learnt, each as a method of its own.
    pub fn parts(self) -> impl Iterator<Item = Self> {
        let deep = self.base.trained().map(|deep| Self { base: Base::Deep(deep), metric: None });
        deep.chain(self.metric.map(|metric| Self { base: Base::Pca, metric: Some(metric) }))
    }

    /// What the settings call it, for a method that is one such part.
    pub fn settings_name(self) -> String {
        match self.metric {
            // Another name for the same learner.
            Some(Linear::Mahalanobis) => "lmnn".to_owned(),
            _ => self.to_string(),
        }
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
                let metric = LINEAR.iter().find(|(_, m, _)| *m == metric).map_or("", |(name, ..)| name);
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
    /// `A+B` where B is no Mahalanobis learner, or A stands on frozen features itself.
    #[error(
        "`{name}` is no hybrid: `A+B` fits the Mahalanobis learner B on A's frozen features, for example {example}; two \
         methods that train an encoder go together as A-then-B or A-with-B"
    )]
    Frozen {
        /// What was asked for.
        name: String,
        /// One that there is.
        example: String,
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
        let metric = |part: &str| LINEAR.iter().find(|(n, ..)| *n == part).map(|(_, m, _)| *m);
        let base = |part: &str| match bases().find(|(n, ..)| *n == part) {
            Some((_, base, _)) => Ok(Some(base)),
            None => Hybrid::parse(part).transpose().map(|hybrid| hybrid.map(Base::Hybrid)),
        };
        let unknown = NameError::unknown;
        match name.split_once('+') {
            Some((left, right)) => {
                let (first, second) = (base(left)?, base(right)?);
                match (first, metric(right), metric(left)) {
                    (Some(base), Some(metric), _) => Ok(Self { base, metric: Some(metric) }),
                    (None, _, None) => Err(unknown(left)),
                    (_, None, _) if second.is_none() => Err(unknown(right)),
                    (None, None, Some(_)) => {
                        Err(NameError::Frozen { name: name.to_owned(), example: format!("{right}+{left}") })
                    }
                    _ => Err(NameError::Frozen { name: name.to_owned(), example: "simclr+lmnn".to_owned() }),
                }
            }
            None => match (base(name)?, metric(name)) {
                (Some(base), _) => Ok(Self { base, metric: None }),
                (None, Some(metric)) => Ok(Self { base: Base::Pca, metric: Some(metric) }),
                (None, None) => Err(unknown(name)),
            },
        }
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
    fn parts_are_what_is_learnt() {
        let parts = |name: &str| {
            let method: MethodName = name.parse().unwrap();
            method.parts().map(|part| part.to_string()).collect::<Vec<_>>().join(",")
        };
        assert_eq!(parts("pca"), "");
        assert_eq!(parts("triplet"), "triplet");
        assert_eq!(parts("untrained+scml"), "scml");
        assert_eq!(parts("mahalanobis"), "mahalanobis");
        assert_eq!(parts("simclr-then-triplet+lmnn"), "simclr,triplet,lmnn");
    }

    #[test]
    fn typos_get_the_nearest_name() {
        let message = MethodName::parse_list("simclr,tripplet").unwrap_err().to_string();
        assert!(message.contains("`tripplet`") && message.contains("did you mean `triplet`?"), "{message}");
    }

    #[test]
    fn the_order_of_a_sum_is_explained() {
        let message = |name: &str| name.parse::<MethodName>().unwrap_err().to_string();
        let turned = message("lmnn+simclr");
        assert!(turned.contains("for example simclr+lmnn") && !turned.contains("did you mean"), "{turned}");
        assert!(message("simclr+triplet").contains("A-then-B"));
        assert!(message("lmnn+itml").contains("`lmnn+itml` is no hybrid"));
        assert!(message("simclr+lmn").contains("did you mean `lmnn`?"));
        assert!(message("simcl+lmnn").contains("did you mean `simclr`?"));
        assert!(message("lmnn+simcl").contains("did you mean `simclr`?"));
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
}

//! What methods that learn from labels are told: classes, or only pairs, triplets, quadruplets or chunks of images,
//! drawn from the classes or given by a person.

use super::{
    config::Config,
    method::{Base, Deep, DeepVisitor, Linear, MethodName, MethodSettings},
    prepare::Prepared,
};
use anyhow::{anyhow, bail, ensure};
use metric::{
    mahalanobis::Fitted,
    methods::{LossSettings, WeakKind, WeakTraining},
};
use nearfar_core::{backend::did_you_mean, data::Dataset, matrix::Matrix, optim::OptimizerConfig};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What methods that learn from labels are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supervision {
    /// The class of every labelled image.
    #[default]
    Classes,
    /// Pairs that belong together or not.
    Pairs,
    /// Images that are nearer to one image than to another.
    Triplets,
    /// Pairs that are nearer than other pairs.
    Quadruplets,
    /// Small groups that belong together.
    Chunks,
}

impl Supervision {
    const ALL: [Self; 5] = [Self::Classes, Self::Pairs, Self::Triplets, Self::Quadruplets, Self::Chunks];

    /// By its name on the command line.
    pub fn parse(name: &str) -> anyhow::Result<Self> {
        let names = Self::ALL.map(Self::name);
        Self::ALL.into_iter().find(|one| one.name() == name).ok_or_else(|| {
            anyhow!("unknown supervision `{name}`{}; known: {}", did_you_mean(name, names), names.join(", "))
        })
    }

    fn name(self) -> &'static str {
        self.weak().map_or("classes", WeakKind::name)
    }

    /// The kind of statements in place of classes.
    pub fn weak(self) -> Option<WeakKind> {
        match self {
            Self::Classes => None,
            Self::Pairs => Some(WeakKind::Pairs),
            Self::Triplets => Some(WeakKind::Triplets),
            Self::Quadruplets => Some(WeakKind::Quadruplets),
            Self::Chunks => Some(WeakKind::Chunks),
        }
    }
}

/// Where statements come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Constraints {
    /// So many are drawn from the labels.
    Count(usize),
    /// A CSV file holds them.
    File(PathBuf),
}

impl Constraints {
    /// A number, or else a path.
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::File(text.into()), Self::Count)
    }
}

/// Checks the settings, and that every method that learns from labels can learn from what it is told.
pub fn validate(config: &Config, methods: &[MethodName]) -> anyhow::Result<()> {
    let Some(kind) = config.supervision.weak() else {
        let without = config.constraints.is_none();
        ensure!(without, "--constraints needs --supervision pairs, triplets, quadruplets or chunks, got classes");
        return Ok(());
    };
    if let Some(Constraints::Count(count)) = config.constraints {
        let least = if kind == WeakKind::Pairs { 2 } else { 1 };
        ensure!(count >= least, "--constraints must be at least {least} for {}, got {count}", kind.name());
    }
    let cannot: Vec<(String, anyhow::Error)> = methods
        .iter()
        .filter_map(|method| Some((format!("`{method}`"), can_learn(&config.method, *method, kind).err()?)))
        .collect();
    let Some((_, reason)) = cannot.first() else { return Ok(()) };
    let names: Vec<&str> = cannot.iter().map(|(name, _)| name.as_str()).collect();
    let can = |name: &&str| {
        let method = name.parse::<MethodName>();
        method.is_ok_and(|m| m.needs_labels() && can_learn(&MethodSettings::default(), m, kind).is_ok())
    };
    let others: Vec<&str> = MethodName::listing().map(|(name, _)| name).filter(can).collect();
    bail!(
        "{} cannot learn from {}: {reason:#}. Of the methods that use labels these can: {}",
        names.join(", "),
        kind.name(),
        others.join(", ")
    )
}

/// Whether a method can learn from this kind alone; one that uses no labels can.
fn can_learn(settings: &MethodSettings, method: MethodName, kind: WeakKind) -> anyhow::Result<()> {
    ensure!(!matches!(method.base, Base::Hybrid(_)), "{method} trains on the class of every image");
    if let Base::Deep(deep) = method.base
        && deep.needs_labels()
    {
        let (training, _) = training(settings, deep)?;
        training.check(kind)?;
        let together = "chunks say only what belongs together: an encoder trained on them maps all images to one point";
        ensure!(kind != WeakKind::Chunks, together);
    }
    let Some(metric) = method.metric.filter(|metric| *metric != Linear::Covariance) else { return Ok(()) };
    match learns_from(metric) {
        Some(own) if own == kind => Ok(()),
        Some(own) => bail!("{method} learns from {}", own.name()),
        None => bail!("{method} needs the class of every image"),
    }
}

/// The weak supervision that a Mahalanobis learner is made for.
fn learns_from(metric: Linear) -> Option<WeakKind> {
    match metric {
        Linear::Itml | Linear::Mmc | Linear::Sdml => Some(WeakKind::Pairs),
        Linear::Scml => Some(WeakKind::Triplets),
        Linear::Lsml => Some(WeakKind::Quadruplets),
        Linear::Rca => Some(WeakKind::Chunks),
        Linear::Mahalanobis | Linear::Lmnn | Linear::Nca | Linear::Lfda | Linear::Mlkr | Linear::Covariance => None,
    }
}

/// The loss of a method, on given tuples in place of those of classes.
fn training(settings: &MethodSettings, deep: Deep) -> anyhow::Result<(WeakTraining, &OptimizerConfig)> {
    match deep {
        Deep::Siamese => {
            let tuned = &settings.siamese;
            let loss = LossSettings::Contrastive(tuned.settings.loss.clone());
            Ok((WeakTraining { loss, distance: Some(tuned.settings.distance) }, &tuned.optimizer))
        }
        Deep::Triplet => {
            let tuned = &settings.triplet;
            let loss = LossSettings::TripletMargin(tuned.settings.loss.clone());
            Ok((WeakTraining { loss, distance: Some(tuned.settings.distance) }, &tuned.optimizer))
        }
        Deep::Loss(place) => {
            let tuned = settings.loss(place)?;
            let own = &tuned.settings;
            ensure!(own.miner.is_none(), "its miner chooses among classes: leave `miner` out");
            let chosen = own.sampling.is_some() || own.images_per_class.is_some();
            ensure!(!chosen, "batches hold what was said: leave `sampling` and `images_per_class` out");
            Ok((WeakTraining { loss: own.loss.clone(), distance: own.distance }, &tuned.optimizer))
        }
        other => bail!("`{}` needs the class of every image", other.name()),
    }
}

/// Hands the method `deep`, trained on what it is told, to `visitor`.
pub fn visit<V: DeepVisitor>(config: &Config, data: &Prepared, deep: Deep, visitor: V) -> anyhow::Result<V::Output> {
    let classes = data.seen.train.class_names.len();
    let mut settings = MethodSettings { classes, ..config.method.clone() };
    settings.supervised.settings.classes = classes;
    match &data.told {
        Some(told) if deep.needs_labels() => {
            let (training, optimizer) = training(&settings, deep)?;
            let method = training.method(told.weak.clone(), data.labelled.len())?.named(deep.name());
            Ok(visitor.visit(&method, optimizer))
        }
        _ => settings.visit(deep, visitor),
    }
}

/// Learns a Mahalanobis metric on features `rows` of the images that the learner may see, from what it is told. Whatever the
/// learner draws, it draws anew for every `seed` of a row: a repetition that draws the same again would show no spread.
pub fn fit(config: &Config, data: &Prepared, metric: Linear, rows: &Matrix, seed: u64) -> anyhow::Result<Fitted> {
    let settings = seeded(&config.method, seed.wrapping_sub(config.seed));
    match &data.told {
        Some(told) if metric != Linear::Covariance => told.fit(&settings, metric, rows),
        _ => {
            let labels = seen_by(data, metric).labels_for("a Mahalanobis learner")?;
            Ok(settings.learner(metric).fit(rows, labels)?)
        }
    }
}

/// Whether a learner draws: pairs, quadruplets, triplets or chunks from the classes, or some of the rows.
pub fn draws(settings: &MethodSettings, metric: Linear) -> bool {
    match metric {
        Linear::Itml | Linear::Mmc | Linear::Sdml | Linear::Lsml | Linear::Scml | Linear::Rca => true,
        Linear::Nca => settings.nca.max_rows.is_some(),
        Linear::Mahalanobis | Linear::Lmnn | Linear::Lfda | Linear::Mlkr | Linear::Covariance => false,
    }
}

/// The settings with the seeds of all learners that draw moved by `by`.
fn seeded(settings: &MethodSettings, by: u64) -> MethodSettings {
    let mut own = settings.clone();
    let MethodSettings { itml, mmc, sdml, lsml, scml, rca, nca, .. } = &mut own;
    let seeds =
        [&mut itml.seed, &mut mmc.seed, &mut sdml.seed, &mut lsml.seed, &mut scml.seed, &mut rca.seed, &mut nca.seed];
    seeds.into_iter().for_each(|seed| *seed = seed.wrapping_add(by));
    own
}

/// The images that a Mahalanobis learner may see: all of them where it uses no labels.
fn seen_by(data: &Prepared, metric: Linear) -> &Dataset {
    if metric == Linear::Covariance { &data.seen.train } else { &data.labelled }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(supervision: Supervision, constraints: Option<Constraints>, methods: &str) -> Result<(), String> {
        let config = Config { supervision, constraints, ..Config::default() };
        validate(&config, &MethodName::parse_list(methods).unwrap()).map_err(|e| format!("{e:#}"))
    }

    #[test]
    fn learners_that_draw_have_seeds() {
        let settings = MethodSettings::default();
        let moved = seeded(&settings, 5);
        assert_eq!((settings.itml.seed, moved.itml.seed, moved.scml.seed, moved.rca.seed), (0, 5, 5, 5));
        assert_eq!(seeded(&moved, 0), moved);
        assert!(draws(&settings, Linear::Itml) && !draws(&settings, Linear::Lmnn) && !draws(&settings, Linear::Nca));
    }

    #[test]
    fn names_and_numbers_are_read() {
        assert_eq!(Supervision::parse("quadruplets").unwrap(), Supervision::Quadruplets);
        let message = Supervision::parse("pair").unwrap_err().to_string();
        assert!(message.contains("did you mean `pairs`?") && message.contains("chunks"), "{message}");
        assert_eq!(Constraints::parse("500"), Constraints::Count(500));
        assert_eq!(Constraints::parse("500.csv"), Constraints::File("500.csv".into()));
    }

    #[test]
    fn methods_that_can_learn_from_it_pass() {
        for (supervision, methods) in [
            (Supervision::Classes, "all,manifold,instance"),
            (Supervision::Pairs, "siamese,contrastive,multi_similarity,itml,mmc,sdml,covariance,simclr,instance,pca"),
            (Supervision::Triplets, "triplet,siamese,ntxent,dynamic_soft_margin,scml,simclr+scml"),
            (Supervision::Quadruplets, "siamese,contrastive+lsml,lsml"),
            (Supervision::Chunks, "rca,untrained+rca,byol"),
        ] {
            assert_eq!(check(supervision, None, methods), Ok(()), "{supervision:?}");
        }
    }

    #[test]
    fn others_are_refused_with_the_reason_and_what_can() {
        for (supervision, methods, says) in [
            (Supervision::Pairs, "siamese,triplet,lmnn", "`triplet`, `lmnn` cannot learn from pairs"),
            (Supervision::Pairs, "triplet_margin", "a positive and a negative of the same image"),
            (Supervision::Pairs, "rca", "rca learns from chunks"),
            (Supervision::Triplets, "arcface", "it needs the class of every image"),
            (Supervision::Quadruplets, "margin+lsml", "`margin+lsml`"),
            (Supervision::Chunks, "contrastive", "maps all images to one point"),
            (Supervision::Pairs, "supervised", "`supervised` needs the class of every image"),
        ] {
            let message = check(supervision, None, methods).unwrap_err();
            assert!(message.contains(says), "{message}");
            let able = match supervision {
                Supervision::Pairs => ["siamese", "itml"],
                Supervision::Triplets => ["triplet", "scml"],
                Supervision::Quadruplets => ["siamese", "lsml"],
                _ => ["rca", "rca"],
            };
            let (_, others) = message.split_once("these can: ").expect("what can");
            assert!(able.iter().all(|name| others.split(", ").any(|other| other == *name)), "{message}");
        }
    }

    #[test]
    fn a_number_of_constraints_must_make_sense() {
        let count = |count| Some(Constraints::Count(count));
        assert!(check(Supervision::Classes, count(5), "siamese").unwrap_err().contains("needs --supervision"));
        assert!(check(Supervision::Pairs, count(1), "siamese").unwrap_err().contains("at least 2 for pairs, got 1"));
        assert!(check(Supervision::Chunks, count(0), "rca").unwrap_err().contains("at least 1 for chunks, got 0"));
    }
}

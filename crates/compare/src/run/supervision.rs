//! What methods that learn from labels are told: classes, or only pairs, triplets, quadruplets or chunks of images,
//! drawn from the classes or given by a person.

use super::{
    config::Config,
    method::{Deep, DeepVisitor, Linear, MethodName, MethodSettings},
    prepare::Prepared,
    statements::{Way, can_learn},
    told::Told,
};
use anyhow::{Context, anyhow, bail, ensure};
use metric::{
    mahalanobis::{Fitted, Learner, Lmnn, Mahalanobis, MahalanobisError},
    weak::WeakKind,
};
use nearfar_core::{
    backend::did_you_mean,
    data::{Dataset, listed},
    matrix::Matrix,
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap, path::PathBuf};

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

/// What is taken of two images of which nothing was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsaid {
    /// Nothing: they may or may not belong together.
    #[default]
    Unknown,
    /// That they do not: chunks, and chains of pairs that belong together, are classes.
    Different,
}

impl Unsaid {
    /// By its name on the command line.
    pub fn parse(name: &str) -> anyhow::Result<Self> {
        match name {
            "unknown" => Ok(Self::Unknown),
            "different" => Ok(Self::Different),
            _ => {
                let hint = did_you_mean(name, ["unknown", "different"]);
                Err(anyhow!("unknown value `{name}` of --unsaid{hint}; known: unknown, different"))
            }
        }
    }
}

/// Checks the settings, and that every method that learns from labels can learn from what it is told.
pub fn validate(config: &Config, methods: &[MethodName]) -> anyhow::Result<()> {
    let Some(kind) = config.supervision.weak() else {
        let without = config.constraints.is_none();
        ensure!(without, "--constraints needs --supervision pairs, triplets, quadruplets or chunks, got classes");
        ensure!(config.unsaid == Unsaid::Unknown, "--unsaid needs --supervision pairs or chunks, got classes");
        return Ok(());
    };
    if let Some(Constraints::Count(count)) = config.constraints {
        let least = if kind == WeakKind::Pairs { 2 } else { 1 };
        ensure!(count >= least, "--constraints must be at least {least} for {}, got {count}", kind.name());
    }
    if config.unsaid == Unsaid::Different {
        return kind.gives(WeakKind::Chunks).context("--unsaid different needs --supervision pairs or chunks");
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
    let way_out = if kind.gives(WeakKind::Chunks).is_ok() {
        "If images of which nothing was said do not belong together, all can with --unsaid different. "
    } else {
        ""
    };
    bail!(
        "{} cannot learn from {}: {reason:#}. {way_out}Of the methods that use labels these can: {}",
        names.join(", "),
        kind.name(),
        others.join(", ")
    )
}

/// What methods that learn from class labels train on: the labelled images, or those that statements make classes of.
pub fn taught(data: &Prepared) -> &Dataset {
    data.told.as_ref().and_then(Told::classes).map_or(&data.labelled, |taught| &taught.data)
}

/// The same images with the classes of the data, for those who watch.
pub fn truth(data: &Prepared) -> Cow<'_, Dataset> {
    match data.told.as_ref().and_then(Told::classes) {
        Some(taught) => Cow::Owned(data.labelled.select(&taught.rows)),
        None => Cow::Borrowed(&data.labelled),
    }
}

/// Hands the method `deep`, trained on what it is told, to `visitor`.
pub fn visit<V: DeepVisitor>(config: &Config, data: &Prepared, deep: Deep, visitor: V) -> anyhow::Result<V::Output> {
    let settings = config.method.for_classes(taught(data).class_names.len());
    match &data.told {
        Some(told) if deep.needs_labels() && told.classes().is_none() => {
            let (way, optimizer) = Way::of(&settings, deep)?;
            let method = way.method(&told.weak, data.labelled.len())?.named(deep.name());
            Ok(visitor.visit(&method, optimizer))
        }
        _ => settings.visit(deep, visitor),
    }
}

/// Learns a Mahalanobis metric on features `rows` of the images that the learner may see, from what it is told, and says
/// in what it left its settings. Whatever the learner draws, it draws anew for every `seed` of a row: a repetition that
/// draws the same again would show no spread.
pub fn fit(
    config: &Config,
    data: &Prepared,
    metric: Linear,
    rows: &Matrix,
    seed: u64,
) -> anyhow::Result<(Fitted, Option<String>)> {
    let settings = seeded(&config.method, seed.wrapping_sub(config.split_seed()));
    if let Some(told) = data.told.as_ref().filter(|_| metric != Linear::Covariance) {
        return Ok((told.fit(&settings, metric, rows)?, None));
    }
    let seen = seen_by(data, metric);
    let labels = seen.labels_for("a Mahalanobis learner")?;
    Ok(fit_classes(&settings, metric, rows, labels, &seen.class_names)?)
}

/// A Mahalanobis learner on rows with classes, and what a report should say about it.
pub fn fit_classes(
    settings: &MethodSettings,
    metric: Linear,
    rows: &Matrix,
    labels: &[usize],
    names: &[String],
) -> Result<(Fitted, Option<String>), MahalanobisError> {
    match metric {
        Linear::Mahalanobis | Linear::Lmnn => lmnn(&settings.lmnn, rows, labels, names),
        _ => Ok((settings.learner(metric).fit(rows, labels)?, None)),
    }
}

/// LMNN with as many target neighbours as the smallest class has for each of its rows, and a word where these are fewer than
/// were asked for. A class with one label has none, and is left out; a mistyped label is such a class too.
fn lmnn(
    settings: &Lmnn,
    rows: &Matrix,
    labels: &[usize],
    names: &[String],
) -> Result<(Fitted, Option<String>), MahalanobisError> {
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    labels.iter().for_each(|class| *sizes.entry(*class).or_default() += 1);
    let (alone, large): (BTreeMap<_, _>, BTreeMap<_, _>) = sizes.into_iter().partition(|(_, size)| *size < 2);
    if large.len() < 2 {
        // Without target neighbours the loss has no terms, and nothing moves from where it starts.
        let model = Mahalanobis::euclidean(rows.cols())?;
        let fitted = Fitted { model, iterations: 0, objective: Vec::new(), converged: true, rows_used: labels.len() };
        let note =
            "fewer than two classes have a second label, for a target neighbour: LMNN left the distance Euclidean";
        return Ok((fitted, Some(note.to_owned())));
    }
    let mut notes = Vec::new();
    if !alone.is_empty() {
        let alone: Vec<String> = alone.into_keys().map(|class| names[class].clone()).collect();
        notes.push(format!("without {}: one label, and so no target neighbour", listed(&alone)));
    }
    let (asked, least) = (settings.neighbors, large.values().copied().min().unwrap_or(2));
    let neighbors = asked.min(least - 1);
    if neighbors < asked {
        notes.push(format!(
            "with {neighbors} target neighbours in place of {asked}: the smallest class has {least} labels"
        ));
    }
    let items: Vec<usize> = (0..labels.len()).filter(|&item| large.contains_key(&labels[item])).collect();
    let kept: Vec<usize> = items.iter().map(|&item| labels[item]).collect();
    let fitted = Lmnn { neighbors, ..settings.clone() }.fit(&rows.select(&items), &kept)?;
    Ok((fitted, (!notes.is_empty()).then(|| format!("LMNN {}", notes.join("; ")))))
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
    use nearfar_core::train::Sampling;

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

    /// Classes along one axis, with a second one that tells nothing.
    #[test]
    fn lmnn_takes_fewer_neighbours_where_classes_are_small() {
        let names = ["a", "b", "c"].map(String::from);
        let fit = |sizes: [usize; 3]| {
            let labels: Vec<usize> = (0..3).flat_map(|class| vec![class; sizes[class]]).collect();
            let of = |row: usize, column: usize| if column == 0 { labels[row] as f32 } else { (row % 3) as f32 };
            let rows = Matrix::from_fn(labels.len(), 2, of);
            (lmnn(&Lmnn::default(), &rows, &labels, &names).unwrap(), rows, labels)
        };
        let ((enough, note), rows, labels) = fit([4, 5, 0]);
        assert_eq!((&enough, note), (&Lmnn::default().fit(&rows, &labels).unwrap(), None));
        let ((fewer, note), rows, labels) = fit([3, 6, 0]);
        assert_eq!(fewer, Lmnn { neighbors: 2, ..Lmnn::default() }.fit(&rows, &labels).unwrap());
        let expected = "LMNN with 2 target neighbours in place of 3: the smallest class has 3 labels";
        assert_eq!(note.as_deref(), Some(expected));
        let ((without, note), rows, labels) = fit([5, 1, 4]);
        let items: Vec<usize> = (0..10).filter(|item| *item != 5).collect();
        let kept: Vec<usize> = items.iter().map(|&item| labels[item]).collect();
        assert_eq!(without, Lmnn::default().fit(&rows.select(&items), &kept).unwrap());
        assert_eq!(note.as_deref(), Some("LMNN without b: one label, and so no target neighbour"));
        let ((none, note), ..) = fit([1, 6, 0]);
        assert_eq!(none.model, Mahalanobis::euclidean(2).unwrap());
        assert!(note.unwrap().contains("left the distance Euclidean"));
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
            (Supervision::Pairs, "siamese,contrastive,multi_similarity,simclr,instance,pca"),
            (Supervision::Pairs, "triplet,ntxent,supcon,deep_mahalanobis"),
            (Supervision::Pairs, "itml,mmc,sdml,lsml,scml,rca,covariance"),
            (Supervision::Triplets, "triplet,siamese,ntxent,dynamic_soft_margin,supcon,deep_mahalanobis"),
            (Supervision::Triplets, "itml,mmc,sdml,lsml,scml,simclr+scml"),
            (Supervision::Quadruplets, "siamese,triplet,deep_mahalanobis,contrastive+lsml,lsml,itml,mmc,sdml"),
            (Supervision::Chunks, "rca,untrained+rca,byol,itml,sdml"),
        ] {
            assert_eq!(check(supervision, None, methods), Ok(()), "{supervision:?}");
        }
    }

    #[test]
    fn others_are_refused_with_the_reason_and_what_can() {
        for (supervision, methods, says) in [
            (Supervision::Pairs, "siamese,arcface,lmnn", "`arcface`, `lmnn` cannot learn from pairs"),
            (Supervision::Pairs, "arcface", "it needs the class of every image"),
            (Supervision::Pairs, "supervised", "`supervised` needs the class of every image"),
            (Supervision::Pairs, "simclr-then-triplet", "trains on the class of every image"),
            (Supervision::Pairs, "arcface", "with --unsaid different"),
            (Supervision::Triplets, "rca", "triplets do not say which rows belong together"),
            (Supervision::Quadruplets, "margin+lsml", "`margin+lsml`"),
            (Supervision::Quadruplets, "supcon", "a positive and a negative of the same image"),
            (Supervision::Quadruplets, "scml", "quadruplets do not say which of two rows is nearer to a third"),
            (Supervision::Chunks, "contrastive", "all images may go to one point"),
            (Supervision::Chunks, "mmc", "chunks do not say what is far"),
            (Supervision::Chunks, "triplet", "with --unsaid different"),
        ] {
            let message = check(supervision, None, methods).unwrap_err();
            assert!(message.contains(says), "{message}");
            let able = match supervision {
                Supervision::Pairs => ["siamese", "scml"],
                Supervision::Triplets => ["supcon", "scml"],
                Supervision::Quadruplets => ["deep_mahalanobis", "lsml"],
                _ => ["rca", "itml"],
            };
            let (_, others) = message.split_once("these can: ").expect("what can");
            assert!(able.iter().all(|name| others.split(", ").any(|other| other == *name)), "{message}");
            let comparisons = matches!(supervision, Supervision::Triplets | Supervision::Quadruplets);
            assert_eq!(message.contains("--unsaid"), !comparisons, "{message}");
        }
    }

    #[test]
    fn what_was_not_said_may_make_classes() {
        let check = |supervision, methods: &str| {
            let config = Config { supervision, unsaid: Unsaid::Different, ..Config::default() };
            validate(&config, &MethodName::parse_list(methods).unwrap()).map_err(|e| format!("{e:#}"))
        };
        for supervision in [Supervision::Pairs, Supervision::Chunks] {
            assert_eq!(check(supervision, "all,arcface,lmnn,fast_ap,simclr-then-triplet,rca,mmc"), Ok(()));
        }
        let message = check(Supervision::Triplets, "siamese").unwrap_err();
        assert!(message.contains("pairs or chunks") && message.contains("which rows belong together"), "{message}");
        let message = check(Supervision::Classes, "siamese").unwrap_err();
        assert!(message.contains("--unsaid needs --supervision pairs or chunks"), "{message}");
        assert_eq!(Unsaid::parse("different").unwrap(), Unsaid::Different);
        let message = Unsaid::parse("diferent").unwrap_err().to_string();
        assert!(message.contains("did you mean `different`?"), "{message}");
    }

    #[test]
    fn a_sampling_of_classes_is_refused_where_batches_hold_statements() {
        let mut config = Config { supervision: Supervision::Pairs, ..Config::default() };
        config.method.siamese.settings.sampling = Some(Sampling::PerClass { images: 4 });
        let siamese = MethodName::parse_list("siamese").unwrap();
        let message = format!("{:#}", validate(&config, &siamese).unwrap_err());
        assert!(message.contains("leave `sampling` out"), "{message}");
        config.unsaid = Unsaid::Different;
        validate(&config, &siamese).unwrap();
    }

    #[test]
    fn a_number_of_constraints_must_make_sense() {
        let count = |count| Some(Constraints::Count(count));
        assert!(check(Supervision::Classes, count(5), "siamese").unwrap_err().contains("needs --supervision"));
        assert!(check(Supervision::Pairs, count(1), "siamese").unwrap_err().contains("at least 2 for pairs, got 1"));
        assert!(check(Supervision::Chunks, count(0), "rca").unwrap_err().contains("at least 1 for chunks, got 0"));
    }
}

//! All scores of a row's features, named `TASK.WHERE.METRIC`.

use super::{
    features::Features,
    figures,
    prepare::{Parts, Prepared},
};
use crate::report::{Bootstrap, FigureSet, MethodFigures};
use burn::tensor::Device;
use nearfar_core::{augment::Augmenter, data::Dataset, matrix::Matrix, train::embed};
use nearfar_eval::{
    Distance, EvalError, FewShotConfig, KMeansConfig, KnnConfig, PerQuery, ProbeConfig, alignment, clustering,
    effective_rank, few_shot, knn, linear_probe, retrieval_per_query, rho_spectrum, stats, std_of_normalized,
    uniformity, verification,
};
use std::collections::BTreeMap;

/// Ranks at which recall is reported.
const RECALL_AT: [usize; 3] = [1, 5, 10];
/// Resamples of bootstrap intervals, which have a confidence of 95 %.
const RESAMPLES: usize = 2_000;
/// Images whose two views alignment compares.
const ALIGNMENT_IMAGES: usize = 1_000;

/// Scores of one row and what could not be computed.
#[derive(Debug, Default)]
pub struct Scores {
    /// By name.
    pub values: BTreeMap<String, f64>,
    /// Why a score is missing.
    pub notes: Vec<String>,
    /// Intervals over queries and classes, by the name of the score.
    pub bootstrap: BTreeMap<String, Bootstrap>,
    /// What the pictures of seen and of unseen classes need, if they were asked for.
    pub pictures: Vec<(FigureSet, MethodFigures)>,
}

impl Scores {
    fn add(&mut self, name: String, value: f64) {
        if value.is_finite() {
            self.values.insert(name, value);
        } else {
            self.notes.push(format!("{name} is {value}"));
        }
    }

    fn add_all<T>(&mut self, what: &str, result: Result<T, EvalError>, add: impl FnOnce(&mut Self, T)) {
        match result {
            Ok(value) => add(self, value),
            Err(error) => self.notes.push(format!("{what}: {error}")),
        }
    }
}

/// Features and labels of one part.
struct Labelled<'a> {
    features: Matrix,
    labels: &'a [usize],
}

impl Labelled<'_> {
    fn pair(&self) -> (&Matrix, &[usize]) {
        (&self.features, self.labels)
    }
}

/// Scores `features` on everything that was prepared; `pictured` says whether
/// pictures are wanted.
pub fn score(
    features: &Features,
    data: &Prepared,
    augmenter: &Augmenter,
    device: &Device,
    seed: u64,
    pictured: bool,
) -> anyhow::Result<Scores> {
    let mut scores = Scores::default();
    let distance = features.distance();
    let read = |part: &Dataset| -> anyhow::Result<Matrix> { Ok(features.of(part, augmenter, device)?) };
    let places = [("seen", Some(&data.seen)), ("unseen", data.unseen.as_ref())];
    for (place, parts) in places {
        let Some(parts) = parts else { continue };
        let [train, validation, test] = labelled(parts, read)?;
        let ranked = rank(&mut scores, place, &test, distance);
        transfer(&mut scores, place, [&train, &validation, &test], seed);
        if pictured {
            // A gallery for each place would make the page too large.
            let (ranked, unseen) = (ranked.as_ref().filter(|_| place == "seen"), place == "unseen");
            match figures::pictures(&parts.test, &test.features, distance, ranked, unseen) {
                Ok(pictures) => scores.pictures.push(pictures),
                Err(error) => scores.notes.push(format!("pictures of {place} classes: {error}")),
            }
        }
        if place == "seen" {
            geometry(&mut scores, &test.features);
            views(&mut scores, features, &parts.test, augmenter, device)?;
        }
    }
    if let Some((name, parts)) = &data.other {
        let [train, validation, test] = labelled(parts, read)?;
        transfer(&mut scores, name, [&train, &validation, &test], seed);
    }
    Ok(scores)
}

fn labelled<'a>(
    parts: &'a Parts,
    read: impl Fn(&Dataset) -> anyhow::Result<Matrix>,
) -> anyhow::Result<[Labelled<'a>; 3]> {
    let one = |part: &'a Dataset| -> anyhow::Result<Labelled<'a>> {
        Ok(Labelled { features: read(part)?, labels: part.labels_for("scoring")? })
    };
    Ok([one(&parts.train)?, one(&parts.validation)?, one(&parts.test)?])
}

/// Retrieval, verification and clustering of test images among themselves. Returns the retrieval scores of each query.
fn rank(scores: &mut Scores, place: &str, test: &Labelled<'_>, distance: Distance) -> Option<PerQuery> {
    let ks: Vec<usize> = RECALL_AT.into_iter().filter(|k| *k < test.labels.len()).collect();
    let ranked = retrieval_per_query(&test.features, test.labels, None, distance);
    if let Ok(ranked) = &ranked {
        let classes: Vec<usize> = ranked.query.iter().map(|&query| test.labels[query]).collect();
        scores.add_all("bootstrap", bootstrap(&ranked.map_at_r, &classes), |s, interval| {
            s.bootstrap.insert(format!("retrieval.{place}.map_at_r"), interval);
        });
    }
    let means = ranked.as_ref().map_err(EvalError::clone).and_then(|ranked| ranked.means(&ks));
    scores.add_all("retrieval", means, |s, r| {
        for (k, value) in r.recall_at {
            s.add(format!("retrieval.{place}.recall_at_{k}"), value);
        }
        s.add(format!("retrieval.{place}.map_at_r"), r.map_at_r);
        s.add(format!("retrieval.{place}.r_precision"), r.r_precision);
        s.add(format!("retrieval.{place}.mrr"), r.mrr);
    });
    scores.add_all("verification", verification(&test.features, test.labels, distance), |s, v| {
        s.add(format!("verification.{place}.roc_auc"), v.roc_auc);
        s.add(format!("verification.{place}.eer"), v.eer);
        s.add(format!("verification.{place}.tar_at_far_1e-3"), v.tar_at_far_1e_3);
    });
    let clusters = clustering(&test.features, test.labels, distance, &KMeansConfig::default());
    scores.add_all("clustering", clusters, |s, c| {
        s.add(format!("clustering.{place}.nmi"), c.nmi);
        s.add(format!("clustering.{place}.ami"), c.ami);
    });
    ranked.ok()
}

/// What other queries and other classes would give.
fn bootstrap(values: &[f64], classes: &[usize]) -> Result<Bootstrap, EvalError> {
    let ends = |interval: stats::Interval| [interval.low, interval.high];
    let queries = ends(stats::bootstrap_mean(values, RESAMPLES, 0.95, 0)?);
    let classes = match stats::bootstrap_classes(values, classes, RESAMPLES, 0.95, 0) {
        Ok(interval) => Some(ends(interval)),
        Err(EvalError::TooFewClasses { .. }) => None,
        Err(error) => return Err(error),
    };
    Ok(Bootstrap { queries, classes })
}

/// What simple classifiers read from the features.
fn transfer(scores: &mut Scores, place: &str, [train, validation, test]: [&Labelled<'_>; 3], seed: u64) {
    let probe = linear_probe(train.pair(), validation.pair(), test.pair(), &ProbeConfig::default());
    scores.add_all("linear probe", probe, |s, p| {
        s.add(format!("transfer.{place}.linear_probe"), p.accuracy);
        if place == "seen" {
            // What settings may be chosen by; the test part may not.
            s.add("transfer.seen.linear_probe_validation".into(), p.validation_accuracy);
        }
    });
    let config = KnnConfig::default();
    let config = KnnConfig { k: config.k.min(train.labels.len()), ..config };
    scores.add_all("kNN", knn(train.pair(), test.pair(), &config), |s, k| {
        s.add(format!("transfer.{place}.knn"), k.accuracy)
    });
    for shots in [1, 5] {
        let config = FewShotConfig { shots, seed, ..FewShotConfig::default() };
        scores.add_all("few-shot", few_shot(&test.features, test.labels, &config), |s, f| {
            s.add(format!("transfer.{place}.few_shot_{shots}"), f.accuracy);
        });
    }
}

fn geometry(scores: &mut Scores, features: &Matrix) {
    let measures: [(&str, Result<f64, EvalError>); 4] = [
        ("uniformity", uniformity(features)),
        ("effective_rank", effective_rank(features)),
        ("std", std_of_normalized(features)),
        ("rho", rho_spectrum(features)),
    ];
    for (name, value) in measures {
        scores.add_all(name, value, |s, v| s.add(format!("geometry.seen.{name}"), v));
    }
}

/// Alignment of two augmented views, for encoders.
fn views(
    scores: &mut Scores,
    features: &Features,
    test: &Dataset,
    augmenter: &Augmenter,
    device: &Device,
) -> anyhow::Result<()> {
    let Features::Encoder(encoder) = features else { return Ok(()) };
    let some: Vec<usize> = (0..test.len().min(ALIGNMENT_IMAGES)).collect();
    let both = embed::views(encoder, test, &some, augmenter, device);
    if let [a, b, ..] = both.as_slice() {
        scores.add_all("alignment", alignment(a, b), |s, v| s.add("geometry.seen.alignment".into(), v));
    }
    Ok(())
}

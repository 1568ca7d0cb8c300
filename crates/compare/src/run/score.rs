//! All scores of a row's features, named `TASK.WHERE.METRIC`.

use super::{embedded::Embedded, figures, prepare::Prepared};
use crate::report::{Bootstrap, FigureSet, ItemParts, MethodFigures};
use nearfar_core::{data::Dataset, matrix::Matrix};
use nearfar_eval::{
    Distance, EvalError, FewShotConfig, KMeansConfig, KnnConfig, PerQuery, ProbeConfig, alignment, clustering,
    effective_rank, few_shot, knn_hits, linear_probe, prototypes, retrieval_per_query, rho_spectrum, stats,
    std_of_normalized, uniformity, verification,
};
use std::{collections::BTreeMap, rc::Rc};

/// Ranks at which recall is reported.
const RECALL_AT: [usize; 3] = [1, 5, 10];
/// Resamples of bootstrap intervals, which have a confidence of 95 %.
const RESAMPLES: usize = 2_000;
/// Shots of the few-shot episodes.
const SHOTS: [usize; 2] = [1, 5];

/// Scores of one row and what could not be computed.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    /// By name.
    pub values: BTreeMap<String, f64>,
    /// Why a score is missing.
    pub notes: Vec<String>,
    /// Intervals over queries and classes, by the name of the score.
    pub bootstrap: BTreeMap<String, Bootstrap>,
    /// Scores on equal parts of the test items, by the name of the score.
    pub parts: BTreeMap<String, ItemParts>,
}

impl Scores {
    pub(super) fn add(&mut self, name: String, value: f64) {
        if value.is_finite() {
            self.values.insert(name, value);
        } else {
            self.notes.push(format!("{name} is {value}"));
        }
    }

    /// Keeps what a score is on parts of the items, from its value on each.
    fn add_parts(&mut self, name: &str, values: &[f64]) {
        self.parts.extend(ItemParts::of(values).map(|parts| (name.to_owned(), parts)));
    }

    fn add_all<T>(&mut self, what: &str, result: Result<T, EvalError>, add: impl FnOnce(&mut Self, T)) {
        match result {
            Ok(value) => add(self, value),
            Err(error) => self.notes.push(format!("{what}: {error}")),
        }
    }
}

/// Features `[n, d]` with their classes.
type Labelled<'a> = (&'a Matrix, &'a [usize]);

/// Scores features. What depends on neither the labels given nor the row's seed is computed once.
pub struct Scorer {
    embedded: Rc<Embedded>,
    fixed: Scores,
    /// Retrieval scores of each test item, of the seen and of the unseen classes.
    ranked: [Option<PerQuery>; 2],
}

impl Scorer {
    /// Computes what is the same for all rows with these features.
    pub fn new(embedded: Rc<Embedded>, data: &Prepared) -> anyhow::Result<Self> {
        let mut fixed = Scores::default();
        let (test, labels) = (&embedded.seen[2], data.seen.test.labels_for("scoring")?);
        let mut ranked = [rank(&mut fixed, "seen", (test, labels), embedded.distance), None];
        geometry(&mut fixed, test);
        if let Some([a, b]) = &embedded.views {
            fixed.add_all("alignment", alignment(a, b), |s, v| s.add("geometry.seen.alignment".into(), v));
        }
        if let Some((features, parts)) = embedded.unseen.as_ref().zip(data.unseen.as_ref()) {
            let parts = parts.labels()?;
            ranked[1] = rank(&mut fixed, "unseen", (&features[2], parts[2]), embedded.distance);
            transfer(&mut fixed, "unseen", pairs(features, parts));
        }
        if let Some((features, (name, parts))) = embedded.other.as_ref().zip(data.other.as_ref()) {
            transfer(&mut fixed, name, pairs(features, parts.labels()?));
        }
        Ok(Self { embedded, fixed, ranked })
    }

    /// All scores of a row: probes of the seen classes are fitted on the labels given, episodes depend on the seed.
    pub fn score(&self, data: &Prepared, seed: u64) -> anyhow::Result<Scores> {
        let mut scores = self.fixed.clone();
        let [train, validation, test] = &self.embedded.seen;
        let (given, chosen_on) = (&data.given, &data.given_validation);
        let (train, validation) = (train.select(&given.items), validation.select(&chosen_on.items));
        let labels = data.seen.test.labels_for("scoring")?;
        let fitted = [(&train, given.labels.as_slice()), (&validation, chosen_on.labels.as_slice()), (test, labels)];
        transfer(&mut scores, "seen", fitted);
        few_shots(&mut scores, "seen", (test, labels), seed);
        if let Some((features, parts)) = self.embedded.unseen.as_ref().zip(data.unseen.as_ref()) {
            few_shots(&mut scores, "unseen", (&features[2], parts.labels()?[2]), seed);
        }
        if let Some((features, (name, parts))) = self.embedded.other.as_ref().zip(data.other.as_ref()) {
            few_shots(&mut scores, name, (&features[2], parts.labels()?[2]), seed);
        }
        Ok(scores)
    }

    /// What the pictures of the seen and of the unseen classes need.
    pub fn pictures(&self, data: &Prepared) -> anyhow::Result<Vec<(FigureSet, MethodFigures)>> {
        let distance = self.embedded.distance;
        let [seen, unseen] = self.ranked.each_ref().map(Option::as_ref);
        let mut found = vec![figures::pictures(&data.seen.test, &self.embedded.seen[2], distance, seen, false)?];
        if let Some((features, parts)) = self.embedded.unseen.as_ref().zip(data.unseen.as_ref()) {
            found.push(figures::pictures(&parts.test, &features[2], distance, unseen, true)?);
        }
        Ok(found)
    }
}

fn pairs<'a>([train, validation, test]: &'a [Matrix; 3], labels: [&'a [usize]; 3]) -> [Labelled<'a>; 3] {
    [(train, labels[0]), (validation, labels[1]), (test, labels[2])]
}

/// Retrieval, verification and clustering of test images among themselves. Returns the retrieval scores of each query.
fn rank(scores: &mut Scores, place: &str, (test, labels): Labelled<'_>, distance: Distance) -> Option<PerQuery> {
    let ks: Vec<usize> = RECALL_AT.into_iter().filter(|k| *k < labels.len()).collect();
    let ranked = retrieval_per_query(test, labels, None, distance);
    if let Ok(ranked) = &ranked {
        let classes: Vec<usize> = ranked.query.iter().map(|&query| labels[query]).collect();
        scores.add_all("bootstrap", bootstrap(&ranked.map_at_r, &classes), |s, interval| {
            s.bootstrap.insert(format!("retrieval.{place}.map_at_r"), interval);
        });
        scores.add_parts(&format!("retrieval.{place}.map_at_r"), &ranked.map_at_r);
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
    scores.add_all("verification", verification(test, labels, distance), |s, v| {
        s.add(format!("verification.{place}.roc_auc"), v.roc_auc);
        s.add(format!("verification.{place}.eer"), v.eer);
        s.add(format!("verification.{place}.tar_at_far_1e-3"), v.tar_at_far_1e_3);
    });
    let clusters = clustering(test, labels, distance, &KMeansConfig::default());
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

/// What simple classifiers read from the features. Of the seen classes, parts of the test items are kept: these scores
/// both families have, at every share of the labels.
fn transfer(scores: &mut Scores, place: &str, [train, validation, test]: [Labelled<'_>; 3]) {
    let hit = |hit: bool| if hit { 1.0 } else { 0.0 };
    let probe = linear_probe(train, validation, test, &ProbeConfig::default());
    scores.add_all("linear probe", probe, |s, p| {
        let name = format!("transfer.{place}.linear_probe");
        if place == "seen" {
            // What settings may be chosen by; the test part may not.
            s.add("transfer.seen.linear_probe_validation".into(), p.validation_accuracy);
            // It has just scored these features.
            let found = p.predict(test.0).unwrap_or_default();
            s.add_parts(&name, &found.iter().zip(test.1).map(|(found, own)| hit(found == own)).collect::<Vec<f64>>());
        }
        s.add(name, p.accuracy);
    });
    let config = KnnConfig::default();
    let config = KnnConfig { k: config.k.min(train.1.len()), ..config };
    scores.add_all("kNN", knn_hits(train, test, &config), |s, hits| {
        let (name, values) = (format!("transfer.{place}.knn"), hits.into_iter().map(hit).collect::<Vec<f64>>());
        if place == "seen" {
            s.add_parts(&name, &values);
        }
        s.add(name, values.iter().sum::<f64>() / values.len() as f64);
    });
    scores.add_all("prototypes", prototypes(train, test), |s, p| {
        s.add(format!("transfer.{place}.prototypes"), p.accuracy);
    });
}

/// Episodes with few labelled items, all from the test items.
fn few_shots(scores: &mut Scores, place: &str, (test, labels): Labelled<'_>, seed: u64) {
    for shots in SHOTS {
        let config = FewShotConfig { shots, seed, ..FewShotConfig::default() };
        match few_shot(test, labels, &config) {
            // The same for every row: `no_episodes` says it once.
            Err(EvalError::TooFewRows { .. }) => {}
            found => scores.add_all("few-shot", found, |s, f| {
                s.add(format!("transfer.{place}.few_shot_{shots}"), f.accuracy);
            }),
        }
    }
}

/// Which few-shot scores the `place` classes cannot have, as one of them has too few test items.
pub fn no_episodes(place: &str, test: &Dataset) -> Option<String> {
    let counts = test.class_counts().ok()?.into_iter().enumerate();
    let (class, items) = counts.filter(|(_, items)| *items > 0).min_by_key(|(_, items)| *items)?;
    let queries = FewShotConfig::default().queries;
    let missing: Vec<usize> = SHOTS.into_iter().filter(|shots| items < shots + queries).collect();
    let most = missing.last()?;
    let names: Vec<String> = missing.iter().map(|shots| format!("`transfer.{place}.few_shot_{shots}`")).collect();
    Some(format!(
        "no {}: class `{}` has too few test items, {items}; an episode takes {queries} and {most} labelled ones of \
         each class",
        names.join(", "),
        test.class_names[class]
    ))
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

#[cfg(test)]
mod tests {
    use super::*;
    use nearfar_core::data::Inputs;

    #[test]
    fn what_no_row_can_have_is_said_once_with_the_class() {
        let few = |small: usize| {
            let labels: Vec<usize> = (0..30 + small).map(|item| usize::from(item >= 30)).collect();
            let features = Matrix::from_fn(labels.len(), 2, |row, column| (row * 2 + column) as f32 + 1.0);
            let inputs = Inputs::Rows(features.clone());
            let class_names = ["many", "few", "none"].map(str::to_owned).into();
            let data = Dataset { name: "t".into(), inputs, labels: Some(labels.clone()), class_names, groups: None };
            let mut scores = Scores::default();
            few_shots(&mut scores, "seen", (&features, &labels), 0);
            assert_eq!(scores.notes, Vec::<String>::new());
            (no_episodes("seen", &data), scores.values.into_keys().collect::<Vec<_>>())
        };
        let (one, five) = ("transfer.seen.few_shot_1".to_owned(), "transfer.seen.few_shot_5".to_owned());
        assert_eq!(few(20), (None, vec![one.clone(), five]));
        let (note, scores) = few(16);
        let told = "no `transfer.seen.few_shot_5`: class `few` has too few test items, 16; an episode takes 15 and 5 \
                    labelled ones of each class";
        assert_eq!((note.as_deref(), scores), (Some(told), vec![one]));
        let (note, scores) = few(9);
        assert!(note.unwrap().starts_with("no `transfer.seen.few_shot_1`, `transfer.seen.few_shot_5`: class `few`"));
        assert!(scores.is_empty());
    }
}

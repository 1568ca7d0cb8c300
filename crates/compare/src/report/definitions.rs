//! What each score means: one line for each, printed in the report for those that occur.

use super::Row;
use std::collections::BTreeMap;

/// Whether more or less of a score is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
    /// It describes and does not rank.
    Neither,
}

/// Task, metric, preference and meaning. `K` in a metric stands for a number, which replaces `{K}` in the meaning.
type Definition = (&'static str, &'static str, Better, &'static str);

#[rustfmt::skip]
const DEFINITIONS: &[Definition] = &[
    ("retrieval", "recall_at_1", Better::Higher, "Share of queries whose nearest other item is of the same class. Equal to precision at 1 (pytorch-metric-learning's precision_at_1) and CMC at 1. A query is left out of its own ranking by its index; queries whose class has no other item (lone queries) are dropped; equal distances are ordered by index."),
    ("retrieval", "recall_at_K", Better::Higher, "Share of queries with an item of the same class among the {K} nearest others. Queries leave themselves out by index; lone queries are dropped; equal distances are ordered by index."),
    ("retrieval", "map_at_r", Better::Higher, "Mean average precision at R, where R is the number of other items of the query's class: the precision at each hit among the R nearest, summed and divided by R (Musgrave et al. 2020; pytorch-metric-learning's mean_average_precision_at_r). Queries leave themselves out by index; lone queries are dropped."),
    ("retrieval", "r_precision", Better::Higher, "Share of items of the query's class among the R nearest others, where R is how many there are. Queries leave themselves out by index; lone queries are dropped."),
    ("retrieval", "map", Better::Higher, "Mean average precision over the full ranking: the precision at each hit, summed and divided by R. Queries leave themselves out by index; lone queries are dropped."),
    ("retrieval", "mrr", Better::Higher, "Mean of 1 / rank of the first item of the query's class, over the full ranking. Lone queries are dropped."),
    ("verification", "roc_auc", Better::Higher, "Chance that a pair of one class is more similar than a pair of two classes, over all distinct pairs, ties counted as half."),
    ("verification", "eer", Better::Lower, "Equal error rate: the share of wrong answers at the threshold where pairs of two classes are accepted as often as pairs of one class are rejected."),
    ("verification", "tar_at_far_1e-3", Better::Higher, "Largest share of pairs of one class that are accepted while at most 0.1 % of the pairs of two classes are."),
    ("clustering", "nmi", Better::Higher, "Normalised mutual information (arithmetic mean) of the classes and as many k-means clusters."),
    ("clustering", "ami", Better::Higher, "Adjusted mutual information (arithmetic mean) of the classes and as many k-means clusters: 0 is chance, 1 is agreement."),
    ("transfer", "linear_probe", Better::Higher, "Top-1 accuracy of multinomial logistic regression (L-BFGS) on frozen, standardised features. The regulariser is swept and chosen on validation items; the test items are scored once (Ericsson et al. 2021)."),
    ("transfer", "linear_probe_validation", Better::Higher, "Accuracy of the chosen linear probe on the validation items that chose its regulariser: what settings may be chosen by."),
    ("transfer", "knn", Better::Higher, "Top-1 accuracy of the weighted nearest-neighbour vote on frozen features: cosine similarity, k = 200 (or all training items, if fewer), each vote weighing exp(similarity / 0.1) (Wu et al. 2018)."),
    ("transfer", "few_shot_K", Better::Higher, "Mean accuracy over 600 random episodes of up to 5 classes with {K} labelled and 15 queried items each: the nearest class mean of unit features (Snell et al. 2017; protocol of Ericsson et al. 2021)."),
    ("transfer", "prototypes", Better::Higher, "Top-1 accuracy of the nearest class mean of the training items, by squared distance of unit features (Snell et al. 2017)."),
    ("transfer", "fine_tune_K", Better::Higher, "Top-1 accuracy of encoder and linear classifier after both were trained on with {K} % of the training labels (after SimCLR, Chen et al. 2020). The learning rate is chosen on validation items; untrained gives the floor, which is training from scratch."),
    ("geometry", "alignment", Better::Neither, "Mean squared distance of the unit embeddings of positive pairs, 0 to 4; smaller is tighter (Wang and Isola 2020, alpha = 2)."),
    ("geometry", "uniformity", Better::Neither, "Logarithm of the mean of exp(-2 d^2) over all distinct pairs of unit embeddings; smaller is spread more evenly (Wang and Isola 2020, t = 2)."),
    ("geometry", "effective_rank", Better::Neither, "Exponential of the entropy of the normalised singular values (RankMe, Garrido et al. 2023): how many directions are used. Its authors compare runs of one method with it, not methods."),
    ("geometry", "std", Better::Neither, "Mean over dimensions of the standard deviation of unit embeddings: near 1 / sqrt(dimensions) when healthy, 0 when collapsed (Chen and He 2021)."),
    ("geometry", "rho", Better::Neither, "Divergence of the normalised singular values from equal ones, KL(uniform || values): 0 when all directions are used alike (Roth et al. 2020)."),
    ("geometry", "class_separation", Better::Neither, "1 - mean cosine distance inside classes / mean cosine distance of all pairs, every class weighing the same (Kornblith et al. 2021)."),
    ("geometry", "intra_inter", Better::Neither, "Mean cosine distance inside classes / mean cosine distance of class centres; smaller is denser (Roth et al. 2020)."),
    ("", "train_seconds", Better::Neither, "Seconds of training, without scoring."),
    ("", "images_per_second", Better::Neither, "Training images a second, without scoring."),
    ("", "peak_memory_bytes", Better::Neither, "Largest memory of the process."),
];

/// Last part of a score's name.
pub(super) fn metric(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// First part of a score's name; empty for costs.
fn task(name: &str) -> &str {
    name.split_once('.').map_or("", |(task, _)| task)
}

/// Data that a score was taken on, the middle part of its name: `seen`, `unseen` or a data set's name, dots included.
pub(super) fn place(name: &str) -> &str {
    let rest = name.split_once('.').map_or("", |(_, rest)| rest);
    rest.rsplit_once('.').map_or("", |(place, _)| place)
}

/// Whether more or less of this score is preferred; scores that are not defined here do not rank.
pub(super) fn better(name: &str) -> Better {
    find(name).map_or(Better::Neither, |((_, _, better, _), _)| *better)
}

/// The meaning of every kind of score that occurs in the rows, by its name with `*` for the data.
pub(super) fn occurring(rows: &[Row]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for name in rows.iter().flat_map(Row::metrics) {
        if let Some(((task, _, _, meaning), k)) = find(name) {
            let key = if task.is_empty() { name.to_owned() } else { format!("{task}.*.{}", metric(name)) };
            found.insert(key, meaning.replace("{K}", k));
        }
    }
    found
}

/// The definition that fits, and the number in place of its `K`. Names come before patterns in the table.
fn find(name: &str) -> Option<(&'static Definition, &str)> {
    DEFINITIONS.iter().filter(|definition| definition.0 == task(name)).find_map(|definition| {
        let metric = metric(name);
        if definition.1 == metric {
            return Some((definition, ""));
        }
        let k = metric.strip_prefix(definition.1.strip_suffix('K')?)?;
        (!k.is_empty() && k.bytes().all(|byte| byte.is_ascii_digit())).then_some((definition, k))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Paradigm, fixtures::row};

    /// Every name that the project documents.
    #[test]
    fn every_documented_score_is_defined() {
        let names = [
            "retrieval.seen.recall_at_1",
            "retrieval.seen.recall_at_10",
            "retrieval.unseen.map_at_r",
            "retrieval.unseen.r_precision",
            "retrieval.unseen.mrr",
            "verification.unseen.roc_auc",
            "verification.unseen.eer",
            "verification.unseen.tar_at_far_1e-3",
            "clustering.unseen.nmi",
            "clustering.unseen.ami",
            "transfer.unseen.linear_probe",
            "transfer.my.data-set.knn",
            "transfer.unseen.few_shot_1",
            "transfer.unseen.few_shot_5",
            "transfer.seen.prototypes",
            "transfer.seen.fine_tune_1",
            "transfer.unseen.fine_tune_10",
            "geometry.seen.alignment",
            "geometry.seen.uniformity",
            "geometry.seen.effective_rank",
            "geometry.seen.std",
            "geometry.seen.rho",
            "train_seconds",
        ];
        for name in names {
            assert!(find(name).is_some(), "{name}");
        }
        for name in ["retrieval.seen.recall_at_", "retrieval.seen.recall_at_x", "transfer.seen.map_at_r", "recall_at_1"]
        {
            assert!(find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn names_come_apart() {
        let name = "transfer.my.data.linear_probe";
        assert_eq!((task(name), place(name), metric(name)), ("transfer", "my.data", "linear_probe"));
        assert_eq!((task("train_seconds"), place("train_seconds"), metric("train_seconds")), ("", "", "train_seconds"));
        assert_eq!(better("verification.unseen.eer"), Better::Lower);
        assert_eq!(better("retrieval.unseen.mrr"), Better::Higher);
        assert_eq!(better("geometry.unseen.std"), Better::Neither);
        assert_eq!(better("something.else"), Better::Neither);
    }

    #[test]
    fn those_that_occur() {
        let scores =
            [("retrieval.seen.recall_at_1", 0.5), ("retrieval.unseen.recall_at_10", 0.5), ("unknown.a.b", 0.0)];
        let found = occurring(&[row("triplet", Paradigm::Metric, 1, &scores)]);
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["images_per_second", "retrieval.*.recall_at_1", "retrieval.*.recall_at_10", "train_seconds"]
        );
        assert!(found["retrieval.*.recall_at_1"].contains("precision at 1"));
        assert!(found["retrieval.*.recall_at_10"].contains("among the 10 nearest"));
    }
}

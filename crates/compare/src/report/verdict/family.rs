//! The scores of a family's methods, seed by seed.

use crate::report::{
    Paradigm, Row,
    estimate::{Seeds, mean},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// The methods of one family that have a score, by name.
pub(super) struct Family<'a> {
    pub methods: BTreeMap<&'a str, Seeds>,
}

/// The best method of a family, chosen for each seed on the other seeds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Best<'a> {
    /// The methods chosen, the most frequent one first.
    pub methods: Vec<&'a str>,
    /// For each seed, the method chosen for it.
    pub chosen: BTreeMap<u64, &'a str>,
    /// For each seed, its score.
    pub seeds: Seeds,
}

impl<'a> Family<'a> {
    /// The methods of `paradigm` in the rows, by the mean of `scores`; rows that lack one of them are left out.
    pub fn new(rows: &[&'a Row], paradigm: Paradigm, scores: &[impl AsRef<str>]) -> Self {
        let mut methods: BTreeMap<&'a str, Seeds> = BTreeMap::new();
        for row in rows.iter().copied().filter(|row| row.paradigm == paradigm) {
            let values: Option<Vec<f64>> = scores.iter().map(|score| row.value(score.as_ref())).collect();
            if let Some(value) = values.as_deref().and_then(mean) {
                methods.entry(row.method.as_str()).or_default().insert(row.seed, value);
            }
        }
        Self { methods }
    }

    /// The best method for each seed, if there is a score.
    pub fn best(&self) -> Option<Best<'a>> {
        let all: BTreeSet<u64> = self.methods.values().flat_map(|seeds| seeds.keys().copied()).collect();
        let mut times: BTreeMap<&'a str, usize> = BTreeMap::new();
        let (mut chosen, mut seeds) = (BTreeMap::new(), Seeds::new());
        for seed in all {
            let (method, value) = self.best_at(seed)?;
            *times.entry(method).or_default() += 1;
            chosen.insert(seed, method);
            seeds.insert(seed, value);
        }
        let mut methods: Vec<_> = times.into_iter().collect();
        methods.sort_by_key(|(_, times)| Reverse(*times));
        let methods: Vec<_> = methods.into_iter().map(|(method, _)| method).collect();
        (!methods.is_empty()).then_some(Best { methods, chosen, seeds })
    }

    /// The method with the best mean over the other seeds, and its score on this one. Methods without another seed come
    /// last, by the score itself; equals go to the first name.
    fn best_at(&self, seed: u64) -> Option<(&'a str, f64)> {
        let mut best: Option<((bool, f64), &'a str, f64)> = None;
        for (&method, seeds) in &self.methods {
            let Some(&value) = seeds.get(&seed) else { continue };
            let others: Vec<f64> = seeds.iter().filter(|(other, _)| **other != seed).map(|(_, value)| *value).collect();
            let rank = mean(&others).map_or((false, value), |others| (true, others));
            if best.is_none_or(|(best, _, _)| rank > best) {
                best = Some((rank, method, value));
            }
        }
        best.map(|(_, method, value)| (method, value))
    }
}

impl Best<'_> {
    /// Mean over the seeds, of which there is at least one.
    pub fn mean(&self) -> f64 {
        self.seeds.values().sum::<f64>() / self.seeds.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{row, seeds};

    const SCORE: &str = "transfer.seen.knn";

    fn best_of(rows: &[Row]) -> Option<(Vec<String>, Seeds)> {
        let rows: Vec<&Row> = rows.iter().collect();
        let best = Family::new(&rows, Paradigm::Metric, &[SCORE]).best()?;
        Some((best.methods.iter().map(|method| (*method).to_owned()).collect(), best.seeds))
    }

    #[test]
    fn luck_on_one_seed_is_not_chosen() {
        // `lucky` has the better mean, 0.55, but only through seed 3, where `steady` is chosen by the other seeds.
        let mut rows = seeds("steady", Paradigm::Metric, SCORE, &[0.5, 0.5, 0.5]);
        rows.extend(seeds("lucky", Paradigm::Metric, SCORE, &[0.375, 0.375, 0.9]));
        let (methods, values) = best_of(&rows).unwrap();
        assert_eq!(values[&3], 0.5);
        assert_eq!((values[&1], values[&2]), (0.375, 0.375));
        assert_eq!(methods, ["lucky", "steady"]);
    }

    #[test]
    fn the_better_method_of_all_seeds() {
        let mut rows = seeds("b", Paradigm::Metric, SCORE, &[0.5, 0.6]);
        rows.extend(seeds("a", Paradigm::Metric, SCORE, &[0.1, 0.2]));
        rows.extend(seeds("c", Paradigm::Contrastive, SCORE, &[0.9, 0.9]));
        assert_eq!(best_of(&rows), Some((vec!["b".into()], Seeds::from([(1, 0.5), (2, 0.6)]))));
    }

    #[test]
    fn one_seed_and_none() {
        let mut rows = seeds("a", Paradigm::Metric, SCORE, &[0.5]);
        rows.extend(seeds("b", Paradigm::Metric, SCORE, &[0.5]));
        assert_eq!(best_of(&rows), Some((vec!["a".into()], Seeds::from([(1, 0.5)]))));
        assert_eq!(best_of(&[]), None);
        // Another seed counts for more than one good score.
        rows.extend(seeds("c", Paradigm::Metric, SCORE, &[0.1, 0.1]));
        assert_eq!(best_of(&rows).unwrap().0, ["c"]);
    }

    #[test]
    fn several_scores_are_averaged() {
        let full = row("a", Paradigm::Metric, 1, &[("x.y.z", 0.5), ("x.w.z", 0.25)]);
        let partial = row("b", Paradigm::Metric, 1, &[("x.y.z", 0.9)]);
        let family = Family::new(&[&full, &partial], Paradigm::Metric, &["x.y.z", "x.w.z"]);
        assert_eq!(family.methods, BTreeMap::from([("a", Seeds::from([(1, 0.375)]))]));
    }
}

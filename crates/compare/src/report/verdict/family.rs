//! The scores of a family's methods, seed by seed.

use crate::report::{
    Paradigm, Row,
    budget::still_improving,
    estimate::{Seeds, fewest, mean},
    luck::luck,
};
use std::collections::BTreeMap;

/// The methods of one family that have a score, by name.
pub(super) struct Family<'a> {
    pub methods: BTreeMap<&'a str, Seeds>,
}

/// The best method of a family: that with the best mean over its seeds.
///
/// Whoever compares it must know by how much luck may have made it the best: see [`crate::report::luck`]. To choose for each
/// seed on the other seeds would not do in its place: the chosen values of a family then depend on each other (a method that
/// is chosen at one seed was good at another), and of ten comparisons of equal families one to two would find a difference.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Best<'a> {
    /// The method; with those of the very same mean, if any.
    pub methods: Vec<&'a str>,
    /// Its scores.
    pub seeds: Seeds,
    /// By how much luck may have raised them in the choice.
    pub luck: f64,
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

    /// The methods with enough seeds to be chosen: where some have three, or two, those with fewer are left out, as luck would
    /// choose them.
    pub fn candidates(&self) -> Vec<(&'a str, &Seeds)> {
        let needed = fewest(self.methods.values());
        let all = self.methods.iter().map(|(method, seeds)| (*method, seeds));
        all.filter(|(_, seeds)| seeds.len() >= needed).collect()
    }

    /// The best method, if there is a score.
    pub fn best(&self) -> Option<Best<'a>> {
        let candidates = self.candidates();
        let highest = candidates.iter().map(|(_, seeds)| mean_of(seeds)).max_by(f64::total_cmp)?;
        let best: Vec<_> = candidates.iter().filter(|(_, seeds)| mean_of(seeds) == highest).collect();
        let (_, seeds) = best.first()?;
        Some(Best {
            seeds: (*seeds).clone(),
            methods: best.iter().map(|(method, _)| *method).collect(),
            luck: luck(&candidates.iter().map(|(_, seeds)| *seeds).collect::<Vec<_>>()),
        })
    }
}

/// Mean over the seeds, of which there is at least one.
fn mean_of(seeds: &Seeds) -> f64 {
    seeds.values().sum::<f64>() / seeds.len() as f64
}

impl<'a> Best<'a> {
    /// Mean over the seeds, of which there is at least one.
    pub fn mean(&self) -> f64 {
        mean_of(&self.seeds)
    }

    /// Of its methods those whose loss was still falling in these rows when the budget ended.
    pub fn unripe(&self, rows: &[&Row]) -> Vec<&'a str> {
        self.methods.iter().copied().filter(|method| still_improving(rows, method)).collect()
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
    fn the_better_method_of_all_seeds() {
        let mut rows = seeds("b", Paradigm::Metric, SCORE, &[0.5, 0.6]);
        rows.extend(seeds("a", Paradigm::Metric, SCORE, &[0.1, 0.2]));
        rows.extend(seeds("c", Paradigm::Contrastive, SCORE, &[0.9, 0.9]));
        assert_eq!(best_of(&rows), Some((vec!["b".into()], Seeds::from([(1, 0.5), (2, 0.6)]))));
        let rows: Vec<&Row> = rows.iter().collect();
        // The two are as far apart in both seeds.
        assert!(Family::new(&rows, Paradigm::Metric, &[SCORE]).best().unwrap().luck < 1e-9);
    }

    #[test]
    fn one_seed_and_none() {
        let mut rows = seeds("a", Paradigm::Metric, SCORE, &[0.5]);
        rows.extend(seeds("b", Paradigm::Metric, SCORE, &[0.5]));
        assert_eq!(best_of(&rows), Some((vec!["a".into(), "b".into()], Seeds::from([(1, 0.5)]))));
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

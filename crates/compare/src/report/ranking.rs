//! The order of the methods over seeds or runs.

use super::{
    Report,
    ahead::scores,
    estimate::LEVEL,
    groups::{groups, usual},
    table::tables,
};
use nearfar_eval::stats;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Average ranks of methods on a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// Name of the score.
    pub score: String,
    /// What the methods are ranked in, one after the other: `seeds` or `data sets`.
    pub over: String,
    /// How many of those.
    pub blocks: usize,
    /// Methods by rising average rank; 1 is the best.
    pub methods: Vec<Ranked>,
    /// Average ranks less apart than this cannot be told from each other (Nemenyi's test, 95 %).
    pub critical_difference: f64,
    /// How likely methods that do not differ give ranks so far apart (Friedman's test).
    pub p_value: f64,
    /// Label of the run in a joined report; empty for ranks over data sets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
}

/// One method of a [`Ranking`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// The method, at its usual setting where one was swept.
    pub method: String,
    /// Its average rank.
    pub rank: f64,
}

/// The score of every method in one seed or on one data set.
type Block = BTreeMap<String, f64>;

/// Average ranks on the same scores: over the seeds of each run, and over the data sets where there are several. Runs on one
/// data set are one block, the mean of their means: they say nothing of other data. Methods that were swept stand at their
/// usual setting.
pub(super) fn rankings(report: &Report) -> Vec<Ranking> {
    let groups = groups(&report.rows);
    let tables = tables(report);
    let mut found = Vec::new();
    let mut means: BTreeMap<&str, BTreeMap<String, Vec<Block>>> = BTreeMap::new();
    for table in &tables {
        let own = usual(&groups, table.run);
        for score in scores(table) {
            let values: Vec<_> = own
                .iter()
                .map(|group| (group.method.to_owned(), group.values(score)))
                .filter(|(_, seeds)| !seeds.is_empty())
                .collect();
            let shared = values.first().map_or_else(Vec::new, |(_, first)| {
                first.keys().copied().filter(|seed| values.iter().all(|(_, seeds)| seeds.contains_key(seed))).collect()
            });
            let blocks = shared
                .iter()
                .map(|seed| values.iter().map(|(name, seeds)| (name.clone(), seeds[seed])).collect())
                .collect::<Vec<Block>>();
            found.extend(ranking(table.run, score, "seeds", &blocks));
            let mean = |seeds: &BTreeMap<u64, f64>| seeds.values().sum::<f64>() / seeds.len() as f64;
            means
                .entry(score)
                .or_default()
                .entry(report.info_of(table.run).dataset.name)
                .or_default()
                .push(values.iter().map(|(name, seeds)| (name.clone(), mean(seeds))).collect());
        }
    }
    for (score, sets) in &means {
        let blocks: Vec<Block> = sets.values().map(|runs| block(runs)).collect();
        if blocks.len() > 1 {
            found.extend(ranking("", score, "data sets", &blocks));
        }
    }
    found
}

/// The means over the runs on one data set, of the methods that all of them have.
fn block(runs: &[Block]) -> Block {
    let Some((first, others)) = runs.split_first() else { return BTreeMap::new() };
    let mean = |(name, value): (&String, &f64)| {
        let sum = others.iter().try_fold(*value, |sum, run| Some(sum + run.get(name)?))?;
        Some((name.clone(), sum / runs.len() as f64))
    };
    first.iter().filter_map(mean).collect()
}

/// The ranking of the methods that occur in every block; `None` with fewer than two blocks or three methods.
fn ranking(run: &str, score: &str, over: &str, blocks: &[Block]) -> Option<Ranking> {
    let everywhere = |name: &&String| blocks.iter().all(|block| block.contains_key(*name));
    let names: Vec<&String> = blocks.first()?.keys().filter(everywhere).collect();
    if names.len() < 3 {
        return None;
    }
    // The scores that stand for the goals are all better when higher.
    let table: Vec<Vec<f64>> = blocks.iter().map(|block| names.iter().map(|name| block[*name]).collect()).collect();
    let friedman = stats::friedman(&table).ok()?;
    let critical_difference = stats::nemenyi_critical_difference(names.len(), friedman.blocks, LEVEL).ok()?;
    let ranked = |(name, rank): (&&String, &f64)| Ranked { method: (*name).clone(), rank: *rank };
    let mut methods: Vec<Ranked> = names.iter().zip(&friedman.average_ranks).map(ranked).collect();
    methods.sort_by(|a, b| a.rank.total_cmp(&b.rank));
    Some(Ranking {
        score: score.to_owned(),
        over: over.to_owned(),
        blocks: friedman.blocks,
        methods,
        critical_difference,
        p_value: friedman.p_value,
        run: run.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{DatasetInfo, Row, RunInfo, fixtures::head_to_head};

    #[test]
    fn ranks_over_seeds_and_over_data_sets() {
        let mut report = head_to_head();
        let found = rankings(&report);
        assert_eq!(found.iter().map(|ranking| ranking.over.as_str()).collect::<Vec<_>>(), ["seeds", "seeds"]);
        let order: Vec<_> = found[0].methods.iter().map(|ranked| (ranked.method.as_str(), ranked.rank)).collect();
        assert_eq!(order, [("triplet", 1.0), ("siamese", 2.0), ("simclr", 3.0), ("moco", 4.0), ("pixels", 5.0)]);
        // Demsar's q for five methods is 2.728: times the root of 5 * 6 / (6 * 3).
        assert!((found[0].critical_difference - 2.728 * (30.0f64 / 18.0).sqrt()).abs() < 1e-3);
        // Three runs on two data sets.
        let rows = std::mem::take(&mut report.rows);
        for (run, data) in [("a", "wine"), ("b", "wine"), ("c", "iris")] {
            let dataset = DatasetInfo { name: data.into(), ..DatasetInfo::default() };
            report.runs.push(RunInfo { label: run.into(), dataset, ..RunInfo::default() });
            report.rows.extend(rows.iter().cloned().map(|row| Row { run: run.into(), ..row }));
        }
        let over = |report: &Report| -> Vec<usize> {
            let found = rankings(report);
            found.iter().filter(|ranking| ranking.over == "data sets").map(|ranking| ranking.blocks).collect()
        };
        assert_eq!(over(&report), [2, 2], "one of each score");
        // Runs on one data set are no ranks over data sets.
        report.runs[2].dataset.name = "wine".into();
        assert!(over(&report).is_empty());
    }

    #[test]
    fn runs_on_one_data_set_are_averaged() {
        let run = |a: f64, b: f64| BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        let mut runs = [run(0.25, 0.5), run(0.75, 0.5)];
        assert_eq!(block(&runs), run(0.5, 0.5));
        runs[1].remove("b");
        assert_eq!(block(&runs), BTreeMap::from([("a".to_owned(), 0.5)]));
        assert!(block(&[]).is_empty());
    }

    #[test]
    fn one_seed_has_no_order() {
        let mut report = head_to_head();
        report.rows.retain(|row| row.seed == 1);
        assert!(rankings(&report).is_empty());
    }
}

//! The best method of each goal against every other, and the order of the methods over seeds or runs.

use super::{
    Report, Row,
    budget::still_improving,
    estimate::LEVEL,
    groups::{Group, groups, label, runs},
    standing::{Versus, standing},
    table::{Table, goals, tables},
};
use nearfar_eval::stats;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a method fares against the best one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is worse.
    Behind,
    /// It cannot be told from the best.
    Tie,
    /// It is worse, but was still improving when the budget ended.
    UndecidedAtThisBudget,
    /// One seed: it may be chance.
    OneSeed,
}

/// The best method on a score against another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the score.
    pub score: String,
    /// The method with the best mean, with its setting where that differs.
    pub best: String,
    /// The other method.
    pub method: String,
    /// By how much the best is ahead, positive whether the score is better high or low.
    pub lead: f64,
    /// Lower end of its 95 % interval; absent with one seed.
    pub ci95_low: Option<f64>,
    /// Upper end.
    pub ci95_high: Option<f64>,
    /// How likely two equal methods differ at least so much, by a t-test over seeds.
    pub p_value: Option<f64>,
    /// The same after Holm's correction over the other methods.
    pub p_holm: Option<f64>,
    /// What that means.
    pub outcome: Outcome,
    /// Seeds that would find this difference with a chance of 80 %, where there are too few and 50 would do.
    pub seeds_needed: Option<usize>,
    /// Label of the run in a joined report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
}

/// Average ranks of methods on a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// Name of the score.
    pub score: String,
    /// What the methods are ranked in, one after the other: `seeds` or `runs`.
    pub over: String,
    /// How many of those.
    pub blocks: usize,
    /// Methods by rising average rank; 1 is the best.
    pub methods: Vec<Ranked>,
    /// Average ranks less apart than this cannot be told from each other (Nemenyi's test, 95 %).
    pub critical_difference: f64,
    /// How likely methods that do not differ give ranks so far apart (Friedman's test).
    pub p_value: f64,
    /// Label of the run in a joined report; empty for ranks over runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
}

/// One method of a [`Ranking`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// The method, with its setting where that differs.
    pub method: String,
    /// Its average rank.
    pub rank: f64,
}

impl Outcome {
    /// The word for tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::Tie => "tie",
            Self::UndecidedAtThisBudget => "undecided at this budget",
            Self::OneSeed => "one seed, may be chance",
        }
    }
}

/// The comparisons of every run on the scores that stand for the goals, the smallest lead first.
pub(super) fn comparisons(report: &Report) -> Vec<Comparison> {
    let groups = groups(&report.rows);
    let mut found = Vec::new();
    for table in tables(report) {
        let own: Vec<&Group<'_>> = groups.iter().filter(|group| group.run == table.run).collect();
        for score in scores(&table) {
            let Some(standing) = standing(&own, score) else { continue };
            let best = label(own[standing.best], &groups);
            let others = own.iter().zip(&standing.others).filter_map(|(group, versus)| Some((group, (*versus)?)));
            let mut of_score: Vec<Comparison> = others
                .map(|(group, versus)| Comparison {
                    score: score.to_owned(),
                    best: best.clone(),
                    method: label(group, &groups),
                    run: table.run.to_owned(),
                    ..compared(&versus, group.rows(), group.method)
                })
                .collect();
            of_score.sort_by(|a, b| a.lead.total_cmp(&b.lead));
            found.append(&mut of_score);
        }
    }
    found
}

/// The numbers of a comparison; names are filled in by the caller.
fn compared(versus: &Versus, rows: &[&Row], method: &str) -> Comparison {
    let Versus { lead, p_holm, tie } = *versus;
    let outcome = match p_holm {
        _ if tie => Outcome::Tie,
        None => Outcome::OneSeed,
        Some(_) if still_improving(rows, method) => Outcome::UndecidedAtThisBudget,
        Some(_) => Outcome::Behind,
    };
    Comparison {
        score: String::new(),
        best: String::new(),
        method: String::new(),
        lead: lead.mean,
        ci95_low: lead.interval.map(|(low, _)| low),
        ci95_high: lead.interval.map(|(_, high)| high),
        p_value: lead.p_value,
        p_holm,
        outcome,
        seeds_needed: if tie { lead.seeds_to_decide() } else { None },
        run: String::new(),
    }
}

/// Average ranks on the same scores: over the seeds of each run, and over the runs where there are several.
pub(super) fn rankings(report: &Report) -> Vec<Ranking> {
    let groups = groups(&report.rows);
    let tables = tables(report);
    let mut found = Vec::new();
    let mut means: BTreeMap<&str, Vec<BTreeMap<String, f64>>> = BTreeMap::new();
    for table in &tables {
        let own: Vec<&Group<'_>> = groups.iter().filter(|group| group.run == table.run).collect();
        for score in scores(table) {
            let values: Vec<_> = own
                .iter()
                .map(|group| (label(group, &groups), group.values(score)))
                .filter(|(_, seeds)| !seeds.is_empty())
                .collect();
            let shared = values.first().map_or_else(Vec::new, |(_, first)| {
                first.keys().copied().filter(|seed| values.iter().all(|(_, seeds)| seeds.contains_key(seed))).collect()
            });
            let blocks = shared
                .iter()
                .map(|seed| values.iter().map(|(name, seeds)| (name.clone(), seeds[seed])).collect())
                .collect::<Vec<BTreeMap<String, f64>>>();
            found.extend(ranking(table.run, score, "seeds", &blocks));
            let mean = |seeds: &BTreeMap<u64, f64>| seeds.values().sum::<f64>() / seeds.len() as f64;
            means
                .entry(score)
                .or_default()
                .push(values.iter().map(|(name, seeds)| (name.clone(), mean(seeds))).collect());
        }
    }
    if runs(&report.rows).len() > 1 {
        found.extend(means.iter().filter_map(|(score, blocks)| ranking("", score, "runs", blocks)));
    }
    found
}

/// The ranking of the methods that occur in every block; `None` with fewer than two blocks or three methods.
fn ranking(run: &str, score: &str, over: &str, blocks: &[BTreeMap<String, f64>]) -> Option<Ranking> {
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

/// The names of the columns that stand for the goals.
fn scores<'t>(table: &'t Table<'_>) -> impl Iterator<Item = &'t str> {
    goals(&table.columns).into_iter().flatten().map(move |column| table.columns[column].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        Paradigm,
        fixtures::{head_to_head, seeds},
    };

    const SCORE: &str = "retrieval.seen.map_at_r";

    #[test]
    fn each_other_method_is_compared_with_the_best() {
        let found = comparisons(&head_to_head());
        let of_retrieval: Vec<_> = found.iter().filter(|comparison| comparison.score == SCORE).collect();
        let names: Vec<_> = of_retrieval.iter().map(|comparison| comparison.method.as_str()).collect();
        assert_eq!(names, ["siamese", "simclr", "moco", "pixels"]);
        assert!(of_retrieval.iter().all(|comparison| comparison.best == "triplet"));
        assert!(of_retrieval.iter().all(|comparison| comparison.outcome == Outcome::Behind), "{of_retrieval:?}");
        assert!((of_retrieval[0].lead - 0.1).abs() < 1e-9);
        assert!(found.iter().any(|comparison| comparison.best == "simclr"));
    }

    #[test]
    fn ties_need_seeds_and_curves_need_epochs() {
        let mut rows = seeds("a", Paradigm::Metric, SCORE, &[0.50, 0.60, 0.55]);
        rows.extend(seeds("b", Paradigm::Metric, SCORE, &[0.49, 0.58, 0.55]));
        rows.extend(seeds("c", Paradigm::Contrastive, SCORE, &[0.10, 0.20, 0.15]));
        rows.iter_mut().filter(|row| row.method == "c").for_each(|row| row.curve = vec![4.0, 3.0, 2.0, 1.0]);
        let found = comparisons(&Report { rows, ..Report::default() });
        let outcomes: Vec<_> =
            found.iter().map(|comparison| (comparison.method.as_str(), comparison.outcome)).collect();
        assert_eq!(outcomes, [("b", Outcome::Tie), ("c", Outcome::UndecidedAtThisBudget)]);
        // A mean of one deviation: ten seeds, by statsmodels.
        assert_eq!((found[0].seeds_needed, found[1].seeds_needed), (Some(10), None));
    }

    #[test]
    fn one_seed_decides_nothing() {
        let mut rows = seeds("a", Paradigm::Metric, SCORE, &[0.5]);
        rows.extend(seeds("b", Paradigm::Metric, SCORE, &[0.4]));
        let report = Report { rows, ..Report::default() };
        let found = comparisons(&report);
        assert_eq!((found[0].outcome, found[0].p_value, found[0].ci95_low), (Outcome::OneSeed, None, None));
        assert!(rankings(&report).is_empty());
    }

    #[test]
    fn ranks_over_seeds_and_over_runs() {
        let mut report = head_to_head();
        let found = rankings(&report);
        assert_eq!(found.iter().map(|ranking| ranking.over.as_str()).collect::<Vec<_>>(), ["seeds", "seeds"]);
        let order: Vec<_> = found[0].methods.iter().map(|ranked| (ranked.method.as_str(), ranked.rank)).collect();
        assert_eq!(order, [("triplet", 1.0), ("siamese", 2.0), ("simclr", 3.0), ("moco", 4.0), ("pixels", 5.0)]);
        // Demsar's q for five methods is 2.728: times the root of 5 * 6 / (6 * 3).
        assert!((found[0].critical_difference - 2.728 * (30.0f64 / 18.0).sqrt()).abs() < 1e-3);
        let mut other = report.rows.clone();
        other.iter_mut().for_each(|row| row.run = "other".into());
        report.rows.extend(other);
        let over: Vec<_> = rankings(&report).iter().map(|ranking| (ranking.over.clone(), ranking.blocks)).collect();
        assert_eq!(over.iter().filter(|(over, _)| over == "runs").count(), 2);
        assert!(over.contains(&("runs".into(), 2)));
    }

    /// Two copies of one method with other seeds, 200 times: a win is called about as often as the level says.
    #[test]
    fn copies_of_one_method_seldom_win() {
        let mut state = 1u64;
        let mut noise = || {
            // The sum of twelve evenly spread values is nearly normal with deviation 1.
            (0..12)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 11) as f64 / (1u64 << 53) as f64
                })
                .sum::<f64>()
                - 6.0
        };
        let mut wins = 0;
        for _ in 0..200 {
            let mut values = || (0..5).map(|_| 0.8 + 0.02 * noise()).collect::<Vec<f64>>();
            let mut rows = seeds("a", Paradigm::Metric, SCORE, &values());
            rows.extend(seeds("b", Paradigm::Contrastive, SCORE, &values()));
            let found = comparisons(&Report { rows, ..Report::default() });
            wins += usize::from(found[0].outcome == Outcome::Behind);
        }
        // Binomial with mean 10 and deviation 3.1.
        assert!((1..=22).contains(&wins), "{wins} of 200");
    }
}

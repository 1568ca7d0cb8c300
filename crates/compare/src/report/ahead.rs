//! The best method of each goal against every other.

use super::{
    Report, Row,
    budget::still_improving,
    estimate::Over,
    format::interval,
    groups::{groups, usual},
    standing::{Versus, standing},
    table::{Table, goals, tables},
};
use serde::{Deserialize, Serialize};
use std::ops::Not;

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
    /// Fewer than three seeds: it may be chance.
    #[serde(alias = "one_seed")]
    FewSeeds,
    /// It is worse by the same in every seed, so that the seeds do not say whether that is chance.
    SameInEverySeed,
}

/// The best method on a score against another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the score.
    pub score: String,
    /// The method with the best mean, at its usual setting where one was swept.
    pub best: String,
    /// The other method.
    pub method: String,
    /// By how much the best is ahead, positive whether the score is better high or low.
    pub lead: f64,
    /// Lower end of its 95 % interval, by its spread over seeds, steadied by that of all methods; absent with one seed, and
    /// where no seed changes the lead.
    pub ci95_low: Option<f64>,
    /// Upper end.
    pub ci95_high: Option<f64>,
    /// How likely two equal methods differ at least so much, by a t-test over seeds with that spread.
    pub p_value: Option<f64>,
    /// The same after Holm's correction over all pairs of methods: which is best was found on the same seeds.
    pub p_holm: Option<f64>,
    /// What that means.
    pub outcome: Outcome,
    /// Whether interval and p-value are over test items, as no seed changes either method.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub over_items: bool,
    /// Seeds that would find this difference with a chance of 80 %, where there are too few and 50 would do.
    pub seeds_needed: Option<usize>,
    /// Label of the run in a joined report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
}

impl Outcome {
    /// The words for tables, about the best method.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Behind => "best is ahead",
            Self::Tie => "tie",
            Self::UndecidedAtThisBudget => "undecided at this budget",
            Self::FewSeeds => "fewer than three seeds, may be chance",
            Self::SameInEverySeed => "does not vary with the seed",
        }
    }
}

impl Comparison {
    /// The interval of the lead, and what it is over where that is not the seeds.
    pub(super) fn interval_text(&self) -> String {
        match (self.ci95_low.zip(self.ci95_high), self.over_items) {
            (Some((low, high)), false) => interval(low, high),
            (Some((low, high)), true) => format!("{} over test items", interval(low, high)),
            (None, _) => "-".to_owned(),
        }
    }
}

/// The comparisons of every run on the scores that stand for the goals, the smallest lead first. Of a sweep, the methods
/// at their usual setting are compared: more settings would only make the correction harsher.
pub(super) fn comparisons(report: &Report) -> Vec<Comparison> {
    let groups = groups(&report.rows);
    let mut found = Vec::new();
    for table in tables(report) {
        let own = usual(&groups, table.run);
        for score in scores(&table) {
            let Some(standing) = standing(&own, score) else { continue };
            let best = own[standing.best].method;
            let others = own.iter().zip(&standing.others).filter_map(|(group, versus)| Some((group, (*versus)?)));
            let mut of_score: Vec<Comparison> = others
                .map(|(group, versus)| Comparison {
                    score: score.to_owned(),
                    best: best.to_owned(),
                    method: group.method.to_owned(),
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
        None if lead.constant() => Outcome::SameInEverySeed,
        None => Outcome::FewSeeds,
        Some(_) if lead.few() => Outcome::FewSeeds,
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
        over_items: lead.over == Over::Items,
        seeds_needed: if tie { lead.seeds_to_decide() } else { None },
        run: String::new(),
    }
}

/// The names of the columns that stand for the goals.
pub(super) fn scores<'t>(table: &'t Table<'_>) -> impl Iterator<Item = &'t str> {
    goals(&table.columns).into_iter().flatten().map(move |column| table.columns[column].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        Bootstrap, Paradigm,
        fixtures::{head_to_head, normal, seeds},
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
        assert_eq!((found[0].outcome, found[0].p_value, found[0].ci95_low), (Outcome::FewSeeds, None, None));
    }

    #[test]
    fn two_seeds_call_no_one_ahead() {
        let of = |a: &[f64], b: &[f64]| {
            let rows = [seeds("a", Paradigm::Metric, SCORE, a), seeds("b", Paradigm::Metric, SCORE, b)].concat();
            comparisons(&Report { rows, ..Report::default() }).remove(0)
        };
        let two = of(&[0.5, 0.501], &[0.3, 0.302]);
        assert!(two.p_value.unwrap() < 0.01 && two.outcome == Outcome::FewSeeds, "{two:?}");
        assert_eq!(of(&[0.5, 0.501, 0.502], &[0.3, 0.302, 0.301]).outcome, Outcome::Behind);
    }

    /// A run of more seeds that was stopped: its later seeds were luckier, and over those that both have it is behind.
    #[test]
    fn who_leads_over_no_shared_seed_is_not_ahead() {
        let mut rows = seeds("a", Paradigm::Metric, SCORE, &[0.60, 0.61, 0.62, 0.9, 0.9, 0.9]);
        rows.extend(seeds("b", Paradigm::Metric, SCORE, &[0.70, 0.711, 0.72]));
        let found = comparisons(&Report { rows, ..Report::default() }).remove(0);
        assert!(found.best == "a" && found.lead < 0.0 && found.outcome == Outcome::Tie, "{found:?}");
    }

    /// One method of two seeds neither becomes the best nor keeps others from being compared.
    #[test]
    fn few_seeds_of_one_method_do_not_count_for_all() {
        let mut rows = seeds("a", Paradigm::Metric, SCORE, &[0.5, 0.501, 0.502]);
        rows.extend(seeds("b", Paradigm::Metric, SCORE, &[0.3, 0.302, 0.301]));
        rows.extend(seeds("c", Paradigm::Metric, SCORE, &[0.9, 0.91]));
        let found = comparisons(&Report { rows, ..Report::default() });
        let outcomes: Vec<_> = found.iter().map(|own| (own.best.as_str(), own.method.as_str(), own.outcome)).collect();
        assert_eq!(outcomes, [("a", "c", Outcome::Tie), ("a", "b", Outcome::Behind)]);
    }

    #[test]
    fn a_lead_that_no_seed_changes_is_not_certain() {
        let mut rows = seeds("mahalanobis", Paradigm::Metric, SCORE, &[0.534, 0.534]);
        rows.extend(seeds("pixels", Paradigm::Baseline, SCORE, &[0.5, 0.5]));
        let found = |rows: &[Row]| comparisons(&Report { rows: rows.to_vec(), ..Report::default() }).remove(0);
        let alone = found(&rows);
        assert_eq!((alone.outcome, alone.p_value, alone.ci95_low), (Outcome::SameInEverySeed, None, None));
        assert_eq!((alone.outcome.name(), alone.interval_text()), ("does not vary with the seed", "-".to_owned()));
        for row in &mut rows {
            let middle = row.scores[SCORE];
            row.bootstrap.insert(SCORE.into(), Bootstrap { queries: [middle - 0.01, middle + 0.01], classes: None });
        }
        let items = found(&rows);
        assert_eq!((items.outcome, items.over_items, items.seeds_needed), (Outcome::Behind, true, None));
        assert_eq!(items.interval_text(), "[+0.020, +0.048] over test items");
    }

    /// Copies of one method, of which some spread further over the seeds than others and each seed moves all that spread: how
    /// often some win is called that is none.
    fn wins(runs: usize, seeds_each: usize, deviations: &[f64], of_seed: f64) -> usize {
        let mut noise = normal();
        let mut run = || {
            let moved: Vec<f64> = (0..seeds_each).map(|_| of_seed * noise()).collect();
            let mut rows = Vec::new();
            for (method, deviation) in deviations.iter().enumerate() {
                let all = if *deviation > 0.0 { 1.0 } else { 0.0 };
                let values: Vec<f64> = moved.iter().map(|moved| 0.8 + all * moved + deviation * noise()).collect();
                rows.extend(seeds(&format!("m{method}"), Paradigm::Metric, SCORE, &values));
            }
            let found = comparisons(&Report { rows, ..Report::default() });
            found.iter().any(|comparison| comparison.outcome == Outcome::Behind)
        };
        (0..runs).filter(|_| run()).count()
    }

    #[test]
    fn copies_of_one_method_seldom_win() {
        // Binomial with mean 10 and deviation 3.1.
        let two = wins(200, 5, &[0.02; 2], 0.0);
        assert!((1..=22).contains(&two), "{two} of 200");
        // Against the best of eleven, one of the ten others was called worse in 24 of 200 while the correction counted
        // those ten tests alone.
        let eleven = wins(200, 5, &[0.02; 11], 0.0);
        assert!(eleven <= 16, "{eleven} of 200");
    }

    /// Methods that spread up to eight times as far as others, on three seeds and five: at the level 20 of 400, with a
    /// deviation of 4.4. With the error of the analysis of variance or a method's own, whichever is larger, and the degrees of
    /// freedom of the former it was up to 10 of 100 on three seeds.
    #[test]
    fn copies_that_spread_unequally_seldom_win() {
        const MIXED: [f64; 11] = [0.005, 0.005, 0.01, 0.01, 0.01, 0.02, 0.02, 0.02, 0.02, 0.04, 0.04];
        let mut one_wild = [0.01; 11];
        one_wild[10] = 0.08;
        let mut two_wild = [0.01; 13];
        two_wild[11..].fill(0.08);
        // Two that no seed changes beside nine that every seed moves alike.
        let mut still = [0.005; 11];
        still[9..].fill(0.0);
        let scenes: [(&str, &[f64], f64); 6] = [
            ("mixed", &MIXED, 0.0),
            ("mixed, moved", &MIXED, 0.02),
            ("one wild", &one_wild, 0.0),
            ("two wild", &two_wild, 0.0),
            ("three", &[0.01, 0.01, 0.08], 0.0),
            ("still", &still, 0.02),
        ];
        for (name, deviations, of_seed) in scenes {
            for seeds_each in [3, 5] {
                let found = wins(400, seeds_each, deviations, of_seed);
                assert!(found <= 33, "{name}, {seeds_each} seeds: {found} of 400");
            }
        }
    }
}

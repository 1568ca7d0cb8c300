//! Which method to use, in three sentences, and what would change that.

use super::{
    Paradigm, Report, Row, RunInfo,
    ahead::{Comparison, Outcome},
    axis,
    definitions::place,
    format::with_half,
    table::{Line, Table, goals, tables},
    verdict::{Difference, Ruling, Verdict},
};
use serde::{Deserialize, Serialize};

/// The advice of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// Three: what to use for retrieval, what for transfer, and what this rests on.
    pub sentences: Vec<String>,
    /// What would change it, the nearest at hand first.
    pub would_change: Vec<String>,
    /// Label of the run in a joined report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
}

/// The recommendation of every run that has finished rows. The verdicts and the comparisons must be there.
pub(super) fn recommendations(report: &Report) -> Vec<Recommendation> {
    tables(report).iter().map(|table| recommendation(report, table)).collect()
}

fn recommendation(report: &Report, table: &Table<'_>) -> Recommendation {
    let [retrieval, transfer] = goals(&table.columns);
    let (of_retrieval, of_transfer) = (against(report, table, retrieval), against(report, table, transfer));
    let about = |topic: Difference| {
        report.verdicts.iter().find(|verdict| verdict.run == table.run && verdict.difference == Some(topic))
    };
    let sentences = vec![
        choice(table, retrieval, &of_retrieval, "Retrieval was not measured."),
        choice(table, transfer, &of_transfer, "Transfer was not measured."),
        basis(report, table.run, about(Difference::Goal)),
    ];
    let all: Vec<&Comparison> = of_retrieval.into_iter().chain(of_transfer).collect();
    Recommendation {
        sentences,
        would_change: would_change(&all, about(Difference::Supervision)),
        run: table.run.to_owned(),
    }
}

/// The comparisons of this run on the score of a column.
fn against<'r>(report: &'r Report, table: &Table<'_>, column: Option<usize>) -> Vec<&'r Comparison> {
    let score = column.map(|column| table.columns[column].as_str());
    let fits = |comparison: &&Comparison| comparison.run == table.run && Some(comparison.score.as_str()) == score;
    report.comparisons.iter().filter(fits).collect()
}

/// What to use for the goal that a score stands for.
fn choice(table: &Table<'_>, column: Option<usize>, others: &[&Comparison], missing: &str) -> String {
    let best = column.and_then(|column| Some((column, best_line(table, column, others)?)));
    let Some((column, line)) = best else { return missing.to_owned() };
    let score = &table.columns[column];
    let purpose = match (score.starts_with("retrieval."), place(score)) {
        (true, "unseen") => "To find items of new classes again",
        (true, _) => "To find items of the trained classes again",
        (false, "unseen") => "To tell apart classes that were not trained on",
        (false, _) => "To classify with a simple classifier",
    };
    let value = line.cells[column].map_or_else(String::new, |cell| with_half(score, cell.mean, cell.half));
    let family = match line.paradigm {
        Paradigm::Baseline => "a baseline: neither family is ahead of it".to_owned(),
        paradigm => paradigm.to_string(),
    };
    format!("{purpose}, use {} ({family}; {score} {value}); {}.", line.label, lead(others))
}

/// The line of the best method: the one that the comparisons name, or the only one with the score.
fn best_line<'l>(table: &'l Table<'_>, column: usize, others: &[&Comparison]) -> Option<&'l Line> {
    match others.first() {
        Some(comparison) => table.lines.iter().find(|line| line.label == comparison.best),
        None => table.lines.iter().find(|line| line.cells[column].is_some()),
    }
}

/// How far the best method is ahead of the others.
fn lead(others: &[&Comparison]) -> String {
    let of = |outcome: Outcome| {
        let fits = others.iter().filter(|comparison| comparison.outcome == outcome);
        fits.map(|comparison| comparison.method.as_str()).collect::<Vec<&str>>()
    };
    let (ties, unripe) = (of(Outcome::Tie), of(Outcome::UndecidedAtThisBudget));
    if others.is_empty() {
        return "nothing else was measured".to_owned();
    }
    if others.iter().any(|comparison| comparison.outcome == Outcome::OneSeed) {
        return "one seed, so that the difference to any other may be chance".to_owned();
    }
    let mut parts = Vec::new();
    if !ties.is_empty() {
        parts.push(format!("it cannot be told from {}", ties.join(", ")));
    }
    if !unripe.is_empty() {
        parts.push(format!("{} {} still improving when the budget ended", unripe.join(", "), was(&unripe)));
    }
    if parts.is_empty() { "it is ahead of every other method".to_owned() } else { parts.join(", and ") }
}

/// What the recommendation rests on.
fn basis(report: &Report, run: &str, goal: Option<&Verdict>) -> String {
    let own = report.info();
    let info: &RunInfo = report.runs.iter().find(|info| info.label == run).unwrap_or(&own);
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.run == run).collect();
    let labels = rows.iter().map(|row| row.labels_used).max().unwrap_or(0);
    let weak = rows.iter().any(|row| row.axes.contains_key(axis::CONSTRAINTS));
    let what = if weak { "statements" } else { "labels" };
    let mut seeds: Vec<u64> = rows.iter().map(|row| row.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let claim = match goal.map(|verdict| verdict.verdict) {
        Some(Ruling::Supported) => "metric learning retrieves better and contrastive learning transfers better here",
        Some(Ruling::Refuted) => {
            "that metric learning retrieves better and contrastive learning transfers better is refuted here"
        }
        _ => "whether metric learning retrieves better and contrastive learning transfers better is undecided here",
    };
    format!(
        "This rests on {}, {labels} {what} for {} training items, {} epochs and {} seed{}: {claim}.",
        info.dataset.name,
        info.dataset.train,
        info.budget.epochs,
        seeds.len(),
        if seeds.len() == 1 { "" } else { "s" },
    )
}

/// What would change the choice, from the comparisons behind it and the verdict on labels.
fn would_change(comparisons: &[&Comparison], supervision: Option<&Verdict>) -> Vec<String> {
    let mut reasons = Vec::new();
    let one_seed = comparisons.iter().any(|comparison| comparison.outcome == Outcome::OneSeed);
    if one_seed {
        reasons.push("More seeds: one gives no interval; `--seeds 3` does.".to_owned());
    }
    let needed = comparisons.iter().filter_map(|comparison| Some((comparison.seeds_needed?, comparison)));
    if let Some((seeds, comparison)) = needed.min_by_key(|(seeds, _)| *seeds) {
        reasons.push(format!(
            "More seeds: {seeds} would tell {} from {} with a chance of 80 %, if the difference is what it seems.",
            comparison.best, comparison.method
        ));
    }
    let unripe = comparisons.iter().filter(|comparison| comparison.outcome == Outcome::UndecidedAtThisBudget);
    let mut unripe: Vec<&str> = unripe.map(|comparison| comparison.method.as_str()).collect();
    unripe.sort_unstable();
    unripe.dedup();
    if !unripe.is_empty() {
        reasons.push(format!("More epochs: {} {} still improving.", unripe.join(", "), was(&unripe)));
    }
    reasons.push(match supervision {
        Some(verdict) if verdict.effect.is_some() => {
            format!("Another number of labels: that fewer favour contrastive learning is {}.", verdict.verdict)
        }
        _ => "Another number of labels: not measured; `compare sweep --axis labels` does.".to_owned(),
    });
    reasons.push("Other data: this says nothing about them.".to_owned());
    reasons
}

fn was(names: &[&str]) -> &'static str {
    if names.len() == 1 { "was" } else { "were" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::head_to_head;

    fn advice(change: impl FnOnce(&mut Vec<Row>)) -> Recommendation {
        let mut report = head_to_head();
        report.dataset.name = "shapes".into();
        change(&mut report.rows);
        report.summarize();
        assert_eq!(report.recommendation.len(), 1);
        report.recommendation.remove(0)
    }

    #[test]
    fn a_clear_result() {
        let found = advice(|_| ());
        assert_eq!(
            found.sentences,
            [
                "To find items of the trained classes again, use triplet (metric; retrieval.seen.map_at_r 0.800 \
                 ±0.025); it is ahead of every other method.",
                "To tell apart classes that were not trained on, use simclr (contrastive; \
                 transfer.unseen.linear_probe 0.700 ±0.025); it is ahead of every other method.",
                "This rests on shapes, 600 labels for 600 training items, 2 epochs and 3 seeds: metric learning \
                 retrieves better and contrastive learning transfers better here.",
            ]
        );
        assert!(found.would_change[0].starts_with("Another number of labels: not measured"), "{found:?}");
    }

    #[test]
    fn ties_budget_and_single_seeds_are_said() {
        let tied = advice(|rows| {
            for row in rows.iter_mut().filter(|row| row.method == "siamese") {
                let shift = [0.02, -0.03, 0.0][row.seed as usize - 1];
                row.scores.insert("retrieval.seen.map_at_r".into(), 0.79 + shift);
            }
        });
        assert!(tied.sentences[0].ends_with("it cannot be told from siamese."), "{tied:?}");
        let unripe = advice(|rows| {
            rows.iter_mut().filter(|row| row.method == "moco").for_each(|row| row.curve = vec![4.0, 3.0, 2.0, 1.0]);
        });
        assert!(unripe.sentences[0].ends_with("moco was still improving when the budget ended."), "{unripe:?}");
        assert!(unripe.would_change.contains(&"More epochs: moco was still improving.".to_owned()), "{unripe:?}");
        let single = advice(|rows| rows.retain(|row| row.seed == 1));
        assert!(single.sentences[0].contains("one seed, so that"), "{single:?}");
        assert!(single.would_change[0].contains("--seeds 3"), "{single:?}");
    }

    #[test]
    fn a_baseline_may_be_the_answer() {
        let found = advice(|rows| {
            for row in rows.iter_mut().filter(|row| row.method == "pixels") {
                row.scores.insert("retrieval.seen.map_at_r".into(), 0.95);
            }
        });
        assert!(found.sentences[0].contains("use pixels (a baseline: neither family is ahead of it;"), "{found:?}");
    }

    #[test]
    fn without_a_score_it_says_so() {
        let found = advice(|rows| rows.iter_mut().for_each(|row| row.scores.clear()));
        assert_eq!(found.sentences[0], "Retrieval was not measured.");
    }
}

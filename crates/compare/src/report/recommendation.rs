//! Which method to use, in three sentences, and what would change that.

use super::{
    Report, Row, RunInfo,
    ahead::{Comparison, Outcome},
    axis,
    choice::{Choice, choice, sentence},
    table::{Table, goals, tables},
    verdict::{Difference, Ruling, Verdict},
};
use serde::{Deserialize, Serialize};

/// The advice of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// Three: what to use for retrieval, what for transfer, and what this rests on.
    pub sentences: Vec<String>,
    /// What the first two sentences say; none where it was not measured.
    #[serde(default)]
    pub choices: [Option<Choice>; 2],
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
    let choices = [choice(table, retrieval, &of_retrieval), choice(table, transfer, &of_transfer)];
    let told = |choice: &Option<Choice>, missing: &str| choice.as_ref().map_or_else(|| missing.to_owned(), sentence);
    let sentences = vec![
        told(&choices[0], "Retrieval was not measured."),
        told(&choices[1], "Transfer was not measured."),
        basis(report, table.run, about(Difference::Goal)),
    ];
    let all: Vec<&Comparison> = of_retrieval.into_iter().chain(of_transfer).collect();
    Recommendation {
        sentences,
        choices,
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

/// The verb for several names or one.
pub(super) fn was(names: &[&str]) -> &'static str {
    if names.len() == 1 { "was" } else { "were" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        choice::{Certainty, Scored},
        fixtures::head_to_head,
    };

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
        let [retrieval, transfer] = found.choices.each_ref().map(|choice| choice.as_ref().unwrap());
        assert_eq!((retrieval.certainty, retrieval.best.method.as_str()), (Certainty::Sure, "triplet"));
        let percent = |own: &Scored| (own.method.clone(), (100.0 * own.mean).round());
        let families: Vec<_> = transfer.families.iter().map(percent).collect();
        assert_eq!(families, [("triplet".to_owned(), 50.0), ("simclr".to_owned(), 70.0)]);
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
        let certainty = |advice: &Recommendation| advice.choices[0].as_ref().unwrap().certainty;
        assert!(tied.sentences[0].ends_with("it cannot be told from siamese."), "{tied:?}");
        assert_eq!(certainty(&tied), Certainty::Tie);
        let unripe = advice(|rows| {
            rows.iter_mut().filter(|row| row.method == "moco").for_each(|row| row.curve = vec![4.0, 3.0, 2.0, 1.0]);
        });
        assert!(unripe.sentences[0].ends_with("moco was still improving when the budget ended."), "{unripe:?}");
        assert_eq!(certainty(&unripe), Certainty::UndecidedAtThisBudget);
        assert!(unripe.would_change.contains(&"More epochs: moco was still improving.".to_owned()), "{unripe:?}");
        let single = advice(|rows| rows.retain(|row| row.seed == 1));
        assert!(single.sentences[0].contains("one seed, so that"), "{single:?}");
        assert_eq!(certainty(&single), Certainty::OneSeed);
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
        assert_eq!((found.sentences[0].as_str(), found.choices), ("Retrieval was not measured.", [None, None]));
    }
}

//! Which method to use, in three sentences, and what would change that.

use super::{
    Paradigm, Report, Row,
    again::Again,
    ahead::{Comparison, Outcome},
    axis,
    choice::{Certainty, Choice, choice, sentence},
    estimate::MOST_SEEDS,
    format::count,
    table::{Table, goals, tables},
    verdict::{Crossover, Difference, Finding, Ruling, Verdict},
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
        basis(report, table, about(Difference::Goal)),
    ];
    let again = Again::of(&report.info_of(table.run));
    Recommendation {
        sentences,
        choices,
        would_change: would_change(
            [&of_retrieval, &of_transfer],
            labels(report, table, about(Difference::Supervision)),
            &again,
        ),
        run: table.run.to_owned(),
    }
}

/// What several runs say together, one sentence for each goal: whose methods they choose.
pub(super) fn joint(all: &[Recommendation]) -> String {
    let goal = |(at, name): (usize, &str)| {
        let choices: Vec<&Choice> = all.iter().filter_map(|advice| advice.choices[at].as_ref()).collect();
        let sure = choices.iter().filter(|choice| choice.certainty == Certainty::Sure).count();
        let families = [Paradigm::Metric, Paradigm::Contrastive, Paradigm::Hybrid, Paradigm::Baseline];
        let counts =
            families.map(|family| (family, choices.iter().filter(|choice| choice.best.family == family).count()));
        let counts = counts.iter().filter(|(_, count)| *count > 0).map(|(family, count)| format!("{family} {count}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        (!choices.is_empty()).then(|| {
            format!("{name}: of {} the best is {counts}; {sure} of these for sure.", count(choices.len(), "run"))
        })
    };
    ["Retrieval", "Transfer"].into_iter().enumerate().filter_map(goal).collect::<Vec<_>>().join(" ")
}

/// The comparisons of this run on the score of a column.
fn against<'r>(report: &'r Report, table: &Table<'_>, column: Option<usize>) -> Vec<&'r Comparison> {
    let score = column.map(|column| table.columns[column].as_str());
    let fits = |comparison: &&Comparison| comparison.run == table.run && Some(comparison.score.as_str()) == score;
    report.comparisons.iter().filter(fits).collect()
}

/// What the recommendation rests on.
fn basis(report: &Report, table: &Table<'_>, goal: Option<&Verdict>) -> String {
    let info = report.info_of(table.run);
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.run == table.run).collect();
    let labels = rows.iter().map(|row| row.labels_used).max().unwrap_or(0);
    let weak = rows.iter().any(|row| row.axes.contains_key(axis::CONSTRAINTS));
    let what = if weak { "statement" } else { "label" };
    let mut seeds: Vec<u64> = rows.iter().map(|row| row.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let swept = if table.setting.is_empty() { String::new() } else { format!(", at {} where swept", table.setting) };
    let claim = match goal.map(|verdict| verdict.verdict) {
        Some(Ruling::Supported) => "metric learning retrieves better and contrastive learning transfers better here",
        Some(Ruling::Refuted) => {
            "that metric learning retrieves better and contrastive learning transfers better is refuted here"
        }
        _ => "whether metric learning retrieves better and contrastive learning transfers better is undecided here",
    };
    format!(
        "This rests on {}, {} for {}, {} and {}{swept}: {claim}.",
        info.dataset.name,
        count(labels, what),
        count(info.dataset.train, "training item"),
        count(info.budget.epochs, "epoch"),
        count(seeds.len(), "seed"),
    )
}

/// What another number of labels would change: where the lead changes, else how the claim about labels fared. `None` where no
/// labels were swept.
fn labels(report: &Report, table: &Table<'_>, supervision: Option<&Verdict>) -> Option<String> {
    let here = |found: &&Crossover| found.run == table.run && found.finding == Finding::Point;
    let found = report.crossovers.iter().filter(here).map(|found| format!("{}: {}", found.score, found.sentence));
    let found: Vec<String> = found.collect();
    let claim = supervision.filter(|verdict| verdict.effect.is_some())?.verdict;
    Some(if found.is_empty() { format!("that fewer favour contrastive learning is {claim}.") } else { found.join(" ") })
}

/// What would change the choices, from the comparisons behind each and what is known of other numbers of labels.
fn would_change(goals: [&[&Comparison]; 2], labels: Option<String>, again: &Again) -> Vec<String> {
    let mut reasons = Vec::new();
    let comparisons = || goals.into_iter().flatten();
    if comparisons().any(|comparison| comparison.outcome == Outcome::FewSeeds) {
        reasons.push(format!(
            "More seeds: with fewer than three none is called ahead; `{}`.",
            again.seeds(again.deciding())
        ));
    }
    reasons.extend(rivals(goals, again));
    if comparisons().any(|comparison| comparison.outcome == Outcome::SameInEverySeed) {
        reasons
            .push("Other test items: some leads are the same in every seed, which says nothing of chance.".to_owned());
    }
    let unripe = comparisons().filter(|comparison| comparison.outcome == Outcome::UndecidedAtThisBudget);
    let mut unripe: Vec<&str> = unripe.map(|comparison| comparison.method.as_str()).collect();
    unripe.sort_unstable();
    unripe.dedup();
    if !unripe.is_empty() {
        reasons.push(format!("More epochs: {} {} still improving.", unripe.join(", "), was(&unripe)));
    }
    let labels = labels.unwrap_or_else(|| {
        let command = again.sweep(axis::LABELS, &[("--seeds", "3")]);
        format!("not measured; `{command}` does.")
    });
    reasons.push(format!("Another number of labels: {labels}"));
    reasons.push("Other data: this says nothing about them.".to_owned());
    reasons
}

/// The seeds that would tell the best method of each goal from its nearest rival, and with that settle the choice: the other
/// rivals that it is tied with may be told from it sooner, but change nothing as long as this one stands.
fn rivals(goals: [&[&Comparison]; 2], again: &Again) -> Vec<String> {
    let nearest = |comparisons: &[&Comparison]| {
        let ties = comparisons.iter().filter(|comparison| comparison.outcome == Outcome::Tie);
        ties.min_by(|a, b| a.lead.total_cmp(&b.lead))
            .map(|nearest| (nearest.seeds_needed, format!("{} from {}", nearest.best, nearest.method)))
    };
    let mut found: Vec<(Option<usize>, String)> = goals.into_iter().filter_map(nearest).collect();
    found.dedup();
    let more = |(seeds, pair): &(Option<usize>, String)| {
        let seeds = (*seeds)?;
        Some(format!(
            "More seeds: {seeds} would tell {pair}, its nearest rival, with a chance of 80 %, if the difference is what it \
             seems: `{}`.",
            again.seeds(seeds)
        ))
    };
    let hopeless: Vec<&str> =
        found.iter().filter(|(seeds, _)| seeds.is_none()).map(|(_, pair)| pair.as_str()).collect();
    let little = (!hopeless.is_empty()).then(|| {
        format!(
            "More seeds change little: not even {MOST_SEEDS} would tell {}, its nearest rival.",
            hopeless.join(", or ")
        )
    });
    found.iter().filter_map(more).chain(little).collect()
}

/// The verb for several names or one.
pub(super) fn was(names: &[&str]) -> &'static str {
    if names.len() == 1 { "was" } else { "were" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        choice::Scored,
        fixtures::{at, head_to_head, seeds},
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
                 ±0.025); it is ahead of every other method. The best baseline is pixels (0.300 ±0.025).",
                "To tell apart classes that were not trained on, use simclr (contrastive; \
                 transfer.unseen.linear_probe 0.700 ±0.025); it is ahead of every other method. The best baseline is \
                 pixels (0.400 ±0.025).",
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
        assert!(tied.sentences[0].contains("it cannot be told from siamese. The best baseline is pixels"), "{tied:?}");
        assert_eq!(certainty(&tied), Certainty::Tie);
        let unripe = advice(|rows| {
            rows.iter_mut().filter(|row| row.method == "moco").for_each(|row| row.curve = vec![4.0, 3.0, 2.0, 1.0]);
        });
        assert!(unripe.sentences[0].contains("moco was still improving when the budget ended."), "{unripe:?}");
        assert_eq!(certainty(&unripe), Certainty::UndecidedAtThisBudget);
        assert!(unripe.would_change.contains(&"More epochs: moco was still improving.".to_owned()), "{unripe:?}");
        let single = advice(|rows| rows.retain(|row| row.seed == 1));
        assert!(single.sentences[0].contains("fewer than three seeds, so that"), "{single:?}");
        assert_eq!(certainty(&single), Certainty::FewSeeds);
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
        assert!(!found.sentences[0].contains("The best baseline"), "{found:?}");
        let alone = advice(|rows| rows.retain(|row| row.method == "pixels"));
        let says = "use pixels (a baseline: no method of either family was measured;";
        assert!(alone.sentences[0].contains(says), "{alone:?}");
        let one = advice(|rows| rows.retain(|row| row.paradigm != Paradigm::Metric && row.method != "simclr"));
        assert_eq!(one.choices[0].as_ref().unwrap().baseline.as_ref().unwrap().method, "pixels");
    }

    /// Of methods that cannot be told apart the cheapest is named.
    #[test]
    fn a_tie_names_the_cheaper_method() {
        let found = advice(|rows| {
            for row in rows.iter_mut().filter(|row| row.method == "pixels") {
                let shift = [0.02, -0.03, 0.0][row.seed as usize - 1];
                row.scores.insert("retrieval.seen.map_at_r".into(), 0.79 + shift);
                row.cost.train_seconds = 0.0;
            }
        });
        let says = "it cannot be told from pixels, which is cheaper to train (0.0 s against 2.0 s).";
        assert!(found.sentences[0].contains(says), "{found:?}");
    }

    /// Of a sweep the usual setting is recommended, and named once.
    #[test]
    fn swept_methods_stand_at_one_setting() {
        let found = advice(|rows| {
            let mut few = rows.clone();
            rows.iter_mut().for_each(|row| _ = row.axes.insert("labels".into(), 1.0));
            for row in &mut few {
                row.axes.insert("labels".into(), 0.1);
                let better = f64::from(row.paradigm == Paradigm::Baseline) * 0.1;
                row.scores.values_mut().for_each(|score| *score += better);
            }
            rows.extend(few);
        });
        let plain = advice(|_| ());
        assert_eq!(found.sentences[..2], plain.sentences[..2]);
        assert!(found.sentences[2].contains(" and 3 seeds, at labels=1 where swept: "), "{found:?}");
    }

    #[test]
    fn where_the_lead_changes_is_said_of_the_labels() {
        let score = "retrieval.seen.map_at_r";
        let mut rows = Vec::new();
        for (share, triplet) in [(0.1, [0.40, 0.41, 0.42]), (1.0, [0.60, 0.61, 0.59])] {
            rows.extend(at(axis::LABELS, share, seeds("triplet", Paradigm::Metric, score, &triplet)));
            rows.extend(at(axis::LABELS, share, seeds("simclr", Paradigm::Contrastive, score, &[0.5, 0.51, 0.5])));
        }
        let mut report = Report { rows, ..Report::default() };
        report.summarize();
        let found = report.recommendation[0].would_change.iter().find(|reason| reason.contains("number of labels"));
        let says = "Another number of labels: retrieval.seen.map_at_r: Metric learning overtakes at about";
        assert!(found.is_some_and(|reason| reason.starts_with(says)), "{found:?}");
    }

    #[test]
    fn several_runs_have_a_joint_answer() {
        let sure = advice(|_| ());
        let single = advice(|rows| rows.retain(|row| row.seed == 1));
        assert_eq!(
            joint(&[sure, single]),
            "Retrieval: of 2 runs the best is metric 2; 1 of these for sure. Transfer: of 2 runs the best is contrastive 2; \
             1 of these for sure."
        );
        assert_eq!(joint(&[]), "");
    }

    /// Not the rival that is the easiest to tell from the best one.
    #[test]
    fn the_nearest_rival_is_named() {
        let tie = |method: &str, lead: f64, seeds_needed: Option<usize>| Comparison {
            score: "s".into(),
            best: "mahalanobis".into(),
            method: method.into(),
            lead,
            ci95_low: Some(-0.1),
            ci95_high: Some(0.1),
            p_value: Some(0.2),
            p_holm: Some(0.4),
            outcome: Outcome::Tie,
            over_items: false,
            seeds_needed,
            run: String::new(),
        };
        let (near, far) = (tie("triplet", 0.01, Some(24)), tie("supcon", 0.05, Some(3)));
        let told = rivals([&[&far, &near], &[]], &Again::default()).remove(0);
        assert!(told.starts_with("More seeds: 24 would tell mahalanobis from triplet, its nearest rival,"), "{told}");
        assert!(told.ends_with("`compare run --seeds 24`."), "{told}");
        let hopeless = tie("triplet", 0.001, None);
        let other = tie("simclr", 0.001, None);
        let told = rivals([&[&far, &hopeless], &[&other]], &Again::default());
        let says = "More seeds change little: not even 50 would tell mahalanobis from triplet, or mahalanobis from simclr, its \
                    nearest rival.";
        assert_eq!(told, [says]);
        assert_eq!(rivals([&[&hopeless], &[&hopeless]], &Again::default()).len(), 1);
        assert!(rivals([&[], &[]], &Again::default()).is_empty());
    }

    #[test]
    fn without_a_score_it_says_so() {
        let found = advice(|rows| rows.iter_mut().for_each(|row| row.scores.clear()));
        assert_eq!((found.sentences[0].as_str(), found.choices), ("Retrieval was not measured.", [None, None]));
    }
}

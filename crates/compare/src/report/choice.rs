//! Which method to use for one goal, and how sure that is.

use super::{
    Paradigm,
    ahead::{Comparison, Outcome},
    definitions::place,
    format::{number, with_half},
    recommendation::was,
    table::{Line, Table},
};
use serde::{Deserialize, Serialize};

/// What to use for one goal, and how sure that is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// What for.
    pub purpose: String,
    /// The method with the best mean.
    pub best: Scored,
    /// Name of the score that stands for the goal.
    pub score: String,
    /// How sure.
    pub certainty: Certainty,
    /// Why.
    pub reason: String,
    /// The best metric and the best contrastive method, those that were measured.
    pub families: Vec<Scored>,
    /// The best baseline, if one was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Scored>,
}

/// A method with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Name of the method, at its usual setting where one was swept.
    pub method: String,
    /// Its family.
    pub family: Paradigm,
    /// Mean over seeds.
    pub mean: f64,
    /// Half its 95 % interval over seeds; absent with one seed.
    pub half: Option<f64>,
}

/// How sure a choice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// It is ahead of every other method.
    Sure,
    /// Others cannot be told from it.
    Tie,
    /// Others were still improving when the budget ended.
    UndecidedAtThisBudget,
    /// Fewer than three seeds: it may be chance.
    #[serde(alias = "one_seed")]
    FewSeeds,
    /// It is ahead by the same in every seed: the seeds do not say whether that is chance.
    SameInEverySeed,
    /// There was nothing to compare it with.
    Alone,
}

impl Certainty {
    /// The words for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sure => "sure",
            Self::Tie => "a tie",
            Self::UndecidedAtThisBudget => "undecided at this budget",
            Self::FewSeeds | Self::SameInEverySeed | Self::Alone => "not sure",
        }
    }
}

/// What to use for the goal that a score stands for.
pub(super) fn choice(table: &Table<'_>, column: Option<usize>, others: &[&Comparison]) -> Option<Choice> {
    let column = column?;
    let line = best_line(table, column, others)?;
    let best = scored(line, column)?;
    let score = &table.columns[column];
    let purpose = match (score.starts_with("retrieval."), place(score)) {
        (true, "unseen") => "To find items of new classes again",
        (true, _) => "To find items of the trained classes again",
        (false, "unseen") => "To tell apart classes that were not trained on",
        (false, _) => "To classify with a simple classifier",
    };
    let of_family = |family: Paradigm| {
        let lines = table.lines.iter().filter(|line| line.paradigm == family);
        // Scores of goals are better high.
        lines.filter_map(|line| scored(line, column)).max_by(|a, b| a.mean.total_cmp(&b.mean))
    };
    let (certainty, reason) = lead(others, &cheaper(table, line, others));
    Some(Choice {
        purpose: purpose.to_owned(),
        best,
        score: score.clone(),
        certainty,
        reason,
        families: [Paradigm::Metric, Paradigm::Contrastive].into_iter().filter_map(of_family).collect(),
        baseline: of_family(Paradigm::Baseline),
    })
}

/// A choice in words.
pub(super) fn sentence(choice: &Choice) -> String {
    let Choice { purpose, best, score, reason, .. } = choice;
    let value = |own: &Scored| with_half(score, own.mean, own.half);
    let (family, baseline) = match (best.family, &choice.baseline) {
        (Paradigm::Baseline, _) => match choice.families.as_slice() {
            [] => ("a baseline: no method of either family was measured".to_owned(), String::new()),
            [one] => (format!("a baseline: no {} method is ahead of it", one.family), String::new()),
            _ => ("a baseline: neither family is ahead of it".to_owned(), String::new()),
        },
        (paradigm, Some(own)) => {
            (paradigm.to_string(), format!(" The best baseline is {} ({}).", own.method, value(own)))
        }
        (paradigm, None) => (paradigm.to_string(), String::new()),
    };
    format!("{purpose}, use {} ({family}; {score} {}); {reason}.{baseline}", best.method, value(best))
}

/// Which of the methods that cannot be told from the best one costs the least, where it costs less than half of that.
fn cheaper(table: &Table<'_>, best: &Line, others: &[&Comparison]) -> String {
    const TIME: &str = "train_seconds";
    let Some(column) = table.columns.iter().position(|name| name == TIME) else { return String::new() };
    let seconds = |line: &Line| line.cells[column].map(|cell| cell.mean);
    let tied = |line: &&Line| others.iter().any(|other| other.outcome == Outcome::Tie && other.method == line.label);
    let lines: Vec<&Line> = table.lines.iter().filter(tied).collect();
    let times = lines.iter().filter_map(|line| Some((seconds(line)?, line.label.as_str())));
    match (seconds(best), times.min_by(|a, b| a.0.total_cmp(&b.0))) {
        (Some(own), Some((least, name))) if 2.0 * least < own && number(TIME, least) != number(TIME, own) => {
            let which =
                if lines.len() == 1 { "which is cheaper".to_owned() } else { format!("of which {name} is cheapest") };
            format!(", {which} to train ({} against {})", number(TIME, least), number(TIME, own))
        }
        _ => String::new(),
    }
}

/// The score of a line, if it has it.
fn scored(line: &Line, column: usize) -> Option<Scored> {
    let cell = line.cells[column]?;
    Some(Scored { method: line.label.clone(), family: line.paradigm, mean: cell.mean, half: cell.half })
}

/// The line of the best method: the one that the comparisons name, or the only one with the score.
fn best_line<'l>(table: &'l Table<'_>, column: usize, others: &[&Comparison]) -> Option<&'l Line> {
    match others.first() {
        Some(comparison) => table.lines.iter().find(|line| line.label == comparison.best),
        None => table.lines.iter().find(|line| line.cells[column].is_some()),
    }
}

/// How far the best method is ahead of the others, with what more there is to say of those that it is tied with.
fn lead(others: &[&Comparison], of_ties: &str) -> (Certainty, String) {
    let of = |outcome: Outcome| {
        let fits = others.iter().filter(|comparison| comparison.outcome == outcome);
        fits.map(|comparison| comparison.method.as_str()).collect::<Vec<&str>>()
    };
    let (ties, unripe) = (of(Outcome::Tie), of(Outcome::UndecidedAtThisBudget));
    let constant = of(Outcome::SameInEverySeed);
    if others.is_empty() {
        return (Certainty::Alone, "nothing else was measured".to_owned());
    }
    let few = of(Outcome::FewSeeds);
    if few.len() == others.len() {
        let reason = "fewer than three seeds, so that the difference to any other may be chance";
        return (Certainty::FewSeeds, reason.to_owned());
    }
    let mut parts = Vec::new();
    if !ties.is_empty() {
        parts.push(format!("it cannot be told from {}{of_ties}", ties.join(", ")));
    }
    if !constant.is_empty() {
        parts.push(format!("its lead over {} is the same in every seed, which may be chance", constant.join(", ")));
    }
    if !few.is_empty() {
        parts.push(format!("its lead over {} may be chance, on fewer than three seeds", few.join(", ")));
    }
    // Others stand at the end: behind them `it` would be one of these.
    if !unripe.is_empty() {
        parts.push(format!("{} {} still improving when the budget ended", unripe.join(", "), was(&unripe)));
    }
    let certainty = match [&ties, &unripe, &few, &constant].map(Vec::is_empty) {
        [false, ..] => Certainty::Tie,
        [true, false, ..] => Certainty::UndecidedAtThisBudget,
        [true, true, false, _] => Certainty::FewSeeds,
        [true, true, true, false] => Certainty::SameInEverySeed,
        [true, true, true, true] => return (Certainty::Sure, "it is ahead of every other method".to_owned()),
    };
    (certainty, parts.join(", and "))
}

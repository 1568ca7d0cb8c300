//! Which method to use for one goal, and how sure that is.

use super::{
    Paradigm,
    ahead::{Comparison, Outcome},
    definitions::place,
    format::with_half,
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
}

/// A method with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Name of the method, with its setting where that differs.
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
    /// One seed: it may be chance.
    OneSeed,
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
            Self::OneSeed | Self::Alone => "not sure",
        }
    }
}

/// What to use for the goal that a score stands for.
pub(super) fn choice(table: &Table<'_>, column: Option<usize>, others: &[&Comparison]) -> Option<Choice> {
    let column = column?;
    let best = scored(best_line(table, column, others)?, column)?;
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
    let (certainty, reason) = lead(others);
    Some(Choice {
        purpose: purpose.to_owned(),
        best,
        score: score.clone(),
        certainty,
        reason,
        families: [Paradigm::Metric, Paradigm::Contrastive].into_iter().filter_map(of_family).collect(),
    })
}

/// A choice in words.
pub(super) fn sentence(choice: &Choice) -> String {
    let Choice { purpose, best, score, reason, .. } = choice;
    let family = match best.family {
        Paradigm::Baseline => "a baseline: neither family is ahead of it".to_owned(),
        paradigm => paradigm.to_string(),
    };
    format!("{purpose}, use {} ({family}; {score} {}); {reason}.", best.method, with_half(score, best.mean, best.half))
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

/// How far the best method is ahead of the others.
fn lead(others: &[&Comparison]) -> (Certainty, String) {
    let of = |outcome: Outcome| {
        let fits = others.iter().filter(|comparison| comparison.outcome == outcome);
        fits.map(|comparison| comparison.method.as_str()).collect::<Vec<&str>>()
    };
    let (ties, unripe) = (of(Outcome::Tie), of(Outcome::UndecidedAtThisBudget));
    if others.is_empty() {
        return (Certainty::Alone, "nothing else was measured".to_owned());
    }
    if others.iter().any(|comparison| comparison.outcome == Outcome::OneSeed) {
        return (Certainty::OneSeed, "one seed, so that the difference to any other may be chance".to_owned());
    }
    let mut parts = Vec::new();
    if !ties.is_empty() {
        parts.push(format!("it cannot be told from {}", ties.join(", ")));
    }
    if !unripe.is_empty() {
        parts.push(format!("{} {} still improving when the budget ended", unripe.join(", "), was(&unripe)));
    }
    match (ties.is_empty(), unripe.is_empty()) {
        (true, true) => (Certainty::Sure, "it is ahead of every other method".to_owned()),
        (true, false) => (Certainty::UndecidedAtThisBudget, parts.join(", and ")),
        (false, _) => (Certainty::Tie, parts.join(", and ")),
    }
}

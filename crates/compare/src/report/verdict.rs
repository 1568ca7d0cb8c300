//! What the rows say about the four differences between metric and contrastive learning.
//!
//! Every verdict comes from the rows alone: a difference between the families with its 95 % interval over seeds, paired
//! where both have the same seeds. It is supported when the interval lies above zero, refuted when below, and else
//! undecided, with the run that would decide it. Several claims are tested on the same rows, so that Holm's correction
//! over all of them has the last word: a claim that it does not leave is undecided too.
//!
//! A family stands for the method with its best mean. The best of several leads by luck too: intervals and p-values leave
//! room for what luck may have given the side that is ahead ([`super::luck`]).

mod algorithms;
mod along;
mod crossover;
mod family;
mod goal;
mod holm;
mod leads;
mod settings;
mod sweep;
mod words;

pub use crossover::{Crossover, Finding};

use super::{
    Row, Status,
    again::Again,
    estimate::Estimate,
    format::{interval, signed},
    groups::runs,
    usual::Usual,
};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display};
use words::{advice, describe, sentences, unripe, weight};

/// Scores on which both families can be compared, the preferred one first: what a classifier reads from frozen features
/// is neither's training objective.
const COMMON: &[&str] =
    &["transfer.seen.linear_probe", "transfer.seen.knn", "retrieval.seen.map_at_r", "retrieval.unseen.map_at_r"];

/// How a claim fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ruling {
    /// The interval of the effect lies above zero.
    Supported,
    /// The interval of the effect lies below zero.
    Refuted,
    /// The interval holds zero, or the needed runs are missing.
    Undecided,
}

/// The difference between the families that a claim is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Difference {
    /// A distance for one task, or features for many.
    Goal,
    /// Labels, or none.
    Supervision,
    /// Small batches of chosen groups, or large ones.
    Training,
    /// Which algorithm.
    Algorithms,
}

/// A claim about the two families and what the rows say about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is claimed.
    pub claim: String,
    /// How it fared.
    pub verdict: Ruling,
    /// Size of the effect in units of the score, positive in favour of the claim. A claim of several parts shows the
    /// part that decides. Absent when the runs do not measure it.
    pub effect: Option<f64>,
    /// Lower end of its 95 % interval; absent with fewer than two seeds, and where the effect is the same in each.
    pub ci95_low: Option<f64>,
    /// Upper end.
    pub ci95_high: Option<f64>,
    /// The numbers behind it and, while undecided, the run that would decide it.
    pub evidence: String,
    /// What the claim is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// The setting that was swept for it; empty for the claims that every report holds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub axis: String,
    /// Label of the run in a joined report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// The parts of a claim that says several things at once: it holds only if each does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// How likely no effect gives one at least this large; that of the part that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// The same after Holm's correction over all claims and parts measured in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_holm: Option<f64>,
}

/// One part of a claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What it is about.
    pub name: String,
    /// Scores that it compares, averaged if there are several.
    pub scores: Vec<String>,
    /// How it fared.
    pub verdict: Ruling,
    /// Size of the effect, positive in favour of the claim.
    pub effect: Option<f64>,
    /// Lower end of its 95 % interval.
    pub ci95_low: Option<f64>,
    /// Upper end.
    pub ci95_high: Option<f64>,
    /// How likely no effect gives one at least this large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// The same after Holm's correction over all claims and parts measured in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_holm: Option<f64>,
}

/// The four verdicts of every run in the rows and those on what it swept, from the rows that came to their end. `again`
/// says how to make a run again, for what would decide.
pub(super) fn verdicts(rows: &[Row], again: impl Fn(&str) -> Again) -> Vec<Verdict> {
    let of_run = |run: &str| {
        let mut again = again(run);
        let rows: Vec<&Row> = rows.iter().filter(|row| row.run == run && row.status == Status::Ok).collect();
        // What more seeds would decide depends on how many tests there are.
        again.tests = holm::tested(&claims(&rows, &again)).len();
        let mut verdicts = claims(&rows, &again);
        holm::correct(&mut verdicts);
        verdicts.iter_mut().for_each(|verdict| run.clone_into(&mut verdict.run));
        verdicts
    };
    runs(rows).into_iter().flat_map(of_run).collect()
}

/// The verdicts on the rows of one run, each by itself.
fn claims(rows: &[&Row], again: &Again) -> Vec<Verdict> {
    let mut verdicts = vec![
        goal::goal(rows, again),
        sweep::supervision(rows, again),
        sweep::training(rows, again),
        algorithms::algorithms(rows, again),
    ];
    let swept = [sweep::noise(rows, again), settings::queue(rows, again), settings::temperature(rows, again)];
    verdicts.extend(swept.into_iter().flatten());
    verdicts
}

/// Where the lead of the two families changes along the labels, in every run. `again` is as for the verdicts.
pub(super) fn crossovers(rows: &[Row], again: impl Fn(&str) -> Again) -> Vec<Crossover> {
    let of_run = |run: &str| {
        let again = &again(run);
        let rows: Vec<&Row> = rows.iter().filter(|row| row.run == run && row.status == Status::Ok).collect();
        let named = |crossover| Crossover { run: run.to_owned(), ..crossover };
        sweep::crossovers(&rows, again).into_iter().map(named).collect::<Vec<_>>()
    };
    runs(rows).into_iter().flat_map(of_run).collect()
}

impl Ruling {
    /// The name in files and tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Refuted => "refuted",
            Self::Undecided => "undecided",
        }
    }

    /// The side that it speaks against, of the one that the claim favours and the other.
    fn behind<T>(self, [favoured, other]: [T; 2]) -> Option<T> {
        match self {
            Self::Supported => Some(other),
            Self::Refuted => Some(favoured),
            Self::Undecided => None,
        }
    }

    /// What is left of it where it speaks against methods that were still improving when the budget ended.
    fn against(self, unripe: &[&str]) -> Self {
        if unripe.is_empty() { self } else { Self::Undecided }
    }
}

impl Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Verdict {
    fn new(difference: Difference, claim: &str, estimate: Option<&Estimate>, evidence: String) -> Self {
        let interval = estimate.and_then(|estimate| estimate.interval);
        Self {
            claim: claim.to_owned(),
            verdict: estimate.map_or(Ruling::Undecided, Estimate::ruling),
            effect: estimate.map(|estimate| estimate.mean),
            ci95_low: interval.map(|(low, _)| low),
            ci95_high: interval.map(|(_, high)| high),
            evidence,
            difference: Some(difference),
            axis: String::new(),
            run: String::new(),
            parts: Vec::new(),
            p_value: estimate.and_then(|estimate| estimate.p_value),
            p_holm: None,
        }
    }

    /// With the ruling and the numbers of the part that decides: a refuted one, else one that was not measured, else an
    /// undecided one, else the one closer to zero.
    fn by_its_parts(self) -> Self {
        let order = |part: &Part| match part.verdict {
            Ruling::Refuted => 0,
            Ruling::Undecided if part.effect.is_none() => 1,
            Ruling::Undecided => 2,
            Ruling::Supported => 3,
        };
        let low = |part: &Part| part.ci95_low.unwrap_or(f64::NEG_INFINITY);
        let first = |a: &&Part, b: &&Part| order(a).cmp(&order(b)).then_with(|| low(a).total_cmp(&low(b)));
        match self.parts.iter().min_by(first).cloned() {
            Some(Part { verdict, effect, ci95_low, ci95_high, p_value, p_holm, .. }) => {
                Self { verdict, effect, ci95_low, ci95_high, p_value, p_holm, ..self }
            }
            None => self,
        }
    }

    /// The same about this setting alone.
    fn along(self, axis: &str) -> Self {
        Self { axis: axis.to_owned(), ..self }
    }

    /// The setting that was swept for it, or the difference that it is about.
    pub(super) fn topic(&self) -> &str {
        if !self.axis.is_empty() {
            return &self.axis;
        }
        match self.difference {
            Some(Difference::Goal) => "goal",
            Some(Difference::Supervision) => "supervision",
            Some(Difference::Training) => "training",
            Some(Difference::Algorithms) => "algorithms",
            None => "claim",
        }
    }

    /// The effect and its interval, or that there is none.
    pub(super) fn effect_text(&self) -> String {
        match (self.effect, self.ci95_low.zip(self.ci95_high)) {
            (Some(effect), Some((low, high))) => format!("{} {}", signed(effect), interval(low, high)),
            (Some(effect), None) => format!("{} (no interval)", signed(effect)),
            (None, _) => "not measured".to_owned(),
        }
    }
}

/// The rows that stand for their methods outside sweeps.
fn reference<'a>(rows: &[&'a Row]) -> Vec<&'a Row> {
    let usual = Usual::of(rows);
    rows.iter().copied().filter(|row| usual.holds(&row.method, &row.axes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Paradigm, fixtures::head_to_head};

    #[test]
    fn four_verdicts_of_each_run() {
        let mut rows = head_to_head().rows;
        let mut other = rows.clone();
        other.iter_mut().for_each(|row| row.run = "other".into());
        rows.extend(other);
        let found = verdicts(&rows, |_| Again::default());
        let topics: Vec<_> = found.iter().map(|verdict| (verdict.run.as_str(), verdict.topic())).collect();
        let four = ["goal", "supervision", "training", "algorithms"];
        let expected: Vec<_> = ["", "other"].into_iter().flat_map(|run| four.map(|topic| (run, topic))).collect();
        assert_eq!(topics, expected);
        assert_eq!(verdicts(&[], |_| Again::default()).len(), 4);
    }

    #[test]
    fn stopped_rows_are_not_judged() {
        let mut rows = head_to_head().rows;
        rows.iter_mut().filter(|row| row.paradigm == Paradigm::Metric).for_each(|row| row.status = Status::Stopped);
        let goal = &verdicts(&rows, |_| Again::default())[0];
        assert_eq!((goal.verdict, goal.effect), (Ruling::Undecided, None));
    }
}

//! One line of a report.

use super::ItemParts;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt::{self, Display},
};

/// Scores of one method under one setting and one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the method.
    pub method: String,
    /// Family of the method.
    pub paradigm: Paradigm,
    /// Seed of weights, order and views.
    pub seed: u64,
    /// Labels that training used: a count, 0 for a method that uses none. Under weak supervision the statements that it
    /// used; they also stand under [`super::axis::CONSTRAINTS`].
    pub labels_used: usize,
    /// Scores by name (`TASK.WHERE.METRIC`). Finite: a score that could not be computed is absent and
    /// [`notes`](Self::notes) says why.
    pub scores: BTreeMap<String, f64>,
    /// What training cost.
    pub cost: Cost,
    /// Label of the run in a joined report, data set and encoder; empty in the report of one run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// Values of the settings that runs can differ in, by axis name. Rows that differ here are never averaged together, and
    /// tables name those that differ within a method. A run may fill in [`super::axis`] even when it sweeps nothing:
    /// joined with a sweep of that axis it is one more value of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub axes: BTreeMap<String, f64>,
    /// Whether training came to its end. Rows that did not are kept, but neither summarised nor judged.
    #[serde(default)]
    pub status: Status,
    /// Warnings, and the reasons for scores that are absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// File of what its features are computed with, for `compare embed`, relative to the report; of a row that was
    /// stopped, the folder that training goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Mean training loss of every epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<f64>,
    /// Accuracies of the online monitors after every epoch, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub monitors: BTreeMap<String, Vec<f64>>,
    /// Intervals of scores that are means over queries, by the score's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bootstrap: BTreeMap<String, Bootstrap>,
    /// Scores on equal parts of the test items, by the score's name: what intervals over items rest on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, ItemParts>,
}

/// 95 % percentile bootstrap intervals of one score of one row: what other test items would give. The interval over
/// seeds says what other training would.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Both ends over queries.
    pub queries: [f64; 2],
    /// Both ends over whole classes; absent with one class.
    pub classes: Option<[f64; 2]>,
}

/// What training a row cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds of training, without scoring; 0 for methods that do not train.
    pub train_seconds: f64,
    /// Training images a second; 0 for methods that do not train.
    pub images_per_second: f64,
    /// Largest memory of the process in bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Optimiser steps.
    pub steps: usize,
    /// Images drawn in all.
    pub images_seen: usize,
}

/// Family of a method, in the order of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Paradigm {
    /// Floors and ceilings: pixels, PCA, an untrained encoder, a supervised classifier.
    Baseline,
    /// Metric learning.
    Metric,
    /// Contrastive and other self-supervised learning.
    Contrastive,
    /// A metric learnt on contrastive features, or fine-tuning after contrastive training.
    Hybrid,
}

/// How training ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// At the end of its budget.
    #[default]
    Ok,
    /// Before it; `--resume` goes on.
    Stopped,
}

impl Row {
    /// Adds a score, or the reason why there is none. A number that is not finite is such a reason.
    pub fn record<E: Display>(&mut self, score: &str, value: Result<f64, E>) {
        match value {
            Ok(value) if value.is_finite() => {
                self.scores.insert(score.to_owned(), value);
            }
            Ok(value) => self.notes.push(format!("{score}: the value is {value}, not a finite number")),
            Err(reason) => self.notes.push(format!("{score}: {reason}")),
        }
    }

    /// Turns what JSON cannot hold into notes and rounds scores to 12 decimals, so that a report that is read back and
    /// goes on is the same as one that was never stopped: readers of JSON may err in the last digit of longer numbers.
    pub(super) fn clean(&mut self) {
        for (score, value) in std::mem::take(&mut self.scores) {
            self.record(&score, Ok::<f64, &str>(rounded(value)));
        }
        self.curve.iter_mut().for_each(|loss| *loss = rounded(*loss));
        for Bootstrap { queries, classes } in self.bootstrap.values_mut() {
            queries.iter_mut().chain(classes.iter_mut().flatten()).for_each(|end| *end = rounded(*end));
        }
        let Cost { train_seconds, images_per_second, .. } = &mut self.cost;
        for (name, value) in [("train_seconds", train_seconds), ("images_per_second", images_per_second)] {
            if !value.is_finite() {
                self.notes.push(format!("{name}: the value is {value}, not a finite number; 0 stands for it"));
                *value = 0.0;
            }
        }
        let Self { axes, notes, curve, .. } = self;
        axes.retain(|name, value| {
            if !value.is_finite() {
                notes.push(format!("{name}: the setting is {value}, not a finite number"));
            }
            value.is_finite()
        });
        if let Some(epoch) = curve.iter().position(|loss| !loss.is_finite()) {
            notes.push(format!("curve: ends before epoch {}, whose loss is {}", epoch + 1, curve[epoch]));
            curve.truncate(epoch);
        }
    }

    /// The score or cost of this name.
    pub(super) fn value(&self, metric: &str) -> Option<f64> {
        match metric {
            "train_seconds" => Some(self.cost.train_seconds),
            "images_per_second" => Some(self.cost.images_per_second),
            "peak_memory_bytes" => self.cost.peak_memory_bytes.map(|bytes| bytes as f64),
            score => self.scores.get(score).copied(),
        }
    }

    /// Names that [`Row::value`] answers to: scores by name, then costs.
    pub(super) fn metrics(&self) -> impl Iterator<Item = &str> {
        let memory = self.cost.peak_memory_bytes.map(|_| "peak_memory_bytes");
        self.scores.keys().map(String::as_str).chain(["train_seconds", "images_per_second"]).chain(memory)
    }
}

/// Twelve decimals, or six from a thousand on: no more than 15 digits, which every reader of JSON brings back exactly.
fn rounded(value: f64) -> f64 {
    let unit = if value.abs() < 1e3 { 1e12 } else { 1e6 };
    let scaled = (value * unit).round() / unit;
    if scaled.is_finite() { scaled } else { value }
}

impl Paradigm {
    /// The name in files and tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Metric => "metric",
            Self::Contrastive => "contrastive",
            Self::Hybrid => "hybrid",
        }
    }
}

impl Display for Paradigm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Report, fixtures::row};

    #[test]
    fn scores_come_back_from_json_as_they_were() {
        let mut row = row("simclr", Paradigm::Contrastive, 1, &[]);
        for i in 0..500 {
            let value = f64::from(i).sin() / 3.0 + if i % 7 == 0 { 1_234.5 } else { 0.0 };
            row.scores.insert(format!("transfer.{i}.knn"), value);
            row.curve.push(value);
        }
        row.bootstrap
            .insert("s".into(), Bootstrap { queries: [1.0 / 3.0, 2.0 / 3.0], classes: Some([0.1 + 0.2, 0.5]) });
        row.clean();
        assert!((row.scores["transfer.1.knn"] - 1f64.sin() / 3.0).abs() < 1e-12);
        assert!((row.scores["transfer.7.knn"] - 1_234.5 - 7f64.sin() / 3.0).abs() < 1e-6);
        let text = serde_json::to_string(&row).unwrap();
        let mut back: Row = serde_json::from_str(&text).unwrap();
        assert_eq!(back, row);
        back.clean();
        assert_eq!(back, row);
    }

    #[test]
    fn numbers_that_json_cannot_hold_become_notes() {
        let mut row = row("simclr", Paradigm::Contrastive, 1, &[("transfer.seen.knn", 0.5)]);
        row.record("geometry.seen.rho", Ok::<f64, &str>(f64::NAN));
        row.record("transfer.seen.few_shot_5", Err::<f64, &str>("a class has 3 rows, 20 are needed"));
        row.scores.insert("retrieval.seen.map_at_r".into(), f64::INFINITY);
        row.cost.images_per_second = f64::NAN;
        row.axes.insert("temperature".into(), f64::NAN);
        row.curve = vec![2.0, 1.0, f64::NAN, 1.0];
        let mut report = Report { rows: vec![row], ..Report::default() };
        report.summarize();
        let row = &report.rows[0];
        assert_eq!(row.scores.keys().collect::<Vec<_>>(), ["transfer.seen.knn"]);
        assert_eq!(row.cost.images_per_second, 0.0);
        assert_eq!(row.curve, [2.0, 1.0]);
        assert_eq!(
            row.notes,
            [
                "geometry.seen.rho: the value is NaN, not a finite number",
                "transfer.seen.few_shot_5: a class has 3 rows, 20 are needed",
                "retrieval.seen.map_at_r: the value is inf, not a finite number",
                "images_per_second: the value is NaN, not a finite number; 0 stands for it",
                "temperature: the setting is NaN, not a finite number",
                "curve: ends before epoch 3, whose loss is NaN",
            ]
        );
    }
}

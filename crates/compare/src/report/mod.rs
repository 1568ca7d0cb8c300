//! The result of a run: every score of every seed, and its writers.
//!
//! [`Report`] owns the raw values. Everything else follows from its rows: [`Report::summarize`] fills the means, the
//! intervals, the verdicts, the comparisons, the recommendation and the definitions. The terminal table, `report.json`,
//! `report.csv`, `report.md` and `index.html` are writers of the same struct. The page also shows [`Figures`], small
//! samples of the embeddings that are kept beside the report.

mod again;
mod ahead;
mod apart;
mod budget;
mod chart;
mod choice;
mod csv;
mod definitions;
mod drawings;
mod error;
mod estimate;
mod facts;
mod figures;
#[cfg(test)]
mod fixtures;
mod format;
mod gallery;
mod groups;
mod html;
mod info;
mod item_parts;
mod items;
mod join;
mod luck;
mod markdown;
mod ranking;
mod recommendation;
mod remarks;
mod row;
mod spread;
mod standing;
mod summary;
mod svg;
mod table;
pub mod terminal;
mod tuning;
mod usual;
pub mod verdict;
mod write;

pub use again::quoted;
pub use ahead::Comparison;
pub use error::ReportError;
pub use figures::{Confused, FigureSet, Figures, MethodFigures, Png, Query, Shown, Similarities};
pub use info::{Budget, DatasetInfo, Failure, RunInfo};
pub use item_parts::ItemParts;
pub use join::join;
pub use ranking::Ranking;
pub use recommendation::Recommendation;
pub use row::{Bootstrap, Cost, Paradigm, Row, Status};
pub use summary::Summary;
pub use tuning::{Tuned, TunedSetting, Tuning};
pub use verdict::{Crossover, Verdict};
pub use write::{check_writable, read, read_figures, replace, write};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Layout of `report.json` that this version writes and reads. Fields may be added under it, never removed or renamed.
pub const SCHEMA: u32 = 1;

/// Names of the axes that runs can differ in, as they stand in [`Row::axes`].
pub mod axis {
    /// Share of the training labels given, above 0 and at most 1.
    pub const LABELS: &str = "labels";
    /// Images in a training batch.
    pub const BATCH: &str = "batch";
    /// Statements about images (pairs, triplets, quadruplets, chunks) that training used in place of classes.
    pub const CONSTRAINTS: &str = "constraints";
    /// Share of the labels given that are false.
    pub const NOISE: &str = "noise";
    /// Embeddings in the queue of a method.
    pub const QUEUE: &str = "queue";
    /// Temperature of a method or of its loss.
    pub const TEMPERATURE: &str = "temperature";
}

/// All that a run found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Layout of the file, [`SCHEMA`].
    pub schema: u32,
    /// Version of `compare` that made it.
    pub version: String,
    /// Command line that made it.
    pub command: String,
    /// Backend that computed it.
    pub backend: String,
    /// Device that the backend ran on.
    pub device: String,
    /// Data trained and scored on.
    pub dataset: DatasetInfo,
    /// Budget that every trained method had.
    pub budget: Budget,
    /// One row for each method, setting and seed.
    pub rows: Vec<Row>,
    /// Means over seeds, derived from the rows.
    #[serde(default)]
    pub summary: Vec<Summary>,
    /// What the rows say about the four differences, derived from them.
    #[serde(default)]
    pub verdicts: Vec<Verdict>,
    /// Encoder that every method trained.
    #[serde(default)]
    pub encoder: String,
    /// Every setting of the run, defaults included.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// How the settings were searched, where `compare tune` chose them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<Tuning>,
    /// What each kind of score means, derived from the scores that occur.
    #[serde(default)]
    pub definitions: BTreeMap<String, String>,
    /// Methods that gave no row, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// Remarks about the whole run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The runs that were joined here; empty in the report of one run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunInfo>,
    /// The best method of each goal against every other, derived from the rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Comparison>,
    /// Average ranks over seeds and over runs, derived from the rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rankings: Vec<Ranking>,
    /// Which method to use and what would change that, one for each run, derived from the rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recommendation: Vec<Recommendation>,
    /// Where the lead of the two families changes along the share of the labels, derived from the rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crossovers: Vec<Crossover>,
}

impl Default for Report {
    /// A report without rows, of this schema and this version.
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").into(),
            command: String::new(),
            backend: String::new(),
            device: String::new(),
            dataset: DatasetInfo::default(),
            budget: Budget::default(),
            rows: Vec::new(),
            summary: Vec::new(),
            verdicts: Vec::new(),
            encoder: String::new(),
            settings: Map::new(),
            tuning: None,
            definitions: BTreeMap::new(),
            failures: Vec::new(),
            notes: Vec::new(),
            runs: Vec::new(),
            comparisons: Vec::new(),
            rankings: Vec::new(),
            recommendation: Vec::new(),
            crossovers: Vec::new(),
        }
    }
}

impl Report {
    /// Fills the summary, the verdicts, the crossovers, the comparisons, the recommendation and the definitions from the rows. Call it
    /// after adding rows; calling it again changes nothing. Numbers that are not finite become notes.
    pub fn summarize(&mut self) {
        self.rows.iter_mut().for_each(Row::clean);
        self.summary = summary::summarize(&self.rows);
        let again = |run: &str| again::Again::of(&self.info_of(run));
        (self.verdicts, self.crossovers) =
            (verdict::verdicts(&self.rows, again), verdict::crossovers(&self.rows, again));
        self.comparisons = ahead::comparisons(self);
        self.rankings = ranking::rankings(self);
        self.recommendation = recommendation::recommendations(self);
        self.definitions = definitions::occurring(&self.rows);
    }

    /// Data set and encoder: what tells this run from others.
    fn label(&self) -> String {
        match self.encoder.as_str() {
            "" => self.dataset.name.clone(),
            encoder => format!("{}/{encoder}", self.dataset.name),
        }
    }

    /// The facts of the run with this label.
    fn info_of(&self, run: &str) -> RunInfo {
        self.runs.iter().find(|info| info.label == run).cloned().unwrap_or_else(|| self.info())
    }

    /// The facts of a report of one run.
    fn info(&self) -> RunInfo {
        RunInfo {
            label: self.label(),
            version: self.version.clone(),
            command: self.command.clone(),
            backend: self.backend.clone(),
            device: self.device.clone(),
            encoder: self.encoder.clone(),
            dataset: self.dataset.clone(),
            budget: self.budget,
            settings: self.settings.clone(),
            tuning: self.tuning.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summarizing_again_changes_nothing() {
        let mut report = fixtures::head_to_head();
        report.rows[0].curve = vec![1.0, f64::NAN];
        report.summarize();
        let once = report.clone();
        report.summarize();
        assert_eq!(report, once);
    }

    #[test]
    fn the_contract_of_report_json() {
        let mut report = fixtures::head_to_head();
        report.summarize();
        let json = serde_json::to_value(&report).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let top =
            ["schema", "version", "command", "backend", "device", "dataset", "budget", "rows", "summary", "verdicts"];
        assert_eq!(keys(&json)[..10], top);
        let dataset = ["name", "classes", "seen_classes", "unseen_classes", "train", "validation", "test"];
        assert_eq!(keys(&json["dataset"])[..7], dataset);
        assert_eq!(keys(&json["budget"]), ["epochs", "steps", "images_seen", "batch"]);
        assert_eq!(keys(&json["rows"][0])[..6], ["method", "paradigm", "seed", "labels_used", "scores", "cost"]);
        let cost = ["train_seconds", "images_per_second", "peak_memory_bytes", "steps", "images_seen"];
        assert_eq!(keys(&json["rows"][0]["cost"]), cost);
        let summary = ["method", "metric", "mean", "ci95_low", "ci95_high", "seeds"];
        assert_eq!(keys(&json["summary"][0])[..6], summary);
        let verdict = ["claim", "verdict", "effect", "ci95_low", "ci95_high", "evidence"];
        assert_eq!(keys(&json["verdicts"][0])[..6], verdict);
        assert_eq!(json["schema"], 1);
        assert_eq!(json["rows"][0]["paradigm"], "baseline");
        assert_eq!(json["rows"][0]["status"], "ok");
        assert_eq!(json["verdicts"].as_array().unwrap().len(), 4);
    }

    /// A file with the fields of the contract alone is a report.
    #[test]
    fn added_fields_may_be_absent() {
        let text = r#"{ "schema": 1, "version": "0", "command": "c", "backend": "b", "device": "d",
            "dataset": { "name": "n", "classes": 2, "seen_classes": 1, "unseen_classes": 1,
                         "train": 3, "validation": 2, "test": 2 },
            "budget": { "epochs": 1, "steps": 2, "images_seen": 3, "batch": 4 },
            "rows": [ { "method": "triplet", "paradigm": "metric", "seed": 7, "labels_used": 3,
                        "scores": { "retrieval.seen.map_at_r": 0.25 },
                        "cost": { "train_seconds": 1.5, "images_per_second": 2.0, "peak_memory_bytes": null,
                                  "steps": 2, "images_seen": 3 } } ],
            "summary": [ { "method": "triplet", "metric": "retrieval.seen.map_at_r", "mean": 0.25,
                           "ci95_low": null, "ci95_high": null, "seeds": 1 } ],
            "verdicts": [ { "claim": "c", "verdict": "undecided", "effect": null, "ci95_low": null,
                            "ci95_high": null, "evidence": "e" } ] }"#;
        let report: Report = serde_json::from_str(text).unwrap();
        assert_eq!(report.rows[0].status, Status::Ok);
        assert_eq!(report.rows[0].value("retrieval.seen.map_at_r"), Some(0.25));
        assert_eq!(report.verdicts[0].verdict, verdict::Ruling::Undecided);
    }
}

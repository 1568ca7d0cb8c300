//! What a report says about its run besides the rows.

use super::Tuning;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The data of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Name or path.
    pub name: String,
    /// Classes in all.
    pub classes: usize,
    /// Classes trained on.
    pub seen_classes: usize,
    /// Classes kept from training.
    pub unseen_classes: usize,
    /// Training items.
    pub train: usize,
    /// Validation items.
    pub validation: usize,
    /// Test items.
    pub test: usize,
    /// Names of the classes kept from training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen_class_names: Vec<String>,
    /// Stands for the items, labels and splits: other data have another. Empty in reports of older versions and of several
    /// runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
}

impl DatasetInfo {
    /// Whether both are of the same data, as far as they say.
    pub fn same(&self, other: &Self) -> bool {
        let digits = self.digest.is_empty() || other.digest.is_empty() || self.digest == other.digest;
        digits && *self == Self { digest: self.digest.clone(), ..other.clone() }
    }
}

/// What every trained method could spend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Passes over the training items.
    pub epochs: usize,
    /// Optimiser steps.
    pub steps: usize,
    /// Images drawn in all; the views of one image count as one.
    pub images_seen: usize,
    /// Images in a batch.
    pub batch: usize,
}

/// A method that gave no row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Name of the method.
    pub method: String,
    /// Seed that it ran with.
    pub seed: u64,
    /// What went wrong and what to do.
    pub error: String,
    /// Label of the run in a joined report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
}

/// Where the rows of one run in a joined report come from. The fields are those of [`Report`](super::Report).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Label of its rows: data set and encoder.
    pub label: String,
    /// Version of `compare`.
    pub version: String,
    /// Command line.
    pub command: String,
    /// Backend.
    pub backend: String,
    /// Device.
    pub device: String,
    /// Encoder.
    pub encoder: String,
    /// Data.
    pub dataset: DatasetInfo,
    /// Budget.
    pub budget: Budget,
    /// Settings.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// How they were searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuning: Option<Tuning>,
}

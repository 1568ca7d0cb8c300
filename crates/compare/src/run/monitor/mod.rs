//! Online monitors: what simple classifiers read from the encoder while it trains.
//!
//! They get features of a copy of it, in inference mode and without a graph: the encoder is trained to the last bit as
//! it would be without them. They do read labels, of the images that the method trains on and of the validation part,
//! also where the method does not. Time spent on them is no training time.

mod online;

use nearfar_core::{
    augment::Augmenter,
    backend::did_you_mean,
    data::{DataError, Dataset},
    encoder::Encoder,
    train::{Batch, EpochEvent, Observer, embed},
};
use nearfar_eval::{KnnConfig, knn_predict};
use online::Online;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MonitorKind {
    /// After every epoch, the vote of the nearest training images (200, temperature 0.1) on validation images.
    Knn,
    /// A linear classifier that takes one step on the features of every batch's first view; its accuracy on those
    /// batches, before the step, and after every epoch on validation images.
    Linear,
}

impl MonitorKind {
    const ALL: [(&'static str, Self); 2] = [("knn", Self::Knn), ("linear", Self::Linear)];

    /// A list as on the command line: names separated by commas.
    pub fn parse_list(list: &str) -> anyhow::Result<Vec<Self>> {
        let mut kinds = Vec::new();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let known = Self::ALL.iter().find(|(known, _)| *known == name);
            let (_, kind) = known.ok_or_else(|| {
                let hint = did_you_mean(name, Self::ALL.map(|(known, _)| known));
                anyhow::anyhow!("unknown monitor `{name}`{hint}; known: knn, linear")
            })?;
            if !kinds.contains(kind) {
                kinds.push(*kind);
            }
        }
        Ok(kinds)
    }
}

/// What the monitors look at.
#[derive(Clone, Copy)]
pub struct Watched<'a> {
    /// What the method trains on.
    pub train: &'a Dataset,
    /// Images that it never sees.
    pub validation: &'a Dataset,
    /// Normalises both.
    pub augmenter: &'a Augmenter,
    /// Features of the encoder.
    pub features: usize,
    /// Where it runs.
    pub device: &'a burn::tensor::Device,
}

/// The monitors of one training run.
pub struct Monitor<'a> {
    kinds: &'a [MonitorKind],
    watched: Watched<'a>,
    /// Labels of training and validation images.
    labels: [&'a [usize]; 2],
    state: State,
}

/// What outlives a stop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Hits among so many rows, of every epoch, by name.
    values: BTreeMap<String, Vec<[usize; 2]>>,
    /// The same of the epoch's batches so far.
    batches: [usize; 2],
    linear: Option<Online>,
    /// Why there are no more values.
    notes: Vec<String>,
}

impl<'a> Monitor<'a> {
    /// The monitors asked for, if any.
    ///
    /// # Errors
    /// When the data have no labels.
    pub fn new(kinds: &'a [MonitorKind], watched: Watched<'a>) -> Result<Option<Self>, DataError> {
        if kinds.is_empty() {
            return Ok(None);
        }
        let labels = [watched.train.labels_for("a monitor")?, watched.validation.labels_for("a monitor")?];
        let linear = kinds
            .contains(&MonitorKind::Linear)
            .then(|| Online::new(watched.features, watched.train.class_names.len()));
        Ok(Some(Self { kinds, watched, labels, state: State { linear, ..State::default() } }))
    }

    /// Accuracies by name, one an epoch, and what went wrong.
    pub fn finish(self) -> (BTreeMap<String, Vec<f64>>, Vec<String>) {
        let share = |[hits, of]: [usize; 2]| hits as f64 / of as f64;
        let values = self.state.values.into_iter().map(|(name, all)| (name, all.into_iter().map(share).collect()));
        (values.collect(), self.state.notes)
    }

    /// The newest accuracies, for a line of progress.
    pub fn newest(&self) -> String {
        let values = self.state.values.iter().filter_map(|(name, all)| Some((name, all.last()?)));
        values.map(|(name, [hits, of])| format!(" {name} {:.3}", *hits as f64 / *of as f64)).collect()
    }

    fn push(&mut self, name: &str, hits: usize, of: usize) {
        if of > 0 {
            self.state.values.entry(name.to_owned()).or_default().push([hits, of]);
        }
    }

    /// Whether nothing went wrong so far.
    fn works(&self) -> bool {
        self.state.notes.is_empty()
    }

    fn end(&mut self, reason: &str) {
        self.state.notes.push(format!("the monitors ended: {reason}"));
    }
}

impl Observer for Monitor<'_> {
    fn watches_batches(&self) -> bool {
        self.state.linear.is_some() && self.works()
    }

    fn batch(&mut self, batch: &Batch, encoder: &Encoder) {
        let Some(linear) = &mut self.state.linear else { return };
        let rows = embed::features(encoder, &batch.views[0]);
        if !rows.is_finite() {
            return self.end("features are not finite");
        }
        let labels: Vec<usize> = batch.indices.iter().map(|image| self.labels[0][*image]).collect();
        self.state.batches[0] += linear.learn(&rows, &labels);
        self.state.batches[1] += labels.len();
    }

    fn epoch(&mut self, event: &EpochEvent<'_>) {
        if !self.works() {
            return;
        }
        let Watched { train, validation, augmenter, device, .. } = self.watched;
        let [train_labels, labels] = self.labels;
        let rows = embed::embed(event.encoder, validation, augmenter, device);
        if self.kinds.contains(&MonitorKind::Knn) {
            let bank = embed::embed(event.encoder, train, augmenter, device);
            match knn_predict((&bank, train_labels), &rows, &KnnConfig::default()) {
                Ok(found) => {
                    let hits = found.iter().zip(labels).filter(|(found, label)| found == label).count();
                    self.push("knn.validation", hits, labels.len());
                }
                Err(error) => self.end(&error.to_string()),
            }
        }
        if let Some(linear) = &self.state.linear {
            let hits = linear.hits(&rows, labels);
            let [right, of] = std::mem::take(&mut self.state.batches);
            self.push("linear.batches", right, of);
            self.push("linear.validation", hits, labels.len());
        }
    }

    fn save(&self) -> serde_json::Value {
        serde_json::to_value(&self.state).expect("counts and texts are JSON")
    }

    fn restore(&mut self, saved: &serde_json::Value) {
        let fits = |state: &State| match (&state.linear, &self.state.linear) {
            (Some(saved), Some(new)) => saved.fits(new),
            (saved, new) => saved.is_some() == new.is_some(),
        };
        match serde_json::from_value(saved.clone()) {
            Ok(state) if fits(&state) => self.state = state,
            _ => self.end("the checkpoint that the run went on from does not hold them"),
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests;

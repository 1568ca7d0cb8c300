//! One trial: training without the held-out classes, and what the features are worth on them.

use super::{
    folds::{Fold, Validation},
    subject::Subject,
};
use crate::run::{
    config::Config,
    features::Features,
    head_to_head::components,
    hybrid::Stage,
    method::{Base, DeepVisitor, MethodName},
    progress::interrupted,
    supervision::fit_classes,
    training::{course, features_of},
};
use anyhow::{bail, ensure};
use burn::tensor::Device;
use nearfar_core::{
    data::{DataError, Dataset},
    optim::OptimizerConfig,
    train::{Method, Observer, StepEvent, TrainData, train},
};
use nearfar_eval::{ProbeConfig, linear_probe, retrieval};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// What settings are chosen by; each number is in [0, 1], and more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// MAP@R among the images that are ranked.
    Retrieval,
    /// Accuracy of a linear probe.
    Transfer,
    /// The mean of both.
    Mean,
}

/// What one fold of a trial gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// MAP@R among the images that are ranked.
    pub retrieval: f64,
    /// Validation accuracy of the linear probe over all seen classes.
    pub transfer: f64,
}

impl Objective {
    /// As it stands in arguments and files.
    pub fn label(self) -> &'static str {
        match self {
            Self::Retrieval => "retrieval",
            Self::Transfer => "transfer",
            Self::Mean => "mean",
        }
    }

    /// The value of a trial: the mean over its folds.
    pub fn value(self, folds: &[Scores]) -> f64 {
        let one = |scores: &Scores| match self {
            Self::Retrieval => scores.retrieval,
            Self::Transfer => scores.transfer,
            Self::Mean => (scores.retrieval + scores.transfer) / 2.0,
        };
        folds.iter().map(one).sum::<f64>() / folds.len() as f64
    }
}

/// Trains `subject` with the settings of `config` on every fold and scores it there; `None` if Ctrl-C came between.
///
/// # Errors
/// When a setting is out of range, training fails, or the features cannot be scored.
pub fn measure(
    subject: &Subject,
    config: &Config,
    validation: &Validation,
    device: &Device,
) -> anyhow::Result<Option<Vec<Scores>>> {
    config.method.validate(&[subject.method])?;
    let mut scores = Vec::with_capacity(validation.folds.len());
    for fold in &validation.folds {
        let Some(features) = learn(subject.method, config, fold, validation, device)? else { return Ok(None) };
        if interrupted() {
            return Ok(None);
        }
        scores.push(score(&features, fold, device)?);
    }
    Ok(Some(scores))
}

fn learn(
    method: MethodName,
    config: &Config,
    fold: &Fold,
    validation: &Validation,
    device: &Device,
) -> anyhow::Result<Option<Features>> {
    match (method.base, method.metric) {
        (Base::Deep(deep), None) => {
            let settings = config.method.for_classes(fold.train.class_names.len());
            let dataset = if method.needs_labels() { &fold.labelled } else { &fold.train };
            settings.visit(deep, Training { dataset, config, fold, validation, device })?
        }
        (_, Some(linear)) => {
            let pixels = Features::Pixels.of(&fold.train, &fold.augmenter, device)?;
            let base = Features::Pca(components(&pixels)?);
            let rows = base.of(&fold.labelled, &fold.augmenter, device)?;
            let labels = fold.labelled.labels_for("a Mahalanobis learner")?;
            // As the run does it.
            let (fitted, _) = fit_classes(&config.method, linear, &rows, labels, &fold.labelled.class_names)?;
            Ok(Some(Features::Mahalanobis(Box::new(base), fitted.model)))
        }
        _ => bail!("{method} has nothing to learn"),
    }
}

fn score(features: &Features, fold: &Fold, device: &Device) -> anyhow::Result<Scores> {
    fn labels(part: &Dataset) -> Result<&[usize], DataError> {
        part.labels_for("tuning")
    }
    let read = |part: &Dataset| features.of(part, &fold.augmenter, device);
    let ranked = retrieval(&read(&fold.ranked)?, labels(&fold.ranked)?, None, features.distance(), &[])?;
    let (probe, probed) = (read(&fold.probe)?, read(&fold.probed)?);
    let validation = (&probed, labels(&fold.probed)?);
    let fitted = linear_probe((&probe, labels(&fold.probe)?), validation, validation, &ProbeConfig::default())?;
    let scores = Scores { retrieval: ranked.map_at_r, transfer: fitted.validation_accuracy };
    ensure!(scores.retrieval.is_finite() && scores.transfer.is_finite(), "the scores are not finite: {scores:?}");
    Ok(scores)
}

/// One training run, with the run's budget in passes over the fold's images.
struct Training<'a> {
    dataset: &'a Dataset,
    config: &'a Config,
    fold: &'a Fold,
    validation: &'a Validation,
    device: &'a Device,
}

impl DeepVisitor for Training<'_> {
    type Output = anyhow::Result<Option<Features>>;

    /// Trains the method, with the same weights and order of images in every trial.
    fn visit<M: Method>(self, method: &M, optimizer: &OptimizerConfig) -> Self::Output {
        let Self { dataset, config, fold, validation, device } = self;
        let stage = Stage::whole(config, fold.train.len());
        let (course, _) = course(config, &method.needs(), dataset, stage, config.seed, optimizer)?;
        let encoder = validation.encoder.init(validation.shape, config.seed, device)?;
        let width = validation.encoder.features();
        let augmenter = method.augmenter(&fold.augmenter)?;
        let data = TrainData { dataset, augmenter: &augmenter };
        let trained = train(method, encoder, width, data, &course, device, &mut UntilInterrupted)?;
        if !trained.finished {
            return Ok(None);
        }
        features_of(method, &trained.model, width).map(Some)
    }
}

/// Stops training at Ctrl-C.
struct UntilInterrupted;

impl Observer for UntilInterrupted {
    fn step(&mut self, _: &StepEvent) -> ControlFlow<()> {
        if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_the_mean_over_folds_of_what_was_asked() {
        let folds = [Scores { retrieval: 0.2, transfer: 0.9 }, Scores { retrieval: 0.4, transfer: 0.5 }];
        for (objective, value) in [(Objective::Retrieval, 0.3), (Objective::Transfer, 0.7), (Objective::Mean, 0.5)] {
            assert!((objective.value(&folds) - value).abs() < 1e-12, "{objective:?}");
        }
    }
}

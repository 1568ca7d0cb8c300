//! A row's training run: one method, or two on one encoder.

use super::{
    check,
    config::Config,
    features::Features,
    head_to_head::Runner,
    hybrid::{Combination, Hybrid, Stage},
    jobs::Job,
    joint::Joint,
    method::{Deep, DeepVisitor},
    monitor::{Monitor, Watched},
    passes::passes,
    progress::Bar,
    supervision,
};
use crate::report::{Cost, Status};
use anyhow::{Context, anyhow};
use metric::mahalanobis::Mahalanobis;
use nearfar_core::{
    augment::Augmenter,
    data::Dataset,
    encoder::Encoder,
    optim::OptimizerConfig,
    train::{Method, Needs, Order, Sampling, TrainConfig, TrainData, Trained, Warning, train},
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Features of a method and how they came about.
#[derive(Clone)]
pub struct Learnt {
    /// The features.
    pub features: Features,
    /// What they cost.
    pub cost: Cost,
    /// Whether training came to its end.
    pub status: Status,
    /// Warnings.
    pub notes: Vec<String>,
    /// Mean loss of every epoch.
    pub curve: Vec<f64>,
    /// What monitors measured after every epoch.
    pub monitors: BTreeMap<String, Vec<f64>>,
    /// The last checkpoint.
    pub checkpoint: Option<PathBuf>,
}

impl Learnt {
    /// Features that nothing was trained for.
    pub fn fixed(features: Features) -> Self {
        let (notes, curve, monitors) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { features, cost: Cost::default(), status: Status::Ok, notes, curve, monitors, checkpoint: None }
    }

    /// These features, at the cost of what came `before` as well. The curve stays: two losses have no common scale.
    fn after(mut self, before: Cost, notes: Vec<String>) -> Self {
        let cost = &mut self.cost;
        cost.train_seconds += before.train_seconds;
        cost.steps += before.steps;
        cost.images_seen += before.images_seen;
        cost.images_per_second = cost.images_seen as f64 / cost.train_seconds.max(1e-9);
        self.notes = [notes, self.notes].concat();
        self
    }

    fn trained<M>(features: Features, trained: Trained<M>, batch: usize) -> Self {
        let Trained { finished, steps, time, losses, warnings, checkpoint, .. } = trained;
        let images = steps * batch;
        Self {
            features,
            cost: Cost {
                train_seconds: time.as_secs_f64(),
                images_per_second: images as f64 / time.as_secs_f64().max(1e-9),
                peak_memory_bytes: None,
                steps,
                images_seen: images,
            },
            status: if finished { Status::Ok } else { Status::Stopped },
            notes: warnings.iter().map(Warning::to_string).collect(),
            curve: losses,
            monitors: BTreeMap::new(),
            checkpoint,
        }
    }
}

impl Runner<'_> {
    /// The encoder with its initial weights.
    pub fn encoder(&self, seed: u64) -> anyhow::Result<Encoder> {
        Ok(self.data.encoder.init(self.data.shape, seed, &self.device)?)
    }

    /// What every method may spend.
    fn budget(&self) -> Stage {
        Stage::whole(self.config, self.data.seen.train.len())
    }

    /// One method.
    pub fn deep(&self, deep: Deep, job: &Job, augmenter: &Augmenter) -> anyhow::Result<Learnt> {
        let run = TrainingRun {
            runner: self,
            name: deep.name(),
            folder: job.base.clone().into(),
            labels: deep.needs_labels(),
            seed: job.seed,
            augmenter,
            stage: self.budget(),
            encoder: self.encoder(job.seed)?,
        };
        supervision::visit(self.config, self.data, deep, run)?
    }

    /// Two methods on one encoder, with the budget of one.
    pub fn hybrid(&self, hybrid: Hybrid, job: &Job, augmenter: &Augmenter) -> anyhow::Result<Learnt> {
        let settings = self.config.method.for_classes(supervision::taught(self.data).class_names.len());
        let ways = self.config.hybrid;
        let name = hybrid.to_string();
        let run = |part: &str, labels: bool, stage: Stage, encoder: Encoder| TrainingRun {
            runner: self,
            name: &name,
            folder: Path::new(&job.base).join(part),
            labels,
            seed: job.seed,
            augmenter,
            stage,
            encoder,
        };
        match hybrid.combination {
            Combination::With => {
                let ((first, optimizer), (second, _)) = (settings.any(hybrid.first)?, settings.any(hybrid.second)?);
                let joint = Joint { first, second, weight: ways.weight };
                run("", true, self.budget(), self.encoder(job.seed)?).visit(&joint, optimizer)
            }
            Combination::Then => {
                let [before, after] = ways.stages(self.budget(), self.config.batch());
                let first = run("pre-training", hybrid.first.needs_labels(), before, self.encoder(job.seed)?);
                let first = settings.visit(hybrid.first, first)??;
                if first.status != Status::Ok {
                    return Ok(first);
                }
                let encoder = first.features.encoder().cloned().context("pre-training left no encoder")?;
                let second = run("fine-tuning", hybrid.second.needs_labels(), after, encoder);
                Ok(settings.visit(hybrid.second, second)??.after(first.cost, first.notes))
            }
        }
    }
}

/// One training run.
struct TrainingRun<'a> {
    runner: &'a Runner<'a>,
    /// What progress is shown under.
    name: &'a str,
    /// Where checkpoints go, below their common folder.
    folder: PathBuf,
    /// Whether it sees the images whose labels may be used, or all of them.
    labels: bool,
    seed: u64,
    augmenter: &'a Augmenter,
    stage: Stage,
    /// Where it starts.
    encoder: Encoder,
}

impl DeepVisitor for TrainingRun<'_> {
    type Output = anyhow::Result<Learnt>;

    fn visit<M: Method>(self, method: &M, optimizer: &OptimizerConfig) -> Self::Output {
        let Runner { config, data, device, out } = self.runner;
        let dataset = if self.labels { supervision::taught(data) } else { &data.seen.train };
        let truth = if self.labels { supervision::truth(data) } else { Cow::Borrowed(&data.seen.train) };
        let needs = method.needs();
        let (course, order) = course(config, &needs, dataset, self.stage, self.seed, optimizer)?;
        let checkpoints = Some(out.join("checkpoints").join(&self.folder));
        let course = TrainConfig { checkpoints, ..course };
        let width = data.encoder.features();
        let watched = Watched {
            train: &truth,
            validation: &data.seen.validation,
            augmenter: self.augmenter,
            features: width,
            device,
        };
        let mut bar = Bar::new(self.name, course.steps, Monitor::new(&config.monitor, watched)?);
        let augmenter = method.augmenter(self.augmenter)?;
        let train_data = TrainData { dataset, augmenter: &augmenter };
        let trained = train(method, self.encoder, width, train_data, &course, device, &mut bar)?;
        let (monitors, notes) = bar.finish().map(Monitor::finish).unwrap_or_default();
        let features = features_of(method, &trained.model, width)?;
        let mut learnt = Learnt::trained(features, trained, course.batch);
        if let Some(cause) = alone(&needs, dataset) {
            // The warnings guess at it.
            learnt.notes = vec![cause];
        }
        learnt.notes.extend(notes);
        learnt.notes.extend(check::visits(&needs, &order, dataset, learnt.cost.steps));
        Ok(Learnt { monitors, ..learnt })
    }
}

/// Why a method that compares images of one class has nothing to compare, if so.
fn alone(needs: &Needs, dataset: &Dataset) -> Option<String> {
    let labels = dataset.labels.as_deref().filter(|_| needs.labels && needs.views < 2)?;
    let compares = matches!(needs.sampling, Sampling::PerClass { .. });
    let distinct = labels.iter().collect::<BTreeSet<_>>().len();
    (compares && distinct == labels.len()).then(|| {
        format!(
            "trained on {distinct} images, one a class: no two images say what belongs together, which can end in \
             collapse; raise --labels"
        )
    })
}

/// How a method with these needs trains on `dataset`, and the order of its batches. Whatever a batch holds, every method
/// sees as many images; one with few labels sees those more often.
pub fn course(
    config: &Config,
    needs: &Needs,
    dataset: &Dataset,
    stage: Stage,
    seed: u64,
    optimizer: &OptimizerConfig,
) -> anyhow::Result<(TrainConfig, Order)> {
    let (order, batch) = check::order(needs, dataset, config.batch(), seed)?;
    let steps = (stage.images / batch).max(1);
    let course = TrainConfig {
        batch,
        passes: passes(config)?,
        steps,
        steps_per_epoch: steps.div_ceil(stage.epochs),
        seed,
        optimizer: optimizer.clone(),
        checkpoints: None,
    };
    Ok((course, order))
}

/// The features of a trained method, of which its encoder makes `width`: under the distance that it learnt, if any.
pub fn features_of<M: Method>(method: &M, model: &M::Model, width: usize) -> anyhow::Result<Features> {
    let encoder = Features::Encoder(Box::new(method.encoder(model).clone()));
    Ok(match method.components(model) {
        None => encoder,
        Some(map) => {
            let map = map.try_into_vec_as::<f32>().map_err(|e| anyhow!("the learnt distance was not read: {e}"))?;
            let metric = Mahalanobis::new(map.into_iter().map(f64::from).collect(), width)?;
            Features::Mahalanobis(Box::new(encoder), metric)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfar_core::{data::Inputs, matrix::Matrix};

    #[test]
    fn one_image_a_class_is_named_as_the_cause() {
        let of = |labels: &[usize], needs: Needs| {
            let data = Dataset {
                name: "t".into(),
                inputs: Inputs::Rows(Matrix::zeros(labels.len(), 1)),
                labels: Some(labels.to_vec()),
                class_names: ["a", "b", "c"].map(Into::into).to_vec(),
                groups: None,
            };
            alone(&needs, &data)
        };
        let needs = Needs { views: 1, labels: true, sampling: Sampling::PerClass { images: 4 } };
        assert!(of(&[0, 2, 1], needs.clone()).unwrap().starts_with("trained on 3 images, one a class"));
        assert_eq!(of(&[0, 2, 1, 1], needs.clone()), None);
        assert_eq!(of(&[0, 2, 1], Needs { views: 2, ..needs.clone() }), None, "two views of an image belong together");
        assert_eq!(of(&[0, 2, 1], Needs { sampling: Sampling::Shuffled, ..needs }), None);
    }
}

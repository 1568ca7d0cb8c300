//! Every method on the same data, encoder and budget, one row each.

use super::{
    config::Config,
    embedded::Embedded,
    features::Features,
    figures::Frame,
    jobs::Job,
    memory,
    method::{Base, Deep, DeepVisitor, Linear, MethodName, MethodSettings},
    prepare::Prepared,
    progress::Bar,
    score::Scorer,
};
use crate::report::{Cost, Figures, MethodFigures, Paradigm, Row, Status};
use anyhow::anyhow;
use burn::tensor::Device;
use metric::mahalanobis::{Keep, Mahalanobis, MahalanobisError, Pca};
use nearfar_core::{
    augment::Augmenter,
    encoder::Encoder,
    matrix::Matrix,
    optim::OptimizerConfig,
    train::{Method, TrainConfig, TrainData, Trained, Warning, train},
};
use std::{
    path::{Path, PathBuf},
    rc::Rc,
    time::Instant,
};

/// Principal components that `pca` keeps and Mahalanobis learners start from: as many as the default encoder's
/// features.
const COMPONENTS: usize = 64;

/// What makes one row.
pub struct Runner<'a> {
    /// The row's settings.
    pub config: &'a Config,
    /// The data, with the labels that the settings give.
    pub data: &'a Prepared,
    /// Where encoders train, with autodiff.
    pub device: Device,
    /// Folder of the report and the checkpoints.
    pub out: &'a Path,
}

/// Features of a method and how they came about.
#[derive(Clone)]
struct Learnt {
    features: Features,
    cost: Cost,
    status: Status,
    notes: Vec<String>,
    curve: Vec<f64>,
    checkpoint: Option<PathBuf>,
}

impl Learnt {
    fn fixed(features: Features) -> Self {
        let (notes, curve) = (Vec::new(), Vec::new());
        Self { features, cost: Cost::default(), status: Status::Ok, notes, curve, checkpoint: None }
    }
}

/// What the last rows left for those after them, which may differ in nothing but their probes.
#[derive(Default)]
pub struct Cache {
    base: Option<(String, Result<Rc<Frozen>, String>)>,
    scored: Option<(String, Rc<Scored>)>,
}

/// Features before any Mahalanobis metric; taken through the data where their training came to its end.
struct Frozen {
    learnt: Learnt,
    embedded: Option<Rc<Embedded>>,
}

/// The features of a row and, where training came to its end, their scores.
struct Scored {
    learnt: Learnt,
    scorer: Option<Scorer>,
}

impl Runner<'_> {
    /// Trains and scores one row. Its samples go into `figures` if the page is to show them.
    pub fn row(&self, job: &Job, cache: &mut Cache, figures: &mut Figures) -> anyhow::Result<Row> {
        let method = job.method;
        let scored = self.scored(job, cache)?;
        let learnt = &scored.learnt;
        let checkpoint = learnt.checkpoint.as_ref().and_then(|path| path.strip_prefix(self.out).ok());
        let mut row = Row {
            method: job.name.clone(),
            paradigm: match method.paradigm() {
                "metric" => Paradigm::Metric,
                "contrastive" => Paradigm::Contrastive,
                "hybrid" => Paradigm::Hybrid,
                _ => Paradigm::Baseline,
            },
            seed: job.seed,
            labels_used: if method.needs_labels() { self.data.labelled.len() } else { 0 },
            scores: Default::default(),
            cost: learnt.cost,
            run: String::new(),
            axes: job.axes.clone(),
            status: learnt.status,
            notes: learnt.notes.clone(),
            checkpoint: checkpoint.map(|path| path.display().to_string()),
            curve: learnt.curve.clone(),
            bootstrap: Default::default(),
        };
        let Some(scorer) = &scored.scorer else { return Ok(row) };
        let scores = scorer.score(self.data, job.seed)?;
        row.scores = scores.values;
        row.bootstrap = scores.bootstrap;
        row.notes.extend(scores.notes);
        if job.pictured {
            let frame = Frame::new(&self.data.seen.test)?;
            match scorer.pictures(&frame, self.data) {
                Ok(pictures) => {
                    let method = MethodFigures { method: row.method.clone(), seed: job.seed, ..pictures };
                    figures.insert(frame.into_set(&self.data.seen.test, &method)?, method);
                }
                Err(error) => row.notes.push(format!("pictures: {error}")),
            }
        }
        Ok(row)
    }

    /// The features of a row with what is the same in all their scores.
    fn scored(&self, job: &Job, cache: &mut Cache) -> anyhow::Result<Rc<Scored>> {
        if let Some((features, scored)) = &cache.scored
            && *features == job.features
        {
            return Ok(Rc::clone(scored));
        }
        memory::reset_peak();
        let base = self.frozen(job, cache)?;
        let mut learnt = base.learnt.clone();
        let scorer = match (&base.embedded, job.method.metric) {
            (None, _) => None,
            (Some(embedded), None) => Some(Scorer::new(Rc::clone(embedded), self.data)?),
            (Some(embedded), Some(metric)) => {
                let (with_metric, embedded) = self.with_metric(learnt, embedded, metric)?;
                learnt = with_metric;
                Some(Scorer::new(Rc::new(embedded), self.data)?)
            }
        };
        let scored = Rc::new(Scored { learnt, scorer });
        cache.scored = Some((job.features.clone(), Rc::clone(&scored)));
        Ok(scored)
    }

    /// The row's features before any Mahalanobis metric. What failed fails again, without another try.
    fn frozen(&self, job: &Job, cache: &mut Cache) -> anyhow::Result<Rc<Frozen>> {
        if let Some((base, made)) = &cache.base
            && *base == job.base
        {
            return made.clone().map_err(anyhow::Error::msg);
        }
        let made = self.make(job).map(Rc::new).map_err(|error| format!("{error:#}"));
        cache.base = Some((job.base.clone(), made.clone()));
        made.map_err(anyhow::Error::msg)
    }

    fn make(&self, job: &Job) -> anyhow::Result<Frozen> {
        let augmenter = self.data.augmenter(job.seed)?;
        let mut learnt = self.base(job, &augmenter)?;
        learnt.cost.peak_memory_bytes = memory::peak();
        let finished = learnt.status == Status::Ok;
        let embedded = || Embedded::new(&learnt.features, self.data, &augmenter, &self.device);
        let embedded = finished.then(embedded).transpose()?.map(Rc::new);
        Ok(Frozen { learnt, embedded })
    }

    fn base(&self, job: &Job, augmenter: &Augmenter) -> anyhow::Result<Learnt> {
        match job.method.base {
            Base::Pixels => Ok(Learnt::fixed(Features::Pixels)),
            Base::Pca => {
                let start = Instant::now();
                let pixels = Features::Pixels.of(&self.data.seen.train, augmenter, &self.device)?;
                let mut learnt = Learnt::fixed(Features::Pca(components(&pixels)?));
                learnt.cost.train_seconds = start.elapsed().as_secs_f64();
                Ok(learnt)
            }
            Base::Untrained => Ok(Learnt::fixed(Features::Encoder(Box::new(self.encoder(job.seed)?)))),
            Base::Deep(deep) => self.deep(deep, job, augmenter),
        }
    }

    /// The metric learnt on the labelled items' features, and all features under it.
    fn with_metric(
        &self,
        mut learnt: Learnt,
        embedded: &Embedded,
        metric: Linear,
    ) -> anyhow::Result<(Learnt, Embedded)> {
        let labelled = &self.data.labelled;
        let rows = embedded.seen[0].select(&self.data.given.items);
        let start = Instant::now();
        let fitted = self.config.method.learner(metric).fit(&rows, labelled.labels_for("a Mahalanobis learner")?)?;
        learnt.cost.train_seconds += start.elapsed().as_secs_f64();
        learnt.cost.peak_memory_bytes = learnt.cost.peak_memory_bytes.max(memory::peak());
        if !fitted.converged {
            learnt
                .notes
                .push(format!("the Mahalanobis learner stopped after {} iterations, unconverged", fitted.iterations));
        }
        let embedded = embedded.under(&fitted.model)?;
        learnt.features = Features::Mahalanobis(Box::new(learnt.features), fitted.model);
        Ok((learnt, embedded))
    }

    fn encoder(&self, seed: u64) -> anyhow::Result<Encoder> {
        Ok(self.data.encoder.init(self.data.shape, seed, &self.device)?)
    }

    fn deep(&self, deep: Deep, job: &Job, augmenter: &Augmenter) -> anyhow::Result<Learnt> {
        let labels = MethodName { metric: None, ..job.method }.needs_labels();
        let run = DeepRun { runner: self, labels, job, augmenter };
        let classes = self.data.seen.train.class_names.len();
        let mut settings = MethodSettings { classes, ..self.config.method.clone() };
        settings.supervised.settings.classes = classes;
        settings.visit(deep, run)?
    }
}

/// One training run.
struct DeepRun<'a> {
    runner: &'a Runner<'a>,
    labels: bool,
    job: &'a Job,
    augmenter: &'a Augmenter,
}

impl DeepVisitor for DeepRun<'_> {
    type Output = anyhow::Result<Learnt>;

    /// Trains the method; its features are those of its encoder, under the distance that it learnt, if any.
    fn visit<M: Method>(self, method: &M, optimizer: &OptimizerConfig) -> Self::Output {
        let Runner { config, data, device, out } = self.runner;
        // Every method sees as many images; one with few labels sees those more often.
        let dataset = if self.labels { &data.labelled } else { &data.seen.train };
        let images = data.seen.train.len() / config.batch * config.batch * config.epochs;
        let batch = config.batch.min(dataset.len());
        let steps = (images / batch).max(1);
        let train_config = TrainConfig {
            batch,
            steps,
            steps_per_epoch: steps.div_ceil(config.epochs),
            seed: self.job.seed,
            optimizer: optimizer.clone(),
            checkpoints: Some(out.join("checkpoints").join(&self.job.base)),
        };
        let encoder = self.runner.encoder(self.job.seed)?;
        let mut bar = Bar::new(method.name(), steps);
        let augmenter = self.augmenter.with_views(method.needs().views);
        let train_data = TrainData { dataset, augmenter: &augmenter };
        let width = data.encoder.features();
        let trained = train(method, encoder, width, train_data, &train_config, device, &mut bar)?;
        drop(bar);
        let encoder = Features::Encoder(Box::new(method.encoder(&trained.model).clone()));
        let features = match method.components(&trained.model) {
            None => encoder,
            Some(map) => {
                let map = map.try_into_vec_as::<f32>().map_err(|e| anyhow!("the learnt distance was not read: {e}"))?;
                let metric = Mahalanobis::new(map.into_iter().map(f64::from).collect(), width)?;
                Features::Mahalanobis(Box::new(encoder), metric)
            }
        };
        Ok(learnt(features, trained, batch))
    }
}

/// What a training run leaves.
fn learnt<M>(features: Features, trained: Trained<M>, batch: usize) -> Learnt {
    let Trained { finished, steps, time, losses, warnings, checkpoint, .. } = trained;
    let images = steps * batch;
    Learnt {
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
        checkpoint,
    }
}

/// [`COMPONENTS`] principal components, or all of them where the rows vary in fewer directions.
fn components(rows: &Matrix) -> Result<Pca, MahalanobisError> {
    match Pca::fit(rows, Keep::Count(COMPONENTS)) {
        Err(MahalanobisError::RankTooLow { .. }) => Pca::fit(rows, Keep::All),
        other => other,
    }
}

//! Every method on the same data, encoder and budget, one row each.

use super::{
    config::Config,
    embedded::Embedded,
    encoder_file,
    features::Features,
    fine_tune::fine_tune,
    jobs::Job,
    memory,
    method::{Base, Linear},
    prepare::Prepared,
    score::Scorer,
    supervision,
    training::Learnt,
};
use crate::{
    failure::text,
    report::{Figures, MethodFigures, Paradigm, Row, Status, axis},
};
use burn::tensor::Device;
use metric::mahalanobis::{Keep, MahalanobisError, Pca};
use nearfar_core::{augment::Augmenter, matrix::Matrix};
use std::{path::Path, rc::Rc, time::Instant};

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
        let told = self.data.told.as_ref().filter(|_| method.needs_labels());
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
            labels_used: match told {
                Some(told) => told.count,
                None if method.needs_labels() => self.data.labelled.len(),
                None => 0,
            },
            scores: Default::default(),
            cost: learnt.cost,
            run: String::new(),
            axes: job.axes.clone(),
            status: learnt.status,
            notes: learnt.notes.clone(),
            checkpoint: checkpoint.map(|path| path.display().to_string()),
            curve: learnt.curve.clone(),
            monitors: learnt.monitors.clone(),
            bootstrap: Default::default(),
            parts: Default::default(),
        };
        if let Some(told) = told {
            row.axes.insert(axis::CONSTRAINTS.to_owned(), told.count as f64);
            row.notes.push(told.note.clone());
        }
        let Some(scorer) = &scored.scorer else { return Ok(row) };
        row.checkpoint = Some(encoder_file::write(&learnt.features, job, self.data, self.out)?);
        let mut scores = scorer.score(self.data, job.seed)?;
        if self.config.fine_tune {
            match learnt.features.encoder().filter(|_| method.metric.is_none()) {
                Some(encoder) => {
                    let augmenter = self.data.augmenter(job.seed)?;
                    fine_tune(encoder, self.data, &augmenter, &self.device, job.seed, &mut scores)?;
                }
                None => scores.notes.push("fine_tune: frozen features are not trained on".into()),
            }
        }
        row.scores = scores.values;
        row.bootstrap = scores.bootstrap;
        row.parts = scores.parts;
        row.notes.extend(scores.notes);
        if job.pictured {
            match scorer.pictures(self.data) {
                Ok(all) => {
                    for (set, pictures) in all {
                        figures.insert(set, MethodFigures { method: row.method.clone(), seed: job.seed, ..pictures });
                    }
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
                let (with_metric, embedded) = self.with_metric(learnt, embedded, metric, job.seed)?;
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
        let made = self.make(job).map(Rc::new).map_err(|error| text(&error));
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
            Base::Hybrid(hybrid) => self.hybrid(hybrid, job, augmenter),
        }
    }

    /// The metric learnt on the labelled items' features, and all features under it.
    fn with_metric(
        &self,
        mut learnt: Learnt,
        embedded: &Embedded,
        metric: Linear,
        seed: u64,
    ) -> anyhow::Result<(Learnt, Embedded)> {
        let rows = match metric {
            // It uses no labels.
            Linear::Covariance => embedded.seen[0].clone(),
            _ => embedded.seen[0].select(&self.data.given.items),
        };
        let start = Instant::now();
        let (fitted, note) = supervision::fit(self.config, self.data, metric, &rows, seed)?;
        learnt.cost.train_seconds += start.elapsed().as_secs_f64();
        learnt.cost.peak_memory_bytes = learnt.cost.peak_memory_bytes.max(memory::peak());
        learnt.notes.extend(note);
        if !fitted.converged {
            learnt
                .notes
                .push(format!("the Mahalanobis learner stopped after {} iterations, unconverged", fitted.iterations));
        }
        let embedded = embedded.under(&fitted.model)?;
        learnt.features = Features::Mahalanobis(Box::new(learnt.features), fitted.model);
        Ok((learnt, embedded))
    }
}

/// [`COMPONENTS`] principal components, or all of them where the rows vary in fewer directions.
pub(super) fn components(rows: &Matrix) -> Result<Pca, MahalanobisError> {
    match Pca::fit(rows, Keep::Count(COMPONENTS)) {
        Err(MahalanobisError::RankTooLow { .. }) => Pca::fit(rows, Keep::All),
        other => other,
    }
}

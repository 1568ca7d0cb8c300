//! Every method on the same data, encoder and budget, one row each.

use super::{
    config::Config,
    features::Features,
    memory,
    method::{Base, Deep, DeepVisitor, Linear, MethodName, MethodSettings},
    prepare::Prepared,
    progress::{Bar, catch_interrupt, interrupted},
    score::score,
};
use crate::{
    cli::RunArgs,
    failure::{Failure, failed, usage},
    report::{self, Budget, Cost, DatasetInfo, Figures, MethodFigures, Paradigm, Report, Row, Status, axis, terminal},
};
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
    time::Instant,
};

/// Principal components that `pca` keeps and Mahalanobis learners start from: as many as the default encoder's
/// features.
const COMPONENTS: usize = 64;

/// `compare run`.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let (config, out, mut report) = match &args.resume {
        Some(dir) => {
            let config = Config::read(&dir.join("config.toml"))?;
            let report =
                if dir.join("report.json").is_file() { report::read(dir).map_err(usage)? } else { Report::default() };
            (config, dir.clone(), report)
        }
        None => {
            let config = Config::from_args(args)?;
            let out = args.out.clone().unwrap_or_else(|| free_folder(&config.dataset));
            (config, out, Report::default())
        }
    };
    let methods = config.method_names().map_err(usage)?;
    let (backend, device) = config.backend.open().map_err(usage)?;
    catch_interrupt();
    let data = Prepared::new(&config, &methods).map_err(|error| Failure { code: 2, error })?;
    data.encoder.init(data.shape, 0, &device).map_err(usage)?;
    report::check_writable(&out).map_err(usage)?;
    // Pictures of an older run in the same folder belong to no row of this one.
    let mut figures = match args.resume {
        Some(_) => report::read_figures(&out).map_err(usage)?,
        None => Figures::default(),
    };
    config.write(&out)?;
    describe(&mut report, &config, &data, &backend.to_string(), &device);

    let mut runner = Runner { config: &config, data: &data, device: device.autodiff(), out: &out };
    eprintln!(
        "{}: {} training images, {} seen and {} unseen classes; {} on {}; {} steps of {}",
        data.name,
        data.seen.train.len(),
        data.classes.len() - data.unseen_names.len(),
        data.unseen_names.len(),
        report.encoder,
        backend,
        report.budget.steps,
        config.batch
    );
    for seed in (0..config.seeds as u64).map(|s| config.seed.wrapping_add(s)) {
        for method in &methods {
            let name = method.to_string();
            let done = |row: &&Row| row.method == name && row.seed == seed;
            match report.rows.iter().find(done) {
                Some(row) if row.status == Status::Ok => continue,
                _ => report.rows.retain(|row| !done(&row)),
            }
            report.failures.retain(|f| f.method != name || f.seed != seed);
            match runner.row(*method, seed, &mut figures) {
                Ok(row) => report.rows.push(row),
                Err(error) => {
                    let error = format!("{error:#}");
                    eprintln!("error: {name}, seed {seed}: {error}");
                    report.failures.push(report::Failure { method: name, seed, error, run: String::new() });
                }
            }
            report.summarize();
            report::write(&report, &figures, &out).map_err(failed)?;
            if interrupted() {
                return Err(failed(anyhow!("stopped; go on with: compare run --resume {}", out.display())));
            }
        }
    }
    println!("{}", terminal::render(&report, &out, terminal::Style::detect()));
    match report.failures.as_slice() {
        [] => Ok(()),
        failures => {
            let names: Vec<&str> = failures.iter().map(|f| f.method.as_str()).collect();
            Err(failed(anyhow!("{} did not finish; the rest is in the report", names.join(", "))))
        }
    }
}

/// `compare report`.
pub fn rewrite_report(dirs: &[PathBuf], out: Option<&Path>) -> Result<(), Failure> {
    let mut parts = Vec::with_capacity(dirs.len());
    for dir in dirs {
        parts.push((report::read(dir).map_err(usage)?, report::read_figures(dir).map_err(usage)?));
    }
    let out = match (dirs, out) {
        (_, Some(out)) => out,
        ([one], None) => one.as_path(),
        _ => return Err(usage(anyhow!("a report over several runs needs a folder of its own: --out DIR"))),
    };
    let (joint, figures) = report::join(parts).map_err(usage)?;
    report::check_writable(out).map_err(usage)?;
    report::write(&joint, &figures, out).map_err(failed)?;
    println!("{}", terminal::render(&joint, out, terminal::Style::detect()));
    Ok(())
}

/// `runs/DATASET-N` with the first free N.
fn free_folder(dataset: &str) -> PathBuf {
    let stem = Path::new(dataset).file_stem().map_or_else(|| "run".into(), |s| s.to_string_lossy().into_owned());
    (1..).map(|n| PathBuf::from(format!("runs/{stem}-{n}"))).find(|p| !p.exists()).expect("numbers do not end")
}

fn describe(report: &mut Report, config: &Config, data: &Prepared, backend: &str, device: &Device) {
    let steps_per_epoch = data.seen.train.len() / config.batch;
    let steps = steps_per_epoch * config.epochs;
    report.command = std::env::args().skip(1).fold("compare".to_owned(), |all, arg| all + " " + &arg);
    report.backend = backend.to_owned();
    report.device = format!("{device:?}");
    report.encoder = format!("{} width {}", data.encoder.architecture, data.encoder.width);
    report.dataset = DatasetInfo {
        name: data.name.clone(),
        classes: data.classes.len(),
        seen_classes: data.classes.len() - data.unseen_names.len(),
        unseen_classes: data.unseen_names.len(),
        train: data.seen.train.len(),
        validation: data.seen.validation.len(),
        test: data.seen.test.len(),
        unseen_class_names: data.unseen_names.clone(),
    };
    report.budget = Budget { epochs: config.epochs, steps, images_seen: steps * config.batch, batch: config.batch };
    if let Ok(serde_json::Value::Object(settings)) = serde_json::to_value(config) {
        report.settings = settings;
    }
}

/// What all rows of a run share.
struct Runner<'a> {
    config: &'a Config,
    data: &'a Prepared,
    device: Device,
    out: &'a Path,
}

/// Features of a method and how they came about.
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

impl Runner<'_> {
    /// Trains and scores one row. The first seed's samples go into `figures`.
    fn row(&mut self, method: MethodName, seed: u64, figures: &mut Figures) -> anyhow::Result<Row> {
        memory::reset_peak();
        let augmenter = self.data.augmenter(seed)?;
        let mut learnt = self.base(method, seed, &augmenter)?;
        if let Some(metric) = method.metric {
            learnt = self.with_metric(learnt, metric, &augmenter)?;
        }
        learnt.cost.peak_memory_bytes = memory::peak();
        let mut row = Row {
            method: method.to_string(),
            paradigm: match method.paradigm() {
                "metric" => Paradigm::Metric,
                "contrastive" => Paradigm::Contrastive,
                "hybrid" => Paradigm::Hybrid,
                _ => Paradigm::Baseline,
            },
            seed,
            labels_used: if method.needs_labels() { self.data.labelled.len() } else { 0 },
            scores: Default::default(),
            cost: learnt.cost,
            run: String::new(),
            axes: [(axis::LABELS, self.config.labels), (axis::BATCH, self.config.batch as f64)]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            status: learnt.status,
            notes: learnt.notes,
            checkpoint: learnt.checkpoint.and_then(|p| Some(p.strip_prefix(self.out).ok()?.display().to_string())),
            curve: learnt.curve,
            bootstrap: Default::default(),
        };
        if row.status == Status::Ok {
            let pictured = seed == self.config.seed;
            let scores = score(&learnt.features, self.data, &augmenter, &self.device, seed, pictured)?;
            row.scores = scores.values;
            row.bootstrap = scores.bootstrap;
            row.notes.extend(scores.notes);
            for (set, pictures) in scores.pictures {
                figures.insert(set, MethodFigures { method: row.method.clone(), seed, ..pictures });
            }
        }
        Ok(row)
    }

    fn base(&self, method: MethodName, seed: u64, augmenter: &Augmenter) -> anyhow::Result<Learnt> {
        match method.base {
            Base::Pixels => Ok(Learnt::fixed(Features::Pixels)),
            Base::Pca => {
                let start = Instant::now();
                let pixels = Features::Pixels.of(&self.data.seen.train, augmenter, &self.device)?;
                let mut learnt = Learnt::fixed(Features::Pca(components(&pixels)?));
                learnt.cost.train_seconds = start.elapsed().as_secs_f64();
                Ok(learnt)
            }
            Base::Untrained => Ok(Learnt::fixed(Features::Encoder(Box::new(self.encoder(seed)?)))),
            Base::Deep(deep) => self.deep(deep, method, seed, augmenter),
        }
    }

    fn with_metric(&self, base: Learnt, metric: Linear, augmenter: &Augmenter) -> anyhow::Result<Learnt> {
        if base.status != Status::Ok {
            return Ok(base);
        }
        let labelled = &self.data.labelled;
        let rows = base.features.of(labelled, augmenter, &self.device)?;
        let start = Instant::now();
        let fitted = self.config.method.learner(metric).fit(&rows, labelled.labels_for("a Mahalanobis learner")?)?;
        let mut learnt = base;
        learnt.cost.train_seconds += start.elapsed().as_secs_f64();
        if !fitted.converged {
            learnt
                .notes
                .push(format!("the Mahalanobis learner stopped after {} iterations, unconverged", fitted.iterations));
        }
        learnt.features = Features::Mahalanobis(Box::new(learnt.features), fitted.model);
        Ok(learnt)
    }

    fn encoder(&self, seed: u64) -> anyhow::Result<Encoder> {
        Ok(self.data.encoder.init(self.data.shape, seed, &self.device)?)
    }

    fn deep(&self, deep: Deep, method: MethodName, seed: u64, augmenter: &Augmenter) -> anyhow::Result<Learnt> {
        let run =
            DeepRun { runner: self, labels: MethodName { metric: None, ..method }.needs_labels(), seed, augmenter };
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
    seed: u64,
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
            seed: self.seed,
            optimizer: optimizer.clone(),
            checkpoints: Some(out.join("checkpoints").join(format!("{}-seed{}", method.name(), self.seed))),
        };
        let encoder = self.runner.encoder(self.seed)?;
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

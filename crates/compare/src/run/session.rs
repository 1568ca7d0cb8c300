//! A run from its arguments to its report: opened anew or resumed, job by job, written after each.

use super::{
    axis::Sweep,
    check,
    config::{self, Config},
    head_to_head::{Cache, Runner},
    hybrid::Stage,
    jobs::{Job, jobs},
    lock::Lock,
    method::MethodName,
    prepare::Prepared,
    progress::{catch_interrupt, interrupted},
    tune::SEARCH,
};
use crate::{
    cli::{RunArgs, SweepArgs},
    failure::{Failure, failed, text, usage},
    report::{self, Budget, DatasetInfo, Figures, Report, Row, Status, Tuning, terminal},
};
use anyhow::{anyhow, ensure};
use burn::tensor::Device;
use std::path::{Path, PathBuf};

/// `compare run`.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    Session::open(args, settings(args)?, false)?.execute()
}

/// `compare run` with settings that the search in a folder chose; the report says how.
pub fn run_tuned(args: &RunArgs, tuning: Tuning, search: &Path) -> Result<(), Failure> {
    let mut session = Session::open(args, settings(args)?, false)?;
    if let Some(command) = Config::command(search) {
        session.report.command = command;
    }
    session.report.tuning = Some(tuning);
    session.execute()
}

/// `compare sweep`: a run whose settings name an axis.
pub fn sweep(args: &SweepArgs) -> Result<(), Failure> {
    let mut config = settings(&args.run)?;
    if let Some(axis) = &args.axis {
        let sweep = Sweep::parse(axis, args.values.as_deref()).map_err(usage)?;
        if sweep.values.len() < 2 {
            return Err(usage(anyhow!("--values: a sweep needs two different values at least; `run` takes one")));
        }
        config.sweep = Some(sweep);
    }
    if config.sweep.is_none() {
        return Err(usage(anyhow!("these settings name no sweep: say what to vary with --axis")));
    }
    // Values that nobody asked for need not suit the data.
    let own_values = args.axis.is_some() && args.values.is_none();
    Session::open(&args.run, config, own_values)?.execute()
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
    let is_out = |dir: &PathBuf| matches!((dir.canonicalize(), out.canonicalize()), (Ok(dir), Ok(out)) if dir == out);
    if dirs.len() > 1 && dirs.iter().any(is_out) {
        return Err(usage(anyhow!(
            "{} holds one of these runs, whose report would be lost: choose another --out",
            out.display()
        )));
    }
    let (joint, figures) = report::join(parts).map_err(usage)?;
    report::check_writable(out).map_err(usage)?;
    report::write(&joint, &figures, out).map_err(failed)?;
    say!("{}", terminal::render(&joint, out, terminal::Style::detect()));
    Ok(())
}

/// The settings that were written, of a run that goes on; else those that the arguments ask for.
fn settings(args: &RunArgs) -> Result<Config, Failure> {
    let Some(dir) = &args.resume else { return Config::from_args(args) };
    if dir.join(SEARCH).is_file() {
        let dir = dir.display();
        return Err(usage(anyhow!(
            "{dir} holds a search, no run: go on with compare tune --resume {dir}; the run with the tuned settings lies \
             in a folder of its own there"
        )));
    }
    Config::resumed(dir, args)
}

/// Refuses the folder of another run, whose rows and checkpoints would pass for those of this one.
pub(super) fn check_free(out: &Path) -> Result<(), Failure> {
    match [config::FILE, "report.json", "checkpoints"].into_iter().find(|name| out.join(name).exists()) {
        None => Ok(()),
        Some(name) => {
            let out = out.display();
            Err(usage(anyhow!(
                "{out} holds a run already ({name}): go on with it by --resume {out}, or choose another --out"
            )))
        }
    }
}

/// The command line of this process, as a shell takes it, with the folder where it left that to the program.
pub(super) fn command_line(args: &RunArgs, out: &Path) -> String {
    let chosen = args.out.is_none().then(|| ["--out".to_owned(), out.display().to_string()]);
    let words = std::env::args().skip(1).chain(chosen.into_iter().flatten());
    words.fold("compare".to_owned(), |all, word| all + " " + &report::quoted(&word))
}

/// Refuses data that changed since the report's rows were made: its means would be over rows of both.
fn same_data(report: &Report, now: &DatasetInfo, out: &Path) -> Result<(), Failure> {
    if report.rows.is_empty() || report.dataset.same(now) {
        return Ok(());
    }
    Err(changed_data(&now.name, out, ["rows", "run"]))
}

/// That what was made of these data, such as the rows of a run, cannot go on in this folder.
pub(super) fn changed_data(name: &str, out: &Path, [made, work]: [&str; 2]) -> Failure {
    usage(anyhow!(
        "the data of {name} have changed since {} was begun: its {made} are of the data as they were; begin another {work} \
         with another --out",
        out.display()
    ))
}

/// Leaves out of a sweep the values that do not suit the data; the sweep says which and why.
///
/// # Errors
/// When fewer than two are left.
fn fitting_values(config: &mut Config, methods: &[MethodName], data: &mut Prepared) -> anyhow::Result<()> {
    let Some(sweep) = config.sweep.clone() else { return Ok(()) };
    let mut settled = config.clone();
    settled.settle(data.seen.train.len());
    let (mut kept, mut refused) = (Vec::new(), Vec::new());
    for value in sweep.values {
        let alone = Sweep { axis: sweep.axis, values: vec![value.clone()], left_out: None };
        let made = jobs(&Config { seeds: 1, sweep: Some(alone), ..settled.clone() }, methods)?;
        match check::rows(made.iter().map(|job| (&*job.config, job.method)), data) {
            Ok(()) => kept.push(value),
            Err(error) => refused.push((value, error)),
        }
    }
    let Some((_, reason)) = refused.last() else { return Ok(()) };
    let names: Vec<String> = refused.iter().map(|(value, _)| value.to_string()).collect();
    let left_out = format!("{} {} left out: {}", sweep.axis, names.join(", "), text(reason));
    ensure!(kept.len() >= 2, "{left_out}; say with --values what suits the data");
    config.sweep = Some(Sweep { axis: sweep.axis, values: kept, left_out: Some(left_out) });
    Ok(())
}

/// A run under way.
struct Session {
    jobs: Vec<Job>,
    data: Prepared,
    device: Device,
    out: PathBuf,
    report: Report,
    figures: Figures,
    _lock: Lock,
}

impl Session {
    /// Checks everything that can be wrong before anything is trained, and writes the settings. `own_values` says that the
    /// values of the sweep are those that the axis takes by itself: of these, what does not suit the data is left out.
    fn open(args: &RunArgs, mut config: Config, own_values: bool) -> Result<Self, Failure> {
        config.validate().map_err(usage)?;
        let out = match &args.resume {
            Some(dir) => dir.clone(),
            None => args.out.clone().unwrap_or_else(|| free_folder("", &config.dataset)),
        };
        if args.resume.is_none() {
            check_free(&out)?;
        }
        let methods = config.method_names().map_err(usage)?;
        let (backend, device) = config.backend.open().map_err(usage)?;
        catch_interrupt();
        let mut data = Prepared::new(&config, &methods).map_err(usage)?;
        if own_values {
            fitting_values(&mut config, &methods, &mut data).map_err(usage)?;
        }
        // What the settings leave to the data is written as left out, so that they suit other data too.
        let written = config.clone();
        let batch = config.settle(data.seen.train.len());
        let jobs = jobs(&config, &methods).map_err(usage)?;
        let at_share = |job: Job| data.share(job.config.labels).map(|share| job.with_share(share));
        let jobs: Vec<Job> = jobs.into_iter().map(at_share).collect::<Result<_, _>>().map_err(usage)?;
        let first = jobs.iter().filter(|job| job.seed == config.seed);
        check::rows(first.map(|job| (&*job.config, job.method)), &mut data).map_err(usage)?;
        data.adopt(&config).map_err(usage)?;
        report::check_writable(&out).map_err(usage)?;
        let lock = Lock::take(&out)?;
        let (mut report, mut figures) = (Report::default(), Figures::default());
        let dataset = dataset(&data);
        if args.resume.is_some() {
            figures = report::read_figures(&out).map_err(usage)?;
            if out.join("report.json").is_file() {
                report = report::read(&out).map_err(usage)?;
                same_data(&report, &dataset, &out)?;
            }
        }
        // The run is what its first command asked for, however often it was stopped.
        let begun = if args.resume.is_some() { Config::command(&out) } else { None };
        report.command = begun.unwrap_or_else(|| command_line(args, &out));
        written.write(&out, &report.command)?;
        report.dataset = dataset;
        describe(&mut report, &config, &data, &backend.to_string(), &device);
        let left_out = config.sweep.as_ref().and_then(|sweep| sweep.left_out.clone());
        report.notes.extend(left_out.into_iter().chain(batch));
        tell!(
            "{}: {} training images, {} seen and {} unseen classes; {} on {}; every method sees {} images, {} a step; {} \
             rows",
            data.name,
            data.seen.train.len(),
            data.classes.len() - data.unseen_names.len(),
            data.unseen_names.len(),
            report.encoder,
            backend,
            report.budget.images_seen,
            config.batch(),
            jobs.len()
        );
        report.notes.iter().for_each(|note| tell!("note: {note}"));
        Ok(Self { jobs, data, device: device.autodiff(), out, report, figures, _lock: lock })
    }

    /// Does the jobs that have no row yet.
    fn execute(mut self) -> Result<(), Failure> {
        let mut cache = Cache::default();
        for (place, job) in self.jobs.iter().enumerate() {
            if self.report.rows.iter().any(|row| job.made(row) && row.status == Status::Ok) {
                continue;
            }
            self.report.rows.retain(|row| !job.made(row));
            self.report.failures.retain(|failure| failure.method != job.label() || failure.seed != job.seed);
            tell!("{}/{} {}, seed {}", place + 1, self.jobs.len(), job.label(), job.seed);
            self.data.adopt(&job.config).map_err(failed)?;
            let (data, device, out) = (&self.data, self.device.clone(), self.out.as_path());
            let runner = Runner { config: &job.config, data, device, out };
            match runner.row(job, &mut cache, &mut self.figures) {
                Ok(row) => self.report.rows.push(row),
                Err(error) => {
                    let (method, seed, error) = (job.label(), job.seed, text(&error));
                    tell!("error: {method}, seed {seed}: {error}");
                    self.report.failures.push(report::Failure { method, seed, error, run: String::new() });
                }
            }
            // In the order of the jobs, wherever the run was stopped.
            let place = |row: &Row| self.jobs.iter().position(|job| job.made(row)).unwrap_or(usize::MAX);
            self.report.rows.sort_by_key(place);
            self.report.summarize();
            report::write(&self.report, &self.figures, &self.out).map_err(failed)?;
            if interrupted() {
                return Err(failed(anyhow!("stopped; go on with: compare run --resume {}", self.out.display())));
            }
        }
        say!("{}", terminal::render(&self.report, &self.out, terminal::Style::detect()));
        match self.report.failures.as_slice() {
            [] => Ok(()),
            failures => {
                let names: Vec<&str> = failures.iter().map(|f| f.method.as_str()).collect();
                Err(failed(anyhow!("{} did not finish; the rest is in the report", names.join(", "))))
            }
        }
    }
}

/// `runs/PREFIXDATASET-N` with the first free N.
pub(super) fn free_folder(prefix: &str, dataset: &str) -> PathBuf {
    let stem = Path::new(dataset).file_stem().map_or_else(|| "run".into(), |s| s.to_string_lossy().into_owned());
    (1..).map(|n| PathBuf::from(format!("runs/{prefix}{stem}-{n}"))).find(|p| !p.exists()).expect("numbers do not end")
}

fn dataset(data: &Prepared) -> DatasetInfo {
    DatasetInfo {
        name: data.name.clone(),
        classes: data.classes.len(),
        seen_classes: data.classes.len() - data.unseen_names.len(),
        unseen_classes: data.unseen_names.len(),
        train: data.seen.train.len(),
        validation: data.seen.validation.len(),
        test: data.seen.test.len(),
        unseen_class_names: data.unseen_names.clone(),
        digest: data.digest(),
    }
}

fn describe(report: &mut Report, config: &Config, data: &Prepared, backend: &str, device: &Device) {
    let Stage { images, epochs } = Stage::whole(config, data.seen.train.len());
    report.backend = backend.to_owned();
    report.device = format!("{device:?}");
    report.encoder = format!("{} width {}", data.encoder.architecture, data.encoder.width);
    report.notes.clone_from(&data.notes);
    report.budget = Budget { epochs, steps: images / config.batch(), images_seen: images, batch: config.batch() };
    if let Ok(serde_json::Value::Object(settings)) = serde_json::to_value(config) {
        report.settings = settings;
    }
}

//! `compare tune`: as many trials for every method, each over its own settings, chosen on validation images.

mod folds;
mod journal;
mod measure;
mod prior;
mod propose;
mod result;
mod space;
mod subject;
mod tables;

pub use measure::Objective;

use super::{
    MethodName, check,
    config::Config,
    lock::Lock,
    prepare::Prepared,
    progress,
    session::{changed_data, check_free, command_line, free_folder},
};
use crate::{
    cli::{RunArgs, TuneArgs},
    failure::{Failure, failed, usage},
    report,
};
use anyhow::{Context, anyhow};
use burn::tensor::Device;
use folds::Validation;
use journal::{Journal, Trial};
use propose::{Tried, propose};
use result::{Outcome, TUNED};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};
use subject::Subject;

/// Trials of every method, unless the arguments say otherwise.
const TRIALS: usize = 20;
/// Name of the file with the settings of the search itself.
pub const SEARCH: &str = "search.toml";

/// How hard is searched, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Search {
    /// Trials of every method.
    trials: usize,
    /// Trainings of a trial, each with other classes held out.
    folds: usize,
    /// What settings are chosen by.
    objective: Objective,
}

/// What [`SEARCH`] says of a search.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begun {
    trials: usize,
    folds: usize,
    objective: Objective,
    /// Stands for the data, as in a report; empty of a version that did not write it.
    #[serde(default)]
    data: String,
}

/// `compare tune`.
pub fn tune(args: &TuneArgs) -> Result<(), Failure> {
    let (mut config, search, out, begun) = settings(args)?;
    if config.supervision.weak().is_some() || config.sweep.is_some() {
        return Err(usage(anyhow!("a search is for one run with class labels: leave --supervision and the sweep out")));
    }
    let methods = config.method_names().map_err(usage)?;
    let (subjects, without) = Subject::all(&methods, &config).map_err(usage)?;
    if subjects.is_empty() {
        return Err(usage(anyhow!("{} have nothing to set", without.join(", "))));
    }
    let (_, device) = config.backend.open().map_err(usage)?;
    progress::catch_interrupt();
    let (name, data, validation) = validation(&mut config, &methods, search)?;
    if begun.is_some_and(|begun| !begun.is_empty() && begun != data) {
        return Err(changed_data(&name, &out, ["trials", "search"]));
    }
    report::check_writable(&out).map_err(usage)?;
    let _lock = Lock::take(&out)?;
    let mut journal = match args.run.resume {
        Some(_) => {
            let (journal, torn) = Journal::open(&out).map_err(usage)?;
            if torn {
                tell!("note: the last trial was cut off while it was written; it is made again");
            }
            journal
        }
        None => Journal::create(&out).map_err(usage)?,
    };
    config.write(&out, &Config::command(&out).unwrap_or_else(|| command_line(&args.run, &out)))?;
    search.write(&out, data)?;
    let device = device.autodiff();
    for round in 0..search.trials {
        for subject in &subjects {
            if journal.of(&subject.name).count() > round {
                continue;
            }
            let Some(trial) = attempt(subject, &config, search, &validation, &journal, &device).map_err(failed)? else {
                let dir = out.display();
                return Err(failed(anyhow!("stopped; go on with: compare tune --resume {dir}")));
            };
            let trial = journal.append(&trial).map_err(failed)?;
            announce(trial, search.trials);
        }
        // After every round each method has had as many trials, and what is there can be used.
        outcome(&name, &config, search, &validation, &subjects, &without, &journal).write(&out).map_err(failed)?;
    }
    let outcome = outcome(&name, &config, search, &validation, &subjects, &without, &journal);
    say!("{}\n\nSettings: {}", outcome.terminal(), out.join(TUNED).display());
    let hopeless = outcome.failed();
    if !args.search_only {
        score(&out, search, config.seeds, outcome.tuning())?;
    }
    if hopeless.is_empty() { Ok(()) } else { Err(failed(anyhow!("every trial failed of {}", hopeless.join("; ")))) }
}

/// The settings of the arguments, or of the search that goes on, with what stood for its data.
fn settings(args: &TuneArgs) -> Result<(Config, Search, PathBuf, Option<String>), Failure> {
    let Some(dir) = &args.run.resume else {
        let config = Config::from_args(&args.run)?;
        let search = Search {
            trials: args.trials.unwrap_or(TRIALS),
            folds: args.folds.unwrap_or(1),
            objective: args.objective.unwrap_or(Objective::Mean),
        };
        if search.trials == 0 {
            return Err(usage(anyhow!("--trials must be at least 1, got 0")));
        }
        let out = args.run.out.clone().unwrap_or_else(|| free_folder("tune-", &config.dataset));
        check_free(&out)?;
        return Ok((config, search, out, None));
    };
    let (begun, data) = Search::read(dir)?;
    let config = Config::resumed(dir, &args.run)?;
    let search = Search {
        trials: args.trials.unwrap_or(begun.trials),
        folds: args.folds.unwrap_or(begun.folds),
        objective: args.objective.unwrap_or(begun.objective),
    };
    // More trials continue the same sequence; anything else would be another search.
    if search != (Search { trials: search.trials, ..begun }) || search.trials < begun.trials {
        return Err(usage(anyhow!(
            "the search in {} has {} trials, --folds {} and --objective {}: with --resume only more --trials can be asked \
             for",
            dir.display(),
            begun.trials,
            begun.folds,
            begun.objective.label()
        )));
    }
    Ok((config, search, dir.clone(), Some(data)))
}

/// Name of the data, what stands for them, and what settings are chosen by; the test parts are not kept.
fn validation(
    config: &mut Config,
    methods: &[MethodName],
    search: Search,
) -> Result<(String, String, Validation), Failure> {
    let mut data = Prepared::new(config, methods).map_err(usage)?;
    if let Some(note) = config.settle(data.seen.train.len()) {
        tell!("note: {note}");
    }
    let config = &*config;
    check::rows(methods.iter().map(|method| (config, *method)), &mut data).map_err(usage)?;
    let validation = Validation::new(&data, config, search.folds).map_err(usage)?;
    tell!("{}: {} trials of every method. {}", data.name, search.trials, validation.describe());
    let digest = data.digest();
    Ok((data.name, digest, validation))
}

/// The next trial of a method; `None` if Ctrl-C came between. One that fails is a trial too, and the worst.
fn attempt(
    subject: &Subject,
    config: &Config,
    search: Search,
    validation: &Validation,
    journal: &Journal,
    device: &Device,
) -> anyhow::Result<Option<Trial>> {
    let start = Instant::now();
    let tried: Vec<Tried<'_>> =
        journal.of(&subject.name).map(|trial| Tried { settings: &trial.settings, value: trial.value }).collect();
    let (origin, settings) = propose(subject, &tried, config.seed)?;
    // The given settings are written down with few digits, but tried as they are.
    let config = if tried.is_empty() { config.clone() } else { subject.apply(config, &settings)? };
    let (folds, failure) = match measure::measure(subject, &config, validation, device) {
        Ok(Some(folds)) => (folds, None),
        Ok(None) => return Ok(None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    Ok(Some(Trial {
        method: subject.name.clone(),
        trial: tried.len() + 1,
        origin,
        settings,
        value: failure.is_none().then(|| search.objective.value(&folds)),
        folds,
        failure,
        seconds: start.elapsed().as_secs_f64(),
    }))
}

fn announce(trial: &Trial, trials: usize) {
    let Trial { method, trial: number, value, failure, seconds, .. } = trial;
    let outcome = match (value, failure) {
        (Some(value), _) => format!("{value:.4}"),
        (None, reason) => format!("failed: {}", reason.as_deref().unwrap_or("unknown")),
    };
    tell!("{method:>20} trial {number} of {trials}: {outcome} ({seconds:.1} s)");
}

fn outcome<'a>(
    dataset: &'a str,
    config: &'a Config,
    search: Search,
    validation: &'a Validation,
    subjects: &'a [Subject],
    without: &'a [String],
    journal: &'a Journal,
) -> Outcome<'a> {
    Outcome { dataset, config, search, validation, subjects, without, journal }
}

/// Trains all methods with their tuned settings on the whole training part, over the seeds of the run, and scores them
/// on the test part: `compare run`, in a folder of its own for every length of the search.
fn score(out: &Path, search: Search, seeds: usize, tuning: report::Tuning) -> Result<(), Failure> {
    let dir = out.join(format!("final-{}", search.trials));
    let begun = dir.join("config.toml").is_file();
    let args = if begun {
        RunArgs { resume: Some(dir), seeds: Some(seeds), ..RunArgs::default() }
    } else {
        RunArgs { config: Some(out.join(TUNED)), out: Some(dir), ..RunArgs::default() }
    };
    super::run_tuned(&args, tuning, out)
}

impl Search {
    /// From a search that was begun, with what stands for its data.
    fn read(dir: &Path) -> Result<(Self, String), Failure> {
        let path = dir.join(SEARCH);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} holds no search: cannot read {}", dir.display(), path.display()))
            .map_err(usage)?;
        let begun = toml::from_str(&text).with_context(|| format!("{} is not valid", path.display())).map_err(usage)?;
        let Begun { trials, folds, objective, data } = begun;
        Ok((Self { trials, folds, objective }, data))
    }

    fn write(self, dir: &Path, data: String) -> Result<(), Failure> {
        let Self { trials, folds, objective } = self;
        let text = toml::to_string(&Begun { trials, folds, objective, data }).map_err(failed)?;
        report::replace(&dir.join(SEARCH), text.as_bytes()).map_err(failed)
    }
}

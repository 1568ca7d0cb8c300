//! The command line.

use crate::run::Objective;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Metric learning or contrastive learning on your data? Trains both families on the same images, the same encoder
/// and the same budget, and reports retrieval and transfer scores.
#[derive(Debug, Parser)]
#[command(name = "compare", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

impl Cli {
    /// The command; without one, `run` with the arguments given.
    pub fn command(self) -> Command {
        self.command.unwrap_or(Command::Run(Box::new(self.run)))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train and score methods side by side (the default).
    Run(Box<RunArgs>),
    /// Choose every method's settings on validation images, with as many trials for each, then run with them.
    Tune(Box<TuneArgs>),
    /// Methods, encoders, data sets and backends, and which of them work on this machine.
    List,
    /// Write a report again from its report.json, or one report over several runs.
    Report(ReportArgs),
}

/// Arguments of `run`. What is left out comes from the preset.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// Data set: a name (`compare list`), a folder (IDX, CIFAR binary or class folders of images) or a CSV file.
    #[arg(long, value_name = "NAME|PATH")]
    pub dataset: Option<String>,
    /// Label column of a CSV file; the last one if left out.
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,
    /// Methods, separated by commas, or `all`. `A+B` fits the Mahalanobis learner B on A's frozen features.
    #[arg(long, value_name = "LIST")]
    pub methods: Option<String>,
    /// How much to train: `quick` (minutes on two cores), `standard` or `full`.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// `auto`, `wgpu`, `ndarray`, `flex` or `cuda`.
    #[arg(long, value_name = "B")]
    pub backend: Option<String>,
    /// Number of seeds: each gives other initial weights, order and views.
    #[arg(long, value_name = "N")]
    pub seeds: Option<usize>,
    /// First seed; it also fixes the splits.
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Passes over the training images.
    #[arg(long, value_name = "N")]
    pub epochs: Option<usize>,
    /// Training images, drawn stratified by class.
    #[arg(long, value_name = "N")]
    pub images: Option<usize>,
    /// Images a step.
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// `conv4`, `resnet9`, `resnet18` or `mlp`.
    #[arg(long, value_name = "E")]
    pub encoder: Option<String>,
    /// Width of the encoder.
    #[arg(long, value_name = "N")]
    pub width: Option<usize>,
    /// Share of the training labels that methods may use, in (0, 1].
    #[arg(long, value_name = "FRACTION")]
    pub labels: Option<f64>,
    /// Classes never trained on: how many, or their names separated by commas.
    #[arg(long, value_name = "N|LIST")]
    pub unseen_classes: Option<String>,
    /// Folder of the report, the settings and the checkpoints.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with a run that was stopped.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "config"])]
    pub resume: Option<PathBuf>,
    /// Repeat a run from its config.toml; other arguments override it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `tune`: those of `run`, and how hard is searched.
#[derive(Debug, Clone, Args)]
pub struct TuneArgs {
    /// Trials of every method; 20 if left out. With --resume, more of them.
    #[arg(long, value_name = "N")]
    pub trials: Option<usize>,
    /// Trainings of a trial, each with other classes held out; 1 if left out.
    #[arg(long, value_name = "N")]
    pub folds: Option<usize>,
    /// What settings are chosen by; the mean if left out.
    #[arg(long, value_name = "WHAT")]
    pub objective: Option<Objective>,
    /// Stop behind the search, without a run with the tuned settings.
    #[arg(long)]
    pub search_only: bool,
    // What every trial shares; `--seeds` is for the run with the tuned settings.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Arguments of `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Folders of runs.
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// Where the joint report goes; needed for several runs, the run's own folder for one.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

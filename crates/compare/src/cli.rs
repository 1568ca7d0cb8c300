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
    /// The same at several values of one setting: labels, noise, batch, queue, temperature and others.
    Sweep(Box<SweepArgs>),
    /// Choose every method's settings on validation images, with as many trials for each, then run with them.
    Tune(Box<TuneArgs>),
    /// Methods, encoders, data sets and backends, and which of them work on this machine.
    List,
    /// Write a report again from its report.json, or one report over several runs.
    Report(ReportArgs),
    /// Features of other data by an encoder that a run has trained, as a NumPy or Parquet file.
    Embed(EmbedArgs),
    /// The nearest items of a gallery for every query, by an encoder that a run has trained.
    Query(QueryArgs),
}

/// Arguments of `sweep`: those of `run`, and what varies.
#[derive(Debug, Clone, Default, Args)]
pub struct SweepArgs {
    /// `labels`, `noise`, `batch`, `queue`, `temperature`, `dim`, `per_class`, `negatives` or `miner`.
    #[arg(long, value_name = "NAME", required_unless_present_any = ["resume", "config"], conflicts_with = "resume")]
    pub axis: Option<String>,
    /// Values of the axis, separated by commas; `compare list` has those that it takes by itself.
    #[arg(long, value_name = "LIST", requires = "axis")]
    pub values: Option<String>,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Arguments of `run`. What is left out comes from the preset.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// Data set: a name (`compare list`), a folder (IDX, CIFAR binary or class folders of images), a zip or tar of class
    /// folders, or a CSV file.
    #[arg(long, value_name = "NAME|PATH")]
    pub dataset: Option<String>,
    /// Label column of a CSV file; the last one if left out.
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,
    /// Column of a CSV file that tells groups (cameras, sessions, super classes) apart, for samplings that ask for them.
    #[arg(long, value_name = "COLUMN")]
    pub group_column: Option<String>,
    /// Longer side in pixels that images are scaled to; if left out, images of a folder have 64 at most, others their own.
    #[arg(long, value_name = "N")]
    pub image_size: Option<usize>,
    /// Methods, separated by commas, or `all`. `A+B` fits the Mahalanobis learner B on A's frozen features; `A-then-B`
    /// trains with the contrastive A, then with B; `A-with-B` with both at once.
    #[arg(long, value_name = "LIST")]
    pub methods: Option<String>,
    /// How much to train: `quick` (minutes on two cores), `standard` or `full`.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// `auto`, `wgpu`, `ndarray`, `flex` or `cuda`.
    #[arg(long, value_name = "B")]
    pub backend: Option<String>,
    /// Number of seeds: each gives other initial weights, order and views. With --resume, more of them.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seeds: Option<usize>,
    /// First seed; it also fixes the splits, unless --split-seed does.
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Seed of the splits, the unseen classes and the labels given, for other repetitions on the same data; the first
    /// seed if left out.
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub split_seed: Option<u64>,
    /// Passes over the training images.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub epochs: Option<usize>,
    /// Training images, drawn stratified by class; `all` for all of them.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = image_count)]
    pub images: Option<usize>,
    /// Images a step; 256 if left out, or a quarter of fewer than 1,024 images, rounded down to a power of two.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub batch: Option<usize>,
    /// Parts of a batch whose gradients are accumulated: less memory, for methods whose loss does not compare images.
    #[arg(long, value_name = "N")]
    pub accumulate: Option<usize>,
    /// Images held at once by gradient caching: less memory, the same loss over the whole batch.
    #[arg(long, value_name = "N")]
    pub chunk: Option<usize>,
    /// What to read from the encoder after every epoch: `knn`, `linear` or both, separated by a comma.
    #[arg(long, value_name = "LIST")]
    pub monitor: Option<String>,
    /// `conv4`, `resnet9`, `resnet18` or `mlp`; `mlp` for rows and `conv4` for images if left out.
    #[arg(long, value_name = "E")]
    pub encoder: Option<String>,
    /// Width of the encoder; 64 if left out.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub width: Option<usize>,
    /// Share of the labels of the seen classes that methods and probes may use, in (0, 1].
    #[arg(long, value_name = "FRACTION", allow_negative_numbers = true)]
    pub labels: Option<f64>,
    /// Share of those labels that are replaced by another class, in [0, 1).
    #[arg(long, value_name = "FRACTION", allow_negative_numbers = true)]
    pub label_noise: Option<f64>,
    /// What methods that learn from labels are told: `classes`, or only `pairs`, `triplets`, `quadruplets` or `chunks`.
    #[arg(long, value_name = "KIND")]
    pub supervision: Option<String>,
    /// Statements in place of classes: how many are drawn from the labels, or a CSV file of them.
    #[arg(long, value_name = "N|FILE")]
    pub constraints: Option<String>,
    /// Two images of which nothing was said: `unknown`, or `different`, so that chunks, and chains of pairs that belong
    /// together, are classes.
    #[arg(long, value_name = "WHAT")]
    pub unsaid: Option<String>,
    /// Classes never trained on: how many, or their names separated by commas.
    #[arg(long, value_name = "N|LIST")]
    pub unseen_classes: Option<String>,
    /// Also score encoders trained on with 1 % and with 10 % of the labels; on by default in `standard` and `full`.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub fine_tune: Option<bool>,
    /// Folder of the report, the settings and the checkpoints; it must not hold a run.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with a run that was stopped, with its own settings.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "config"])]
    pub resume: Option<PathBuf>,
    /// Repeat a run from its config.toml; other arguments override it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A number of images; `all` is 0, as in `config.toml`.
fn image_count(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        _ if text == "all" => Ok(0),
        Ok(0) | Err(_) => Err("a number from 1 on is needed, or `all`".to_owned()),
        Ok(count) => Ok(count),
    }
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

/// Which encoder computes features, and how: common to `embed` and `query`.
#[derive(Debug, Clone, Args)]
pub struct EncoderArgs {
    /// The encoder of a row: `encoders/METHOD-seedN.safetensors` in the folder of a run.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: PathBuf,
    /// `auto`, `wgpu`, `ndarray`, `flex` or `cuda`.
    #[arg(long, value_name = "B", default_value = "auto")]
    pub backend: String,
    /// Items in one forward pass; fewer need less memory.
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub batch: usize,
    /// Label column of CSV files; the last one if left out, or none where there is no column more than the encoder takes.
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<String>,
}

/// Arguments of `embed`.
#[derive(Debug, Clone, Args)]
pub struct EmbedArgs {
    #[command(flatten)]
    pub encoder: EncoderArgs,
    /// What to embed: an image, a folder of images (with or without class folders) or a zip or tar of one, IDX, CIFAR
    /// binary, a CSV file, or the name of a data set that ships.
    #[arg(long, value_name = "NAME|PATH")]
    pub input: String,
    /// File of the features: `.npy`, with paths and labels in FILE.npy.csv, or `.parquet`.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Arguments of `query`.
#[derive(Debug, Clone, Args)]
pub struct QueryArgs {
    #[command(flatten)]
    pub encoder: EncoderArgs,
    /// Where to search: as `embed --input`.
    #[arg(long, value_name = "NAME|PATH")]
    pub gallery: String,
    /// What to search for: as `embed --input`.
    #[arg(long, value_name = "NAME|PATH")]
    pub query: String,
    /// Neighbours of each query.
    #[arg(long, value_name = "K", default_value_t = 10)]
    pub top: usize,
    /// Write the answers too: `.html` (a page with thumbnails) or `.json`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<RunArgs, String> {
        let all: Vec<&str> = ["compare", "run"].into_iter().chain(args.iter().copied()).collect();
        match Cli::try_parse_from(all).map(Cli::command) {
            Ok(Command::Run(args)) => Ok(*args),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn all_images_are_asked_for_by_name() {
        let images = |text| parsed(&["--images", text]).map(|args| args.images);
        assert_eq!((images("all"), images("12")), (Ok(Some(0)), Ok(Some(12))));
        for text in ["0", "-1", "many", "1.5"] {
            assert!(images(text).unwrap_err().contains("a number from 1 on is needed, or `all`"), "{text}");
        }
    }

    #[test]
    fn negative_numbers_are_values_and_not_options() {
        for option in ["--epochs", "--seeds", "--seed", "--split-seed", "--batch", "--width"] {
            let message = parsed(&[option, "-3"]).unwrap_err();
            assert!(message.contains("invalid value '-3'") && message.contains(option), "{message}");
        }
        assert_eq!(parsed(&["--labels", "-0.5"]).unwrap().labels, Some(-0.5), "its range is told by the settings");
    }
}

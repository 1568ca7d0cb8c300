//! Every setting of a run: presets, command line and `config.toml` end here.

mod begun;

pub use begun::FILE;

use super::{
    axis::Sweep,
    encoder::EncoderSettings,
    hybrid::HybridSettings,
    method::{MethodName, MethodSettings},
    monitor::MonitorKind,
    supervision::{self, Constraints, Supervision, Unsaid},
    views::named_or_written,
};
use crate::{
    cli::RunArgs,
    failure::{Failure, usage},
};
use anyhow::{Context, anyhow};
use nearfar_core::{
    augment::Recipe,
    backend::{Backend, did_you_mean},
    data::catalog,
};
use serde::{Deserialize, Serialize};
use std::{path::Path, str::FromStr};

/// How much a preset trains.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Training images.
    pub images: usize,
    /// Epochs.
    pub epochs: usize,
    /// Seeds.
    pub seeds: usize,
    /// Whether encoders are fine-tuned for scores.
    pub fine_tune: bool,
}

/// The presets, smallest first.
pub const PRESETS: [Preset; 3] = [
    Preset { name: "quick", images: 3_000, epochs: 4, seeds: 3, fine_tune: false },
    Preset { name: "standard", images: 10_000, epochs: 10, seeds: 3, fine_tune: true },
    Preset { name: "full", images: usize::MAX, epochs: 100, seeds: 5, fine_tune: true },
];

/// Images a step, where the data have enough for some steps an epoch.
pub const BATCH: usize = 256;

/// Classes that are never trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UnseenClasses {
    /// This many, chosen by the seed.
    Count(usize),
    /// These.
    Names(Vec<String>),
}

impl FromStr for UnseenClasses {
    type Err = anyhow::Error;

    /// A number, or names with commas between them; quotes, as in a line of a CSV file, around names that hold commas.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        if let Ok(count) = text.parse() {
            return Ok(Self::Count(count));
        }
        let mut lines = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(text.as_bytes());
        let names = lines.records().next().transpose().context("--unseen-classes")?.unwrap_or_default();
        Ok(Self::Names(names.iter().map(str::to_owned).collect()))
    }
}

/// Everything that determines a run; written to `config.toml` with every default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name or path of the data set.
    pub dataset: String,
    /// Label column of a CSV file; empty for the last.
    pub label_column: String,
    /// Column of a CSV file that tells groups (cameras, sessions, super classes) apart; empty for none.
    pub group_column: String,
    /// Longer side in pixels that images are scaled to; at most 64 for images of a folder if left out.
    pub image_size: Option<usize>,
    /// Rows of the table, in order.
    pub methods: Vec<String>,
    /// The preset that the numbers below came from.
    pub preset: String,
    /// Backend.
    pub backend: Backend,
    /// Number of seeds.
    pub seeds: usize,
    /// First seed.
    pub seed: u64,
    /// Seed of the splits, the unseen classes and the labels given; the first seed if left out.
    pub split_seed: Option<u64>,
    /// Passes over the training images.
    pub epochs: usize,
    /// Most training images; 0 for all.
    pub images: usize,
    /// Images a step; [`BATCH`] if left out, fewer where the data are few.
    pub batch: Option<usize>,
    /// Parts of a batch whose gradients are accumulated, for batches larger than memory.
    pub accumulate: usize,
    /// Images whose activations are in memory at once, by gradient caching; all of a batch if left out.
    pub chunk: Option<usize>,
    /// What is read from the encoder while it trains.
    pub monitor: Vec<MonitorKind>,
    /// The encoder that every method trains.
    pub encoder: EncoderSettings,
    /// Share of labels that methods may use.
    pub labels: f64,
    /// Share of those that are false.
    pub label_noise: f64,
    /// What methods that learn from labels are told.
    pub supervision: Supervision,
    /// Where statements in place of classes come from; one drawn an image if left out.
    pub constraints: Option<Constraints>,
    /// What is taken of two images of which nothing was said.
    pub unsaid: Unsaid,
    /// Unseen classes; three in ten if left out.
    pub unseen_classes: Option<UnseenClasses>,
    /// Whether encoders are scored after training on with 1 % and with 10 % of the labels as well.
    pub fine_tune: bool,
    /// The augmented views, the same for every method, written out or by name; chosen by the kind of data if left out.
    #[serde(deserialize_with = "named_or_written")]
    pub views: Option<[Recipe; 2]>,
    /// How hybrids of two methods train.
    pub hybrid: HybridSettings,
    /// A setting that varies from row to row; none in a plain run.
    pub sweep: Option<Sweep>,
    /// The methods' own settings.
    pub method: MethodSettings,
}

impl Default for Config {
    fn default() -> Self {
        let preset = PRESETS[0];
        Self {
            dataset: "fashion_mnist".into(),
            label_column: String::new(),
            group_column: String::new(),
            image_size: None,
            methods: MethodName::ALL.split(',').map(Into::into).collect(),
            preset: preset.name.into(),
            backend: Backend::Auto,
            seeds: preset.seeds,
            seed: 0,
            split_seed: None,
            epochs: preset.epochs,
            images: preset.images,
            batch: None,
            accumulate: 1,
            chunk: None,
            monitor: Vec::new(),
            encoder: EncoderSettings::default(),
            labels: 1.0,
            label_noise: 0.0,
            supervision: Supervision::default(),
            constraints: None,
            unsaid: Unsaid::default(),
            unseen_classes: None,
            fine_tune: preset.fine_tune,
            views: None,
            hybrid: HybridSettings::default(),
            sweep: None,
            method: MethodSettings::default(),
        }
    }
}

impl Config {
    /// The settings that the arguments ask for, checked.
    pub fn from_args(args: &RunArgs) -> Result<Self, Failure> {
        let base = match &args.config {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        let mut config = base.overridden(args).map_err(usage)?;
        // What was written must be found from every folder.
        config.dataset = located(&config.dataset);
        if let Some(Constraints::File(path)) = &mut config.constraints {
            *path = std::path::absolute(&*path).map_err(usage)?;
        }
        config.validate().map_err(usage)?;
        Ok(config)
    }

    /// Reads a `config.toml`.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the settings {}", path.display()))
            .map_err(usage)?;
        Self::parse(&text).with_context(|| format!("the settings {} are not valid", path.display())).map_err(usage)
    }

    /// What `text` leaves out, at any depth, is as in [`Config::default`]: a table that names one setting of a method
    /// does not reset its others.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        fn lay_over(base: &mut toml::Table, top: toml::Table) {
            for (key, value) in top {
                match (base.get_mut(&key), value) {
                    (Some(toml::Value::Table(base)), toml::Value::Table(top)) => lay_over(base, top),
                    (_, value) => {
                        base.insert(key, value);
                    }
                }
            }
        }
        let mut settings = toml::Table::try_from(Self::default())?;
        lay_over(&mut settings, text.parse()?);
        Ok(settings.try_into()?)
    }

    /// Images a step.
    pub fn batch(&self) -> usize {
        self.batch.unwrap_or(BATCH)
    }

    /// Seed of what is the same for every seed: splits, unseen classes, labels given.
    pub fn split_seed(&self) -> u64 {
        self.split_seed.unwrap_or(self.seed)
    }

    fn overridden(mut self, args: &RunArgs) -> anyhow::Result<Self> {
        if let Some(name) = &args.preset {
            let preset = PRESETS.iter().find(|p| p.name == name).ok_or_else(|| {
                anyhow!(
                    "unknown preset `{name}`{}; known: quick, standard, full",
                    did_you_mean(name, PRESETS.map(|p| p.name))
                )
            })?;
            self.preset = preset.name.into();
            self.seeds = preset.seeds;
            self.epochs = preset.epochs;
            self.images = if preset.images == usize::MAX { 0 } else { preset.images };
            self.fine_tune = preset.fine_tune;
        }
        if let Some(dataset) = &args.dataset {
            self.dataset = located(dataset);
        }
        if let Some(column) = &args.label_column {
            self.label_column.clone_from(column);
        }
        if let Some(column) = &args.group_column {
            self.group_column.clone_from(column);
        }
        self.image_size = args.image_size.or(self.image_size);
        if let Some(name) = &args.supervision {
            self.supervision = Supervision::parse(name)?;
        }
        if let Some(constraints) = &args.constraints {
            self.constraints = Some(Constraints::parse(constraints));
        }
        if let Some(name) = &args.unsaid {
            self.unsaid = Unsaid::parse(name)?;
        }
        if let Some(list) = &args.methods {
            self.methods = MethodName::parse_list(list)?.iter().map(ToString::to_string).collect();
        }
        if let Some(backend) = &args.backend {
            self.backend = backend.parse()?;
        }
        self.seeds = args.seeds.unwrap_or(self.seeds);
        self.seed = args.seed.unwrap_or(self.seed);
        self.split_seed = args.split_seed.or(self.split_seed);
        self.epochs = args.epochs.unwrap_or(self.epochs);
        self.images = args.images.unwrap_or(self.images);
        self.batch = args.batch.or(self.batch);
        self.accumulate = args.accumulate.unwrap_or(self.accumulate);
        self.chunk = args.chunk.or(self.chunk);
        if let Some(list) = &args.monitor {
            self.monitor = MonitorKind::parse_list(list)?;
        }
        self.labels = args.labels.unwrap_or(self.labels);
        self.fine_tune = args.fine_tune.unwrap_or(self.fine_tune);
        self.label_noise = args.label_noise.unwrap_or(self.label_noise);
        if let Some(name) = &args.encoder {
            self.encoder.architecture = Some(name.parse()?);
        }
        self.encoder.width = args.width.unwrap_or(self.encoder.width);
        if let Some(unseen) = &args.unseen_classes {
            self.unseen_classes = Some(unseen.parse()?);
        }
        Ok(self)
    }

    /// The methods, parsed.
    pub fn method_names(&self) -> anyhow::Result<Vec<MethodName>> {
        Ok(MethodName::parse_list(&self.methods.join(","))?)
    }

    /// Checks every setting's range.
    pub fn validate(&self) -> anyhow::Result<()> {
        let at_least_one = |name, value| {
            if value == 0 { Err(anyhow!("{name} must be at least 1, got 0")) } else { Ok(()) }
        };
        at_least_one("--seeds", self.seeds)?;
        at_least_one("--epochs", self.epochs)?;
        if self.batch() < 2 {
            return Err(anyhow!(
                "--batch must be at least 2 (batch norm and every loss compare images), got {}",
                self.batch()
            ));
        }
        if !(self.labels > 0.0 && self.labels <= 1.0) {
            return Err(anyhow!("--labels must be in (0, 1], got {}", self.labels));
        }
        if !(0.0..1.0).contains(&self.label_noise) {
            return Err(anyhow!("--label-noise must be in [0, 1), got {}", self.label_noise));
        }
        if let Some(views) = &self.views {
            for recipe in views {
                recipe.validate().context("views")?;
            }
        }
        let methods = self.method_names()?;
        self.hybrid.validate()?;
        self.method.validate(&methods)?;
        supervision::validate(self, &methods)
    }
}

/// A path from the root; names of data that ship stay.
fn located(dataset: &str) -> String {
    let path = Path::new(dataset);
    match std::path::absolute(path) {
        Ok(found) if catalog::names().all(|name| name != dataset) && path.exists() => found.display().to_string(),
        _ => dataset.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfar_core::encoder::Architecture;

    #[test]
    fn data_are_found_from_every_folder() {
        let of = |dataset: &str| {
            let args = RunArgs { dataset: Some(dataset.into()), ..RunArgs::default() };
            Config::from_args(&args).unwrap().dataset
        };
        assert_eq!((of("wine").as_str(), of("nowhere").as_str()), ("wine", "nowhere"));
        assert!(Path::new(&of("src")).is_absolute());
    }

    #[test]
    fn unseen_classes_by_number_or_by_name() {
        let of = |text: &str| text.parse::<UnseenClasses>().unwrap();
        let names = |names: &[&str]| UnseenClasses::Names(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(of("3"), UnseenClasses::Count(3));
        assert_eq!(of("cat, Ankle boot"), names(&["cat", "Ankle boot"]));
        assert_eq!(of(r#""cup, mug",'s "#), names(&["cup, mug", "'s"]));
    }

    #[test]
    fn settings_survive_the_file() {
        let views = Some([Recipe::peers(), Recipe::peers()]);
        let monitor = vec![MonitorKind::Linear, MonitorKind::Knn];
        let sweep = Some(Sweep::parse("labels", Some("0.1,1")).unwrap());
        let encoder = EncoderSettings { width: 16, ..EncoderSettings::default() };
        let config = Config { views, monitor, sweep, encoder, chunk: Some(32), ..Config::default() };
        let text = toml::to_string(&config).unwrap();
        assert_eq!(Config::parse(&text).unwrap(), config);
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused() {
        assert!(Config::parse("epoch = 3").is_err());
        assert!(Config::parse("[method.triplet.settings]\nmargins = 1.0").is_err());
        let args = RunArgs { labels: Some(0.0), ..RunArgs::default() };
        let failure = Config::from_args(&args).unwrap_err();
        assert_eq!(failure.code, 2);
        assert!(failure.error.to_string().contains("--labels"));
        assert!(Config::parse("[hybrid]\nshare = 0.5").is_err());
        let config = Config::parse("[hybrid]\npretrain_share = 1.5").unwrap();
        assert!(config.validate().unwrap_err().to_string().contains("hybrid.pretrain_share"));
        let args = RunArgs { preset: Some("quik".into()), ..RunArgs::default() };
        assert!(Config::from_args(&args).unwrap_err().error.to_string().contains("did you mean `quick`?"));
    }

    #[test]
    fn every_experiment_that_ships_is_valid() {
        let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments"));
        let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
        assert!(!files.is_empty());
        for path in files {
            let config = Config::read(&path).unwrap_or_else(|f| panic!("{}: {:#}", path.display(), f.error));
            config.validate().unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            assert!(config.views.is_some() && config.encoder.architecture.is_some(), "{}", path.display());
        }
    }

    #[test]
    fn one_setting_does_not_reset_its_neighbours() {
        let text = "[method.triplet.settings.loss]\nsmooth = true\n[method.simclr.optimizer]\nweight_decay = 0.0";
        let (changed, default) = (Config::parse(text).unwrap().method, MethodSettings::default());
        assert!(changed.triplet.settings.loss.smooth);
        assert_eq!(changed.triplet.settings.loss.margin, default.triplet.settings.loss.margin);
        assert_eq!(changed.simclr.optimizer.learning_rate, default.simclr.optimizer.learning_rate);
        assert_eq!(changed.simclr.optimizer.weight_decay, 0.0);
    }

    #[test]
    fn arguments_override_the_preset() {
        let args = RunArgs { preset: Some("standard".into()), epochs: Some(2), ..RunArgs::default() };
        let config = Config::from_args(&args).unwrap();
        assert_eq!((config.epochs, config.images, config.seeds), (2, 10_000, 3));
        assert!(config.fine_tune && !Config::default().fine_tune);
        let args = RunArgs { fine_tune: Some(false), ..args };
        assert!(!Config::from_args(&args).unwrap().fine_tune);
    }

    #[test]
    fn a_width_alone_names_no_encoder() {
        let of = |args: RunArgs| Config::from_args(&args).unwrap().encoder;
        let wide = RunArgs { width: Some(16), ..RunArgs::default() };
        assert_eq!(of(wide.clone()), EncoderSettings { architecture: None, width: 16 });
        let named = RunArgs { encoder: Some("resnet9".into()), ..wide };
        assert_eq!(of(named.clone()), EncoderSettings { architecture: Some(Architecture::Resnet9), width: 16 });
        assert_eq!(of(RunArgs { width: None, ..named }).width, 64);
    }
}

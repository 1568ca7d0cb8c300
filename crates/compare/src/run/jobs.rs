//! What a run consists of: one job for each row, with the settings of that row.

use super::{
    axis::{Axis, AxisValue, Effect, Sweep},
    config::Config,
    method::{Base, MethodName},
    supervision::draws,
};
use crate::report::{Row, axis};
use anyhow::{Context, ensure};
use std::{collections::BTreeMap, rc::Rc};

/// One row to be made.
#[derive(Clone, Debug)]
pub struct Job {
    /// The method.
    pub method: MethodName,
    /// The row's name; the method's, with its miner where that varies.
    pub name: String,
    /// Seed of weights, order and views.
    pub seed: u64,
    /// The row's own settings.
    pub config: Rc<Config>,
    /// Settings that rows can differ in.
    pub axes: BTreeMap<String, f64>,
    /// What the features before any Mahalanobis metric depend on, as a name: jobs that share it share one training run,
    /// and its checkpoints lie under it.
    pub base: String,
    /// Name of the row's encoder file, without folder and ending.
    pub file: String,
    /// What the features depend on: jobs that share it share them.
    pub features: String,
    /// Whether the page shows pictures of the row.
    pub pictured: bool,
}

impl Job {
    /// Whether `row` is this job's.
    pub fn made(&self, row: &Row) -> bool {
        // How much a row was told is known only once its data are there.
        let mut axes = row.axes.clone();
        axes.remove(axis::CONSTRAINTS);
        (&row.method, row.seed, &axes) == (&self.name, self.seed, &self.axes)
    }

    /// Puts the row where the share of the labels is that it is given.
    pub fn with_share(mut self, share: f64) -> Self {
        if let Some(labels) = self.axes.get_mut(axis::LABELS) {
            *labels = share;
        }
        self
    }

    /// The name with the value of the axis that varies.
    pub fn label(&self) -> String {
        let varies = self.config.sweep.as_ref().map(|sweep| sweep.axis.name());
        match varies.and_then(|axis| Some((axis, self.axes.get(axis)?))) {
            Some((axis, value)) => format!("{} {axis}={value}", self.name),
            None => self.name.clone(),
        }
    }
}

/// One method at one value of the axis, for every seed.
struct Variant {
    name: String,
    config: Rc<Config>,
    axes: BTreeMap<String, f64>,
    /// Sets what it trains apart from other values of the axis.
    tag: String,
    /// Sets its row apart from other values of the axis.
    value: String,
    usual: bool,
}

/// The jobs of a run, in the order in which they are done: seed by seed, the methods in the order asked for, each over
/// the values of the axis. A method without randomness is done for all seeds at once.
///
/// # Errors
/// When the sweep changes nothing, or a value does not suit a method.
pub fn jobs(config: &Config, methods: &[MethodName]) -> anyhow::Result<Vec<Job>> {
    let variants: Vec<(MethodName, Vec<Variant>)> =
        methods.iter().map(|method| Ok((*method, variants(config, *method)?))).collect::<anyhow::Result<_>>()?;
    if let Some(Sweep { axis, .. }) = &config.sweep {
        let all = || variants.iter().flat_map(|(_, variants)| variants);
        let varies = all().any(|variant| !variant.tag.is_empty() || variant.axes.contains_key(axis.name()));
        ensure!(varies, "none of the methods asked for depends on `{axis}`, or takes a value given; change --methods");
    }
    let seeds: Vec<u64> = (0..config.seeds as u64).map(|s| config.seed.wrapping_add(s)).collect();
    let mut jobs = Vec::new();
    for &seed in &seeds {
        for (method, variants) in &variants {
            if !has_no_seed(*method) {
                jobs.extend(variants.iter().map(|variant| variant.job(*method, seed)));
            } else if seed == config.seed {
                let of_all = |variant| seeds.iter().map(move |&seed| Variant::job(variant, *method, seed));
                jobs.extend(variants.iter().flat_map(of_all));
            }
        }
    }
    Ok(jobs)
}

/// Whether the features before any Mahalanobis metric are the same for every seed: the data, and principal components.
fn has_no_seed(method: MethodName) -> bool {
    matches!(method.base, Base::Pixels | Base::Pca)
}

/// One variant for each value that changes something for the method; one in all where none does.
fn variants(config: &Config, method: MethodName) -> anyhow::Result<Vec<Variant>> {
    let Some(sweep) = &config.sweep else { return Ok(vec![Variant::plain(config, method)]) };
    let mut found: Vec<Variant> = Vec::new();
    for value in &sweep.values {
        let mut own = config.clone();
        let place = || format!("--values: {} {value}, {method}", sweep.axis);
        let effect = sweep.axis.apply(value, method, &mut own).with_context(place)?;
        match effect {
            Effect::Nothing => return Ok(vec![Variant::plain(config, method).without(sweep.axis)]),
            Effect::Unfit => {}
            Effect::Training | Effect::Scoring => {
                own.validate().with_context(place)?;
                found.push(Variant::at(sweep, value, method, own, effect)?);
            }
        }
    }
    Ok(found)
}

impl Variant {
    fn plain(config: &Config, method: MethodName) -> Self {
        let axes = axes(config);
        let (tag, value) = (String::new(), String::new());
        Self { name: method.to_string(), config: Rc::new(config.clone()), axes, tag, value, usual: true }
    }

    /// The variant does not depend on the axis: it has no value there.
    fn without(mut self, axis: Axis) -> Self {
        self.axes.remove(axis.name());
        self
    }

    fn at(
        sweep: &Sweep,
        value: &AxisValue,
        method: MethodName,
        config: Config,
        effect: Effect,
    ) -> anyhow::Result<Self> {
        let (mut name, mut axes) = (method.to_string(), axes(&config));
        match sweep.axis {
            // A miner is no number: each makes a method of its own.
            Axis::Miner => name += &format!(" miner={value}"),
            axis => {
                axes.insert(axis.name().to_owned(), value.number()?);
            }
        }
        if sweep.axis == Axis::Negatives {
            // The batch follows from them where they are its own.
            axes.remove(axis::BATCH);
        }
        let usual = sweep.is_usual(value);
        let value = format!("-{}{value}", sweep.axis);
        let tag = if effect == Effect::Training { value.clone() } else { String::new() };
        Ok(Self { name, axes, tag, value, usual, config: Rc::new(config) })
    }

    fn job(&self, method: MethodName, seed: u64) -> Job {
        let Self { tag, config, .. } = self;
        let without = MethodName { metric: None, ..method };
        let base = if has_no_seed(method) { without.to_string() } else { format!("{without}{tag}-seed{seed}") };
        let features = match method.metric {
            Some(metric) => {
                let given =
                    format!("{base}, {method} on {} labels, {} of them false", config.labels, config.label_noise);
                if draws(&config.method, metric) { format!("{given}, seed {seed}") } else { given }
            }
            None => base.clone(),
        };
        Job {
            method,
            name: self.name.clone(),
            file: format!("{method}{}-seed{seed}", self.value),
            seed,
            config: Rc::clone(config),
            axes: self.axes.clone(),
            base,
            features,
            pictured: self.usual && seed == config.seed,
        }
    }
}

/// The settings that rows of different runs can differ in. Noise only where there is some: a report without it need not
/// name it.
fn axes(config: &Config) -> BTreeMap<String, f64> {
    let noise = (config.label_noise > 0.0).then_some((axis::NOISE, config.label_noise));
    let always = [(axis::LABELS, config.labels), (axis::BATCH, config.batch() as f64)];
    always.into_iter().chain(noise).map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn made(axis: Option<(&str, &str)>, methods: &str, seeds: usize) -> Vec<Job> {
        let sweep = axis.map(|(axis, values)| Sweep::parse(axis, Some(values)).unwrap());
        let config = Config { sweep, seeds, ..Config::default() };
        jobs(&config, &MethodName::parse_list(methods).unwrap()).unwrap()
    }

    fn labels(jobs: &[Job]) -> Vec<String> {
        jobs.iter().map(|job| format!("{} {}", job.label(), job.seed)).collect()
    }

    #[test]
    fn a_run_is_a_sweep_with_one_value() {
        let jobs = made(None, "pixels,triplet,lmnn,simclr", 2);
        let order = ["pixels 0", "pixels 1", "triplet 0", "lmnn 0", "lmnn 1", "simclr 0", "triplet 1", "simclr 1"];
        assert_eq!(labels(&jobs), order);
        let axes = BTreeMap::from([("labels".to_owned(), 1.0), ("batch".to_owned(), 256.0)]);
        assert!(jobs.iter().all(|job| job.axes == axes));
        assert_eq!((jobs[2].base.as_str(), jobs[2].features.as_str()), ("triplet-seed0", "triplet-seed0"));
        assert_eq!(jobs[0].features, jobs[1].features);
        assert_eq!(jobs[3].features, jobs[4].features);
        assert_eq!(jobs.iter().filter(|job| job.pictured).count(), 4);
        // A learner that draws is fitted for each seed, on the same principal components.
        let drawn = made(None, "itml", 2);
        assert_eq!(drawn[0].base, drawn[1].base);
        assert_ne!(drawn[0].features, drawn[1].features);
    }

    #[test]
    fn what_does_not_depend_on_labels_is_trained_once() {
        let jobs = made(Some(("labels", "0.1,1")), "simclr,simclr+lmnn,triplet", 1);
        assert_eq!(jobs.len(), 6);
        let bases: BTreeSet<&str> = jobs.iter().map(|job| job.base.as_str()).collect();
        let expected = ["simclr-seed0", "triplet-labels0.1-seed0", "triplet-labels1-seed0"];
        assert_eq!(bases, BTreeSet::from(expected));
        assert_eq!(jobs[0].features, jobs[1].features);
        assert_ne!(jobs[2].features, jobs[3].features);
        assert_eq!(labels(&jobs)[..2], ["simclr labels=0.1 0", "simclr labels=1 0"]);
        assert_eq!(jobs.iter().map(|job| job.config.labels).collect::<Vec<_>>(), [0.1, 1.0, 0.1, 1.0, 0.1, 1.0]);
        assert_eq!(jobs.iter().map(|job| job.pictured).collect::<Vec<_>>(), [false, true, false, true, false, true]);
    }

    #[test]
    fn methods_that_an_axis_does_not_touch_run_once() {
        let jobs = made(Some(("queue", "256,1024")), "moco,triplet", 2);
        let expected = ["moco queue=256 0", "moco queue=1024 0", "triplet 0"];
        assert_eq!(labels(&jobs)[..3], expected);
        assert_eq!(jobs.len(), 6);
        let jobs = made(Some(("batch", "32,64")), "pixels,simclr", 1);
        assert!(!jobs[0].axes.contains_key("batch") && jobs[1].axes["batch"] == 32.0);
    }

    #[test]
    fn a_row_stands_at_the_share_that_it_is_given() {
        let jobs = made(Some(("labels", "0.001,1")), "triplet", 1);
        let (file, base) = (jobs[0].file.clone(), jobs[0].base.clone());
        let job = jobs[0].clone().with_share(0.014);
        assert_eq!((job.label().as_str(), job.axes["labels"]), ("triplet labels=0.014", 0.014));
        assert_eq!((job.file, job.base, job.config.labels), (file, base, 0.001));
    }

    #[test]
    fn a_miner_makes_a_method() {
        let jobs = made(Some(("miner", "all,semi_hard")), "triplet,simclr", 1);
        assert_eq!(labels(&jobs), ["triplet miner=all 0", "triplet miner=semi_hard 0", "simclr 0"]);
        assert_eq!(jobs[0].base, "triplet-minerall-seed0");
    }

    #[test]
    fn a_sweep_of_nothing_and_bad_values_are_refused() {
        let refused = |axis: &str, values: &str, methods: &str| {
            let config = Config { sweep: Some(Sweep::parse(axis, Some(values)).unwrap()), ..Config::default() };
            format!("{:#}", jobs(&config, &MethodName::parse_list(methods).unwrap()).unwrap_err())
        };
        assert!(refused("queue", "256", "triplet").contains("depends on `queue`"));
        assert!(refused("miner", "hdc", "triplet").contains("takes a value given"));
        let message = refused("labels", "0,1", "triplet");
        assert!(message.contains("labels 0, triplet") && message.contains("--labels must be in (0, 1]"), "{message}");
        let message = refused("temperature", "0,1", "simclr");
        assert!(message.contains("temperature 0, simclr"), "{message}");
        assert!(message.starts_with("--values: "), "{message}");
        assert!(refused("batch", "1.5", "simclr").contains("a whole number"));
    }
}

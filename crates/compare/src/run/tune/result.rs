//! What a search found: the best settings as a file for `compare run --config`, every trial, and the budget in words.

use super::{
    Search,
    folds::Validation,
    journal::{Journal, Trial},
    measure::Objective,
    propose::STARTUP,
    subject::Subject,
};
use crate::{report, run::config::Config};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};

/// Name of the file that `compare run --config` takes.
pub const TUNED: &str = "tuned.toml";

/// What every method got and gave.
pub struct Outcome<'a> {
    /// Name of the data.
    pub dataset: &'a str,
    /// The settings that the search started from.
    pub config: &'a Config,
    /// How it was searched.
    pub search: Search,
    /// What values were taken on.
    pub validation: &'a Validation,
    /// The methods that were tuned.
    pub subjects: &'a [Subject],
    /// The methods that have nothing to set.
    pub without: &'a [String],
    /// Every trial.
    pub journal: &'a Journal,
}

/// One method's trials.
pub(super) struct Method<'a> {
    pub(super) subject: &'a Subject,
    pub(super) trials: Vec<&'a Trial>,
}

impl<'a> Method<'a> {
    /// The trial of the greatest value, the first of equals: given settings stay unless others are better.
    pub(super) fn best(&self) -> Option<&'a Trial> {
        let mut best: Option<&Trial> = None;
        for &trial in &self.trials {
            if trial.value.is_some_and(|value| best.and_then(|b| b.value).is_none_or(|known| value > known)) {
                best = Some(trial);
            }
        }
        best
    }

    /// What the given settings are worth.
    pub(super) fn given(&self) -> Option<f64> {
        self.trials.first()?.value
    }

    /// The best value after each trial.
    pub(super) fn best_so_far(&self) -> Vec<Option<f64>> {
        let best = self.trials.iter().scan(None, |best: &mut Option<f64>, trial| {
            *best = match (*best, trial.value) {
                (Some(best), Some(value)) => Some(best.max(value)),
                (best, value) => best.or(value),
            };
            Some(*best)
        });
        best.collect()
    }
}

impl<'a> Outcome<'a> {
    /// Every method with its trials.
    pub(super) fn methods(&self) -> impl Iterator<Item = Method<'a>> {
        let journal = self.journal;
        self.subjects.iter().map(move |subject| Method { subject, trials: journal.of(&subject.name).collect() })
    }

    /// The run's settings with the best of every method.
    ///
    /// # Errors
    /// When the journal holds settings that do not exist.
    pub fn tuned(&self) -> anyhow::Result<Config> {
        let mut config = self.config.clone();
        for method in self.methods() {
            match method.best() {
                // Trial 1 is what the search started from, to the last digit.
                Some(best) if best.trial > 1 => config = method.subject.apply(&config, &best.settings)?,
                _ => {}
            }
        }
        Ok(config)
    }

    /// Names of the methods of which no trial succeeded, with the last reason.
    pub fn failed(&self) -> Vec<String> {
        let failed = self.methods().filter(|method| !method.trials.is_empty() && method.best().is_none());
        failed
            .map(|method| {
                let reason = method.trials.last().and_then(|trial| trial.failure.as_deref()).unwrap_or("unknown");
                format!("{}: {reason}", method.subject.name)
            })
            .collect()
    }

    /// Writes `tuned.toml`, `tuning.json` and `tuning.md` into `dir`.
    ///
    /// # Errors
    /// When that fails.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let settings = toml::to_string(&self.tuned()?)?;
        let heading = "# The best settings that `compare tune` found for every method, for `compare run --config`.";
        report::replace(&dir.join(TUNED), format!("{heading}\n\n{settings}").as_bytes())?;
        let json = serde_json::to_string_pretty(&self.record())? + "\n";
        report::replace(&dir.join("tuning.json"), json.as_bytes())?;
        report::replace(&dir.join("tuning.md"), self.markdown().as_bytes())?;
        Ok(())
    }

    /// How hard was searched, in words.
    pub(super) fn budget(&self) -> Vec<String> {
        let Search { trials, folds, objective } = self.search;
        let (epochs, batch) = (self.config.epochs, self.config.batch());
        let images = self.validation.folds.first().map_or(0, |fold| fold.train.len());
        let drawn = STARTUP.min(trials) - 1;
        let mut lines = vec![
            format!(
                "Equal effort: every method has {trials} trials. Each trains once a fold ({folds}), for {epochs} passes \
                 over about {images} images in batches of {batch}, from the same weights; a Mahalanobis learner is fitted \
                 to the end on the same images. Trial 1 has the given settings, the next {drawn} are drawn from the \
                 priors, the others are proposed by tree-structured Parzen estimators.",
            ),
            match objective {
                Objective::Mean => "Value: the mean of MAP@R and of the accuracy of a linear probe.".to_owned(),
                Objective::Retrieval => "Value: MAP@R.".to_owned(),
                Objective::Transfer => "Value: the accuracy of a linear probe.".to_owned(),
            },
            self.validation.describe(),
            "No test image and no unseen class of the run is looked at. The best of many trials looks better than it is: \
             what counts are the test scores of a run with these settings."
                .to_owned(),
        ];
        let fewest = self.methods().map(|method| method.trials.len()).min().unwrap_or(0);
        if fewest < trials {
            lines.push(format!("The search is not at its end: {fewest} of {trials} trials of every method are done."));
        }
        if !self.without.is_empty() {
            lines.push(format!("Nothing to set: {}.", self.without.join(", ")));
        }
        if self.config.methods.iter().any(|method| method.contains('+')) {
            lines.push(
                "A hybrid `A+B` takes the settings that were chosen for A and for B, each tuned alone.".to_owned(),
            );
        }
        lines
    }

    fn record(&self) -> Record<'_> {
        let methods = self.methods().map(|method| {
            let best = method.best();
            MethodRecord {
                name: method.subject.name.clone(),
                space: method.subject.settings.iter().map(|s| (s.path.clone(), s.prior.to_string())).collect(),
                given: method.given(),
                best: best.and_then(|trial| trial.value),
                best_trial: best.map(|trial| trial.trial),
                best_so_far: method.best_so_far(),
                trials: method.trials.into_iter().cloned().collect(),
            }
        });
        Record {
            dataset: self.dataset,
            search: self.search,
            statement: self.budget(),
            held_out: self.validation.folds.iter().map(|fold| fold.held_out.as_slice()).collect(),
            without_settings: self.without,
            methods: methods.collect(),
        }
    }
}

/// The content of `tuning.json`.
#[derive(Serialize)]
struct Record<'a> {
    dataset: &'a str,
    search: Search,
    statement: Vec<String>,
    held_out: Vec<&'a [String]>,
    without_settings: &'a [String],
    methods: Vec<MethodRecord>,
}

#[derive(Serialize)]
struct MethodRecord {
    name: String,
    space: BTreeMap<String, String>,
    given: Option<f64>,
    best: Option<f64>,
    best_trial: Option<usize>,
    best_so_far: Vec<Option<f64>>,
    trials: Vec<Trial>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tune::{
        propose::Origin,
        subject::{Setting, Settings},
    };
    use toml::Value;

    fn trial(number: usize, value: Option<f64>, rate: f64) -> Trial {
        Trial {
            method: "simclr".into(),
            trial: number,
            origin: if number == 1 { Origin::Given } else { Origin::Prior },
            settings: Settings::from([("optimizer.learning_rate".to_owned(), Value::Float(rate))]),
            value,
            folds: Vec::new(),
            failure: value.is_none().then(|| "NaN | at step 1".to_owned()),
            seconds: 1.0,
        }
    }

    fn with<T>(trials: &[Trial], look: impl FnOnce(&Outcome<'_>) -> T) -> T {
        let config = Config::default();
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(dir.path()).unwrap();
        for trial in trials {
            journal.append(trial).unwrap();
        }
        let subjects = [Subject::new("simclr", &config).unwrap().unwrap()];
        let encoder =
            nearfar_core::encoder::EncoderConfig { architecture: nearfar_core::encoder::Architecture::Conv4, width: 8 };
        let shape = nearfar_core::data::Shape { channels: 1, height: 8, width: 8 };
        let validation = Validation { folds: Vec::new(), encoder, shape };
        look(&Outcome {
            dataset: "digits",
            config: &config,
            search: Search { trials: 4, folds: 1, objective: Objective::Mean },
            validation: &validation,
            subjects: &subjects,
            without: &["pixels".to_owned()],
            journal: &journal,
        })
    }

    #[test]
    fn the_best_trial_is_chosen_and_its_settings_are_written() {
        let trials =
            [trial(1, Some(0.5), 0.004), trial(2, None, 0.03), trial(3, Some(0.7), 0.01), trial(4, Some(0.7), 0.02)];
        with(&trials, |outcome| {
            assert_eq!(outcome.tuned().unwrap().method.simclr.optimizer.learning_rate, 0.01);
            let method = outcome.methods().next().unwrap();
            assert_eq!(method.best_so_far(), [Some(0.5), Some(0.5), Some(0.7), Some(0.7)]);
            assert_eq!(method.best().unwrap().trial, 3);
            assert!(outcome.failed().is_empty());
            let text = outcome.markdown();
            assert!(text.contains("| simclr | 5 | 0.5000 | 0.7000 | 3 | +0.2000 |"), "{text}");
            assert!(text.contains("failed: NaN   at step 1 | 0.5000 |"), "{text}");
            assert!(text.contains("Nothing to set: pixels.") && !text.contains("not at its end"), "{text}");
            for Setting { path, .. } in &method.subject.settings {
                assert!(text.contains(path), "{path}");
            }
        });
    }

    #[test]
    fn given_settings_stay_to_the_last_digit_unless_others_are_better() {
        for trials in [vec![trial(1, Some(0.5), 0.004), trial(2, Some(0.5), 0.01)], vec![trial(1, None, 0.004)], vec![]]
        {
            with(&trials, |outcome| {
                assert_eq!(outcome.tuned().unwrap(), *outcome.config);
                assert!(outcome.markdown().contains("not at its end"));
            });
        }
        let failed = with(&[trial(1, None, 0.004)], |outcome| outcome.failed());
        assert_eq!(failed, ["simclr: NaN | at step 1"]);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        with(&[trial(1, Some(0.5), 0.004), trial(2, Some(0.6), 0.01)], |outcome| {
            outcome.write(dir.path()).unwrap();
            let config = Config::read(&dir.path().join(TUNED)).unwrap();
            assert_eq!(config, outcome.tuned().unwrap());
        });
        let json = std::fs::read_to_string(dir.path().join("tuning.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["methods"][0]["best_trial"], 2);
        assert_eq!(json["methods"][0]["trials"].as_array().unwrap().len(), 2);
        assert_eq!(json["search"]["objective"], "mean");
    }
}

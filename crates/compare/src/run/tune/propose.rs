//! The settings of the next trial: first the given ones, then a few drawn from the priors, then tree-structured Parzen
//! estimators (Bergstra, Bardenet, Bengio and Kégl, Algorithms for Hyper-Parameter Optimization, 2011), with the split
//! of 0.1 and the 24 candidates of the crate `tpe`.
//!
//! A proposal is a pure function of the seed, the method and the trials before it. So a search that goes on after a
//! stop tries what it would have tried, and a longer search begins with the trials of a shorter one.

use super::subject::{Setting, Settings, Subject};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Trials before the estimators have enough to go by, the given settings among them.
pub const STARTUP: usize = 5;

/// Where a trial's settings come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// They are those that the search starts from.
    Given,
    /// Drawn from the priors.
    Prior,
    /// Proposed by the estimators.
    Tpe,
}

impl Origin {
    /// In a table.
    pub fn label(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Prior => "prior",
            Self::Tpe => "TPE",
        }
    }
}

/// What a trial before this one tried, and its value: more is better, none for one that failed.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'a> {
    /// Its settings.
    pub settings: &'a Settings,
    /// Its value.
    pub value: Option<f64>,
}

/// The next settings after `tried`, which is in the order of the trials.
///
/// # Errors
/// When a value is no number or a range is empty.
pub fn propose(subject: &Subject, tried: &[Tried<'_>], seed: u64) -> anyhow::Result<(Origin, Settings)> {
    if tried.is_empty() {
        return Ok((Origin::Given, subject.given.clone()));
    }
    let mut rng = stream(seed, &subject.name, tried.len() as u64);
    let origin = if tried.len() < STARTUP { Origin::Prior } else { Origin::Tpe };
    let mut settings = Settings::new();
    for setting in &subject.settings {
        let (start, end) = setting.prior.axis();
        let point = match origin {
            Origin::Tpe => estimate(setting, tried, &mut rng)?,
            _ => rng.random_range(start..end),
        };
        settings.insert(setting.path.clone(), setting.prior.value(point));
    }
    Ok((origin, settings))
}

/// The most promising of a few points that are likely among the best trials.
fn estimate(setting: &Setting, tried: &[Tried<'_>], rng: &mut ChaCha8Rng) -> anyhow::Result<f64> {
    let (start, end) = setting.prior.axis();
    let estimator = if setting.prior.is_choice() { tpe::histogram_estimator() } else { tpe::parzen_estimator() };
    let mut optimizer = tpe::TpeOptimizer::new(estimator, tpe::range(start, end)?);
    for trial in tried {
        // A value outside the range, or none at all, says nothing about this setting.
        let point = trial.settings.get(&setting.path).and_then(|value| setting.prior.place(value));
        // It makes values small; a failed trial is the worst.
        optimizer.tell(point.unwrap_or(f64::NAN), trial.value.map_or(f64::INFINITY, |value| -value))?;
    }
    Ok(optimizer.ask(rng)?)
}

/// Random numbers of one trial. Seed, name and number stand side by side in the key, so that no two trials share one.
fn stream(seed: u64, name: &str, trial: u64) -> ChaCha8Rng {
    // FNV-1a, whose values will not change with the compiler.
    let name = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut key = [0u8; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, u64::from_le_bytes(*b"tuning  "), name, trial]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::config::Config;
    use toml::Value;

    fn triplet() -> Subject {
        Subject::new("triplet", &Config::default()).unwrap().unwrap()
    }

    fn number(settings: &Settings, path: &str) -> f64 {
        match &settings[path] {
            Value::Float(value) => *value,
            Value::Integer(value) => *value as f64,
            other => panic!("{path} = {other}"),
        }
    }

    /// At most 0.7, at a rate of 0.02, a margin of 0.35 and the hardest triplets.
    fn value(settings: &Settings) -> f64 {
        let rate = (number(settings, "optimizer.learning_rate") / 0.02).ln();
        let margin = (number(settings, "settings.loss.margin") / 0.35).ln();
        let mining = if settings["settings.mining"].as_str() == Some("batch_hard") { 0.1 } else { 0.0 };
        0.6 - 0.05 * rate * rate - 0.05 * margin * margin + mining
    }

    /// `random` sees nothing, so that its trials after the first all come from the priors.
    fn search(seed: u64, trials: usize, random: bool) -> Vec<(Settings, f64)> {
        let subject = triplet();
        let mut done: Vec<(Settings, f64)> = Vec::new();
        for trial in 0..trials {
            let settings: Settings = if random && trial > 0 {
                let mut rng = stream(seed, &subject.name, trial as u64);
                let draw = |s: &Setting| {
                    let (start, end) = s.prior.axis();
                    (s.path.clone(), s.prior.value(rng.random_range(start..end)))
                };
                subject.settings.iter().map(draw).collect()
            } else {
                let tried: Vec<_> = done.iter().map(|(settings, v)| Tried { settings, value: Some(*v) }).collect();
                propose(&subject, &tried, seed).unwrap().1
            };
            let value = value(&settings);
            done.push((settings, value));
        }
        done
    }

    #[test]
    fn the_given_settings_come_first_then_the_priors_then_the_estimators() {
        let subject = triplet();
        let mut tried = Vec::new();
        for trial in 0..STARTUP + 2 {
            let (origin, _) = propose(&subject, &tried, 3).unwrap();
            let expected = match trial {
                0 => Origin::Given,
                1..STARTUP => Origin::Prior,
                _ => Origin::Tpe,
            };
            assert_eq!(origin, expected, "trial {trial}");
            tried.push(Tried { settings: &subject.given, value: Some(0.5) });
        }
        assert_eq!(propose(&subject, &[], 3).unwrap().1, subject.given);
    }

    #[test]
    fn it_beats_random_search() {
        let regret = |random: bool| {
            let best = |seed| search(seed, 40, random).into_iter().map(|(_, v)| v).fold(f64::MIN, f64::max);
            (0..40).map(|seed| 0.7 - best(seed)).sum::<f64>() / 40.0
        };
        let (tpe, random) = (regret(false), regret(true));
        assert!(tpe < 0.6 * random, "{tpe} {random}");
    }

    #[test]
    fn a_longer_search_begins_like_a_shorter_one_and_seeds_differ() {
        let long = search(1, 12, false);
        assert_eq!(search(1, 8, false), long[..8]);
        assert_ne!(search(2, 8, false)[1..], long[1..8]);
        assert_eq!(search(2, 8, false)[0], long[0]);
    }

    #[test]
    fn every_proposal_is_within_its_range() {
        for (settings, _) in search(5, 30, false) {
            for Setting { path, prior } in triplet().settings {
                assert!(prior.place(&settings[&path]).is_some(), "{path} = {}", settings[&path]);
            }
        }
    }

    #[test]
    fn failed_trials_and_unset_values_are_survived() {
        let subject = triplet();
        let (unset, drawn) = (Settings::new(), propose(&subject, &[], 0).unwrap().1);
        let mut tried = vec![Tried { settings: &unset, value: Some(0.9) }; 3];
        tried.extend([Tried { settings: &drawn, value: None }; 5]);
        let (origin, settings) = propose(&subject, &tried, 0).unwrap();
        assert_eq!(origin, Origin::Tpe);
        assert_eq!(settings.len(), subject.settings.len());
    }
}

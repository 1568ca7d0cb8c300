//! How the settings of a run were searched, where `compare tune` chose them.

use super::format::plain;
use serde::{Deserialize, Serialize};

/// A search with the same effort for every method.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// The effort and what settings were chosen by, in sentences.
    pub statement: Vec<String>,
    /// What was searched and found for each method.
    pub methods: Vec<Tuned>,
}

/// The search of one method.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// Its name.
    pub method: String,
    /// Trials made.
    pub trials: usize,
    /// Trials that failed.
    pub failed: usize,
    /// What the given settings were worth on validation; absent where that trial failed.
    pub given: Option<f64>,
    /// What the chosen ones were worth.
    pub best: Option<f64>,
    /// The trial that found them; the first has the given settings.
    pub best_trial: Option<usize>,
    /// What was searched.
    pub settings: Vec<TunedSetting>,
}

/// One setting that was searched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunedSetting {
    /// Its path in the method's table of `config.toml`.
    pub name: String,
    /// Range and prior.
    pub prior: String,
    /// The value that the search started from.
    pub given: String,
    /// The value chosen.
    pub chosen: String,
}

impl Tuned {
    /// Method, trials, value of the given and of the chosen settings, the trial that found them, and the gain, in words.
    pub(super) fn cells(&self) -> [String; 6] {
        let value = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), plain);
        let gain = self.given.zip(self.best).map(|(given, best)| best - given);
        let trials = match self.failed {
            0 => self.trials.to_string(),
            failed => format!("{} ({failed} failed)", self.trials),
        };
        let at = self.best_trial.map_or_else(|| "-".to_owned(), |trial| trial.to_string());
        [self.method.clone(), trials, value(self.given), value(self.best), at, value(gain)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_say_what_was_found() {
        let tuned = Tuned {
            method: "simclr".into(),
            trials: 20,
            failed: 1,
            given: Some(0.5),
            best: Some(0.625),
            best_trial: Some(7),
            settings: Vec::new(),
        };
        assert_eq!(tuned.cells(), ["simclr", "20 (1 failed)", "0.500", "0.625", "7", "0.125"]);
        let none = Tuned { method: "moco".into(), trials: 2, ..Tuned::default() };
        assert_eq!(none.cells(), ["moco", "2", "-", "-", "-", "-"]);
    }
}

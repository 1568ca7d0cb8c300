//! What a search found, to read: `tuning.md` and the table on a terminal.

use super::{
    prior::{Prior, short},
    result::{Method, Outcome},
    subject::{Setting, Settings, Subject},
};
use crate::report::{Tuned, TunedSetting, Tuning};

impl Outcome<'_> {
    /// The content of `tuning.md`.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("# Settings tuned on {}\n\n{}\n\n", self.dataset, self.budget().join("\n\n"));
        text += "| method | settings searched | given | best | at trial | gain |\n|---|--:|--:|--:|--:|--:|\n";
        for method in self.methods() {
            let Line { given, best, at, gain } = Line::of(&method);
            let Subject { name, settings, .. } = method.subject;
            text += &format!("| {name} | {} | {given} | {best} | {at} | {gain} |\n", settings.len());
        }
        for method in self.methods() {
            let settings = &method.subject.settings;
            text += &format!("\n## {}\n\n| setting | prior |\n|---|---|\n", method.subject.name);
            for setting in settings {
                text += &format!("| `{}` | {} |\n", setting.path, setting.prior);
            }
            let names: String = settings.iter().map(|s| format!(" `{}` |", s.path)).collect();
            text += &format!(
                "\n| trial | from |{names} value | best so far |\n|--:|---|{}\n",
                "--:|".repeat(settings.len() + 2)
            );
            for (trial, best) in method.trials.iter().zip(method.best_so_far()) {
                let origin = trial.origin.label();
                let values: String =
                    settings.iter().map(|s| format!(" {} |", shown(&trial.settings, &s.path, s.prior))).collect();
                let value = match &trial.failure {
                    Some(reason) => format!("failed: {}", reason.replace(['|', '\n'], " ")),
                    None => number(trial.value),
                };
                text += &format!("| {} | {origin} |{values} {value} | {} |\n", trial.trial, number(best));
            }
        }
        text
    }

    /// The same for the report of the run with these settings.
    pub(super) fn tuning(&self) -> Tuning {
        let tuned = |method: Method<'_>| {
            let (subject, best) = (method.subject, method.best());
            // Where every trial failed, the given settings stay.
            let chosen = best.map_or(&subject.given, |trial| &trial.settings);
            let setting = |own: &Setting| TunedSetting {
                name: own.path.clone(),
                prior: own.prior.to_string(),
                given: shown(&subject.given, &own.path, own.prior),
                chosen: shown(chosen, &own.path, own.prior),
            };
            Tuned {
                method: subject.name.clone(),
                trials: method.trials.len(),
                failed: method.trials.iter().filter(|trial| trial.failure.is_some()).count(),
                given: method.given().map(short),
                best: best.and_then(|trial| trial.value).map(short),
                best_trial: best.map(|trial| trial.trial),
                settings: subject.settings.iter().map(setting).collect(),
            }
        };
        Tuning { statement: self.budget(), methods: self.methods().map(tuned).collect() }
    }

    /// The outcome on a terminal: a line a method.
    pub fn terminal(&self) -> String {
        let mut text = format!("{:<30} {:>8} {:>8} {:>9} {:>8}\n", "method", "given", "best", "at trial", "gain");
        for method in self.methods() {
            let Line { given, best, at, gain } = Line::of(&method);
            text += &format!("{:<30} {given:>8} {best:>8} {at:>9} {gain:>8}\n", method.subject.name);
        }
        text + "\n" + &self.budget().join("\n")
    }
}

/// What a table says about one method.
struct Line {
    given: String,
    best: String,
    at: String,
    gain: String,
}

impl Line {
    fn of(method: &Method<'_>) -> Self {
        let (given, best) = (method.given(), method.best());
        let value = best.and_then(|trial| trial.value);
        Self {
            given: number(given),
            best: number(value),
            at: best.map_or_else(|| "-".to_owned(), |trial| trial.trial.to_string()),
            gain: given.zip(value).map_or_else(|| "-".to_owned(), |(given, value)| format!("{:+.4}", value - given)),
        }
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

fn shown(settings: &Settings, path: &str, prior: Prior) -> String {
    match settings.get(path) {
        None => "unset".to_owned(),
        Some(toml::Value::String(word)) if prior.is_choice() => word.clone(),
        Some(value) => value.to_string(),
    }
}

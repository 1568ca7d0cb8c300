//! The command that makes a run again, with more seeds or another setting.

use super::{RunInfo, estimate::FEWEST_SEEDS};
use crate::run::{Config, MethodName};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Settings that the command line knows, by their place in the settings, with their option.
const OPTIONS: &[(&str, &str)] = &[
    ("dataset", "--dataset"),
    ("label_column", "--label-column"),
    ("group_column", "--group-column"),
    ("image_size", "--image-size"),
    ("methods", "--methods"),
    ("backend", "--backend"),
    ("images", "--images"),
    ("epochs", "--epochs"),
    ("batch", "--batch"),
    ("accumulate", "--accumulate"),
    ("chunk", "--chunk"),
    ("monitor", "--monitor"),
    ("encoder.architecture", "--encoder"),
    ("encoder.width", "--width"),
    ("labels", "--labels"),
    ("label_noise", "--label-noise"),
    ("supervision", "--supervision"),
    ("constraints", "--constraints"),
    ("unsaid", "--unsaid"),
    ("unseen_classes", "--unseen-classes"),
    ("fine_tune", "--fine-tune"),
    ("seed", "--seed"),
    ("split_seed", "--split-seed"),
    ("seeds", "--seeds"),
];

/// Settings that say the same as others do, or that the words of the command say.
const SAID: &[&str] = &["preset", "sweep"];

/// How to make a run again: all that its settings differ in from those that the program takes by itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Again {
    /// Options with their values, ready for a shell.
    options: Vec<(&'static str, String)>,
    /// What was swept: the axis and its values.
    swept: Option<(String, String)>,
    /// What it was run with.
    settings: Map<String, Value>,
    /// Classes of the data, and how many of them are kept from training; 0 where it is not known.
    classes: usize,
    unseen: usize,
    /// Test items of the trained classes.
    pub test: usize,
    /// Tests that the verdicts on the run make; 0 while they are counted.
    pub tests: usize,
}

impl Again {
    /// From what a report says of a run.
    pub fn of(info: &RunInfo) -> Self {
        let dataset = &info.dataset;
        // What the defaults leave to the run and its data is written in a report as it was settled.
        let seed = info.settings.get("seed").and_then(Value::as_u64);
        let mut usual = Config { split_seed: seed, ..Config::default() };
        usual.settle(dataset.train);
        let defaults = match serde_json::to_value(usual) {
            Ok(Value::Object(defaults)) => defaults,
            _ => Map::new(),
        };
        Self {
            options: options(info, &defaults),
            swept: info.settings.get("sweep").and_then(swept),
            settings: info.settings.clone(),
            classes: dataset.classes,
            unseen: dataset.unseen_classes,
            test: dataset.test,
            tests: 0,
        }
    }

    /// The same run with these options in place of its own.
    pub fn run(&self, changes: &[(&'static str, &str)]) -> String {
        match &self.swept {
            Some((axis, values)) => self.line(&format!("compare sweep --axis {axis} --values {values}"), changes),
            None => self.line("compare run", changes),
        }
    }

    /// As many seeds as decide, or as the run was to have.
    pub fn deciding(&self) -> usize {
        let own = self.settings.get("seeds").and_then(Value::as_u64).and_then(|own| usize::try_from(own).ok());
        FEWEST_SEEDS.max(own.unwrap_or(0))
    }

    /// The same with so many seeds.
    pub fn seeds(&self, seeds: usize) -> String {
        let seeds = seeds.to_string();
        self.run(&[("--seeds", seeds.as_str())])
    }

    /// The same run with methods of every kind, and so many seeds.
    pub fn all_methods(&self, seeds: usize) -> String {
        let (all, seeds) = (all(&self.settings), seeds.to_string());
        self.run(&[("--methods", all.as_str()), ("--seeds", seeds.as_str())])
    }

    /// A sweep of this axis with the settings of the run; with methods of both families if it had none of one.
    pub fn sweep(&self, axis: &str, changes: &[(&'static str, &str)]) -> String {
        let named = changes.iter().any(|(option, _)| *option == "--methods");
        let all = (!named && one_sided(&self.settings)).then(|| all(&self.settings));
        let more = all.as_deref().map(|all| ("--methods", all));
        let changes: &[_] = &more.into_iter().chain(changes.iter().copied()).collect::<Vec<_>>();
        if self.swept.as_ref().is_some_and(|(own, _)| own == axis) {
            return self.run(changes);
        }
        let varied = match axis {
            "labels" => "--labels",
            "noise" => "--label-noise",
            "batch" => "--batch",
            _ => "",
        };
        let options = self.options.iter().filter(|(option, _)| *option != varied).cloned().collect();
        Self { options, ..self.clone() }.line(&format!("compare sweep --axis {axis}"), changes)
    }

    /// What measures transfer to classes that were kept from training: a command, or why there is none.
    pub fn unseen(&self) -> Result<String, String> {
        // Two to train on and two to keep: retrieval and classification need a choice.
        let count = match self.classes {
            classes @ 1..4 => {
                let are = if classes == 1 { "is 1 class".to_owned() } else { format!("are {classes} classes") };
                return Err(format!(
                    "there {are} here, and at least 4 are needed, 2 to train on and 2 to keep from training"
                ));
            }
            0 => 3,
            classes => (3 * classes / 10).clamp(2, classes - 2),
        };
        let count = count.to_string();
        let more = [("--unseen-classes", count.as_str()), ("--seeds", "3")];
        Ok(if self.unseen == 0 { self.run(&more) } else { self.all_methods(3) })
    }

    fn line(&self, start: &str, changes: &[(&'static str, &str)]) -> String {
        let changed = |option: &str| changes.iter().any(|(name, _)| *name == option);
        let kept = self.options.iter().filter(|(option, _)| !changed(option));
        let all = kept.map(|(option, value)| (*option, value.as_str())).chain(changes.iter().copied());
        all.fold(start.to_owned(), |line, (option, value)| match option {
            "--fine-tune" => format!("{line} {option}={value}"),
            _ => format!("{line} {option} {value}"),
        })
    }
}

/// Where the settings differ from the defaults; the file of the settings where no option says one of them.
fn options(info: &RunInfo, defaults: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let settings = &info.settings;
    let changed = |path: &str| -> Option<&Value> {
        let own = at(settings, path)?;
        let default = at(defaults, path);
        (!own.is_null() && default.is_none_or(|default| differs(own, default))).then_some(own)
    };
    let has_option = |path: &str| OPTIONS.iter().any(|(known, _)| *known == path);
    let untold = |(name, own): (&String, &Value)| match (own, defaults.get(name)) {
        _ if has_option(name) || SAID.contains(&name.as_str()) => false,
        (Value::Object(own), Some(Value::Object(default))) => own.iter().any(|(inner, own)| {
            !has_option(&format!("{name}.{inner}")) && default.get(inner).is_some_and(|default| differs(own, default))
        }),
        // What this version does not know is left out.
        (own, default) => default.is_some_and(|default| differs(own, default)),
    };
    if settings.iter().any(untold) {
        return vec![("--config", quoted(&format!("{}config.toml", folder(info))))];
    }
    OPTIONS.iter().filter_map(|(path, option)| Some((*option, text(path, changed(path)?)))).collect()
}

/// `all`, or the names of those of all methods that the settings allow.
fn all(settings: &Map<String, Value>) -> String {
    let Ok(config) = serde_json::from_value::<Config>(Value::Object(settings.clone())) else { return "all".to_owned() };
    let alone = |method: &&str| Config { methods: vec![(*method).to_owned()], sweep: None, ..config.clone() };
    let fitting: Vec<&str> = MethodName::ALL.split(',').filter(|method| alone(method).validate().is_ok()).collect();
    if fitting.len() == MethodName::ALL.split(',').count() { "all".to_owned() } else { fitting.join(",") }
}

/// Whether the methods of the settings are of one family, or of none.
fn one_sided(settings: &Map<String, Value>) -> bool {
    let Some(methods) = settings.get("methods").and_then(Value::as_array) else { return false };
    let families: BTreeSet<&str> = methods
        .iter()
        .filter_map(|method| method.as_str()?.parse::<MethodName>().ok())
        .map(MethodName::paradigm)
        .collect();
    !(families.contains("metric") && families.contains("contrastive"))
}

/// The setting at a dotted place.
fn at<'a>(settings: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        Some((outer, inner)) => settings.get(outer)?.get(inner),
        None => settings.get(path),
    }
}

/// Whether a setting is another one. What only one of two objects has is of another version; numbers may have lost their
/// last digits in a file.
fn differs(own: &Value, other: &Value) -> bool {
    match (own, other) {
        (Value::Object(own), Value::Object(other)) => {
            own.iter().any(|(name, own)| other.get(name).is_some_and(|other| differs(own, other)))
        }
        (Value::Array(own), Value::Array(other)) => {
            own.len() != other.len() || own.iter().zip(other).any(|(own, other)| differs(own, other))
        }
        (Value::Number(own), Value::Number(other)) => match (own.as_f64(), other.as_f64()) {
            (Some(own), Some(other)) => (own - other).abs() > 1e-9 * own.abs().max(other.abs()),
            _ => own != other,
        },
        _ => own != other,
    }
}

/// A value as the command line takes it.
fn text(path: &str, value: &Value) -> String {
    match value {
        // No number of images stands for all of them.
        Value::Number(number) if path == "images" && number.as_u64() == Some(0) => "all".to_owned(),
        value => quoted(&plain(value)),
    }
}

/// A value without the marks of JSON, lists with commas.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(|item| listed(&plain(item))).collect::<Vec<_>>().join(","),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
        other => other.to_string(),
    }
}

/// An item of a list, in quotes where it holds what lists are made of.
fn listed(item: &str) -> String {
    if item.contains([',', '"']) { format!("\"{}\"", item.replace('"', "\"\"")) } else { item.to_owned() }
}

/// A word that a shell leaves as it is.
pub fn quoted(word: &str) -> String {
    let safe = |char: char| char.is_alphanumeric() || "-_./,:=+@".contains(char);
    if !word.is_empty() && word.chars().all(safe) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The folder that the run was written into, with a slash behind it; empty where its command does not say. That of a run
/// with settings from a search lies in the folder of the search.
fn folder(info: &RunInfo) -> String {
    let words = shlex::split(&info.command).unwrap_or_default();
    let named = words.windows(2).find(|pair| matches!(pair[0].as_str(), "--out" | "--resume"));
    let named = named.map_or_else(String::new, |pair| format!("{}/", pair[1].trim_end_matches('/')));
    match info.tuning.as_ref().and_then(|tuning| tuning.methods.iter().map(|method| method.trials).max()) {
        Some(trials) => format!("{named}final-{trials}/"),
        None => named,
    }
}

/// The axis that was swept, with its values.
fn swept(sweep: &Value) -> Option<(String, String)> {
    Some((sweep.get("axis")?.as_str()?.to_owned(), quoted(&plain(sweep.get("values")?))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{DatasetInfo, Tuned, Tuning};
    use serde_json::json;

    /// The defaults with some settings changed.
    fn info(changes: Value, classes: usize) -> RunInfo {
        let Ok(Value::Object(mut settings)) = serde_json::to_value(Config::default()) else { panic!("no table") };
        let Value::Object(changes) = changes else { panic!("no table") };
        for (name, value) in changes {
            match (settings.get_mut(&name), value) {
                (Some(Value::Object(own)), Value::Object(value)) => own.extend(value),
                (_, value) => drop(settings.insert(name, value)),
            }
        }
        let dataset = DatasetInfo { classes, ..DatasetInfo::default() };
        RunInfo { settings, dataset, command: "compare run --out runs/wine/".into(), ..RunInfo::default() }
    }

    #[test]
    fn what_differs_from_the_defaults_is_repeated() {
        assert_eq!(Again::of(&info(json!({}), 10)).seeds(3), "compare run --seeds 3");
        assert_eq!(Again::default().seeds(3), "compare run --seeds 3");
        let changes = json!({ "dataset": "my data/wine.csv", "epochs": 60, "methods": ["pixels", "triplet"], "images": 0,
                              "encoder": { "width": 16 }, "fine_tune": true, "seeds": 2, "labels": 0.1 });
        let again = Again::of(&info(changes, 3));
        assert_eq!(
            again.seeds(5),
            "compare run --dataset 'my data/wine.csv' --methods pixels,triplet --images all --epochs 60 --width 16 \
             --labels 0.1 --fine-tune=true --seeds 5"
        );
        assert!(again.sweep("batch", &[("--seeds", "3")]).starts_with("compare sweep --axis batch --dataset 'my data"));
        assert!(!again.sweep("labels", &[]).contains("--labels"), "the axis gives them");
        assert!(again.run(&[("--methods", "all")]).ends_with("--seeds 2 --methods all"));
    }

    #[test]
    fn names_that_hold_commas_are_quoted() {
        let again = Again::of(&info(json!({ "unseen_classes": ["cup, mug", "cat"] }), 10));
        assert_eq!(again.seeds(3), r#"compare run --unseen-classes '"cup, mug",cat' --seeds 3"#);
    }

    #[test]
    fn what_is_left_to_the_data_is_left_out() {
        let settled = |train, seed, split_seed, batch| {
            let mut info = info(json!({ "seed": seed, "split_seed": split_seed, "batch": batch }), 10);
            info.dataset.train = train;
            Again::of(&info).seeds(3)
        };
        assert_eq!(settled(3_000, 0, 0, 256), "compare run --seeds 3");
        assert_eq!(settled(911, 100, 100, 128), "compare run --seed 100 --seeds 3");
        assert_eq!(settled(911, 100, 0, 256), "compare run --batch 256 --seed 100 --split-seed 0 --seeds 3");
    }

    #[test]
    fn what_no_option_says_needs_the_file() {
        let changes = json!({ "hybrid": { "weight": 0.25 }, "dataset": "wine" });
        assert_eq!(Again::of(&info(changes, 3)).seeds(3), "compare run --config runs/wine/config.toml --seeds 3");
        let folder = |command: &str| folder(&RunInfo { command: command.into(), ..RunInfo::default() });
        assert_eq!((folder("compare run"), folder("compare run --resume a b")), (String::new(), "a/".to_owned()));
        let apart = |out: &str| folder(&format!("compare run --out {}", quoted(out)));
        assert_eq!((apart("my runs/it's one"), apart("b/")), ("my runs/it's one/".to_owned(), "b/".to_owned()));
        let mut tuned = info(json!({ "hybrid": { "weight": 0.25 } }), 3);
        tuned.command = "compare tune --out t1".into();
        tuned.tuning = Some(Tuning { methods: vec![Tuned { trials: 20, ..Tuned::default() }], statement: Vec::new() });
        assert_eq!(Again::of(&tuned).seeds(4), "compare run --config t1/final-20/config.toml --seeds 4");
        // Settings of another version are no reason.
        assert_eq!(Again::of(&info(json!({ "old": 1 }), 3)).seeds(3), "compare run --seeds 3");
    }

    #[test]
    fn a_sweep_is_swept_again() {
        let changes = json!({ "sweep": { "axis": "labels", "values": [0.1, 1.0] }, "dataset": "wine" });
        let again = Again::of(&info(changes, 3));
        let expected = "compare sweep --axis labels --values 0.1,1 --dataset wine --seeds 3";
        assert_eq!((again.seeds(3), again.sweep("labels", &[("--seeds", "3")])), (expected.into(), expected.into()));
        assert_eq!(again.sweep("noise", &[]), "compare sweep --axis noise --dataset wine");
    }

    #[test]
    fn a_comparison_has_both_families() {
        let again = Again::of(&info(json!({ "methods": ["moco", "simclr"], "dataset": "wine" }), 3));
        assert_eq!(again.sweep("labels", &[]), "compare sweep --axis labels --dataset wine --methods all");
        assert_eq!(again.seeds(3), "compare run --dataset wine --methods moco,simclr --seeds 3");
        // Of all methods those that the settings allow.
        let again = Again::of(&info(json!({ "methods": ["siamese", "simclr"], "supervision": "pairs" }), 3));
        let line = again.all_methods(3);
        assert!(line.contains("triplet") && !line.contains("supervised") && !line.contains(" all"), "{line}");
        assert!(again.sweep("labels", &[]).contains("--methods siamese,simclr"));
    }

    #[test]
    fn unseen_classes_need_four() {
        let of = |classes: usize| Again::of(&info(json!({ "dataset": "wine" }), classes)).unseen();
        assert!(of(3).unwrap_err().contains("there are 3 classes here, and at least 4 are needed"));
        assert_eq!(of(4).unwrap(), "compare run --dataset wine --unseen-classes 2 --seeds 3");
        assert_eq!(of(10).unwrap(), "compare run --dataset wine --unseen-classes 3 --seeds 3");
        assert_eq!(Again::default().unseen().unwrap(), "compare run --unseen-classes 3 --seeds 3");
    }
}

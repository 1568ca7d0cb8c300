//! What keeps two runs from being one: settings that differ.

use super::{Row, RunInfo, facts};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Settings that runs of one experiment may differ in: each has rows of its own, or the same numbers.
const FREE: &[&str] = &["methods", "seeds", "sweep", "preset", "backend", "monitor"];

/// Settings that an axis of a sweep stands for.
const SWEPT: &[(&str, &str)] = &[("labels", "labels"), ("label_noise", "noise"), ("batch", "batch")];

/// The settings of `other` that differ from those of `run`, with their values, among those that change the scores of a
/// method that both ran: `epochs 30`. Empty for parts of one experiment.
///
/// What seeds the splits is compared, wherever it stands. A setting that one of the two swept is one more value of the sweep.
/// Settings that only one of them has are of another version and say nothing.
pub(super) fn differences(run: (&RunInfo, &[&Row]), other: (&RunInfo, &[&Row])) -> Vec<String> {
    let both: BTreeSet<&str> = parts(run.1).intersection(&parts(other.1)).copied().collect();
    let swept = |axis: &str| [run.0, other.0].iter().any(|info| sweeps(info, axis));
    let counts = |name: &str| {
        let free = FREE.contains(&name.split('.').next().unwrap_or(name)) || matches!(name, "seed" | "split_seed");
        let axis = SWEPT.iter().any(|(setting, axis)| *setting == name && swept(axis));
        let mut method = name.strip_prefix("method.").into_iter().filter_map(|rest| rest.split('.').next());
        !free && !axis && method.all(|method| both.contains(method))
    };
    let own: BTreeMap<String, String> = facts::settings(&run.0.settings).into_iter().collect();
    let mut found: Vec<String> = facts::settings(&other.0.settings)
        .into_iter()
        .filter(|(name, value)| counts(name) && own.get(name).is_some_and(|own| own != value))
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    if let (Some((_, own)), Some((name, seed))) = (splits(run.0), splits(other.0))
        && own != seed
    {
        found.push(format!("{name} {seed}"));
    }
    found
}

/// The names in the names of the rows: two for `simclr-then-triplet`.
fn parts<'a>(rows: &[&'a Row]) -> BTreeSet<&'a str> {
    let name = |char: char| char.is_alphanumeric() || char == '_';
    rows.iter().flat_map(|row| row.method.split(move |char: char| !name(char))).collect()
}

fn sweeps(info: &RunInfo, axis: &str) -> bool {
    info.settings.get("sweep").and_then(|sweep| sweep.get("axis")).is_some_and(|own| own == axis)
}

/// The seed behind splits and unseen classes, with the name of its setting: the first seed of the run, unless another is
/// given.
fn splits(info: &RunInfo) -> Option<(&'static str, &Value)> {
    let of = |name: &'static str| Some((name, info.settings.get(name).filter(|seed| !seed.is_null())?));
    of("split_seed").or_else(|| of("seed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Paradigm, fixtures::row};
    use serde_json::json;

    fn info(changes: Value) -> RunInfo {
        let mut settings = json!({
            "methods": ["triplet"], "epochs": 60, "seed": 0, "seeds": 2, "label_noise": 0.0, "sweep": null,
            "method": { "triplet": { "margin": 0.2 }, "simclr": { "temperature": 0.5 } }
        });
        let (Value::Object(own), Value::Object(changes)) = (&mut settings, changes) else { panic!("no table") };
        own.extend(changes);
        RunInfo { settings: own.clone(), ..RunInfo::default() }
    }

    fn apart(other: Value, methods: [&str; 2]) -> Vec<String> {
        let [a, b] = methods.map(|method| row(method, Paradigm::Metric, 0, &[]));
        differences((&info(json!({})), &[&a]), (&info(other), &[&b]))
    }

    #[test]
    fn what_changes_scores_keeps_runs_apart() {
        let same = ["triplet", "simclr-then-triplet"];
        assert_eq!(
            apart(json!({ "epochs": 30, "seed": 7, "seeds": 5, "methods": ["a"] }), same),
            ["epochs 30", "seed 7"]
        );
        let method = json!({ "method": { "triplet": { "margin": 0.5 }, "simclr": { "temperature": 0.1 } } });
        assert_eq!(apart(method.clone(), same), ["method.triplet.margin 0.5"]);
        // Neither ran what the settings differ in.
        assert!(apart(method, ["triplet", "byol"]).is_empty());
        assert!(apart(json!({ "of_another_version": 1 }), same).is_empty());
    }

    #[test]
    fn a_sweep_takes_in_other_values_of_its_axis() {
        let same = ["triplet", "triplet"];
        assert_eq!(apart(json!({ "label_noise": 0.4 }), same), ["label_noise 0.4"]);
        assert!(apart(json!({ "label_noise": 0.4, "sweep": { "axis": "noise" } }), same).is_empty());
    }

    #[test]
    fn splits_have_a_seed_of_their_own_where_one_is_given() {
        let same = ["triplet", "triplet"];
        assert!(apart(json!({ "seed": 100, "split_seed": 0 }), same).is_empty());
        assert_eq!(apart(json!({ "split_seed": 3 }), same), ["split_seed 3"]);
        assert_eq!(apart(json!({ "split_seed": null, "seed": 1 }), same), ["seed 1"]);
    }
}

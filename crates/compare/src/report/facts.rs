//! What was run: the lists that Markdown and HTML show around the tables.

use super::{
    Crossover, Report, Row, RunInfo, Tuning,
    format::{self, count},
    groups::distinct,
};
use crate::run::MethodName;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Names and values, in order.
pub(super) type Facts = Vec<(String, String)>;

/// What the report is about, in one line.
pub(super) fn title(report: &Report) -> String {
    if report.runs.is_empty() {
        return report.label();
    }
    distinct(report.runs.iter().map(|run| run.label.as_str())).join(", ")
}

/// For each run, its label (empty in the report of one run), its facts and its settings, without those of methods that
/// were not asked for.
pub(super) fn runs(report: &Report) -> Vec<(String, Facts, Facts)> {
    let own = [RunInfo { label: String::new(), ..report.info() }];
    let runs = if report.runs.is_empty() { &own[..] } else { &report.runs[..] };
    let of = |run: &RunInfo| (run.label.clone(), facts(run, &report.rows), settings(&used(report, run)));
    runs.iter().map(of).collect()
}

/// The settings of a run that something in it depended on; `config.toml` and `report.json` have all.
fn used(report: &Report, run: &RunInfo) -> Map<String, Value> {
    let own = |of: &str| run.label.is_empty() || of == run.label;
    let rows = report.rows.iter().filter(|row| own(&row.run)).map(|row| row.method.as_str());
    let failed = report.failures.iter().filter(|failure| own(&failure.run)).map(|failure| failure.method.as_str());
    let names: BTreeSet<String> = rows.chain(failed).flat_map(learnt).collect();
    let mut kept = run.settings.clone();
    if let Some(Value::Object(methods)) = kept.get_mut("method") {
        if let Some(Value::Object(losses)) = methods.get_mut("losses") {
            losses.retain(|name, _| names.contains(name));
        }
        methods.retain(|name, _| name == "losses" || names.contains(name));
    }
    kept
}

/// What a row with this name learns with, as the settings name it.
fn learnt(row: &str) -> Vec<String> {
    // A setting that was swept may stand behind the method.
    let method = row.split(' ').next().unwrap_or_default().parse::<MethodName>();
    method.into_iter().flat_map(MethodName::parts).map(MethodName::settings_name).collect()
}

/// How the settings of each run were searched, with its label; nothing for runs whose settings were given.
pub(super) fn tunings(report: &Report) -> Vec<(String, Tuning)> {
    if report.runs.is_empty() {
        return report.tuning.iter().map(|tuning| (String::new(), tuning.clone())).collect();
    }
    report.runs.iter().filter_map(|run| Some((run.label.clone(), run.tuning.clone()?))).collect()
}

/// Where the lead of the families changes along the labels, one sentence or more for each score.
pub(super) fn crossovers(report: &Report) -> Vec<String> {
    let line = |crossover: &Crossover| match crossover.run.as_str() {
        "" => format!("{}: {}", crossover.score, crossover.sentence),
        run => format!("{run}: {}: {}", crossover.score, crossover.sentence),
    };
    report.crossovers.iter().map(line).collect()
}

fn facts(run: &RunInfo, rows: &[Row]) -> Facts {
    let (data, budget) = (&run.dataset, &run.budget);
    let seeds: BTreeSet<u64> =
        rows.iter().filter(|row| run.label.is_empty() || row.run == run.label).map(|row| row.seed).collect();
    let mut classes = format!("{} ({} seen, {} unseen)", data.classes, data.seen_classes, data.unseen_classes);
    if !data.unseen_class_names.is_empty() {
        classes += &format!("; unseen: {}", data.unseen_class_names.join(", "));
    }
    let items = format!("{} training, {} validation, {} test", data.train, data.validation, data.test);
    let mut spent = format!(
        "{}, {} of {}, {} in all",
        count(budget.epochs, "epoch"),
        count(budget.steps, "step"),
        count(budget.batch, "image"),
        count(budget.images_seen, "image")
    );
    // Batches are whole, and what is left over in an epoch is drawn in another, if there is one.
    if budget.images_seen > 0 && budget.images_seen < data.train {
        let unused = data.train - budget.images_seen;
        spent += &format!("; {unused} of {} are never used", count(data.train, "training item"));
    }
    let facts = [
        ("Data set", data.name.clone()),
        ("Classes", classes),
        ("Items", items),
        ("Encoder", run.encoder.clone()),
        ("Budget of each method", spent),
        ("Seeds", format::seeds(&seeds)),
        ("Backend", run.backend.clone()),
        ("Device", run.device.clone()),
        ("Version", run.version.clone()),
        ("Command", run.command.clone()),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Nested settings with dotted names.
pub(super) fn settings(map: &Map<String, Value>) -> Facts {
    let mut flat = Facts::new();
    for (name, value) in map {
        match value {
            Value::Object(inner) => {
                flat.extend(settings(inner).into_iter().map(|(inner, value)| (format!("{name}.{inner}"), value)));
            }
            Value::String(text) => flat.push((name.clone(), text.clone())),
            other => flat.push((name.clone(), other.to_string())),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Budget, Failure, fixtures::head_to_head};
    use serde_json::json;

    #[test]
    fn settings_are_flat_and_in_order() {
        let runs = runs(&head_to_head());
        let expected = [("data.images", "1000"), ("methods", r#"["triplet","simclr"]"#), ("lr", "0.5")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(runs[0].2, expected);
    }

    #[test]
    fn settings_of_methods_that_did_not_run_are_left_out() {
        let mut report = head_to_head();
        let own = json!({ "x": 1 });
        let methods =
            ["triplet", "siamese", "simclr", "moco", "byol", "lmnn", "nca"].map(|name| (name.to_owned(), own.clone()));
        let mut methods: Map<String, Value> = methods.into_iter().collect();
        methods.insert("losses".into(), json!({ "arcface": own, "circle": own }));
        report.settings.insert("method".into(), methods.into());
        report.rows[0].method = "circle miner=all".into();
        report.failures.push(Failure { method: "mahalanobis".into(), seed: 1, error: "e".into(), run: String::new() });
        let shown: Vec<String> = runs(&report).remove(0).2.into_iter().map(|(name, _)| name).collect();
        let expected =
            ["triplet", "siamese", "simclr", "moco", "lmnn", "losses.circle"].map(|name| format!("method.{name}.x"));
        assert_eq!(shown[3..], expected);
        let names = |row: &str| learnt(row).join(",");
        assert_eq!(names("simclr-then-triplet+nca"), "simclr,triplet,nca");
        assert_eq!((names("pca"), names("of another version")), (String::new(), String::new()));
    }

    #[test]
    fn facts_of_one_run() {
        let mut report = head_to_head();
        report.device.clear();
        let (label, facts, _) = runs(&report).remove(0);
        assert_eq!(label, "");
        let of = |name: &str| facts.iter().find(|fact| fact.0 == name).map(|fact| fact.1.as_str());
        assert_eq!(of("Classes"), Some("10 (7 seen, 3 unseen); unseen: cat, <script>dog, ship"));
        assert_eq!(of("Seeds"), Some("1, 2, 3"));
        assert_eq!(of("Device"), None);
        assert_eq!(of("Budget of each method"), Some("2 epochs, 20 steps of 64 images, 1200 images in all"));
        report.budget = Budget { epochs: 1, steps: 1, images_seen: 256, batch: 256 };
        let facts = runs(&report).remove(0).1;
        let spent = facts.iter().find(|fact| fact.0 == "Budget of each method").unwrap();
        let expected = "1 epoch, 1 step of 256 images, 256 images in all; 344 of 600 training items are never used";
        assert_eq!(spent.1, expected);
    }
}

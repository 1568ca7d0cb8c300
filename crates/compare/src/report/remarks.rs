//! What went wrong, or is worth knowing, while the rows were made.

use super::{
    Report, Status, format,
    groups::{label_among, settings},
};
use std::collections::{BTreeMap, BTreeSet};

const STOPPED: &str =
    "stopped before the end of its budget and left out of means and verdicts; `compare run --resume` goes on";

/// Something that is said of one row or of several.
struct Remark<'a> {
    run: &'a str,
    text: String,
    /// Methods, with the settings that were swept, in the order of their rows, with the seeds.
    who: Vec<(String, BTreeSet<u64>)>,
}

/// Run and method, with the labels of its rows.
type Labels<'a> = BTreeMap<(&'a str, &'a str), BTreeSet<String>>;

impl Remark<'_> {
    /// What is said of a method at every value that was swept, and for the same seeds, is said of the method.
    fn gather(&mut self, labels: &Labels<'_>) {
        for ((_, method), all) in labels.iter().filter(|((run, _), all)| *run == self.run && all.len() > 1) {
            let own = || self.who.iter().filter(|(label, _)| all.contains(label));
            let seeds: BTreeSet<_> = own().map(|(_, seeds)| seeds.clone()).collect();
            if own().count() < all.len() || seeds.len() > 1 {
                continue;
            }
            let first = self.who.iter().position(|(label, _)| all.contains(label));
            self.who.retain(|(label, _)| !all.contains(label));
            let (at, seeds) = first.zip(seeds.into_iter().next()).unwrap_or_default();
            self.who.insert(at, ((*method).to_owned(), seeds));
        }
    }

    /// `run: pixels, pca, seeds 0, 1: text`.
    fn line(&self) -> String {
        let mut groups: Vec<(Vec<&str>, &BTreeSet<u64>)> = Vec::new();
        for (method, seeds) in &self.who {
            match groups.iter_mut().find(|(_, own)| *own == seeds) {
                Some((methods, _)) => methods.push(method),
                None => groups.push((vec![method], seeds)),
            }
        }
        let group = |(methods, seeds): (Vec<&str>, &BTreeSet<u64>)| {
            let several = if seeds.len() == 1 { "seed" } else { "seeds" };
            format!("{}, {several} {}", methods.join(", "), format::seeds(seeds))
        };
        let who = groups.into_iter().map(group).collect::<Vec<_>>().join("; ");
        let run = if self.run.is_empty() { String::new() } else { format!("{}: ", self.run) };
        format!("{run}{who}: {}", self.text)
    }
}

/// Failures, stopped rows and notes of rows, each text once for all rows of a run that it is about; notes of the report.
pub(super) fn remarks(report: &Report) -> Vec<String> {
    let mut found: Vec<Remark<'_>> = Vec::new();
    for failure in &report.failures {
        add(&mut found, &failure.run, failure.method.clone(), failure.seed, &format!("failed: {}", failure.error));
    }
    let settings = settings(&report.rows);
    for row in &report.rows {
        let all = &settings[&(row.run.as_str(), row.method.as_str())];
        let stopped = (row.status == Status::Stopped).then_some(STOPPED);
        for text in stopped.into_iter().chain(row.notes.iter().map(String::as_str)) {
            add(&mut found, &row.run, label_among(&row.method, &row.axes, all), row.seed, text);
        }
    }
    let labels = settings
        .iter()
        .map(|(&(run, method), all)| ((run, method), all.iter().map(|axes| label_among(method, axes, all)).collect()));
    let labels: Labels<'_> = labels.collect();
    found.iter_mut().for_each(|remark| remark.gather(&labels));
    found.iter().map(Remark::line).chain(report.notes.iter().cloned()).collect()
}

fn add<'a>(found: &mut Vec<Remark<'a>>, run: &'a str, method: String, seed: u64, text: &str) {
    match found.iter_mut().find(|remark| remark.run == run && remark.text == text) {
        Some(remark) => match remark.who.iter_mut().find(|(own, _)| *own == method) {
            Some((_, seeds)) => {
                seeds.insert(seed);
            }
            None => remark.who.push((method, BTreeSet::from([seed]))),
        },
        None => found.push(Remark { run, text: text.to_owned(), who: vec![(method, BTreeSet::from([seed]))] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Failure, fixtures::head_to_head};

    #[test]
    fn remarks_of_all_kinds() {
        let mut report = head_to_head();
        report.rows[1].status = Status::Stopped;
        report.rows[2].notes.push("collapsed".into());
        report.failures.push(Failure { method: "byol".into(), seed: 1, error: "no memory".into(), run: String::new() });
        // Of two settings the one that varies is named.
        report.rows[3].axes = [("batch".into(), 32.0), ("labels".into(), 1.0)].into();
        report.rows[4].axes = [("batch".into(), 64.0), ("labels".into(), 1.0)].into();
        report.rows[5].axes = report.rows[4].axes.clone();
        report.rows[3].notes.push("collapsed".into());
        report.notes.push("on battery".into());
        assert_eq!(
            remarks(&report),
            [
                "byol, seed 1: failed: no memory",
                "pixels, seed 2: stopped before the end of its budget and left out of means and verdicts; `compare run \
                 --resume` goes on",
                "pixels, seed 3; triplet batch=32, seed 1: collapsed",
                "on battery",
            ]
        );
    }

    #[test]
    fn what_is_said_at_every_value_is_said_of_the_method() {
        let mut report = head_to_head();
        report.rows.retain(|row| row.method == "moco" || row.method == "pixels");
        let mut other = report.rows.clone();
        report.rows.iter_mut().for_each(|row| _ = row.axes.insert("labels".into(), 1.0));
        other.iter_mut().for_each(|row| _ = row.axes.insert("labels".into(), 0.1));
        report.rows.extend(other);
        let moco = report.rows.iter_mut().filter(|row| row.method == "moco" && row.seed < 3);
        moco.for_each(|row| row.notes.push("collapsed".into()));
        let few = report.rows.iter_mut().filter(|row| row.method == "pixels" && row.axes["labels"] < 1.0);
        few.for_each(|row| row.notes.push("collapsed".into()));
        assert_eq!(remarks(&report), ["moco, seeds 1, 2; pixels labels=0.1, seeds 1, 2, 3: collapsed"]);
    }

    #[test]
    fn what_is_said_of_several_rows_is_said_once() {
        let mut report = head_to_head();
        let note = |report: &mut Report, method: &str, seeds: &[u64], text: &str| {
            let own = report.rows.iter_mut().filter(|row| row.method == method && seeds.contains(&row.seed));
            own.for_each(|row| row.notes.push(text.to_owned()));
        };
        note(&mut report, "simclr", &[1, 3], "frozen");
        note(&mut report, "pixels", &[1, 2, 3], "frozen");
        note(&mut report, "triplet", &[1, 2, 3], "frozen");
        note(&mut report, "triplet", &[2], "collapsed");
        let mut other = report.rows.iter().find(|row| row.method == "pixels").unwrap().clone();
        other.run = "b".into();
        report.rows.push(other);
        let expected = [
            "pixels, triplet, seeds 1, 2, 3; simclr, seeds 1, 3: frozen",
            "triplet, seed 2: collapsed",
            "b: pixels, seed 1: frozen",
        ];
        assert_eq!(remarks(&report), expected);
    }
}

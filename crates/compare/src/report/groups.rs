//! Rows that differ in their seed alone.

use super::{Paradigm, Row, Status, estimate::Seeds, format::labelled, usual::Usual};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// Settings that rows can differ in.
type Axes = BTreeMap<String, f64>;

/// The finished rows of one method under one setting.
pub(super) struct Group<'a> {
    pub run: &'a str,
    pub method: &'a str,
    pub paradigm: Paradigm,
    pub axes: &'a BTreeMap<String, f64>,
    rows: Vec<&'a Row>,
}

impl Group<'_> {
    /// The values of a score or cost by seed. A seed that occurs twice counts once, with its later row.
    pub fn values(&self, metric: &str) -> Seeds {
        self.rows.iter().filter_map(|row| Some((row.seed, row.value(metric)?))).collect()
    }

    /// Names of all scores and costs, sorted.
    pub fn metrics(&self) -> BTreeSet<&str> {
        self.rows.iter().flat_map(|row| row.metrics()).collect()
    }

    /// The first row that has a score or cost.
    pub fn row(&self, metric: &str) -> Option<&Row> {
        self.rows.iter().copied().find(|row| row.value(metric).is_some())
    }

    /// The finished rows, one a seed.
    pub fn rows(&self) -> &[&Row] {
        &self.rows
    }

    fn belongs(&self, row: &Row) -> bool {
        (self.run, self.method, self.paradigm) == (row.run.as_str(), row.method.as_str(), row.paradigm)
            && *self.axes == row.axes
    }
}

/// All groups: by run, then family, then method in the order of the rows, then swept setting.
pub(super) fn groups(rows: &[Row]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in rows.iter().filter(|row| row.status == Status::Ok) {
        match groups.iter_mut().find(|group| group.belongs(row)) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group {
                run: &row.run,
                method: &row.method,
                paradigm: row.paradigm,
                axes: &row.axes,
                rows: vec![row],
            }),
        }
    }
    let runs = runs(rows);
    let methods = distinct(rows.iter().map(|row| row.method.as_str()));
    let place = |names: &[&str], name: &str| names.iter().position(|known| *known == name);
    groups.sort_by(|a, b| {
        let key = |group: &Group<'_>| (place(&runs, group.run), group.paradigm, place(&methods, group.method));
        key(a).cmp(&key(b)).then_with(|| a.axes.partial_cmp(b.axes).unwrap_or(Ordering::Equal))
    });
    groups
}

/// The groups of a run that stand for their methods outside sweeps, all at one setting.
pub(super) fn usual<'g, 'a>(groups: &'g [Group<'a>], run: &str) -> Vec<&'g Group<'a>> {
    let own: Vec<&Group<'a>> = groups.iter().filter(|group| group.run == run).collect();
    let rows: Vec<&Row> = own.iter().flat_map(|group| group.rows.iter().copied()).collect();
    let usual = Usual::of(&rows);
    own.into_iter().filter(|group| usual.holds(group.method, group.axes)).collect()
}

/// The method's name, followed by the settings in which its groups of the same run differ: `simclr labels=0.1`.
pub(super) fn label(group: &Group<'_>, groups: &[Group<'_>]) -> String {
    let own = groups.iter().filter(|other| other.run == group.run && other.method == group.method);
    let all: Vec<_> = own.map(|other| other.axes).collect();
    label_among(group.method, group.axes, &all)
}

/// The method's name, followed by those of its settings that not all of `all` have.
pub(super) fn label_among(method: &str, axes: &Axes, all: &[&Axes]) -> String {
    let differs = |(axis, value): &(&String, &f64)| all.iter().any(|other| other.get(*axis) != Some(*value));
    labelled(method, &axes.iter().filter(differs).map(|(axis, value)| (axis.clone(), *value)).collect())
}

/// The settings of every method of a run, each once, of rows that are finished or not.
pub(super) fn settings(rows: &[Row]) -> BTreeMap<(&str, &str), Vec<&Axes>> {
    let mut found: BTreeMap<_, Vec<&Axes>> = BTreeMap::new();
    for row in rows {
        let own = found.entry((row.run.as_str(), row.method.as_str())).or_default();
        if !own.contains(&&row.axes) {
            own.push(&row.axes);
        }
    }
    found
}

/// Labels of the runs in the order of the rows; the empty label alone if there is no row.
pub(super) fn runs(rows: &[Row]) -> Vec<&str> {
    let runs = distinct(rows.iter().map(|row| row.run.as_str()));
    if runs.is_empty() { vec![""] } else { runs }
}

/// Each item once, in the order of its first appearance.
pub(super) fn distinct<'a>(items: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::row;

    const SCORE: &str = "transfer.seen.knn";

    #[test]
    fn order_and_labels() {
        let mut rows = vec![
            row("simclr", Paradigm::Contrastive, 1, &[(SCORE, 0.5)]),
            row("triplet", Paradigm::Metric, 1, &[(SCORE, 0.4)]),
            row("simclr", Paradigm::Contrastive, 2, &[(SCORE, 0.7)]),
            row("pixels", Paradigm::Baseline, 1, &[(SCORE, 0.1)]),
            row("triplet", Paradigm::Metric, 1, &[(SCORE, 0.3)]),
            row("siamese", Paradigm::Metric, 1, &[(SCORE, 0.3)]),
        ];
        for (row, share) in [(1, 1.0), (4, 0.1), (5, 1.0)] {
            rows[row].axes.insert("labels".into(), share);
        }
        rows.push(Row { status: Status::Stopped, ..row("moco", Paradigm::Contrastive, 1, &[(SCORE, 0.9)]) });
        let groups = groups(&rows);
        let labels: Vec<_> = groups.iter().map(|group| label(group, &groups)).collect();
        assert_eq!(labels, ["pixels", "triplet labels=0.1", "triplet labels=1", "siamese", "simclr"]);
        assert_eq!(groups[4].values(SCORE), Seeds::from([(1, 0.5), (2, 0.7)]));
        assert_eq!(Vec::from_iter(groups[4].metrics()), ["images_per_second", "train_seconds", SCORE]);
    }

    #[test]
    fn a_sweep_is_represented_by_its_usual_setting() {
        let mut rows = vec![row("triplet", Paradigm::Metric, 1, &[(SCORE, 0.5)]); 4];
        for (row, share) in rows.iter_mut().zip([0.1, 1.0, 0.5]) {
            row.axes.insert("labels".into(), share);
        }
        rows[3].method = "pixels".into();
        let groups = groups(&rows);
        let found: Vec<_> = usual(&groups, "").iter().map(|group| label(group, &groups)).collect();
        assert_eq!(found, ["triplet labels=1", "pixels"]);
        assert!(usual(&groups, "other").is_empty());
    }

    #[test]
    fn a_repeated_seed_counts_once() {
        let rows = [
            row("simclr", Paradigm::Contrastive, 1, &[(SCORE, 0.5)]),
            row("simclr", Paradigm::Contrastive, 1, &[(SCORE, 0.6)]),
        ];
        assert_eq!(groups(&rows)[0].values(SCORE), Seeds::from([(1, 0.6)]));
    }

    #[test]
    fn runs_stay_apart() {
        let mut rows = vec![row("simclr", Paradigm::Contrastive, 1, &[(SCORE, 0.5)]); 2];
        rows[0].run = "b".into();
        rows[1].run = "a".into();
        assert_eq!(runs(&rows), ["b", "a"]);
        assert_eq!(groups(&rows).iter().map(|group| group.run).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(runs(&[]), [""]);
    }
}

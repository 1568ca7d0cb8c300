//! The head-to-head table, which the terminal, Markdown and HTML show in their own way.

use super::{
    Paradigm, Report, definitions,
    estimate::{Estimate, FEWEST_SEEDS},
    format::labelled,
    groups::{Group, distinct, groups, label, runs, usual},
    standing::standing,
};
use std::collections::BTreeSet;

/// Explains the marks of the scores.
pub(super) const LEGEND: &str = "* best of its column; ~ not told from it by t-tests over the seeds (95 %, Holm's \
                                 correction over all pairs). Fewer than three seeds mark nothing. ± is half the 95 % \
                                 interval over seeds; there is none with one seed, where any difference may be chance, \
                                 and none where no seed changes the score.";

/// Scores shown, in the order of the columns, each with its rank when there is room for few. `*` stands for a data set
/// other than this one.
const HEADLINES: &[(&str, u8)] = &[
    ("retrieval.seen.recall_at_1", 4),
    ("retrieval.seen.map_at_r", 0),
    ("retrieval.unseen.map_at_r", 2),
    ("verification.unseen.roc_auc", 8),
    ("transfer.seen.linear_probe", 1),
    ("transfer.seen.knn", 7),
    ("transfer.unseen.linear_probe", 3),
    ("transfer.unseen.few_shot_5", 5),
    ("transfer.*.linear_probe", 9),
    ("train_seconds", 6),
];

/// Scores that stand for the two goals if they occur: one of retrieval, one of transfer, the preferred ones first.
const GOALS: [&[&str]; 2] = [
    &["retrieval.seen.map_at_r", "retrieval.seen.recall_at_1", "retrieval.unseen.map_at_r"],
    &["transfer.unseen.linear_probe", "transfer.seen.linear_probe", "transfer.unseen.few_shot_5", "transfer.seen.knn"],
];

/// The head-to-head of one run.
pub(super) struct Table<'a> {
    /// Label of the run; empty in the report of one run.
    pub run: &'a str,
    /// Names of scores and costs.
    pub columns: Vec<String>,
    /// One line for each method, in families; a method that was swept stands at its usual setting.
    pub lines: Vec<Line>,
    /// That setting, `labels=1`; empty without a sweep.
    pub setting: String,
    /// Methods that were not measured at it, and have no line.
    pub absent: Vec<&'a str>,
    /// One line for each method and setting where some were swept; else none.
    pub swept: Vec<Line>,
}

/// One method under one setting.
pub(super) struct Line {
    pub label: String,
    pub paradigm: Paradigm,
    /// One cell for each column, empty without a score.
    pub cells: Vec<Option<Cell>>,
}

/// A score over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    pub mean: f64,
    /// Half the width of the interval, with two seeds or more that do not all say the same.
    pub half: Option<f64>,
    /// How it stands in its column.
    pub mark: Mark,
}

/// How a score stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Behind, or of a column that is not ranked or has too few seeds.
    None,
    /// It cannot be told from the best.
    Tie,
    /// It has the best mean.
    Best,
}

impl Mark {
    /// The character behind the score.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Tie => "~",
            Self::Best => "*",
        }
    }
}

/// A table for each run that has finished rows.
pub(super) fn tables<'a>(report: &'a Report) -> Vec<Table<'a>> {
    let groups = groups(&report.rows);
    let table = |run: &'a str| {
        let all: Vec<&Group<'_>> = groups.iter().filter(|group| group.run == run).collect();
        let own = usual(&groups, run);
        let columns = columns(&all);
        let full = |group: &&Group<'_>| label(group, &groups);
        let stands = |method: &&str| own.iter().any(|group| group.method == *method);
        let absent: Vec<&str> =
            distinct(all.iter().map(|group| group.method)).into_iter().filter(|m| !stands(m)).collect();
        Table {
            run,
            lines: lines(&own, &columns, |group| group.method.to_owned()),
            setting: setting(&own, &all),
            absent,
            swept: if own.len() < all.len() { lines(&all, &columns, full) } else { Vec::new() },
            columns,
        }
    };
    runs(&report.rows).into_iter().map(table).filter(|table| !table.lines.is_empty()).collect()
}

/// Where the groups that have a line stand on the axes that some groups differ in.
fn setting(own: &[&Group<'_>], all: &[&Group<'_>]) -> String {
    let differs = |(axis, value): &(&String, &f64)| {
        all.iter().filter_map(|group| group.axes.get(*axis)).any(|other| other != *value)
    };
    let of = |group: &&Group<'_>| {
        let axes = group.axes.iter().filter(differs).map(|(axis, value)| (axis.clone(), *value)).collect();
        labelled("", &axes).trim().to_owned()
    };
    let settings: Vec<String> = own.iter().map(of).filter(|setting| !setting.is_empty()).collect();
    distinct(settings.iter().map(String::as_str)).join(" or ")
}

impl Table<'_> {
    /// What the first table has of a sweep, in words.
    pub(super) fn standing(&self) -> String {
        let was = if self.absent.len() == 1 { "was" } else { "were" };
        let absent = match self.absent.as_slice() {
            [] => String::new(),
            names => format!(" {} {was} not measured there and left out.", names.join(", ")),
        };
        let setting = if self.setting.is_empty() { "their own setting" } else { &self.setting };
        format!("Methods that were swept stand at {setting}.{absent}")
    }
}

/// A line for each group, with its place among these.
fn lines(groups: &[&Group<'_>], columns: &[String], name: impl Fn(&&Group<'_>) -> String) -> Vec<Line> {
    let cells: Vec<_> = columns.iter().map(|metric| column(groups, metric)).collect();
    let line = |(i, group): (usize, &&Group<'_>)| Line {
        label: name(group),
        paradigm: group.paradigm,
        cells: cells.iter().map(|column| column[i]).collect(),
    };
    groups.iter().enumerate().map(line).collect()
}

/// The columns that stand for retrieval and for transfer, each if it occurs.
pub(super) fn goals(columns: &[String]) -> [Option<usize>; 2] {
    let position = |name: &&str| columns.iter().position(|column| column == name);
    GOALS.map(|names| names.iter().find_map(position))
}

/// How soon a column goes when there is no room for it: the larger, the sooner.
pub(super) fn rank(column: &str) -> u8 {
    let fits = |headline: &str| headline == column || other_data(headline, column);
    HEADLINES.iter().find(|(headline, _)| fits(headline)).map_or(u8::MAX, |(_, rank)| *rank)
}

/// The headline scores that occur; all scores if none does.
fn columns(groups: &[&Group<'_>]) -> Vec<String> {
    let occurring: BTreeSet<&str> = groups.iter().flat_map(|group| group.metrics()).collect();
    let scores = |name: &&str| name.contains('.');
    let mut columns: Vec<String> = Vec::new();
    for (headline, _) in HEADLINES {
        let fits = |name: &&str| *name == *headline || other_data(headline, name);
        columns.extend(occurring.iter().copied().filter(fits).map(str::to_owned));
    }
    if columns.iter().any(|name| name.contains('.')) {
        columns
    } else {
        occurring.iter().copied().filter(scores).map(str::to_owned).chain(columns).collect()
    }
}

/// Whether `name` is the headline score on another data set.
fn other_data(headline: &str, name: &str) -> bool {
    let place = definitions::place(name);
    headline.contains('*') && !matches!(place, "seen" | "unseen" | "") && headline.replace('*', place) == name
}

/// The cells of one column, with its best marked.
fn column(groups: &[&Group<'_>], metric: &str) -> Vec<Option<Cell>> {
    let values: Vec<_> = groups.iter().map(|group| group.values(metric)).collect();
    let estimates: Vec<_> =
        values.iter().map(|seeds| Estimate::of(&seeds.values().copied().collect::<Vec<_>>())).collect();
    let standing = standing(groups, metric).filter(|standing| values[standing.best].len() >= FEWEST_SEEDS);
    let mark = |i: usize| match &standing {
        Some(standing) if standing.best == i => Mark::Best,
        Some(standing) if standing.others[i].is_some_and(|other| other.tie && !other.lead.few()) => Mark::Tie,
        _ => Mark::None,
    };
    let cell = |(i, estimate): (usize, &Option<Estimate>)| {
        let Estimate { mean, interval, .. } = (*estimate)?;
        Some(Cell { mean, half: interval.map(|(low, high)| (high - low) / 2.0), mark: mark(i) })
    };
    estimates.iter().enumerate().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{head_to_head, row, seeds};

    const SCORE: &str = "retrieval.seen.map_at_r";

    fn marks(rows: Vec<crate::report::Row>) -> Vec<Mark> {
        let report = Report { rows, ..Report::default() };
        let tables = tables(&report);
        tables[0].lines.iter().map(|line| line.cells[0].map_or(Mark::None, |cell| cell.mark)).collect()
    }

    #[test]
    fn columns_that_occur_in_order() {
        let report = head_to_head();
        let tables = tables(&report);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].columns, ["retrieval.seen.map_at_r", "transfer.unseen.linear_probe", "train_seconds"]);
        let labels: Vec<_> = tables[0].lines.iter().map(|line| line.label.as_str()).collect();
        assert_eq!(labels, ["pixels", "triplet", "siamese", "simclr", "moco"]);
        let marks: Vec<_> = tables[0].lines.iter().map(|line| line.cells[0].unwrap().mark).collect();
        assert_eq!(marks, [Mark::None, Mark::Best, Mark::None, Mark::None, Mark::None]);
        let costs = tables[0].lines.iter().map(|line| line.cells[2].unwrap());
        assert!(costs.clone().all(|cost| cost.mark == Mark::None), "costs are not ranked");
        assert!(costs.clone().all(|cost| cost.half.is_none()), "the same in every seed");
        // Deviation 0.01 over three seeds: 4.302653 * 0.01 / sqrt(3).
        assert!((tables[0].lines[1].cells[0].unwrap().half.unwrap() - 0.024_841).abs() < 1e-6);
    }

    #[test]
    fn a_swept_method_stands_at_its_usual_setting() {
        let at = |share: f64, scores: &[f64]| {
            crate::report::fixtures::at("labels", share, seeds("a", Paradigm::Metric, SCORE, scores))
        };
        let mut rows = at(0.1, &[0.3, 0.4]);
        rows.extend(at(1.0, &[0.5, 0.6]));
        rows.extend(seeds("pixels", Paradigm::Baseline, SCORE, &[0.2, 0.2]));
        let report = Report { rows, ..Report::default() };
        let table = &tables(&report)[0];
        let labels = |lines: &[Line]| lines.iter().map(|line| line.label.clone()).collect::<Vec<_>>();
        assert_eq!((labels(&table.lines), table.setting.as_str()), (vec!["pixels".into(), "a".into()], "labels=1"));
        assert_eq!(labels(&table.swept), ["pixels", "a labels=0.1", "a labels=1"]);
        assert!((table.lines[1].cells[0].unwrap().mean - 0.55).abs() < 1e-12);
        assert_eq!(table.standing(), "Methods that were swept stand at labels=1.");
        let mut few = report.rows.clone();
        few.extend(crate::report::fixtures::at("labels", 0.1, seeds("b", Paradigm::Metric, SCORE, &[0.9, 0.9])));
        few.extend(crate::report::fixtures::at("labels", 1.0, seeds("c", Paradigm::Metric, SCORE, &[0.1, 0.1])));
        let few = Report { rows: few, ..Report::default() };
        let found = &tables(&few)[0];
        assert_eq!(labels(&found.lines), ["pixels", "a", "c"]);
        assert_eq!(
            found.standing(),
            "Methods that were swept stand at labels=1. b was not measured there and left out."
        );
        let plain = head_to_head();
        assert!(tables(&plain)[0].swept.is_empty() && tables(&plain)[0].setting.is_empty());
    }

    #[test]
    fn goals_that_occur() {
        let report = head_to_head();
        assert_eq!(goals(&tables(&report)[0].columns), [Some(0), Some(1)]);
        assert_eq!(goals(&["clustering.seen.nmi".into(), "transfer.seen.knn".into()]), [None, Some(1)]);
    }

    #[test]
    fn other_data_sets_have_columns() {
        let scores =
            [("transfer.optdigits.linear_probe", 0.5), ("transfer.optdigits.knn", 0.5), ("transfer.seen.knn", 0.5)];
        let report = Report { rows: vec![row("simclr", Paradigm::Contrastive, 1, &scores)], ..Report::default() };
        let columns = &tables(&report)[0].columns;
        assert_eq!(*columns, ["transfer.seen.knn", "transfer.optdigits.linear_probe", "train_seconds"]);
        assert_eq!((rank("transfer.optdigits.linear_probe"), rank("transfer.seen.knn")), (9, 7));
        assert_eq!(rank("clustering.seen.nmi"), u8::MAX);
    }

    #[test]
    fn without_headlines_all_scores_are_shown() {
        let scores = [("clustering.seen.nmi", 0.5), ("clustering.seen.ami", 0.5)];
        let report = Report { rows: vec![row("simclr", Paradigm::Contrastive, 1, &scores)], ..Report::default() };
        assert_eq!(tables(&report)[0].columns, ["clustering.seen.ami", "clustering.seen.nmi", "train_seconds"]);
    }

    #[test]
    fn ties_are_marked() {
        let mut rows = seeds("a", Paradigm::Metric, SCORE, &[0.50, 0.60, 0.55]);
        rows.extend(seeds("b", Paradigm::Metric, SCORE, &[0.51, 0.58, 0.54]));
        rows.extend(seeds("c", Paradigm::Metric, SCORE, &[0.10, 0.20, 0.15]));
        assert_eq!(marks(rows.clone()), [Mark::Best, Mark::Tie, Mark::None]);
        // Two seeds say too little to mark anything.
        rows.retain(|row| row.seed < 3);
        assert_eq!(marks(rows), [Mark::None; 3]);
    }

    #[test]
    fn lower_is_better_for_errors() {
        let score = "verification.seen.eer";
        let mut rows = seeds("a", Paradigm::Metric, score, &[0.1, 0.11, 0.1]);
        rows.extend(seeds("b", Paradigm::Metric, score, &[0.2, 0.2, 0.21]));
        assert_eq!(marks(rows), [Mark::Best, Mark::None]);
    }
}

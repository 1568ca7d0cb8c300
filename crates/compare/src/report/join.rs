//! One report over several runs.

use super::{
    Budget, DatasetInfo, Failure, Figures, Report, ReportError, Row, RunInfo, SCHEMA, facts, groups::distinct,
};
use std::collections::BTreeMap;

/// Puts the rows of several reports together, each labelled with its run: data set and encoder. One report alone comes
/// back as it is, summarised anew.
///
/// Reports of the same data, encoder and epochs become one run, so that methods trained apart, or sweeps, are compared
/// with each other. If they repeat a method with the same setting and seed, they stay apart under numbered labels:
/// counting a seed twice would narrow every interval. Pictures go with their rows. Checkpoints are not taken over, as
/// their paths belong to their own report.
///
/// # Errors
/// When there is no report, or one has another schema.
pub fn join(mut parts: Vec<(Report, Figures)>) -> Result<(Report, Figures), ReportError> {
    if let Some((other, _)) = parts.iter().find(|(report, _)| report.schema != SCHEMA) {
        let origin = format!("the report of {}", facts::title(other));
        return Err(ReportError::Schema { origin, found: other.schema.to_string(), expected: SCHEMA });
    }
    let (mut report, figures) = match parts.len() {
        0 => return Err(ReportError::NothingToJoin),
        1 => parts.remove(0),
        _ => {
            let mut joined = Joined::default();
            let mut sets = Vec::new();
            for (mut report, figures) in parts {
                joined.notes.append(&mut report.notes);
                // The pictures of one run have no label; its only piece has.
                let single = report.runs.is_empty();
                let labels: BTreeMap<String, String> = pieces(report)
                    .into_iter()
                    .map(|piece| {
                        let old = if single { String::new() } else { piece.info.label.clone() };
                        (old, joined.add(piece))
                    })
                    .collect();
                sets.extend(figures.relabelled(|run| labels.get(run).cloned()));
            }
            (joined.into_report(), Figures { sets })
        }
    };
    report.summarize();
    Ok((report, figures))
}

/// One run of a report.
struct Piece {
    info: RunInfo,
    rows: Vec<Row>,
    failures: Vec<Failure>,
}

/// The runs of a report, which may be joined itself.
fn pieces(report: Report) -> Vec<Piece> {
    let info = report.info();
    let Report { runs, rows, failures, .. } = report;
    if runs.is_empty() {
        return vec![Piece { info, rows, failures }];
    }
    let empty = |info| Piece { info, rows: Vec::new(), failures: Vec::new() };
    let mut pieces: Vec<Piece> = runs.into_iter().map(empty).collect();
    for row in rows {
        piece(&mut pieces, &row.run).rows.push(row);
    }
    for failure in failures {
        piece(&mut pieces, &failure.run).failures.push(failure);
    }
    pieces
}

/// The run with this label; rows of a run that the file does not describe keep their label.
fn piece<'a>(pieces: &'a mut Vec<Piece>, label: &str) -> &'a mut Piece {
    let at = match pieces.iter().position(|piece| piece.info.label == label) {
        Some(at) => at,
        None => {
            let info = RunInfo { label: label.to_owned(), ..RunInfo::default() };
            pieces.push(Piece { info, rows: Vec::new(), failures: Vec::new() });
            pieces.len() - 1
        }
    };
    &mut pieces[at]
}

/// What is joined so far.
#[derive(Default)]
struct Joined {
    runs: Vec<RunInfo>,
    rows: Vec<Row>,
    failures: Vec<Failure>,
    notes: Vec<String>,
}

impl Joined {
    /// Takes over the rows of a piece and returns the label that they stand under.
    fn add(&mut self, piece: Piece) -> String {
        let mut label = piece.info.label.clone();
        let mut number = 1;
        while !self.fits(&piece, &label) {
            number += 1;
            label = format!("{} ({number})", piece.info.label);
        }
        match self.runs.iter_mut().find(|run| run.label == label) {
            Some(run) if run.command == piece.info.command => {}
            Some(run) => run.command += &format!("; {}", piece.info.command),
            None => self.runs.push(RunInfo { label: label.clone(), ..piece.info }),
        }
        let rows = piece.rows.into_iter().map(|row| Row { run: label.clone(), checkpoint: None, ..row });
        self.rows.extend(rows);
        self.failures.extend(piece.failures.into_iter().map(|failure| Failure { run: label.clone(), ..failure }));
        label
    }

    /// Whether the rows may stand under this label: it is free, or its run is the same and repeats none of them.
    fn fits(&self, piece: &Piece, label: &str) -> bool {
        let Some(run) = self.runs.iter().find(|run| run.label == label) else { return true };
        let same = (&run.dataset, &run.encoder, run.budget.epochs)
            == (&piece.info.dataset, &piece.info.encoder, piece.info.budget.epochs);
        let repeats = |row: &Row| {
            let same_place = |new: &Row| (&new.method, new.seed, &new.axes) == (&row.method, row.seed, &row.axes);
            row.run == label && piece.rows.iter().any(same_place)
        };
        same && !self.rows.iter().any(repeats)
    }

    fn into_report(self) -> Report {
        let all = |of: fn(&RunInfo) -> &str, between: &str| {
            distinct(self.runs.iter().map(of).filter(|text| !text.is_empty())).join(between)
        };
        Report {
            command: all(|run| &run.command, "; "),
            backend: all(|run| &run.backend, " + "),
            device: all(|run| &run.device, " + "),
            encoder: all(|run| &run.encoder, " + "),
            dataset: datasets(&self.runs),
            budget: largest_budget(&self.runs),
            rows: self.rows,
            failures: self.failures,
            notes: self.notes,
            runs: self.runs,
            ..Report::default()
        }
    }
}

/// The data set of all runs; of several, the sums.
fn datasets(runs: &[RunInfo]) -> DatasetInfo {
    let mut sets: Vec<&DatasetInfo> = Vec::new();
    for run in runs {
        if !sets.contains(&&run.dataset) {
            sets.push(&run.dataset);
        }
    }
    if let [only] = sets[..] {
        return only.clone();
    }
    let sum = |of: fn(&DatasetInfo) -> usize| sets.iter().map(|set| of(set)).sum::<usize>();
    DatasetInfo {
        name: distinct(sets.iter().map(|set| set.name.as_str())).join(" + "),
        classes: sum(|set| set.classes),
        seen_classes: sum(|set| set.seen_classes),
        unseen_classes: sum(|set| set.unseen_classes),
        train: sum(|set| set.train),
        validation: sum(|set| set.validation),
        test: sum(|set| set.test),
        unseen_class_names: Vec::new(),
    }
}

/// The most that any run could spend.
fn largest_budget(runs: &[RunInfo]) -> Budget {
    let most = |of: fn(&Budget) -> usize| runs.iter().map(|run| of(&run.budget)).max().unwrap_or(0);
    Budget {
        epochs: most(|budget| budget.epochs),
        steps: most(|budget| budget.steps),
        images_seen: most(|budget| budget.images_seen),
        batch: most(|budget| budget.batch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        Paradigm,
        fixtures::{at, figures, head_to_head, seeds},
    };

    const SCORE: &str = "transfer.seen.knn";

    /// Without pictures.
    fn join(reports: Vec<Report>) -> Result<Report, ReportError> {
        super::join(reports.into_iter().map(|report| (report, Figures::default())).collect()).map(|(report, _)| report)
    }

    #[test]
    fn pictures_go_with_their_rows() {
        let simclr = seeds("simclr", Paradigm::Contrastive, SCORE, &[0.5, 0.6]);
        let parts = ["a", "b", "a"].map(|name| (report(name, simclr.clone()), figures()));
        let (joined, pictures) = super::join(parts.into()).unwrap();
        let runs: Vec<_> = pictures.sets.iter().map(|set| set.run.as_str()).collect();
        assert_eq!(runs, ["a/conv4", "b/conv4", "a/conv4 (2)"]);
        // Joined again, they follow their new labels.
        let again = super::join(vec![(joined, pictures), (report("c", simclr), figures())]).unwrap().1;
        let runs: Vec<_> = again.sets.iter().map(|set| set.run.as_str()).collect();
        assert_eq!(runs, ["a/conv4", "b/conv4", "a/conv4 (2)", "c/conv4"]);
    }

    fn report(name: &str, rows: Vec<Row>) -> Report {
        let mut report = Report { rows, ..head_to_head() };
        report.dataset.name = name.into();
        report
    }

    fn labels(report: &Report) -> Vec<&str> {
        report.runs.iter().map(|run| run.label.as_str()).collect()
    }

    #[test]
    fn runs_on_other_data_stay_apart() {
        let simclr = seeds("simclr", Paradigm::Contrastive, SCORE, &[0.5, 0.6]);
        let joined = join(vec![report("a", simclr.clone()), report("b", simclr)]).unwrap();
        assert_eq!(labels(&joined), ["a/conv4", "b/conv4"]);
        assert_eq!(
            joined.rows.iter().map(|row| row.run.as_str()).collect::<Vec<_>>(),
            ["a/conv4", "a/conv4", "b/conv4", "b/conv4"]
        );
        assert_eq!((joined.dataset.name.as_str(), joined.dataset.train, joined.budget.epochs), ("a + b", 1200, 2));
        assert_eq!((joined.verdicts.len(), joined.encoder.as_str()), (8, "conv4"));
        assert!(joined.summary.iter().all(|summary| summary.seeds == 2 && !summary.run.is_empty()));
    }

    #[test]
    fn parts_of_one_experiment_become_one_run() {
        let metric = report("a", seeds("triplet", Paradigm::Metric, SCORE, &[0.5, 0.6]));
        let mut contrastive = report("a", seeds("simclr", Paradigm::Contrastive, SCORE, &[0.5, 0.6]));
        contrastive.command = "compare run --methods simclr".into();
        let sweep = report("a", at("labels", 0.1, seeds("triplet", Paradigm::Metric, SCORE, &[0.3, 0.4])));
        let joined = join(vec![metric, contrastive, sweep]).unwrap();
        assert_eq!(labels(&joined), ["a/conv4"]);
        assert_eq!((joined.rows.len(), joined.dataset.train), (6, 600));
        assert!(
            joined.command.ends_with("; compare run --methods simclr; compare run --seeds 3"),
            "{}",
            joined.command
        );
    }

    #[test]
    fn repeated_seeds_are_not_counted_twice() {
        let rows = seeds("simclr", Paradigm::Contrastive, SCORE, &[0.5, 0.6]);
        let joined = join(vec![report("a", rows.clone()), report("a", rows.clone()), report("a", rows)]).unwrap();
        assert_eq!(labels(&joined), ["a/conv4", "a/conv4 (2)", "a/conv4 (3)"]);
        assert!(joined.summary.iter().all(|summary| summary.seeds == 2));
        // A joined report can be joined again.
        let other = report("b", seeds("simclr", Paradigm::Contrastive, SCORE, &[0.5]));
        let again = join(vec![joined, other]).unwrap();
        assert_eq!(labels(&again), ["a/conv4", "a/conv4 (2)", "a/conv4 (3)", "b/conv4"]);
        assert_eq!(again.rows.len(), 7);
    }

    #[test]
    fn one_report_comes_back() {
        let mut expected = head_to_head();
        let joined = join(vec![expected.clone()]).unwrap();
        expected.summarize();
        assert_eq!(joined, expected);
    }

    #[test]
    fn other_schemas_and_nothing_are_refused() {
        assert!(matches!(join(Vec::new()), Err(ReportError::NothingToJoin)));
        let other = Report { schema: 2, ..report("a", Vec::new()) };
        let error = join(vec![report("b", Vec::new()), other]).unwrap_err().to_string();
        assert!(error.contains("the report of a/conv4 has schema 2"), "{error}");
    }
}

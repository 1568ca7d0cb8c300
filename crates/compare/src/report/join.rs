//! One report over several runs.

use super::{
    Budget, DatasetInfo, Failure, Figures, Report, ReportError, Row, RunInfo, SCHEMA, apart::differences, facts,
    groups::distinct,
};
use std::collections::BTreeMap;

/// Puts the rows of several reports together, each labelled with its run: data set and encoder. One report alone comes
/// back as it is, summarised anew.
///
/// Reports of the same data, encoder and settings become one run, so that methods trained apart, or sweeps, are compared
/// with each other. If their settings differ, or the seed of their splits, they stay apart, and the label says in what; if
/// they repeat a method with the same setting and seed, under numbered labels: counting a seed twice would narrow every
/// interval. Pictures go with their rows. Checkpoints are not taken over, as their paths belong to their own report.
///
/// # Errors
/// When there is no report, one has another schema, or two are the same run.
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
                let mut labels: BTreeMap<String, String> = BTreeMap::new();
                for piece in pieces(report) {
                    let old = if single { String::new() } else { piece.info.label.clone() };
                    labels.insert(old, joined.add(piece)?);
                }
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
    /// For each run, the label that it came with.
    given: Vec<String>,
    rows: Vec<Row>,
    failures: Vec<Failure>,
    notes: Vec<String>,
}

impl Joined {
    /// Takes over the rows of a piece and returns the label that they stand under.
    fn add(&mut self, piece: Piece) -> Result<String, ReportError> {
        if (0..self.runs.len()).any(|at| self.is_twin(&piece, at)) {
            return Err(ReportError::Repeated { run: piece.info.label });
        }
        let home = (0..self.runs.len()).find(|at| self.fits(&piece, *at));
        let label = home.map_or_else(|| self.free_label(&piece), |at| self.runs[at].label.clone());
        match home.map(|at| &mut self.runs[at]) {
            Some(run) if run.command == piece.info.command => {}
            Some(run) => run.command += &format!("; {}", piece.info.command),
            None => {
                self.given.push(piece.info.label.clone());
                self.runs.push(RunInfo { label: label.clone(), ..piece.info });
            }
        }
        let rows = piece.rows.into_iter().map(|row| Row { run: label.clone(), checkpoint: None, ..row });
        self.rows.extend(rows);
        self.failures.extend(piece.failures.into_iter().map(|failure| Failure { run: label.clone(), ..failure }));
        Ok(label)
    }

    /// Whether all rows are there already, down to their cost: the run itself, and not its repetition.
    fn is_twin(&self, piece: &Piece, at: usize) -> bool {
        let (run, rows) = (&self.runs[at], self.rows_of(at));
        let alike = |row: &Row, new: &Row| same_place(row, new) && (&row.scores, row.cost) == (&new.scores, new.cost);
        run.dataset.same(&piece.info.dataset)
            && run.encoder == piece.info.encoder
            && !piece.rows.is_empty()
            && piece.rows.iter().all(|new| rows.iter().any(|row| alike(row, new)))
    }

    /// Whether the rows may stand under the label of a run: it came with the same label, has the same settings and repeats
    /// none of them.
    fn fits(&self, piece: &Piece, at: usize) -> bool {
        let run = &self.runs[at];
        let same = run.dataset.same(&piece.info.dataset)
            && (&run.encoder, run.budget.epochs) == (&piece.info.encoder, piece.info.budget.epochs);
        let repeats = |row: &&Row| piece.rows.iter().any(|new| same_place(row, new));
        self.given[at] == piece.info.label
            && same
            && self.differences(piece, at).is_empty()
            && !self.rows_of(at).iter().any(repeats)
    }

    /// A label that no run has: with what its settings differ in from the first run that came with the same, or numbered.
    fn free_label(&self, piece: &Piece) -> String {
        let given = &piece.info.label;
        let differences = match self.given.iter().position(|known| known == given) {
            Some(first) => self.differences(piece, first).join(", "),
            None => String::new(),
        };
        let label = if differences.is_empty() { given.clone() } else { format!("{given} ({differences})") };
        let numbered = (2..).map(|number| format!("{label} ({number})"));
        let free = |label: &String| self.runs.iter().all(|run| run.label != *label);
        [label.clone()].into_iter().chain(numbered).find(free).unwrap_or_default()
    }

    fn differences(&self, piece: &Piece, at: usize) -> Vec<String> {
        let own: Vec<&Row> = piece.rows.iter().collect();
        differences((&self.runs[at], &self.rows_of(at)), (&piece.info, &own))
    }

    fn rows_of(&self, at: usize) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.run == self.runs[at].label).collect()
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
            budget: common_budget(&self.runs),
            rows: self.rows,
            failures: self.failures,
            notes: self.notes,
            runs: self.runs,
            ..Report::default()
        }
    }
}

/// Whether two rows are of one method with one setting and seed.
fn same_place(a: &Row, b: &Row) -> bool {
    (&a.method, a.seed, &a.axes) == (&b.method, b.seed, &b.axes)
}

/// The data set of all runs; of several, the sums.
fn datasets(runs: &[RunInfo]) -> DatasetInfo {
    let mut sets: Vec<&DatasetInfo> = Vec::new();
    for run in runs {
        if !sets.iter().any(|set| set.same(&run.dataset)) {
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
        ..DatasetInfo::default()
    }
}

/// What every run could spend, if that is the same; else zeros, as there is no such budget.
fn common_budget(runs: &[RunInfo]) -> Budget {
    match runs {
        [first, others @ ..] if others.iter().all(|run| run.budget == first.budget) => first.budget,
        _ => Budget::default(),
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
        let repeated = again(simclr.clone());
        let parts = [("a", simclr.clone()), ("b", simclr.clone()), ("a", repeated)];
        let parts = parts.map(|(name, rows)| (report(name, rows), figures()));
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

    /// The same rows of another run, which took longer.
    fn again(mut rows: Vec<Row>) -> Vec<Row> {
        rows.iter_mut().for_each(|row| row.cost.train_seconds += 1.0);
        rows
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
        let (second, third) = (again(rows.clone()), again(again(rows.clone())));
        let joined = join(vec![report("a", rows), report("a", second), report("a", third)]).unwrap();
        assert_eq!(labels(&joined), ["a/conv4", "a/conv4 (2)", "a/conv4 (3)"]);
        assert!(joined.summary.iter().all(|summary| summary.seeds == 2));
        // A joined report can be joined again.
        let other = report("b", seeds("simclr", Paradigm::Contrastive, SCORE, &[0.5]));
        let again = join(vec![joined, other]).unwrap();
        assert_eq!(labels(&again), ["a/conv4", "a/conv4 (2)", "a/conv4 (3)", "b/conv4"]);
        assert_eq!(again.rows.len(), 7);
    }

    #[test]
    fn a_run_given_twice_is_refused() {
        let rows = seeds("simclr", Paradigm::Contrastive, SCORE, &[0.5, 0.6]);
        let error = join(vec![report("a", rows.clone()), report("a", rows)]).unwrap_err().to_string();
        assert!(error.contains("`a/conv4` is given twice"), "{error}");
    }

    /// Seeds of runs with other settings are not seeds of one run.
    #[test]
    fn other_settings_stay_apart_and_are_named() {
        let with = |epochs: usize, seed: u64, rows: Vec<Row>| {
            let mut report = report("a", rows);
            report.budget.epochs = epochs;
            report.settings.insert("epochs".into(), epochs.into());
            report.settings.insert("seed".into(), seed.into());
            report
        };
        let simclr = |shift: usize| {
            let mut rows = seeds("simclr", Paradigm::Contrastive, SCORE, &[0.5, 0.6]);
            rows.iter_mut().for_each(|row| row.seed += shift as u64);
            rows
        };
        let triplet = seeds("triplet", Paradigm::Metric, SCORE, &[0.5, 0.6]);
        let parts = vec![
            with(60, 0, simclr(0)),
            with(30, 0, simclr(10)),
            with(60, 7, simclr(20)),
            with(60, 0, triplet),
            with(30, 0, simclr(30)),
        ];
        let joined = join(parts).unwrap();
        assert_eq!(labels(&joined), ["a/conv4", "a/conv4 (epochs 30)", "a/conv4 (seed 7)"]);
        let rows = |label: &str| joined.rows.iter().filter(|row| row.run == label).count();
        assert_eq!((rows("a/conv4"), rows("a/conv4 (epochs 30)")), (4, 4));
        assert_eq!(joined.budget, Budget::default(), "there is no joint budget");
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

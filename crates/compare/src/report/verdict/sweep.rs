//! Supervision and training: how does the gap between the families change along a sweep?

use super::{
    COMMON, Crossover, Difference, Verdict, advice,
    family::{Best, Family},
    sentences, weight,
};
use crate::report::{
    Paradigm, Row,
    axis::{BATCH, LABELS},
    estimate::Estimate,
    format::{number, percent},
};
use std::collections::{BTreeMap, BTreeSet};

const SUPERVISION: &str =
    "Metric learning lives on labels: the fewer are given, the more contrastive learning gains on it.";
const TRAINING: &str = "Contrastive learning gains more from large batches than metric learning does.";

/// Values by axis, as bits: positive numbers keep their order so.
type Setting<'a> = Vec<(&'a str, u64)>;

/// Both families along an axis.
struct Sweep<'a> {
    score: &'static str,
    /// By rising value, at least two.
    points: Vec<Point<'a>>,
}

/// Both families at one value of the axis.
struct Point<'a> {
    value: f64,
    metric: Best<'a>,
    contrastive: Best<'a>,
}

impl Point<'_> {
    /// By how much the contrastive family is ahead.
    fn gap(&self) -> f64 {
        self.contrastive.mean() - self.metric.mean()
    }

    /// The same of one seed, if both families have it.
    fn gap_of(&self, seed: u64) -> Option<f64> {
        Some(self.contrastive.seeds.get(&seed)? - self.metric.seeds.get(&seed)?)
    }
}

/// The verdict on labels: is the contrastive family further ahead with the fewest labels than with the most?
pub(super) fn supervision(rows: &[&Row]) -> Verdict {
    let command = "compare sweep --axis labels";
    let Some(sweep) = sweep(rows, LABELS) else {
        return not_measured(Difference::Supervision, SUPERVISION, "two shares of the labels", command);
    };
    let [low, high] = sweep.ends();
    let change = change(low, high);
    let evidence = change.as_ref().map_or_else(String::new, |change| {
        let lead = format!("{}: {}.", sweep.score, sweep.leads(percent));
        let gain = format!("With the fewest labels contrastive learning gains {}.", weight(change));
        let crossover = sweep.crossover().map_or_else(String::new, |crossover| crossover.sentence);
        sentences(&[lead, crossover, gain, advice(change, command)])
    });
    Verdict::new(Difference::Supervision, SUPERVISION, change.as_ref(), evidence)
}

/// The verdict on batches: is the contrastive family further ahead with the largest batch than with the smallest?
pub(super) fn training(rows: &[&Row]) -> Verdict {
    let command = "compare sweep --axis batch";
    let Some(sweep) = sweep(rows, BATCH) else {
        return not_measured(Difference::Training, TRAINING, "two batch sizes", command);
    };
    let [low, high] = sweep.ends();
    let change = change(high, low);
    let evidence = change.as_ref().map_or_else(String::new, |change| {
        let lead = format!("{}: {}.", sweep.score, sweep.leads(|batch| format!("batch {batch}")));
        let gain = format!("With the largest batch contrastive learning gains {}.", weight(change));
        sentences(&[lead, gain, advice(change, command)])
    });
    Verdict::new(Difference::Training, TRAINING, change.as_ref(), evidence)
}

fn not_measured(difference: Difference, claim: &str, lack: &str, command: &str) -> Verdict {
    let evidence = format!("Not measured: needs both families at {lack} at least; `{command} --seeds 3` decides.");
    Verdict::new(difference, claim, None, evidence)
}

/// How much the gap at `here` exceeds the gap at `there`.
fn change(here: &Point<'_>, there: &Point<'_>) -> Option<Estimate> {
    Estimate::combine(&[
        (1.0, &here.contrastive.seeds),
        (-1.0, &here.metric.seeds),
        (-1.0, &there.contrastive.seeds),
        (1.0, &there.metric.seeds),
    ])
}

/// The first common score that both families have at two values of the axis.
fn sweep<'a>(rows: &[&'a Row], axis: &str) -> Option<Sweep<'a>> {
    sweeps(rows, axis).into_iter().next()
}

/// Both families along the axis on every common score that they have at two values of it.
fn sweeps<'a>(rows: &[&'a Row], axis: &str) -> Vec<Sweep<'a>> {
    let rows = along(rows, axis);
    let mut values: Vec<f64> = rows.iter().filter_map(|row| row.axes.get(axis).copied()).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let on = |&score: &&'static str| {
        let points: Vec<_> = values.iter().filter_map(|&value| point(&rows, axis, value, score)).collect();
        (points.len() >= 2).then_some(Sweep { score, points })
    };
    COMMON.iter().filter_map(on).collect()
}

/// Where the lead changes along the share of the labels, on every common score that was swept.
pub(super) fn crossovers(rows: &[&Row]) -> Vec<Crossover> {
    sweeps(rows, LABELS).iter().filter_map(Sweep::crossover).collect()
}

fn point<'a>(rows: &[&'a Row], axis: &str, value: f64, score: &str) -> Option<Point<'a>> {
    let rows: Vec<&Row> = rows.iter().copied().filter(|row| lies_at(row, axis, value, score)).collect();
    let best = |paradigm| Family::new(&rows, paradigm, &[score]).best();
    Some(Point { value, metric: best(Paradigm::Metric)?, contrastive: best(Paradigm::Contrastive)? })
}

/// The rows of one sweep: of each method those whose other settings stand still over the most values of the axis, the
/// largest settings of equals; and rows without the axis.
fn along<'a>(rows: &[&'a Row], axis: &str) -> Vec<&'a Row> {
    let mut swept: BTreeMap<&str, BTreeMap<Setting<'_>, BTreeSet<u64>>> = BTreeMap::new();
    for row in rows {
        if let Some(value) = row.axes.get(axis) {
            let settings = swept.entry(row.method.as_str()).or_default();
            settings.entry(others(row, axis)).or_default().insert(value.to_bits());
        }
    }
    let stays = |row: &&Row| {
        let settings = swept.get(row.method.as_str());
        let widest = settings.and_then(|settings| settings.iter().max_by_key(|(_, values)| values.len()));
        !row.axes.contains_key(axis) || widest.is_some_and(|(setting, _)| *setting == others(row, axis))
    };
    rows.iter().copied().filter(stays).collect()
}

/// The row's settings but the one on the axis.
fn others<'a>(row: &'a Row, axis: &str) -> Setting<'a> {
    let others = row.axes.iter().filter(|(name, _)| name.as_str() != axis);
    others.map(|(name, value)| (name.as_str(), value.to_bits())).collect()
}

/// A method that trains without labels and a score taken without them do not depend on the share of labels: such a row
/// lies at every share, unless it was swept itself.
fn lies_at(row: &Row, axis: &str, value: f64, score: &str) -> bool {
    let without_labels = axis == LABELS && row.labels_used == 0 && !score.starts_with("transfer.");
    row.axes.get(axis).map_or(without_labels && row.axes.is_empty(), |own| *own == value)
}

impl Sweep<'_> {
    fn ends(&self) -> [&Point<'_>; 2] {
        [&self.points[0], &self.points[self.points.len() - 1]]
    }

    /// The families' scores at both ends.
    fn leads(&self, name: impl Fn(f64) -> String) -> String {
        let at = |point: &Point<'_>| {
            let of = |best: &Best<'_>| format!("({}) {}", best.methods.join(" or "), number(self.score, best.mean()));
            format!("{} contrastive {}, metric {}", name(point.value), of(&point.contrastive), of(&point.metric))
        };
        self.ends().map(at).join("; ")
    }

    /// Where the lead changes, over the seeds that both families have at every value; over their means where there is no
    /// such seed.
    fn crossover(&self) -> Option<Crossover> {
        let values: Vec<f64> = self.points.iter().map(|point| point.value).collect();
        let lead = |seed: &u64| -> Option<Vec<f64>> { self.points.iter().map(|point| point.gap_of(*seed)).collect() };
        let mut leads: Vec<Vec<f64>> = self.points[0].metric.seeds.keys().filter_map(lead).collect();
        if leads.is_empty() {
            leads.push(self.points.iter().map(Point::gap).collect());
        }
        Crossover::find(self.score, &values, &leads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        fixtures::{at, seeds},
        verdict::Ruling,
    };

    const PROBE: &str = "transfer.seen.linear_probe";
    const MAP: &str = "retrieval.seen.map_at_r";

    /// Rows of both families at two values of an axis.
    fn rows(axis: &str, score: &str, points: [(f64, &[f64], &[f64]); 2]) -> Vec<Row> {
        let families = |(value, metric, contrastive): (f64, &[f64], &[f64])| {
            let mut rows = seeds("triplet", Paradigm::Metric, score, metric);
            rows.extend(seeds("simclr", Paradigm::Contrastive, score, contrastive));
            at(axis, value, rows)
        };
        points.into_iter().flat_map(families).collect()
    }

    fn judge(rows: &[Row], judge: fn(&[&Row]) -> Verdict) -> Verdict {
        judge(&rows.iter().collect::<Vec<_>>())
    }

    #[test]
    fn labels_that_close_the_gap_support_the_claim() {
        // Gaps +0.2 at 1 % and -0.2 at 100 %: a change of 0.4, and a crossover at 10 %, the middle in logarithms.
        let rows = rows(LABELS, PROBE, [(0.01, &[0.2, 0.3], &[0.4, 0.5]), (1.0, &[0.8, 0.9], &[0.6, 0.7])]);
        let verdict = judge(&rows, supervision);
        assert_eq!(verdict.verdict, Ruling::Supported, "{verdict:?}");
        assert!((verdict.effect.unwrap() - 0.4).abs() < 1e-9);
        assert_eq!(
            verdict.evidence,
            "transfer.seen.linear_probe: 1 % contrastive (simclr) 0.450, metric (triplet) 0.250; 100 % contrastive \
             (simclr) 0.650, metric (triplet) 0.850. Metric learning overtakes at about 10 % of the labels (95 % interval \
             10 % to 10 %, 2 shared seeds). With the fewest labels contrastive learning gains +0.400 [+0.400, +0.400] \
             over 2 shared seeds."
        );
    }

    /// One crossover for each score that both families have along the labels, over the seeds that they share.
    #[test]
    fn crossovers_of_every_score() {
        let both = [PROBE, MAP].map(|score| {
            rows(LABELS, score, [(0.01, &[0.2, 0.3, 0.9], &[0.4, 0.5]), (1.0, &[0.8, 0.9, 0.1], &[0.6, 0.7])])
        });
        let rows: Vec<Row> = both.into_iter().flatten().collect();
        let found = crossovers(&rows.iter().collect::<Vec<_>>());
        let told: Vec<_> = found.iter().map(|one| (one.score.as_str(), one.seeds, one.leader)).collect();
        assert_eq!(told, [(PROBE, 2, Paradigm::Metric), (MAP, 2, Paradigm::Metric)]);
        assert!((found[0].share.unwrap() - 0.1).abs() < 1e-9);
    }

    #[test]
    fn labels_that_widen_the_gap_refute_it() {
        let rows = rows(LABELS, PROBE, [(0.1, &[0.2, 0.3], &[0.3, 0.4]), (1.0, &[0.4, 0.5], &[0.8, 0.9])]);
        let verdict = judge(&rows, supervision);
        assert_eq!(verdict.verdict, Ruling::Refuted);
        assert!(verdict.evidence.contains("contrastive learning leads at every share."), "{}", verdict.evidence);
    }

    #[test]
    fn one_share_is_not_a_sweep() {
        let rows = at(LABELS, 1.0, seeds("triplet", Paradigm::Metric, PROBE, &[0.5, 0.6]));
        let verdict = judge(&rows, supervision);
        assert_eq!((verdict.verdict, verdict.effect), (Ruling::Undecided, None));
        assert!(verdict.evidence.contains("`compare sweep --axis labels --seeds 3` decides"), "{}", verdict.evidence);
        let verdict = judge(&rows, training);
        assert!(verdict.evidence.contains("`compare sweep --axis batch --seeds 3` decides"), "{}", verdict.evidence);
    }

    /// Two sweeps in one report: rows of the one do not slip into the other.
    #[test]
    fn other_settings_stand_still() {
        let mut rows = rows(LABELS, PROBE, [(0.01, &[0.2, 0.3], &[0.4, 0.5]), (1.0, &[0.8, 0.9], &[0.6, 0.7])]);
        let alone = judge(&rows, supervision);
        rows = at(BATCH, 64.0, rows);
        let mut large = seeds("triplet", Paradigm::Metric, PROBE, &[0.0, 0.9]);
        large.extend(seeds("simclr", Paradigm::Contrastive, PROBE, &[0.9, 0.0]));
        rows.extend(at(BATCH, 256.0, at(LABELS, 1.0, large)));
        let found = judge(&rows, supervision);
        assert_eq!((found.effect, &found.evidence), (alone.effect, &alone.evidence));
        // Along the batches the labels stand still at 100 %, where both batches were tried.
        let batches = judge(&rows, training);
        assert!(
            batches.evidence.contains("batch 64 contrastive (simclr) 0.650, metric (triplet) 0.850"),
            "{batches:?}"
        );
    }

    /// A contrastive encoder is trained once for all shares, but its probe is not.
    #[test]
    fn a_row_without_labels_lies_at_every_share() {
        for (score, measured) in [(MAP, true), (PROBE, false)] {
            let mut rows = at(LABELS, 0.1, seeds("triplet", Paradigm::Metric, score, &[0.2, 0.3]));
            rows.extend(at(LABELS, 1.0, seeds("triplet", Paradigm::Metric, score, &[0.7, 0.8])));
            rows.extend(seeds("simclr", Paradigm::Contrastive, score, &[0.4, 0.5]));
            assert_eq!(judge(&rows, supervision).effect.is_some(), measured, "{score}");
        }
    }

    #[test]
    fn one_seed_is_undecided() {
        let rows = rows(BATCH, PROBE, [(32.0, &[0.5], &[0.4]), (256.0, &[0.5], &[0.6])]);
        let verdict = judge(&rows, training);
        assert_eq!((verdict.verdict, verdict.ci95_low), (Ruling::Undecided, None));
        assert!((verdict.effect.unwrap() - 0.2).abs() < 1e-9);
        assert!(verdict.evidence.contains("`compare sweep --axis batch --seeds 3`"), "{}", verdict.evidence);
    }

    #[test]
    fn batches_that_help_contrastive_learning_alone() {
        let rows = rows(BATCH, PROBE, [(32.0, &[0.5, 0.6], &[0.4, 0.5]), (256.0, &[0.5, 0.6], &[0.6, 0.7])]);
        let verdict = judge(&rows, training);
        assert_eq!(verdict.verdict, Ruling::Supported);
        assert!(verdict.evidence.contains("batch 32 contrastive (simclr) 0.450"), "{}", verdict.evidence);
    }
}

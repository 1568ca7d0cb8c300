//! Both families along a setting that was swept.

use super::{
    COMMON, Crossover, Ruling,
    crossover::Finding,
    family::{Best, Family},
    leads::{Leads, spread},
    sentences, unripe,
};
use crate::report::{
    Paradigm, Row,
    again::Again,
    axis::LABELS,
    estimate::{Estimate, mean},
    format::number,
    luck::of_best,
};
use std::collections::{BTreeMap, BTreeSet};

/// Values by axis, as bits: positive numbers keep their order so.
type Setting<'a> = Vec<(&'a str, u64)>;

/// Both families along an axis.
pub(super) struct Sweep<'a> {
    axis: &'static str,
    pub score: &'static str,
    /// The rows of the sweep.
    rows: Vec<&'a Row>,
    /// By rising value, at least two.
    points: Vec<Point<'a>>,
}

/// Both families at one value of the axis.
pub(super) struct Point<'a> {
    value: f64,
    metric: Best<'a>,
    contrastive: Best<'a>,
    /// By how much luck, in the seeds and in the test items, may have raised the metric family's best and the contrastive one's.
    luck: [f64; 2],
    /// By how much the contrastive family is ahead on equal parts of the test items, for the seeds whose rows have them.
    parts: BTreeMap<u64, Vec<f64>>,
    /// Of the two families' best methods those whose loss was still falling here when the budget ended.
    unripe: Vec<&'a str>,
}

impl<'a> Point<'a> {
    /// By how much the contrastive family is ahead.
    fn gap(&self) -> f64 {
        self.contrastive.mean() - self.metric.mean()
    }

    /// The same of one seed, if both families have it.
    fn gap_of(&self, seed: u64) -> Option<f64> {
        Some(self.contrastive.seeds.get(&seed)? - self.metric.seeds.get(&seed)?)
    }

    /// The best methods of a family whose loss was still falling when the budget ended.
    fn unripe(&self, family: Paradigm) -> impl Iterator<Item = &'a str> {
        let best = if family == Paradigm::Metric { &self.metric } else { &self.contrastive };
        best.methods.iter().copied().filter(|method| self.unripe.contains(method))
    }
}

/// How much the gap at `here` exceeds the gap at `there`. The choice of the best contrastive method here and of the best metric
/// one there may have raised it by luck, the two other choices may have lowered it.
pub(super) fn change(here: &Point<'_>, there: &Point<'_>) -> Option<Estimate> {
    let own = Estimate::combine(&[
        (1.0, &here.contrastive.seeds),
        (-1.0, &here.metric.seeds),
        (-1.0, &there.contrastive.seeds),
        (1.0, &there.metric.seeds),
    ])?;
    Some(own.with_luck(here.contrastive.luck + there.metric.luck, here.metric.luck + there.contrastive.luck))
}

/// Whether both families score less at `here` than at `there`.
pub(super) fn both_lose(here: &Point<'_>, there: &Point<'_>) -> bool {
    here.contrastive.mean() < there.contrastive.mean() && here.metric.mean() < there.metric.mean()
}

/// The first common score that both families have at two values of the axis.
pub(super) fn sweep<'a>(rows: &[&'a Row], axis: &'static str) -> Option<Sweep<'a>> {
    sweeps(rows, axis).into_iter().next()
}

/// Both families along the axis on every common score that they have at two values of it.
pub(super) fn sweeps<'a>(rows: &[&'a Row], axis: &'static str) -> Vec<Sweep<'a>> {
    let rows = along(rows, axis);
    let mut values: Vec<f64> = rows.iter().filter_map(|row| row.axes.get(axis).copied()).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let on = |&score: &&'static str| {
        let points: Vec<_> = values.iter().filter_map(|&value| point(&rows, axis, value, score)).collect();
        (points.len() >= 2).then(|| Sweep { axis, score, rows: rows.clone(), points })
    };
    COMMON.iter().filter_map(on).collect()
}

fn point<'a>(rows: &[&'a Row], axis: &str, value: f64, score: &str) -> Option<Point<'a>> {
    let rows: Vec<&Row> = rows.iter().copied().filter(|row| lies_at(row, axis, value, score)).collect();
    let families = [Paradigm::Metric, Paradigm::Contrastive].map(|family| Family::new(&rows, family, &[score]));
    let (metric, contrastive) = (families[0].best()?, families[1].best()?);
    let luck = families.each_ref().map(|family| luck_of(&rows, family, score));
    let parts = contrastive.seeds.keys().filter_map(|&seed| {
        let [ours, theirs] = [&contrastive, &metric].map(|best| parts(&rows, best.methods.first()?, seed, score));
        let pairs = ours?.iter().zip(theirs?);
        Some((seed, pairs.map(|(ours, theirs)| ours - theirs).collect::<Vec<f64>>()))
    });
    let parts = parts.collect();
    let unripe = [&metric, &contrastive].into_iter().flat_map(|best| best.unripe(&rows)).collect();
    Some(Point { value, metric, contrastive, luck, parts, unripe })
}

/// By how much luck may have raised the best of a family's methods: over the seeds that two of them share, and over the test
/// items where the rows have their scores on parts of these.
fn luck_of(rows: &[&Row], family: &Family<'_>, score: &str) -> f64 {
    let methods = family.candidates();
    of_best(methods.len(), |i, j| {
        let [(a, of_a), (b, of_b)] = [methods[i], methods[j]];
        let shared: Vec<u64> = of_a.keys().copied().filter(|seed| of_b.contains_key(seed)).collect();
        let leads: Vec<f64> = shared.iter().map(|seed| of_a[seed] - of_b[seed]).collect();
        let on_parts = |seed: &u64| {
            let pairs = parts(rows, a, *seed, score)?.iter().zip(parts(rows, b, *seed, score)?);
            Some(pairs.map(|(a, b)| a - b).collect::<Vec<f64>>())
        };
        let on_parts: Option<Vec<Vec<f64>>> = shared.iter().map(on_parts).collect();
        let on_parts = on_parts.filter(|all| all.iter().all(|own| own.len() == all[0].len())).unwrap_or_default();
        let (variance, freedom) = if leads.len() < 2 { (0.0, 0.0) } else { spread(&leads, &on_parts) };
        Some((mean(&leads)?, variance.sqrt(), freedom))
    })
}

/// A method's score on equal parts of the test items in a seed, if its row has it.
fn parts<'a>(rows: &[&'a Row], method: &str, seed: u64, score: &str) -> Option<&'a [f64]> {
    // Of a seed that occurs twice, the later row counts.
    let row = rows.iter().rev().copied().find(|row| row.seed == seed && row.method == method)?;
    Some(row.parts.get(score)?.means())
}

/// The rows of one sweep: of each method those whose other settings stand still over the most values of the axis, the
/// largest settings of equals; and rows without the axis.
pub(super) fn along<'a>(rows: &[&'a Row], axis: &str) -> Vec<&'a Row> {
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
    pub fn ends(&self) -> [&Point<'_>; 2] {
        [&self.points[0], &self.points[self.points.len() - 1]]
    }

    /// The families' scores at both ends.
    pub fn leads(&self, name: impl Fn(f64) -> String) -> String {
        let at = |point: &Point<'_>| {
            let of = |best: &Best<'_>| format!("({}) {}", best.methods.join(" or "), number(self.score, best.mean()));
            format!("{} contrastive {}, metric {}", name(point.value), of(&point.contrastive), of(&point.metric))
        };
        self.ends().map(at).join("; ")
    }

    /// The ruling on a change from `there` to `here`, undecided where what it speaks against was still improving when the
    /// budget ended, and then the sentence that says so. What was still improving at both ends gains at both.
    pub fn within_budget(&self, ruling: Ruling, [here, there]: [&Point<'_>; 2], again: &Again) -> (Ruling, String) {
        let contrastive = [(Paradigm::Contrastive, here, there), (Paradigm::Metric, there, here)];
        let metric = [(Paradigm::Metric, here, there), (Paradigm::Contrastive, there, here)];
        let mut methods: Vec<&str> = Vec::new();
        for (family, own, other) in ruling.behind([contrastive, metric]).into_iter().flatten() {
            if other.unripe(family).next().is_none() {
                methods.extend(own.unripe(family));
            }
        }
        (ruling.against(&methods), self.budget(&methods, again))
    }

    /// That these methods were still improving when the budget ended.
    fn budget(&self, methods: &[&str], again: &Again) -> String {
        unripe(&self.rows, methods, |epochs| again.sweep(self.axis, &[("--epochs", epochs)]))
    }

    /// Methods that stand for a family where it is behind, and whose loss was still falling there when the budget ended.
    fn unripe_behind(&self) -> Vec<&str> {
        let behind = |point: &Point<'_>| if point.gap() < 0.0 { Paradigm::Contrastive } else { Paradigm::Metric };
        let methods: BTreeSet<&str> = self.points.iter().flat_map(|point| point.unripe(behind(point))).collect();
        methods.into_iter().collect()
    }

    /// Where the lead changes, over the seeds that both families have at every value; over their means where there is no
    /// such seed.
    pub fn crossover(&self, again: &Again) -> Option<Crossover> {
        let values: Vec<f64> = self.points.iter().map(|point| point.value).collect();
        let lead = |seed: &u64| -> Option<Vec<f64>> { self.points.iter().map(|point| point.gap_of(*seed)).collect() };
        let seeds: Vec<u64> = self.points[0].metric.seeds.keys().copied().filter(|seed| lead(seed).is_some()).collect();
        let mut leads = Leads {
            seeds: seeds.iter().filter_map(lead).collect(),
            unshared: false,
            parts: self.parts(&seeds).unwrap_or_default(),
            luck: self.points.iter().map(|point| point.luck).collect(),
        };
        if leads.seeds.is_empty() {
            leads.unshared = true;
            leads.seeds.push(self.points.iter().map(Point::gap).collect());
        }
        let mut found = Crossover::find(self.score, &values, &leads)?;
        let unripe = self.unripe_behind();
        // Who leads nowhere has not lost yet; where a crossover was found, it may only move.
        let budget = match found.finding {
            Finding::Stays => self.budget(&unripe, again),
            Finding::Point | Finding::Range if unripe.is_empty() => String::new(),
            Finding::Point | Finding::Range => {
                let methods = unripe.join(" and ");
                format!("More epochs may move it: the loss of {methods} was still falling when the budget ended.")
            }
        };
        found.sentence = sentences(&[found.sentence, budget]);
        found.still_improving = unripe.into_iter().map(str::to_owned).collect();
        Some(found)
    }

    /// The leads of these seeds on equal parts of the test items, if all rows have as many.
    fn parts(&self, seeds: &[u64]) -> Option<Vec<Vec<Vec<f64>>>> {
        let of = |seed: &u64| -> Option<Vec<Vec<f64>>> {
            self.points.iter().map(|point| point.parts.get(seed).cloned()).collect()
        };
        let all: Vec<Vec<Vec<f64>>> = seeds.iter().map(of).collect::<Option<_>>()?;
        let count = all.first()?.first()?.len();
        all.iter().flatten().all(|parts| parts.len() == count).then_some(all)
    }
}

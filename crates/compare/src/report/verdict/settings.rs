//! Training: what a setting that only some methods have does to them, the queue or the temperature.

use super::{
    COMMON, Difference, Verdict, advice,
    along::along,
    family::{Best, Family},
    sentences, unripe, weight,
};
use crate::report::{
    Paradigm, Row,
    again::Again,
    axis::{QUEUE, TEMPERATURE},
    estimate::{Estimate, Seeds, mean},
    format::number,
    luck::luck,
};
use std::collections::BTreeMap;

const LENGTH: &str = "A long queue serves contrastive learning better than a short one.";
const SHARPNESS: &str = "Contrastive learning depends on its temperature more than metric learning does.";

/// The rows of a family at one value of an axis.
type Point<'a> = (f64, Vec<&'a Row>);

/// The best contrastive method at one length of the queue.
struct Length<'a> {
    queue: f64,
    best: Best<'a>,
    /// Of its methods those whose loss was still falling when the budget ended.
    unripe: Vec<&'a str>,
}

/// How much a family's methods depend on a setting.
struct Span<'a> {
    methods: Vec<&'a str>,
    /// For each seed, the score at the best value less that at the worst, a mean over the methods.
    seeds: Seeds,
    /// How much of that luck gives where the setting does nothing.
    luck: f64,
}

/// The verdict on the queue, if it was swept: does the best contrastive method score higher with the longest queue than
/// with the shortest?
pub(super) fn queue(rows: &[&Row], again: &Again) -> Option<Verdict> {
    let points = points(rows, QUEUE, Paradigm::Contrastive);
    let (score, found) =
        COMMON.iter().map(|score| (*score, lengths(&points, score))).find(|(_, all)| all.len() >= 2)?;
    let [short, .., long] = found.as_slice() else { return None };
    let gain = Estimate::difference(&long.best.seeds, &short.best.seeds)?.with_luck(long.best.luck, short.best.luck);
    // What was still improving at both ends gains at both.
    let behind = gain.ruling().behind([(long, short), (short, long)]);
    let behind = behind.filter(|(_, other)| other.unripe.is_empty()).map_or(&[][..], |(own, _)| &own.unripe);
    let at = |Length { queue, best, .. }: &Length<'_>| {
        format!("queue {queue} ({}) {}", best.methods.join(" or "), number(score, best.mean()))
    };
    let lead = format!("{score}: {}; {}.", at(short), at(long));
    let sentence = format!("The longest queue gains {}.", weight(&gain));
    let command = |seeds: usize| again.sweep(QUEUE, &[("--seeds", seeds.to_string().as_str())]);
    let budget = unripe(rows, behind, |epochs| again.sweep(QUEUE, &[("--epochs", epochs)]));
    let evidence = sentences(&[lead, sentence, advice(&gain, again, command), budget]);
    let verdict = Verdict::new(Difference::Training, LENGTH, Some(&gain), evidence).along(QUEUE);
    Some(Verdict { verdict: verdict.verdict.against(behind), ..verdict })
}

/// The verdict on the temperature, if it was swept: is more at stake for the contrastive methods than for the metric ones
/// that have one? What is at stake is the score at the best temperature less that at the worst, by their means over the
/// seeds. Noise alone puts something at stake too, which the interval takes into account.
pub(super) fn temperature(rows: &[&Row], again: &Again) -> Option<Verdict> {
    let families = [Paradigm::Contrastive, Paradigm::Metric].map(|family| points(rows, TEMPERATURE, family));
    if families.iter().all(|points| points.len() < 2) {
        return None;
    }
    let spans = |score: &&'static str| {
        let [ours, theirs] = families.each_ref().map(|points| span(points, score));
        let change = Estimate::difference(&ours.seeds, &theirs.seeds)?.with_luck(ours.luck, theirs.luck);
        Some((*score, ours, theirs, change))
    };
    let Some((score, ours, theirs, change)) = COMMON.iter().find_map(spans) else {
        let command = again.sweep(TEMPERATURE, &[("--methods", "supcon,ntxent,simclr,moco"), ("--seeds", "5")]);
        let evidence = format!(
            "Not measured: needs a method with a temperature in both families, at two temperatures at least; `{command}` \
             decides."
        );
        return Some(Verdict::new(Difference::Training, SHARPNESS, None, evidence).along(TEMPERATURE));
    };
    let side = |span: &Span<'_>| {
        let values: Vec<f64> = span.seeds.values().copied().collect();
        format!("({}) {}", span.methods.join(", "), mean(&values).map_or_else(String::new, |mean| number(score, mean)))
    };
    let lead = format!(
        "{score}: between their worst temperature and their best lie for contrastive methods {}, for metric methods {}, \
         difference {}.",
        side(&ours),
        side(&theirs),
        weight(&change)
    );
    let command = |seeds: usize| again.sweep(TEMPERATURE, &[("--seeds", seeds.to_string().as_str())]);
    let evidence = sentences(&[lead, advice(&change, again, command)]);
    Some(Verdict::new(Difference::Training, SHARPNESS, Some(&change), evidence).along(TEMPERATURE))
}

/// The rows of a family that have a value on the axis, by rising value.
fn points<'a>(rows: &[&'a Row], axis: &str, family: Paradigm) -> Vec<Point<'a>> {
    let mut found: Vec<Point<'a>> = Vec::new();
    for row in along(rows, axis).into_iter().filter(|row| row.paradigm == family) {
        let Some(value) = row.axes.get(axis).copied() else { continue };
        match found.iter_mut().find(|(known, _)| *known == value) {
            Some((_, own)) => own.push(row),
            None => found.push((value, vec![row])),
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}

/// The best contrastive method at each length at which one has the score.
fn lengths<'a>(points: &[Point<'a>], score: &str) -> Vec<Length<'a>> {
    let of = |(queue, rows): &Point<'a>| {
        let best = Family::new(rows, Paradigm::Contrastive, &[score]).best()?;
        Some(Length { queue: *queue, unripe: best.unripe(rows), best })
    };
    points.iter().filter_map(of).collect()
}

/// What the value on the axis is worth to the methods that have the score at two values of it.
fn span<'a>(points: &[Point<'a>], score: &str) -> Span<'a> {
    let mut curves: BTreeMap<&'a str, Vec<Seeds>> = BTreeMap::new();
    for (_, rows) in points {
        let mut at: BTreeMap<&'a str, Seeds> = BTreeMap::new();
        for row in rows.iter().copied() {
            if let Some(value) = row.value(score) {
                at.entry(row.method.as_str()).or_default().insert(row.seed, value);
            }
        }
        for (method, seeds) in at {
            curves.entry(method).or_default().push(seeds);
        }
    }
    curves.retain(|_, curve| curve.len() >= 2);
    let mut spans: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (seed, span) in curves.values().flat_map(|curve| span_of(curve)) {
        spans.entry(seed).or_default().push(span);
    }
    // Luck raises the best, and lowers the worst.
    let negative = |seeds: &Seeds| seeds.iter().map(|(seed, value)| (*seed, -value)).collect::<Seeds>();
    let of_curve = |curve: &Vec<Seeds>| {
        let turned: Vec<Seeds> = curve.iter().map(negative).collect();
        luck(&curve.iter().collect::<Vec<_>>()) + luck(&turned.iter().collect::<Vec<_>>())
    };
    let luck = mean(&curves.values().map(of_curve).collect::<Vec<f64>>()).unwrap_or(0.0);
    Span {
        methods: curves.into_keys().collect(),
        seeds: spans.into_iter().filter_map(|(seed, all)| Some((seed, mean(&all)?))).collect(),
        luck,
    }
}

/// A method's score at its best value less that at its worst, for each seed that it has at all values.
fn span_of(curve: &[Seeds]) -> Seeds {
    let Some((first, others)) = curve.split_first() else { return Seeds::new() };
    let shared: Vec<u64> =
        first.keys().copied().filter(|seed| others.iter().all(|other| other.contains_key(seed))).collect();
    let level = |seeds: &&Seeds| shared.iter().map(|seed| seeds[seed]).sum::<f64>();
    let best = curve.iter().max_by(|a, b| level(a).total_cmp(&level(b)));
    let worst = curve.iter().min_by(|a, b| level(a).total_cmp(&level(b)));
    let Some((best, worst)) = best.zip(worst) else { return Seeds::new() };
    shared.iter().map(|seed| (*seed, best[seed] - worst[seed])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        fixtures::{at, normal, seeds},
        verdict::Ruling,
    };

    const PROBE: &str = "transfer.seen.linear_probe";

    fn along_axis(axis: &str, method: &str, family: Paradigm, points: &[(f64, [f64; 3])]) -> Vec<Row> {
        let one = |(value, scores): &(f64, [f64; 3])| at(axis, *value, seeds(method, family, PROBE, scores));
        points.iter().flat_map(one).collect()
    }

    fn judge(rows: &[Row], judge: fn(&[&Row], &Again) -> Option<Verdict>) -> Option<Verdict> {
        judge(&rows.iter().collect::<Vec<_>>(), &Again::default())
    }

    #[test]
    fn a_queue_that_helps() {
        let points = [(256.0, [0.5, 0.6, 0.7]), (1024.0, [0.1, 0.1, 0.1]), (4096.0, [0.6, 0.7, 0.83])];
        let mut rows = along_axis(QUEUE, "moco", Paradigm::Contrastive, &points);
        // What has no queue says nothing about it.
        rows.extend(seeds("simclr", Paradigm::Contrastive, PROBE, &[0.9, 0.9, 0.9]));
        let verdict = judge(&rows, queue).unwrap();
        assert_eq!((verdict.verdict, verdict.topic()), (Ruling::Supported, "queue"));
        assert!((verdict.effect.unwrap() - 0.11).abs() < 1e-9);
        let evidence = "transfer.seen.linear_probe: queue 256 (moco) 0.600; queue 4096 (moco) 0.710. The longest queue gains \
                        +0.110 [+0.067, +0.153] over 3 shared seeds.";
        assert_eq!(verdict.evidence, evidence);
        rows.retain(|row| row.axes.get(QUEUE).is_none_or(|value| *value == 256.0));
        assert_eq!(judge(&rows, queue), None);
    }

    #[test]
    fn a_queue_whose_steps_did_not_suffice_has_not_lost() {
        let points = [(256.0, [0.5, 0.6, 0.7]), (4096.0, [0.6, 0.7, 0.83])];
        let mut rows = along_axis(QUEUE, "moco", Paradigm::Contrastive, &points);
        let mut still_falling = |length: f64| {
            let own = rows.iter_mut().filter(|row| row.axes[QUEUE] == length);
            own.for_each(|row| row.curve = vec![4.0, 3.0, 2.0, 1.0]);
            judge(&rows, queue).unwrap()
        };
        let verdict = still_falling(256.0);
        assert_eq!((verdict.verdict, verdict.effect.is_some()), (Ruling::Undecided, true));
        let ends = "Undecided at this budget: the loss of moco was still falling when the budget ended; `compare sweep --axis \
                    queue --epochs 8` decides.";
        assert!(verdict.evidence.ends_with(ends), "{}", verdict.evidence);
        // At both ends alike.
        assert_eq!(still_falling(4096.0).verdict, Ruling::Supported);
    }

    #[test]
    fn the_best_value_and_the_worst_by_their_means() {
        let seeds = |values: [f64; 3]| (1..).zip(values).collect::<Seeds>();
        let curve = [seeds([0.1, 0.1, 0.9]), seeds([0.3, 0.3, 0.2]), seeds([0.4, 0.3, 0.5])];
        // Means of 0.367, 0.267 and 0.4.
        let found = span_of(&curve);
        let expected = [0.1, 0.0, 0.3];
        assert!(found.len() == 3 && found.values().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        let short = [seeds([0.1, 0.1, 0.9]), Seeds::from([(2, 0.5), (9, 0.1)])];
        assert_eq!(span_of(&short), Seeds::from([(2, 0.4)]));
    }

    /// Temperatures that do nothing, and twice as much noise in one family: a difference is seldom called.
    #[test]
    fn noise_is_no_sensitivity() {
        let mut noise = normal();
        let mut called = 0;
        for _ in 0..200 {
            let mut rows = Vec::new();
            for (method, family, deviation) in [
                ("simclr", Paradigm::Contrastive, 0.02),
                ("moco", Paradigm::Contrastive, 0.02),
                ("supcon", Paradigm::Metric, 0.01),
            ] {
                let points = [0.1, 0.2, 0.5, 1.0].map(|value| (value, [(); 3].map(|()| 0.7 + deviation * noise())));
                rows.extend(along_axis(TEMPERATURE, method, family, &points));
            }
            called += usize::from(judge(&rows, temperature).unwrap().verdict != Ruling::Undecided);
        }
        // The level allows 10 of 200; choices made on both sides leave fewer.
        assert!(called <= 10, "{called} of 200");
    }

    #[test]
    fn a_temperature_that_matters_to_one_family() {
        let simclr = [(0.1, [0.8, 0.7, 0.9]), (0.5, [0.6, 0.5, 0.7]), (1.0, [0.5, 0.4, 0.57])];
        let supcon = [(0.1, [0.8, 0.8, 0.8]), (0.5, [0.75, 0.75, 0.75]), (1.0, [0.8, 0.8, 0.8])];
        let mut rows = along_axis(TEMPERATURE, "simclr", Paradigm::Contrastive, &simclr);
        let alone = judge(&rows, temperature).unwrap();
        assert_eq!((alone.verdict, alone.effect, alone.topic()), (Ruling::Undecided, None, "temperature"));
        assert!(alone.evidence.starts_with("Not measured: needs a method"), "{}", alone.evidence);
        rows.extend(along_axis(TEMPERATURE, "supcon", Paradigm::Metric, &supcon));
        let verdict = judge(&rows, temperature).unwrap();
        assert_eq!(verdict.verdict, Ruling::Supported, "{verdict:?}");
        assert!((verdict.effect.unwrap() - 0.26).abs() < 1e-9);
        assert!(
            verdict.evidence.contains("lie for contrastive methods (simclr) 0.310, for metric methods (supcon) 0.050,"),
            "{}",
            verdict.evidence
        );
        // One seed has no interval; one temperature is no sweep.
        let single: Vec<Row> = rows.iter().filter(|row| row.seed == 1).cloned().collect();
        let single = judge(&single, temperature).unwrap();
        assert!(single.effect.is_some() && single.ci95_low.is_none() && single.verdict == Ruling::Undecided);
        rows.retain(|row| row.axes[TEMPERATURE] == 0.1);
        assert_eq!(judge(&rows, temperature), None);
    }
}

//! Algorithms: does the family matter more than the method inside it?

use super::{COMMON, Difference, Verdict, advice, family::Family, reference, sentences, weight};
use crate::report::{
    Paradigm, Row,
    estimate::{Estimate, Seeds, mean, tied},
    format::number,
};

const CLAIM: &str = "The paradigm matters more than the algorithm: two methods of different families differ more than \
                     two of one family.";
const COMMAND: &str = "compare run --methods all";

/// A method with its family and its scores.
type Entry<'a> = (&'a str, Paradigm, Seeds);

/// The verdict over the finished rows of one run.
///
/// The effect is the mean absolute difference over pairs of methods of different families, less that over pairs of one
/// family. Were the families mere names, both would be equal on average, whatever the spread of the methods.
pub(super) fn algorithms(rows: &[&Row]) -> Verdict {
    let rows = reference(rows);
    let Some((score, entries)) = COMMON.iter().find_map(|&score| Some((score, entries(&rows, score)?))) else {
        let lack = "Not measured: needs a score of at least one method of each family and two of one;";
        let evidence = format!("{lack} `{COMMAND} --seeds 3` decides.");
        return Verdict::new(Difference::Algorithms, CLAIM, None, evidence);
    };
    let estimate = Estimate::of(&excess(&entries));
    let evidence = match &estimate {
        Some(estimate) => sentences(&[
            format!("{score}: the difference between families exceeds that inside them by {}.", weight(estimate)),
            ranking(score, entries),
            advice(estimate, COMMAND),
        ]),
        None => sentences(&[
            format!("Not measured: no seed is shared by all methods; `{COMMAND} --seeds 3` decides."),
            ranking(score, entries),
        ]),
    };
    Verdict::new(Difference::Algorithms, CLAIM, estimate.as_ref(), evidence)
}

/// The methods of both families, if there is a pair of each kind.
fn entries<'a>(rows: &[&'a Row], score: &str) -> Option<Vec<Entry<'a>>> {
    let of = |paradigm| Family::new(rows, paradigm, &[score]).methods.into_iter().map(move |(m, s)| (m, paradigm, s));
    let metric: Vec<_> = of(Paradigm::Metric).collect();
    let contrastive: Vec<_> = of(Paradigm::Contrastive).collect();
    let enough = !metric.is_empty() && !contrastive.is_empty() && metric.len() + contrastive.len() >= 3;
    enough.then(|| [metric, contrastive].concat())
}

/// For each seed that all methods share, the mean absolute difference between families less that inside them.
fn excess(entries: &[Entry<'_>]) -> Vec<f64> {
    let Some((_, _, first)) = entries.first() else { return Vec::new() };
    let shared = first.keys().filter(|seed| entries.iter().all(|(_, _, seeds)| seeds.contains_key(*seed)));
    shared
        .filter_map(|seed| {
            let (mut inside, mut between) = (Vec::new(), Vec::new());
            for (i, (_, family, a)) in entries.iter().enumerate() {
                for (_, other, b) in &entries[i + 1..] {
                    let pairs = if family == other { &mut inside } else { &mut between };
                    pairs.push((a[seed] - b[seed]).abs());
                }
            }
            Some(mean(&between)? - mean(&inside)?)
        })
        .collect()
}

/// The methods from the best to the worst, with those that the first cannot be told from.
fn ranking(score: &str, mut entries: Vec<Entry<'_>>) -> String {
    let mean_of = |seeds: &Seeds| seeds.values().sum::<f64>() / seeds.len() as f64;
    entries.sort_by(|a, b| mean_of(&b.2).total_cmp(&mean_of(&a.2)));
    let Some(((first, _, best), others)) = entries.split_first() else { return String::new() };
    let names: Vec<_> =
        entries.iter().map(|(name, _, seeds)| format!("{name} {}", number(score, mean_of(seeds)))).collect();
    let ties: Vec<_> = others.iter().filter(|(_, _, seeds)| tied(best, seeds)).map(|(name, _, _)| *name).collect();
    let ties = match (best.len(), ties.as_slice()) {
        (1, []) => "one seed cannot rank them".to_owned(),
        (_, []) => format!("{first} is ahead of each"),
        (_, ties) => format!("{first} is tied with {}", ties.join(", ")),
    };
    format!("Ranking: {}; {ties}.", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{fixtures::seeds, verdict::Ruling};

    const SCORE: &str = "transfer.seen.linear_probe";

    fn verdict(methods: &[(&str, Paradigm, &[f64])]) -> Verdict {
        let rows: Vec<Row> =
            methods.iter().flat_map(|(method, paradigm, values)| seeds(method, *paradigm, SCORE, values)).collect();
        algorithms(&rows.iter().collect::<Vec<_>>())
    }

    #[test]
    fn families_apart_support_the_claim() {
        // Between families 0.4 on average, inside 0.1: an excess of 0.3 in each seed.
        let verdict = verdict(&[
            ("triplet", Paradigm::Metric, &[0.30, 0.31]),
            ("siamese", Paradigm::Metric, &[0.20, 0.21]),
            ("simclr", Paradigm::Contrastive, &[0.70, 0.71]),
            ("moco", Paradigm::Contrastive, &[0.60, 0.61]),
        ]);
        assert_eq!(verdict.verdict, Ruling::Supported, "{verdict:?}");
        assert!((verdict.effect.unwrap() - 0.3).abs() < 1e-9);
        assert_eq!(
            verdict.evidence,
            "transfer.seen.linear_probe: the difference between families exceeds that inside them by +0.300 [+0.300, \
             +0.300] over 2 shared seeds. Ranking: simclr 0.705, moco 0.605, triplet 0.305, siamese 0.205; simclr is \
             ahead of each."
        );
    }

    #[test]
    fn a_family_spread_around_the_other_refutes_it() {
        let verdict = verdict(&[
            ("triplet", Paradigm::Metric, &[0.9, 0.9]),
            ("siamese", Paradigm::Metric, &[0.1, 0.1]),
            ("simclr", Paradigm::Contrastive, &[0.5, 0.5]),
        ]);
        assert_eq!(verdict.verdict, Ruling::Refuted);
        assert!((verdict.effect.unwrap() + 0.4).abs() < 1e-9);
    }

    #[test]
    fn ties_are_named() {
        let verdict = verdict(&[
            ("triplet", Paradigm::Metric, &[0.50, 0.60]),
            ("siamese", Paradigm::Metric, &[0.61, 0.50]),
            ("simclr", Paradigm::Contrastive, &[0.10, 0.11]),
        ]);
        assert!(verdict.evidence.contains("siamese is tied with triplet"), "{}", verdict.evidence);
    }

    #[test]
    fn undecided_without_pairs_or_seeds() {
        let pair =
            verdict(&[("triplet", Paradigm::Metric, &[0.9, 0.9]), ("simclr", Paradigm::Contrastive, &[0.1, 0.1])]);
        assert_eq!((pair.verdict, pair.effect), (Ruling::Undecided, None));
        assert!(pair.evidence.contains("`compare run --methods all --seeds 3` decides"));
        let one = verdict(&[
            ("triplet", Paradigm::Metric, &[0.9]),
            ("siamese", Paradigm::Metric, &[0.8]),
            ("simclr", Paradigm::Contrastive, &[0.1]),
        ]);
        assert_eq!((one.verdict, one.ci95_low), (Ruling::Undecided, None));
        assert!(one.evidence.contains("one seed cannot rank them"), "{}", one.evidence);
        assert!(one.evidence.contains("`compare run --methods all --seeds 3`"), "{}", one.evidence);
    }
}

//! Algorithms: does the family matter more than the method inside it?

use super::{COMMON, Difference, Ruling, Verdict, advice, family::Family, reference, sentences, weight};
use crate::report::{
    Paradigm, Row,
    again::Again,
    estimate::{Estimate, LEVEL, Seeds, mean},
    format::number,
    standing::{Versus, against},
};
use nearfar_eval::stats::{GroupsTest, groups_test};

const CLAIM: &str = "The paradigm matters more than the algorithm: two methods of different families differ more than \
                     two of one family.";

/// A method with its family and its scores.
type Entry<'a> = (&'a str, Paradigm, Seeds);

/// The verdict over the finished rows of one run.
///
/// The effect is the mean absolute difference over pairs of methods of different families, less that over pairs of one
/// family. That it is below zero, seed by seed, refutes the claim: here methods of one family differ more. That it is above
/// zero does not yet support it: any names dealt out to the methods set some groups apart, and every seed says so again.
/// So the seeds and a permutation test over the methods must both agree.
pub(super) fn algorithms(rows: &[&Row], again: &Again) -> Verdict {
    let all = |seeds: usize| again.all_methods(seeds);
    let rows = reference(rows);
    let Some((score, entries)) = COMMON.iter().find_map(|&score| Some((score, entries(&rows, score)?))) else {
        let lack = "Not measured: needs a score of at least one method of each family and two of one;";
        let evidence = format!("{lack} `{}` decides.", all(3));
        return Verdict::new(Difference::Algorithms, CLAIM, None, evidence);
    };
    let estimate = Estimate::of(&excess(&entries));
    let names = names(&entries);
    let evidence = match (&estimate, &names) {
        (Some(estimate), Some(names)) => sentences(&[
            format!("{score}: the difference between families exceeds that inside them by {}.", weight(estimate)),
            dealt(estimate, names, entries.len(), &all(estimate.seeds)),
            ranking(score, entries),
            advice(estimate, again, |seeds| again.seeds(seeds)),
        ]),
        _ => sentences(&[
            format!("Not measured: no seed is shared by all methods; `{}` decides.", again.seeds(3)),
            ranking(score, entries),
        ]),
    };
    let mut verdict = Verdict::new(Difference::Algorithms, CLAIM, estimate.as_ref(), evidence);
    if let Some(names) = names.filter(|names| names.excess > 0.0) {
        verdict.p_value = verdict.p_value.map(|p| p.max(names.p_value));
        if names.p_value > LEVEL {
            verdict.verdict = Ruling::Undecided;
        }
    }
    verdict
}

/// Whether names of the families dealt out to the methods at random would set them as far apart.
fn names(entries: &[Entry<'_>]) -> Option<GroupsTest> {
    let shared = shared(entries);
    let apart = |a: &Seeds, b: &Seeds| mean(&shared.iter().map(|seed| (a[seed] - b[seed]).abs()).collect::<Vec<f64>>());
    let row = |(_, _, a): &Entry<'_>| entries.iter().map(|(_, _, b)| apart(a, b)).collect::<Option<Vec<f64>>>();
    let distances: Vec<Vec<f64>> = entries.iter().map(row).collect::<Option<_>>()?;
    let first: Vec<bool> = entries.iter().map(|(_, family, _)| *family == Paradigm::Metric).collect();
    // Only too few methods and values that are not finite are refused: there are three, and those of a report are finite.
    groups_test(&distances, &first, 0).ok()
}

/// What [`names`] found, in words.
fn dealt(estimate: &Estimate, names: &GroupsTest, methods: usize, command: &str) -> String {
    let GroupsTest { as_large, ways, .. } = names;
    let found = format!(
        "Dealt out to these {methods} methods at random, the names of the families give at least that in {as_large} of \
         {ways} ways"
    );
    if estimate.ruling() == Ruling::Supported && names.p_value > LEVEL {
        format!("{found}: too often, whatever the seeds say. More methods of both families decide: `{command}`.")
    } else {
        format!("{found}.")
    }
}

/// The methods of both families, if there is a pair of each kind.
fn entries<'a>(rows: &[&'a Row], score: &str) -> Option<Vec<Entry<'a>>> {
    let of = |paradigm| Family::new(rows, paradigm, &[score]).methods.into_iter().map(move |(m, s)| (m, paradigm, s));
    let metric: Vec<_> = of(Paradigm::Metric).collect();
    let contrastive: Vec<_> = of(Paradigm::Contrastive).collect();
    let enough = !metric.is_empty() && !contrastive.is_empty() && metric.len() + contrastive.len() >= 3;
    enough.then(|| [metric, contrastive].concat())
}

/// The seeds that all methods have.
fn shared(entries: &[Entry<'_>]) -> Vec<u64> {
    let Some((_, _, first)) = entries.first() else { return Vec::new() };
    let all_have = |seed: &u64| entries.iter().all(|(_, _, seeds)| seeds.contains_key(seed));
    first.keys().copied().filter(all_have).collect()
}

/// For each seed that all methods share, the mean absolute difference between families less that inside them.
fn excess(entries: &[Entry<'_>]) -> Vec<f64> {
    let of_seed = |seed: u64| {
        let (mut inside, mut between) = (Vec::new(), Vec::new());
        for (i, (_, family, a)) in entries.iter().enumerate() {
            for (_, other, b) in &entries[i + 1..] {
                let pairs = if family == other { &mut inside } else { &mut between };
                pairs.push((a[&seed] - b[&seed]).abs());
            }
        }
        Some(mean(&between)? - mean(&inside)?)
    };
    shared(entries).into_iter().filter_map(of_seed).collect()
}

/// The methods from the best to the worst, with those that the first cannot be told from.
fn ranking(score: &str, mut entries: Vec<Entry<'_>>) -> String {
    let mean_of = |seeds: &Seeds| seeds.values().sum::<f64>() / seeds.len() as f64;
    entries.sort_by(|a, b| mean_of(&b.2).total_cmp(&mean_of(&a.2)));
    let Some((first, _, best)) = entries.first() else { return String::new() };
    let names: Vec<_> =
        entries.iter().map(|(name, _, seeds)| format!("{name} {}", number(score, mean_of(seeds)))).collect();
    let values: Vec<Seeds> = entries.iter().map(|(_, _, seeds)| seeds.clone()).collect();
    let versus = against(&values, 0, 1.0, |_, _| None);
    let of = |fits: fn(&Versus) -> bool| -> Vec<&str> {
        let own = entries.iter().zip(&versus).filter(|(_, versus)| versus.is_some_and(|versus| fits(&versus)));
        own.map(|((name, _, _), _)| *name).collect()
    };
    let (ties, constant) = (of(|versus| versus.tie), of(|versus| versus.lead.constant()));
    let few = of(|versus| versus.lead.few());
    let ties = match (best.len(), ties.as_slice(), constant.as_slice()) {
        (1, [], _) => "one seed cannot rank them".to_owned(),
        (2, ..) => "two seeds cannot rank them".to_owned(),
        (_, [], []) if !few.is_empty() => format!("{} did not run often enough to be ranked", few.join(", ")),
        (_, [], []) => format!("{first} is ahead of each"),
        (_, [], same) => format!("the lead of {first} over {} does not vary with the seed", same.join(", ")),
        (_, ties, _) => format!("{first} is tied with {}", ties.join(", ")),
    };
    format!("Ranking: {}; {ties}.", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{normal, seeds};

    const SCORE: &str = "transfer.seen.linear_probe";

    fn verdict(methods: &[(&str, Paradigm, &[f64])]) -> Verdict {
        let rows: Vec<Row> =
            methods.iter().flat_map(|(method, paradigm, values)| seeds(method, *paradigm, SCORE, values)).collect();
        algorithms(&rows.iter().collect::<Vec<_>>(), &Again::default())
    }

    fn entries_of(methods: &[(&'static str, Paradigm, &[f64])]) -> Vec<Entry<'static>> {
        let of = |(name, family, values): &(&'static str, Paradigm, &[f64])| {
            (*name, *family, (1..).zip(values.iter().copied()).collect())
        };
        methods.iter().map(of).collect()
    }

    // Between the families seeds differ by 0.002.
    const APART: [(&str, Paradigm, &[f64]); 7] = [
        ("triplet", Paradigm::Metric, &[0.30, 0.31, 0.305]),
        ("siamese", Paradigm::Metric, &[0.25, 0.26, 0.255]),
        ("supcon", Paradigm::Metric, &[0.20, 0.21, 0.205]),
        ("simclr", Paradigm::Contrastive, &[0.75, 0.762, 0.756]),
        ("moco", Paradigm::Contrastive, &[0.70, 0.712, 0.706]),
        ("byol", Paradigm::Contrastive, &[0.65, 0.662, 0.656]),
        ("simsiam", Paradigm::Contrastive, &[0.60, 0.612, 0.606]),
    ];

    #[test]
    fn families_apart_support_the_claim() {
        let found = verdict(&APART);
        assert_eq!(found.verdict, Ruling::Supported, "{found:?}");
        // Between families 0.425 and 0.427 on average; inside 0.05, 0.05, 0.1 and 0.05 three times, 0.1 twice, 0.15: 0.7 over 9.
        assert!((found.effect.unwrap() - (0.426 - 0.7 / 9.0)).abs() < 1e-9);
        assert!((found.p_value.unwrap() - 1.0 / 35.0).abs() < 1e-12);
        let sentence = "Dealt out to these 7 methods at random, the names of the families give at least that in 1 of 35 \
                        ways. Ranking: simclr 0.756, moco 0.706,";
        assert!(found.evidence.contains(sentence), "{}", found.evidence);
        assert!(
            found.evidence.ends_with("siamese 0.255, supcon 0.205; simclr is ahead of each."),
            "{}",
            found.evidence
        );
    }

    /// The seeds agree about four methods, but of six ways to name them two set the names as far apart.
    #[test]
    fn few_methods_do_not_speak_for_their_families() {
        let few: Vec<_> = [0, 1, 3, 4].map(|i| APART[i]).into();
        let found = verdict(&few);
        assert_eq!(found.verdict, Ruling::Undecided, "{found:?}");
        assert!(found.ci95_low.unwrap() > 0.0 && (found.p_value.unwrap() - 1.0 / 3.0).abs() < 1e-12);
        assert!(found.evidence.contains("in 2 of 6 ways: too often, whatever the seeds say."), "{}", found.evidence);
    }

    /// Names dealt out to methods that differ, 200 times: the claim is seldom supported.
    #[test]
    fn mere_names_are_seldom_supported() {
        let mut noise = normal();
        let mut supported = 0;
        for _ in 0..200 {
            let values: Vec<Vec<f64>> = (0..7)
                .map(|_| {
                    let own = 0.5 + 0.05 * noise();
                    (0..3).map(|_| own + 0.005 * noise()).collect()
                })
                .collect();
            let methods: Vec<(&str, Paradigm, &[f64])> = APART
                .iter()
                .zip(&values)
                .map(|((name, family, _), values)| (*name, *family, values.as_slice()))
                .collect();
            supported += usize::from(verdict(&methods).verdict == Ruling::Supported);
        }
        // At the level 10, with a deviation of 3.1. By the seeds alone it was 53.
        assert!(supported <= 18, "{supported} of 200");
    }

    #[test]
    fn a_family_spread_around_the_other_refutes_it() {
        let verdict = verdict(&[
            ("triplet", Paradigm::Metric, &[0.9, 0.91, 0.905]),
            ("siamese", Paradigm::Metric, &[0.1; 3]),
            ("simclr", Paradigm::Contrastive, &[0.5; 3]),
        ]);
        assert_eq!(verdict.verdict, Ruling::Refuted);
        // 0.4 - 0.8, 0.405 - 0.81 and their mean.
        assert!((verdict.effect.unwrap() + 0.4025).abs() < 1e-9);
    }

    /// Seeds that differ by the same single test item are not certain.
    #[test]
    fn what_is_the_same_in_every_seed_decides_nothing() {
        let found = verdict(&[
            ("triplet", Paradigm::Metric, &[0.9; 3]),
            ("siamese", Paradigm::Metric, &[0.1; 3]),
            ("simclr", Paradigm::Contrastive, &[0.5; 3]),
        ]);
        assert_eq!((found.verdict, found.p_value, found.ci95_low), (Ruling::Undecided, None, None));
        assert!(found.evidence.contains("by -0.400 in each of 3 seeds"), "{}", found.evidence);
        assert!(
            found.evidence.contains("the lead of triplet over simclr, siamese does not vary"),
            "{}",
            found.evidence
        );
    }

    #[test]
    fn ties_are_named() {
        let verdict = verdict(&[
            ("triplet", Paradigm::Metric, &[0.50, 0.60, 0.55]),
            ("siamese", Paradigm::Metric, &[0.61, 0.50, 0.555]),
            ("simclr", Paradigm::Contrastive, &[0.10, 0.11, 0.10]),
        ]);
        assert!(verdict.evidence.contains("siamese is tied with triplet"), "{}", verdict.evidence);
    }

    #[test]
    fn two_seeds_rank_no_one() {
        let two = APART.map(|(name, family, values)| (name, family, &values[..2]));
        let found = verdict(&two).evidence;
        assert!(found.contains("supcon 0.205; two seeds cannot rank them. Two seeds decide nothing:"), "{found}");
        // Of a method that was stopped, more is said than of the others.
        let mut stopped = APART;
        stopped[1].2 = &APART[1].2[..1];
        let found = ranking(SCORE, entries_of(&stopped));
        assert!(found.ends_with("; siamese did not run often enough to be ranked."), "{found}");
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
        assert!(one.evidence.contains("`compare run --seeds 3`"), "{}", one.evidence);
    }
}

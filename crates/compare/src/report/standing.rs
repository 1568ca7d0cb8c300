//! Who is ahead on one score, and who cannot be told from it.

use super::{
    definitions::{self, Better},
    estimate::{Estimate, LEVEL, ROUNDING, Seeds, fewest, fixed},
    groups::Group,
    items,
    spread::Spread,
};
use nearfar_eval::stats::holm;

/// The best of several groups on one score, and the others against it.
pub(super) struct Standing {
    /// Index of the group with the best mean.
    pub best: usize,
    /// One for each group; none for the best itself and for groups without the score.
    pub others: Vec<Option<Versus>>,
}

/// One group against the best one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Versus {
    /// By how much the best is ahead, positive whether the score is better high or low.
    pub lead: Estimate,
    /// P-value after Holm's correction over all pairs of groups; absent where the lead has none.
    pub p_holm: Option<f64>,
    /// Whether the lead may be chance; without p-value, whether it is rounding.
    pub tie: bool,
}

/// The standing on a score that ranks; `None` for others and where no group has it.
pub(super) fn standing(groups: &[&Group<'_>], metric: &str) -> Option<Standing> {
    let sign = match definitions::better(metric) {
        Better::Higher => 1.0,
        Better::Lower => -1.0,
        Better::Neither => return None,
    };
    let values: Vec<Seeds> = groups.iter().map(|group| group.values(metric)).collect();
    let mean =
        |i: usize| Some(sign * values[i].values().sum::<f64>() / values[i].len() as f64).filter(|m| m.is_finite());
    // One seed or two are luck beside three.
    let needed = fewest(values.iter());
    let counts = |i: &usize| values[*i].len() >= needed;
    let means = (0..groups.len()).filter(counts).filter_map(|i| Some((i, mean(i)?)));
    // Of equals the first: baselines stand before what is trained.
    let best = means.reduce(|best, next| if next.1 > best.1 + ROUNDING { next } else { best }).map(|(i, _)| i)?;
    let over_items = |i: usize, j: usize| {
        let [a, b] = [groups[i].row(metric)?, groups[j].row(metric)?];
        items::error(a, b, metric)
    };
    Some(Standing { best, others: against(&values, best, sign, over_items) })
}

/// The best of several scores against each other one; none for the best itself and for scores without a seed. `sign` is 1
/// where more is better, else -1.
///
/// Which one is best was found on the same seeds: that looked at all pairs, so that all of them count as tested. How far
/// seeds spread a difference is told by all scores together ([`Spread`]); with two scores this is the paired t-test.
///
/// Two scores that no seed changes differ by the same whatever the seed, however far others spread: what is left to ask is
/// what other test items would give, and `over_items` is the standard error of the difference over them, if it is known.
pub(super) fn against(
    values: &[Seeds],
    best: usize,
    sign: f64,
    over_items: impl Fn(usize, usize) -> Option<(f64, f64)>,
) -> Vec<Option<Versus>> {
    let spread = Spread::of(&values.iter().collect::<Vec<_>>());
    let difference = |i: usize, j: usize| {
        let (a, b) = if sign < 0.0 { (&values[j], &values[i]) } else { (&values[i], &values[j]) };
        let found = spread.difference(a, b)?;
        let items = if fixed(a) && fixed(b) { over_items(i, j) } else { None };
        Some(items.map_or(found, |(error, freedom)| found.over_items(error, freedom)))
    };
    let lead = |i: usize| if i == best { None } else { difference(best, i) };
    let leads: Vec<Option<Estimate>> = (0..values.len()).map(lead).collect();
    let pairs = (0..values.len()).flat_map(|i| (0..i).map(move |j| (i, j))).filter(|(i, j)| *i != best && *j != best);
    let others = pairs.filter_map(|(i, j)| difference(i, j));
    let tested: Vec<f64> = leads.iter().flatten().copied().chain(others).filter_map(|one| one.p_value).collect();
    // P-values lie between 0 and 1, so that there is nothing to refuse.
    let mut adjusted = holm(&tested).unwrap_or_default().into_iter();
    let versus = |lead: Option<Estimate>| {
        let lead = lead?;
        let p_holm = lead.p_value.and_then(|_| adjusted.next());
        // Over the seeds that both have, the best may not even lead.
        let tie = lead.mean <= ROUNDING || p_holm.is_some_and(|p| p > LEVEL);
        // Holm's correction asks of it what it would ask of the first of those that are no clearer.
        let no_clearer = lead.p_value.map_or(1, |own| tested.iter().filter(|p| **p >= own).count());
        Some(Versus { lead: lead.tested_among(no_clearer), p_holm, tie })
    };
    leads.into_iter().map(versus).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{
        Bootstrap, Paradigm, Row,
        estimate::Over,
        fixtures::{row, seeds},
        groups::groups,
    };

    const SCORE: &str = "retrieval.seen.map_at_r";

    fn standing_of(rows: &[Row], metric: &str) -> Option<Standing> {
        let groups = groups(rows);
        standing(&groups.iter().collect::<Vec<_>>(), metric)
    }

    fn ties(standing: &Standing) -> Vec<Option<bool>> {
        standing.others.iter().map(|other| other.map(|other| other.tie)).collect()
    }

    #[test]
    fn the_best_and_its_ties() {
        let mut rows = seeds("a", Paradigm::Metric, SCORE, &[0.50, 0.60, 0.55]);
        rows.extend(seeds("b", Paradigm::Metric, SCORE, &[0.51, 0.58, 0.54]));
        rows.extend(seeds("c", Paradigm::Metric, SCORE, &[0.10, 0.20, 0.15]));
        rows.push(row("d", Paradigm::Metric, 1, &[]));
        let found = standing_of(&rows, SCORE).unwrap();
        assert_eq!(found.best, 0);
        assert_eq!(ties(&found), [None, Some(true), Some(false), None]);
        assert!((found.others[2].unwrap().lead.mean - 0.4).abs() < 1e-12);
        assert!(standing_of(&rows, "train_seconds").is_none() && standing_of(&rows, "transfer.seen.knn").is_none());
    }

    #[test]
    fn lower_errors_lead() {
        let score = "verification.seen.eer";
        let mut rows = seeds("a", Paradigm::Metric, score, &[0.3, 0.31]);
        rows.extend(seeds("b", Paradigm::Metric, score, &[0.1, 0.11]));
        let found = standing_of(&rows, score).unwrap();
        assert_eq!(found.best, 1);
        assert!((found.others[0].unwrap().lead.mean - 0.2).abs() < 1e-12);
    }

    /// One lead that a single test calls real is not, among others whose seeds spread more.
    #[test]
    fn many_others_need_a_clearer_lead() {
        // Differences to the best of 0.015, 0.02 and 0.025: p = 0.020.
        let mut rows = seeds("best", Paradigm::Metric, SCORE, &[0.5, 0.5, 0.5]);
        rows.extend(seeds("near", Paradigm::Metric, SCORE, &[0.485, 0.48, 0.475]));
        let alone = standing_of(&rows, SCORE).unwrap();
        assert_eq!(ties(&alone), [None, Some(false)]);
        let paired = Estimate::of(&[0.015, 0.02, 0.025]).unwrap();
        assert!((alone.others[1].unwrap().lead.p_value.unwrap() - paired.p_value.unwrap()).abs() < 1e-9);
        rows.extend(seeds("other", Paradigm::Metric, SCORE, &[0.455, 0.485, 0.5]));
        rows.extend(seeds("third", Paradigm::Metric, SCORE, &[0.5, 0.455, 0.485]));
        let found = standing_of(&rows, SCORE).unwrap();
        assert_eq!(ties(&found), [None, Some(true), Some(true), Some(true)]);
        // By limma, over the three that vary: p = 0.030738; six pairs.
        let near = found.others[1].unwrap();
        assert!((near.lead.p_value.unwrap() - 0.030_737_552).abs() < 1e-8, "{near:?}");
        assert!((near.p_holm.unwrap() - 6.0 * near.lead.p_value.unwrap()).abs() < 1e-9);
    }

    /// A clear lead of the best is found with three seeds, though there are many pairs.
    #[test]
    fn others_tell_how_far_seeds_spread() {
        let noise = [[1, -1, 0], [0, 1, -1], [-1, 0, 1], [1, 0, -1], [0, -1, 1], [-1, 1, 0]];
        let mut rows = Vec::new();
        for (method, noise) in noise.iter().enumerate() {
            let mean = if method == 0 { 0.6 } else { 0.5 };
            let values: Vec<f64> = noise.iter().map(|step| mean + 0.01 * f64::from(*step)).collect();
            rows.extend(seeds(&format!("m{method}"), Paradigm::Metric, SCORE, &values));
        }
        let found = standing_of(&rows, SCORE).unwrap();
        assert_eq!(ties(&found)[1..], [Some(false); 5]);
    }

    /// Two scores that never vary, among others that do: no seed says anything about their difference.
    #[test]
    fn what_no_seed_changes_is_left_to_the_test_items() {
        let mut rows = seeds("mahalanobis", Paradigm::Metric, SCORE, &[0.534, 0.534]);
        rows.extend(seeds("pixels", Paradigm::Baseline, SCORE, &[0.5, 0.5]));
        rows.extend(seeds("simclr", Paradigm::Contrastive, SCORE, &[0.30, 0.32]));
        let found = standing_of(&rows, SCORE).unwrap();
        // Baselines come first.
        let pixels = found.others[0].unwrap();
        assert!(pixels.lead.constant() && pixels.p_holm.is_none() && !pixels.tie, "{pixels:?}");
        assert!(found.others[2].unwrap().p_holm.is_some());
        for row in &mut rows {
            let middle = row.scores[SCORE];
            row.bootstrap.insert(SCORE.into(), Bootstrap { queries: [middle - 0.05, middle + 0.05], classes: None });
        }
        let pixels = standing_of(&rows, SCORE).unwrap().others[0].unwrap();
        assert!(pixels.tie && pixels.lead.over == Over::Items, "{pixels:?}");
        // 0.05 sqrt(2) on both sides.
        assert!((pixels.lead.interval.unwrap().0 - (0.034 - 0.070_711)).abs() < 1e-4, "{pixels:?}");
    }

    #[test]
    fn one_seed_ties_by_rounding_alone() {
        let mut rows = seeds("a", Paradigm::Metric, SCORE, &[0.5]);
        rows.extend(seeds("b", Paradigm::Metric, SCORE, &[0.6]));
        rows.extend(seeds("c", Paradigm::Metric, SCORE, &[0.6]));
        let found = standing_of(&rows, SCORE).unwrap();
        // Of equals the first.
        assert_eq!((found.best, ties(&found)), (1, vec![Some(false), None, Some(true)]));
    }
}

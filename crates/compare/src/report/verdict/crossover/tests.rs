//! Crossovers by hand, in words, and how often their intervals hold the truth.

use super::*;
use crate::report::fixtures::normal;

const SHARES: [f64; 7] = [0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0];
const SCORE: &str = "transfer.seen.linear_probe";

/// Leads without parts, of one method each.
fn over(seeds: &[Vec<f64>]) -> Leads {
    let places = seeds.first().map_or(0, Vec::len);
    Leads { seeds: seeds.to_vec(), unshared: false, parts: Vec::new(), luck: vec![[0.0; 2]; places] }
}

fn find(shares: &[f64], leads: &[Vec<f64>]) -> Crossover {
    Crossover::find(SCORE, shares, &over(leads)).unwrap()
}

/// Leads of +0.2 at 1 % and -0.2 at 100 % cross at 10 %, the middle in logarithms. At the crossing each seed is 0.02,
/// 0 and -0.02 off; t(2) = 4.302653 gives a half width of 4.302653 * 0.02 / sqrt(3) = 0.049683 in the lead, which
/// falls by 0.4 over two decades.
#[test]
fn a_crossing_by_hand() {
    let leads: Vec<Vec<f64>> = [0.02, 0.0, -0.02].map(|shift| vec![0.2 + shift, -0.2 + shift]).into();
    let found = find(&[0.01, 1.0], &leads);
    let decades = 0.049_683 / 0.2;
    let near = |value: Option<f64>, expected: f64| (value.unwrap().log10() - expected).abs() < 1e-5;
    assert!(near(found.share, -1.0) && near(found.ci95_low, -1.0 - decades), "{found:?}");
    assert!(near(found.ci95_high, -1.0 + decades), "{found:?}");
    assert_eq!((found.leader, found.seeds, found.range), (Paradigm::Metric, 3, [0.01, 1.0]));
    assert_eq!((found.finding, found.items), (Finding::Point, false));
    let words = "Metric learning overtakes at about 10 % of the labels (95 % interval 5.6 % to 18 %, 3 shared seeds).";
    assert_eq!(found.sentence, words);
}

#[test]
fn one_seed_has_no_interval() {
    let found = find(&[0.01, 1.0], &[vec![0.1, -0.1]]);
    assert!((found.share.unwrap() - 0.1).abs() < 1e-9);
    assert_eq!((found.ci95_low, found.ci95_high, found.seeds), (None, None, 1));
    assert!(found.sentence.ends_with("(one seed, no interval)."), "{}", found.sentence);
    // Where its lead changes twice, nothing tells a change from chance.
    let found = find(&[0.01, 0.1, 1.0], &[vec![0.1, -0.1, 0.1]]);
    assert_eq!((found.finding, found.share, found.ci95_low), (Finding::Range, None, None));
    let words = "On one seed the lead changes 2 times between 3.2 % and 32 % of the labels; more seeds tell which of the \
                 changes are chance.";
    assert_eq!(found.sentence, words);
}

#[test]
fn no_crossing_is_said() {
    let found = find(&[0.1, 1.0], &[vec![0.1, 0.5], vec![0.11, 0.52], vec![0.105, 0.51]]);
    assert_eq!((found.finding, found.share, found.ci95_low), (Finding::Stays, None, None));
    assert_eq!(found.leader, Paradigm::Contrastive);
    let words = "No crossover between 10 % and 100 % of the labels: contrastive learning leads at every share.";
    assert_eq!(found.sentence, words);
    // A lead of 0.01 in the mean is chance when the seeds say 0.06 and -0.04.
    let found = find(&[0.1, 1.0], &[vec![0.5, 0.06], vec![0.51, -0.04], vec![0.49, 0.01]]);
    assert_eq!((found.finding, found.share, found.ci95_high), (Finding::Stays, None, Some(1.0)));
    assert!(found.ci95_low.unwrap() > 0.1 && found.ci95_low.unwrap() < 1.0);
    assert!(found.sentence.ends_with("and 100 % its lead may be chance."), "{}", found.sentence);
}

#[test]
fn an_interval_may_leave_the_range() {
    let found = find(&[0.01, 1.0], &[vec![0.5, -0.02], vec![-0.4, -0.04], vec![0.3, -0.03]]);
    assert_eq!(found.ci95_low, Some(0.01));
    assert!(found.ci95_high.unwrap() < 1.0);
    assert!(found.sentence.contains("95 % interval 1 % or below to"), "{}", found.sentence);
}

#[test]
fn the_first_of_several_clear_changes_is_named() {
    let found = find(&[0.01, 0.1, 1.0], &[vec![0.1, -0.1, 0.1], vec![0.11, -0.11, 0.11], vec![0.105, -0.105, 0.105]]);
    assert!((found.share.unwrap().log10() + 1.5).abs() < 1e-9);
    assert!(found.sentence.ends_with("Further up the lead changes once more."), "{}", found.sentence);
    assert!((found.ci95_high.unwrap().log10() + 1.5).abs() < 1e-6, "{found:?}");
}

/// Clear leads at both ends; between them the mean changes its sign three times, by less than its spread.
#[test]
fn changes_within_noise_are_a_range() {
    let shares = [0.01, 0.1, 0.2, 1.0];
    let seeds = |[low, high]: [f64; 2]| [[-0.06, 0.06], [0.02, 0.0], [0.01, -0.03]].map(|[a, b]| vec![low, a, b, high]);
    let found = find(&shares, &seeds([0.5, -0.5]));
    assert_eq!((found.finding, found.share, found.leader), (Finding::Range, None, Paradigm::Metric));
    assert!(found.ci95_low.unwrap() > 0.01 && found.ci95_high.unwrap() < 1.0, "{found:?}");
    let starts = found.sentence.starts_with("Neither family leads between ");
    let ends = "changes 3 times there, by no more than chance gives (3 shared seeds). Below, contrastive learning leads; \
                above, metric learning does.";
    assert!(starts && found.sentence.ends_with(ends), "{}", found.sentence);
    let back = find(&shares, &seeds([0.5, 0.5]));
    assert!(back.sentence.ends_with("Below and above, contrastive learning leads."), "{}", back.sentence);
    assert_eq!((back.finding, back.leader), (Finding::Range, Paradigm::Contrastive));
}

/// The mean lead changes, but no lead is more than chance.
#[test]
fn no_point_is_named_where_nothing_leads() {
    let shares = [0.02, 0.1, 0.5, 1.0];
    let found = find(
        &shares,
        &[vec![-0.06, 0.06, -0.05, 0.05], vec![0.04, -0.03, 0.01, -0.02], vec![0.01, -0.02, 0.02, -0.02]],
    );
    assert_eq!((found.finding, found.share), (Finding::Range, None));
    assert_eq!((found.ci95_low, found.ci95_high), (Some(0.02), Some(1.0)));
    let words = "Neither family leads anywhere between 2 % and 100 % of the labels: the mean lead changes 3 times, but by no \
                 more than chance gives (3 shared seeds).";
    assert_eq!(found.sentence, words);
    let found = find(&[0.02, 1.0], &[vec![-0.06, -0.04], vec![0.05, 0.03], vec![-0.005, -0.005]]);
    assert!(found.sentence.contains("metric learning is ahead at every share, but by no more"), "{}", found.sentence);
}

#[test]
fn too_little_is_nothing() {
    assert_eq!(Crossover::find("s", &[0.1], &over(&[vec![0.1]])), None);
    assert_eq!(Crossover::find("s", &[0.1, 1.0], &over(&[])), None);
}

/// The true crossover of the simulations.
const TRUTH: f64 = 0.08;
/// Parts of the test items.
const PARTS: usize = 32;

/// What the test items do to the lead on each part, at each share.
fn items(noise: &mut impl FnMut() -> f64) -> Vec<Vec<f64>> {
    let level: Vec<f64> = (0..PARTS).map(|_| 0.1 * noise()).collect();
    SHARES.iter().map(|_| level.iter().map(|level| level + 0.03 * noise()).collect()).collect()
}

/// `seeds` seeds on these items. The seeds, the items and both together have their part in the lead.
fn simulated(noise: &mut impl FnMut() -> f64, items: &[Vec<f64>], seeds: usize) -> Leads {
    let mut leads = Leads { luck: vec![[0.0; 2]; SHARES.len()], ..Leads::default() };
    for _ in 0..seeds {
        let own = 0.01 * noise();
        let mut parts = Vec::new();
        for (share, items) in SHARES.iter().zip(items) {
            let lead = -0.03 * (share / TRUTH).ln() + own + 0.01 * noise();
            parts.push(items.iter().map(|item| lead + item + 0.05 * noise()).collect::<Vec<f64>>());
        }
        leads.seeds.push(parts.iter().map(|parts| parts.iter().sum::<f64>() / PARTS as f64).collect());
        leads.parts.push(parts);
    }
    leads
}

fn interval(leads: &Leads) -> Option<(f64, f64)> {
    let found = Crossover::find(SCORE, &SHARES, leads).unwrap();
    found.ci95_low.zip(found.ci95_high)
}

/// Four hundred runs of five seeds, each on items of its own: the interval holds the truth about as often as it says. The
/// seeds alone would claim far too much, since the items that a run has are the same in each of its seeds.
#[test]
fn the_interval_covers_the_true_crossover() {
    let mut noise = normal();
    let (mut covered, mut by_seeds_alone) = (0, 0);
    let holds = |found: Option<(f64, f64)>| found.is_some_and(|(low, high)| low <= TRUTH && TRUTH <= high);
    for _ in 0..400 {
        let items = items(&mut noise);
        let leads = simulated(&mut noise, &items, 5);
        covered += usize::from(holds(interval(&leads)));
        by_seeds_alone += usize::from(holds(interval(&Leads { parts: Vec::new(), ..leads })));
    }
    // Binomial with mean 380 and deviation 4.4.
    assert!((364..=395).contains(&covered), "{covered} of 400");
    assert!(by_seeds_alone < 320, "{by_seeds_alone} of 400");
}

/// Without noise of the items the seeds alone are right, and so is the interval that looks at both.
#[test]
fn the_interval_over_seeds_covers_too() {
    let mut noise = normal();
    let none = vec![vec![0.0; PARTS]; SHARES.len()];
    let mut covered = [0, 0];
    for _ in 0..400 {
        let leads = simulated(&mut noise, &none, 3);
        let both = [interval(&leads), interval(&Leads { parts: Vec::new(), ..leads })];
        for (count, found) in covered.iter_mut().zip(both) {
            *count += usize::from(found.is_some_and(|(low, high)| low <= TRUTH && TRUTH <= high));
        }
    }
    assert!(covered.iter().all(|count| (364..=395).contains(count)), "{covered:?} of 400");
}

/// Two sets of seeds on the same data: their intervals meet in at least 95 % of all cases.
#[test]
fn two_sets_of_seeds_agree() {
    let mut noise = normal();
    let mut agree = 0;
    for _ in 0..200 {
        let items = items(&mut noise);
        let pair = [(); 2].map(|()| interval(&simulated(&mut noise, &items, 3)));
        agree += usize::from(matches!(pair, [Some(a), Some(b)] if a.0 <= b.1 && b.0 <= a.1));
    }
    assert!(agree >= 190, "{agree} of 200");
}

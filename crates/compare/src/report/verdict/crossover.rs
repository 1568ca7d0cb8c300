//! The share of the labels where the lead of the two families changes.
//!
//! The lead of a seed is the contrastive family's score less the metric family's, linear in the logarithm of the share
//! between the shares that were tried. The crossover is where the mean lead over the seeds is zero. Its interval holds
//! every share around it at which a t-test over the seeds cannot tell the lead from zero (the inversion of a test, as
//! Fieller 1954 does for a ratio), so that it needs no crossing in every seed and covers the true one as often as the
//! test says, with few seeds too. Test items are the same at every share and in every seed; the interval says what other
//! training would give, not what other items would.

use super::sentences;
use crate::report::{Paradigm, estimate::LEVEL, format::percent};
use nearfar_eval::stats;
use serde::{Deserialize, Serialize};

/// Logarithms of shares this close are one share.
const SAME: f64 = 1e-9;

/// Squares of leads below this are rounding.
const NOTHING: f64 = 1e-15;

/// Where the lead changes on one score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crossover {
    /// Name of the score.
    pub score: String,
    /// Share of the labels where the mean lead is zero; absent where one family leads at every share.
    pub share: Option<f64>,
    /// Lower end of its 95 % interval; the true one may lie below the range where this is the range's own end. Without a
    /// crossover the lower end of the shares at which the lead may be chance. Absent with fewer than two seeds.
    pub ci95_low: Option<f64>,
    /// Upper end, in the same way.
    pub ci95_high: Option<f64>,
    /// The family that leads above the crossover, or everywhere.
    pub leader: Paradigm,
    /// Smallest and largest share tried.
    pub range: [f64; 2],
    /// Seeds that both families have at every share.
    pub seeds: usize,
    /// The same in words.
    pub sentence: String,
    /// Label of the run in a joined report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
}

/// The zero of a mean lead.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Zero {
    place: f64,
    /// Whether the lead is above zero behind it.
    rising: bool,
}

impl Crossover {
    /// From the leads of the contrastive family, one list for each seed, at rising `shares`; `None` with fewer than two
    /// shares or without a seed.
    pub(super) fn find(score: &str, shares: &[f64], leads: &[Vec<f64>]) -> Option<Self> {
        let ([first, .., last], [_, ..]) = (shares, leads) else { return None };
        let range = [*first, *last];
        let places: Vec<f64> = shares.iter().map(|share| share.ln()).collect();
        let means = means(leads, shares.len());
        let zeros = zeros(&places, &means);
        let ties = ties(&places, leads);
        let interval = match (zeros.first(), leads.len()) {
            (_, 1) => None,
            (Some(zero), _) => {
                let around = |tie: &&(f64, f64)| tie.0 <= zero.place + SAME && tie.1 >= zero.place - SAME;
                // Leads that are equal in every seed leave nothing but the zero itself.
                Some(ties.iter().find(around).copied().unwrap_or((zero.place, zero.place)))
            }
            (None, _) => ties.first().zip(ties.last()).map(|(first, last)| (first.0, last.1)),
        };
        // An end of the range comes back as it was given.
        let share = |place: f64| {
            let end = range.into_iter().find(|end| (end.ln() - place).abs() < SAME);
            end.unwrap_or_else(|| place.exp())
        };
        let above = zeros.first().map_or(means[0] > 0.0, |zero| zero.rising);
        let mut found = Self {
            score: score.to_owned(),
            share: zeros.first().map(|zero| share(zero.place)),
            ci95_low: interval.map(|(low, _)| share(low)),
            ci95_high: interval.map(|(_, high)| share(high)),
            leader: if above { Paradigm::Contrastive } else { Paradigm::Metric },
            range,
            seeds: leads.len(),
            sentence: String::new(),
            run: String::new(),
        };
        found.sentence = found.in_words(zeros.len());
        Some(found)
    }

    fn in_words(&self, changes: usize) -> String {
        let [first, last] = self.range.map(percent);
        let interval = self.ci95_low.zip(self.ci95_high);
        let Some(share) = self.share else {
            let none = format!(
                "No crossover between {first} and {last} of the labels: {} learning leads at every share.",
                self.leader
            );
            let chance = interval.map_or_else(String::new, |(low, high)| {
                format!("Between {} and {} its lead may be chance.", percent(low), percent(high))
            });
            return sentences(&[none, chance]);
        };
        let weight = match interval {
            Some((low, high)) => {
                let low = if low <= self.range[0] { format!("{first} or below") } else { percent(low) };
                let high = if high >= self.range[1] { format!("{last} or never") } else { percent(high) };
                format!("95 % interval {low} to {high}, {} shared seeds", self.seeds)
            }
            None => "one seed, no interval".to_owned(),
        };
        let more = match changes {
            0 | 1 => String::new(),
            more => format!("The lead changes {more} times; this is the first."),
        };
        let leader = capital(self.leader.name());
        let main = format!("{leader} learning overtakes at about {} of the labels ({weight}).", percent(share));
        sentences(&[main, more])
    }
}

/// The mean lead at each of `count` places.
fn means(leads: &[Vec<f64>], count: usize) -> Vec<f64> {
    (0..count).map(|place| leads.iter().map(|lead| lead[place]).sum::<f64>() / leads.len() as f64).collect()
}

/// Where the mean lead changes its sign.
fn zeros(places: &[f64], means: &[f64]) -> Vec<Zero> {
    let zero = |(places, means): (&[f64], &[f64])| {
        let ([a, b], [from, to]) = (places, means) else { return None };
        let rising = *to > 0.0;
        (rising != (*from > 0.0)).then(|| Zero { place: a + from / (from - to) * (b - a), rising })
    };
    places.windows(2).zip(means.windows(2)).filter_map(zero).collect()
}

/// The stretches over which a t-test cannot tell the lead from zero, by rising place; none with one seed.
fn ties(places: &[f64], leads: &[Vec<f64>]) -> Vec<(f64, f64)> {
    let seeds = leads.len() as f64;
    let Ok(t) = stats::t_quantile(LEVEL / 2.0, seeds - 1.0) else { return Vec::new() };
    let at = |place: usize| leads.iter().map(|lead| lead[place]).collect::<Vec<f64>>();
    let mut found: Vec<(f64, f64)> = Vec::new();
    for (i, ends) in places.windows(2).enumerate() {
        for (from, to) in tied_parts(&at(i), &at(i + 1), t * t / seeds) {
            let [from, to] = [from, to].map(|part| ends[0] + part * (ends[1] - ends[0]));
            match found.last_mut() {
                Some(last) if from <= last.1 + SAME => last.1 = to,
                _ => found.push((from, to)),
            }
        }
    }
    found
}

/// The parts of the way from the leads `a` to the leads `b`, in [0, 1], on which `mean^2 <= factor * variance`. Mean and
/// variance are taken over the seeds; both sides are squares of lines, so that the ends are roots of a quadratic.
fn tied_parts(a: &[f64], b: &[f64], factor: f64) -> Vec<(f64, f64)> {
    let n = a.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let covariance = |x: &[f64], y: &[f64]| {
        let (mean_x, mean_y) = (mean(x), mean(y));
        x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / (n - 1.0)
    };
    let step: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let (start, rise) = (mean(a), mean(&step));
    let square = rise * rise - factor * covariance(&step, &step);
    let linear = 2.0 * (start * rise - factor * covariance(a, &step));
    let constant = start * start - factor * covariance(a, a);
    let mut cuts = vec![0.0, 1.0];
    let discriminant = linear * linear - 4.0 * square * constant;
    if discriminant > 0.0 {
        // The form without cancellation; a root that does not exist is infinite or no number and lies nowhere.
        let q = -0.5 * (linear + discriminant.sqrt().copysign(linear));
        cuts.extend([q / square, constant / q].into_iter().filter(|root| *root > 0.0 && *root < 1.0));
    }
    cuts.sort_by(f64::total_cmp);
    let tied = |part: &&[f64]| {
        let middle = f64::midpoint(part[0], part[1]);
        (square * middle + linear) * middle + constant < -NOTHING
    };
    cuts.windows(2).filter(tied).map(|part| (part[0], part[1])).collect()
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: [f64; 7] = [0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0];

    fn find(shares: &[f64], leads: &[Vec<f64>]) -> Crossover {
        Crossover::find("transfer.seen.linear_probe", shares, leads).unwrap()
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
        let words = "Metric learning overtakes at about 10 % of the labels (95 % interval 5.64 % to 17.72 %, 3 shared \
                     seeds).";
        assert_eq!(found.sentence, words);
    }

    #[test]
    fn one_seed_has_no_interval() {
        let found = find(&[0.01, 1.0], &[vec![0.1, -0.1]]);
        assert!((found.share.unwrap() - 0.1).abs() < 1e-9);
        assert_eq!((found.ci95_low, found.ci95_high, found.seeds), (None, None, 1));
        assert!(found.sentence.ends_with("(one seed, no interval)."), "{}", found.sentence);
    }

    #[test]
    fn no_crossing_is_said() {
        let found = find(&[0.1, 1.0], &[vec![0.1, 0.5], vec![0.11, 0.52]]);
        assert_eq!((found.share, found.ci95_low, found.leader), (None, None, Paradigm::Contrastive));
        let words = "No crossover between 10 % and 100 % of the labels: contrastive learning leads at every share.";
        assert_eq!(found.sentence, words);
        // A lead of 0.01 in the mean is chance when the seeds say 0.06 and -0.04.
        let found = find(&[0.1, 1.0], &[vec![0.5, 0.06], vec![0.5, -0.04]]);
        assert_eq!((found.share, found.ci95_high), (None, Some(1.0)));
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
    fn the_first_of_several_changes_is_named() {
        let found = find(&[0.01, 0.1, 1.0], &[vec![0.1, -0.1, 0.1], vec![0.1, -0.1, 0.1]]);
        assert!((found.share.unwrap().log10() + 1.5).abs() < 1e-9);
        assert!(found.sentence.ends_with("The lead changes 2 times; this is the first."), "{}", found.sentence);
        assert!((found.ci95_high.unwrap().log10() + 1.5).abs() < 1e-6, "{found:?}");
    }

    /// Simulated runs of five seeds around a known crossing: the interval holds it about as often as it says.
    #[test]
    fn the_interval_covers_the_true_crossing() {
        let mut state = 1u64;
        let mut noise = || {
            // The sum of twelve evenly spread values is nearly normal with deviation 1.
            let mut even = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1u64 << 53) as f64
            };
            (0..12).map(|_| even()).sum::<f64>() - 6.0
        };
        let truth = 0.08f64;
        let mut covered = 0;
        for _ in 0..400 {
            let leads: Vec<Vec<f64>> = (0..5)
                .map(|_| {
                    let own = 0.02 * noise();
                    SHARES.map(|share| -0.1 * (share / truth).ln() + own + 0.02 * noise()).to_vec()
                })
                .collect();
            let found = find(&SHARES, &leads);
            let (low, high) = (found.ci95_low.unwrap(), found.ci95_high.unwrap());
            covered += usize::from(low <= truth && truth <= high);
        }
        // Binomial with mean 380 and deviation 4.4.
        assert!((364..=395).contains(&covered), "{covered} of 400");
    }

    #[test]
    fn too_little_is_nothing() {
        assert_eq!(Crossover::find("s", &[0.1], &[vec![0.1]]), None);
        assert_eq!(Crossover::find("s", &[0.1, 1.0], &[]), None);
    }
}

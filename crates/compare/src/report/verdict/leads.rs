//! The lead of one family over another along a setting: where its mean is zero, and where it cannot be told from zero.
//!
//! Between the places that were tried the lead of every seed is a line. At each point of it a t-test asks whether the
//! mean over the seeds may be zero. Two things make that mean uncertain: the seeds, and the test items, which are the same
//! at every place and in every seed, so that their share does not show in the spread over the seeds. Where the lead is
//! known on equal parts of the items, the variance of the mean is that of two crossed random factors,
//!
//! `V = V_seeds + V_items - V_both`,
//!
//! the variances of the means of the seeds, of the means of the parts, and of what both leave, each over its number (both
//! of the first two hold the third once; Searle, Casella and McCulloch 1992, section 4.3). Its degrees of freedom are
//! Satterthwaite's (1946). Neither is below what the seeds alone give.
//!
//! Each family is its best method at a place, and the best of several leads by luck too: what luck may give the side that is
//! ahead is taken off the mean first, as in every verdict ([`crate::report::luck`]).

use crate::report::estimate::{FEWEST_SEEDS, LEVEL, ROUNDING};
use nearfar_eval::stats;

/// Places this close are one.
pub(super) const SAME: f64 = 1e-9;

/// Points of a stretch between two places at which the test is made first.
const STEPS: usize = 16;

/// Halvings that narrow down an end: beyond the digits of any report.
const HALVINGS: usize = 40;

/// Leads at rising places.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Leads {
    /// For each seed, the lead at each place.
    pub seeds: Vec<Vec<f64>>,
    /// Whether these are the means of families that share no seed at all places, in place of a seed's.
    pub unshared: bool,
    /// For each seed and place, the same on equal parts of the test items; empty where it is not known.
    pub parts: Vec<Vec<Vec<f64>>>,
    /// For each place, by how much luck may have raised the side that leads below zero, and the side that leads above.
    pub luck: Vec<[f64; 2]>,
}

/// A place where the mean lead changes its sign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Zero {
    pub place: f64,
    /// Whether the lead is above zero behind it.
    pub rising: bool,
}

impl Leads {
    /// The mean lead at each place.
    pub fn means(&self) -> Vec<f64> {
        let count = self.seeds.first().map_or(0, Vec::len);
        (0..count).map(|place| mean(&self.seeds.iter().map(|lead| lead[place]).collect::<Vec<_>>())).collect()
    }

    /// Where the mean lead changes its sign.
    pub fn zeros(&self, places: &[f64]) -> Vec<Zero> {
        let means = self.means();
        let zero = |(ends, means): (&[f64], &[f64])| {
            let part = crossing(means[0], means[1])?;
            Some(Zero { place: ends[0] + part * (ends[1] - ends[0]), rising: means[1] > 0.0 })
        };
        places.windows(2).zip(means.windows(2)).filter_map(zero).collect()
    }

    /// The stretches over which the test cannot tell the lead from zero, by rising place; none with fewer than three seeds.
    pub fn ties(&self, places: &[f64]) -> Vec<(f64, f64)> {
        let mut found: Vec<(f64, f64)> = Vec::new();
        if self.seeds.len() < FEWEST_SEEDS {
            return found;
        }
        for (i, ends) in places.windows(2).enumerate() {
            for (from, to) in self.tied_parts(i) {
                let [from, to] = [from, to].map(|part| ends[0] + part * (ends[1] - ends[0]));
                match found.last_mut() {
                    Some(last) if from <= last.1 + SAME => last.1 = to,
                    _ => found.push((from, to)),
                }
            }
        }
        found
    }

    /// The same on the way from place `i` to the next, as parts of it in [0, 1].
    fn tied_parts(&self, i: usize) -> Vec<(f64, f64)> {
        let at = |place: usize| mean(&self.seeds.iter().map(|lead| lead[place]).collect::<Vec<_>>());
        let mut points: Vec<f64> = (0..=STEPS).map(|step| step as f64 / STEPS as f64).collect();
        // The stretch around a zero may be shorter than a step.
        points.extend(crossing(at(i), at(i + 1)));
        points.sort_by(f64::total_cmp);
        let tested: Vec<(f64, bool)> = points.into_iter().map(|point| (point, self.tied(i, point))).collect();
        let stretch = |pair: &[(f64, bool)]| match (pair[0], pair[1]) {
            ((a, true), (b, true)) => Some((a, b)),
            ((a, true), (b, false)) => Some((a, self.end(i, a, b))),
            ((a, false), (b, true)) => Some((self.end(i, b, a), b)),
            _ => None,
        };
        tested.windows(2).filter_map(stretch).collect()
    }

    /// The last tied point on the way from a tied one to one that is not.
    fn end(&self, i: usize, mut tied: f64, mut clear: f64) -> f64 {
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(tied, clear);
            if self.tied(i, middle) { tied = middle } else { clear = middle }
        }
        tied
    }

    /// Whether the test cannot tell the lead from zero at `part` of the way from place `i` to the next.
    fn tied(&self, i: usize, part: f64) -> bool {
        let (mean, variance, freedom) = self.at(i, part);
        let [luck, next] = [i, i + 1].map(|place| self.luck[place][usize::from(mean > 0.0)]);
        let left = mean.abs() - (luck + part * (next - luck));
        // What is rounding is no lead, however small its spread; and what never varies says nothing of chance.
        let nothing = left <= ROUNDING || variance.sqrt() <= ROUNDING;
        nothing || stats::t_p_value(left / variance.sqrt(), freedom).is_ok_and(|p| p > LEVEL)
    }

    /// The mean lead at `part` of the way from place `i` to the next, its variance and the degrees of freedom of that.
    ///
    /// A lead that is the same in every seed says nothing of its variance: there the other end of the way stands in.
    fn at(&self, i: usize, part: f64) -> (f64, f64, f64) {
        let (mean, own, freedom) = self.between(i, part);
        let [from, to] = [0.0, 1.0].map(|end| self.between(i, end).1);
        let silent = |variance: f64| variance.sqrt() <= ROUNDING;
        (mean, if silent(from) || silent(to) { own.max(from).max(to) } else { own }, freedom)
    }

    /// The same of these leads by themselves.
    fn between(&self, i: usize, part: f64) -> (f64, f64, f64) {
        let between = |(a, b): (&f64, &f64)| a + part * (b - a);
        let leads: Vec<f64> = self.seeds.iter().map(|lead| between((&lead[i], &lead[i + 1]))).collect();
        let of_seed = |lead: &Vec<Vec<f64>>| lead[i].iter().zip(&lead[i + 1]).map(between).collect::<Vec<f64>>();
        let parts: Vec<Vec<f64>> = self.parts.iter().map(of_seed).collect();
        let (variance, freedom) = spread(&leads, &parts);
        (mean(&leads), variance, freedom)
    }
}

/// Variance of the mean of two leads or more, and its degrees of freedom.
pub(super) fn spread(leads: &[f64], parts: &[Vec<f64>]) -> (f64, f64) {
    let seeds = leads.len() as f64;
    let of_seeds = variance(leads) / seeds;
    let alone = (of_seeds, seeds - 1.0);
    let Some(count) = parts.first().map(Vec::len).filter(|count| *count >= 2) else { return alone };
    let by_part: Vec<f64> =
        (0..count).map(|part| mean(&parts.iter().map(|own| own[part]).collect::<Vec<_>>())).collect();
    let (count, all) = (count as f64, mean(&by_part));
    let of_items = variance(&by_part) / count;
    let left = |own: &Vec<f64>| {
        let level = mean(own) - all;
        own.iter().zip(&by_part).map(|(value, part)| (value - part - level).powi(2)).sum::<f64>()
    };
    let freedom = (seeds - 1.0) * (count - 1.0);
    let of_both = parts.iter().map(left).sum::<f64>() / freedom / (seeds * count);
    let total = of_seeds + of_items - of_both;
    if total <= of_seeds {
        return alone;
    }
    let squares = of_seeds.powi(2) / (seeds - 1.0) + of_items.powi(2) / (count - 1.0) + of_both.powi(2) / freedom;
    (total, (total * total / squares).max(seeds - 1.0))
}

/// The part of the way from one mean lead to the next at which the sign changes.
fn crossing(from: f64, to: f64) -> Option<f64> {
    ((to > 0.0) != (from > 0.0)).then(|| from / (from - to))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of a sample of two or more.
fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two seeds and two parts: 0.1 and 0.5 of the first seed, 0.3 and 0.9 of the second.
    #[test]
    fn the_variance_by_hand() {
        let parts = [vec![0.1, 0.5], vec![0.3, 0.9]];
        let (found, freedom) = spread(&[0.3, 0.6], &parts);
        // Means of seeds 0.3 and 0.6: 0.045 / 2. Means of parts 0.2 and 0.7: 0.125 / 2. Left: +-0.05 each, 0.01 / 1 / 4.
        let (seeds, items, both) = (0.0225, 0.0625, 0.0025f64);
        assert!((found - (seeds + items - both)).abs() < 1e-12, "{found}");
        let expected = 0.0825f64.powi(2) / (seeds * seeds + items * items + both * both);
        assert!((freedom - expected).abs() < 1e-9 && freedom > 1.0, "{freedom}");
    }

    #[test]
    fn items_that_are_alike_change_nothing() {
        // What the parts say differs by seed alone: no item is harder than another.
        let parts = [vec![0.1, 0.5], vec![0.5, 0.1]];
        let (found, freedom) = spread(&[0.3, 0.2], &parts);
        assert!((found - 0.0025).abs() < 1e-12 && freedom == 1.0, "{found} {freedom}");
        assert_eq!(spread(&[0.3, 0.2], &[]), (found, 1.0));
        let leads = |seeds: Vec<Vec<f64>>| Leads { seeds, unshared: false, parts: Vec::new(), luck: vec![[0.0; 2]; 2] };
        let one = leads(vec![vec![0.1, -0.1]]);
        assert!(one.ties(&[0.0, 1.0]).is_empty());
        let two = leads(vec![vec![0.1, -0.1], vec![0.12, -0.1]]);
        assert!(two.ties(&[0.0, 1.0]).is_empty(), "two seeds decide nothing");
        // What is the same in every seed at both ends says nothing of chance; at one end the other's spread stands in.
        let same = leads(vec![vec![0.1, -0.1]; 3]);
        assert_eq!(same.ties(&[0.0, 1.0]), [(0.0, 1.0)]);
        let at_one_end = leads(vec![vec![0.1, -0.3], vec![0.1, -0.1], vec![0.1, -0.2]]);
        assert_eq!(at_one_end.ties(&[0.0, 1.0]), [(0.0, 1.0)]);
        // Families that are equal are tied everywhere.
        let equal = leads(vec![vec![0.0, 0.0]; 3]);
        assert_eq!(equal.ties(&[0.0, 1.0]), [(0.0, 1.0)]);
    }

    #[test]
    fn stretches_shorter_than_a_step_are_found() {
        // Leads that fall from 1 to -1 with a deviation of 0.01 over three seeds: t(2) = 4.302653 gives 0.0248 around the middle.
        let seeds = vec![vec![1.01, -0.99], vec![0.99, -1.01], vec![1.0, -1.0]];
        let mut leads = Leads { seeds, unshared: false, parts: Vec::new(), luck: vec![[0.0; 2]; 2] };
        let ends = |leads: &Leads| match leads.ties(&[0.0, 2.0])[..] {
            [ends] => ends,
            ref more => panic!("{more:?}"),
        };
        let (low, high) = ends(&leads);
        let half = 4.302_653 * 0.01 / 3.0f64.sqrt();
        assert!((low - (1.0 - half)).abs() < 1e-6 && (high - (1.0 + half)).abs() < 1e-6, "{low} {high}");
        // Before the zero the side above it is ahead, and luck may give it 0.1 at the first place, half of that in the middle:
        // with x left to go, x - 0.0248 = 0.05 (1 + x).
        leads.luck[0] = [0.0, 0.1];
        let (low, high) = ends(&leads);
        assert!(
            (low - (1.0 - (0.05 + half) / 0.95)).abs() < 1e-5 && (high - (1.0 + half)).abs() < 1e-6,
            "{low} {high}"
        );
        assert_eq!(leads.zeros(&[0.0, 2.0]), [Zero { place: 1.0, rising: false }]);
    }
}
